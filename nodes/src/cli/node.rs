//! `trefoil node`: one node of a cluster.

use super::{Exit, Output, OutputArgs, line};
use crate::{Error, config::NodeConfig, local::ReadyLine, node::Node};
use std::{future::Future, io::Read, path::PathBuf};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tracing::{info, warn};

/// The options of `trefoil node`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct NodeArgs {
    /// The node's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Stop when standard input is closed, as it is when the program that started this one ends
    #[arg(long)]
    exit_with_parent: bool,
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Prints one line when both other nodes are connected, and serves until SIGTERM or Ctrl-C.

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
    let stop = stop_signal(args.exit_with_parent)?;
    let mut stop = std::pin::pin!(stop);
    let party = config.party;
    let node = Node::start(config).await?;
    if let Some(remedy) = node.remedy() {
        warn!(
            "the system grants smaller socket buffers than asked for, so the mesh is slower than it could be: {remedy}"
        );
    }
    tokio::select! {
        () = &mut stop => {}
        () = node.connected() => {
            let (mesh, api) = node.addresses();
            let ready = ReadyLine { party: party.index() as u8, mesh: mesh.to_string(), api: api.to_string() };
            match args.output.resolve() {
                Output::Json => Output::Json.print(&ready, "")?,
                Output::Text => line(format!("{party} is connected to both others; clients reach it on {api}"))?,
            }
            stop.await;
        }
    }
    info!("{party} stops");
    node.stop().await;
    Ok(Exit::Ok)
}

/// Resolves at SIGTERM, SIGINT or, if asked for, the end of standard input.
fn stop_signal(with_parent: bool) -> Result<impl Future<Output = ()>, Error> {
    let handler = |kind| signal(kind).map_err(Error::system("handle signals"));
    let (mut term, mut int) = (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
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
            _ = term.recv() => {}
            _ = int.recv() => {}
            () = parent => {}
        }
    })
}

/// Resolves when standard input ends. Waits on a thread of its own, as nothing can interrupt the read; it ends with the process.
fn end_of_input() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let (mut input, mut sink) = (std::io::stdin().lock(), [0; 64]);
        while input.read(&mut sink).is_ok_and(|n| n > 0) {}
        drop(ended);
    });
    end
}
