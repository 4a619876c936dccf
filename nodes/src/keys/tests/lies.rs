//! One of the nodes deviates.

use super::{
    exchange::{Exchange, Issuance, Save},
    step::Step,
    stored::Stored,
    *,
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use trefoil_auth::rsa::{DeviceKey, DeviceSigner, RecoveryKey, Status};

/// A liar writes nothing down.
struct Nowhere;

impl Save for Nowhere {
    async fn save(&self, _: &Stored) -> Result<(), KeyFault> {
        Ok(())
    }
}

/// How far a status has its numbers from its end: epoch, the attempt that began it, whether one is prepared, which, and the last that is refused.
const NUMBERS: usize = 8 + 8 + 1 + 8 + 8;

async fn stored_at(world: &World, party: Party) -> Stored {
    Stored::load(&world.stores[party.index()], &id()).await.expect("readable").expect("there")
}

/// A node's end of a step, for a test to lie with.
async fn joined(world: &World, party: Party, (step, stored): (Step, &Stored), exchange: ExchangeId) -> Exchange {
    let (session, digest) = step::bind(step, stored, exchange);
    let met = world.meetings[party.index()].join(session, digest).await.expect("all three come");
    let link = met.network().open(session, exchange::path()).await.expect("memory");
    Exchange::new(party, &stored.public, link)
}

/// That it has the shares of the next epoch in use, which this attempt has begun.
fn ahead(honest: &Status, attempt: u64, public: &PublicKey) -> Vec<u8> {
    let mut says = honest.encode(public);
    let at = says.len() - NUMBERS;
    says[at..at + 8].copy_from_slice(&(honest.epoch() + 1).to_be_bytes());
    says[at + 8..at + 16].copy_from_slice(&attempt.to_be_bytes());
    assert_eq!(Status::decode(&says, Party::P0).expect("a status").epoch(), honest.epoch() + 1);
    says
}

/// P0 has P1 prepare new shares and P2 refuse them, and then says to both that the step is over: P1 would erase the old shares, which are all that P2 has.
#[tokio::test]
async fn who_says_that_a_step_is_over_which_another_refused_parts_nobody() {
    let world = World::start().await;
    let shares = shares();
    good(world.enrol(&spec(), &shares).await);
    let exchange_id = exchange();
    let mut stored = stored_at(&world, Party::P0).await;
    let lie = async {
        let mut link = joined(&world, Party::P0, (Step::Refresh, &stored), exchange_id).await;
        let statuses = link.settle(&mut stored, &Nowhere).await.unwrap_or_else(|_| panic!("all are honest so far"));
        link.issuance(Issuance::None).await.unwrap_or_else(|_| panic!("it is sent"));
        let attempt = exchange::next_attempt(&statuses);
        let renewal =
            stored.record.current().expect("enrolled").refresh(attempt, &mut randomness().expect("randomness"));
        let from = link.contributions(&renewal.to_next(), &renewal.to_prev()).await;
        let [next, prev] = from.unwrap_or_else(|_| panic!("both contribute"));
        let fresh = renewal.seeded(&next, &prev).and_then(|seeded| seeded.finish(None)).expect("P0 waits for nothing");
        let public = stored.public.clone();
        let right = fresh.confirmation().encode(&public);
        let mut wrong = right.clone();
        *wrong.last_mut().expect("not empty") ^= 1;
        for (to, says) in [(Party::P1, right), (Party::P2, wrong)] {
            link.send(to, says.into()).await.unwrap_or_else(|_| panic!("memory"));
        }
        let says = ahead(&stored.record.status(), attempt, &public);
        let mut heard = vec![says.clone()];
        for party in [Party::P1, Party::P2] {
            link.send(party, says.clone().into()).await.unwrap_or_else(|_| panic!("memory"));
        }
        for party in [Party::P1, Party::P2] {
            // What they confirm, and where they are.
            link.recv(party).await.unwrap_or_else(|_| panic!("it is sent"));
            heard.push(link.recv(party).await.unwrap_or_else(|_| panic!("it is sent")).to_vec());
        }
        let all = Bytes::from(Sha256::digest(heard.concat()).to_vec());
        for party in [Party::P1, Party::P2] {
            link.send(party, all.clone()).await.unwrap_or_else(|_| panic!("memory"));
        }
        link
    };
    let owner: ClientName = name("alice");
    let (one, two, _link) = tokio::join!(
        world.nodes[1].refresh(&owner, id(), exchange_id),
        world.nodes[2].refresh(&owner, id(), exchange_id),
        lie
    );
    assert!(matches!(one, Err(KeyFault::Key(AuthError::State { .. }))), "{one:?}");
    assert!(matches!(two, Err(KeyFault::Key(AuthError::Shares { .. }))), "{two:?}");
    let [prepared, refused] = [stored_at(&world, Party::P1).await, stored_at(&world, Party::P2).await];
    assert!(prepared.unsettled() && prepared.record.at(2).is_some(), "P1 has both");
    assert!(refused.record.at(2).is_none(), "P2 has the old ones alone");
    // The two sign in the epoch that they share, and go on when P0 says what it has.
    let message = Message::of(Hash::Sha256, b"document");
    let parts = world.parts(&[Party::P1, Party::P2], &message).await;
    assert!(parts.iter().all(|part| part.epoch() == 1));
    let signed = combine(&refused.public, &message, None, &parts).expect("they fit");
    verified(&refused.public, b"document", &signed.signature);
    assert_eq!(good(world.settle().await).map(|status| (status.epoch, status.unsettled)), [(1, false); 3]);
    assert_eq!(good(world.refresh().await).map(|status| status.epoch), [2; 3]);
    world.signs(&refused.public, "refreshed after a lie").await;
}

/// A node that pretends that a new device's share is where it belongs would have the others erase it.
#[tokio::test]
async fn one_node_alone_does_not_have_a_share_erased_that_waits_for_its_device() {
    let world = World::start().await;
    let Split { nodes, recovery, .. } = with_device();
    good(world.enrol(&spec(), &nodes).await);
    good(world.recover(&recovery).await);
    let exchange_id = exchange();
    let mut stored = stored_at(&world, Party::P2).await;
    let lie = async {
        let mut link = joined(&world, Party::P2, (Step::Settle, &stored), exchange_id).await;
        link.settle(&mut stored, &Nowhere).await.unwrap_or_else(|_| panic!("all are honest so far"));
        let all = link.issuance(Issuance::Done).await.unwrap_or_else(|_| panic!("both answer"));
        assert_eq!(all, [Issuance::Waits, Issuance::Waits, Issuance::Done]);
        link
    };
    let owner: ClientName = name("alice");
    let (a, b, _link) = tokio::join!(
        world.nodes[0].settle(&owner, id(), exchange_id),
        world.nodes[1].settle(&owner, id(), exchange_id),
        lie
    );
    for status in [a, b] {
        assert!(status.expect("settled").issuing);
    }
    // Nor does it have them make new shares of the nodes beside it.
    let exchange_id = exchange();
    let lie = async {
        let mut link = joined(&world, Party::P2, (Step::Refresh, &stored), exchange_id).await;
        link.settle(&mut stored_at(&world, Party::P2).await, &Nowhere)
            .await
            .unwrap_or_else(|_| panic!("all are honest"));
        link.issuance(Issuance::Done).await.unwrap_or_else(|_| panic!("both answer"));
        link
    };
    let (a, b, _link) = tokio::join!(
        world.nodes[0].refresh(&owner, id(), exchange_id),
        world.nodes[1].refresh(&owner, id(), exchange_id),
        lie
    );
    for refused in [a, b] {
        assert!(matches!(refused, Err(KeyFault::Issuing(_))), "{refused:?}");
    }
    world.device(&recovery).await.expect("two nodes hand it out");
}

/// P0 has all three prepare a recovery, tells P1 that all have heard so, and P2 something else; then it is gone for good. P1 has erased the old shares, P2 has both, and no step happens any more.
#[tokio::test]
async fn who_is_gone_in_the_middle_of_a_recovery_leaves_a_key_that_the_new_device_signs_with() {
    let world = World::start().await;
    let Split { device, nodes, recovery } = with_device();
    let public = device.public().clone();
    good(world.enrol(&spec(), &nodes).await);
    let exchange_id = exchange();
    let mut stored = stored_at(&world, Party::P0).await;
    let [mine, one, two] = recovery.parts(&mut randomness().expect("randomness"));
    let lie = async {
        let mut link = joined(&world, Party::P0, (Step::Recover, &stored), exchange_id).await;
        let statuses = link.settle(&mut stored, &Nowhere).await.unwrap_or_else(|_| panic!("all are honest so far"));
        link.issuance(Issuance::None).await.unwrap_or_else(|_| panic!("it is sent"));
        let attempt = exchange::next_attempt(&statuses);
        let step = stored.record.current().expect("enrolled").recover(attempt, mine).expect("its part");
        let others = link.confirmations(&step.confirmation()).await.unwrap_or_else(|_| panic!("both confirm"));
        let renewal = step.accept(&others, &mut randomness().expect("randomness")).expect("the recovery share");
        let from = link.contributions(&renewal.to_next(), &renewal.to_prev()).await;
        let [next, prev] = from.unwrap_or_else(|_| panic!("both contribute"));
        let fresh = renewal.seeded(&next, &prev).and_then(|seeded| seeded.finish(None)).expect("P0 waits for nothing");
        let others = link.confirmations(&fresh.confirmation()).await.unwrap_or_else(|_| panic!("both confirm"));
        let prepared = stored.record.prepare(fresh.confirm(&others).expect("they fit")).expect("in turn");
        let mut heard = vec![prepared.encode(&public)];
        for party in [Party::P1, Party::P2] {
            link.send(party, heard[0].clone().into()).await.unwrap_or_else(|_| panic!("memory"));
        }
        for party in [Party::P1, Party::P2] {
            heard.push(link.recv(party).await.unwrap_or_else(|_| panic!("it is sent")).to_vec());
        }
        let all = Sha256::digest(heard.concat()).to_vec();
        for (to, says) in [(Party::P1, all), (Party::P2, vec![0; 32])] {
            link.send(to, says.into()).await.unwrap_or_else(|_| panic!("memory"));
        }
        // Kept until the others have read it.
        link
    };
    let owner: ClientName = name("alice");
    let (one, two, _link) = tokio::join!(
        world.nodes[1].recover(&owner, (id(), exchange_id), (recovery::claimed(&recovery, Party::P1), one)),
        world.nodes[2].recover(&owner, (id(), exchange_id), (recovery::claimed(&recovery, Party::P2), two)),
        lie
    );
    assert_eq!(one.map(|status| (status.epoch, status.issuing)).expect("it has heard that all are ready"), (2, true));
    assert!(matches!(two, Err(KeyFault::Together(_))), "{two:?}");
    let [ahead, behind] = [stored_at(&world, Party::P1).await, stored_at(&world, Party::P2).await];
    assert!(ahead.record.at(1).is_none() && behind.record.status().epoch() == 1 && behind.unsettled());

    let mut shares = Vec::new();
    for role in [RoleName::Device, RoleName::Recovery] {
        let issued = world.issued_at(Party::P1, (&recovery, role), None).await.expect("in use");
        // P2 knows of no end of the recovery. It hands out what it has prepared to whom has begun it, and nothing else.
        for epoch in [None, Some(1), Some(3)] {
            let refused = world.issued_at(Party::P2, (&recovery, role), epoch).await;
            assert!(matches!(refused, Err(KeyFault::NotIssuing(_))), "{refused:?}");
        }
        let other = with_device().recovery;
        let refused = world.issued_at(Party::P2, (&other, role), Some(2)).await;
        assert!(matches!(refused, Err(KeyFault::NotIssuing(_))), "{refused:?}");
        let prepared = world.issued_at(Party::P2, (&recovery, role), Some(issued.epoch())).await.expect("prepared");
        shares.push([issued, prepared]);
    }
    let new = DeviceKey::from_issued(&public, &shares[0]).expect("a share");
    RecoveryKey::from_issued(&public, &shares[1]).expect("a share");
    let message = recovery::ceremony("a login");
    let parts = world.parts(&[Party::P1, Party::P2], &message).await;
    assert!(parts.iter().all(|part| part.epoch() == 2));
    let part =
        |device| DeviceSigner::new(device).sign(&message, &mut randomness().expect("randomness")).expect("a part");
    assert_eq!(combine(&public, &message, Some(&part(&new)), &parts).expect("they fit").wrong, []);
    assert!(combine(&public, &message, Some(&part(&device)), &parts).is_err(), "the lost one");
    // A login asks once: P2 answers with both.
    for (party, prepared) in [(Party::P1, None), (Party::P2, Some(2))] {
        let signed = world.nodes[party.index()].sign_prepared(&id(), message.clone()).await.expect("readable");
        assert_eq!(signed.map(|signed| signed.partials.epoch()), prepared);
    }
}

#[tokio::test]
async fn a_node_with_another_share_is_named_and_signs_nothing() {
    let (world, other) = (World::start().await, World::start().await);
    let shares = shares();
    let public = shares[0].public().clone();
    good(world.enrol(&spec(), &shares).await);
    good(other.enrol(&spec(), &self::shares()).await);
    // P1 has a share of another split of the same key: whatever it sends fits nothing.
    let record = other.stores[1].get(Space::Keys, id().record()).await.expect("readable").expect("there");
    world.stores[1].put(Space::Keys, id().record(), record).await.expect("room");
    let message = Message::of(Hash::Sha256, b"document");
    let parts = world.parts(&Party::ALL, &message).await;
    let signed = combine(&public, &message, None, &parts).expect("the others are enough");
    assert_eq!(signed.wrong, [Party::P1]);
    verified(&public, b"document", &signed.signature);
    let two = combine(&public, &message, None, &parts[..2]).expect_err("who of the two is not known");
    assert_eq!(two, AuthError::Undecided { ask: Party::P2 });
}

/// P2 tells P0 that it is ready for new shares and P1 that it never will be: one would erase the old shares and the other the new ones.
#[tokio::test]
async fn who_tells_the_nodes_different_things_ends_the_step() {
    let world = World::start().await;
    let shares = shares();
    good(world.enrol(&spec(), &shares).await);
    let exchange_id = exchange();
    let stored = stored_at(&world, Party::P2).await;
    let lie = async {
        let mut link = joined(&world, Party::P2, (Step::Settle, &stored), exchange_id).await;
        let (honest, public) = (stored.record.status(), &stored.public);
        let mut refused = stored_at(&world, Party::P2).await;
        let refused = refused.record.refuse(5).expect("it may");
        for (to, says) in [(Party::P0, honest), (Party::P1, refused)] {
            let says = says.encode(public);
            link.send(to, says.clone().into()).await.unwrap_or_else(|_| panic!("memory"));
            // It agrees with each that this is what all have heard.
            let all = [honest.encode(public), honest.encode(public), says].concat();
            link.send(to, Sha256::digest(all).to_vec().into()).await.unwrap_or_else(|_| panic!("memory"));
        }
        // Kept until the others have read it.
        link
    };
    let owner: ClientName = name("alice");
    let (a, b, _link) = tokio::join!(
        world.nodes[0].settle(&owner, id(), exchange_id),
        world.nodes[1].settle(&owner, id(), exchange_id),
        lie
    );
    for (fault, suspects) in [(a, [1, 2]), (b, [0, 2])] {
        let Err(KeyFault::Together(failure)) = fault else { panic!("they have heard different things: {fault:?}") };
        assert_eq!((failure.kind, failure.suspects), (FailureKind::Misbehaved, suspects.to_vec()));
    }
    world.signs(&stored.public, "after a lie").await;
}
