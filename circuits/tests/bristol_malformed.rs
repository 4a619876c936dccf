//! What the reader accepts, what it refuses and on which line, and that nothing makes it panic.

mod random;

use proptest::prelude::*;
use trefoil_circuits::bristol::{BitOrder, Circuit, Fault, Form, Limits, ParseError, Side};

fn fault(text: &str) -> (u64, Fault) {
    let ParseError { line, fault } = Circuit::parse(text).expect_err(text);
    (line, fault)
}

fn outputs(text: &str, inputs: &[&str]) -> Vec<String> {
    let circuit = Circuit::parse(text).unwrap();
    let inputs = circuit.input_values(inputs, BitOrder::Lsb).unwrap();
    circuit.evaluate_plain(&inputs).unwrap().iter().map(|v| v.to_hex(BitOrder::Lsb)).collect()
}

const ONE_AND: &str = "1 3\n2 1 1\n1 1\n\n2 1 0 1 2 AND\n";

#[test]
fn gates_do_what_the_format_says() {
    let all = "6 8\n1 2\n1 6\n2 1 0 1 2 XOR\n2 1 0 1 3 AND\n1 1 0 4 INV\n1 1 1 5 EQW\n1 1 1 6 EQ\n1 1 0 7 EQ\n";
    for (x, y) in [("0", "14"), ("1", "11"), ("2", "1d"), ("3", "1a")] {
        assert_eq!(outputs(all, &[x]), [y], "inputs {x}");
    }
    assert_eq!(outputs("1 2\n1 1\n1 1\n1 1 0 1 NOT\n", &["1"]), ["0"]);
}

/// The operands of MAND are x1..xk and then y1..yk: `4 2 0 2 1 3 4 5 MAND` is 0 AND 1, 2 AND 3.
#[test]
fn mand_pairs_its_first_half_with_its_second() {
    let text = "1 6\n1 4\n1 2\n4 2 0 2 1 3 4 5 MAND\n";
    for x in 0..16_u8 {
        let expected = (x & x >> 1 & 1) | (x >> 2 & x >> 3 & 1) << 1;
        assert_eq!(outputs(text, &[&format!("{x:x}")]), [format!("{expected:x}")]);
    }
    let counts = Circuit::parse(text).unwrap().counts();
    assert_eq!((counts.and, counts.and_depth), (2, 1));
    assert_eq!(outputs("1 3\n1 2\n1 1\n2 1 0 1 2 MAND", &["3"]), ["1"]);
}

#[test]
fn layout_may_vary() {
    for text in [
        "1 3\r\n2 1 1\r\n1 1\r\n\r\n2 1 0 1 2 AND\r\n",
        "\n\n1 3\n\n2 1 1\n\n1 1\n2 1 0 1 2 AND",
        "1\t3 \n2  1 1\t\n 1 1 \n\t\n  2 1\t0 1 2\tAND  \n\n \n",
        "01 003\n2 1 1\n1 1\n2 1 0 1 2 AND\n",
    ] {
        assert_eq!(Circuit::parse(text).unwrap(), Circuit::parse(ONE_AND).unwrap(), "{text:?}");
    }
}

#[test]
fn ports_may_be_many_empty_or_pass_through() {
    assert_eq!(outputs("0 4\n1 4\n1 4\n", &["a"]), ["a"]);
    assert_eq!(outputs("0 4\n2 1 3\n2 2 1\n", &["0", "6"]), ["2", "1"]);
    assert_eq!(outputs("0 3\n2 0 3\n0\n", &["0", "5"]), Vec::<String>::new());
    assert_eq!(outputs("1 1\n0\n1 1\n1 1 1 0 EQ\n", &[]), ["1"]);
    // The last input and the only gate.
    assert_eq!(outputs("1 3\n1 2\n1 2\n2 1 0 1 2 XOR\n", &["2"]), ["3"]);
    assert_eq!(outputs("0 0\n0\n0\n", &[]), Vec::<String>::new());
}

#[test]
fn wires_may_be_skipped_and_assigned_in_any_order() {
    let text = "3 90\n1 2\n1 2\n2 1 0 1 80 XOR\n2 1 80 1 89 AND\n1 1 89 88 INV\n";
    for (x, y) in [("0", "1"), ("1", "1"), ("2", "2"), ("3", "1")] {
        assert_eq!(outputs(text, &[x]), [y], "inputs {x}");
    }
    let circuit = Circuit::parse(text).unwrap();
    assert_eq!(circuit.wires(), 5);
    assert_eq!(circuit.to_bristol(Form::Basic), "3 5\n1 2\n1 2\n\n2 1 0 1 2 XOR\n2 1 2 1 4 AND\n1 1 4 3 INV\n");
    // The first skipped wire may be number 0.
    assert_eq!(outputs("2 3\n0\n1 1\n1 1 0 1 EQ\n1 1 1 2 INV\n", &[]), ["1"]);
}

#[test]
fn every_malformation_has_its_line() {
    let head = |body: &str| format!("2 4\n1 2\n1 1\n\n{body}");
    let first = |gate: &str| head(&format!("{gate}\n2 1 0 1 3 AND\n"));
    let second = |gate: &str| head(&format!("2 1 0 1 2 XOR\n{gate}\n"));
    let cases = [
        // Header.
        (String::new(), 1, Fault::HeaderTruncated("first line")),
        ("\n\n".into(), 3, Fault::HeaderTruncated("first line")),
        ("1 3\n".into(), 2, Fault::HeaderTruncated("second line, the input ports")),
        ("1 3\n2 1 1\n".into(), 3, Fault::HeaderTruncated("third line, the output ports")),
        ("1\n1 2\n1 1\n".into(), 1, Fault::HeaderFields { got: 1 }),
        ("1 3 4\n1 2\n1 1\n".into(), 1, Fault::HeaderFields { got: 3 }),
        ("one 3\n1 2\n1 1\n".into(), 1, Fault::NotANumber("one".into())),
        ("1 -3\n1 2\n1 1\n".into(), 1, Fault::NotANumber("-3".into())),
        ("1 3.0\n1 2\n1 1\n".into(), 1, Fault::NotANumber("3.0".into())),
        ("1 4294967296\n1 2\n1 1\n".into(), 1, Fault::NumberTooLarge("4294967296".into())),
        ("1 33554433\n1 2\n1 1\n".into(), 1, Fault::TooManyWires { declared: 33_554_433, limit: 33_554_432 }),
        ("16777217 3\n1 2\n1 1\n".into(), 1, Fault::TooManyGates { declared: 16_777_217, limit: 16_777_216 }),
        ("1 3\n2 1\n1 1\n".into(), 2, Fault::PortCount { side: Side::Input, declared: 2, got: 1 }),
        ("1 3\n1 1 1\n1 1\n".into(), 2, Fault::PortCount { side: Side::Input, declared: 1, got: 2 }),
        ("1 3\n1 2\n2 1\n".into(), 3, Fault::PortCount { side: Side::Output, declared: 2, got: 1 }),
        ("1 3\n1 4\n1 1\n".into(), 2, Fault::PortsExceedWires { side: Side::Input, ports: 4, wires: 3 }),
        (
            "1 3\n2 4294967295 4294967295\n1 1\n".into(),
            2,
            Fault::PortsExceedWires { side: Side::Input, ports: 8_589_934_590, wires: 3 },
        ),
        ("1 3\n1 2\n1 4\n".into(), 3, Fault::PortsExceedWires { side: Side::Output, ports: 4, wires: 3 }),
        ("1 3\n1 2\nx\n".into(), 3, Fault::NotANumber("x".into())),
        // The older format, whose second line sometimes looks like one of this format.
        ("1 3\n128 128 128\n\n2 1 0 1 2 AND\n".into(), 2, Fault::OldFormat),
        ("1 3\n2 1 1\n\n2 1 0 1 2 AND\n".into(), 2, Fault::OldFormat),
        // Fields of a gate.
        (first("2 1 0 1 2"), 5, Fault::GateNameMissing),
        (first("2 1 0 1 2 OR"), 5, Fault::UnknownGate("OR".into())),
        (first("2 1 0 1 2 xor"), 5, Fault::UnknownGate("xor".into())),
        (first("2 1 0 1 2 XOR 7"), 5, Fault::TrailingText("7".into())),
        (first("2 1 0 1 2 XOR AND"), 5, Fault::TrailingText("AND".into())),
        (first("2 1 0 1 2;XOR"), 5, Fault::NotANumber("2;XOR".into())),
        (first("2 1 0 \u{1f3f3} 2 XOR"), 5, Fault::NotANumber("\\xf0\\x9f\\x8f\\xb3".into())),
        (
            first("2 1 0 99999999999999999999999999 2 XOR"),
            5,
            Fault::NumberTooLarge("999999999999999999999999...".into()),
        ),
        (first("XOR"), 5, Fault::GateTruncated { got: 0 }),
        (first("2 XOR"), 5, Fault::GateTruncated { got: 1 }),
        (first("2 1 0 2 XOR"), 5, Fault::WireCount { declared: 3, got: 2 }),
        (first("2 1 0 1 1 2 XOR"), 5, Fault::WireCount { declared: 3, got: 4 }),
        (first("1 1 0 2 XOR"), 5, arity("XOR", 1, 1, "2 inputs and 1 output")),
        (first("2 1 0 1 2 INV"), 5, arity("INV", 2, 1, "1 input and 1 output")),
        (first("3 1 0 1 0 2 MAND"), 5, arity("MAND", 3, 1, "2k inputs and k outputs, k at least 1")),
        (first("0 0 MAND"), 5, arity("MAND", 0, 0, "2k inputs and k outputs, k at least 1")),
        (first("0 2147483648 MAND"), 5, arity("MAND", 0, 1 << 31, "2k inputs and k outputs, k at least 1")),
        (first("4294967294 2147483647 MAND"), 5, Fault::WireCount { declared: 6_442_450_941, got: 0 }),
        // Wires.
        (first("2 1 0 4 2 XOR"), 5, Fault::WireOutOfRange { wire: 4, wires: 4 }),
        (first("2 1 0 1 4 XOR"), 5, Fault::WireOutOfRange { wire: 4, wires: 4 }),
        (first("2 1 0 3 2 XOR"), 5, Fault::UsedBeforeAssigned { wire: 3 }),
        (first("2 1 0 2 2 XOR"), 5, Fault::UsedBeforeAssigned { wire: 2 }),
        (first("1 1 3 2 EQW"), 5, Fault::UsedBeforeAssigned { wire: 3 }),
        (first("4 2 0 1 2 1 2 3 MAND"), 5, Fault::UsedBeforeAssigned { wire: 2 }),
        (first("2 1 0 0 1 XOR"), 5, Fault::InputAssigned { wire: 1, inputs: 2 }),
        (first("4 2 0 1 0 1 2 2 MAND"), 5, Fault::AssignedTwice { wire: 2 }),
        (second("2 1 0 1 2 AND"), 6, Fault::AssignedTwice { wire: 2 }),
        (first("1 1 2 2 EQ"), 5, Fault::NotABit(2)),
        (first("2 1 0 1 2 XOR\n1 1 0 3 EQ"), 7, Fault::ExtraGate { declared: 2 }),
        // The end of the file.
        (head("2 1 0 1 2 XOR\n"), 6, Fault::GatesMissing { declared: 2, got: 1 }),
        (head("2 1 0 1 2 XOR\n2 1 0"), 6, Fault::GateNameMissing),
        ("1 4\n1 2\n1 1\n2 1 0 1 2 XOR\n".into(), 5, Fault::OutputUnassigned { wire: 3, outputs: 1 }),
        ("0 3\n1 1\n1 2\n".into(), 4, Fault::OutputUnassigned { wire: 1, outputs: 2 }),
    ];
    for (text, line, expected) in cases {
        assert_eq!(fault(&text), (line, expected), "{text:?}");
    }
}

fn arity(gate: &'static str, inputs: u32, outputs: u32, shape: &'static str) -> Fault {
    Fault::WrongArity { gate, inputs, outputs, shape }
}

#[test]
fn errors_name_the_line_and_the_remedy() {
    let text = Circuit::parse("1 3\n1 2\n1 1\n2 1 0 1 2 OR\n").unwrap_err().to_string();
    assert_eq!(text, "line 4: unknown gate 'OR'; the format has XOR, AND, INV, NOT, EQ, EQW and MAND, in capitals");
}

#[test]
fn limits_hold() {
    let read = |text: &str, limits| Circuit::read(text.as_bytes(), &limits).map_err(|e| (e.line, e.fault));
    let limits = Limits { max_gates: 1, max_wires: 3, max_bytes: ONE_AND.len() as u64 };
    assert!(read(ONE_AND, limits).is_ok());
    let bytes = Limits { max_bytes: limits.max_bytes - 1, ..limits };
    assert_eq!(read(ONE_AND, bytes), Err((5, Fault::TooManyBytes { limit: bytes.max_bytes })));
    assert_eq!(
        read(ONE_AND, Limits { max_wires: 2, ..limits }),
        Err((1, Fault::TooManyWires { declared: 3, limit: 2 }))
    );
    let all = Limits { max_wires: u32::MAX, ..limits };
    let most = u32::MAX - 2;
    let declared = u64::from(most) + 1;
    assert_eq!(read(&format!("1 {declared}\n"), all), Err((1, Fault::TooManyWires { declared, limit: most })));
    // One line of a file may hold many gates.
    let mand = "1 6\n1 4\n1 2\n4 2 0 2 1 3 4 5 MAND\n";
    let limits = Limits { max_gates: 1, ..Limits::default() };
    assert_eq!(read(mand, limits), Err((4, Fault::TooManyGates { declared: 2, limit: 1 })));
}

#[test]
fn a_failing_reader_is_an_error() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }
    let error = Circuit::read(std::io::BufReader::new(Broken), &Limits::default()).unwrap_err();
    assert_eq!(error, ParseError { line: 1, fault: Fault::Unreadable("gone".into()) });
}

/// One change to a text: a byte, a field or a line of it.
#[derive(Clone, Debug)]
enum Edit {
    Byte(prop::sample::Index, u8),
    Insert(prop::sample::Index, String),
    Remove(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
    Truncate(prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let field = prop_oneof![
        (0..20_u64).prop_map(|n| format!(" {n} ")),
        any::<u64>().prop_map(|n| format!(" {n} ")),
        prop::sample::select(vec![
            "XOR", " AND", "\n", "\r\n", " MAND\n", " EQ\n", "EQW", "1 1 ", "#", "\t", "\0", "-"
        ])
        .prop_map(String::from),
    ];
    prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        (any::<prop::sample::Index>(), field).prop_map(|(at, text)| Edit::Insert(at, text)),
        any::<prop::sample::Index>().prop_map(Edit::Remove),
        (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        any::<prop::sample::Index>().prop_map(Edit::Truncate),
    ]
}

fn apply(text: &mut Vec<u8>, edit: &Edit) {
    match edit {
        Edit::Byte(at, byte) if !text.is_empty() => {
            let at = at.index(text.len());
            text[at] = *byte;
        }
        Edit::Insert(at, field) => {
            let at = at.index(text.len() + 1);
            text.splice(at..at, field.bytes());
        }
        Edit::Remove(line) => {
            let mut lines: Vec<&[u8]> = text.split_inclusive(|&b| b == b'\n').collect();
            if !lines.is_empty() {
                lines.remove(line.index(lines.len()));
            }
            *text = lines.concat();
        }
        Edit::Repeat(from, to) => {
            let mut lines: Vec<&[u8]> = text.split_inclusive(|&b| b == b'\n').collect();
            if !lines.is_empty() {
                lines.insert(to.index(lines.len() + 1), lines[from.index(lines.len())]);
            }
            *text = lines.concat();
        }
        Edit::Truncate(at) => text.truncate(at.index(text.len() + 1)),
        Edit::Byte(..) => {}
    }
}

proptest! {
    #[test]
    fn mutated_files_are_read_or_refused_but_never_panic(
        circuit in random::circuit(),
        extended in any::<bool>(),
        edits in prop::collection::vec(edit(), 1..6),
    ) {
        let form = if extended { Form::Extended } else { Form::Basic };
        let mut text = circuit.to_bristol(form).into_bytes();
        for edit in &edits {
            apply(&mut text, edit);
        }
        let limits = Limits { max_gates: 1000, max_wires: 10_000, max_bytes: 1 << 20 };
        match Circuit::read(&text[..], &limits) {
            Ok(read) => {
                // Whatever is accepted is a circuit: it evaluates, and survives a round trip.
                let inputs = vec![0x5555_5555_5555_5555; read.input_wires().len()];
                let outputs = read.evaluate_plain_sliced(&inputs).unwrap();
                let again = Circuit::parse(read.to_bristol(Form::Basic)).unwrap();
                prop_assert_eq!(&again, &read);
                prop_assert_eq!(again.evaluate_plain_sliced(&inputs).unwrap(), outputs);
            }
            Err(error) => {
                let lines = text.split(|&b| b == b'\n').count() as u64;
                prop_assert!((1..=lines + 1).contains(&error.line), "{} of {} lines", error, lines);
                prop_assert!(error.to_string().is_ascii());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let limits = Limits { max_gates: 1000, max_wires: 10_000, max_bytes: 150 };
        if text.len() > 150 {
            prop_assert!(Circuit::read(&text[..], &limits).is_err());
        } else {
            let _ = Circuit::read(&text[..], &limits);
        }
    }

    #[test]
    fn built_circuits_survive_the_round_trip(circuit in random::circuit(), words in prop::collection::vec(any::<u64>(), 12)) {
        let inputs = &words[..circuit.input_wires().len()];
        let expected = circuit.evaluate_plain_sliced(inputs).unwrap();
        prop_assert_eq!(&Circuit::parse(circuit.to_bristol(Form::Basic)).unwrap(), &circuit);
        let extended = Circuit::parse(circuit.to_bristol(Form::Extended)).unwrap();
        prop_assert_eq!(extended.counts(), circuit.counts());
        prop_assert_eq!(extended.evaluate_plain_sliced(inputs).unwrap(), expected);
    }

    #[test]
    fn sliced_evaluation_agrees_with_the_bitwise_one(circuit in random::circuit(), words in prop::collection::vec(any::<u64>(), 12)) {
        let inputs = &words[..circuit.input_wires().len()];
        let sliced = circuit.evaluate_plain_sliced(inputs).unwrap();
        for k in 0..64 {
            let bit = |words: &[u64]| words.iter().map(|w| w >> k & 1 == 1).collect::<Vec<_>>();
            let ports = random::ports(&circuit, &bit(inputs));
            let outputs: Vec<bool> = circuit.evaluate_plain(&ports).unwrap().iter().flat_map(|v| v.bits().to_vec()).collect();
            prop_assert_eq!(outputs, bit(&sliced));
        }
    }
}
