//! `trefoil up` and `trefoil doctor` by the real program: three node processes, ended in every way.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};
use trefoil_nodes::{
    cluster_files::ClusterFiles,
    local::{LocalCluster, LocalOptions},
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_trefoil");
const DEADLINE: Duration = Duration::from_mins(1);

/// A running `trefoil up`, killed if the test fails.
pub struct Up {
    process: Child,
    nodes: [Pid; 3],
    cluster: PathBuf,
}

impl Up {
    pub fn start(dir: &Path) -> Self {
        let mut process = Command::new(PROGRAM)
            .args(["up", "--json", "--log", "info", "--dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("readable");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| {
            let mut log = String::new();
            let _ = process.stderr.take().expect("piped").read_to_string(&mut log);
            panic!("no line of readiness ({e}): {line}\n{log}")
        });
        assert_eq!(ready["event"], "ready");
        let pid = |k: usize| Pid::from_raw(ready["pids"][k].as_i64().and_then(|p| p.try_into().ok()).expect("a pid"));
        let cluster = PathBuf::from(ready["cluster"].as_str().expect("a path"));
        Self { process, nodes: [0, 1, 2].map(pid), cluster }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().expect("a pid")), signal).expect("it runs");
    }

    /// Waits for the end of the program: how it ended, and its log.
    pub fn end(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        self.process.stderr.take().expect("piped").read_to_string(&mut log).expect("UTF-8");
        (self.process.wait().expect("ended"), log)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn doctor(cluster: &Path, more: &[&str]) -> Output {
    Command::new(PROGRAM).args(["doctor", "--json", "--cluster"]).arg(cluster).args(more).output().expect("it runs")
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

/// The findings of a report that are worse than "ok".
fn bad(report: &Value) -> Vec<String> {
    let all = report["findings"].as_array().expect("a list");
    all.iter().filter(|f| f["level"] == "error").map(ToString::to_string).collect()
}

/// Whether a process has ended; one that nobody has waited for counts.
fn gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

/// Looks every few milliseconds whether a condition holds, up to a deadline.
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_serves_until_it_is_asked_to_stop_and_starts_again_as_it_was() {
    let temp = tempfile::tempdir().expect("a directory");
    let dir = temp.path().join("demo");
    let up = Up::start(&dir);
    assert_eq!(up.cluster, ClusterFiles::at(&dir).cluster());
    let healthy = doctor(&up.cluster, &[]);
    assert!(healthy.status.success(), "{healthy:?}");
    assert_eq!(report(&healthy)["works"], true);
    let links =
        report(&healthy)["findings"].as_array().expect("a list").iter().filter(|f| f["check"] == "link").count();
    assert_eq!(links, 3);

    let (before, nodes) = (fs::read(&up.cluster).expect("readable"), up.nodes);
    up.signal(Signal::SIGTERM);
    let (status, log) = up.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(nodes.into_iter().all(gone));
    for node in ["P0 ", "P1 ", "P2 "] {
        assert!(log.lines().any(|l| l.starts_with(node)), "no log of {node}:\n{log}");
    }

    let again = Up::start(&dir);
    assert_eq!(fs::read(&again.cluster).expect("readable"), before);
    again.signal(Signal::SIGINT);
    assert_eq!(again.end().0.code(), Some(0));
}

#[test]
fn no_node_outlives_it_even_if_it_is_killed() {
    let temp = tempfile::tempdir().expect("a directory");
    let up = Up::start(temp.path());
    up.signal(Signal::SIGKILL);
    wait_for("all nodes end", || up.nodes.iter().copied().all(gone));
}

#[test]
fn a_node_that_ends_ends_it_and_is_named() {
    let temp = tempfile::tempdir().expect("a directory");
    let up = Up::start(temp.path());
    let nodes = up.nodes;
    kill(nodes[1], Signal::SIGKILL).expect("it runs");
    let (status, log) = up.end();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("node P1 ended unexpectedly (signal: 9 (SIGKILL))"), "{log}");
    assert!(nodes.into_iter().all(gone));
}

#[test]
fn a_node_that_cannot_start_is_named_with_its_reason() {
    let temp = tempfile::tempdir().expect("a directory");
    let dir = temp.path().to_str().expect("UTF-8");
    assert!(Command::new(PROGRAM).args(["cluster", "init", "--dir", dir]).output().expect("it runs").status.success());
    let key = ClusterFiles::at(temp.path()).node_dir(trefoil_engine::Party::P2).join("node.key");
    fs::remove_file(&key).expect("removed");
    let failed = Command::new(PROGRAM).args(["up", "--dir", dir]).output().expect("it runs");
    let log = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(1), "{log}");
    assert!(log.contains("node P2 could not start") && log.contains("node.key"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_is_wrong() {
    let options = LocalOptions::of(PROGRAM);
    let mut cluster = LocalCluster::start(&options).await.expect("a cluster");
    let file = cluster.cluster_file();
    let (_, other) = (cluster.pids(), LocalCluster::start(&options).await.expect("another cluster"));

    // On the machine of a node that runs.
    let machine = |party| {
        let config = ClusterFiles::at(file.parent().expect("a directory")).node(party);
        Command::new(PROGRAM).args(["doctor", "--json", "--config"]).arg(config).output().expect("it runs")
    };
    let healthy = report(&machine(trefoil_engine::Party::P2));
    for check in ["store", "keys", "disk", "admin", "files", "link"] {
        let found = healthy["findings"].as_array().expect("a list").iter().find(|f| f["check"] == check);
        assert!(found.is_some_and(|f| f["level"] != "error"), "{check}: {healthy}");
    }

    // Somebody else's identity is refused before anything is asked.
    let foreign = doctor(&file, &["--identity", other.files().identity().to_str().expect("UTF-8")]);
    assert_eq!(foreign.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&foreign.stderr).contains("not issued by this cluster's authority"), "{foreign:?}");

    // A client with an outdated cluster file.
    let text = fs::read_to_string(&file).expect("readable");
    let mesh = text.lines().find(|l| l.starts_with("mesh")).expect("a mesh address");
    let outdated = file.with_file_name("outdated.toml");
    fs::write(&outdated, text.replacen(mesh, "mesh = \"127.0.0.1:9\"", 1)).expect("written");
    let found = doctor(&outdated, &[]);
    assert_eq!(found.status.code(), Some(3));
    assert_eq!(bad(&report(&found)).iter().filter(|f| f.contains("another cluster file")).count(), 3);

    // A node that is gone.
    kill(Pid::from_raw(cluster.pids()[2].try_into().expect("a pid")), Signal::SIGKILL).expect("it runs");
    assert!(cluster.failed().await.to_string().contains("node P2 ended"));
    let found = doctor(&file, &[]);
    assert_eq!(found.status.code(), Some(3));
    let report = report(&found);
    assert_eq!(report["works"], false);
    assert!(bad(&report).iter().any(|f| f.contains("\"P2\"") && f.contains("\"api\"")), "{report}");

    let silent = self::report(&machine(trefoil_engine::Party::P2)).to_string();
    assert!(silent.contains("nothing answers at http://127.0.0.1"), "{silent}");

    // The node comes back.
    cluster.restart(trefoil_engine::Party::P2, &options).await.expect("restarted");
    wait_for("all links are back", || doctor(&file, &[]).status.success());
    other.shutdown().await;
    cluster.shutdown().await;
}
