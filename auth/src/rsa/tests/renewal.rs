//! Refresh and recovery with real shares: signatures go on, old shares are of no use, crashes lose nothing, liars stop it.

use subtle::ConstantTimeEq;
use trefoil_engine::Party;

use super::{message, rng, small, split};
use crate::{
    Error,
    rsa::{
        Confirmation, Contribution, DeviceKey, DeviceSigner, Difference, Issued, NodeKey, NodeSigner, Outcome,
        Prepared, PrivateKey, Record, RecoveryKey, RecoveryPart, Renewal, Role, Split, Status, Unconfirmed, combine,
        sign_without_nodes,
    },
};

/// What a message of a renewal is before it is sent, so that a test can change it.
enum Sent<'a> {
    Contribution(&'a mut Vec<u8>),
    Difference(&'a mut Vec<u8>),
    Confirmation(&'a mut Vec<u8>),
}

/// The messages of a renewal between three nodes in their binary form; `wire` may change what `from` sends to `to`.
fn renew(
    renewals: [Renewal; 3],
    public: &super::PublicKey,
    wire: &dyn Fn(Party, Party, Sent<'_>),
) -> Result<[Prepared; 3], Error> {
    let contribution = |from: &Renewal, at: Party, to: Party| {
        let sent = if at.next() == to { from.to_next() } else { from.to_prev() };
        let mut bytes = sent.encode(public).to_vec();
        wire(at, to, Sent::Contribution(&mut bytes));
        Contribution::decode(&bytes)
    };
    let mut contributions = Vec::new();
    for to in Party::ALL {
        let from = |at: Party| contribution(&renewals[at.index()], at, to);
        contributions.push((from(to.next())?, from(to.prev())?));
    }
    let mut seeded = Vec::new();
    for (renewal, (next, prev)) in renewals.into_iter().zip(&contributions) {
        seeded.push(renewal.seeded(next, prev)?);
    }
    let mut differences = [None, None, None];
    for (from, seeded) in Party::ALL.into_iter().zip(&seeded) {
        if let Some((to, difference)) = seeded.difference() {
            let mut bytes = difference.encode(public).to_vec();
            wire(from, to, Sent::Difference(&mut bytes));
            differences[to.index()] = Some(Difference::decode(&bytes)?);
        }
    }
    let mut unconfirmed = Vec::new();
    for (seeded, difference) in seeded.into_iter().zip(&differences) {
        unconfirmed.push(seeded.finish(difference.as_ref())?);
    }
    confirm(unconfirmed.try_into().expect("three"), public, wire)
}

fn confirm(
    unconfirmed: [Unconfirmed; 3],
    public: &super::PublicKey,
    wire: &dyn Fn(Party, Party, Sent<'_>),
) -> Result<[Prepared; 3], Error> {
    let sent = unconfirmed.each_ref().map(|node| node.confirmation().encode(public));
    let mut prepared = Vec::new();
    for (to, node) in Party::ALL.into_iter().zip(unconfirmed) {
        let mut received = Vec::new();
        for from in to.peers() {
            let mut bytes = sent[from.index()].clone();
            wire(from, to, Sent::Confirmation(&mut bytes));
            received.push(Confirmation::decode(&bytes, from)?);
        }
        prepared.push(node.confirm(&received.try_into().expect("two"))?);
    }
    Ok(prepared.try_into().expect("three"))
}

/// The same shares again, as a node reads them from its store.
fn copy(key: &NodeKey) -> NodeKey {
    NodeKey::decode(&key.encode()).expect("a key")
}

fn honest(_: Party, _: Party, _: Sent<'_>) {}

/// Refreshed shares of all nodes.
fn refreshed(nodes: &[NodeKey; 3], attempt: u64) -> [NodeKey; 3] {
    let renewals = nodes.each_ref().map(|key| key.refresh(attempt, &mut rng(attempt + key.party().index() as u64)));
    renew(renewals, nodes[0].public(), &honest).expect("honest").map(|prepared| prepared.key)
}

/// Signs with the shares of these nodes and a device, and says what comes of it.
fn signs(device: &DeviceKey, nodes: &[NodeKey]) -> Result<Vec<Party>, Error> {
    let message = message("after");
    let part = DeviceSigner::new(device).sign(&message, &mut rng(1)).expect("signed");
    let parts: Vec<_> =
        nodes.iter().map(|key| NodeSigner::new(key).sign(&message, &mut rng(2)).expect("signed")).collect();
    combine(device.public(), &message, Some(&part), &parts).map(|signed| signed.wrong)
}

/// The recovery of a device with `recovery`, up to the confirmation of new shares.
fn recovered(nodes: &[NodeKey; 3], recovery: &RecoveryKey, attempt: u64) -> Result<[NodeKey; 3], Error> {
    let public = nodes[0].public();
    let parts = recovery.parts(&mut rng(attempt));
    let parts = parts.map(|part| RecoveryPart::decode(&part.encode(recovery.public())).expect("a part"));
    let mut steps = Vec::new();
    for (key, part) in nodes.iter().zip(parts) {
        steps.push(key.recover(attempt, part)?);
    }
    let sent: Vec<_> = steps.iter().map(|step| step.confirmation().encode(public)).collect();
    let mut renewals = Vec::new();
    for (to, step) in Party::ALL.into_iter().zip(steps) {
        let others = to.peers().map(|from| Confirmation::decode(&sent[from.index()], from).expect("read"));
        renewals.push(step.accept(&others, &mut rng(100 + attempt + to.index() as u64))?);
    }
    let prepared = renew(renewals.try_into().expect("three"), public, &honest)?;
    Ok(prepared.map(|prepared| prepared.key))
}

fn issued(nodes: &[NodeKey; 3], role: Role) -> [Issued; 3] {
    nodes.each_ref().map(|key| {
        let bytes = key.issue(role).expect("a share to hand out").encode(key.public());
        Issued::decode(&bytes, key.party()).expect("read")
    })
}

#[test]
fn refreshed_shares_sign_with_the_same_device_and_none_of_another_epoch() {
    let split = split();
    let new = refreshed(&split.nodes, 1);
    assert_eq!(new.each_ref().map(NodeKey::epoch), [2; 3]);
    assert_eq!(signs(&split.device, &new), Ok(vec![]));
    for absent in 0..3 {
        let two: Vec<_> = (0..3).filter(|&i| i != absent).map(|i| copy(&new[i])).collect();
        assert_eq!(signs(&split.device, &two), Ok(vec![]));
    }
    // Every component is another one, and the sum is what it was.
    for (old, new) in split.nodes.iter().zip(&new) {
        for (old, new) in old.shares.iter().zip(&new.shares) {
            assert_ne!(old.encode(), new.encode());
        }
    }
    let sum = |nodes: &[NodeKey; 3]| nodes[0].shares[0].plus(&nodes[1].shares[0]).plus(&nodes[2].shares[0]).encode();
    assert_eq!(sum(&split.nodes), sum(&new));
    // One node's shares of each epoch, taken for those of one: no signature.
    let mut old = copy(&split.nodes[0]);
    old.epoch = 2;
    let mixed = [old, copy(&new[1])];
    assert_eq!(signs(&split.device, &mixed), Err(Error::Undecided { ask: Party::P2 }));
    // Again and again: shares do not grow.
    let again = (2..6).fold(new, |nodes, attempt| refreshed(&nodes, attempt));
    assert_eq!(signs(&split.device, &again), Ok(vec![]));
    assert!(again.iter().flat_map(|key| &key.shares).all(|share| share.value().bits() <= 1024 + 191));
}

#[test]
fn two_refreshes_draw_different_shares() {
    let split = split();
    let [one, two] = [1, 50].map(|attempt| refreshed(&split.nodes, attempt));
    for (one, two) in one.iter().zip(&two) {
        assert!(one.shares.iter().zip(&two.shares).all(|(a, b)| a.encode() != b.encode()));
    }
    // One holder's randomness is enough for the two holders' seed.
    let with = |seed: u64| {
        let seeds = [7, 8, seed];
        let renewals = split.nodes.each_ref().map(|key| key.refresh(3, &mut rng(seeds[key.party().index()])));
        renew(renewals, split.device.public(), &honest).expect("honest").map(|prepared| prepared.key)
    };
    let [one, two] = [with(9), with(10)];
    assert_ne!(one[0].shares[0].encode(), two[0].shares[0].encode(), "component 0: P0 and P2");
    assert_eq!(one[0].shares[1].encode(), two[0].shares[1].encode(), "component 1: P0 and P1");
}

#[test]
fn keys_of_the_nodes_alone_are_refreshed_too() {
    let nodes = small(7).split_among_nodes(&mut rng(8));
    let new = refreshed(&nodes, 1);
    let text = message("alone");
    let parts = [&new[1], &new[2]].map(|key| NodeSigner::new(key).sign(&text, &mut rng(1)).expect("signed"));
    let signed = combine(nodes[0].public(), &text, None, &parts).expect("signed");
    assert!(nodes[0].public().verifies(&text, &signed.signature));
    assert!(!new[0].has_device());
    let part = split().recovery.parts(&mut rng(1)).into_iter().next().expect("three");
    assert!(matches!(nodes[0].recover(1, part), Err(Error::Foreign { .. })));
}

#[test]
fn any_changed_message_of_a_refresh_stops_it() {
    let split = split();
    let public = split.device.public();
    for from in Party::ALL {
        for to in from.peers() {
            for kind in 0..3 {
                // The last byte: of a seed, a difference, a power.
                let tamper = |at: Party, of: Party, sent: Sent<'_>| {
                    let (which, bytes) = match sent {
                        Sent::Contribution(bytes) => (0, bytes),
                        Sent::Difference(bytes) => (1, bytes),
                        Sent::Confirmation(bytes) => (2, bytes),
                    };
                    if (at, of, which) == (from, to, kind) {
                        let last = bytes.len() - 1;
                        bytes[last] ^= 1;
                    }
                };
                let renewals = split.nodes.each_ref().map(|key| key.refresh(1, &mut rng(key.party().index() as u64)));
                let result = renew(renewals, public, &tamper);
                // Differences go between P1 and P2 alone, and the seed that these two share is of a component that is not drawn.
                let matters = match kind {
                    0 => from == Party::P0 || to == Party::P0,
                    1 => from != Party::P0 && to != Party::P0,
                    _ => true,
                };
                if !matters {
                    assert!(result.is_ok(), "{from} to {to}, {kind}");
                    continue;
                }
                match result {
                    // Who lies is among those named.
                    Err(Error::Shares { suspects, .. }) => assert!(suspects.contains(&from), "{from} {suspects:?}"),
                    other => panic!("{from} to {to}, {kind}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn shares_that_agree_and_do_not_add_up_are_found() {
    let split = split();
    let public = split.device.public();
    // P1 begins with another component than it has, and tells P2 the difference from that.
    let mut nodes = split.nodes.each_ref().map(copy);
    nodes[1].shares.swap(0, 1);
    let renewals = nodes.each_ref().map(|key| key.refresh(1, &mut rng(key.party().index() as u64)));
    assert!(matches!(renew(renewals, public, &honest), Err(Error::Shares { .. })));
    // The same with both of them in it, so that all copies agree.
    let mut nodes = split.nodes.each_ref().map(copy);
    (nodes[1].shares[1], nodes[2].shares[0]) = (nodes[0].shares[0].copy(), nodes[0].shares[0].copy());
    let renewals = nodes.each_ref().map(|key| key.refresh(1, &mut rng(key.party().index() as u64)));
    match renew(renewals, public, &honest) {
        Err(Error::Shares { suspects, .. }) => assert_eq!(suspects, [Party::P1, Party::P2]),
        result => panic!("{result:?}"),
    }
}

#[test]
fn enrolled_shares_are_checked_before_they_are_stored() {
    let split = split();
    let public = split.device.public();
    let enrolled = |nodes: &[NodeKey; 3]| {
        let keys = nodes.each_ref().map(|key| Unconfirmed::enrolled(copy(key), key.party(), 1).expect("first shares"));
        confirm(keys, public, &honest)
    };
    assert!(enrolled(&split.nodes).is_ok());
    let other = small(4).split(&mut rng(1));
    // Shares of another key: the nodes agree with each other, and not with the key.
    let mut mixed = split.nodes.each_ref().map(copy);
    for (key, other) in mixed.iter_mut().zip(other.nodes) {
        key.shares = other.shares;
    }
    match enrolled(&mixed) {
        Err(Error::Shares { suspects, .. }) => assert_eq!(suspects, [], "the client is to blame"),
        result => panic!("{result:?}"),
    }
    let others = Unconfirmed::enrolled(copy(&split.nodes[1]), Party::P0, 1);
    assert!(matches!(others, Err(Error::Foreign { of: "node", .. })));
    let [late, ..] = refreshed(&split.nodes, 1);
    assert!(matches!(Unconfirmed::enrolled(late, Party::P0, 1), Err(Error::Foreign { of: "epoch", .. })));
}

#[test]
fn messages_of_another_attempt_epoch_or_component_are_refused() {
    let split = split();
    let begin = |attempt: u64| split.nodes.each_ref().map(|key| key.refresh(attempt, &mut rng(1)));
    let foreign = |of: Result<_, Error>| matches!(of, Err(Error::Foreign { what: "contribution", .. }));
    let ([_, next, prev], [_, late, _]) = (begin(1), begin(2));
    let (next, prev, late) = (next.to_prev(), prev.to_next(), late.to_prev());
    let [a, ..] = begin(1);
    assert!(foreign(a.seeded(&late, &prev).map(|_| ())), "attempt");
    let [a, ..] = begin(1);
    assert!(foreign(a.seeded(&prev, &next).map(|_| ())), "component");
    // The differences: P0 takes none, P1 takes one of this attempt.
    let difference = |attempt: u64| {
        let [a, b, c] = begin(attempt);
        c.seeded(&a.to_prev(), &b.to_next()).expect("P2").difference().expect("P2 has one").1
    };
    let state = |of: Result<Unconfirmed, Error>| matches!(of, Err(Error::State { .. }));
    let [a, ..] = begin(1);
    assert!(state(a.seeded(&next, &prev).expect("P0").finish(Some(&difference(1)))));
    let p1 = || {
        let [a, b, c] = begin(1);
        b.seeded(&c.to_prev(), &a.to_next()).expect("P1")
    };
    assert!(state(p1().finish(None)));
    assert!(matches!(p1().finish(Some(&difference(2))), Err(Error::Foreign { what: "difference", .. })));
    // Confirmations: of another attempt, or twice of one node.
    let unconfirmed = p1().finish(Some(&difference(1))).expect("P1");
    let mine = unconfirmed.confirmation();
    let twice = unconfirmed.confirm(&[mine.clone(), mine]);
    assert!(matches!(twice, Err(Error::Foreign { what: "confirmation", .. })));
}

#[test]
fn a_recovery_makes_a_device_that_signs_and_a_lost_one_that_does_not() {
    let old = small(3).split(&mut rng(4));
    let nodes = recovered(&old.nodes, &old.recovery, 1).expect("honest");
    let public = old.device.public();
    let device = DeviceKey::from_issued(public, &issued(&nodes, Role::Device)).expect("a share");
    let recovery = RecoveryKey::from_issued(public, &issued(&nodes, Role::Recovery)).expect("a share");
    assert_eq!(signs(&device, &nodes), Ok(vec![]));
    // Every share of before is of no use with one of after.
    assert_eq!(signs(&old.device, &nodes), Err(Error::Device));
    assert!(signs(&device, &old.nodes).is_err());
    let text = message("without nodes");
    let both = |device, recovery| sign_without_nodes(device, recovery, &text, &mut rng(1));
    assert!(public.verifies(&text, &both(&device, &recovery).expect("both new")));
    assert_eq!(both(&old.device, &recovery), Err(Error::Device));
    assert_eq!(both(&device, &old.recovery), Err(Error::Device));
    // The two of before are the whole key for ever, which is why the used recovery share is to be destroyed.
    assert!(public.verifies(&text, &both(&old.device, &old.recovery).expect("both old")));
    assert_eq!(recovered(&nodes, &old.recovery, 2).err(), Some(Error::Recovery));
    assert!(!bool::from(device.ct_eq(&old.device)) && !bool::from(recovery.ct_eq(&old.recovery)));
    // The new recovery share recovers again, after refreshes too.
    let nodes = refreshed(&nodes, 3);
    let nodes = recovered(&nodes, &recovery, 4).expect("the last one issued");
    let third = DeviceKey::from_issued(public, &issued(&nodes, Role::Device)).expect("a share");
    assert_eq!(signs(&third, &nodes), Ok(vec![]));
    assert_eq!(signs(&device, &nodes), Err(Error::Device));
}

#[test]
fn a_refresh_before_the_shares_are_handed_out_keeps_them() {
    let old = small(3).split(&mut rng(4));
    let nodes = refreshed(&recovered(&old.nodes, &old.recovery, 1).expect("honest"), 2);
    let device = DeviceKey::from_issued(old.device.public(), &issued(&nodes, Role::Device)).expect("a share");
    let recovery = RecoveryKey::from_issued(old.device.public(), &issued(&nodes, Role::Recovery)).expect("a share");
    assert_eq!(signs(&device, &nodes), Ok(vec![]));
    assert!(sign_without_nodes(&device, &recovery, &message("both"), &mut rng(1)).is_ok());
    assert!(old.nodes[0].issue(Role::Device).is_none(), "nothing is handed out without a recovery");
    // Components of two epochs do not fit, and are not taken for such.
    let [first, ..] = issued(&nodes, Role::Device);
    let later = refreshed(&nodes, 3);
    let [_, second, third] = issued(&later, Role::Device);
    assert_eq!([first.epoch(), second.epoch()], [nodes[0].epoch, nodes[0].epoch + 1]);
    let mixed = [first, second, third];
    assert!(DeviceKey::from_issued(device.public(), &mixed).is_ok_and(|again| bool::from(again.ct_eq(&device))));
    let [first, second, _] = mixed;
    assert!(matches!(DeviceKey::from_issued(device.public(), &[first, second]), Err(Error::Replies { got: 1 })));
    // A node that was told that they are handed out does not keep the others from a refresh.
    let mut nodes = nodes;
    nodes[1].issuing = None;
    let nodes = refreshed(&nodes, 3);
    assert_eq!(nodes.each_ref().map(NodeKey::is_issuing), [true, false, true]);
    assert_eq!(signs(&device, &nodes), Ok(vec![]));
    let [first, _, third] = nodes.each_ref().map(|key| key.issue(Role::Device));
    let two = [first.expect("there"), third.expect("there")];
    assert!(DeviceKey::from_issued(device.public(), &two).is_ok_and(|again| bool::from(again.ct_eq(&device))));
}

#[test]
fn wrong_recovery_shares_and_wrong_issues_are_refused() {
    let old = small(3).split(&mut rng(4));
    let public = old.device.public();
    // A recovery share that somebody made up.
    let made_up = RecoveryKey { public: public.clone(), share: old.device.share.copy() };
    assert_eq!(recovered(&old.nodes, &made_up, 1).err(), Some(Error::Recovery));
    let nodes = recovered(&old.nodes, &old.recovery, 1).expect("honest");
    let right = DeviceKey::from_issued(public, &issued(&nodes, Role::Device)).expect("a share");
    for liar in Party::ALL {
        // The last byte of the one component, of the other, and of the check.
        for place in 0..3 {
            let mut parts = issued(&nodes, Role::Device);
            let mut bytes = parts[liar.index()].encode(public).to_vec();
            let end = bytes.len() - place * (1024 + 192) / 8;
            bytes[end - 1] ^= 1;
            parts[liar.index()] = Issued::decode(&bytes, liar).expect("a number");
            let device = DeviceKey::from_issued(public, &parts).expect("one liar of three");
            assert!(bool::from(device.ct_eq(&right)), "{liar}, {place}");
            // Of two, with the liar among them, there is no share or the right one.
            let [a, b, c] = parts;
            let two = if liar == Party::P0 { [a, b] } else { [b, c] };
            match DeviceKey::from_issued(public, &two) {
                Err(Error::Shares { suspects, .. }) => assert!(suspects.contains(&liar)),
                Ok(device) => assert!(bool::from(device.ct_eq(&right)), "{liar}, {place}"),
                other => panic!("{other:?}"),
            }
        }
    }
    let [_, b, c] = issued(&nodes, Role::Device);
    assert!(DeviceKey::from_issued(public, &[c, b]).is_ok_and(|device| bool::from(device.ct_eq(&right))), "two");
    let [a, b, _] = issued(&nodes, Role::Device);
    let [_, _, c] = issued(&nodes, Role::Recovery);
    assert!(matches!(DeviceKey::from_issued(public, &[a, b, c]), Err(Error::Foreign { .. })));
    let ([a, ..], [again, ..]) = (issued(&nodes, Role::Device), issued(&nodes, Role::Device));
    assert!(matches!(DeviceKey::from_issued(public, &[a, again]), Err(Error::Replies { got: 1 })));
    // Who holds the share can say so to each node, and says something else to each.
    let claims = Party::ALL.map(|party| old.recovery.claim(party));
    assert_eq!(claims, Party::ALL.map(|party| old.recovery.claim(party)));
    assert!(claims[0] != claims[1] && claims[1] != claims[2] && *claims[0] != *made_up.claim(Party::P0));
}

/// The third pair of the three: the nodes have lost everything.
#[test]
fn device_and_recovery_make_shares_for_new_nodes() {
    let old = small(3).split(&mut rng(4));
    let public = old.device.public();
    let whole = PrivateKey::from_shares(&old.device, &old.recovery).expect("they belong together");
    let new = whole.split(&mut rng(5));
    assert_eq!(new.device.public(), public);
    assert_eq!(signs(&new.device, &new.nodes), Ok(vec![]));
    assert_eq!(signs(&old.device, &new.nodes), Err(Error::Device));
    let again = PrivateKey::from_shares(&old.device, &new.recovery);
    assert!(matches!(again, Err(Error::Device)), "of different splits");
    let other = small(4).split(&mut rng(4));
    assert!(matches!(PrivateKey::from_shares(&other.device, &old.recovery), Err(Error::Foreign { .. })));
}

/// A refresh that broke off when all had prepared it does not bring back what was erased, and a second recovery keeps what it will hand out.
#[test]
fn what_is_handed_out_is_erased_from_what_is_prepared_too() {
    let old = small(3).split(&mut rng(4));
    let nodes = recovered(&old.nodes, &old.recovery, 1).expect("honest");
    let public = old.device.public();
    let next = RecoveryKey::from_issued(public, &issued(&nodes, Role::Recovery)).expect("a share");
    for (again, kept) in [(false, false), (true, true)] {
        let prepared =
            if again { recovered(&nodes, &next, 2).expect("the last one issued") } else { refreshed(&nodes, 2) };
        let mut records = Party::ALL.map(|party| Record::new(public, party));
        for (record, key) in records.iter_mut().zip(&nodes) {
            record.prepare(Prepared { key: NodeKey { epoch: 1, ..copy(key) }, attempt: 1 }).expect("the first");
        }
        let statuses = records.each_ref().map(Record::status);
        for (record, key) in records.iter_mut().zip(prepared) {
            assert_eq!(record.resolve(&statuses), Ok(Outcome::Committed));
            record.prepare(Prepared { key: NodeKey { epoch: 2, ..key }, attempt: 2 }).expect("the second");
            record.issued();
            *record = crash(record);
            assert!(record.current().is_some_and(|key| !key.is_issuing()));
        }
        let statuses = records.each_ref().map(Record::status);
        for record in &mut records {
            assert_eq!(record.resolve(&statuses), Ok(Outcome::Committed));
            assert_eq!(record.current().map(NodeKey::is_issuing), Some(kept));
        }
    }
}

/// A node that may crash: what it has is what it stored.
fn crash(record: &Record) -> Record {
    Record::decode(&record.encode()).expect("a record")
}

#[test]
fn records_go_through_enrolment_refresh_and_recovery_with_a_crash_after_every_step() {
    let Split { device, nodes, recovery } = small(3).split(&mut rng(4));
    let public = device.public().clone();
    let mut records = Party::ALL.map(|party| crash(&Record::new(&public, party)));
    let unconfirmed = nodes.map(|key| {
        let party = key.party();
        Unconfirmed::enrolled(key, party, 1).expect("first shares")
    });
    let mut prepared = confirm(unconfirmed, &public, &honest).expect("honest");
    let (mut device, mut epoch) = (device, 0);
    for attempt in 1..4 {
        // One node after the other prepares, and crashes; those of before are in use all the while.
        for ((record, shares), party) in records.iter_mut().zip(prepared).zip(Party::ALL) {
            if epoch > 0 {
                assert!(record.resolve(&[]).is_ok_and(|outcome| outcome == Outcome::Idle));
            }
            let status = record.prepare(shares).expect("in turn");
            assert_eq!((status.epoch(), status.prepared()), (epoch, Some(attempt)));
            *record = crash(record);
            assert_eq!(record.status(), status);
            assert_eq!(Status::decode(&status.encode(&public), party), Ok(status));
            assert!(record.refuse(attempt).is_err(), "too late");
            assert_eq!(record.current().map(NodeKey::epoch), Some(epoch).filter(|&epoch| epoch > 0));
        }
        let statuses = records.each_ref().map(Record::status);
        assert_eq!(records[0].resolve(&statuses[..2]), Ok(Outcome::Waiting));
        assert_eq!(Record::next_attempt(&statuses), attempt + 1);
        // The first to commit is enough for the others, whatever else they hear.
        assert_eq!(records[0].resolve(&statuses), Ok(Outcome::Committed));
        records[0] = crash(&records[0]);
        epoch += 1;
        let ahead = records[0].status();
        let usable: Vec<_> = records.iter().map(|record| copy(record.at(epoch).expect("all have it"))).collect();
        if attempt == 3 {
            let shares: [NodeKey; 3] = usable.try_into().expect("three");
            device = DeviceKey::from_issued(&public, &issued(&shares, Role::Device)).expect("a share");
            assert_eq!(signs(&device, &shares), Ok(vec![]));
        } else {
            assert_eq!(signs(&device, &usable), Ok(vec![]));
        }
        for record in &mut records[1..] {
            assert_eq!(record.resolve(&[ahead]), Ok(Outcome::Committed));
            assert!(record.at(epoch - 1).is_none(), "the old shares are erased");
            *record = crash(record);
        }
        let keys = records.each_ref().map(|record| copy(record.current().expect("in use")));
        let next = attempt + 1;
        let begin = |key: &NodeKey| key.refresh(next, &mut rng(next + key.party().index() as u64));
        prepared = if attempt == 2 {
            recovered(&keys, &recovery, next).expect("honest").map(|key| Prepared { key, attempt: next })
        } else {
            renew(keys.each_ref().map(begin), &public, &honest).expect("honest")
        };
    }
    for record in &mut records {
        assert!(record.current().is_some_and(|key| key.issue(Role::Device).is_some()));
        record.issued();
        assert!(crash(record).current().is_some_and(|key| key.issue(Role::Device).is_none()));
    }
    // One prepares, another refuses: the old shares stay, and the attempt's number is used up.
    let [first, mut second, third] = records;
    let mut first = first;
    let [shares, other, _] = prepared;
    first.prepare(shares).expect("prepared");
    let refusal = second.refuse(4).expect("nothing is prepared");
    assert!(crash(&second).prepare(other).is_err(), "refused for ever");
    assert_eq!(first.resolve(&[third.status()]), Ok(Outcome::Waiting));
    assert_eq!(first.resolve(&[third.status(), refusal]), Ok(Outcome::Abandoned));
    let keys = [&first, &second, &third].map(|record| copy(record.current().expect("in use")));
    assert_eq!(signs(&device, &keys), Ok(vec![]));
    assert!(Record::next_attempt(&[&first, &second, &third].map(Record::status)) > 4);
}

#[test]
fn records_are_read_whole_or_not_at_all() {
    let split = split();
    let public = split.device.public();
    let mut record = Record::new(public, Party::P1);
    record.prepare(Prepared { key: copy(&split.nodes[1]), attempt: 1 }).expect("first shares");
    let bytes = record.encode();
    for length in 0..bytes.len() {
        assert!(Record::decode(&bytes[..length]).is_err(), "{length}");
    }
    assert!(Record::decode(&[&bytes[..], &[0]].concat()).is_err());
    // Another party, another key, another epoch, nothing prepared though there are shares for it.
    for place in [8, 8 + 128, 8 + 1 + 128 + 7, 8 + 1 + 128 + 16] {
        let mut wrong = bytes.to_vec();
        wrong[place] ^= 1;
        assert!(Record::decode(&wrong).is_err(), "{place}");
    }
    for foreign in
        [Prepared { key: copy(&split.nodes[2]), attempt: 2 }, Prepared { key: copy(&split.nodes[1]), attempt: 2 }]
    {
        assert!(record.prepare(foreign).is_err());
    }
    let other = small(4).split(&mut rng(1));
    let status = Record::new(other.device.public(), Party::P0).status();
    assert!(matches!(record.resolve(&[status]), Err(Error::Foreign { .. })));
}
