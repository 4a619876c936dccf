//! A device is lost.

use super::*;
use sha2::Digest as _;
use trefoil_auth::rsa::{DeviceKey, DeviceSigner, Issued, RecoveryKey};
use zeroize::Zeroizing;

pub(super) fn claimed(recovery: &RecoveryKey, party: Party) -> RecoverySpec {
    RecoverySpec { claim: Claim::new(recovery.claim(party)) }
}

pub(super) fn ceremony(text: &str) -> Message {
    Message::webauthn(&[7; 37], &sha2::Sha256::digest(text).into()).expect("long enough")
}

impl World {
    pub(super) async fn recover(&self, recovery: &RecoveryKey) -> [Result<KeyStatus, KeyFault>; 3] {
        let exchange = exchange();
        let parts = recovery.parts(&mut randomness().expect("randomness")).map(|part| Mutex::new(Some(part)));
        self.all(|node, party| {
            let part = parts[party.index()].lock().expect("unpoisoned").take().expect("once for each");
            let asked = (claimed(recovery, party), part);
            async move { node.recover(&name("alice"), (id(), exchange), asked).await }
        })
        .await
    }

    pub(super) async fn issued_at(
        &self,
        party: Party,
        (recovery, role): (&RecoveryKey, RoleName),
        epoch: Option<u64>,
    ) -> Result<Issued, KeyFault> {
        let request = IssueRequest { claim: claimed(recovery, party).claim, role, epoch };
        let bytes = self.nodes[party.index()].issue(&name("alice"), &id(), &request).await?;
        Ok(Issued::decode(&bytes, party).expect("components"))
    }

    async fn issued(&self, recovery: &RecoveryKey, role: RoleName) -> Result<Vec<Issued>, KeyFault> {
        let mut parts = Vec::new();
        for party in Party::ALL {
            parts.push(self.issued_at(party, (recovery, role), None).await?);
        }
        Ok(parts)
    }

    pub(super) async fn device(&self, recovery: &RecoveryKey) -> Result<DeviceKey, KeyFault> {
        let issued = self.issued(recovery, RoleName::Device).await?;
        Ok(DeviceKey::from_issued(recovery.public(), &issued)?)
    }

    async fn next(&self, recovery: &RecoveryKey) -> Result<RecoveryKey, KeyFault> {
        let issued = self.issued(recovery, RoleName::Recovery).await?;
        Ok(RecoveryKey::from_issued(recovery.public(), &issued)?)
    }

    async fn done(&self, recovery: &RecoveryKey) -> [Result<KeyStatus, KeyFault>; 3] {
        self.all(|node, party| async move { node.issued(&name("alice"), id(), claimed(recovery, party)).await }).await
    }

    /// Whether a device and two nodes make a signature.
    async fn logs_in(&self, device: &DeviceKey) -> Result<(), AuthError> {
        let message = ceremony("a login");
        let part = DeviceSigner::new(device).sign(&message, &mut randomness()?)?;
        let parts = self.parts(&Party::ALL, &message).await;
        let signed = combine(device.public(), &message, Some(&part), &parts)?;
        assert_eq!(signed.wrong, []);
        Ok(())
    }
}

/// All three refuse, one at least for this reason; the others may have heard no more than that.
fn refused(results: &[Result<KeyStatus, KeyFault>; 3], expected: impl Fn(&AuthError) -> bool) {
    let of = |result: &Result<KeyStatus, KeyFault>| matches!(result, Err(KeyFault::Key(fault)) if expected(fault));
    assert!(results.iter().any(of), "{results:?}");
    let heard = |result: &Result<KeyStatus, KeyFault>| of(result) || matches!(result, Err(KeyFault::Together(_)));
    assert!(results.iter().all(heard), "{results:?}");
}

#[tokio::test]
async fn a_lost_device_is_recovered_and_its_shares_are_of_no_use() {
    let mut world = World::start().await;
    let Split { device, nodes, recovery } = with_device();
    good(world.enrol(&spec(), &nodes).await);
    world.logs_in(&device).await.expect("enrolled");

    // Another share than that of the key: nothing is replaced.
    let other = with_device().recovery;
    refused(&world.recover(&other).await, |fault| matches!(fault, AuthError::Recovery));
    assert!(matches!(world.device(&recovery).await, Err(KeyFault::NotIssuing(_))), "nothing waits");
    world.logs_in(&device).await.expect("the device in use");

    for status in good(world.recover(&recovery).await) {
        assert_eq!((status.epoch, status.issuing, status.unsettled), (2, true, false));
    }
    assert_eq!(world.logs_in(&device).await, Err(AuthError::Device), "the lost device");
    // The program that asked has ended: another one asks again, the nodes restart, and shares are made anew meanwhile.
    assert!(good(world.recover(&recovery).await).iter().all(|status| status.epoch == 2));
    world.restart();
    // Not by a refresh, which would leave the waiting share's components as they are.
    for refused in world.refresh().await {
        assert!(matches!(refused, Err(KeyFault::Issuing(_))), "{refused:?}");
    }
    assert!(matches!(world.device(&other).await, Err(KeyFault::NotIssuing(_))), "who has another share");
    let (new, next) = (world.device(&recovery).await.expect("a share"), world.next(&recovery).await.expect("a share"));
    world.logs_in(&new).await.expect("the new device");

    assert!(good(world.done(&recovery).await).iter().all(|status| !status.issuing));
    assert!(matches!(world.device(&recovery).await, Err(KeyFault::Recovered)), "it is handed out once");
    for used in world.recover(&recovery).await {
        assert!(matches!(used, Err(KeyFault::Recovered)), "{used:?}");
    }
    good(world.refresh().await);
    world.logs_in(&new).await.expect("after a refresh");
    // The next loss.
    good(world.recover(&next).await);
    assert_eq!(world.logs_in(&new).await, Err(AuthError::Device));
    let third = world.device(&next).await.expect("a share");
    world.logs_in(&third).await.expect("the third device");
}

#[tokio::test]
async fn a_recovery_is_the_owners_with_the_recovery_share() {
    let world = World::start().await;
    let Split { nodes, recovery, .. } = with_device();
    good(world.enrol(&spec(), &nodes).await);
    let node = &world.nodes[0];
    let missing = |result: Result<(), KeyFault>| {
        assert!(matches!(result, Err(KeyFault::Missing(_) | KeyFault::Withheld(_))), "{result:?}");
    };
    for other in ["bob", "mallory"] {
        let [part, ..] = recovery.parts(&mut randomness().expect("randomness"));
        let asked = (claimed(&recovery, Party::P0), part);
        missing(node.recover(&name(other), (id(), exchange()), asked).await.map(drop));
    }
    good(world.recover(&recovery).await);
    let request = |claim| IssueRequest { claim, role: RoleName::Device, epoch: None };
    for other in ["bob", "mallory"] {
        missing(node.issue(&name(other), &id(), &request(claimed(&recovery, Party::P0).claim)).await.map(drop));
        missing(node.issued(&name(other), id(), claimed(&recovery, Party::P0)).await.map(drop));
    }
    // The owner's certificate alone is not enough, nor is what the recovery share says to another node.
    for claim in [Claim::new(Zeroizing::new([0; 32])), claimed(&recovery, Party::P1).claim] {
        let refused = node.issue(&name("alice"), &id(), &request(claim.clone())).await;
        assert!(matches!(refused, Err(KeyFault::NotIssuing(_))), "{refused:?}");
        let refused = node.issued(&name("alice"), id(), RecoverySpec { claim }).await;
        assert!(matches!(refused, Err(KeyFault::NotIssuing(_))), "{refused:?}");
    }
    world.device(&recovery).await.expect("with both");
    let json = serde_json::to_string(&request(claimed(&recovery, Party::P0).claim)).expect("JSON");
    // A text that is moved while it grows leaves copies behind.
    let text = secret_json(&request(claimed(&recovery, Party::P0).claim)).expect("JSON");
    assert!(*text == *json.as_bytes() && text.capacity() == 1 << 10);
    let read: IssueRequest = serde_json::from_str(&json).expect("what was written");
    assert!(read.claim.bytes() == claimed(&recovery, Party::P0).claim.bytes() && read.role == RoleName::Device);
    assert!(!format!("{read:?}").contains(&hex::encode(read.claim.bytes())));
    serde_json::from_str::<RecoverySpec>(r#"{"claim": "00"}"#).expect_err("too short");
}

/// One node alone has heard that the shares were handed out: the recovery share that was used, used again, ends it at all three.
#[tokio::test]
async fn a_recovery_that_two_nodes_have_not_heard_the_end_of_is_repeated() {
    let mut world = World::start().await;
    let Split { nodes, recovery, .. } = with_device();
    good(world.enrol(&spec(), &nodes).await);
    good(world.recover(&recovery).await);
    let new = world.device(&recovery).await.expect("a share");
    world.nodes[0].issued(&name("alice"), id(), claimed(&recovery, Party::P0)).await.expect("it hears");
    world.restart();
    // Two nodes have to say that they have handed it out: nothing is erased, and no node makes new shares.
    for refused in world.refresh().await {
        assert!(matches!(refused, Err(KeyFault::Issuing(_))), "{refused:?}");
    }
    assert_eq!(
        good(world.settle().await).map(|status| (status.epoch, status.issuing)),
        [(2, false), (2, true), (2, true)]
    );
    let [heard, one, two] = world.recover(&recovery).await;
    assert!(matches!(heard, Err(KeyFault::Recovered)), "{heard:?}");
    assert!([one, two].into_iter().all(|status| status.is_ok_and(|status| status.issuing)));
    let mut parts = Vec::new();
    for party in [Party::P1, Party::P2] {
        parts.push(world.issued_at(party, (&recovery, RoleName::Device), None).await.expect("components"));
    }
    let again = DeviceKey::from_issued(recovery.public(), &parts).expect("a share");
    assert_eq!(*again.encode(), *new.encode());
    assert!(good(world.done(&recovery).await).iter().all(|status| !status.issuing));
    world.logs_in(&again).await.expect("the new device");
}

/// A key of the nodes alone has nothing to recover.
#[tokio::test]
async fn what_has_no_device_is_not_recovered() {
    let world = World::start().await;
    good(world.enrol(&spec(), &shares()).await);
    let of_it = with_device().recovery;
    refused(&world.recover(&of_it).await, |fault| matches!(fault, AuthError::State { step: "recovery", .. }));
    world.signs(shares()[0].public(), "as before").await;
}

/// At a write of a step, before it and after it: the recovery share that was used, used again, brings out a device that logs in.
#[tokio::test]
async fn a_crash_at_any_write_of_a_recovery_loses_nothing() {
    let mut world = World::start().await;
    let Split { mut device, nodes, mut recovery } = with_device();
    good(world.enrol(&spec(), &nodes).await);
    for (party, write, when) in [
        (Party::P0, 0, When::Before),
        (Party::P1, 0, When::After),
        (Party::P2, 1, When::Before),
        (Party::P0, 1, When::After),
    ] {
        let context = format!("recovery, {party} fails {when:?} write {write}");
        world.stores[party.index()].fail_after(write, when);
        let first = world.recover(&recovery).await;
        assert!(first[party.index()].is_err(), "{context}");
        assert!(world.stores[party.index()].heal(), "{context}: it has failed");
        world.restart();
        if first.iter().all(Result::is_err) {
            world.logs_in(&device).await.unwrap_or_else(|e| panic!("{context}: nobody went on: {e}"));
        }
        let again = good(world.recover(&recovery).await);
        assert!(again.iter().all(|status| status.issuing && !status.unsettled), "{context}");
        assert!(again.iter().all(|status| status.epoch == again[0].epoch), "{context}");
        let new = world.device(&recovery).await.expect("a share");
        assert_eq!(world.logs_in(&device).await, Err(AuthError::Device), "{context}: the lost one");
        world.logs_in(&new).await.unwrap_or_else(|e| panic!("{context}: {e}"));
        // The program that has both new shares crashes before it has told everybody: the next step tells the third node.
        let next = world.next(&recovery).await.expect("a share");
        world.stores[party.index()].fail_after(0, When::Before);
        let told = world.done(&recovery).await;
        assert_eq!(told.iter().filter(|told| told.is_err()).count(), 1, "{context}");
        assert!(world.stores[party.index()].heal(), "{context}: it has failed");
        world.restart();
        assert!(good(world.settle().await).iter().all(|status| !status.issuing), "{context}");
        (device, recovery) = (new, next);
    }
    assert!(good(world.refresh().await).iter().all(|status| !status.unsettled));
    world.logs_in(&device).await.expect("the last device");
}
