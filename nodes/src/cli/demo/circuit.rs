//! The circuit job: additions of secret numbers with a circuit from a file.

use super::Row;
use crate::{
    Error,
    client::{Client, Plain},
    job::{CircuitSpec, JobSpec, ModeSpec, ProgramSpec, Sha256Hex},
};
use bytes::Bytes;
use std::{num::NonZeroU32, time::Instant};
use trefoil_circuits::bristol::{BitOrder, Circuit, Packing};

/// The adder that is distributed with the format.
const ADDER: &[u8] = include_bytes!("../../../../circuits/data/bristol/adder64.txt");

/// Additions at the same time.
const ADDITIONS: NonZeroU32 = NonZeroU32::new(10_000).unwrap();

/// Adds pairs of random numbers and compares the sums.
pub(super) async fn run(client: &Client, mode: ModeSpec) -> Result<Row, Error> {
    let bug = |e: &dyn std::fmt::Display| Error::Bug(format!("the built-in adder: {e}"));
    let circuit = Circuit::parse(ADDER).map_err(|e| bug(&e))?;
    let spec = CircuitSpec {
        sha256: Sha256Hex::of(ADDER),
        bytes: ADDER.len() as u64,
        input_wires: circuit.input_wires().len() as u32,
        output_wires: circuit.output_wires().len() as u32,
        instances: ADDITIONS,
    };
    let packing: Packing = spec.packing();
    let spec = JobSpec::new(ProgramSpec::Circuit(spec), mode);
    let mut pairs = Vec::with_capacity(packing.instances());
    for _ in 0..packing.instances() {
        pairs.push((random()?, random()?));
    }
    let port = |value: u64| format!("{value:x}");
    let inputs = pairs.iter().map(|&(x, y)| circuit.input_values(&[port(x), port(y)], BitOrder::Lsb));
    let inputs = inputs.collect::<Result<Vec<_>, _>>().map_err(|e| bug(&e))?;
    let words = packing.pack_inputs(&circuit, &inputs).map_err(|e| bug(&e))?;

    let start = Instant::now();
    let outcome = client.run(&spec, Bytes::from_static(ADDER), &[Plain::Bits(&words)]).await?;
    let seconds = start.elapsed().as_secs_f64();

    let sums = packing.unpack_outputs(&circuit, outcome.bits(0)?).map_err(|e| bug(&e))?;
    let right = sums.iter().zip(&pairs).filter(|(sum, (x, y))| {
        let expected = format!("{:016x}", x.wrapping_add(*y));
        sum.iter().map(|port| port.to_hex(BitOrder::Lsb)).eq([expected])
    });
    let checks = [("every_sum_is_right", right.count() == pairs.len() && sums.len() == pairs.len())];
    Ok(Row {
        mode,
        seconds,
        rounds: outcome.costs[0].rounds,
        bytes_sent: outcome.costs.iter().map(|cost| cost.bytes_sent).sum(),
        ..Row::new("circuit", (pairs.len() as u64, "64-bit additions"), &checks)
    })
}

fn random() -> Result<u64, Error> {
    getrandom::u64().map_err(|e| trefoil_engine::Error::Entropy(e.to_string()).into())
}
