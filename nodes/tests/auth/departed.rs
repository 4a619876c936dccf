//! A client that goes away while its login waits for a node: real processes, real sockets.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{collections::HashSet, fs, time::Duration};
use trefoil_engine::Party;
use trefoil_nodes::{
    client::Client,
    cluster_files::NodeSettings,
    config::Cluster,
    job::{Limits, ModeSpec},
    local::{LocalCluster, LocalOptions, LocalUser, Seen},
    mesh::TransportSettings,
    pki::Identity,
};

/// Well within the half minute that a login waits for a node that does not come.
const SOON: Duration = Duration::from_secs(20);

/// Nodes to which one that is stopped stays connected.
async fn start() -> LocalCluster {
    let transport = TransportSettings {
        idle_deadline: Duration::from_mins(5),
        stall_deadline: Duration::from_mins(10),
        ..TransportSettings::default()
    };
    let limits = Limits { stall_warning: Duration::from_millis(500), ..Limits::default() };
    let settings = NodeSettings { limits, transport, threads: 1, ..NodeSettings::default() };
    let options = LocalOptions { settings, ..LocalOptions::of(env!("CARGO_BIN_EXE_trefoil")) };
    LocalCluster::start(&options).await.expect("a cluster")
}

fn client(cluster: &LocalCluster) -> Client {
    let own = Identity::named(&cluster.files().identity()).expect("an identity");
    Client::new(&Cluster::load(&cluster.cluster_file()).expect("a cluster"), &own).expect("a client")
}

fn signal(cluster: &LocalCluster, party: Party, signal: Signal) {
    kill(Pid::from_raw(cluster.pids()[party.index()].cast_signed()), signal).expect("it runs");
}

/// Returns when a node has waited for P1 in so many sessions.
async fn waits(cluster: &LocalCluster, party: Party, sessions: usize) {
    let log = cluster.files().node_dir(party).join("node.log");
    let waits = || {
        let text = fs::read_to_string(&log).expect("readable");
        let joins = text.lines().filter(|line| line.contains("step=\"join\"") && line.contains("awaited=P1"));
        let ids = joins.filter_map(|line| line.split("session=").nth(1)?.get(..32).map(str::to_owned));
        ids.collect::<HashSet<_>>().len()
    };
    while waits() < sessions {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Logs in by a client of its own, which goes away when P0 and P2 have waited for P1 in so many sessions. They may refuse instead: why.
async fn leave(cluster: &LocalCluster, user: &mut LocalUser, sessions: usize) -> Result<(), String> {
    let client = client(cluster);
    let both = async { tokio::join!(waits(cluster, Party::P0, sessions), waits(cluster, Party::P2, sessions)) };
    tokio::select! {
        end = user.log_in(&client, Seen::Own) => Err(end.expect_err("P1 is stopped").to_string()),
        _ = both => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_client_goes_away_before_all_nodes_have_come_can_log_in_again() {
    let cluster = start().await;
    let mut user = LocalUser::enrol(&client(&cluster), "alice", 7, ModeSpec::Malicious).await.expect("a user");
    user.log_in(&client(&cluster), Seen::Own).await.expect("they all run");
    signal(&cluster, Party::P1, Signal::SIGSTOP);
    // The client itself gives up a node that does not answer after five seconds and more.
    tokio::time::timeout(SOON, leave(&cluster, &mut user, 1)).await.expect("in time").expect("taken");
    // That nobody waits for the first any more is heard soon, and not at once.
    let again = async {
        while let Err(why) = leave(&cluster, &mut user, 2).await {
            assert!(why.contains("another login of this user"), "{why}");
        }
    };
    tokio::time::timeout(SOON, again).await.expect("the user is let go");
    signal(&cluster, Party::P1, Signal::SIGCONT);
    let again = async {
        while let Err(why) = user.log_in(&client(&cluster), Seen::Own).await {
            let why = why.to_string();
            assert!(why.contains("another login of this user"), "{why}");
        }
    };
    tokio::time::timeout(SOON, again).await.expect("P1 is back");
    cluster.shutdown().await;
}
