//! Searches among users, and receipts of what was erased.

use super::{
    super::{asker::apart, *},
    world::{self, CONFIGS, Probe, World, shares, spec as login},
};
use crate::{
    clock::now_unix_ms,
    job::JobId,
    pki::ClientName,
    receipt::{Nonce, Receipt},
    store::tests::When,
};
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use trefoil_auth::webauthn::{Bytes, CredentialId};
use trefoil_circuits::{matching::Answer, program::InputVector};
use trefoil_engine::{
    Lanes, Party,
    client::{OutputShare, reconstruct},
};

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

fn search() -> SearchSpec {
    SearchSpec {
        expires_ms: now_unix_ms() + 60_000,
        probe: login(0).probe.expect("a kind"),
        unsettled: Unsettled::Refuse,
    }
}

async fn ask(world: &World, owner: &str, shares: [InputVector; 3]) -> Vec<Result<Found, AuthFault>> {
    ask_for(world, owner, (search(), shares)).await
}

async fn ask_for(
    world: &World,
    owner: &str,
    (spec, shares): (SearchSpec, [InputVector; 3]),
) -> Vec<Result<Found, AuthFault>> {
    let (id, owner) = (JobId::random().expect("randomness"), name(owner));
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
        node.delete(&name("bank"), (name("carol"), None), None).await.expect("a receipt");
    }
    assert_eq!(who(ask(&world, "bank", shares(Probe::Wrong)).await), None);
    // It says nothing of who is allowed to log in: nothing is counted, nothing locked.
    assert_eq!(world.failures().await, [0; 3]);
    world.verified(&login(1), Probe::Right).await;
}

/// Whoever is revoked while the nodes search is found by nobody, and nothing of the search stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_erased_during_a_search_is_not_found() {
    let world = World::start(Verification::Required).await;
    let nodes = world.nodes.each_ref().map(Arc::clone);
    world.meanwhile(async move {
        for node in &nodes {
            node.delete(&name("bank"), (name("alice"), None), None).await.expect("a receipt");
        }
    });
    for answer in ask(&world, "bank", shares(Probe::Right)).await {
        assert!(matches!(answer, Err(AuthFault::Changed | AuthFault::Failed(_))), "{answer:?}");
    }
    // Its place is free again.
    for answer in ask(&world.restarted(), "bank", shares(Probe::Right)).await {
        assert!(matches!(answer, Err(AuthFault::NoTemplate)), "{answer:?}");
    }
}

/// Searches that wait for a node that was not asked keep nobody but their owner waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_who_asks_one_node_alone_blocks_no_other() {
    let world = World::start(Verification::Required).await;
    world.enrol_as("phone", "carol", "left", Probe::Right).await.expect("a template");
    let [share, _, _] = shares(Probe::Right);
    let (id, spec) = (JobId::random().expect("randomness"), search());
    let (phone, node) = (name("phone"), &world.nodes[1]);
    let alone = node.identify(&phone, id, spec.clone(), share);
    let meanwhile = async {
        let [share, _, _] = shares(Probe::Right);
        let second = node.identify(&phone, JobId::random().expect("randomness"), spec, share).await;
        (who(ask(&world, "bank", shares(Probe::Right)).await), second)
    };
    let (alone, (found, second)) = futures_util::future::join(alone, meanwhile).await;
    assert_eq!(found, Some("alice".to_owned()));
    assert!(matches!(second, Err(AuthFault::Searching)), "{second:?}");
    assert!(matches!(&alone, Err(AuthFault::Failed(f)) if f.kind == crate::job::FailureKind::Missing), "{alone:?}");
}

/// A search that has met a lost node, and whose client goes away: its owner can search again at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_who_goes_away_before_the_others_come_can_search_again() {
    let world = World::start(Verification::Required).await;
    world.wait_long();
    let ask = || {
        let (node, [share, _, _]) = (world.nodes[1].clone(), shares(Probe::Right));
        let id = JobId::random().expect("randomness");
        apart(async move { node.identify(&name("bank"), id, search(), share).await })
    };
    // Another is refused while the first waits: at once, or it waits too.
    let is_refused = async || match tokio::time::timeout(Duration::from_millis(50), ask()).await {
        Ok(Ok(Err(AuthFault::Searching))) => true,
        Err(_) | Ok(Ok(Err(AuthFault::Rate { .. }))) => false,
        other => panic!("{other:?}"),
    };
    let becomes = async |refused: bool| {
        let waiting = async { while is_refused().await != refused {} };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("in time");
    };
    {
        let mut first = std::pin::pin!(ask());
        tokio::time::timeout(Duration::from_millis(500), &mut first).await.expect_err("the others have not come");
        becomes(true).await;
    }
    becomes(false).await;
}

/// One component of the probe is another at one node, or one node has other templates: nobody gets an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_with_a_torn_probe_or_other_templates_gives_nothing() {
    let world = World::start(Verification::Required).await;
    for answer in ask(&world, "bank", shares(Probe::Torn)).await {
        assert!(matches!(answer, Err(AuthFault::Failed(_))), "{answer:?}");
    }
}

/// A refresh that broke off leaves nobody out: all nodes have one of the two versions of the shares.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_broke_off_stops_no_search() {
    let mut world = World::start(Verification::Required).await;
    world.enrol_as("bank", "bob", "left", Probe::Wrong).await.expect("a template");
    for party in [0, 2] {
        world.nodes[party].store.fail_after(0, When::Before);
        assert!(world.refresh(20 + party as u8).await[party].is_err());
        assert!(world.nodes[party].store.heal());
        assert_eq!(who(ask(&world, "bank", shares(Probe::Right)).await), Some("alice".to_owned()), "{party}");
        world = world.restarted();
        assert_eq!(who(ask(&world, "bank", shares(Probe::Wrong)).await), Some("bob".to_owned()), "{party}");
        world = world.restarted();
    }
}

/// One node has other templates of some users than the others: whoever could be missed is named, and left out only if the owner asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_missed_in_silence() {
    let world = World::start(Verification::Required).await;
    world.enrol_as("bank", "bob", "left", Probe::Wrong).await.expect("a template");
    world.nodes[1].delete(&name("bank"), (name("bob"), None), None).await.expect("a receipt");
    // An enrolment that one node has not written down, of a second template.
    world.nodes[2].store.fail_after(0, When::Before);
    assert!(world.enrol_as("bank", "alice", "right", Probe::Wrong).await.is_err());
    assert!(world.nodes[2].store.heal());
    let unsettled: Vec<UserName> = vec![name("alice"), name("bob")];
    for answer in ask(&world, "bank", shares(Probe::Right)).await {
        let fault = answer.expect_err("they could be missed");
        assert!(fault.to_string().contains("alice, bob") && fault.to_string().contains("auth refresh"), "{fault}");
        assert!(matches!(fault, AuthFault::Unsettled(users) if users == unsettled));
    }
    // Alice is settled as the text says, and Bob is left out.
    assert!(world.refresh(30).await.iter().all(Result::is_ok));
    let leave_out = || SearchSpec { unsettled: Unsettled::LeaveOut, ..search() };
    let mut world = world;
    for (probe, found) in [(Probe::Right, Some("alice")), (Probe::Wrong, None)] {
        // Searches are few in a second, and counted in memory.
        world = world.restarted();
        let answers = ask_for(&world, "bank", (leave_out(), shares(probe))).await;
        for answer in &answers {
            assert_eq!(answer.as_ref().expect("an answer").left_out, [name("bob")]);
        }
        assert_eq!(who(answers), found.map(ToOwned::to_owned));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_signs_what_it_has_erased() {
    let world = World::start(Verification::Required).await;
    let (bank, cluster) = (name("bank"), &CONFIGS[0].cluster);
    for (node, party) in world.nodes.iter().zip(Party::ALL) {
        let asked = || node.delete(&bank, (name("alice"), None), None);
        let receipt = asked().await.expect("signed");
        assert!(matches!(asked().await, Err(AuthFault::Absent(_))), "nothing says by which request it was");
        let templates = world::erased(&receipt);
        let held: Vec<_> = templates.iter().map(|template| (template.name.clone(), template.enrolment)).collect();
        let erased = Erased::Templates { user: name("alice"), templates };
        let erasure = receipt.verify::<Erasure>(cluster, party).expect("of that node");
        assert_eq!((erasure.owner, erasure.erased), (name("bank"), erased));
        assert!(receipt.verify::<Erasure>(cluster, party.next()).is_err(), "of another node");
        // It answers the request that it was made for, now, and no other: a node that erases nothing has none to show.
        let (alice, bob, right) = (name("alice"), name("bob"), name("right"));
        let now = erasure.origin.time_unix;
        let answers = |owner: &ClientName, now, asked: Asked<'_>| {
            let is = |erasure: &Erasure| erasure.answers(owner, asked);
            receipt.verify_answer((cluster, party), (now, None), is).is_ok()
        };
        let all = Asked::Templates { user: &alice, name: None, held: &held };
        assert!(answers(&bank, now, all) && answers(&bank, now + 300, all) && answers(&bank, now - 300, all));
        assert!(!answers(&bank, now + 301, all) && !answers(&bank, now - 301, all), "an old one");
        assert!(!answers(&name("shop"), now, all), "another owner's");
        assert!(!answers(&bank, now, Asked::Templates { user: &bob, name: None, held: &[] }), "another user's");
        assert!(!answers(&bank, now, Asked::Templates { user: &alice, name: Some(&right), held: &held }));
        let anew = [(held[0].0.clone(), JobId::random().expect("randomness"))];
        assert!(
            !answers(&bank, now, Asked::Templates { user: &alice, name: None, held: &anew }),
            "enrolled anew since"
        );
        let id = CredentialId::new(&[9; 16]).expect("an id");
        assert!(!answers(&bank, now, Asked::Credential(&id)), "no credential");
        let of_another = Erased::Credential(Bytes(vec![8; 16]));
        let credential = erasure::receipt(&node.notary, (bank.clone(), None), of_another).expect("signed");
        let other = |erasure: &Erasure| erasure.answers(&bank, Asked::Credential(&id));
        assert!(credential.verify_answer((cluster, party), (now, None), other).is_err(), "another credential's");
        // Nor is it taken for the receipt of a key.
        assert!(receipt.verify::<crate::keys::Deletion>(cluster, party).is_err());
        let forged = Receipt { statement: receipt.statement.replace("alice", "bobby"), ..receipt };
        assert!(forged.verify::<Erasure>(cluster, party).is_err(), "forged");
    }
}

/// A request whose answer was lost is repeated with its nonce, and is given the receipt that it had; with that nonce nothing else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_receipt_is_had_again() {
    let world = World::start(Verification::Required).await;
    let (bank, cluster) = (name("bank"), &CONFIGS[0].cluster);
    let [nonce, other] = [(); 2].map(|()| Some(Nonce::random().expect("randomness")));
    let alice = || (name("alice"), None);
    let first = world.nodes[0].delete(&bank, alice(), nonce).await.expect("signed");
    let first_credential = world.nodes[0].delete_credential(&bank, &[9; 16], other).await.expect("signed");
    // The other nodes were asked in vain: their receipts come with the repeated request.
    let world = world.restarted();
    for (node, party) in world.nodes.iter().zip(Party::ALL) {
        let receipt = node.delete(&bank, alice(), nonce).await.expect("signed");
        assert_eq!(receipt == first, party == Party::P0);
        let asked = |erasure: &Erasure| {
            erasure.answers(&bank, Asked::Templates { user: &name("alice"), name: None, held: &[] })
        };
        let now = receipt.verify::<Erasure>(cluster, party).expect("of that node").origin.time_unix;
        let answers = |now, nonce| receipt.verify_answer((cluster, party), (now, nonce), asked).is_ok();
        // Late, but for this request alone: neither for another nor for one without a nonce.
        assert!(answers(now + 6 * 24 * 3600, nonce) && !answers(now + 8 * 24 * 3600, nonce));
        assert!(!answers(now - 301, nonce), "of the future");
        assert!(!answers(now, other) && !answers(now, None));
    }
    let node = &world.nodes[0];
    assert_eq!(node.delete_credential(&bank, &[9; 16], other).await.expect("signed"), first_credential);
    for refused in [
        node.delete(&bank, alice(), other).await,
        node.delete(&bank, (name("alice"), Some(name("left"))), nonce).await,
        node.delete_credential(&bank, &[9; 16], nonce).await,
    ] {
        assert!(matches!(&refused, Err(AuthFault::Invalid(text)) if text.contains("nonce")), "{refused:?}");
    }
    let absent = node.delete(&name("phone"), alice(), nonce).await;
    assert!(matches!(absent, Err(AuthFault::Absent(_))), "another client's nonce says nothing: {absent:?}");
    // What the store refuses is not erased, and has no receipt.
    world.enrol_as("bank", "alice", "left", Probe::Right).await.expect("enrolled anew");
    node.store.fail_after(0, When::Before);
    let fresh = Some(Nonce::random().expect("randomness"));
    assert!(node.delete(&bank, alice(), fresh).await.is_err());
    assert!(node.store.heal());
    assert_eq!(world::erased(&node.delete(&bank, alice(), fresh).await.expect("signed")).len(), 1);
}
