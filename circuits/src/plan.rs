//! What a computation will cost, before anything runs.
//!
//! Rounds, bits and gates are exact; memory and time are estimates.
//!
//! ```
//! use trefoil_circuits::{bristol::Circuit, plan::{Network, Plan, Security}};
//!
//! let circuit = Circuit::parse("1 3\n2 1 1\n1 1\n2 1 0 1 2 AND\n").unwrap();
//! let plan = Plan::of_circuit(&circuit, 1000, Security::SemiHonest);
//! assert_eq!((plan.cost.rounds, plan.cost.bytes_sent), (1, 128));
//! let network = Network { rtt: "10ms".parse().unwrap(), bandwidth: "1Gbit".parse().unwrap() };
//! assert!(plan.predict(&network).latency.as_millis() >= 5);
//! ```

mod check;

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use check::{Gate, Record};
use trefoil_engine::{CHECK_EVERY, Cost, Lanes};

use crate::{
    aes::{KeySize, SboxForm},
    bristol::{Circuit, Counts, Evaluation, Packing, Schedule},
    program::{AesCtr, Program, Shape, Tiling},
};

/// The price of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Instances, or blocks of a cipher.
    pub instances: u64,
    /// Bits reshared for one instance: its ANDs, or what its quadratic gates put out. Without the key expansion of a cipher,
    /// which is done once.
    pub ands: u64,
    /// Rounds of one instance.
    pub depth: u64,
    /// The gates of the file, if it is one. ANDs that no output depends on are counted here but not sent.
    pub gates: Option<Counts>,
    /// Rounds of the whole job, and what each party sends. Exact.
    pub cost: Cost,
    /// Batches, and how many of them are under way at a time.
    pub batches: (usize, usize),
    /// Bytes a client sends to each party.
    pub input_bytes: u64,
    /// Bytes a client fetches from each party.
    pub output_bytes: u64,
    /// Bytes each party holds at the peak. An estimate.
    pub memory: u64,
    /// Time each party computes on one core, the handling of its messages included. An estimate.
    pub compute: Duration,
}

/// Against whom a job is secure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Security {
    /// One party that follows the protocol.
    SemiHonest,
    /// One party that deviates in any way.
    Malicious,
}

/// The links between the parties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// Round-trip time between any two.
    pub rtt: Rtt,
    /// Bits a second from each party to its neighbour.
    pub bandwidth: Bandwidth,
}

/// A round-trip time, written as `40us`, `1ms`, `0.2s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rtt(pub Duration);

/// Bits a second, written as `1Gbit`, `100Mbit`, `1.5Gbit/s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandwidth(pub f64);

/// Where the time goes. Estimates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Waiting for messages: half a round trip a round, and the handling of a message.
    pub latency: Duration,
    /// Sending.
    pub transfer: Duration,
    /// Computing.
    pub compute: Duration,
    /// All of it, as far as strands in flight let waiting, sending and computing overlap.
    pub total: Duration,
}

// Times are calibrated against `trefoil bench` with all three parties on two cores of an AMD EPYC (Zen 4 class), so that a party has
// two thirds of a core: one AND round 49 us (idle; 28 us where the cores never sleep), one block of AES 2.2 ms in 40 rounds,
// 18.4 Gbit/s around the ring, 2.25 million blocks of AES a second over memory. They predict 1.1 million over QUIC, where
// 1.2 to 1.3 million were measured.

/// A message through the transport and the waking of who waits for it, beyond what the network takes.
const MESSAGE: Duration = Duration::from_micros(45);
/// Sealing, sending, receiving and opening a byte.
const BYTE_NS: f64 = 0.9;
/// One local step of a circuit on one party: of any width, and for each word of it.
const STEP_NS: f64 = 10.0;
const STEP_WORD_NS: f64 = 2.0;
/// Recording and checking a byte of the record. AES records 1,360 bytes a block: malicious mode takes 0.95 ns longer for each over memory (655,000
/// blocks a second against 4.4 million), and 1.4 ns over QUIC (359,000 against 1.12 million).
const CHECK_BYTE_NS: f64 = 1.2;
/// AES, for each word reshared, linear layers included.
const AES_WORD_NS: f64 = 7.0;
/// Bytes of an AES batch for each 64 blocks, and of its round keys.
const AES_WORD_BYTES: u64 = 800 * 16;
const AES_KEY_BYTES: u64 = 64 << 10;

impl Plan {
    /// Names that [`built_in`](Self::built_in) knows.
    pub const BUILT_IN: [&str; 3] = ["aes-128", "aes-192", "aes-256"];

    /// The plan of a circuit of this crate, by name: blocks of AES in counter mode, the expansion of the shared key included.
    pub fn built_in(name: &str, instances: u32, security: Security) -> Option<Self> {
        let bits = name.strip_prefix("aes-")?.parse().ok()?;
        let size = KeySize::from_bits(bits)?;
        let (form, tiling) = (SboxForm::default(), Tiling::default());
        let program = AesCtr { size, counter: 0, blocks: instances as usize, form, tiling };
        let plan = Self::of_aes(&program);
        Some(match security {
            Security::SemiHonest => plan,
            Security::Malicious => plan.with(checks_of_aes(&program)),
        })
    }

    /// The plan of a circuit.
    pub fn of_circuit(circuit: &Circuit, instances: u32, security: Security) -> Self {
        let evaluation = Evaluation::new(Arc::new(Schedule::new(circuit)), Packing::new(instances));
        let plan = Self { gates: Some(circuit.counts()), ..Self::of_evaluation(&evaluation) };
        match security {
            Security::SemiHonest => plan,
            Security::Malicious => plan.with(checks_of_circuit(&evaluation)),
        }
    }

    /// The plan of the program that evaluates a circuit, in semi-honest mode.
    pub fn of_evaluation(evaluation: &Evaluation) -> Self {
        let (schedule, packing) = (evaluation.schedule(), evaluation.packing());
        let (input_bytes, output_bytes) = component_bytes(evaluation);
        let batches = evaluation.batches();
        let steps = schedule.steps_taken() as f64;
        let cost = evaluation.cost();
        let nanos = carried(cost) + steps * (STEP_NS * batches.0 as f64 + STEP_WORD_NS * packing.words(1) as f64);
        Self {
            instances: packing.instances() as u64,
            ands: schedule.ands() as u64,
            depth: schedule.rounds() as u64,
            gates: None,
            cost,
            batches,
            input_bytes,
            output_bytes,
            // A batch's outputs are kept until all are there.
            memory: evaluation.memory() + input_bytes + 2 * output_bytes,
            compute: seconds(nanos / 1e9),
        }
    }

    /// The plan of AES in counter mode, in semi-honest mode.
    pub fn of_aes(program: &AesCtr) -> Self {
        let (input_bytes, output_bytes) = component_bytes(program);
        let (bits, rounds) = (program.form.bits(), program.form.rounds());
        let batch = program.tiling.batch.clamp(1, program.blocks.max(1));
        let batches = program.blocks.div_ceil(batch);
        let strands = program.tiling.strands.clamp(1, batches.max(1));
        // 64 blocks take as many words as one.
        let (whole, rest) = (program.blocks / batch, program.blocks % batch);
        let words = (whole * Lanes::words(batch) + Lanes::words(rest)) as u64;

        let layers = key_layers(program.size);
        let depth = program.size.rounds() as u64 * rounds;
        let products = bits * (4 * layers + program.size.sboxes() * words);
        let rounds = rounds * layers + depth * batches.div_ceil(strands) as u64;
        let cost = Cost { rounds, bytes_sent: products * size_of::<Lanes>() as u64, products };
        Self {
            instances: program.blocks as u64,
            ands: bits * program.size.sboxes(),
            depth,
            gates: None,
            cost,
            batches: (batches, strands),
            input_bytes,
            output_bytes,
            memory: AES_KEY_BYTES
                + (strands * Lanes::words(batch)) as u64 * AES_WORD_BYTES
                + input_bytes
                + 2 * output_bytes,
            compute: seconds((carried(cost) + AES_WORD_NS * products as f64) / 1e9),
        }
    }

    /// With the checks of the malicious mode, which have recorded so many bytes.
    fn with(mut self, (checks, recorded): (Cost, u64)) -> Self {
        self.cost.rounds += checks.rounds;
        self.cost.bytes_sent += checks.bytes_sent;
        let nanos = CHECK_BYTE_NS * recorded as f64 + carried(checks);
        self.compute = self.compute.saturating_add(seconds(nanos / 1e9));
        // A batch of each strand, and while it is checked about three times as much.
        self.memory += 3 * recorded.min((self.batches.1.max(1) * CHECK_EVERY) as u64);
        self
    }

    /// Bits each party sends, divided among the instances.
    pub fn bits_per_instance(&self) -> f64 {
        8.0 * self.cost.bytes_sent as f64 / self.instances.max(1) as f64
    }

    /// How long the job takes over a network.
    pub fn predict(&self, network: &Network) -> Prediction {
        let rounds = self.cost.rounds as f64;
        let latency = seconds(rounds * (network.rtt.0 / 2 + MESSAGE).as_secs_f64());
        let transfer = seconds(8.0 * self.cost.bytes_sent as f64 / network.bandwidth.0);
        // A strand waits, sends and computes in turn. While it waits the others work, but they share the link and the core.
        let strand = latency.saturating_add(transfer.saturating_add(self.compute) / self.batches.1.max(1) as u32);
        let total = strand.max(transfer).max(self.compute);
        Prediction { latency, transfer, compute: self.compute, total }
    }
}

/// The checks of a circuit's ANDs. A batch is all ANDs of some words of every wire.
fn checks_of_circuit(evaluation: &Evaluation) -> (Cost, u64) {
    let schedule = evaluation.schedule();
    let batch = |record: &mut Record, packing: Packing| {
        for ands in schedule.ands_by_round() {
            record.gates(packing.words(ands));
        }
    };
    let and = Gate { wires: 2, products: 1, outputs: 1 };
    let mut root = Record::new(and);
    let Some(tiles) = evaluation.tiles() else {
        batch(&mut root, evaluation.packing());
        return root.end(Vec::new());
    };
    let of_strand = |tiles: Vec<Packing>| {
        let mut strand = Record::new(and);
        for packing in tiles {
            batch(&mut strand, packing);
        }
        strand
    };
    root.end(tiles.into_iter().map(of_strand).collect())
}

/// The checks of AES with S-boxes of 17 bits, each of which is recorded as one gate.
fn checks_of_aes(program: &AesCtr) -> (Cost, u64) {
    let sbox = Gate { wires: 17, products: 11, outputs: 17 };
    let mut root = Record::new(sbox);
    (0..key_layers(program.size)).for_each(|_| root.gates(4));
    let batch = program.tiling.batch.clamp(1, program.blocks.max(1));
    let batches: Vec<usize> = (0..program.blocks).step_by(batch).map(|from| batch.min(program.blocks - from)).collect();
    let strands = program.tiling.strands.clamp(1, batches.len().max(1));
    let strand = |first: usize| {
        let mut strand = Record::new(sbox);
        for blocks in batches.iter().skip(first).step_by(strands) {
            (0..program.size.rounds()).for_each(|_| strand.gates(16 * Lanes::words(*blocks)));
        }
        strand
    };
    root.end((0..strands).map(strand).collect())
}

/// Layers of S-boxes of a key expansion.
fn key_layers(size: KeySize) -> u64 {
    match size {
        KeySize::Aes128 => 10,
        KeySize::Aes192 => 8,
        KeySize::Aes256 => 13,
    }
}

/// Nanoseconds a core spends on what a job sends and receives, which is as much.
fn carried(cost: Cost) -> f64 {
    BYTE_NS * cost.bytes_sent as f64
}

/// Both components of a program's inputs and of its outputs.
fn component_bytes(program: &impl Program) -> (u64, u64) {
    let bytes = |shapes: Vec<Shape>| shapes.into_iter().map(|shape| 2 * shape.component_bytes() as u64).sum();
    (bytes(program.inputs()), bytes(program.outputs()))
}

/// Whatever is too long for a duration, or no number, is the longest there is.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// A quantity on the command line that is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QuantityError {
    /// No round-trip time.
    #[error("'{0}' is no round-trip time; write a number and ns, us, ms or s, as in 40us or 1ms")]
    Rtt(String),
    /// No bandwidth.
    #[error("'{0}' is no bandwidth; write a positive number and bit, kbit, Mbit or Gbit, as in 100Mbit or 1Gbit")]
    Bandwidth(String),
}

impl FromStr for Rtt {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let units = [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
        quantity(text, &units)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(Self)
            .ok_or_else(|| QuantityError::Rtt(text.into()))
    }
}

impl FromStr for Bandwidth {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let units = [("kbit", 1e3), ("Mbit", 1e6), ("Gbit", 1e9), ("bit", 1.0)];
        quantity(text.strip_suffix("/s").unwrap_or(text), &units)
            .filter(|&bits| bits > 0.0)
            .map(Self)
            .ok_or_else(|| QuantityError::Bandwidth(text.into()))
    }
}

fn quantity(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, scale) = units.iter().find_map(|&(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    // Signs, exponents, "inf" and "nan" are numbers to the parser but not to a reader of the command line.
    let number = number.trim_end();
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then(|| number.parse::<f64>().ok()).flatten().map(|n| n * scale).filter(|n| n.is_finite())
}

impl fmt::Display for Rtt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0;
        match bits {
            _ if bits >= 1e9 => write!(f, "{}Gbit", bits / 1e9),
            _ if bits >= 1e6 => write!(f, "{}Mbit", bits / 1e6),
            _ if bits >= 1e3 => write!(f, "{}kbit", bits / 1e3),
            _ => write!(f, "{bits}bit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Turns;
    use trefoil_engine::{Malicious, Mode, SemiHonest, client, testing};

    /// A real run, from the input as a client shares it on.
    fn run<M: Mode>(program: &impl Program) -> Cost {
        let words = vec![Lanes(0); program.inputs()[0].elements()];
        let shares = client::split(&words).unwrap().map(|share| {
            let [own, next] = share.as_bytes();
            (own.to_vec(), next.to_vec())
        });
        testing::three::<M, _, _>(async |mut ctx| {
            let (own, next) = &shares[ctx.me().index()];
            let input = ctx.input(client::InputShare::<Lanes>::from_bytes(words.len(), own, next)?).await?;
            Ok(program.run(ctx, input.into(), &Turns).await?.cost())
        })[0]
    }

    #[test]
    fn checks_cost_what_the_plan_says() {
        for (name, size) in [("aes-128", KeySize::Aes128), ("aes-192", KeySize::Aes192), ("aes-256", KeySize::Aes256)] {
            for blocks in [1, 70, 5000] {
                let (form, tiling) = (SboxForm::default(), Tiling::default());
                let program = AesCtr { size, counter: 0, blocks, form, tiling };
                let plan = Plan::built_in(name, blocks as u32, Security::Malicious).unwrap();
                assert_eq!(plan.cost, run::<Malicious>(&program), "{name}, {blocks} blocks");
            }
        }
        for text in [&b"1 3\n2 1 1\n1 1\n2 1 0 1 2 AND\n"[..], include_bytes!("../data/bristol/adder64.txt")] {
            let circuit = Circuit::read(text, &crate::bristol::Limits::default()).unwrap();
            // One check; several; and with several strands.
            for instances in [1, 64, 1000, 300_000] {
                let plan = Plan::of_circuit(&circuit, instances, Security::Malicious);
                let evaluation = Evaluation::new(Arc::new(Schedule::new(&circuit)), Packing::new(instances));
                assert_eq!(plan.cost, run::<Malicious>(&evaluation), "{instances} instances");
                let semi_honest = Plan::of_circuit(&circuit, instances, Security::SemiHonest);
                assert!(plan.memory > semi_honest.memory && plan.compute > semi_honest.compute);
            }
        }
    }

    fn measured(program: &impl Program) -> Cost {
        testing::three::<SemiHonest, _, _>(async |mut ctx| {
            let input = ctx.random::<Lanes>(program.inputs()[0].elements())?;
            Ok(program.run(ctx, input.into(), &Turns).await?.cost())
        })[0]
    }

    #[test]
    fn aes_costs_what_the_plan_says() {
        for size in KeySize::ALL {
            for form in SboxForm::ALL {
                for (blocks, batch, strands) in [(0, 64, 2), (1, 2048, 4), (65, 2048, 4), (300, 70, 3), (129, 43, 9)] {
                    let program = AesCtr { size, counter: 0, blocks, form, tiling: Tiling { batch, strands } };
                    let plan = Plan::of_aes(&program);
                    assert_eq!(plan.cost, measured(&program), "{program:?}");
                    assert_eq!(plan.instances, blocks as u64);
                }
            }
        }
        let plan = Plan::built_in("aes-128", 64, Security::SemiHonest).unwrap();
        assert_eq!((plan.ands, plan.depth), (2720, 40));
        assert!(
            Plan::built_in("aes-512", 1, Security::Malicious).is_none()
                && Plan::built_in("des", 1, Security::Malicious).is_none()
        );
        assert!(Plan::BUILT_IN.iter().all(|name| Plan::built_in(name, 1, Security::Malicious).is_some()));
    }

    #[test]
    fn circuits_cost_what_the_plan_says() {
        // The second AND has no effect.
        let circuit = Circuit::parse("3 6\n1 3\n1 1\n2 1 0 1 3 AND\n2 1 0 2 4 AND\n2 1 3 2 5 XOR\n").unwrap();
        for instances in [1, 63, 64, 1000] {
            let plan = Plan::of_circuit(&circuit, instances, Security::SemiHonest);
            let evaluation = Evaluation::new(Arc::new(Schedule::new(&circuit)), Packing::new(instances));
            assert_eq!(plan.cost, measured(&evaluation));
            assert_eq!((plan.ands, plan.depth, plan.gates.map(|g| g.and)), (1, 1, Some(2)));
        }
        assert_eq!(Plan::of_circuit(&circuit, 1000, Security::SemiHonest).input_bytes, 2 * 3 * 128);
    }

    #[test]
    fn predictions_add_up() {
        let plan = Plan::built_in("aes-128", 1, Security::SemiHonest).unwrap();
        let at = |rtt: &str, bandwidth: &str| {
            plan.predict(&Network { rtt: rtt.parse().unwrap(), bandwidth: bandwidth.parse().unwrap() })
        };
        let slow = at("100ms", "1kbit");
        assert_eq!(slow.latency, (Duration::from_millis(50) + MESSAGE) * plan.cost.rounds as u32);
        assert_eq!(slow.transfer.as_secs(), plan.cost.bytes_sent * 8 / 1000);
        assert_eq!(slow.total, slow.latency + slow.transfer + slow.compute);
        assert!(at("0ms", "10Gbit").total < slow.total);
        // Many strands hide all but the longest part, or their own chain of messages.
        let busy = Plan { batches: (100, 4), ..plan.clone() };
        let network = Network { rtt: Rtt(Duration::ZERO), bandwidth: Bandwidth(100.0) };
        assert_eq!(busy.predict(&network).total, busy.predict(&network).transfer);
    }

    #[test]
    fn quantities_are_read_and_checked() {
        assert_eq!("1ms".parse(), Ok(Rtt(Duration::from_millis(1))));
        assert_eq!("0.2s".parse(), Ok(Rtt(Duration::from_millis(200))));
        assert_eq!("40 us".parse(), Ok(Rtt(Duration::from_micros(40))));
        assert_eq!("1Gbit".parse(), Ok(Bandwidth(1e9)));
        assert_eq!("1.5Gbit/s".parse(), Ok(Bandwidth(1.5e9)));
        assert_eq!("100Mbit".parse::<Bandwidth>().unwrap().to_string(), "100Mbit");
        for text in ["", "1", "ms", "-1ms", "1h", "infs", "nans", "1e3ms", "1..2ms", "99999999999999999999999s"] {
            assert_eq!(text.parse::<Rtt>(), Err(QuantityError::Rtt(text.into())));
        }
        for text in ["", "0Gbit", "-1Gbit", "1GB", "Gbit", "NaNbit", "1Gbit/s/s"] {
            assert_eq!(text.parse::<Bandwidth>(), Err(QuantityError::Bandwidth(text.into())));
        }
    }
}
