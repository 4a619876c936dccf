//! `trefoil plan`: what a circuit or a job of credit analysis will cost, before anything is sent.

mod credit;

use super::{Exit, ModeArgs, Output, OutputArgs};
use crate::{Error, job::ModeSpec};
use clap::ValueEnum;
use credit::{CreditArgs, CreditProgram};
use serde::Serialize;
use std::{
    fmt::{self, Display, Write},
    fs::File,
    io::BufReader,
    time::Duration,
};
use trefoil_circuits::{
    bristol::{Circuit, Counts, Limits},
    plan::{Bandwidth, Network, Plan, Prediction, Rtt, Security},
};

const EXAMPLES: &str = "\
Programs:
  aes-128, aes-192, aes-256  counter mode under a shared key
  moments                    sums and sums of squares of columns
  credit-join                tables of the same customers side by side
  credit-train               training of a logistic regression
  credit-score               scores by a logistic regression
  credit-counts              good and bad customers between cut points of a score
  credit-auc                 the area under the ROC curve
  FILE                       a circuit in Bristol Fashion

Examples:
  trefoil plan aes-128 --instances 1000000 --rtt 0.2ms --bandwidth 10Gbit
  trefoil plan circuits/data/bristol/sha256.txt --instances 100 --json
  trefoil plan credit-train --rows 5400,5400,5400 --columns 26
  trefoil plan credit-score --rows 1000000 --columns 26 --tell decision --mode semi-honest
  trefoil plan credit-join --rows 1000,900 --columns 12,14

Rounds, gates and bytes are exact, in malicious mode with its checks. Memory and time are estimates, of nodes with one core each.

Jobs of credit analysis are run here on made-up customers, as many as are said, by all three parties in this process: it takes their computing time, and three times their memory. A training that stops early costs less. The bounds say how large
numbers can become where they are truncated or compared: none of them can overflow.";

/// Arguments of `trefoil plan`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PlanArgs {
    /// A program: the file of a circuit in Bristol Fashion, or a name that is listed below
    #[arg(value_name = "PROGRAM")]
    circuit: Option<String>,
    /// Instances evaluated together, or blocks of a cipher
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    instances: u32,
    /// Round-trip time between nodes, as in 40us or 1ms
    #[arg(long, default_value = "1ms", value_name = "TIME")]
    rtt: Rtt,
    /// What each node can send to its neighbour, as in 100Mbit or 10Gbit
    #[arg(long, default_value = "1Gbit", value_name = "RATE")]
    bandwidth: Bandwidth,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    credit: CreditArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Error::Usage`] for a circuit that is neither built in nor a valid file, or a job that nodes would refuse.
pub fn run(args: &PlanArgs) -> Result<Exit, Error> {
    let network = Network { rtt: args.rtt, bandwidth: args.bandwidth };
    let output: Output = args.output.resolve();
    let circuit = args
        .circuit
        .as_deref()
        .ok_or_else(|| Error::Usage(format!("say what to plan, as in `trefoil plan aes-128`: {}", programs())))?;
    if let Ok(program) = CreditProgram::from_str(circuit, false) {
        credit::run(program, &args.credit, (args.mode.mode, &network), output)?;
        return Ok(Exit::Ok);
    }
    if args.credit.given() {
        return Err(Error::Usage(format!(
            "{circuit}: rows, columns and what else belongs to credit analysis are for its programs; a circuit takes --instances"
        )));
    }
    let mode = args.mode.mode;
    let security = match mode {
        ModeSpec::SemiHonest => Security::SemiHonest,
        ModeSpec::Malicious => Security::Malicious,
    };
    let plan = match Plan::built_in(circuit, args.instances, security) {
        Some(plan) => plan,
        None => Plan::of_circuit(&read(circuit)?, args.instances, security),
    };
    let row = Row::new(circuit, mode, &plan, &network);
    output.print(&row, Table { plan: &plan, network: &network, circuit, mode })?;
    Ok(Exit::Ok)
}

/// What can be planned.
fn programs() -> String {
    let credit = CreditProgram::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let credit: Vec<String> = credit.map(|value| value.get_name().to_owned()).collect();
    let known = Plan::BUILT_IN.join(", ");
    format!("one of {known}, {}, or the file of a circuit in Bristol Fashion", credit.join(", "))
}

fn read(name: &str) -> Result<Circuit, Error> {
    let file = File::open(name).map_err(|e| Error::Usage(format!("{name}: {e}; give {}", programs())))?;
    Circuit::read(BufReader::new(file), &Limits::default()).map_err(|e| Error::Usage(format!("{name}: {e}")))
}

/// The JSON form. Bytes and bits are those of one party, times are in seconds.
#[derive(Serialize)]
struct Row<'a> {
    circuit: &'a str,
    mode: ModeSpec,
    instances: u64,
    ands: u64,
    depth: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gates: Option<Gates>,
    rounds: u64,
    bits_sent: u64,
    bytes_sent: u64,
    bits_per_instance: f64,
    input_bytes: u64,
    output_bytes: u64,
    memory_bytes: u64,
    batches: usize,
    strands: usize,
    rtt: f64,
    bandwidth: f64,
    predicted: Times,
}

#[derive(Serialize)]
struct Gates {
    and: usize,
    xor: usize,
    not: usize,
    copy: usize,
    constant: usize,
}

#[derive(Serialize)]
struct Times {
    latency: f64,
    transfer: f64,
    compute: f64,
    total: f64,
}

impl<'a> Row<'a> {
    fn new(circuit: &'a str, mode: ModeSpec, plan: &Plan, network: &Network) -> Self {
        let Prediction { latency, transfer, compute, total } = plan.predict(network);
        let gates =
            plan.gates.map(|Counts { and, xor, not, copy, constant, .. }| Gates { and, xor, not, copy, constant });
        Self {
            circuit,
            mode,
            instances: plan.instances,
            ands: plan.ands,
            depth: plan.depth,
            gates,
            rounds: plan.cost.rounds,
            bits_sent: 8 * plan.cost.bytes_sent,
            bytes_sent: plan.cost.bytes_sent,
            bits_per_instance: plan.bits_per_instance(),
            input_bytes: plan.input_bytes,
            output_bytes: plan.output_bytes,
            memory_bytes: plan.memory,
            batches: plan.batches.0,
            strands: plan.batches.1,
            rtt: network.rtt.0.as_secs_f64(),
            bandwidth: network.bandwidth.0,
            predicted: Times {
                latency: latency.as_secs_f64(),
                transfer: transfer.as_secs_f64(),
                compute: compute.as_secs_f64(),
                total: total.as_secs_f64(),
            },
        }
    }
}

/// The form for people.
struct Table<'a> {
    plan: &'a Plan,
    network: &'a Network,
    circuit: &'a str,
    mode: ModeSpec,
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, network, circuit, mode } = self;
        write!(f, "circuit    {circuit}")?;
        if let Some(g) = plan.gates {
            let (and, xor, not) = (grouped(g.and as u64), grouped(g.xor as u64), grouped(g.not as u64));
            write!(f, ", {and} AND, {xor} XOR, {not} NOT")?;
        }
        let batches = match plan.batches {
            (0 | 1, _) => "one batch".to_owned(),
            (batches, strands) => format!("{} batches, {strands} at a time", grouped(batches as u64)),
        };
        let sent = plan.cost.bytes_sent;
        let times = plan.predict(network);
        write!(
            f,
            "\nmode       {mode}\
             \ninstances  {} in {}\
             \nANDs       {} an instance, depth {}\
             \nrounds     {}\
             \nsent       {} bytes by each party, {} bits an instance; {} bytes in all\
             \nclient     {} bytes to each party, {} bytes from each\
             \nmemory     {} a party\
             \ntime       {}: latency {}, sending {}, computing {}; {} round trip, {}/s",
            grouped(plan.instances),
            batches,
            grouped(plan.ands),
            grouped(plan.depth),
            grouped(plan.cost.rounds),
            grouped(sent),
            grouped((8 * sent).div_ceil(plan.instances.max(1))),
            grouped(3 * sent),
            grouped(plan.input_bytes),
            grouped(plan.output_bytes),
            size(plan.memory),
            short(times.total),
            short(times.latency),
            short(times.transfer),
            short(times.compute),
            network.rtt,
            network.bandwidth,
        )
    }
}

/// A number with its thousands set apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit that leaves a whole part, three digits or so.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = if unit == "B" || value >= 100.0 {
        write!(text, "{value:.0} {unit}")
    } else {
        write!(text, "{value:.1} {unit}")
    };
    text
}

/// A time to three digits or so: `1.25s`, `31.2ms`.
fn short(time: Duration) -> String {
    let digits = if time.as_secs() >= 100 { 0 } else { 2 };
    format!("{time:.digits$?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1023, 1536, 5 << 30].map(size), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
        assert_eq!(short(Duration::from_micros(31_234)), "31.23ms");
    }

    #[test]
    fn what_is_no_circuit_is_a_usage_error_that_names_the_file() {
        let error = read("no-such-circuit").unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.to_string().contains("aes-128, aes-192, aes-256, moments, credit-join"), "{error}");
        for name in programs().trim_start_matches("one of ").split(", ").take(9) {
            assert!(EXAMPLES.contains(name), "{name} is not in the help");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "1 3\n2 1 1\n1 1\n2 1 0 1 2 NAND\n").unwrap();
        let text = read(file.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(text.contains("line 4: unknown gate 'NAND'"), "{text}");
    }
}
