//! One node process: started, watched and ended.

use super::{Launch, LocalOptions};
use crate::{Error, cli::Exit, cluster_files::ClusterFiles};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, OpenOptions},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};
use trefoil_engine::Party;

/// How long a node may take to stop after it was asked to.
const STOP: Duration = Duration::from_secs(10);

/// How long the rest of the log of a process that has ended is waited for.
const FLUSH: Duration = Duration::from_secs(1);

/// Lines of a node's log that are shown when it fails.
const TAIL: usize = 10;

/// Where the logs of the nodes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Logs {
    /// To our standard error, each line with its party in front.
    Prefixed,
    /// To `node.log` in each node's directory.
    Files,
}

/// What `trefoil node` prints on standard output, as one JSON line, once it is connected to both others.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename = "ready")]
pub struct ReadyLine {
    /// Its party: 0, 1 or 2.
    pub party: u8,
    /// The address its mesh socket is bound to.
    pub mesh: String,
    /// The address its API is bound to.
    pub api: String,
}

/// A node process.
#[derive(Debug)]
pub(super) struct Child {
    party: Party,
    pid: u32,
    process: tokio::process::Child,
    output: Lines<BufReader<ChildStdout>>,
    /// The node stops when this closes.
    lifeline: Option<ChildStdin>,
    log: Log,
}

#[derive(Debug)]
enum Log {
    /// A file.
    File(PathBuf),
    /// A task that copies it to our standard error until the process ends.
    PassedOn(JoinHandle<()>),
}

impl Child {
    pub(super) fn start(options: &LocalOptions, files: &ClusterFiles, party: Party) -> Result<Self, Error> {
        let started = || format!("start node {party} ({})", options.executable.display());
        let file = files.node_dir(party).join("node.log");
        let stderr = match options.logs {
            Logs::Prefixed => Stdio::piped(),
            Logs::Files => OpenOptions::new()
                .append(true)
                .create(true)
                .open(&file)
                .map_err(Error::system(format!("write {}", file.display())))?
                .into(),
        };
        let mut process = Command::new(&options.executable)
            .args(["node", "--exit-with-parent", "--json", "--log", &options.filter, "--config"])
            .arg(files.node(party))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // Ctrl-C in a terminal goes to the foreground group; the nodes are to be stopped by us, in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::system(started()))?;
        let log = match process.stderr.take() {
            Some(stderr) => Log::PassedOn(tokio::spawn(pass_on(party, stderr))),
            None => Log::File(file),
        };
        let missing = || Error::Bug(format!("node {party} was started without its pipes"));
        let output = BufReader::new(process.stdout.take().ok_or_else(missing)?).lines();
        let lifeline = Some(process.stdin.take().ok_or_else(missing)?);
        let pid = process.id().ok_or_else(missing)?;
        Ok(Self { party, pid, process, output, lifeline, log })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the node's line of readiness.
    pub(super) async fn ready(&mut self, within: Duration) -> Result<(), Launch> {
        match timeout(within, self.ready_line()).await {
            Ok(Some(line)) if serde_json::from_str::<ReadyLine>(&line).is_ok() => Ok(()),
            Ok(Some(line)) => Err(Error::Bug(format!("node {} printed `{line}`", self.party)).into()),
            Ok(None) => {
                let status =
                    self.process.wait().await.map_err(Error::system(format!("wait for node {}", self.party)))?;
                let exit = (status.code() == Some(Exit::System as i32)).then_some(Exit::System);
                Err(Launch { exit, error: self.failure(&format!("could not start ({status})")).await })
            }
            Err(_) => {
                let what = format!("was not connected to both others within {within:?}");
                Err(self.failure(&what).await.into())
            }
        }
    }

    async fn ready_line(&mut self) -> Option<String> {
        // A line that is no UTF-8 counts as the end: the node prints nothing but JSON.
        self.output.next_line().await.ok().flatten()
    }

    /// Waits until the process ends, and says how. Cancel safe.
    pub(super) async fn ended(&mut self) -> Error {
        match self.process.wait().await {
            Ok(status) => self.failure(&format!("ended unexpectedly ({status})")).await,
            Err(e) => Error::system(format!("wait for node {}", self.party))(e),
        }
    }

    /// Asks the process to stop, then kills it if it does not.
    pub(super) async fn stop(&mut self) {
        drop(self.lifeline.take());
        if timeout(STOP, self.process.wait()).await.is_err() {
            tracing::warn!("node {} did not stop within {STOP:?} and is killed", self.party);
            self.kill().await;
        }
    }

    /// Kills the process and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        // Fails only for a process that has ended and been waited for.
        let _ = self.process.kill().await;
    }

    async fn failure(&mut self, what: &str) -> Error {
        let text = match &mut self.log {
            Log::PassedOn(copy) => {
                // What the process said last is to be read before what we say about it.
                if !copy.is_finished() {
                    let _ = timeout(FLUSH, copy).await;
                }
                format!("node {} {what}; its log is above", self.party)
            }
            Log::File(path) => {
                let log = fs::read(&path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n  ");
                format!("node {} {what}; the end of its log {}:\n  {tail}", self.party, path.display())
            }
        };
        Error::Cluster(text)
    }
}

/// Copies a node's log to ours, line by line.
async fn pass_on(party: Party, log: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(log).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        eprintln!("{party} {}", String::from_utf8_lossy(&line));
    }
}
