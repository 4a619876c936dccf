//! A node that is stopped lets its jobs end; what the others log of it, and of one that is killed.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use std::{fs, future::Future, time::Duration};
use trefoil_circuits::aes::KeySize;
use trefoil_engine::{Lanes, Party, client::split};
use trefoil_nodes::{
    admin,
    api::Problem,
    cli::{ClusterArgs, Target},
    cluster_files::NodeSettings,
    config::NodeConfig,
    job::{AesCtrSpec, JobId, JobSpec, JobState, JobStatus, MEDIA_TYPE, ModeSpec, ProgramSpec, encode_head},
    local::{LocalCluster, LocalOptions},
    mesh::TransportSettings,
    tls,
};

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(Duration::from_mins(1), work).await;
    in_time.unwrap_or_else(|_| panic!("not within a minute: {what}"))
}

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

/// A job, as each node is sent it.
struct Sent {
    id: JobId,
    bodies: [Vec<u8>; 3],
}

impl Sent {
    fn new() -> Self {
        let aes = AesCtrSpec { key_bits: KeySize::Aes128, counter: 0, blocks: 20 };
        let head = encode_head(&JobSpec::new(ProgramSpec::AesCtr(aes), ModeSpec::default()));
        let shares = split(&[Lanes(3), Lanes(5)]).expect("randomness");
        let bodies = shares.each_ref().map(|share| [&head[..], &share.as_bytes().concat()].concat());
        Self { id: JobId::random().expect("randomness"), bodies }
    }
}

impl Logged {
    fn target(&self) -> Target {
        ClusterArgs { cluster: self.0.cluster_file(), identity: None, token: None }.resolve().expect("a target")
    }

    async fn ask(&self, party: Party, request: (Method, String), body: Option<Vec<u8>>) -> reqwest::Response {
        let target = self.target();
        let tls = tls::api_client(&target.identity, &target.cluster, party).expect("TLS");
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client");
        let (method, rest) = request;
        let url = format!("https://{}/v1/jobs/{rest}", target.cluster.node(party).api);
        let request = http.request(method, url).header(CONTENT_TYPE, MEDIA_TYPE);
        request.body(body.unwrap_or_default()).send().await.expect("an answer")
    }

    async fn put(&self, party: Party, job: &Sent) -> reqwest::Response {
        self.ask(party, (Method::PUT, job.id.to_string()), Some(job.bodies[party.index()].clone())).await
    }

    async fn state(&self, party: Party, job: &Sent) -> JobState {
        let answer = self.ask(party, (Method::GET, format!("{}?wait=60", job.id)), None).await;
        answer.json::<JobStatus>().await.expect("a state").state
    }

    /// What the admin listener says of readiness.
    async fn lacks(&self, party: Party) -> Option<String> {
        let config = NodeConfig::load(&self.0.files().node(party)).expect("a configuration");
        let admin = config.listen.admin.expect("a local cluster has one for each node");
        let asked = tokio::task::spawn_blocking(move || admin::ask(&admin, "/readyz")).await.expect("no panic");
        let (status, text) = asked.expect("an answer");
        (status != 200).then_some(text)
    }

    async fn until_ready(&self, party: Party) {
        soon("the node is ready", async {
            while self.lacks(party).await.is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    async fn until_draining(&self, party: Party) {
        soon("the node is about to stop", async {
            while !self.lacks(party).await.is_some_and(|text| text.contains("about to stop")) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_to_stop_lets_its_jobs_end_and_takes_no_others() {
    let options = LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"));
    let mut nodes = Logged(LocalCluster::start(&options).await.expect("a cluster"));
    for party in Party::ALL {
        nodes.until_ready(party).await;
    }
    // P1 has a job that the others have not yet, so it cannot end before them.
    let job = Sent::new();
    assert_eq!(nodes.put(Party::P1, &job).await.status(), StatusCode::ACCEPTED);
    nodes.signal(Party::P1, Signal::SIGTERM);
    nodes.until_draining(Party::P1).await;

    let refused = nodes.put(Party::P1, &Sent::new()).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(RETRY_AFTER), "{refused:?}");
    let problem: Problem = refused.json().await.expect("a problem");
    assert!(problem.detail.contains("stopping"), "{problem:?}");

    for party in [Party::P0, Party::P2] {
        assert_eq!(nodes.put(party, &job).await.status(), StatusCode::ACCEPTED, "{party}");
    }
    for party in Party::ALL {
        let state = soon("the end of the job", nodes.state(party, &job)).await;
        assert!(matches!(state, JobState::Done { .. }), "{party}: {state:?}");
        let output = nodes.ask(party, (Method::GET, format!("{}/outputs/0", job.id)), None).await;
        assert_eq!(output.status(), StatusCode::OK, "{party}");
        let deleted = nodes.ask(party, (Method::DELETE, job.id.to_string()), None).await;
        assert_eq!(deleted.status(), StatusCode::NO_CONTENT, "{party}");
    }
    let end = soon("the end of P1", nodes.0.failed()).await.to_string();
    assert!(end.contains("P1") && end.contains("exit status: 0"), "{end}");
    nodes.0.shutdown().await;
}

/// The job at P0 waits for the others, which never get it.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_is_obeyed_at_once() {
    let options = LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"));
    let nodes = Logged(LocalCluster::start(&options).await.expect("a cluster"));
    for party in Party::ALL {
        nodes.until_ready(party).await;
    }
    let stuck = Sent::new();
    assert_eq!(nodes.put(Party::P0, &stuck).await.status(), StatusCode::ACCEPTED);
    nodes.signal(Party::P0, Signal::SIGINT);
    nodes.until_draining(Party::P0).await;
    nodes.signal(Party::P0, Signal::SIGINT);
    soon("P0 says why it stops", async {
        while !nodes.all(Party::P0).iter().any(|line| line.contains("P0 stops at once: SIGINT")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    nodes.0.shutdown().await;
}
