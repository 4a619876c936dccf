//! A cluster of three node processes on this machine, for `trefoil up`, the demonstration, the benchmarks and tests.
//!
//! The children live as long as the [`LocalCluster`] and no longer. Each holds the reading end of a pipe
//! whose writing end is ours, and stops when that pipe closes: also when this process is killed.

mod child;
mod ports;
mod user;

pub use child::{Logs, ReadyLine};
pub use user::{LocalUser, Seen};

use crate::{
    Error,
    cli::Exit,
    cluster_files::{ClusterFiles, ClusterPlan, NodeSettings},
    pki::Lifetime,
};
use child::Child;
use futures_util::future::{join_all, select_all, try_join_all};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use trefoil_engine::Party;

/// How often a cluster is created anew when another program took one of its ports first.
const ATTEMPTS: u32 = 3;

/// How to start a local cluster.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// The `trefoil` program.
    pub executable: PathBuf,
    /// Where the files are. A cluster that is there already is started as it is; otherwise one is created on
    /// free ports. `None` stands for a temporary directory that is removed at the end.
    pub dir: Option<PathBuf>,
    /// Settings for the nodes of a cluster that is created.
    pub settings: NodeSettings,
    /// Where the nodes' logs go.
    pub logs: Logs,
    /// The nodes' log filter, as for `--log`.
    pub filter: String,
    /// How long the nodes may take until all are connected.
    pub ready_within: Duration,
}

impl LocalOptions {
    /// A temporary cluster of this very program, with default settings and its logs in files.
    ///
    /// # Errors
    /// [`Error::System`] if the program cannot find itself.
    pub fn new() -> Result<Self, Error> {
        Ok(Self::of(std::env::current_exe().map_err(Error::system("find the program that is running"))?))
    }

    /// A temporary cluster of the program `executable`, with default settings and its logs in files.
    pub fn of(executable: impl Into<PathBuf>) -> Self {
        Self {
            executable: executable.into(),
            dir: None,
            settings: NodeSettings { threads: share_of_cores(), ..NodeSettings::default() },
            logs: Logs::Files,
            filter: "info".to_owned(),
            ready_within: Duration::from_secs(30),
        }
    }
}

/// The three nodes share this machine's cores.
fn share_of_cores() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / 3).max(1)
}

/// Three node processes that serve. Dropping it kills them.
#[derive(Debug)]
pub struct LocalCluster {
    nodes: [Child; 3],
    files: ClusterFiles,
    // Last, so that the directory is removed after the processes.
    _temporary: Option<TempDir>,
}

impl LocalCluster {
    /// Starts a cluster and waits until every node is connected to both others.
    ///
    /// Cancel safe: dropping the future kills what was started.
    ///
    /// # Errors
    /// [`Error::Cluster`] if a node ends or is not ready in time, with the end of its log;
    /// [`Error::System`] if files or processes cannot be created.
    pub async fn start(options: &LocalOptions) -> Result<Self, Error> {
        let mut attempt = 1;
        loop {
            let (files, temporary, origin) = prepare(options)?;
            match launch(options, &files).await {
                Ok(nodes) => return Ok(Self { nodes, files, _temporary: temporary }),
                Err(Launch { exit: Some(Exit::System), .. }) if origin == Origin::Created && attempt < ATTEMPTS => {
                    files.remove();
                    attempt += 1;
                }
                Err(Launch { error, .. }) => return Err(error),
            }
        }
    }

    /// The files of the cluster.
    pub fn files(&self) -> &ClusterFiles {
        &self.files
    }

    /// The cluster file; the client's identity is beside it.
    pub fn cluster_file(&self) -> PathBuf {
        self.files.cluster()
    }

    /// The process of each node.
    pub fn pids(&self) -> [u32; 3] {
        self.nodes.each_ref().map(Child::pid)
    }

    /// Waits until a node process ends, which none does by itself, and says which and how. Cancel safe.
    pub async fn failed(&mut self) -> Error {
        let ends = self.nodes.iter_mut().map(|n| Box::pin(n.ended()));
        select_all(ends).await.0
    }

    /// Starts the process of one node again after it has ended or was killed, and waits until it is connected.
    ///
    /// # Errors
    /// As [`LocalCluster::start`].
    pub async fn restart(&mut self, party: Party, options: &LocalOptions) -> Result<(), Error> {
        let node = &mut self.nodes[party.index()];
        node.kill().await;
        *node = Child::start(options, &self.files, party)?;
        node.ready(options.ready_within).await.map_err(|l| l.error)
    }

    /// Kills the process of one node.
    pub async fn kill(&mut self, party: Party) {
        self.nodes[party.index()].kill().await;
    }

    /// Kills all three processes and starts them again, and waits until they are connected.
    ///
    /// # Errors
    /// As [`LocalCluster::start`].
    pub async fn restart_all(&mut self, options: &LocalOptions) -> Result<(), Error> {
        join_all(self.nodes.iter_mut().map(Child::kill)).await;
        self.nodes = launch(options, &self.files).await.map_err(|l| l.error)?;
        Ok(())
    }

    /// Ends the three processes: asks them to stop, and kills those that have not after ten seconds.
    pub async fn shutdown(mut self) {
        join_all(self.nodes.iter_mut().map(Child::stop)).await;
    }
}

/// Why a node did not become ready.
#[derive(Debug)]
struct Launch {
    /// How its process ended, if it did with one of our codes.
    exit: Option<Exit>,
    error: Error,
}

impl From<Error> for Launch {
    fn from(error: Error) -> Self {
        Self { exit: None, error }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Origin {
    Found,
    Created,
}

fn prepare(options: &LocalOptions) -> Result<(ClusterFiles, Option<TempDir>, Origin), Error> {
    let (dir, temporary) = if let Some(dir) = &options.dir {
        (dir.clone(), None)
    } else {
        let dir = tempfile::Builder::new().prefix("trefoil-").tempdir();
        let dir = dir.map_err(Error::system("create a temporary directory"))?;
        (dir.path().to_owned(), Some(dir))
    };
    let files = ClusterFiles::at(&dir);
    if files.cluster().exists() {
        return Ok((files, temporary, Origin::Found));
    }
    Ok((plan(&dir, options)?.create()?, temporary, Origin::Created))
}

fn plan(dir: &Path, options: &LocalOptions) -> Result<ClusterPlan, Error> {
    let nodes = ports::loopback()?.map(|listen| (listen.clone(), listen));
    let settings = options.settings.clone();
    Ok(ClusterPlan { dir: dir.to_owned(), nodes, days: Lifetime::DEFAULT_DAYS, settings })
}

async fn launch(options: &LocalOptions, files: &ClusterFiles) -> Result<[Child; 3], Launch> {
    let mut nodes = Vec::with_capacity(3);
    for party in Party::ALL {
        nodes.push(Child::start(options, files, party)?);
    }
    try_join_all(nodes.iter_mut().map(|n| n.ready(options.ready_within))).await?;
    <[Child; 3]>::try_from(nodes).map_err(|_| Error::Bug("three parties make three nodes".to_owned()).into())
}
