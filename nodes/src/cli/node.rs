//! `trefoil node`: one node of a cluster.

use super::{
    Exit, OutputArgs,
    signals::{Reload, Stop},
};
use crate::{
    Error,
    config::NodeConfig,
    local::ReadyLine,
    node::{Node, Reloaded},
};
use std::{
    future::Future,
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

const EXAMPLES: &str = "\
Prints one line when both other nodes are connected, and serves until SIGTERM or Ctrl-C. On SIGHUP it reads its certificate and
key and the cluster file again, without a break: jobs go on (docs/operations/certificates.md).

Examples:
  trefoil node --config demo/node-0/node.toml
  trefoil node --config /etc/trefoil/node.toml --log info,trefoil_nodes::mesh=debug";

/// Runs a node until it is told to stop.
///
/// # Errors
/// Those of [`NodeConfig::load`] and [`Node::start`].
pub fn run(args: &NodeArgs) -> Result<Exit, Error> {
    let config = NodeConfig::load(&args.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.threads.get())
        .enable_all()
        .build()
        .map_err(Error::system("start the worker threads"))?;
    runtime.block_on(serve(args, config))
}

async fn serve(args: &NodeArgs, config: NodeConfig) -> Result<Exit, Error> {
    let stop = stop(args.exit_with_parent)?;
    let mut stop = std::pin::pin!(stop);
    let mut reload = Reload::listen()?;
    let party = config.party;
    let node = Node::start(config).await?;
    if let Some(remedy) = node.remedy() {
        warn!(
            "the system grants smaller socket buffers than asked for, so the mesh is slower than it could be: {remedy}"
        );
    }
    let mut connected = false;
    let why = loop {
        tokio::select! {
            why = &mut stop => break why,
            () = reload.received() => read_again(&node, &args.config),
            () = node.connected(), if !connected => {
                connected = true;
                let (mesh, api) = node.addresses();
                let ready = ReadyLine { party: party.index() as u8, mesh: mesh.to_string(), api: api.to_string() };
                let text = format!("{party} is connected to both others; clients reach it on {api}");
                args.output.resolve().print(&ready, text)?;
            }
        }
    };
    info!("{party} stops: {why}");
    node.stop().await;
    Ok(Exit::Ok)
}

/// Takes over the files as they are now, if they are good; otherwise the node goes on with what it has.
fn read_again(node: &Node, path: &Path) {
    match NodeConfig::load(path).and_then(|config| node.reload(&config)) {
        Ok(Reloaded::Renewed) => {
            info!("the certificate and the cluster file were read again and hold for new connections from now on");
        }
        Ok(Reloaded::Unchanged) => info!("the certificate and the cluster file were read again; they have not changed"),
        Err(e) => error!("the node goes on with the certificate and the cluster file that it has: {e}"),
    }
}

/// Resolves when the node is to stop, with the reason: a signal or, if asked for, the end of standard input.
fn stop(with_parent: bool) -> Result<impl Future<Output = &'static str>, Error> {
    let mut signal = Stop::listen()?;
    let parent = with_parent.then(end_of_input);
    Ok(async move {
        let parent = async {
            match parent {
                // Either way the parent is gone.
                Some(ended) => drop(ended.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            name = signal.received() => name,
            () = parent => "the program that started it is gone or wants it to end",
        }
    })
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
