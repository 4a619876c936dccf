//! Random circuits, for property tests.

use proptest::prelude::*;
use trefoil_circuits::bristol::{Builder, Circuit, PortValue, Signal};

/// Any circuit of a few ports and gates of every kind, in any shape: deep, wide, with dead gates and repeated outputs.
pub fn circuit() -> impl Strategy<Value = Circuit> {
    let ports = prop::collection::vec(0..5_u32, 0..3);
    let gates = prop::collection::vec((0..5_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..80);
    let outputs = prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 0..4);
    (ports, gates, outputs).prop_map(|(ports, gates, outputs)| {
        let mut builder = Builder::default();
        let mut signals: Vec<Signal> = ports.iter().flat_map(|&width| builder.input(width)).collect();
        for (kind, a, b) in gates {
            let pick = |index: prop::sample::Index| signals[index.index(signals.len())];
            signals.push(match kind {
                _ if signals.is_empty() => builder.constant(a.index(2) == 1),
                0 => builder.xor(pick(a), pick(b)),
                1 | 2 => builder.and(pick(a), pick(b)),
                3 => builder.not(pick(a)),
                _ => builder.constant(a.index(2) == 1),
            });
        }
        for port in outputs {
            if !signals.is_empty() {
                let bits: Vec<Signal> = port.iter().map(|index| signals[index.index(signals.len())]).collect();
                builder.output(&bits);
            }
        }
        builder.finish().unwrap()
    })
}

/// Input wires cut into ports.
pub fn ports(circuit: &Circuit, bits: &[bool]) -> Vec<PortValue> {
    let mut rest = bits;
    let ports = circuit.inputs().iter().map(|&width| {
        let (port, behind) = rest.split_at(width as usize);
        rest = behind;
        PortValue::from_bits(port.to_vec())
    });
    ports.collect()
}
