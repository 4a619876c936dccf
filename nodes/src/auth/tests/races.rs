//! What is revoked or deleted while something else goes on.

use super::{super::gallery::UserKey, world::World, *};
use std::sync::Arc;

fn alice() -> UserKey {
    UserKey { owner: "bank".parse().expect("a name"), user: "alice".parse().expect("a name") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_is_revoked_during_a_login_signs_nothing() {
    let world = World::start(Verification::Required).await;
    let nodes = world.nodes.each_ref().map(Arc::clone);
    world.meanwhile(async move {
        for node in &nodes {
            node.delete_credential(&alice().owner, &[9; 16], None).await.expect("a receipt");
        }
    });
    for answer in world.login(&spec(1), Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::Absent(_))), "{answer:?}");
    }
    // The probe was compared: that is an attempt.
    assert_eq!(world.failures().await, [1; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_that_are_erased_during_a_login_match_nothing_and_leave_memory() {
    // From memory, and read from the disk in the session.
    for restarted in [false, true] {
        let mut world = World::start(Verification::Required).await;
        if restarted {
            world = world.restarted();
        }
        let nodes = world.nodes.each_ref().map(Arc::clone);
        let templates = nodes[0].gallery(&alice()).await.expect("a disk").current;
        world.meanwhile(async move {
            for node in &nodes {
                node.delete(&alice().owner, (alice().user, None), None).await.expect("a receipt");
            }
        });
        for answer in world.login(&spec(1), Probe::Right).await {
            assert!(matches!(answer, Err(AuthFault::Changed | AuthFault::Failed(_))), "{answer:?}");
        }
        for node in &world.nodes {
            assert!(node.cached(&alice(), &templates).is_none(), "no node keeps them in memory");
        }
    }
}

/// A load that ends after the template was erased.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_shares_do_not_come_back_to_memory() {
    let world = World::start(Verification::Required).await;
    let node = &world.nodes[0];
    let templates = node.gallery(&alice()).await.expect("a disk").current;
    let held = node.cached(&alice(), &templates).expect("enrolled in this process").remove(0);
    node.delete(&alice().owner, (alice().user, None), None).await.expect("a receipt");
    assert!(node.cached(&alice(), &templates).is_none());
    node.hold(&alice(), &templates[0], held).await.expect("a disk");
    assert!(node.cached(&alice(), &templates).is_none());
}
