//! `trefoil bench`: end-to-end measurements over three processes.

use super::{Exit, Output, OutputArgs, signals::Stop};
use crate::{
    Error,
    bench::{
        namespaces::{Namespaces, Unavailable},
        plot,
        row::Row,
        runner::{Bench, Carrier},
        scenario::{Comparison, Item, Scenario},
        service::{self, Service},
        worker,
    },
    config::NodeConfig,
    job::ModeSpec,
};
use std::{fs, io::Write as _, path::PathBuf};
use trefoil_circuits::{aes::SboxForm, credit::Score};
use trefoil_engine::CHECK_EVERY;

const EXAMPLES: &str = "\
Examples:
  trefoil bench ring
  trefoil bench aes --runs 10
  trefoil bench aes --sbox boyar-peralta --batch 4096 --strands 4 --json
  trefoil bench aes --link memory --mode malicious
  trefoil bench sweep --plot aes-batch.svg
  trefoil bench aes --network wan --scale 0.02 --runs 3      # as root
  trefoil bench score --scale 100            # a million applicants
  trefoil bench train --columns 100 --scale 10
  trefoil bench iris --templates 16384 --mode semi-honest
  trefoil bench identify --templates 100000 --mode semi-honest --runs 3
  trefoil bench login --mode semi-honest
  trefoil bench all --csv results.csv

Figures are medians over the runs, each run being as slow as its slowest party. All three parties share this machine.";

/// Arguments of `trefoil bench`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_enum)]
    scenario: Named,
    /// The security mode: semi-honest or malicious; both in turns unless told
    #[arg(long, value_enum)]
    mode: Vec<ModeSpec>,
    /// Measured runs; one more warms up. At most 25 of `login`: a user's logins are numbered by seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// How S-boxes are computed: tower17, tower18 or boyar-peralta
    #[arg(long, default_value = "tower17", value_parser = sbox)]
    sbox: SboxForm,
    /// Items of a batch: AES blocks (4096 unless told), multiplications (16384), comparisons (4096), applicants (10240), rows of a step of training (128), templates (512)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch: Option<u32>,
    /// Strands in flight
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    strands: u16,
    /// Worker threads of each party
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// In malicious mode, KiB of recorded gates after which a strand checks them
    #[arg(long, value_name = "KIB", default_value_t = (CHECK_EVERY >> 10) as u32, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    check_every: u32,
    /// Bytes of a frame of the ring scenario
    #[arg(long, default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=64 << 20))]
    frame: u32,
    /// Features of an applicant
    #[arg(long, default_value_t = 26, value_parser = clap::value_parser!(u16).range(1..=500))]
    columns: u16,
    /// Templates that an iris is compared with, in each mode: 8192 for `iris` and 10000 for `identify` unless told, a 32nd of that in malicious mode
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    templates: Option<u32>,
    /// Scales the work of each run; 1 takes about half a second, and is 10,000 applicants in `score` and `train`
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// What carries the messages
    #[arg(long, value_enum, default_value_t = Link::Quic)]
    link: Link,
    /// Run the three parties in network namespaces with the delay and rate of a profile: lan, metro or wan. Needs root and
    /// iproute2, and is skipped with a message without them
    #[arg(long, value_name = "PROFILE", conflicts_with = "link")]
    network: Option<String>,
    /// Also draw rate and latency against the batch as an SVG file, for `sweep`
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Also write the rows to this file as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// The scenarios by name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Named {
    /// Frames around the ring, nothing computed
    Ring,
    /// AND gates
    And,
    /// AES-128 blocks with expanded keys
    Aes,
    /// Multiplications of 64-bit integers
    Mul64,
    /// Comparisons of 64-bit integers
    Compare64,
    /// Probabilities of many applicants by a logistic model, features and model shared
    Score,
    /// The same for one applicant after the other
    ScoreOne,
    /// An epoch of training a logistic model
    Train,
    /// An iris against many templates: comparisons a second, each rotation counted
    Iris,
    /// The same: how long it takes to know whose iris it is
    Identify,
    /// Logins with an iris and a split signing key: the time of one, and how many a second of eight users
    Login,
    /// Signatures of the nodes alone: the time of one, and how many a second, eight at once
    RsaSign,
    /// One AES block, and one AND round, after the other
    Latency,
    /// All of these in turns
    All,
    /// AES over batches from 64 to 65,536 blocks
    Sweep,
}

/// What carries the messages.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Link {
    /// Three processes over mutually authenticated QUIC
    Quic,
    /// One process, memory only: the computation alone
    Memory,
}

fn sbox(name: &str) -> Result<SboxForm, String> {
    let found = SboxForm::ALL.into_iter().find(|f| f.name() == name);
    found.ok_or_else(|| format!("choose one of {}", SboxForm::ALL.map(SboxForm::name).join(", ")))
}

/// Runs the command.
///
/// # Errors
/// [`Error::Cluster`] if a party fails, [`Error::System`] if a process or a file is refused.
pub fn run(args: &BenchArgs) -> Result<Exit, Error> {
    let mut bench = args.resolve()?;
    let output = args.output.resolve();
    let runtime = bench.runtime()?;
    let rows = runtime.block_on(async {
        // Before anything is made, so that nothing is left behind.
        let mut stop = Stop::listen()?;
        if let Some(profile) = &args.network {
            bench.namespaces = Some(Namespaces::create(profile)?);
        }
        tokio::select! {
            biased;
            _ = stop.received() => Err(Unavailable::Failed(Error::Interrupted)),
            rows = args.measure(&bench) => Ok(rows?),
        }
    });
    // What still computes in memory has nothing to remove.
    runtime.shutdown_background();
    let rows = match rows {
        Ok(rows) => rows,
        Err(Unavailable::Failed(e)) => return Err(e),
        Err(Unavailable::Skipped(why)) => {
            // Not a failure: there is nothing to measure here.
            eprintln!("skipped: {why}");
            return Ok(Exit::Ok);
        }
    };
    if output == Output::Text {
        super::line(format_args!(
            "{:<9} {:<11} {:>14} {:>14} {:>14}  {:<13} parameters",
            "scenario", "mode", "median", "min", "max", "unit"
        ))?;
    }
    for row in &rows {
        output.print(row, text(row))?;
    }
    if let Some(path) = &args.plot {
        let failed = |e| Error::system(format!("draw {}", path.display()))(std::io::Error::other(e));
        plot::draw(&rows, path).map_err(failed)?;
    }
    if let Some(path) = &args.csv {
        let write = || {
            let mut file = fs::File::create(path)?;
            writeln!(file, "{}", Row::CSV_HEAD)?;
            rows.iter().try_for_each(|row| writeln!(file, "{}", row.csv()))
        };
        write().map_err(Error::system(format!("write {}", path.display())))?;
    }
    Ok(Exit::Ok)
}

fn text(row: &Row) -> String {
    let params: Vec<String> =
        row.params.iter().map(|(k, v)| format!("{k}={}", v.to_string().trim_matches('"'))).collect();
    format!(
        "{:<9} {:<11} {:>14} {:>14} {:>14}  {:<13} {} bytes_per_item={:.3} rounds={}",
        row.scenario,
        row.mode,
        number(row.median),
        number(row.min),
        number(row.max),
        row.unit,
        params.join(" "),
        row.bytes_per_item,
        row.rounds
    )
}

fn number(x: f64) -> String {
    if x >= 1e5 { format!("{x:.0}") } else { format!("{x:.3}") }
}

impl BenchArgs {
    fn modes(&self) -> &[ModeSpec] {
        if self.mode.is_empty() { &ModeSpec::ALL } else { &self.mode }
    }

    /// What is asked of nodes over HTTPS. In `all`, only where nodes are.
    fn services(&self) -> &'static [Service] {
        let nodes = matches!(self.link, Link::Quic) && self.network.is_none();
        match self.scenario {
            Named::Login => &[Service::Login],
            Named::RsaSign => &[Service::RsaSign],
            Named::All if nodes => &[Service::Login, Service::RsaSign],
            _ => &[],
        }
    }

    async fn measure(&self, bench: &Bench) -> Result<Vec<Row>, Error> {
        let mut rows = if bench.items.is_empty() { Vec::new() } else { bench.run().await? };
        let services = self.services();
        if !services.is_empty() {
            rows.extend(Box::pin(service::measure(services, self.modes(), bench.runs)).await?);
        }
        Ok(rows)
    }

    fn resolve(&self) -> Result<Bench, Error> {
        if !(self.scale > 0.0 && self.scale <= 1000.0) {
            return Err(Error::Usage("--scale must be above 0 and at most 1000".into()));
        }
        if self.plot.is_some() && !matches!(self.scenario, Named::Sweep) {
            return Err(Error::Usage("--plot draws the scenario `sweep` only".into()));
        }
        let of_nodes = matches!(self.scenario, Named::Login | Named::RsaSign);
        if of_nodes && (matches!(self.link, Link::Memory) || self.network.is_some()) {
            return Err(Error::Usage(
                "this scenario runs three nodes on this machine: leave out --link and --network".into(),
            ));
        }
        let scenarios = self.scenarios();
        let carrier = match self.link {
            Link::Quic => Carrier::Quic,
            Link::Memory => Carrier::Memory,
        };
        let runs = usize::from(self.runs);
        let modes = self.modes();
        let items = scenarios.into_iter().flat_map(|scenario| {
            // Nothing is computed there, in either mode.
            let modes = if matches!(scenario, Scenario::Ring { .. }) { &modes[..1] } else { modes };
            modes
                .iter()
                .map(move |&mode| Item {
                    scenario: self.sized(&scenario, mode),
                    mode,
                    check_every: (self.check_every as usize) << 10,
                })
                .collect::<Vec<_>>()
        });
        let items = items.collect();
        Ok(Bench { items, runs, threads: usize::from(self.threads), carrier, namespaces: None })
    }
}

impl BenchArgs {
    fn scenarios(&self) -> Vec<Scenario> {
        let strands = usize::from(self.strands);
        let batch = |default: usize| self.batch.map_or(default, |batch| batch as usize);
        // So much of everything takes about half a second on two cores.
        #[allow(clippy::cast_sign_loss)] // all factors are positive
        let times = |whole: f64, part: usize| ((whole * self.scale / part as f64).ceil() as usize).max(1);
        let ring =
            Scenario::Ring { frame: self.frame as usize, strands, frames: times(400e6, self.frame as usize * strands) };
        let words = 8192;
        let and = Scenario::And { words, strands, batches: times(1.6e9, 64 * words * strands) };
        let aes = |batch: usize, whole| {
            let (sbox, batches) = (self.sbox.name().into(), times(whole, batch * strands));
            Scenario::Aes { sbox, batch, strands, batches }
        };
        let mul64 = |batch| Scenario::Mul64 { batch, strands, batches: times(20e6, batch * strands) };
        let compare64 = |batch| {
            [Comparison::Exact, Comparison::Near].map(|what| {
                let whole = if what == Comparison::Exact { 1e6 } else { 3e6 };
                Scenario::Compare64 { what, batch, strands, batches: times(whole, batch * strands) }
            })
        };
        let (rows, columns) = (times(10e3, 1), usize::from(self.columns));
        let score = Scenario::Score { rows, columns, batch: batch(Score::TILING.batch), strands };
        let score_one = Scenario::ScoreOne { columns, applicants: times(100.0, 1) };
        let train = Scenario::Train { rows, columns, batch: batch(128) };
        let templates = |default: f64| self.templates.map_or(times(default, 1), |n| n as usize);
        let iris = Scenario::Iris { templates: templates(8192.0), batch: batch(512), strands };
        let identify = Scenario::Identify { templates: templates(10e3), batch: batch(512), strands };
        let latency =
            [Scenario::LatencyAes { blocks: times(100.0, 1) }, Scenario::LatencyAnd { rounds: times(4000.0, 1) }];
        match self.scenario {
            Named::Ring => vec![ring],
            Named::And => vec![and],
            Named::Aes => vec![aes(batch(4096), 500e3)],
            Named::Mul64 => vec![mul64(batch(16_384))],
            Named::Compare64 => compare64(batch(4096)).to_vec(),
            Named::Score => vec![score],
            Named::ScoreOne => vec![score_one],
            Named::Train => vec![train],
            Named::Iris => vec![iris],
            Named::Identify => vec![identify],
            Named::Login | Named::RsaSign => Vec::new(),
            Named::Latency => latency.to_vec(),
            // Small batches are slow: fewer of them take as long.
            Named::Sweep => (6..=16).step_by(2).map(|log| aes(1 << log, if log < 10 { 50e3 } else { 500e3 })).collect(),
            Named::All => {
                let gates = vec![ring, and, aes(batch(4096), 500e3), mul64(batch(16_384))];
                [
                    gates,
                    compare64(batch(4096)).to_vec(),
                    vec![score, score_one, train, iris, identify],
                    latency.to_vec(),
                ]
                .concat()
            }
        }
    }

    /// Proving all products takes far longer than computing them: malicious galleries are smaller, unless their size was asked for.
    fn sized(&self, scenario: &Scenario, mode: ModeSpec) -> Scenario {
        let mut scenario = scenario.clone();
        if let (Scenario::Iris { templates, .. } | Scenario::Identify { templates, .. }, None, ModeSpec::Malicious) =
            (&mut scenario, self.templates, mode)
        {
            *templates = templates.div_ceil(32);
        }
        scenario
    }
}

/// Arguments of the worker process, which `trefoil bench` starts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: started by `trefoil bench`")]
pub struct WorkerArgs {
    /// The worker's node.toml
    #[arg(long)]
    config: PathBuf,
}

/// Runs a worker.
///
/// # Errors
/// As [`worker::work`].
pub fn work(args: &WorkerArgs) -> Result<Exit, Error> {
    worker::work(&NodeConfig::load(&args.config)?)?;
    Ok(Exit::Ok)
}
