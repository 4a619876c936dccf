//! What the others log when a node is stopped, and when it is killed.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{fs, time::Duration};
use trefoil_engine::Party;
use trefoil_nodes::{
    cluster_files::NodeSettings,
    local::{LocalCluster, LocalOptions},
    mesh::TransportSettings,
};

struct Logged(LocalCluster);

impl Logged {
    /// The lines of a node's log.
    fn all(&self, party: Party) -> Vec<String> {
        let path = self.0.files().node_dir(party).join("node.log");
        fs::read_to_string(path).expect("a log").lines().map(str::to_owned).collect()
    }

    /// Those that speak of this peer.
    fn of(&self, party: Party, peer: Party) -> Vec<String> {
        let peer = format!("peer={peer}");
        self.all(party).into_iter().filter(|l| l.contains(&peer)).collect()
    }

    async fn until(&self, party: Party, peer: Party, what: &str) {
        let wait = async {
            while !self.of(party, peer).iter().any(|l| l.contains(what)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_mins(1), wait).await;
        assert!(in_time.is_ok(), "{party} does not say `{what}` of {peer}: {:?}", self.of(party, peer));
    }

    fn signal(&self, party: Party, signal: Signal) {
        let pid = self.0.pids()[party.index()];
        kill(Pid::from_raw(pid.try_into().expect("a pid")), signal).expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_is_worth_no_warning_and_a_killed_one_is() {
    let transport = TransportSettings { idle_deadline: Duration::from_secs(2), ..TransportSettings::default() };
    let settings = NodeSettings { transport, ..NodeSettings::default() };
    let options = LocalOptions {
        settings,
        filter: "info,trefoil_nodes::mesh=debug".to_owned(),
        ..LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"))
    };
    let mut nodes = Logged(LocalCluster::start(&options).await.expect("a cluster"));

    nodes.signal(Party::P1, Signal::SIGTERM);
    nodes.0.failed().await;
    for other in Party::P1.peers() {
        nodes.until(other, Party::P1, "the peer has shut down").await;
    }
    // Its dialler has tried again, in vain.
    nodes.until(Party::P0, Party::P1, "is not back yet").await;
    for (p, other) in [(Party::P0, Party::P1), (Party::P2, Party::P1)] {
        let lines = nodes.of(p, other);
        let since = lines.iter().skip_while(|l| !l.contains("the peer has shut down"));
        assert!(since.clone().all(|l| !l.contains("WARN")), "{p}: {lines:?}");
    }
    // While the nodes started, it may have called others that did not listen yet: only what follows the signal counts.
    let lines = nodes.all(Party::P1);
    let since = lines.iter().skip_while(|l| !l.contains("P1 stops: SIGTERM"));
    assert!(since.clone().count() > 0 && since.clone().all(|l| !l.contains("WARN")), "{lines:?}");

    nodes.signal(Party::P2, Signal::SIGKILL);
    nodes.until(Party::P0, Party::P2, "WARN").await;
    nodes.0.shutdown().await;
}
