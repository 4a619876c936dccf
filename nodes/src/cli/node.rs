//! `trefoil node`: one node of a cluster.

use super::{
    Exit, OutputArgs,
    signals::{Reload, Stop},
};
use crate::{
    Error,
    admin::LogFilter,
    config::{NodeConfig, NodeFile},
    local::ReadyLine,
    node::{Node, Reloaded},
    trace::Traces,
};
use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

/// How long a node whose parent is gone may take to stop in order. Nobody is left to kill it.
const LAST_RESORT: Duration = Duration::from_secs(15);

/// The options of `trefoil node`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct NodeArgs {
    /// The node's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Stop when standard input is closed, as it is when the program that started this one ends
    #[arg(long, hide = true)]
    exit_with_parent: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl NodeArgs {
    /// The traces that the configuration asks for. What is wrong with the file is said by who reads it for the node.
    pub(super) fn traces(&self) -> Result<Option<Traces>, Error> {
        let Ok((file, party)) = NodeFile::read(&self.config) else { return Ok(None) };
        file.telemetry.map(|telemetry| Traces::start(&telemetry, party)).transpose()
    }
}

const EXAMPLES: &str = "\
Prints one line when both other nodes are connected, and serves until SIGTERM or Ctrl-C. Then it takes no new jobs, and
ends when those that it has have ended, or after `limits.drain` of node.toml; a second signal ends it at once.
On SIGHUP it reads again its certificate and key and the cluster file (docs/operations/certificates.md), and the policy
(docs/operations/policy.md), without a break: jobs go on. What is refused is named in the log, and the old stays.

Examples:
  trefoil node --config demo/node-0/node.toml
  trefoil node --config /etc/trefoil/node.toml --log info,trefoil_nodes::mesh=debug";

/// Runs a node until it is told to stop.
///
/// # Errors
/// Those of [`NodeConfig::load`] and [`Node::start`].
pub fn run(args: &NodeArgs, filter: &LogFilter) -> Result<Exit, Error> {
    let config = NodeConfig::load(&args.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.threads.get())
        .enable_all()
        .build()
        .map_err(Error::system("start the worker threads"))?;
    runtime.block_on(serve(args, config, filter))
}

async fn serve(args: &NodeArgs, config: NodeConfig, filter: &LogFilter) -> Result<Exit, Error> {
    let mut ends = Ends::listen(args.exit_with_parent)?;
    let party = config.party;
    let mut reload = Reload::listen()?;
    let node = Node::start_with(config, Some(filter.clone())).await?;
    if let Some(remedy) = node.remedy() {
        warn!(
            "the system grants smaller socket buffers than asked for, so the mesh is slower than it could be: {remedy}"
        );
    }
    let reloads = async {
        loop {
            reload.received().await;
            read_again(&node, &args.config).await;
        }
    };
    let ready = async {
        node.connected().await;
        let (mesh, api) = node.addresses();
        let ready = ReadyLine { party: party.index() as u8, mesh: mesh.to_string(), api: api.to_string() };
        let text = format!("{party} is connected to both others; clients reach it on {api}");
        args.output.resolve().print(&ready, text)?;
        std::future::pending().await
    };
    let end = tokio::select! {
        end = ends.next() => end,
        failed = ready => return failed,
        () = reloads => End::Signal("SIGHUP cannot be heard"),
    };
    match end {
        End::Signal(name) => {
            info!("{party} stops: {name}; jobs that run may end");
            tokio::select! {
                () = node.drain() => {}
                again = ends.next() => info!("{party} stops at once: {again}"),
            }
        }
        // Nobody is left who would want the outputs.
        End::Parent => info!("{party} stops: {end}"),
    }
    node.stop().await;
    Ok(Exit::Ok)
}

/// Takes over the files as they are now, if they are good; otherwise the node goes on with what it has.
async fn read_again(node: &Node, path: &Path) {
    match NodeConfig::load(path).and_then(|config| node.reload(&config)) {
        Ok(Reloaded::Renewed) => {
            info!("the certificate and the cluster file were read again and hold for new connections from now on");
        }
        Ok(Reloaded::Unchanged) => info!("the certificate and the cluster file were read again; they have not changed"),
        Err(e) => error!("the node goes on with the certificate and the cluster file that it has: {e}"),
    }
    match node.reload_policy().await {
        Ok(Some(serial)) => info!("the node acts by policy {serial}"),
        Ok(None) => info!(
            "the node was started without a policy, so there is none to read again; `trefoil policy init` writes one, and the node finds it when it is started again"
        ),
        Err(e) => error!("the policy stays as it was: {e}"),
    }
}

/// Why a node is to stop.
#[derive(Clone, Copy, Debug)]
enum End {
    Signal(&'static str),
    Parent,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal(name) => name,
            Self::Parent => "the program that started it is gone or wants it to end",
        })
    }
}

/// Being asked to stop: by a signal or, if asked for, by the end of standard input.
struct Ends {
    signals: Stop,
    parent: Option<oneshot::Receiver<()>>,
}

impl Ends {
    fn listen(with_parent: bool) -> Result<Self, Error> {
        Ok(Self { signals: Stop::listen()?, parent: with_parent.then(end_of_input) })
    }

    /// Cancel safe.
    async fn next(&mut self) -> End {
        let parent = async {
            match &mut self.parent {
                // Either way the parent is gone.
                Some(ended) => drop(ended.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            name = self.signals.received() => End::Signal(name),
            () = parent => End::Parent,
        }
    }
}

/// Resolves when standard input ends. Waits on a thread of its own, as nothing can interrupt the read; it ends with the
/// process, and ends the process if that does not stop by itself.
fn end_of_input() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let (mut input, mut sink) = (std::io::stdin().lock(), [0; 64]);
        while input.read(&mut sink).is_ok_and(|n| n > 0) {}
        drop(ended);
        std::thread::sleep(LAST_RESORT);
        std::process::exit(i32::from(Exit::Failed as u8));
    });
    end
}
