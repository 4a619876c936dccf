//! Sealed bodies arrive as if they had been sent in plain, and for the request they were sealed for.

use super::*;
use crate::seal::{
    Envelope, MAX_SEALED_BYTES, RecipientKey, SEALED_MEDIA_TYPE, SEALED_OUTPUT_TYPE, SEALED_TYPE, SealPublic, ShareOf,
};

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

#[tokio::test]
async fn an_output_is_sealed_to_the_key_that_the_job_names() {
    let node = Node::new(Limits::default());
    let key = RecipientKey::generate().expect("randomness");
    let mut output = OutputSpec::to(vec![name("alice"), name("bob")]);
    output.keys.insert(name("bob"), key.public());
    // Two chunks.
    let blocks = 5000;
    let spec = JobSpec { outputs: vec![output.clone()], ..aes(blocks) };
    assert_eq!(node.put(alice(), &path(1), body(&spec, b"")).await.status, StatusCode::ACCEPTED);
    let id = JobId::from([1; 16]);
    let job = node.jobs.get(id, &name("bob")).expect("there");
    let own: Vec<u8> = (0..16 * blocks).map(|k| k as u8).collect();
    let next = vec![2; own.len()];
    let share = OutputShare::<Lanes>::from_bytes(Party::P0, own.len() / 8, &own, &next).expect("words");
    let cost = JobCost { rounds: 1, bytes_sent: 2, products: 3, seconds: 0.0 };
    node.jobs.finish(&job, Ok((Outputs::new(vec![Some(share.into())]), cost)));

    let plain = [&own[..], &Sha256::digest(&next)].concat();
    assert_eq!(node.get(alice(), &format!("{}/outputs/0", path(1))).await.body, plain, "no key, as it is");
    let answer = node.get(bob(), &format!("{}/outputs/0", path(1))).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], SEALED_OUTPUT_TYPE);
    assert_eq!(answer.headers[header::CONTENT_LENGTH], answer.body.len().to_string().as_str());
    assert!(!answer.body.windows(16).any(|part| part == &own[..16]), "nothing of it can be read");
    let bob_name = name("bob");
    let of = ShareOf { from: Party::P0, job: id, output: 0, recipient: &bob_name };
    assert_eq!(**key.open(&of, plain.len(), &answer.body).expect("for bob"), *plain);
    // The state of the job says which key.
    let told = node.get(bob(), &path(1)).await.body;
    let told: JobStatus = serde_json::from_slice(&told).expect("a status");
    assert_eq!(told.outputs[0].keys, output.keys);

    // A key of somebody who is no recipient.
    output.recipients = vec![name("alice")];
    let spec = JobSpec { outputs: vec![output], ..aes(1) };
    // Sizes cannot be had of it, so the head alone is sent.
    assert_eq!(node.put(alice(), &path(2), encode_head(&spec).to_vec()).await.problem(), ProblemKind::InvalidJob);
}
