//! Sealed bodies arrive as if they had been sent in plain, and for the request they were sealed for.

use super::*;
use crate::seal::{Envelope, MAX_SEALED_BYTES, SEALED_MEDIA_TYPE, SEALED_TYPE, SealPublic};

async fn key(node: &Node) -> SealPublic {
    let answer = node.get(alice(), "/v1/seal-key").await;
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    serde_json::from_slice(&answer.body).expect("a key")
}

fn envelope(path: &str) -> Envelope<'_> {
    Envelope { to: Party::P0, method: "PUT", path, media_type: MEDIA_TYPE }
}

async fn put_sealed(node: &Node, path: &str, sealed: Vec<u8>) -> Answer {
    let request = Request::put(path)
        .header(header::CONTENT_TYPE, SEALED_MEDIA_TYPE)
        .header(SEALED_TYPE, MEDIA_TYPE)
        .header(header::CONTENT_LENGTH, sealed.len());
    node.call(alice(), request, sealed).await
}

#[tokio::test]
async fn a_sealed_job_is_taken_as_any_other() {
    let node = Node::new(Limits::default());
    let (path, body) = (path(1), body(&aes(3), b""));
    let sealed = key(&node).await.seal(&envelope(&path), &body).expect("a key");
    let answer = put_sealed(&node, &path, sealed).await;
    assert_eq!((answer.status, answer.job()), (StatusCode::ACCEPTED, JobState::Accepted));
    let answer = node.put(alice(), &path, body).await;
    assert_eq!(answer.status, StatusCode::OK, "the same job, in plain");
}

#[tokio::test]
async fn a_sealed_body_is_refused_for_another_request_or_unsealed_or_too_long() {
    let node = Node::new(Limits::default());
    let sealed = key(&node).await.seal(&envelope(&path(1)), &body(&aes(3), b"")).expect("a key");
    let answer = put_sealed(&node, &path(2), sealed.clone()).await;
    assert_eq!(answer.problem(), ProblemKind::BadRequest, "another job");
    let answer = put_sealed(&Node::new(Limits::default()), &path(1), sealed.clone()).await;
    assert_eq!(answer.problem(), ProblemKind::BadRequest, "a node that was started anew");
    let untyped = Request::put(path(1))
        .header(header::CONTENT_TYPE, SEALED_MEDIA_TYPE)
        .header(header::CONTENT_LENGTH, sealed.len());
    assert_eq!(node.call(alice(), untyped, sealed.clone()).await.problem(), ProblemKind::MediaType);
    assert_eq!(put_sealed(&node, &path(1), sealed[..64].to_vec()).await.problem(), ProblemKind::BadRequest);
    let long = vec![0; MAX_SEALED_BYTES as usize + 1];
    assert_eq!(put_sealed(&node, &path(1), long).await.problem(), ProblemKind::TooLarge);
    // Nothing of all that has left a job behind.
    assert_eq!(node.get(alice(), &path(1)).await.problem(), ProblemKind::NotFound);
}
