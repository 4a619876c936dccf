//! Searches among users, and receipts of what was erased.

use super::{
    super::*,
    world::{CONFIGS, Probe, World, shares, spec as login},
};
use crate::{job::JobId, receipt::Receipt};
use futures_util::future::join_all;
use guard::now_ms;
use trefoil_circuits::{matching::Answer, program::InputVector};
use trefoil_engine::{
    Lanes, Party,
    client::{OutputShare, reconstruct},
};

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

async fn ask(world: &World, owner: &str, shares: [InputVector; 3]) -> Vec<Result<Found, AuthFault>> {
    let id = JobId::random().expect("randomness");
    let spec = SearchSpec { expires_ms: now_ms() + 60_000, probe: login(0).probe.expect("a kind") };
    let owner = name(owner);
    let all = world.nodes.iter().zip(shares).map(|(node, share)| node.identify(&owner, id, spec.clone(), share));
    join_all(all).await
}

/// What the owner puts together.
fn who(answers: Vec<Result<Found, AuthFault>>) -> Option<String> {
    let found: Vec<Found> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
    let users = &found[0].users;
    assert!(found.iter().all(|found| found.users == *users));
    let words = Answer::First.shape(users.len()).elements();
    let share = |k: usize| {
        let (own, next) = (&found[k].own.0, &found[k].next.0);
        assert_eq!(*next, found[(k + 1) % 3].own.0, "both holders of a component have the same");
        OutputShare::<Lanes>::from_bytes(Party::ALL[k], words, own, next).expect("a share")
    };
    let output = reconstruct(&[share(0), share(1), share(2)]).expect("an answer");
    Answer::First.found(users.len(), &output).map(|place| users[place].to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_alone_learns_who_it_is() {
    let world = World::start(Verification::Required).await;
    for (user, probe) in [("carol", Probe::Wrong), ("bob", Probe::Torn)] {
        let enrolled = world.enrol_as("bank", user, "left", probe).await;
        assert_eq!(enrolled.is_ok(), user == "carol", "{enrolled:?}");
    }
    assert_eq!(who(ask(&world, "bank", shares(Probe::Right)).await), Some("alice".to_owned()));
    // Once more at once is too often, and nothing is computed.
    for answer in ask(&world, "bank", shares(Probe::Right)).await {
        assert!(matches!(answer, Err(AuthFault::Rate { .. })), "{answer:?}");
    }
    // What is in no memory is read, and a search of somebody who is enrolled with others finds nothing of theirs.
    let world = world.restarted();
    assert_eq!(who(ask(&world, "bank", shares(Probe::Wrong)).await), Some("carol".to_owned()));
    for answer in ask(&world, "phone", shares(Probe::Right)).await {
        assert!(matches!(answer, Err(AuthFault::NoTemplate)), "{answer:?}");
    }
    let world = world.restarted();
    for node in &world.nodes {
        assert_eq!(node.delete(&name("bank"), name("carol"), None).await.expect("a disk").len(), 1);
    }
    assert_eq!(who(ask(&world, "bank", shares(Probe::Wrong)).await), None);
    // It says nothing of who is allowed to log in: nothing is counted, nothing locked.
    assert_eq!(world.failures().await, [0; 3]);
    world.verified(&login(1), Probe::Right).await;
}

/// One component of the probe is another at one node, or one node has other templates: nobody gets an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_in_which_a_node_deviates_gives_nothing() {
    let world = World::start(Verification::Required).await;
    for answer in ask(&world, "bank", shares(Probe::Torn)).await {
        assert!(matches!(answer, Err(AuthFault::Failed(_))), "{answer:?}");
    }
    let world = world.restarted();
    world.enrol_as("bank", "bob", "left", Probe::Wrong).await.expect("a template");
    world.nodes[1].delete(&name("bank"), name("bob"), None).await.expect("a disk");
    for answer in ask(&world, "bank", shares(Probe::Right)).await {
        assert!(matches!(answer, Err(AuthFault::Failed(_))), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_signs_what_it_has_erased() {
    let world = World::start(Verification::Required).await;
    let (bank, cluster) = (name("bank"), &CONFIGS[0].cluster);
    for (node, party) in world.nodes.iter().zip(Party::ALL) {
        let templates = node.delete(&bank, name("alice"), None).await.expect("a disk");
        let erased = Erased::Templates { user: name("alice"), templates };
        let receipt = node.receipt(&bank, erased.clone()).expect("signed");
        let erasure = receipt.verify::<Erasure>(cluster, party).expect("of that node");
        assert_eq!((erasure.owner, erasure.erased), (name("bank"), erased));
        assert!(receipt.verify::<Erasure>(cluster, party.next()).is_err(), "of another node");
        // Nor is it taken for the receipt of a key.
        assert!(receipt.verify::<crate::keys::Deletion>(cluster, party).is_err());
        let forged = Receipt { statement: receipt.statement.replace("alice", "bobby"), ..receipt };
        assert!(forged.verify::<Erasure>(cluster, party).is_err(), "forged");
    }
}
