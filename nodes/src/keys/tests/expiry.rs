//! Keys whose time is over.

use super::*;

const DAY: u64 = 24 * 3600;

fn in_a_day() -> Expiry {
    Expiry::after(SystemTime::now(), Duration::from_secs(DAY)).expect("a moment")
}

fn message() -> Message {
    Message::of(Hash::Sha256, b"a document")
}

/// It signs until its moment, with nothing after it, and is gone from the store, also where the nodes were started again meanwhile.
#[tokio::test]
async fn a_key_is_there_until_its_moment_and_gone_after_it() {
    let (mut world, expires) = (World::start().await, in_a_day());
    let (spec, shares) = (KeySpec { expires: Some(expires), ..spec() }, shares());
    for (status, _) in good(world.enrol(&spec, &shares).await) {
        assert_eq!(status.expires, Some(expires));
    }
    world.signs(shares[0].public(), "before").await;
    good(world.refresh().await);
    for node in &world.nodes {
        assert_eq!(node.erase_expired().await.expect("a store"), []);
    }
    world.restart();
    world.later.0.store(DAY, Relaxed);
    let [alice, mallory] = ["alice", "mallory"].map(name::<ClientName>);
    for node in &world.nodes {
        let over = |fault: &KeyFault| matches!(fault, KeyFault::Over(key, at) if *key == id() && *at == expires);
        let request = SignRequest { hash: HashName::Sha256, digest: "00".repeat(32), epoch: None };
        let refused = [
            node.sign(&id(), message(), None).await.expect_err("its time is over"),
            node.sign_document(&name("bob"), &id(), &request).await.expect_err("its time is over"),
            node.get(&alice, &id()).await.expect_err("its time is over"),
            node.refresh(&alice, id(), exchange()).await.expect_err("its time is over"),
        ];
        assert!(refused.iter().all(over), "{refused:?}");
        // Strangers learn nothing of it.
        assert!(matches!(node.get(&mallory, &id()).await, Err(KeyFault::Withheld(_))));
        assert_eq!(node.all().await.expect("a store"), KeysHere::default());
        let gone = node.erase_expired().await.expect("a store");
        let [erased] = gone.as_slice() else { panic!("one key: {gone:?}") };
        assert_eq!((erased.enrolment, erased.expired), (spec.enrolment, Some(expires)));
        assert!(matches!(node.get(&alice, &id()).await, Err(KeyFault::Missing(_))));
        assert_eq!(node.erase_expired().await.expect("a store"), []);
    }
    for store in &world.stores {
        assert_eq!(store.list(Space::Keys, "").await.expect("a store").len(), 0);
    }
    let refused = world.enrol(&spec, &shares).await;
    assert!(refused.iter().all(|refused| matches!(refused, Err(KeyFault::Over(..)))), "{refused:?}");
}

/// The moment of a key that was deleted does not take the one that has come after it.
#[tokio::test]
async fn a_key_of_the_same_name_has_its_own_moment() {
    let world = World::start().await;
    good(world.enrol(&KeySpec { expires: Some(in_a_day()), ..spec() }, &shares()).await);
    for node in &world.nodes {
        node.delete(&name("alice"), id(), (None, None)).await.expect("deleted");
        assert_eq!(node.due.len(), 0, "nothing is remembered of it");
    }
    let shares = shares();
    good(world.enrol(&spec(), &shares).await);
    world.later.0.store(DAY, Relaxed);
    for node in &world.nodes {
        assert_eq!(node.erase_expired().await.expect("a store"), []);
    }
    world.signs(shares[0].public(), "after").await;
}

/// A key whose record cannot be removed now is removed the next time, and signs nothing meanwhile.
#[tokio::test]
async fn what_cannot_be_erased_now_is_erased_later() {
    let world = World::start().await;
    good(world.enrol(&KeySpec { expires: Some(in_a_day()), ..spec() }, &shares()).await);
    world.later.0.store(DAY, Relaxed);
    let node = &world.nodes[0];
    assert_eq!(node.erase_expired().await.expect("a store").len(), 1);
    let other = &world.nodes[1];
    world.stores[1].fail_after(0, When::Before);
    assert_eq!(other.erase_expired().await.expect("a store"), []);
    assert!(world.stores[1].heal(), "the disk has failed");
    assert!(matches!(other.sign(&id(), message(), None).await, Err(KeyFault::Over(..))));
    assert_eq!(other.erase_expired().await.expect("a store").len(), 1);
}

/// A record that cannot be read is for the operator, and the others expire.
#[tokio::test]
async fn a_damaged_record_does_not_keep_other_keys() {
    let mut world = World::start().await;
    good(world.enrol(&KeySpec { expires: Some(in_a_day()), ..spec() }, &shares()).await);
    world.restart();
    let damaged = KeyId { owner: name("alice"), name: "another".parse().expect("a name") };
    world.stores[0].put(Space::Keys, damaged.record(), vec![2, 2, 3].into()).await.expect("room");
    let here = world.nodes[0].all().await.expect("a store");
    assert_eq!((here.in_use, here.damaged), (vec![id()], vec![damaged]));
    assert_eq!(world.nodes[0].list(&name("alice")).await.expect("a store").len(), 1);
    let later = KeyId { owner: name("alice"), name: "later".parse().expect("a name") };
    world.stores[1].put(Space::Keys, later.record(), vec![3, 2, 3].into()).await.expect("room");
    assert_eq!(world.nodes[1].all().await.expect("a store").damaged, std::slice::from_ref(&later));
    // It may be read by the program that wrote it.
    let fault = world.nodes[1].remove_damaged(&later).await.expect_err("of a later version");
    assert!(fault.to_string().contains("the version of trefoil that wrote it"), "{fault}");
    world.nodes[1].rebuild(&later, &[], &[]).await.expect_err("it is not replaced");
    assert!(!world.nodes[0].remove_damaged(&id()).await.expect("a store"), "nothing is wrong with it");
    world.later.0.store(DAY, Relaxed);
    assert_eq!(world.nodes[0].erase_expired().await.expect("a store").len(), 1);
    let damaged = world.nodes[0].all().await.expect("a store").damaged;
    assert!(world.nodes[0].remove_damaged(&damaged[0]).await.expect("a store"));
    assert_eq!(world.nodes[0].all().await.expect("a store"), KeysHere::default());
}

/// The nodes do not enrol a key of which they were told different moments.
#[tokio::test]
async fn three_nodes_agree_on_the_moment() {
    let world = World::start().await;
    let (shares, exchange, spec) = (shares(), exchange(), KeySpec { expires: Some(in_a_day()), ..spec() });
    let refused = world.all(|node, party| {
        let share = NodeKey::decode(&shares[party.index()].encode()).expect("a share");
        let expires = spec.expires.filter(|_| party != Party::P2);
        let enrolment = Enrolment { spec: KeySpec { expires, ..spec.clone() }, share };
        async move { node.enrol(id(), enrolment, exchange).await }
    });
    for refused in refused.await {
        assert!(matches!(refused, Err(KeyFault::Together(_))), "{refused:?}");
    }
}
