//! `trefoil up`: a cluster of three processes on this machine.

use super::{ClusterArgs, Exit, OutputArgs, block_on};
use crate::{
    Error,
    client::Client,
    local::{LocalCluster, LocalOptions, Logs},
    page::Page,
};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  trefoil up
  trefoil up --dir demo --json
  trefoil up --log debug
  trefoil up --page 8080

While it runs, in another terminal:
  trefoil doctor --cluster demo/cluster.toml

and in a browser on this machine, the address that it prints. The page there registers a user with a template and a
signing key, both in shares that no node could put together, and logs in with them.";

/// What `trefoil up` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct UpArgs {
    /// Where the cluster's files are, or are to be created [default: a temporary directory, removed at the end]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The port of this machine at which browsers find the page for registering and logging in; 0 for a free one
    #[arg(long, default_value_t = 0)]
    page: u16,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the cluster until Ctrl-C, SIGTERM or the end of one of its nodes.
///
/// # Errors
/// [`Error::Cluster`] naming the node that ended, and those of [`LocalCluster::start`].
pub fn run(args: UpArgs, filter: &str) -> Result<Exit, Error> {
    let output = args.output.resolve();
    let options =
        LocalOptions { dir: args.dir, logs: Logs::Prefixed, filter: filter.to_owned(), ..LocalOptions::new()? };
    block_on(async {
        let mut signal = super::signals::Stop::listen()?;
        let mut cluster = tokio::select! {
            started = LocalCluster::start(&options) => started?,
            _ = signal.received() => return Ok(Exit::Ok),
        };
        let files = cluster.files();
        let target = ClusterArgs { cluster: files.cluster(), identity: None, token: None }.resolve()?;
        let client = Client::new(&target.cluster, &target.identity)?;
        let page = Page::bind(client, args.page).await?;
        let up = Up {
            event: "ready",
            cluster: files.cluster(),
            identity: files.identity(),
            pids: cluster.pids(),
            page: page.url().to_owned(),
        };
        output.print(&up, up.text())?;
        let ended = tokio::select! {
            error = cluster.failed() => Err(error),
            served = page.serve() => served.map(|()| Exit::Ok),
            _ = signal.received() => Ok(Exit::Ok),
        };
        cluster.shutdown().await;
        ended
    })
}

/// The result as JSON.
#[derive(Serialize)]
struct Up {
    event: &'static str,
    cluster: PathBuf,
    identity: PathBuf,
    pids: [u32; 3],
    page: String,
}

impl Up {
    fn text(&self) -> String {
        let [a, b, c] = self.pids;
        let cluster = self.cluster.display();
        let page = &self.page;
        format!(
            "three nodes are ready (processes {a}, {b} and {c})\ncluster file: {cluster}\nin a browser: {page}\nend them with Ctrl-C"
        )
    }
}
