//! The `trefoil` program: one file per subcommand.
//!
//! A subcommand is a module with two public items:
//!
//! ```text
//! /// One line that `trefoil --help` shows
//! #[derive(Debug, clap::Args)]
//! #[command(after_help = EXAMPLES)]
//! pub struct DoctorArgs { /* raw values, as typed */ }
//!
//! /// Runs the command.
//! pub fn run(args: DoctorArgs) -> Result<Exit, Error> { /* resolve once, then work */ }
//! ```
//!
//! and one variant in `Command`. Parsing does nothing but parse: `run` first resolves its raw
//! arguments (reads files, checks combinations) and fails with [`Error::Usage`] before any work
//! starts. Every command has an `EXAMPLES` constant. Results go to standard output through
//! [`Output`], with [`OutputArgs`] flattened for `--json`; logs go to standard error by `tracing`.
//! A command that talks to a cluster flattens [`ClusterArgs`]. Asynchronous work runs in
//! [`block_on`].

mod aes;
mod audit;
mod auth;
mod bench;
mod circuit;
mod cluster;
mod credit;
mod demo;
mod doctor;
mod exit;
mod job;
mod logging;
mod mode;
mod node;
mod output;
mod plan;
mod policy;
mod receipts;
mod rsa;
mod signals;
mod store;
mod target;
mod up;

pub use exit::Exit;
pub use mode::ModeArgs;
pub use output::{Output, OutputArgs, line};
pub use target::{ClusterArgs, Target};

use crate::{Error, admin::LogFilter, contain::keep_contained_panics_quiet};
use clap::{Parser, Subcommand};
use signals::Stop;
use std::{error::Error as _, future::Future, io, io::Write, process::ExitCode, time::Duration};

/// Three-party computation on secret shares: nodes, client and tools in one program
#[derive(Debug, Parser)]
#[command(name = "trefoil", version, after_help = format!("{EXAMPLES}\n\n{}", Exit::HELP), max_term_width = 110)]
struct Cli {
    /// What to log to standard error, such as `debug` or `warn,trefoil_nodes::mesh=trace` [default: the variable
    /// `TREFOIL_LOG`, else `info` for nodes and `warn` for everything else]
    #[arg(long, global = true, value_name = "FILTER", display_order = 100)]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

/// The subcommands, in the order of `--help`.
#[derive(Debug, Subcommand)]
enum Command {
    /// See it work: three nodes, a real file, every result checked
    Demo(demo::DemoArgs),
    /// Create the files of a cluster, or a further client
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Run one node of a cluster
    Node(node::NodeArgs),
    /// Run a cluster of three nodes on this machine
    Up(up::UpArgs),
    /// Encrypt or decrypt a file or a stream under a key that no node ever holds
    Aes(aes::AesArgs),
    /// Evaluate boolean circuits on shared inputs
    #[command(subcommand)]
    Circuit(circuit::CircuitCommand),
    /// Score, train and report on customers that institutions do not show to each other
    #[command(subcommand)]
    Credit(Box<credit::CreditCommand>),
    /// Sign with keys that the three nodes have between them, and no one of them
    #[command(subcommand)]
    Rsa(Box<rsa::RsaCommand>),
    /// Log in with a biometric and a key that exist nowhere whole
    #[command(subcommand)]
    Auth(Box<auth::AuthCommand>),
    /// List, follow, cancel jobs, and fetch their outputs
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Say whether a cluster works, and what to do if it does not
    Doctor(doctor::DoctorArgs),
    /// Find out whether the audit logs of nodes are as they were written
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Say who may have what computed at a node, sign it, and explain what it decides
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Renew the key under which a node keeps its records
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Say what a circuit will cost: rounds, bits, memory, time
    Plan(plan::PlanArgs),
    /// Measure: ring, gates, AES, integers, scores, training, matching, logins, latency
    Bench(bench::BenchArgs),
    /// One party of a benchmark
    #[command(hide = true)]
    BenchWorker(bench::WorkerArgs),
}

const EXAMPLES: &str = "\
Examples:
  trefoil demo
  trefoil cluster init --dir demo --hosts a.example,b.example,c.example
  trefoil up --dir demo
  trefoil aes --cluster demo/cluster.toml --key-file key --iv $IV --encrypt --in letter.txt --out letter.aes
  trefoil doctor --cluster demo/cluster.toml
  trefoil plan aes-128 --instances 1000000";

impl Command {
    /// The log filter when neither `--log` nor `TREFOIL_LOG` gives one.
    fn default_filter(&self) -> &'static str {
        match self {
            // The ends of its sessions are no news.
            Self::BenchWorker(_) => "error",
            Self::Node(_) | Self::Up(_) => "info",
            Self::Aes(_)
            | Self::Circuit(_)
            | Self::Credit(_)
            | Self::Rsa(_)
            | Self::Auth(_)
            | Self::Job(_)
            | Self::Demo(_)
            | Self::Cluster(_)
            | Self::Doctor(_)
            | Self::Audit(_)
            | Self::Policy(_)
            | Self::Store(_)
            | Self::Plan(_)
            | Self::Bench(_) => "warn",
        }
    }

    /// Runs the command. `filter` is the log filter in effect, for commands that start others.
    fn run(self, filter: &LogFilter) -> Result<Exit, Error> {
        match self {
            Self::Cluster(command) => cluster::run(command),
            Self::Demo(args) => demo::run(&args),
            Self::Node(args) => node::run(&args, filter),
            Self::Up(args) => up::run(args, &filter.text()),
            Self::Aes(args) => aes::run(&args),
            Self::Circuit(command) => circuit::run(command),
            Self::Credit(command) => credit::run(&command),
            Self::Rsa(command) => rsa::run(*command),
            Self::Auth(command) => auth::run(&command),
            Self::Job(command) => job::run(&command),
            Self::Doctor(args) => doctor::run(&args),
            Self::Audit(command) => audit::run(&command),
            Self::Policy(command) => policy::run(&command),
            Self::Store(command) => store::run(&command),
            Self::Plan(args) => plan::run(&args),
            Self::Bench(args) => bench::run(&args),
            Self::BenchWorker(args) => bench::work(&args),
        }
    }
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    keep_contained_panics_quiet();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are printed by the same path and are no failure.
            let exit = if e.use_stderr() { Exit::Usage } else { Exit::Ok };
            return if e.print().is_ok() { exit } else { Exit::System }.into();
        }
    };
    match start(cli) {
        Ok(exit) => exit.into(),
        Err(e) => {
            report(&e);
            e.exit().into()
        }
    }
}

fn start(cli: Cli) -> Result<Exit, Error> {
    // What a node does from the beginning is logged, and traced if it is to be.
    let traces = match &cli.command {
        Command::Node(args) => args.traces()?,
        _ => None,
    };
    let filter = logging::start(cli.log.as_deref(), cli.command.default_filter(), traces.as_ref())?;
    let done = cli.command.run(&filter);
    if let Some(traces) = traces {
        traces.stop();
    }
    done
}

/// Runs asynchronous work on a multi-threaded runtime, one worker per core.
///
/// # Errors
/// What the work returns, or [`Error::System`] if no runtime can be started.
pub fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::system("start the worker threads"))?;
    let result = runtime.block_on(work);
    // A read of a pipe or a terminal may be under way on a thread, and nothing can interrupt it.
    runtime.shutdown_background();
    result
}

/// How long nodes are given to hear, in the background, that what was under way is not needed any more.
const FAREWELL: Duration = Duration::from_millis(500);

/// As [`block_on`], until the user stops it: what was under way is dropped then, and given the time to take its leave.
///
/// # Errors
/// What the work returns; [`Error::Interrupted`]; [`Error::System`] if there is no runtime or no signal can be listened for.
fn interruptible<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    block_on(async {
        let mut stop = Stop::listen()?;
        let done = tokio::select! {
            done = work => Some(done),
            _ = stop.received() => None,
        };
        if done.is_none() {
            tokio::time::sleep(FAREWELL).await;
        }
        done.unwrap_or(Err(Error::Interrupted))
    })
}

/// Prints an error and the causes its own text does not already contain.
fn report(error: &Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(c) = cause {
        let more = c.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = c.source();
    }
    // Nothing is left to do when standard error itself is gone.
    let _ = writeln!(io::stderr(), "error: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_shows_examples() {
        fn walk(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "`{}` has no example", command.get_name());
            command.get_subcommands().filter(|c| c.get_name() != "help").for_each(walk);
        }
        walk(&Cli::command());
    }
}
