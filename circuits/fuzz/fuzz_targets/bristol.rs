//! Any bytes are a circuit or an error; a circuit can be evaluated, arranged and written, and reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_circuits::bristol::{Circuit, Form, Limits, Packing, Schedule};

const LIMITS: Limits = Limits { max_gates: 5000, max_wires: 100_000, max_bytes: 1 << 16 };

fuzz_target!(|text: &[u8]| {
    let circuit = match Circuit::read(text, &LIMITS) {
        Ok(circuit) => circuit,
        Err(error) => {
            assert!(error.line >= 1 && !error.to_string().is_empty());
            return;
        }
    };
    let inputs: Vec<u64> = (1..).map(|i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).take(circuit.input_wires().len()).collect();
    let outputs = circuit.evaluate_plain_sliced(&inputs).expect("the inputs have the shape of the circuit");

    let basic = Circuit::read(circuit.to_bristol(Form::Basic).as_bytes(), &Limits::default()).expect("own output is read");
    assert_eq!(basic, circuit);
    let extended =
        Circuit::read(circuit.to_bristol(Form::Extended).as_bytes(), &Limits::default()).expect("own output is read");
    assert_eq!(extended.counts(), circuit.counts());
    assert_eq!(extended.evaluate_plain_sliced(&inputs), Ok(outputs));

    let (schedule, counts) = (Schedule::new(&circuit), circuit.counts());
    assert!(schedule.rounds() <= counts.and_depth && schedule.ands() <= counts.and);
    assert!(schedule.slots() <= circuit.wires() as usize + 2);
    assert_eq!(schedule.cost(Packing::new(64)).bytes_sent, 8 * schedule.ands() as u64);
});
