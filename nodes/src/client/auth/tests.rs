//! What a device makes of the nodes' parts.

use super::*;
use crate::auth::Found;
use trefoil_auth::rsa::{DeviceSigner, KeySize, Message, NodeSigner, PrivateKey, Split, randomness};
use trefoil_engine::Lanes;

/// The device's part and the nodes' together.
fn sign(device: &Device, message: &Message, parts: &[NodePartials]) -> Result<Vec<u8>, Error> {
    let mut rng = randomness().expect("randomness");
    let part = DeviceSigner::new(device.key()).sign(message, &mut rng).map_err(rule)?;
    of_some_epoch(device.key().public(), message, (parts.to_vec(), &part))
}

#[test]
fn a_wrong_part_of_a_login_is_left_out_or_nothing_is_signed() {
    let mut rng = randomness().expect("randomness");
    let Split { device, nodes, .. } = PrivateKey::generate(KeySize::Rsa2048, &mut rng).expect("a key").split(&mut rng);
    let public = device.public().clone();
    let spec: CredentialSpec =
        serde_json::from_str(r#"{"rp_id": "example.org", "handle": "AAECAw", "user": "alice", "key": "alice-phone"}"#)
            .expect("JSON");
    let device = Device::new("bank".parse().expect("a name"), CredentialId::random(&mut rng), spec, device);
    let message = Message::webauthn(&[7; 37], &[9; 32]).expect("long enough");
    let right = nodes.each_ref().map(|key| NodeSigner::new(key).sign(&message, &mut rng).expect("a part"));
    // One bit of either part of P1.
    for from_end in [1, 300] {
        let mut bytes = right[1].encode(&public);
        let at = bytes.len() - from_end;
        bytes[at] ^= 1;
        let lie = NodePartials::decode(&bytes, Party::P1).expect("of the right length");
        let signature =
            sign(&device, &message, &[right[0].clone(), lie.clone(), right[2].clone()]).expect("two are right");
        assert!(public.verifies(&message, &signature));
        match sign(&device, &message, &[lie, right[2].clone()]) {
            Ok(signature) => assert!(public.verifies(&message, &signature)),
            Err(error) => assert!(error.to_string().contains("ask P0"), "{error}"),
        }
    }
    // P0 is an epoch behind or says so, P1 has the next in use, and P2 has both: the parts of either epoch come together.
    let next = {
        let mut next = [right[1].encode(&public), right[2].encode(&public)];
        for bytes in &mut next {
            // After a header of 8 bytes and the key's 32: the last byte of the epoch.
            bytes[47] += 1;
        }
        next
    };
    let [ahead, prepared] = [(Party::P1, &next[0]), (Party::P2, &next[1])]
        .map(|(party, bytes)| NodePartials::decode(bytes, party).expect("of the right form"));
    assert_eq!(ahead.epoch(), right[1].epoch() + 1);
    let mut lie = right[0].encode(&public);
    *lie.last_mut().expect("not empty") ^= 1;
    let lie = NodePartials::decode(&lie, Party::P0).expect("of the right length");
    let signature = sign(&device, &message, &[lie, ahead, right[2].clone(), prepared]).expect("of the next epoch");
    assert!(public.verifies(&message, &signature));
    // The share of a device that was recovered since, or of another split.
    let Split { device: other, .. } = PrivateKey::generate(KeySize::Rsa2048, &mut rng).expect("a key").split(&mut rng);
    let mut lost = device.key().encode();
    let at = lost.len() - 1;
    lost[at] ^= 1;
    let lost = trefoil_auth::rsa::DeviceKey::decode(&lost).expect("a number");
    for share in [lost, other] {
        let device = Device::new(device.owner().clone(), device.id().clone(), device.spec().clone(), share);
        assert!(sign(&device, &message, &right).is_err());
    }
}

/// Whatever one node changes in what it sends of an answer, the other holder of the component contradicts it.
#[test]
fn a_node_that_changes_its_share_of_an_answer_is_found_out() {
    let users: Vec<UserName> = ["alice", "bob", "carol"].map(|name| name.parse().expect("a name")).to_vec();
    // The second of three.
    let shares = Plain::Bits(&[Lanes(0b11)]).split().expect("shares");
    let found = shares.map(|share| {
        let [own, next] = share.as_bytes().map(trefoil_auth::webauthn::Bytes::from);
        Found { users: users.clone(), left_out: Vec::new(), own, next }
    });
    let due = Identified { user: Some(users[1].clone()), left_out: Vec::new() };
    assert_eq!(search::who(found.clone()).expect("an answer"), due);
    for party in 0..3 {
        for change in [
            |found: &mut Found| found.own.0[0] ^= 1,
            |found: &mut Found| found.next.0[0] ^= 2,
            |found: &mut Found| found.users.swap(0, 1),
            |found: &mut Found| found.left_out = found.users.clone(),
        ] {
            let mut found = found.clone();
            change(&mut found[party]);
            let answer = search::who(found);
            assert!(matches!(answer, Err(Error::Integrity(_))), "{answer:?}");
        }
    }
}
