//! Following a job, and the list of jobs.

use super::*;
use crate::job::{JobEntry, JobEvent, ProgramKind};
use futures_util::StreamExt as _;

const COST: JobCost = JobCost { rounds: 1, bytes_sent: 2, products: 3, seconds: 0.5 };

/// The names of events, and what they say.
fn events(text: &[u8]) -> Vec<(String, JobEvent)> {
    let text = std::str::from_utf8(text).expect("text");
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name).map(|rest| rest.trim().to_owned())).expect("a field")
    };
    let parts = text.split("\n\n").filter(|event| event.contains("data:"));
    parts.map(|e| (field(e, "id:"), serde_json::from_str(&field(e, "data:")).expect("an event"))).collect()
}

#[tokio::test]
async fn a_job_is_followed_to_its_end_and_from_where_the_client_was() {
    let node = Node::new(Limits::default());
    node.put(alice(), &path(1), body(&aes(3), b"")).await;
    let job = node.jobs.get(JobId::from([1; 16]), &name("alice")).expect("there");
    let stream = format!("{}/events", path(1));
    assert_eq!(node.get(bob(), &stream).await.problem(), ProblemKind::NotFound);
    let request = Request::get(&stream).extension(alice()).body(Body::empty()).expect("a request");
    let answer = TowerToHyperService::new(node.router.clone()).call(request).await.expect("infallible");
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut told = answer.into_body().into_data_stream();
    let mut next = async || told.next().await.map(|chunk| events(&chunk.expect("memory")));
    assert_eq!(next().await, Some(vec![("accepted".to_owned(), JobEvent::Accepted)]));
    job.running();
    assert_eq!(next().await, Some(vec![("running-0".to_owned(), JobEvent::Running { bytes_sent: 0, progress: None })]));
    node.jobs.finish(&job, Ok((Outputs::new(vec![None]), COST)));
    assert_eq!(next().await, Some(vec![("done".to_owned(), JobEvent::Done { cost: COST })]));
    assert_eq!(next().await, None);
    // Who comes back is told what is new, if anything is.
    let again = |last: &str| node.call(alice(), Request::get(&stream).header("last-event-id", last), Body::empty());
    assert_eq!(events(&again("running-0").await.body).len(), 1);
    assert_eq!(again("done").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_client_follows_so_many_jobs_and_no_more() {
    let node = Node::new(Limits::default());
    node.put(alice(), &path(1), body(&aes(3), b"")).await;
    let places: Vec<_> = std::iter::from_fn(|| node.jobs.follow(&name("alice")).ok()).collect();
    let stream = format!("{}/events", path(1));
    let answer = node.get(alice(), &stream).await;
    assert_eq!(
        (places.len(), answer.status, answer.problem()),
        (16, StatusCode::TOO_MANY_REQUESTS, ProblemKind::Share)
    );
    assert!(node.jobs.follow(&name("bob")).is_ok());
    drop(places);
    assert!(node.jobs.follow(&name("alice")).is_ok());
}

#[tokio::test]
async fn each_client_lists_its_own_jobs() {
    let node = Node::new(Limits { client_waiting_jobs: 3, ..Limits::default() });
    for n in 1..=3 {
        let spec =
            if n == 2 { JobSpec { outputs: vec![OutputSpec::to(vec![name("bob")])], ..aes(1) } } else { aes(n.into()) };
        assert_eq!(node.put(alice(), &path(n), body(&spec, b"")).await.status, StatusCode::ACCEPTED);
    }
    let list = async |caller: Caller, query: &str| -> Vec<JobEntry> {
        let answer = node.get(caller, &format!("/v1/jobs{query}")).await;
        serde_json::from_slice(&answer.body).expect("a list")
    };
    let all = list(alice(), "").await;
    assert_eq!((all.len(), list(alice(), "?limit=2").await.len()), (3, 2));
    assert!(all.iter().all(|job| job.program == Some(ProgramKind::AesCtr) && job.ended_unix_ms.is_none()));
    assert!(all.windows(2).all(|two| two[0].submitted_unix_ms >= two[1].submitted_unix_ms));
    let of_bob = list(bob(), "").await;
    assert_eq!(of_bob.iter().map(|job| job.status.id).collect::<Vec<_>>(), [JobId::from([2; 16])]);
    assert_eq!(node.get(alice(), "/v1/jobs?first=1").await.problem(), ProblemKind::BadRequest);
    // A fourth is too many for alice, and bob has his own.
    let answer = node.put(alice(), &path(4), body(&aes(1), b"")).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::TOO_MANY_REQUESTS, ProblemKind::Share));
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(node.put(bob(), &path(4), body(&aes(1), b"")).await.status, StatusCode::ACCEPTED);
}
