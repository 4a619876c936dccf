//! Wrong certificates and cluster files against real node processes: refused, with the reason, and nobody else suffers.

#[path = "identity/floods.rs"]
mod floods;
#[path = "identity/intruders.rs"]
mod intruders;
#[path = "identity/tokens.rs"]
mod tokens;

use bytes::Bytes;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::{sync::watch, task::JoinHandle};
use trefoil_circuits::aes::{KeySize, reference};
use trefoil_engine::{Lanes, Party};
use trefoil_nodes::{
    Error,
    client::{Client, Plain},
    cluster_files::ClusterFiles,
    config::Cluster,
    job::{AesCtrSpec, JobSpec, ModeSpec, ProgramSpec},
    local::{LocalCluster, LocalOptions},
    mesh::ALPN,
    pki::{Authority, Fingerprint, Identity, Lifetime, create_private, create_public},
    status::NodeStatus,
    tls,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_trefoil");

async fn start() -> (LocalCluster, Cluster) {
    let local = LocalCluster::start(&LocalOptions::of(PROGRAM)).await.expect("a cluster");
    let cluster = Cluster::load(&local.cluster_file()).expect("good");
    (local, cluster)
}

fn yesterday() -> Lifetime {
    let now = OffsetDateTime::now_utc();
    Lifetime { not_before: now - time::Duration::days(3), not_after: now - time::Duration::days(1) }
}

/// The authority of a cluster on disk.
fn authority(files: &ClusterFiles) -> Authority {
    let id = Cluster::load(&files.cluster()).expect("good").id().to_string();
    let read = |name| fs::read(files.dir().join(name)).expect("readable");
    Authority::open(&id, &String::from_utf8(read("ca.crt")).expect("PEM"), &read("ca.key")).expect("good")
}

/// A client of the cluster whose certificate expired yesterday.
fn expired_client(files: &ClusterFiles, dir: &Path) -> Identity {
    let issued = authority(files).issue_client(&"late".parse().expect("a name"), yesterday()).expect("issued");
    let path = dir.join("late.crt");
    create_public(&path, issued.certificate_pem.as_bytes()).expect("written");
    create_private(&dir.join("late.key"), issued.key_pem.as_bytes()).expect("written");
    Identity::named(&path).expect("readable")
}

/// The cluster answers its own client and is connected.
async fn serves(local: &LocalCluster, cluster: &Cluster) {
    let own = Identity::named(&local.files().identity()).expect("good");
    Client::connect(cluster, &own).await.expect("it serves");
}

/// Why a node cannot be reached with this identity.
async fn refusal(cluster: &Cluster, identity: &Identity) -> String {
    let client = Client::new(cluster, identity).expect("a client");
    match client.node_status(Party::P1).await {
        Err(Error::Unreachable { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_at_the_api_and_told_why() {
    let ((local, cluster), (other, foreign)) = (start().await, start().await);
    let temp = tempfile::tempdir().expect("a directory");
    let stranger = Identity::named(&other.files().identity()).expect("good");

    // The node refuses a client of another cluster, and an expired one of its own.
    let cause = refusal(&cluster, &stranger).await;
    assert!(cause.contains("refused our certificate: it was not issued by this cluster's authority"), "{cause}");
    let cause = refusal(&cluster, &expired_client(local.files(), temp.path())).await;
    assert!(cause.contains("refused our certificate: it has expired"), "{cause}");

    // The client refuses a node that is not the one of its cluster file: ours at the address of theirs.
    let text = fs::read_to_string(other.cluster_file()).expect("readable");
    let (theirs, ours) = (foreign.node(Party::P1).api.to_string(), cluster.node(Party::P1).api.to_string());
    let confused = temp.path().join("cluster.toml");
    fs::write(&confused, text.replace(&theirs, &ours)).expect("written");
    let cause = refusal(&Cluster::load(&confused).expect("good"), &stranger).await;
    assert!(cause.contains("we refused the other end's certificate: it was not issued"), "{cause}");

    serves(&local, &cluster).await;
    local.shutdown().await;
    other.shutdown().await;
}

/// The end of an attempt to join the mesh of `cluster` at P0 as P1, with another identity.
async fn join_mesh(cluster: &Cluster, identity: &Identity) -> String {
    let tls = tls::mesh_client(identity, cluster, Party::P0, ALPN).expect("a configuration");
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).expect("fit for QUIC");
    let mut endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
    let address = cluster.node(Party::P0).mesh.to_string().parse().expect("an address");
    let ended = match endpoint.connect(address, "node").expect("it starts").await {
        Err(e) => e,
        // The client's side of TLS 1.3 is done before its certificate is looked at.
        Ok(connection) => tokio::time::timeout(Duration::from_secs(30), connection.closed()).await.expect("closed"),
    };
    tls::explain_quic(&ended).unwrap_or_else(|| ended.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_at_the_mesh_and_told_why() {
    let ((local, cluster), (other, _)) = (start().await, start().await);
    let temp = tempfile::tempdir().expect("a directory");
    let node = |files: &ClusterFiles, party| {
        let dir = files.node_dir(party);
        Identity::load(&dir.join("node.crt"), &dir.join("node.key")).expect("good")
    };
    let cases = [
        (node(other.files(), Party::P1), "not issued by this cluster's authority"),
        (Identity::named(&local.files().identity()).expect("good"), "the wrong role"),
        (node(local.files(), Party::P0), "the wrong role"),
        (expired_client(local.files(), temp.path()), "it has expired"),
    ];
    for (identity, reason) in cases {
        let cause = join_mesh(&cluster, &identity).await;
        assert!(cause.contains("the other end refused our certificate") && cause.contains(reason), "{cause}");
        serves(&local, &cluster).await;
    }
    local.shutdown().await;
    other.shutdown().await;
}

#[test]
fn a_node_with_an_expired_certificate_does_not_start_and_says_so() {
    let temp = tempfile::tempdir().expect("a directory");
    let init = Command::new(PROGRAM).args(["cluster", "init", "--dir"]).arg(temp.path()).output().expect("it runs");
    assert!(init.status.success());
    let files = ClusterFiles::at(temp.path());
    let (dir, cluster) = (files.node_dir(Party::P2), Cluster::load(&files.cluster()).expect("good"));
    let issued = authority(&files).issue_node(Party::P2, &["127.0.0.1"], yesterday()).expect("issued");
    for (name, bytes) in [("node.crt", issued.certificate_pem.as_bytes()), ("node.key", issued.key_pem.as_bytes())] {
        fs::write(dir.join(name), bytes).expect("written");
    }
    let pinned = cluster.node(Party::P2).certificate_sha256.to_string();
    let text = fs::read_to_string(files.cluster()).expect("readable").replace(&pinned, &issued.fingerprint.to_string());
    fs::write(files.cluster(), text).expect("written");

    let node = Command::new(PROGRAM).args(["node", "--config"]).arg(files.node(Party::P2)).output().expect("it runs");
    let said = String::from_utf8_lossy(&node.stderr);
    assert_eq!(node.status.code(), Some(2), "{said}");
    assert!(said.contains("node.crt: the certificate of node P2 expired on"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_with_different_cluster_files_run_no_job() {
    let temp = tempfile::tempdir().expect("a directory");
    let options = LocalOptions { dir: Some(temp.path().to_owned()), ..LocalOptions::of(PROGRAM) };
    let first = LocalCluster::start(&options).await.expect("a cluster");
    let files = first.files().clone();
    first.shutdown().await;

    // P2 gets a copy in which P0 has another API address; the links do not depend on that.
    let cluster = Cluster::load(&files.cluster()).expect("good");
    let text = fs::read_to_string(files.cluster()).expect("readable");
    let other = text.replace(&cluster.node(Party::P0).api.to_string(), "127.0.0.1:9");
    fs::write(files.node_dir(Party::P2).join("other.toml"), other).expect("written");
    let node = fs::read_to_string(files.node(Party::P2)).expect("readable");
    fs::write(files.node(Party::P2), node.replace("../cluster.toml", "other.toml")).expect("written");

    let local = LocalCluster::start(&options).await.expect("the links are up");
    let own = Identity::named(&files.identity()).expect("good");
    let refused = Client::connect(&cluster, &own).await.expect_err("one node has another file").to_string();
    assert!(refused.contains("P2") && refused.contains("another cluster file"), "{refused}");
    local.shutdown().await;
}

/// Jobs one after another, each by a client that reads the cluster file and calls all nodes anew. Counts those that were done, and panics at the first that was
/// not.
struct Load {
    done: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Load {
    fn start(files: &ClusterFiles) -> Self {
        let ((count, done), (stop, mut stopped)) = (watch::channel(0), watch::channel(false));
        let files = files.clone();
        let task = tokio::spawn(async move {
            let mut modes = ModeSpec::ALL.into_iter().cycle();
            while !*stopped.borrow_and_update() {
                let mode = modes.next().unwrap_or_default();
                if let Err(e) = job(&files, mode).await {
                    panic!("after {} jobs: {e}", *count.borrow());
                }
                count.send_modify(|n| *n += 1);
            }
        });
        Self { done, stop, task }
    }

    /// Waits until two more jobs are done: the second has begun after now.
    async fn two_more(&mut self) {
        let now = *self.done.borrow();
        let more = tokio::time::timeout(DEADLINE, self.done.wait_for(|n| *n >= now + 2)).await;
        more.expect("in time").expect("no job has failed");
    }

    async fn end(self) -> u64 {
        self.stop.send_replace(true);
        self.task.await.expect("no job has failed");
        *self.done.borrow()
    }
}

const DEADLINE: Duration = Duration::from_mins(1);

async fn job(files: &ClusterFiles, mode: ModeSpec) -> Result<(), Error> {
    let (cluster, own) = (Cluster::load(&files.cluster())?, Identity::named(&files.identity())?);
    let client = Client::new(&cluster, &own)?;
    let spec = AesCtrSpec { key_bits: KeySize::Aes128, counter: 5, blocks: 1 };
    let key = [Lanes(0x1717_1717_1717_1717); 2];
    let outcome =
        client.run(&JobSpec::new(ProgramSpec::AesCtr(spec), mode), Bytes::new(), &[Plain::Bits(&key)]).await?;
    let bytes: Vec<u8> = outcome.bits(0)?.iter().flat_map(|w| w.0.to_le_bytes()).collect();
    let keys = reference::expand_key(&[0x17; 16]).expect("a key");
    assert_eq!(bytes, reference::encrypt(&keys, 5_u128.to_be_bytes()));
    Ok(())
}

fn trefoil(args: &[&str], path: &Path) {
    let done = Command::new(PROGRAM).args(args).arg(path).output().expect("it runs");
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn hang_up(local: &LocalCluster, parties: &[Party]) {
    for party in parties {
        let pid = Pid::from_raw(local.pids()[party.index()].cast_signed());
        kill(pid, Signal::SIGHUP).expect("it runs");
    }
}

/// Waits until all three nodes report something.
async fn report(files: &ClusterFiles, what: &str, done: impl Fn(Party, &NodeStatus) -> bool) {
    let wait = async {
        loop {
            let (cluster, own) = (Cluster::load(&files.cluster()).expect("good"), Identity::named(&files.identity()));
            let client = Client::new(&cluster, &own.expect("good")).expect("a client");
            let all = client.status().await.map(|status| status.expect("an answer"));
            if Party::ALL.into_iter().zip(&all).all(|(p, status)| done(p, status)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Waits until the log of a node has a text.
async fn logged(files: &ClusterFiles, party: Party, text: &str) {
    let log = files.node_dir(party).join("node.log");
    let wait = async {
        while !fs::read_to_string(&log).expect("readable").contains(text) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("{party} does not log `{text}`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_all_nodes_are_renewed_under_load_and_the_old_ones_are_refused_then() {
    let (local, _) = start().await;
    let files = local.files().clone();
    let identity = |p: Party| {
        let dir = files.node_dir(p);
        Identity::load(&dir.join("node.crt"), &dir.join("node.key")).expect("good")
    };
    let old = Party::ALL.map(identity);
    let mut load = Load::start(&files);
    load.two_more().await;

    // A file that is no good is refused with the reason, and the old one stays.
    let certificate = files.node_dir(Party::P0).join("node.crt");
    let good = fs::read(&certificate).expect("readable");
    fs::write(&certificate, "nothing").expect("written");
    hang_up(&local, &[Party::P0]);
    logged(&files, Party::P0, "the node goes on with the certificate and the cluster file that it has").await;
    fs::write(&certificate, good).expect("written");
    load.two_more().await;

    for p in Party::ALL {
        trefoil(&["cluster", "renew", "--node", &p.index().to_string(), "--dir"], files.dir());
        hang_up(&local, &Party::ALL);
        let count = |status: &NodeStatus| status.accepts.as_ref().map(|all| all[p.index()].len());
        report(&files, "all accept both", |_, status| count(status) == Some(2)).await;
        load.two_more().await;
        trefoil(&["cluster", "switch", "--config"], &files.node(p));
        let new = Some(Fingerprint::of(identity(p).certificate()));
        hang_up(&local, &[p]);
        report(&files, "all see the new certificate", |me, status| {
            let link = status.peers.iter().find(|peer| usize::from(peer.party) == p.index());
            if me == p { status.certificate.sha256 == new } else { link.is_some_and(|l| l.certificate_sha256 == new) }
        })
        .await;
        load.two_more().await;
        trefoil(&["cluster", "settle", "--dir"], files.dir());
        hang_up(&local, &Party::ALL);
        report(&files, "all accept one", |_, status| count(status) == Some(1)).await;
        load.two_more().await;
    }
    let jobs = load.end().await;
    assert!(jobs >= 20, "{jobs} jobs");

    let cluster = Cluster::load(&files.cluster()).expect("good");
    let cause = join_mesh(&cluster, &old[1]).await;
    assert!(cause.contains("the other end refused our certificate") && cause.contains("cluster file pins"), "{cause}");
    let cause = refusal(&cluster, &old[2]).await;
    assert!(cause.contains("the other end refused our certificate") && cause.contains("cluster file pins"), "{cause}");
    for (node, shown) in [(Party::P0, &old[1]), (Party::P1, &old[2])] {
        let print = Fingerprint::of(shown.certificate());
        logged(&files, node, &format!("has the SHA-256 fingerprint {print}, but the cluster file pins")).await;
    }
    serves(&local, &cluster).await;
    local.shutdown().await;
}
