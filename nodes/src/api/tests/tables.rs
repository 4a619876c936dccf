//! Requests about tables.

use super::*;
use crate::{
    job::{InputSpec, MomentsSpec, ProgramKind, TableInput, frame},
    tables::{ColumnSpec, Permit, TABLE_MEDIA_TYPE, TableSpec, TableStatus, UploadId},
};
use trefoil_circuits::program::RingKind;

/// Five rows of one column, which bob may sum up for himself.
fn spec() -> TableSpec {
    let permit = Permit {
        programs: vec![ProgramKind::Moments],
        modes: vec![ModeSpec::Malicious],
        requesters: vec![name("bob")],
        recipients: vec![name("bob")],
        ..Permit::default()
    };
    TableSpec {
        upload: UploadId::random().expect("randomness"),
        rows: 5,
        columns: vec![ColumnSpec { name: "income".parse().expect("a name"), ring: RingKind::Z64 }],
        permits: vec![permit],
        expires: None,
    }
}

fn body_of(spec: &TableSpec) -> Vec<u8> {
    [&frame(&spec.canonical())[..], &[7; 80]].concat()
}

async fn put(node: &Node, caller: Caller, path: &str, body: Vec<u8>) -> Answer {
    let request =
        Request::put(path).header(header::CONTENT_TYPE, TABLE_MEDIA_TYPE).header(header::CONTENT_LENGTH, body.len());
    node.call(caller, request, body).await
}

async fn list(node: &Node, caller: Caller) -> Vec<TableStatus> {
    serde_json::from_slice(&node.get(caller, "/v1/tables").await.body).expect("a list")
}

const LOANS: &str = "/v1/tables/loans/3";

#[tokio::test]
async fn a_table_is_there_for_its_owner_alone_until_it_is_deleted() {
    let node = Node::new(Limits::default());
    let spec = spec();
    let answer = put(&node, alice(), LOANS, body_of(&spec)).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let stored: TableStatus = serde_json::from_slice(&answer.body).expect("a table");
    assert_eq!((stored.owner.clone(), stored.version, stored.rows), (name("alice"), 3, 5));
    assert_eq!(list(&node, alice()).await, [stored]);
    assert!(list(&node, bob()).await.is_empty());
    // The same upload again; another of that version; the same name of another client.
    assert_eq!(put(&node, alice(), LOANS, body_of(&spec)).await.status, StatusCode::OK);
    assert_eq!(put(&node, alice(), LOANS, body_of(&self::spec())).await.problem(), ProblemKind::Conflict);
    assert_eq!(put(&node, bob(), LOANS, body_of(&spec)).await.status, StatusCode::CREATED);

    let of_upload = |upload| format!("{LOANS}?upload={upload}");
    let other = of_upload(UploadId::random().expect("randomness"));
    assert_eq!(node.delete(alice(), &other).await.problem(), ProblemKind::NotFound);
    assert_eq!(node.delete(alice(), &of_upload(spec.upload)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(node.delete(alice(), LOANS).await.problem(), ProblemKind::NotFound);
    assert_eq!(list(&node, bob()).await.len(), 1);
    assert_eq!(node.delete(bob(), LOANS).await.status, StatusCode::NO_CONTENT);
}

/// A download that is begun and not read.
async fn begin(node: &Node, caller: Caller, path: &str) -> Result<axum::response::Response, (StatusCode, String)> {
    let request = Request::get(path).extension(caller).body(Body::empty()).expect("a request");
    let answer = TowerToHyperService::new(node.router.clone()).call(request).await.expect("infallible");
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    let problem: Problem = serde_json::from_slice(&body).expect("a problem");
    Err((status, problem.detail))
}

#[tokio::test]
async fn downloads_are_few_at_a_time_and_few_in_a_second() {
    let node = Node::new(Limits::default());
    for caller in [alice(), bob()] {
        assert_eq!(put(&node, caller, LOANS, body_of(&spec())).await.status, StatusCode::CREATED);
    }
    let head = node.call(alice(), Request::head(LOANS), Body::empty()).await;
    assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
    let mut held = Vec::new();
    let refused = loop {
        match begin(&node, alice(), LOANS).await {
            Ok(answer) => held.push(answer),
            Err(refused) => break refused,
        }
    };
    assert_eq!((held.len(), refused.0), (4, StatusCode::TOO_MANY_REQUESTS), "a quarter: {refused:?}");
    assert!(refused.1.contains("4 downloads of you"), "{refused:?}");
    let other = begin(&node, bob(), LOANS).await.expect("bob has places of his own");
    drop((held, other));
    // One after the other, until it is too often.
    let often = async {
        loop {
            match begin(&node, bob(), LOANS).await {
                Ok(answer) => drop(answer),
                Err(refused) => return refused,
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_mins(1), often).await.expect("it ends");
    assert_eq!(refused.0, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.1.contains("in a second; wait "), "{refused:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_table_is_named_and_leaves_no_trace() {
    let limits = Limits { table_bytes: 1000, ..Limits::default() };
    let node = Node::new(limits);
    let good = body_of(&spec());
    for (body, expected) in [
        (good[..good.len() - 1].to_vec(), ProblemKind::BadRequest),
        ([&good[..], b"x"].concat(), ProblemKind::BadRequest),
        (vec![0; 1001], ProblemKind::TooLarge),
        (b"\x02\0\0\0{}".to_vec(), ProblemKind::InvalidTable),
        (u32::MAX.to_le_bytes().to_vec(), ProblemKind::InvalidTable),
        (body_of(&TableSpec { rows: 0, ..spec() }), ProblemKind::InvalidTable),
        (body_of(&TableSpec { rows: u64::MAX, ..spec() }), ProblemKind::InvalidTable),
        (body_of(&TableSpec { rows: 6, ..spec() }), ProblemKind::BadRequest),
        (body_of(&TableSpec { columns: Vec::new(), ..spec() }), ProblemKind::InvalidTable),
        (
            body_of(&TableSpec { expires: Some("1970-01-01T00:01:40Z".parse().expect("a moment")), ..spec() }),
            ProblemKind::InvalidTable,
        ),
    ] {
        assert_eq!(put(&node, alice(), LOANS, body.clone()).await.problem(), expected, "{} bytes", body.len());
    }
    // A body that ends before its announced length.
    let request = |content_type| {
        Request::put(LOANS).header(header::CONTENT_TYPE, content_type).header(header::CONTENT_LENGTH, good.len())
    };
    let short = node.call(alice(), request(TABLE_MEDIA_TYPE), good[..good.len() - 1].to_vec()).await;
    assert_eq!(short.problem(), ProblemKind::BadRequest);
    assert_eq!(node.call(alice(), request(MEDIA_TYPE), good.clone()).await.problem(), ProblemKind::MediaType);
    for path in [
        "/v1/tables/loans/03",
        "/v1/tables/loans/-1",
        "/v1/tables/loans/4294967296",
        "/v1/tables/a%20b/1",
        "/v1/tables/%2e%2e/1",
    ] {
        assert_eq!(put(&node, alice(), path, good.clone()).await.problem(), ProblemKind::BadRequest, "{path}");
    }
    assert_eq!(node.delete(alice(), "/v1/tables/loans/1?all=1").await.problem(), ProblemKind::BadRequest);
    let p1 = || Caller { role: Role::Node(Party::P1) };
    assert_eq!(put(&node, p1(), LOANS, good.clone()).await.problem(), ProblemKind::Forbidden);
    assert_eq!(node.get(p1(), "/v1/tables").await.problem(), ProblemKind::Forbidden);
    assert!(list(&node, alice()).await.is_empty());
    assert_eq!(put(&node, alice(), LOANS, good).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_job_that_the_owner_has_not_permitted_leaves_no_trace() {
    let node = Node::new(Limits::default());
    put(&node, alice(), LOANS, body_of(&spec())).await;
    let input = |version| {
        let (owner, name) = (name("alice"), "loans".parse().expect("a name"));
        InputSpec::Table(TableInput { owner, name, version, columns: Vec::new() })
    };
    let moments = |rows| ProgramSpec::Moments(MomentsSpec { columns: 1, rows: vec![rows], limit: None });
    let good = JobSpec { inputs: vec![input(3)], ..JobSpec::new(moments(5), ModeSpec::Malicious) };
    for spec in [
        good.clone(),
        JobSpec { outputs: vec![OutputSpec::to(vec![name("bob")]); 2], ..good.clone() },
        JobSpec { inputs: vec![input(4)], ..good.clone() },
    ] {
        assert_eq!(node.put(alice(), &path(1), body(&spec, b"")).await.problem(), ProblemKind::Denied);
    }
    assert_eq!(
        node.put(bob(), &path(1), body(&JobSpec::new(moments(5), ModeSpec::Malicious), b"")).await.status,
        StatusCode::ACCEPTED
    );
    let wrong = JobSpec { inputs: vec![input(3)], ..JobSpec::new(moments(6), ModeSpec::Malicious) };
    assert_eq!(node.put(bob(), &path(2), body(&wrong, b"")).await.problem(), ProblemKind::InvalidJob);
    assert_eq!(node.jobs.load().0, 1, "what was refused is not held");
    assert_eq!(node.put(bob(), &path(2), body(&good, b"")).await.status, StatusCode::ACCEPTED);
}
