//! Requests that the node's policy permits, and those that it does not.

use super::*;
use crate::{
    job::{InputSpec, ProgramKind, TableInput},
    policy::{Policy, tests::policy},
};

/// Alice may have AES of what she sends, for herself, and do nothing else.
fn strict() -> Policy {
    policy(
        "[[allow]]\nname = \"aes\"\nprograms = [\"aes-ctr\"]\ndata = [\"@upload\"]\nrequesters = [\"alice\"]\nrecipients = [\"@requester\"]\nmodes = [\"malicious\"]\n",
    )
}

fn detail(answer: &Answer) -> String {
    assert_eq!((answer.status, answer.problem()), (StatusCode::FORBIDDEN, ProblemKind::Policy));
    serde_json::from_slice::<Problem>(&answer.body).expect("a problem").detail
}

#[tokio::test]
async fn what_no_rule_allows_is_refused_with_the_dimension_that_lacks() {
    let node = Node::that_permits(Some(strict()), (Limits::default(), TableStore::in_memory(Limits::default())));
    assert_eq!(node.put(alice(), &path(1), body(&aes(1), b"")).await.status, StatusCode::ACCEPTED);
    // The same job again is known, and not decided again.
    assert_eq!(node.put(alice(), &path(1), body(&aes(1), b"")).await.status, StatusCode::OK);
    let table =
        TableInput { owner: name("bank"), name: "loans".parse().expect("a name"), version: 1, columns: Vec::new() };
    for (spec, lacking) in [
        (JobSpec { mode: ModeSpec::SemiHonest, ..aes(1) }, "mode (`semi-honest`)"),
        (JobSpec { outputs: vec![OutputSpec::to(vec![name("bob")])], ..aes(1) }, "recipients (`bob`)"),
        (JobSpec { inputs: vec![InputSpec::Table(table)], ..aes(1) }, "data (`bank/loans`)"),
    ] {
        let why = detail(&node.put(alice(), &path(2), body(&spec, b"")).await);
        assert!(why.contains("`aes`, which does not cover") && why.contains(lacking), "{why}");
        // It has left no trace.
        assert_eq!(node.get(alice(), &path(2)).await.problem(), ProblemKind::NotFound);
    }
    assert_eq!(serde_json::to_string(&ProgramKind::AesCtr).expect("a name"), "\"aes-ctr\"");
}

#[tokio::test]
async fn who_may_nothing_is_refused_before_anything_is_read() {
    let node = Node::that_permits(Some(strict()), (Limits::default(), TableStore::in_memory(Limits::default())));
    // No length, no type, no body: what is decided first is who asks.
    for (caller, request) in [
        (bob(), Request::put(path(3))),
        (alice(), Request::put("/v1/tables/loans/1")),
        (alice(), Request::delete("/v1/tables/loans/1")),
        // More than to look.
        (alice(), Request::get("/v1/tables/loans/1")),
    ] {
        detail(&node.call(caller, request, Body::empty()).await);
    }
    // To look, and to be done with a job, needs no rule.
    assert_eq!(node.get(bob(), "/v1/tables").await.status, StatusCode::OK);
    assert_eq!(node.delete(bob(), &path(3)).await.problem(), ProblemKind::NotFound);
    assert_eq!(node.get(bob(), "/v1/nothing").await.problem(), ProblemKind::NotFound);
    let none = Node::that_permits(None, (Limits::default(), TableStore::in_memory(Limits::default())));
    assert!(detail(&none.put(alice(), &path(1), body(&aes(1), b"")).await).contains("`trefoil policy init`"));
}
