//! The routes without a network: requests of several callers, answers and problems.

mod abuse;
mod events;
mod policed;
mod sealed;
mod tables;
mod uploads;

use super::*;
use crate::{
    config::ClusterDigest,
    job::{
        AesCtrSpec, CircuitSpec, Failure, FailureKind, JobCost, JobId, JobSpec, JobState, JobStatus, Journal, Limits,
        MEDIA_TYPE, ModeSpec, OutputSpec, Outputs, ProgramSpec, Session, Sessions, Sha256Hex, Turns, encode_head,
    },
    pki::ClientName,
    status::{CertificateStatus, PeerStatus, SocketBuffers},
};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use sha2::{Digest, Sha256};
use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};
use trefoil_circuits::aes::KeySize;
use trefoil_engine::{
    Lanes, Party,
    client::OutputShare,
    transport::{BoxFuture, SessionId},
};

/// The other nodes never come.
struct Alone;

impl Sessions for Alone {
    fn join(&self, _: SessionId, _: [u8; 32]) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>> {
        Box::pin(std::future::pending())
    }
}

struct Node {
    jobs: Arc<Jobs>,
    /// Whether it has a link to P2.
    linked: Arc<AtomicBool>,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn job(&self) -> JobState {
        serde_json::from_slice::<JobStatus>(&self.body).expect("a job's status").state
    }

    fn problem(&self) -> ProblemKind {
        assert_eq!(self.headers[header::CONTENT_TYPE], PROBLEM_TYPE);
        let problem: Problem = serde_json::from_slice(&self.body).expect("a problem");
        assert_eq!(problem.status, self.status.as_u16());
        problem.kind().expect("a known one")
    }
}

fn status() -> NodeStatus {
    NodeStatus {
        version: "0".to_owned(),
        protocol: "p".to_owned(),
        protocols: None,
        definition_digest: None,
        accepts: None,
        party: 0,
        cluster_digest: ClusterDigest::try_from("00".repeat(32)).expect("a digest"),
        time_unix_ms: 0,
        peers: [(1, true), (2, true)]
            .map(|(party, connected)| PeerStatus {
                party,
                connected,
                rtt_us: None,
                mtu: None,
                protocol: None,
                certificate_sha256: None,
                last_error: None,
                heartbeat_ms: None,
                same_cluster: None,
                clock_ms: None,
            })
            .to_vec(),
        socket_buffers: SocketBuffers { requested: 0, granted: 0 },
        certificate: CertificateStatus { not_after: 0, sha256: None },
        draining: false,
        unready: vec!["no link to P2".to_owned()],
        compared: None,
    }
}

fn name(text: &str) -> ClientName {
    text.parse().expect("a name")
}

fn alice() -> Caller {
    Caller { role: Role::Client(name("alice")) }
}

fn bob() -> Caller {
    Caller { role: Role::Client(name("bob")) }
}

impl Node {
    fn new(limits: Limits) -> Self {
        Self::with(limits.clone(), TableStore::in_memory(limits))
    }

    fn with(limits: Limits, tables: Arc<TableStore>) -> Self {
        Self::that_permits(Some(crate::policy::tests::permissive()), (limits, tables))
    }

    fn that_permits(policy: Option<crate::policy::Policy>, with: (Limits, Arc<TableStore>)) -> Self {
        Self::that_writes(Arc::new(()), policy, with)
    }

    fn that_writes(
        journal: Arc<dyn Journal>,
        policy: Option<crate::policy::Policy>,
        (limits, tables): (Limits, Arc<TableStore>),
    ) -> Self {
        let jobs = Jobs::new(limits, journal);
        let runner =
            Runner::new(jobs.clone(), Arc::new(Alone), Arc::new(Turns::new(Party::P0, 1, Duration::from_mins(1))));
        let linked = Arc::new(AtomicBool::new(true));
        let at = linked.clone();
        let status = move || {
            let mut status = status();
            status.peers[1].connected = at.load(Relaxed);
            status
        };
        let api = Api {
            jobs: jobs.clone(),
            runner,
            tables,
            policy: Arc::new(Enforcer::in_memory(policy)),
            downloads: Downloads::default(),
            seal: SealKey::generate(Party::P0).expect("randomness"),
            status: Box::new(status),
        };
        Self { jobs, linked, router: Arc::new(api).router(Router::new()) }
    }

    async fn call(&self, caller: Caller, request: axum::http::request::Builder, body: impl Into<Body>) -> Answer {
        let request = request.extension(caller).body(body.into()).expect("a request");
        let answer = TowerToHyperService::new(self.router.clone()).call(request).await.expect("infallible");
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a body").to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, caller: Caller, path: &str) -> Answer {
        self.call(caller, Request::get(path), Body::empty()).await
    }

    async fn delete(&self, caller: Caller, path: &str) -> Answer {
        self.call(caller, Request::delete(path), Body::empty()).await
    }

    async fn put(&self, caller: Caller, path: &str, body: Vec<u8>) -> Answer {
        let request =
            Request::put(path).header(header::CONTENT_TYPE, MEDIA_TYPE).header(header::CONTENT_LENGTH, body.len());
        self.call(caller, request, body).await
    }
}

fn path(n: u8) -> String {
    format!("/v1/jobs/{}", JobId::from([n; 16]))
}

fn aes(blocks: u64) -> JobSpec {
    let aes = AesCtrSpec { key_bits: KeySize::Aes128, counter: 0, blocks };
    JobSpec::new(ProgramSpec::AesCtr(aes), ModeSpec::default())
}

fn body(spec: &JobSpec, attachment: &[u8]) -> Vec<u8> {
    let shares = vec![0x3c; spec.sizes().expect("small").upload_bytes() as usize];
    [&encode_head(spec)[..], attachment, &shares].concat()
}

#[tokio::test]
async fn while_a_link_is_down_no_job_is_taken_and_those_that_are_there_are_known() {
    let node = Node::new(Limits::default());
    let body = body(&aes(1), b"");
    assert_eq!(node.put(alice(), &path(1), body.clone()).await.status, StatusCode::ACCEPTED);
    node.linked.store(false, Relaxed);
    let refused = node.put(alice(), &path(2), body.clone()).await;
    assert_eq!((refused.status, refused.problem()), (StatusCode::SERVICE_UNAVAILABLE, ProblemKind::Unready));
    assert!(String::from_utf8_lossy(&refused.body).contains("P0 has no link to P2"), "it says which");
    assert_eq!(node.put(alice(), &path(1), body.clone()).await.status, StatusCode::OK);
    node.linked.store(true, Relaxed);
    assert_eq!(node.put(alice(), &path(2), body).await.status, StatusCode::ACCEPTED, "nothing was left of it");
}

#[tokio::test]
async fn a_job_belongs_to_its_owner_from_its_submission_to_its_deletion() {
    let node = Node::new(Limits::default());
    let (path, body) = (path(1), body(&aes(3), b""));
    let answer = node.put(alice(), &path, body.clone()).await;
    assert_eq!((answer.status, answer.job()), (StatusCode::ACCEPTED, JobState::Accepted));
    let answer = node.put(alice(), &path, body.clone()).await;
    assert_eq!((answer.status, answer.job()), (StatusCode::OK, JobState::Accepted));
    assert_eq!(node.get(alice(), &path).await.job(), JobState::Accepted);

    // Another client learns nothing, and can neither take the name nor end the job.
    assert_eq!(node.get(bob(), &path).await.problem(), ProblemKind::NotFound);
    assert_eq!(node.get(bob(), &format!("{path}/outputs/0")).await.problem(), ProblemKind::NotFound);
    assert_eq!(node.delete(bob(), &path).await.problem(), ProblemKind::NotFound);
    assert_eq!(node.put(bob(), &path, body.clone()).await.problem(), ProblemKind::Conflict);
    assert_eq!(node.put(alice(), &path, self::body(&aes(4), b"")).await.problem(), ProblemKind::Conflict);

    assert_eq!(node.get(alice(), &format!("{path}/outputs/0")).await.problem(), ProblemKind::Unfinished);
    assert_eq!(node.delete(alice(), &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(node.get(alice(), &path).await.problem(), ProblemKind::NotFound);
    assert_eq!(node.delete(alice(), &path).await.problem(), ProblemKind::NotFound);
    assert_eq!(node.put(alice(), &path, body).await.problem(), ProblemKind::Conflict, "a name is not used twice");
}

#[tokio::test]
async fn the_output_is_one_component_and_the_digest_of_the_other() {
    let node = Node::new(Limits::default());
    let path = path(1);
    node.put(alice(), &path, body(&aes(1), b"")).await;
    let job = node.jobs.get(JobId::from([1; 16]), &name("alice")).expect("there");
    let (own, next) = ([1; 16], [2; 16]);
    let share = OutputShare::<Lanes>::from_bytes(Party::P0, 2, &own, &next).expect("two words");
    let cost = JobCost { rounds: 1, bytes_sent: 2, products: 3, seconds: 0.0 };
    node.jobs.finish(&job, Ok((Outputs::new(vec![Some(share.into())]), cost)));
    assert_eq!(node.get(alice(), &format!("{path}?wait=30")).await.job(), JobState::Done { cost });
    let answer = node.get(alice(), &format!("{path}/outputs/0")).await;
    assert_eq!(answer.body, [&own[..], &Sha256::digest(next)].concat());
    assert_eq!(answer.headers[header::CONTENT_LENGTH], "48");
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn a_parameter_that_there_is_not_is_a_problem() {
    let node = Node::new(Limits::default());
    for query in ["x=1", "epoch=x"] {
        let refused = node.get(alice(), &format!("{}/outputs/0?{query}", path(1))).await;
        assert_eq!((refused.status, refused.problem()), (StatusCode::BAD_REQUEST, ProblemKind::BadRequest));
    }
}

#[tokio::test]
async fn an_output_is_there_for_its_recipients_alone() {
    let node = Node::new(Limits::default());
    let path = path(1);
    let spec = JobSpec { outputs: vec![OutputSpec::to(vec![name("bob")])], ..aes(1) };
    assert_eq!(node.put(alice(), &path, body(&spec, b"")).await.status, StatusCode::ACCEPTED);
    let job = node.jobs.get(JobId::from([1; 16]), &name("bob")).expect("there");
    let share = OutputShare::<Lanes>::from_bytes(Party::P0, 2, &[1; 16], &[2; 16]).expect("two words");
    let cost = JobCost { rounds: 1, bytes_sent: 2, products: 3, seconds: 0.0 };
    node.jobs.finish(&job, Ok((Outputs::new(vec![Some(share.into())]), cost)));
    let mallory = || Caller { role: Role::Client(name("mallory")) };
    let output = format!("{path}/outputs/0");
    assert_eq!(node.get(alice(), &output).await.problem(), ProblemKind::NotFound, "the submitter is not named");
    assert_eq!(node.get(mallory(), &output).await.problem(), ProblemKind::NotFound);
    assert_eq!(node.get(mallory(), &path).await.problem(), ProblemKind::NotFound);
    assert_eq!(node.delete(mallory(), &path).await.problem(), ProblemKind::NotFound);
    for k in ["1", "-1", "x", "99999999999999999999"] {
        assert_eq!(node.get(bob(), &format!("{path}/outputs/{k}")).await.problem(), ProblemKind::NotFound, "{k}");
    }
    // Both see the state, and what the submitter deletes stays for the recipient, as often as it wants it.
    let answer = node.get(bob(), &path).await;
    assert_eq!(answer.job(), JobState::Done { cost });
    let status: JobStatus = serde_json::from_slice(&answer.body).expect("a job's status");
    assert_eq!((status.owner, status.outputs[0].shape().len), (name("alice"), 128));
    assert_eq!(node.delete(alice(), &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(node.get(alice(), &path).await.problem(), ProblemKind::NotFound);
    for _ in 0..2 {
        assert_eq!(node.get(bob(), &output).await.body.len(), 16 + 32);
    }
    assert_eq!(node.delete(bob(), &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(node.get(bob(), &output).await.problem(), ProblemKind::NotFound);
}

#[tokio::test]
async fn a_failure_is_told_with_its_cause() {
    let node = Node::new(Limits::default());
    let path = path(1);
    node.put(alice(), &path, body(&aes(1), b"")).await;
    let job = node.jobs.get(JobId::from([1; 16]), &name("alice")).expect("there");
    let failure = Failure::new(FailureKind::Link, "P2 is gone").blaming(Party::P2);
    node.jobs.finish(&job, Err(failure.clone()));
    assert_eq!(node.get(alice(), &path).await.job(), JobState::Failed { failure });
    let answer = node.get(alice(), &format!("{path}/outputs/0")).await;
    assert_eq!(answer.problem(), ProblemKind::Failed);
    assert!(String::from_utf8_lossy(&answer.body).contains("P2 is gone"));
}

#[tokio::test]
async fn what_is_wrong_with_a_submission_is_named() {
    let limits = Limits { body_bytes: 1000, output_bytes: 1000, ..Limits::default() };
    let node = Node::new(limits);
    let good = body(&aes(3), b"");
    let put = |body: Vec<u8>| node.put(alice(), "/v1/jobs/00112233445566778899aabbccddeeff", body);
    assert_eq!(put(good[..good.len() - 1].to_vec()).await.problem(), ProblemKind::BadRequest);
    assert_eq!(put([&good[..], b"x"].concat()).await.problem(), ProblemKind::BadRequest);
    assert_eq!(put(vec![0; 1001]).await.problem(), ProblemKind::TooLarge);
    assert_eq!(put(body(&aes(63), b"")).await.problem(), ProblemKind::TooLarge);
    assert_eq!(put(encode_head(&aes(u64::MAX)).to_vec()).await.problem(), ProblemKind::InvalidJob);
    assert_eq!(put(b"\x02\0\0\0{}".to_vec()).await.problem(), ProblemKind::InvalidJob);
    assert_eq!(put(Vec::new()).await.problem(), ProblemKind::BadRequest);

    let text = b"0 2\n1 2\n1 2\n";
    let circuit = |text: &[u8], input_wires| {
        let sha256 = Sha256Hex::of(text);
        let circuit =
            CircuitSpec { sha256, bytes: text.len() as u64, input_wires, output_wires: 2, instances: NonZeroU32::MIN };
        JobSpec::new(ProgramSpec::Circuit(circuit), ModeSpec::default())
    };
    assert_eq!(
        put(body(&circuit(b"0 2\n1 2\n1 2!\n", 2), b"0 2\n1 2\n1 2!\n")).await.problem(),
        ProblemKind::InvalidJob
    );
    assert_eq!(put(body(&circuit(text, 2), b"0 2\n1 2\n1 3\n")).await.problem(), ProblemKind::InvalidJob);
    assert_eq!(put(body(&circuit(text, 3), text)).await.problem(), ProblemKind::InvalidJob);
    // Nothing of all this has left a trace, so the name is free.
    assert_eq!(node.jobs.load(), (0, 0));
    assert_eq!(put(body(&circuit(text, 2), text)).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn requests_out_of_form_are_refused() {
    let node = Node::new(Limits::default());
    let (at, good) = (path(1), body(&aes(3), b""));
    let request = |content_type, length: Option<usize>| {
        let request = Request::put(&at).header(header::CONTENT_TYPE, content_type);
        match length {
            Some(length) => request.header(header::CONTENT_LENGTH, length),
            None => request,
        }
    };
    let put = |request| node.call(alice(), request, good.clone());
    assert_eq!(put(request("application/json", Some(good.len()))).await.problem(), ProblemKind::MediaType);
    assert_eq!(put(request(MEDIA_TYPE, None)).await.problem(), ProblemKind::LengthRequired);
    for id in ["", "00", "00112233445566778899AABBCCDDEEFF"] {
        let problem = node.put(alice(), &format!("/v1/jobs/{id}"), good.clone()).await.problem();
        assert!(matches!(problem, ProblemKind::BadRequest | ProblemKind::NotFound), "{id}");
    }
    for query in ["wait=soon", "wait=-1", "weight=1"] {
        assert_eq!(node.get(alice(), &format!("{at}?{query}")).await.problem(), ProblemKind::BadRequest, "{query}");
    }
    assert_eq!(node.get(alice(), "/v2/jobs").await.problem(), ProblemKind::NotFound);
    assert_eq!(node.delete(alice(), "/v1/status").await.problem(), ProblemKind::Method);
    // A node is not a client.
    let p1 = Caller { role: Role::Node(Party::P1) };
    assert_eq!(node.put(p1.clone(), &at, good.clone()).await.problem(), ProblemKind::Forbidden);
    assert_eq!(node.get(p1, &at).await.problem(), ProblemKind::Forbidden);
}

#[tokio::test]
async fn a_full_node_says_when_to_come_back() {
    let node = Node::new(Limits { waiting_jobs: 1, ..Limits::default() });
    let good = body(&aes(3), b"");
    assert_eq!(node.put(alice(), &path(1), good.clone()).await.status, StatusCode::ACCEPTED);
    let answer = node.put(bob(), &path(2), good.clone()).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::SERVICE_UNAVAILABLE, ProblemKind::Busy));
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    let job = node.jobs.get(JobId::from([1; 16]), &name("alice")).expect("there");
    assert_eq!(node.delete(alice(), &path(1)).await.status, StatusCode::NO_CONTENT);
    // The place is free when the job has really ended.
    assert!(job.ended_within(Duration::from_mins(1)).await.state.is_final());
    drop(job);
    assert_eq!(node.put(bob(), &path(2), good).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn the_node_reports_on_itself() {
    let node = Node::new(Limits::default());
    assert_eq!(node.get(alice(), "/livez").await.status, StatusCode::OK);
    let answer = node.get(alice(), "/readyz").await;
    assert_eq!(answer.problem(), ProblemKind::Unready);
    assert!(String::from_utf8_lossy(&answer.body).contains("no link to P2;"));
    let read: NodeStatus = serde_json::from_slice(&node.get(alice(), "/v1/status").await.body).expect("a status");
    assert_eq!(read, status());
}
