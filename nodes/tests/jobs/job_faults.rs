//! Nodes that die, stall or disagree while jobs run, and clients that send garbage: real processes, real sockets.

use bytes::Bytes;
use futures_util::future::join_all;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    num::NonZeroU32,
    process::Command,
    time::Duration,
};
use trefoil_circuits::aes::{KeySize, reference};
use trefoil_engine::{Lanes, Party};
use trefoil_nodes::{
    Error,
    api::{Problem, ProblemKind},
    cli::{ClusterArgs, Exit, Target},
    client::{Client, JobHandle, Plain},
    cluster_files::NodeSettings,
    job::{
        AesCtrSpec, FailureKind, JobId, JobSpec, JobState, JobStatus, Limits, MEDIA_TYPE, ModeSpec, ProgramSpec,
        encode_head,
    },
    local::{LocalCluster, LocalOptions},
    mesh::TransportSettings,
    tls,
};

const KEY: [Lanes; 2] = [Lanes(0x1717_1717_1717_1717); 2];

fn aes(blocks: u64) -> JobSpec {
    let aes = AesCtrSpec { key_bits: KeySize::Aes128, counter: 0, blocks };
    JobSpec::new(ProgramSpec::AesCtr(aes), ModeSpec::default())
}

/// A cluster that gives up on a silent peer after a few seconds.
struct Faulty {
    cluster: LocalCluster,
    options: LocalOptions,
    target: Target,
    client: Client,
}

impl Faulty {
    async fn start(limits: Limits) -> Self {
        let transport = TransportSettings {
            // Well above the idle deadline, so that a dead node is seen to be dead before anybody waits too long for another.
            stall_deadline: Duration::from_secs(25),
            join_deadline: Duration::from_secs(12),
            idle_deadline: Duration::from_secs(8),
            ..TransportSettings::default()
        };
        let settings = NodeSettings { limits, transport, ..NodeSettings::default() };
        let options = LocalOptions { settings, ..LocalOptions::of(env!("CARGO_BIN_EXE_trefoil")) };
        let cluster = LocalCluster::start(&options).await.expect("a cluster");
        let target =
            ClusterArgs { cluster: cluster.cluster_file(), identity: None, token: None }.resolve().expect("a target");
        let client = Client::connect(&target.cluster, &target.identity).await.expect("a client");
        Self { cluster, options, target, client }
    }

    fn signal(&self, party: Party, signal: Signal) {
        let pid = self.cluster.pids()[party.index()];
        kill(Pid::from_raw(pid.try_into().expect("a pid")), signal).expect("it runs");
    }

    /// A job that takes far longer than the faults of these tests.
    async fn long_job(&self) -> JobHandle {
        let job = self.client.submit(&aes(4_000_000), Bytes::new(), &[Plain::Bits(&KEY)]).await.expect("accepted");
        self.until_running(&job).await;
        job
    }

    async fn until_running(&self, job: &JobHandle) {
        let path = format!("/v1/jobs/{}", job.id());
        let wait = async {
            for p in Party::ALL {
                while self.get::<JobStatus>(p, &path).await.state != JobState::Running {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        tokio::time::timeout(Duration::from_mins(1), wait).await.expect("it runs within a minute");
    }

    /// The three nodes compute together, and right.
    async fn works(&self) {
        let connect = async {
            while Client::connect(&self.target.cluster, &self.target.identity).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), connect).await.expect("connected within a minute");
        let outcome = self.client.run(&aes(1), Bytes::new(), &[Plain::Bits(&KEY)]).await.expect("done");
        let keys = reference::expand_key(&[0x17; 16]).expect("a key");
        let block: Vec<u8> = outcome.bits(0).expect("bits").iter().flat_map(|w| w.0.to_le_bytes()).collect();
        assert_eq!(block, reference::encrypt(&keys, [0; 16]));
    }

    fn http(&self, party: Party, protocol: reqwest::Version) -> reqwest::Client {
        let mut tls = tls::api_client(&self.target.identity, &self.target.cluster, party).expect("TLS");
        if protocol == reqwest::Version::HTTP_2 {
            tls.alpn_protocols = vec![b"h2".to_vec()];
        }
        reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client")
    }

    fn url(&self, party: Party, path: &str) -> String {
        format!("https://{}{path}", self.target.cluster.node(party).api)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, party: Party, path: &str) -> T {
        self.http(party, reqwest::Version::HTTP_2)
            .get(self.url(party, path))
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON")
    }

    /// Submits to one node alone.
    async fn put(&self, party: Party, id: JobId, spec: &JobSpec) {
        // Each node is given the key zero on its own: parts of zero fit together whoever dealt them.
        let body = [&encode_head(spec)[..], &[0; 32]].concat();
        let request = self.http(party, reqwest::Version::HTTP_2).put(self.url(party, &format!("/v1/jobs/{id}")));
        let answer = request.header("content-type", MEDIA_TYPE).body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 202);
    }

    async fn end(&self, party: Party, id: JobId) -> JobState {
        let path = format!("/v1/jobs/{id}?wait=60");
        self.get::<JobStatus>(party, &path).await.state
    }
}

/// The error names the node, wherever it was seen first.
fn names(error: &Error, party: Party) -> bool {
    let blamed = match error {
        Error::Job { failure, .. } => failure.blamed == Some(party.index() as u8),
        Error::Unreachable { node, .. } => node.starts_with(&party.to_string()),
        _ => false,
    };
    blamed && error.to_string().contains(&party.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_named_and_the_others_serve_on() {
    let mut faulty = Faulty::start(Limits::default()).await;
    for party in Party::ALL {
        let job = faulty.long_job().await;
        faulty.signal(party, Signal::SIGKILL);
        let error =
            tokio::time::timeout(Duration::from_mins(1), job.wait()).await.expect("no hang").expect_err("failed");
        assert!(names(&error, party), "{party}: {error}");
        assert_eq!(error.exit(), Exit::Unreachable);
        for other in party.peers() {
            let JobState::Failed { failure } = faulty.end(other, job.id()).await else { panic!("{other} goes on") };
            assert_eq!(failure.blamed, Some(party.index() as u8), "{other}: {}", failure.cause);
        }
        faulty.cluster.restart(party, &faulty.options).await.expect("it starts again");
        let JobState::Failed { failure } = faulty.end(party, job.id()).await else { panic!("{party} goes on") };
        assert_eq!(failure.kind, FailureKind::Stopped, "{party} knows of it: {}", failure.cause);
        assert!(failure.cause.contains("ended while the job was under way"), "{}", failure.cause);
        faulty.works().await;
    }
    // Their logs have all of it, as they were written.
    let logs = Party::ALL.map(|party| faulty.cluster.files().node_dir(party).join("audit"));
    let verified = Command::new(env!("CARGO_BIN_EXE_trefoil")).args(["audit", "verify", "--json"]).args(&logs).output();
    let verified = verified.expect("it runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let report: serde_json::Value = serde_json::from_slice(&verified.stdout).expect("JSON");
    assert_eq!((&report["whole"], report["logs"][2]["party"].as_u64()), (&serde_json::Value::Bool(true), Some(2)));
    // A line of one is altered: so is its node's next start.
    let log = std::fs::read_dir(&logs[1]).expect("there").next().expect("a file").expect("readable").path();
    let altered = std::fs::read_to_string(&log).expect("a log").replacen("aes-ctr", "circuit", 1);
    std::fs::write(&log, altered).expect("room");
    let verified = Command::new(env!("CARGO_BIN_EXE_trefoil")).args(["audit", "verify"]).args(&logs).output();
    let verified = verified.expect("it runs");
    let error = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.code() == Some(5) && error.contains("it was altered"), "{error}");
    let error = faulty.cluster.restart(Party::P1, &faulty.options).await.expect_err("its log was changed");
    assert!(error.to_string().contains("it was altered") && error.to_string().contains("move it away"), "{error}");
    faulty.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_node_is_named_within_the_deadline_and_can_come_back() {
    let faulty = Faulty::start(Limits::default()).await;
    let job = faulty.long_job().await;
    faulty.signal(Party::P1, Signal::SIGSTOP);
    for other in Party::P1.peers() {
        let JobState::Failed { failure } = faulty.end(other, job.id()).await else { panic!("{other} goes on") };
        assert_eq!(failure.blamed, Some(1), "{other}: {}", failure.cause);
        assert_eq!(failure.kind, FailureKind::Link);
    }
    faulty.signal(Party::P1, Signal::SIGCONT);
    faulty.works().await;
    faulty.cluster.shutdown().await;
}

/// Each node gets the jobs in another order, and one job computes at a time: none waits for another for ever.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_jobs_in_three_orders_are_all_done() {
    let faulty = Faulty::start(Limits { running_strands: Some(NonZeroU32::MIN), ..Limits::default() }).await;
    let ids: Vec<_> = (0..50).map(|_| JobId::random().expect("randomness")).collect();
    let orders = Party::ALL.map(|p| {
        let (faulty, ids) = (&faulty, &ids);
        async move {
            // Multiplication by 1, 21 and 31 permutes 0..50 in three ways.
            for k in 0..50 {
                faulty.put(p, ids[k * [1, 21, 31][p.index()] % 50], &aes(100)).await;
            }
        }
    });
    join_all(orders).await;
    for p in Party::ALL {
        for id in &ids {
            let state = faulty.end(p, *id).await;
            assert!(matches!(state, JobState::Done { .. }), "{p}: {state:?}");
        }
    }
    faulty.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_one_node_does_not_have_fails_in_time() {
    let faulty = Faulty::start(Limits::default()).await;
    for absent in Party::ALL {
        let id = JobId::random().expect("randomness");
        for p in absent.peers() {
            faulty.put(p, id, &aes(1)).await;
        }
        for p in absent.peers() {
            let JobState::Failed { failure } = faulty.end(p, id).await else { panic!("{p} goes on") };
            assert_eq!(failure.blamed, Some(absent.index() as u8), "{p}: {}", failure.cause);
        }
    }
    faulty.works().await;
    faulty.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_were_told_different_jobs_do_not_run_them() {
    let faulty = Faulty::start(Limits::default()).await;
    let id = JobId::random().expect("randomness");
    for (p, blocks) in Party::ALL.into_iter().zip([1, 2, 1]) {
        faulty.put(p, id, &aes(blocks)).await;
    }
    let mut mismatch = 0;
    for p in Party::ALL {
        let JobState::Failed { failure } = faulty.end(p, id).await else { panic!("{p} goes on") };
        assert!(failure.cause.contains("specification"), "{p}: {}", failure.cause);
        mismatch += usize::from(failure.kind == FailureKind::Mismatch);
    }
    assert!(mismatch > 0, "nobody says what it is");
    faulty.works().await;
    faulty.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_ends_everywhere_and_frees_its_place() {
    let faulty = Faulty::start(Limits { running_strands: Some(NonZeroU32::MIN), ..Limits::default() }).await;
    let job = faulty.long_job().await;
    let id = job.id();
    // At one node alone; the others hear of it from their sessions.
    let answer = faulty
        .http(Party::P2, reqwest::Version::HTTP_11)
        .delete(faulty.url(Party::P2, &format!("/v1/jobs/{id}")))
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 204);
    for other in Party::P2.peers() {
        let JobState::Failed { failure } = faulty.end(other, id).await else { panic!("{other} goes on") };
        assert!(failure.cause.contains("cancelled"), "{}", failure.cause);
    }
    // The only place to compute is free again.
    faulty.works().await;
    job.delete().await;
    faulty.cluster.shutdown().await;
}

/// What P2's operator has no part in.
const STRICT: &str = "[[deny]]\nname = \"no-semi-honest\"\nmodes = [\"semi-honest\"]\n";

/// The audit log of a node, below its directory.
const LOG: &str = "audit/audit-000000000000.log";

impl Faulty {
    /// Another policy for P2, signed by the program, of which the node hears.
    fn repolice(&self, text: &str) {
        let files = self.cluster.files();
        std::fs::write(files.policy(Party::P2), text).expect("written");
        let mut sign = Command::new(env!("CARGO_BIN_EXE_trefoil"));
        let signed = sign.args(["policy", "sign"]).arg(files.policy(Party::P2)).arg("--key").arg(files.policy_key());
        assert!(signed.output().expect("it runs").status.success());
        self.signal(Party::P2, Signal::SIGHUP);
    }

    /// Waits until the file of a node has a text.
    async fn until_written(&self, file: &str, text: &str) {
        let path = self.cluster.files().node_dir(Party::P2).join(file);
        let written = async {
            while !std::fs::read_to_string(&path).is_ok_and(|all| all.contains(text)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), written).await.unwrap_or_else(|_| panic!("{file} has no {text}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_denies_is_not_computed_and_all_say_which_and_why() {
    let faulty = Faulty::start(Limits::default()).await;
    let text = std::fs::read_to_string(faulty.cluster.files().policy(Party::P2)).expect("readable");
    let strict = format!("{}{STRICT}", text.replace("serial = 1", "serial = 2"));
    faulty.repolice(&strict);
    faulty.until_written(LOG, "\"event\":\"policy\",\"serial\":2").await;

    let id = JobId::random().expect("randomness");
    let spec = JobSpec { mode: ModeSpec::SemiHonest, ..aes(1) };
    faulty.put(Party::P0, id, &spec).await;
    faulty.put(Party::P1, id, &spec).await;
    let body = [&encode_head(&spec)[..], &[0; 32]].concat();
    let url = faulty.url(Party::P2, &format!("/v1/jobs/{id}"));
    let request = faulty.http(Party::P2, reqwest::Version::HTTP_2).put(url);
    let answer = request.header("content-type", MEDIA_TYPE).body(body).send().await.expect("an answer");
    assert_eq!(answer.status(), 403);
    let problem: Problem = answer.json().await.expect("a problem");
    assert_eq!(problem.kind(), Some(ProblemKind::Policy));
    assert!(problem.detail.contains("policy 2 of P2: rule `no-semi-honest` denies it"), "{}", problem.detail);
    for other in [Party::P0, Party::P1] {
        let JobState::Failed { failure } = faulty.end(other, id).await else { panic!("{other} goes on") };
        assert_eq!((failure.kind, failure.blamed), (FailureKind::Denied, Some(2)), "{}", failure.cause);
        assert!(
            failure.cause.contains("P2 takes no part") && failure.cause.contains("`no-semi-honest`"),
            "{}",
            failure.cause
        );
    }
    faulty.until_written(LOG, "\"status\":403,\"policy\":\"policy 2 of P2: rule `no-semi-honest` denies it").await;
    // The client library hears it from the node, too.
    let refused = faulty.client.run(&spec, Bytes::new(), &[Plain::Bits(&KEY)]).await.expect_err("denied");
    assert!(refused.to_string().contains("P2 (") && refused.to_string().contains("no-semi-honest"), "{refused}");
    // What it permits goes on, and each job has its rule in the log.
    faulty.works().await;
    faulty.until_written(LOG, "\"rule\":\"all-jobs\"").await;

    // An older policy is refused, and the one in force stays.
    faulty.repolice(&text);
    faulty.until_written("node.log", "the policy stays as it was").await;
    let refused = faulty.client.run(&spec, Bytes::new(), &[Plain::Bits(&KEY)]).await.expect_err("denied still");
    assert!(refused.to_string().contains("policy 2 of P2"), "{refused}");
    faulty.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_silence_on_the_api_port_hurt_nobody() {
    let limits = Limits { client_timeout: Duration::from_secs(2), ..Limits::default() };
    let faulty = Faulty::start(limits).await;
    let address = faulty.target.cluster.node(Party::P0).api.to_string();
    let connect = || {
        let stream = TcpStream::connect(&address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("set");
        stream
    };
    // A TLS record of the greatest length and beyond, plain HTTP, zeros.
    let long = [&[0x16, 3, 1, 0xff, 0xff][..], &vec![0xaa; 1 << 17]].concat();
    for garbage in [&long[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0; 5000]] {
        let mut stream = connect();
        // The server may close while this is written.
        let _ = stream.write_all(garbage);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 100, "{} bytes in answer to garbage", answer.len());
    }
    // Many who connect and say nothing: they are shown out, and meanwhile others are served.
    let silent: Vec<_> = (0..100).map(|_| connect()).collect();
    faulty.works().await;
    for mut stream in silent {
        let mut answer = Vec::new();
        assert!(matches!(stream.read_to_end(&mut answer), Ok(0)), "shown out");
    }
    // Another cluster's certificate, and an announced body that is too large.
    let stranger = Faulty::start(Limits::default()).await;
    let tls = tls::api_client(&stranger.target.identity, &faulty.target.cluster, Party::P0).expect("TLS");
    let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client");
    let error = http.get(faulty.url(Party::P0, "/livez")).send().await.expect_err("refused");
    let cause = tls::explain(&error).expect("a TLS failure");
    assert!(cause.contains("not issued by this cluster's authority"), "{cause}");
    stranger.cluster.shutdown().await;
    // Refusals arrive although the client is still sending.
    for protocol in [reqwest::Version::HTTP_11, reqwest::Version::HTTP_2] {
        for (bytes, media_type, status) in [(65 << 20, MEDIA_TYPE, 413), (3 << 20, "text/plain", 415)] {
            let url = faulty.url(Party::P0, &format!("/v1/jobs/{}", "00".repeat(16)));
            let put = faulty.http(Party::P0, protocol).put(url).header("content-type", media_type);
            let answer = put.body(vec![0; bytes]).send().await.expect("an answer");
            assert_eq!((answer.version(), answer.status().as_u16()), (protocol, status));
        }
    }
    faulty.works().await;
    faulty.cluster.shutdown().await;
}
