//! Three nodes in one process: their stores are files, their network is memory.

mod races;
mod search;
mod tokens;
mod world;

use super::*;
use crate::{
    clock::now_unix_ms,
    job::FailureKind,
    store::{Space, tests::When},
};
use trefoil_auth::webauthn::{Bit, Bytes, UserVerification};
use trefoil_circuits::matching::{Template, Threshold};
use world::{Probe, World, finish, matching, spec};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_signs_and_nothing_else_does() {
    let world = World::start(Verification::Required).await;
    let response = world.verified(&spec(1), Probe::Right).await;
    assert!(response.to_json().expect("JSON").contains("authenticatorData"));

    // Another eye: no node signs, each counts.
    for answer in world.login(&spec(2), Probe::Wrong).await {
        assert!(matches!(answer, Err(AuthFault::NoMatch)), "{answer:?}");
    }
    assert_eq!(world.failures().await, [1; 3]);
    // No eye at all: a thief who has the device's share and its certificate.
    for answer in world.login(&spec(3), Probe::None).await {
        assert!(matches!(answer, Err(AuthFault::Invalid(_))), "{answer:?}");
    }
    world.verified(&spec(4), Probe::Right).await;
    assert_eq!(world.failures().await, [0; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_twice_too_late_or_with_another_counter_is_refused() {
    let world = World::start(Verification::Required).await;
    let first = spec(1);
    world.verified(&first, Probe::Right).await;
    // The same challenge, with any later counter: a replay.
    let again = LoginSpec { count: first.count + 1, ..first.clone() };
    for answer in world.login(&again, Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::Replayed)), "{answer:?}");
    }
    for count in [first.count, first.count - 1, 0] {
        for answer in world.login(&LoginSpec { count, ..spec(2) }, Probe::Right).await {
            assert!(matches!(answer, Err(AuthFault::Rule(trefoil_auth::Error::Counter { .. }))), "{answer:?}");
        }
    }
    // A counter that would use up all numbers at once.
    for answer in world.login(&LoginSpec { count: u32::MAX, ..spec(3) }, Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::Ahead { .. })), "{answer:?}");
    }
    for expires_ms in [0, now_unix_ms() - 1, u64::MAX] {
        for answer in world.login(&LoginSpec { expires_ms, ..spec(4) }, Probe::Right).await {
            assert!(matches!(answer, Err(AuthFault::Expired)), "{answer:?}");
        }
    }
    // A page of somebody else.
    for origin in ["https://example.org.evil.com", "https://evil.com", "http://example.org"] {
        for answer in world.login(&LoginSpec { origin: origin.to_owned(), ..spec(5) }, Probe::Right).await {
            assert!(matches!(answer, Err(AuthFault::Rule(_))), "{answer:?}");
        }
    }
    assert_eq!(world.failures().await, [0; 3]);
}

/// A node whose counter is behind, or whose operator sets it to anything, does not make the others sign a number twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_keeps_its_own_counter() {
    let world = World::start(Verification::Required).await;
    let first = spec(1);
    world.verified(&first, Probe::Right).await;
    world.forget_counter(2).await;
    let lower = LoginSpec { count: first.count - 5, ..spec(2) };
    let answers = world.login(&lower, Probe::Right).await;
    for answer in &answers[..2] {
        assert!(matches!(answer, Err(AuthFault::Rule(trefoil_auth::Error::Counter { .. }))), "{answer:?}");
    }
    // Alone it does not get as far as the probe.
    assert!(matches!(&answers[2], Err(AuthFault::Failed(f)) if f.kind == FailureKind::Missing), "{:?}", answers[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_wrong_probes_five_are_compared_and_then_not_the_right_one_either() {
    let world = World::start(Verification::Required).await;
    for k in 0..guard::FREE {
        for answer in world.login(&spec(10 + k as u8), Probe::Wrong).await {
            assert!(matches!(answer, Err(AuthFault::NoMatch)), "{answer:?}");
        }
    }
    // Each with a challenge of its own.
    for k in guard::FREE..1000 {
        let mut asked = spec(50);
        let Ceremony::Get(options) = &mut asked.ceremony else { panic!("a login") };
        options.challenge = Bytes(k.to_be_bytes().repeat(8));
        for answer in world.login(&asked, Probe::Wrong).await {
            assert!(matches!(answer, Err(AuthFault::Locked { seconds: 1..=30 })), "{k}: {answer:?}");
        }
    }
    for answer in world.login(&spec(50), Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::Locked { seconds: 1..=30 })), "{answer:?}");
    }
    // Nor after a restart of all nodes.
    let world = world.restarted();
    for answer in world.login(&spec(51), Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::Locked { .. })), "{answer:?}");
    }
    assert_eq!(world.failures().await, [guard::FREE; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_one_node_there_is_no_match_and_what_needs_none_goes_on() {
    let world = World::start(Verification::Optional).await;
    let asked = spec(1);
    let answers = world.login_at(&[0, 2], &asked, Probe::Right).await;
    for (_, answer) in answers {
        assert!(matches!(&answer, Err(AuthFault::Failed(f)) if f.kind == FailureKind::Missing), "{answer:?}");
    }
    assert_eq!(world.failures().await, [0; 3]);
    // The same challenge may be asked for again: nothing was decided on.
    let asked = LoginSpec { probe: None, ..asked };
    let answers = world.login_at(&[0, 2], &asked, Probe::None).await;
    finish(&asked, None, answers).expect("two nodes and the device sign without a match");
    // Not if the relying party wants the user to be verified.
    let mut asked = spec(2);
    let Ceremony::Get(options) = &mut asked.ceremony else { panic!() };
    options.user_verification = UserVerification::Required;
    for (_, answer) in world.login_at(&[0, 2], &asked, Probe::None).await {
        assert!(matches!(answer, Err(AuthFault::Invalid(_))), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_named_finds_nothing_and_a_device_enrols_nobody() {
    let world = World::start(Verification::Required).await;
    let stranger = "stranger".parse().expect("a name");
    for answer in world.login_as(&stranger, &spec(1), Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::Withheld(_))), "{answer:?}");
    }
    let answers = world.login_as(&"phone".parse().expect("a name"), &spec(2), Probe::Right).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    // What the thief of a device enrols is of a user of the device, not of its owner.
    world.enrol_as("phone", "alice", "left", Probe::Wrong).await.expect("its own user");
    for answer in world.login(&spec(3), Probe::Wrong).await {
        assert!(matches!(answer, Err(AuthFault::NoMatch)), "{answer:?}");
    }
    assert_eq!(world.nodes[0].list(&"bank".parse().expect("a name")).await.expect("a list").len(), 1);
}

/// Whoever changes one component of a probe: nothing is opened, nothing counted, nothing signed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lies_in_the_match_gets_no_signature() {
    let world = World::start(Verification::Required).await;
    for answer in world.login(&spec(1), Probe::Torn).await {
        assert!(matches!(&answer, Err(AuthFault::Failed(f)) if f.kind != FailureKind::Internal), "{answer:?}");
    }
    assert_eq!(world.failures().await, [0; 3]);
    world.verified(&spec(2), Probe::Right).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshed_shares_are_new_and_the_old_ones_gone() {
    let world = World::start(Verification::Required).await;
    let before = world.stored().await;
    for templates in world.refresh(21).await {
        assert_eq!(templates.expect("refreshed").iter().map(|t| t.epoch).collect::<Vec<_>>(), [1]);
    }
    let after = world.stored().await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.len(), after.len()), (1, 1));
        assert_ne!(before[0].0, after[0].0);
        let (x, y) = (&before[0].1, &after[0].1);
        assert_eq!(x.len(), y.len());
        assert!(x.chunks(16).zip(y.chunks(16)).all(|(x, y)| x != y));
    }
    world.verified(&spec(1), Probe::Right).await;
    let world = world.restarted();
    world.verified(&spec(2), Probe::Right).await;
    for answer in world.login(&spec(3), Probe::Wrong).await {
        assert!(matches!(answer, Err(AuthFault::NoMatch)), "{answer:?}");
    }
}

/// One node loses what it was about to write, at each write of a refresh and of an enrolment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_in_the_middle_leaves_templates_that_all_have() {
    let world = World::start(Verification::Required).await;
    let mut challenge = 30;
    for party in [0, 1, 2] {
        world.nodes[party].store.fail_after(0, When::Before);
        let refreshed = world.refresh(challenge).await;
        assert!(refreshed[party].is_err());
        assert!(world.nodes[party].store.heal());
        world.verified(&spec(challenge), Probe::Right).await;
        challenge += 1;
        world.nodes[party].store.fail_after(0, When::Before);
        assert!(world.enrol_as("bank", "alice", "right", Probe::Wrong).await.is_err());
        assert!(world.nodes[party].store.heal());
        world.verified(&spec(challenge), Probe::Right).await;
        for node in &world.nodes {
            let right = ("alice".parse().expect("a name"), Some("right".parse().expect("a name")));
            // One node has not written it down.
            let deleted = node.delete(&"bank".parse().expect("a name"), right, None).await;
            assert!(matches!(deleted, Ok(_) | Err(AuthFault::Absent(_))), "{deleted:?}");
        }
        challenge += 1;
        let refreshed = world.refresh(challenge).await;
        assert!(refreshed.iter().all(Result::is_ok), "{refreshed:?}");
        world.verified(&spec(challenge), Probe::Right).await;
        challenge += 1;
    }
}

/// They have made different shares for the same epoch, which nobody takes for the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_that_broke_off_at_different_nodes_do_no_harm() {
    let world = World::start(Verification::Required).await;
    for (challenge, party) in [(60, 0), (61, 1)] {
        world.nodes[party].store.fail_after(0, When::Before);
        let refreshed = world.refresh(challenge).await;
        assert!(refreshed[party].is_err());
        assert!(world.nodes[party].store.heal());
    }
    world.verified(&spec(60), Probe::Right).await;
    let world = world.restarted();
    world.verified(&spec(61), Probe::Right).await;
    let refreshed = world.refresh(62).await;
    assert!(refreshed.iter().all(Result::is_ok), "{refreshed:?}");
    world.verified(&spec(62), Probe::Right).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_templates_match_each_and_erased_ones_do_not() {
    let world = World::start(Verification::Required).await;
    let second = world.enrol_as("bank", "alice", "right", Probe::Wrong).await.expect("a second template");
    assert!(matches!(world.enrol_as("bank", "alice", "right", Probe::Wrong).await, Err(AuthFault::Taken(_))));
    world.verified(&spec(1), Probe::Wrong).await;
    world.verified(&spec(2), Probe::Right).await;
    let bank = "bank".parse().expect("a name");
    let alice = || "alice".parse().expect("a name");
    for node in &world.nodes {
        let right = (alice(), Some("right".parse().expect("a name")));
        let erased = world::erased(&node.delete(&bank, right, None).await.expect("a receipt"));
        assert_eq!(erased, std::slice::from_ref(&second));
    }
    for answer in world.login(&spec(3), Probe::Wrong).await {
        assert!(matches!(answer, Err(AuthFault::NoMatch)), "{answer:?}");
    }
    for node in &world.nodes {
        assert_eq!(world::erased(&node.delete(&bank, (alice(), None), None).await.expect("a receipt")).len(), 1);
        assert!(node.store.list(Space::Templates, "").await.expect("a disk").is_empty());
    }
    for answer in world.login(&spec(4), Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::NoTemplate)), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faces_are_matched_as_irises_are() {
    let world = World::start(Verification::Required).await;
    let face = matching(r#"{"kind":{"embedding":{"dimensions":8,"metric":"cosine"}},"threshold":"0.9"}"#);
    let (own, other) = ([1.0, 0.2, 0.0, -0.3, 0.5, 0.1, 0.0, 0.9], [-1.0, 0.2, 0.7, 0.3, 0.5, -0.1, 0.0, 0.2]);
    world.enrol_embedding(face, &own).await.expect("a face");
    for (entries, challenge, due) in [(own, 1, Bit::One), (other, 2, Bit::Zero)] {
        let asked = LoginSpec { probe: Some(face.kind), ..spec(challenge) };
        for answer in world.login_with(&asked, || world::embedding(&entries)).await {
            match due {
                Bit::One => assert!(answer.is_ok(), "{answer:?}"),
                Bit::Zero => assert!(matches!(answer, Err(AuthFault::NoMatch)), "{answer:?}"),
            }
        }
    }
    // A vector that is larger than one would be close to many.
    let asked = LoginSpec { probe: Some(face.kind), ..spec(3) };
    for answer in world.login_with(&asked, || world::integers(&[1 << 15; 8])).await {
        assert!(matches!(answer, Err(AuthFault::Invalid(_))), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_has_as_many_templates_and_credentials_as_each_node_takes() {
    let world = World::start(Verification::Required).await;
    let bank = "bank".parse().expect("a name");
    for user in 1..world::MOST_TEMPLATES {
        world.enrol_as("bank", &format!("user-{user}"), "left", Probe::Wrong).await.expect("room");
    }
    let full = |enrolled: Result<TemplateStatus, AuthFault>| {
        let fault = enrolled.expect_err("no room");
        assert!(matches!(&fault, AuthFault::Limit(text) if text.contains("limits.client_templates")), "{fault:?}");
    };
    full(world.enrol_as("bank", "alice", "right", Probe::Wrong).await);
    // Nobody else's room, and new shares take none.
    world.enrol_as("phone", "alice", "left", Probe::Wrong).await.expect("of another owner");
    assert!(world.refresh(40).await.iter().all(Result::is_ok));
    // Counted anew where an earlier version has not counted.
    for node in &world.nodes {
        assert!(node.store.remove(Space::Counters, "templates/bank").await.expect("a disk"));
    }
    let world = world.restarted();
    full(world.enrol_as("bank", "alice", "right", Probe::Wrong).await);
    for node in &world.nodes {
        node.delete(&bank, ("user-1".parse().expect("a name"), None), None).await.expect("a receipt");
    }
    world.enrol_as("bank", "alice", "right", Probe::Wrong).await.expect("room again");
    full(world.enrol_as("bank", "alice", "third", Probe::Wrong).await);

    let node = &world.nodes[0];
    let spec = node.credentials(&bank).await.expect("a list").remove(0).spec;
    for id in [1, 2] {
        assert!(node.put_credential(&bank, &[id; 16], spec.clone()).await.expect("room"));
    }
    let fault = node.put_credential(&bank, &[3; 16], spec.clone()).await.expect_err("no room");
    assert!(matches!(&fault, AuthFault::Limit(text) if text.contains("limits.client_credentials")), "{fault:?}");
    assert!(!node.put_credential(&bank, &[1; 16], spec.clone()).await.expect("there"));
    node.delete_credential(&bank, &[1; 16], None).await.expect("a receipt");
    assert!(node.put_credential(&bank, &[3; 16], spec).await.expect("room again"));
}

/// Requests of one client that wait at one node alone for the others keep nobody else from logging in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_fills_its_places_keeps_no_other_out() {
    let world = World::start(Verification::Required).await;
    let phone = "phone".parse().expect("a name");
    let asks = |user: &'static str| {
        let node = world.nodes[0].clone();
        let spec = RefreshSpec { session: crate::job::JobId::random().expect("randomness") };
        let phone: crate::pki::ClientName = Clone::clone(&phone);
        async move { node.refresh(&phone, user.parse().expect("a name"), spec).await }
    };
    let fills = futures_util::future::join_all(["a", "b", "c", "d"].map(asks));
    let (filled, response) = futures_util::future::join(fills, world.verified(&spec(1), Probe::Right)).await;
    assert!(response.to_json().is_ok());
    let crowded = |fault: &&Result<_, AuthFault>| matches!(fault, Err(AuthFault::Crowded(_)));
    assert_eq!(filled.iter().filter(crowded).count(), 2, "{filled:?}");
    // Its places are free again.
    assert!(matches!(asks("a").await, Err(AuthFault::Failed(_))));
}

/// The owner says of how much of the masks there has to be something to compare; a half if it says nothing, and records of before are read so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_much_is_compared_as_the_owner_asks_for() {
    let world = World::start(Verification::Required).await;
    let usual = r#"{"kind":{"binary":{"bits":256}},"threshold":"8/25","mode":"malicious"}"#;
    assert_eq!(serde_json::to_string(&matching(usual)).expect("JSON"), usual);
    let code: Vec<bool> = (0..192).map(|k: usize| k.is_multiple_of(3)).collect();
    let two_thirds = matching(r#"{"kind":{"binary":{"bits":192}},"threshold":"0.32","least_valid":"2/3"}"#);
    world.enrol_bits(two_thirds, &Template::binary(&code, None).expect("a template")).await.expect("enrolled");
    for (valid, challenge, matches) in [(128, 1, true), (127, 2, false)] {
        let mask: Vec<bool> = (0..192).map(|k| k < valid).collect();
        let probe = Template::binary(&code, Some(&mask)).expect("a template");
        let asked = LoginSpec { probe: Some(two_thirds.kind), ..spec(challenge) };
        for answer in world.login_with(&asked, || world::bits(&probe)).await {
            assert_eq!(answer.is_ok(), matches, "{valid} bits: {answer:?}");
            assert!(matches || matches!(answer, Err(AuthFault::NoMatch)), "{answer:?}");
        }
    }
    // All templates of a kind are matched alike, and an embedding has no mask.
    let half = Matching { least_valid: Threshold::HALF, ..two_thirds };
    let second = world.enrol_bits(half, &Template::binary(&code, None).expect("a template")).await;
    assert!(matches!(second, Err(AuthFault::Taken(_) | AuthFault::Invalid(_))), "{second:?}");
    let face = r#"{"kind":{"embedding":{"dimensions":8,"metric":"cosine"}},"threshold":"0.9","least_valid":"2/3"}"#;
    let refused = world.enrol_embedding(matching(face), &[1.0; 8]).await;
    assert!(matches!(refused, Err(AuthFault::Invalid(_))), "{refused:?}");
    for wrong in ["0", "1", "1.5", "-0.1"] {
        let text = usual.replace("malicious\"", &format!("malicious\",\"least_valid\":\"{wrong}\""));
        serde_json::from_str::<Matching>(&text).expect_err(wrong);
    }
}
