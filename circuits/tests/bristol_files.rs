//! The public circuit files against the functions they compute.

mod files;

use files::{FILES, File, random_bits};
use trefoil_circuits::bristol::{BitOrder, Circuit, Counts, Form, PortValue, Schedule};

fn run(name: &str, inputs: &[&str]) -> String {
    let circuit = File::named(name).circuit();
    let inputs = circuit.input_values(inputs, BitOrder::Lsb).unwrap();
    let outputs = circuit.evaluate_plain(&inputs).unwrap();
    assert_eq!(outputs.len(), 1);
    outputs[0].to_hex(BitOrder::Lsb)
}

/// Bytes as a hexadecimal integer, the first byte leading.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from_digit(d.into(), 16).unwrap()).collect()
}

/// FIPS 197, appendices B and C.1. Read as an integer, a block's last bit is bit 0, and that is wire 0 of its port.
#[test]
fn aes_128_gives_the_blocks_of_fips_197() {
    for (key, plaintext, ciphertext) in [
        ("2b7e151628aed2a6abf7158809cf4f3c", "3243f6a8885a308d313198a2e0370734", "3925841d02dc09fbdc118597196a0b32"),
        ("000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff", "69c4e0d86a7b0430d8cdb78070b4c55a"),
    ] {
        assert_eq!(run("aes_128.txt", &[key, plaintext]), ciphertext);
    }
}

/// FIPS 180-4: the padded message "abc", then the initial chaining value. Both are integers, most significant byte first.
#[test]
fn sha_256_gives_the_digest_of_fips_180() {
    let mut block = [0; 64];
    block[..4].copy_from_slice(b"abc\x80");
    block[63] = 24;
    let initial = "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19";
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(run("sha256.txt", &[&hex(&block), initial]), digest);
}

#[test]
fn most_significant_first_reverses_every_port() {
    let circuit = File::named("adder64.txt").circuit();
    let inputs = circuit.input_values(&["0xa000000000000000", "3000000000000000"], BitOrder::Msb).unwrap();
    // 5 + 12, each written backwards.
    assert_eq!(circuit.evaluate_plain(&inputs).unwrap()[0].to_hex(BitOrder::Msb), "8800000000000000");
}

#[test]
fn counts_are_those_published() {
    for (name, and, xor, not, and_depth) in [
        ("adder64.txt", 63, 313, 0, 63),
        ("mult64.txt", 4033, 9642, 0, 63),
        ("aes_128.txt", 6400, 28176, 2087, 60),
        ("sha256.txt", 22573, 110_644, 1856, 1607),
    ] {
        let counts = File::named(name).circuit().counts();
        assert_eq!(counts, Counts { and, xor, not, copy: 0, constant: 0, and_depth }, "{name}");
    }
}

#[test]
fn random_inputs_agree_with_the_references() {
    for file in &FILES {
        let circuit = file.circuit();
        let mut words = vec![0; circuit.input_wires().len()];
        let mut expected = vec![0; circuit.output_wires().len()];
        for instance in 0..64 {
            let bits = random_bits(instance, words.len());
            for (word, bit) in words.iter_mut().zip(&bits) {
                *word |= u64::from(*bit) << instance;
            }
            for (word, bit) in expected.iter_mut().zip(file.reference(&bits)) {
                *word |= u64::from(bit) << instance;
            }
        }
        assert_eq!(circuit.evaluate_plain_sliced(&words).unwrap(), expected, "{}", file.name);
    }
}

#[test]
fn both_forms_read_back_as_the_same_function() {
    for file in &FILES {
        let circuit = file.circuit();
        let basic = Circuit::parse(circuit.to_bristol(Form::Basic)).unwrap();
        assert_eq!(basic, circuit, "{}", file.name);

        let text = circuit.to_bristol(Form::Extended);
        let mands = text.lines().filter(|line| line.ends_with(" MAND")).count();
        assert_eq!(mands, circuit.counts().and_depth, "{}", file.name);
        let extended = Circuit::parse(&text).unwrap();
        assert_eq!(extended.counts(), circuit.counts(), "{}", file.name);
        let mut rest = random_bits(0, circuit.input_wires().len());
        let mut inputs = Vec::new();
        for &width in circuit.inputs() {
            let behind = rest.split_off(width as usize);
            inputs.push(PortValue::from_bits(std::mem::replace(&mut rest, behind)));
        }
        let outputs = |c: &Circuit| c.evaluate_plain(&inputs).unwrap()[0].to_hex(BitOrder::Lsb);
        assert_eq!(outputs(&extended), outputs(&circuit), "{}", file.name);
    }
}

#[test]
fn schedules_take_the_and_depth_in_rounds_and_a_fraction_of_the_wires() {
    for (name, most_slots) in [("adder64.txt", 192), ("mult64.txt", 400), ("aes_128.txt", 900), ("sha256.txt", 1200)] {
        let circuit = File::named(name).circuit();
        let schedule = Schedule::new(&circuit);
        let counts = circuit.counts();
        assert_eq!(schedule.rounds(), counts.and_depth, "{name}");
        assert_eq!(schedule.ands(), counts.and, "{name}");
        assert!(schedule.slots() <= most_slots, "{name}: {} slots", schedule.slots());
    }
}
