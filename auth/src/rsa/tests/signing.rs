//! Signatures of two and three nodes, with and without a device, honest and not.

use proptest::prelude::*;
use trefoil_engine::Party;

use super::{aws_lc_accepts, message, padded, parts, rng, signed_bytes, small, split};
use crate::{
    Error,
    rsa::{
        DevicePartial, DeviceSigner, Hash, KeySize, Message, NodePartials, NodeSigner, PrivateKey, combine,
        sign_without_nodes,
    },
};

#[test]
fn any_two_nodes_and_the_device_make_the_signature() {
    let (split, message) = (split(), message("any two"));
    let (device, nodes) = parts(split, &message);
    let all = combine(split.device.public(), &message, Some(&device), &nodes).expect("three");
    assert_eq!(all.wrong, []);
    assert!(split.device.public().verifies(&message, &all.signature));
    for absent in 0..3 {
        let two: Vec<_> = (0..3).filter(|&i| i != absent).map(|i| nodes[i].clone()).collect();
        assert_eq!(combine(split.device.public(), &message, Some(&device), &two), Ok(all.clone()));
    }
    // PKCS#1 v1.5 has one signature for a message and a key.
    let without = sign_without_nodes(&split.device, &split.recovery, &message, &mut rng(9)).expect("2 of 3");
    assert_eq!(without, all.signature);
}

#[test]
fn other_verifiers_accept_keys_of_every_size() {
    for size in [KeySize::Rsa2048, KeySize::Rsa3072] {
        let split = PrivateKey::generate(size, &mut rng(5)).expect("primes").split(&mut rng(6));
        let message = message("for others");
        let (device, nodes) = parts(&split, &message);
        let public = split.device.public();
        let signed = combine(public, &message, Some(&device), &nodes[1..]).expect("signed");
        assert!(aws_lc_accepts(public, &signed_bytes("for others"), &signed.signature));
        assert!(!aws_lc_accepts(public, &signed_bytes("for nobody"), &signed.signature));
    }
}

#[test]
fn keys_of_devices_sign_no_documents() {
    let document = Message::of(Hash::Sha256, &signed_bytes("an assertion with other flags"));
    let split = split();
    assert_eq!(DeviceSigner::new(&split.device).sign(&document, &mut rng(1)), Err(Error::Purpose));
    for key in &split.nodes {
        assert_eq!(NodeSigner::new(key).sign(&document, &mut rng(1)), Err(Error::Purpose));
    }
}

#[test]
fn three_nodes_sign_without_a_device() {
    let nodes = small(7).split_among_nodes(&mut rng(8));
    let public = nodes[0].public().clone();
    assert!(nodes.iter().all(|key| !key.has_device()) && split().nodes.iter().all(super::super::NodeKey::has_device));
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let message = Message::of(hash, b"a document");
        let parts = nodes.each_ref().map(|key| NodeSigner::new(key).sign(&message, &mut rng(1)).expect("signed"));
        let signed = combine(&public, &message, None, &parts[..2]).expect("signed");
        assert!(public.verifies(&message, &signed.signature));
        assert!(!public.verifies(&Message::of(hash, b"another"), &signed.signature));
        // A device that does not belong to the key spoils the product, and all three agree that it is not theirs.
        let mut device = parts[0].clone();
        device.values.reverse();
        let device = DevicePartial { key: public.id(), value: device.values[0].clone() };
        assert_eq!(combine(&public, &message, Some(&device), &parts), Err(Error::Device));
    }
}

#[test]
fn signers_blind_every_base_and_sign_alike_for_longer_than_a_blinding_lasts() {
    let split = split();
    let mut node = NodeSigner::new(&split.nodes[1]);
    let mut device = DeviceSigner::new(&split.device);
    let message = message("again and again");
    let first = (node.sign(&message, &mut rng(1)).expect("node"), device.sign(&message, &mut rng(1)).expect("device"));
    for seed in 0..70 {
        let again = (
            node.sign(&message, &mut rng(seed)).expect("node"),
            device.sign(&message, &mut rng(seed)).expect("device"),
        );
        assert_eq!(again, first);
    }
}

#[test]
fn factors_that_cancel_do_not_put_the_blame_on_others() {
    let (split, message) = (split(), message("framed"));
    let (device, honest) = parts(split, &message);
    let public = split.device.public();
    let ring = public.ring();
    let minus_one = {
        let mut bytes = public.modulus();
        bytes[127] ^= 1;
        ring.residue(&bytes).expect("below N")
    };
    let mut parts = honest.clone();
    for value in &mut parts[0].values {
        *value = ring.residue(value).expect("below N").times(&minus_one).encode();
    }
    // Both copies of P0 together make the signature as well as those of the others do.
    let signed = combine(public, &message, Some(&device), &parts).expect("two are honest");
    assert_eq!(signed.wrong, [Party::P0]);
    // Two replies do not tell who of the two it is.
    let signed = combine(public, &message, Some(&device), &parts[..2]).expect("a signature");
    assert_eq!(signed.wrong, [Party::P0, Party::P1]);
    assert!(public.verifies(&message, &signed.signature));
}

/// A part with one bit changed.
fn spoil(part: &mut [u8], bit: usize) {
    part[bit / 8 % part.len()] ^= 1 << (bit % 8);
}

#[test]
fn one_lying_node_of_three_is_named_and_the_signature_made() {
    let (split, message) = (split(), message("lies"));
    let (device, honest) = parts(split, &message);
    let public = split.device.public();
    let signature = combine(public, &message, Some(&device), &honest).expect("honest").signature;
    for liar in Party::ALL {
        // One component, the other, both, exchanged, zero, the modulus itself, another key's.
        let lies: [fn(&mut NodePartials, &[u8]); 7] = [
            |part, _| spoil(&mut part.values[0], 9),
            |part, _| spoil(&mut part.values[1], 1000),
            |part, _| part.values.iter_mut().for_each(|value| spoil(value, 500)),
            |part, _| part.values.reverse(),
            |part, _| part.values[0].fill(0),
            |part, modulus| part.values[1] = modulus.to_vec(),
            |part, _| part.key[31] ^= 1,
        ];
        for lie in lies {
            let mut parts = honest.clone();
            lie(&mut parts[liar.index()], &public.modulus());
            let signed = combine(public, &message, Some(&device), &parts).expect("two are honest");
            assert_eq!((signed.signature, signed.wrong), (signature.clone(), vec![liar]));
            // Without the third node a lie is either found out by the one component that came twice, or nothing is released.
            for absent in liar.peers() {
                let two: Vec<_> = parts.iter().filter(|part| part.party() != absent).cloned().collect();
                match combine(public, &message, Some(&device), &two) {
                    Ok(signed) => {
                        assert_eq!(signed.signature, signature);
                        assert_eq!(signed.wrong, two.iter().map(NodePartials::party).collect::<Vec<_>>());
                    }
                    Err(error) => assert_eq!(error, Error::Undecided { ask: absent }),
                }
            }
        }
    }
}

#[test]
fn a_wrong_device_is_blamed_when_the_nodes_agree() {
    let (split, text) = (split(), message("device"));
    let public = split.device.public();
    let (device, nodes) = parts(split, &text);
    let (of_other_message, _) = parts(split, &message("another"));
    let mut spoilt = device.clone();
    spoil(&mut spoilt.value, 77);
    let beyond = DevicePartial { value: public.modulus(), ..device.clone() };
    for wrong in [of_other_message, spoilt.clone(), beyond] {
        assert_eq!(combine(public, &text, Some(&wrong), &nodes), Err(Error::Device));
    }
    assert_eq!(combine(public, &text, Some(&spoilt), &nodes[1..]), Err(Error::Undecided { ask: Party::P0 }));
    assert!(matches!(combine(public, &text, None, &nodes), Err(Error::Broken { .. })), "a missing device");
    let foreign = DevicePartial { key: [0; 32], ..device };
    assert!(matches!(combine(public, &text, Some(&foreign), &nodes), Err(Error::Foreign { .. })));
    // Nobody can be told apart when two are wrong.
    let mut parts = nodes;
    spoil(&mut parts[0].values[0], 5);
    let broken = Error::Broken { suspects: vec![Party::P0, Party::P2] };
    assert_eq!(combine(public, &text, Some(&spoilt), &parts), Err(broken));
}

#[test]
fn replies_are_of_different_nodes_and_one_epoch() {
    let (split, message) = (split(), message("epochs"));
    let public = split.device.public();
    let (device, nodes) = parts(split, &message);
    for few in [&nodes[..0], &nodes[..1], &[nodes[1].clone(), nodes[1].clone()]] {
        let got = usize::from(!few.is_empty());
        assert_eq!(combine(public, &message, Some(&device), few), Err(Error::Replies { got }));
    }
    // One node is ahead: the two others sign, and it is not called a liar.
    let mut ahead = nodes.clone();
    ahead[2].epoch += 1;
    let signed = combine(public, &message, Some(&device), &ahead).expect("two of one epoch");
    assert_eq!(signed.wrong, []);
    assert_eq!(combine(public, &message, Some(&device), &ahead[1..]), Err(Error::Replies { got: 1 }));
}

#[test]
fn parts_survive_their_binary_form_and_nothing_else_is_read() {
    let (split, message) = (split(), message("bytes"));
    let public = split.device.public();
    let (device, nodes) = parts(split, &message);
    let bytes = device.encode(public);
    assert_eq!(DevicePartial::decode(&bytes), Ok(device));
    for node in &nodes {
        let bytes = node.encode(public);
        assert_eq!(NodePartials::decode(&bytes, node.party()).as_ref(), Ok(node));
        // The sender is who the link says.
        assert_eq!(NodePartials::decode(&bytes, node.party().next()).expect("read").party(), node.party().next());
        assert!(DevicePartial::decode(&bytes).is_err());
    }
    for length in 0..bytes.len() {
        assert!(matches!(DevicePartial::decode(&bytes[..length]), Err(Error::Malformed { .. })), "{length}");
    }
    for place in 0..8 {
        let mut other = bytes.clone();
        other[place] ^= 0x40;
        assert!(matches!(DevicePartial::decode(&other), Err(Error::Malformed { .. })), "{place}");
    }
    assert!(DevicePartial::decode(&[&bytes[..], &[0]].concat()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_split_signs(seed in any::<u64>(), text in any::<Vec<u8>>(), absent in 0_usize..4) {
        // One key, split anew each time.
        let key = PrivateKey::from_pem(super::import::small_pem()).expect("a key");
        let split = key.split(&mut rng(seed));
        let message = Message::webauthn(&padded(&text), &[3; 32]).expect("long enough");
        let (device, nodes) = parts(&split, &message);
        let nodes: Vec<_> = nodes.into_iter().filter(|part| part.party().index() != absent).collect();
        let public = split.device.public();
        let signed = combine(public, &message, Some(&device), &nodes).expect("signed");
        prop_assert!(public.verifies(&message, &signed.signature));
        prop_assert_eq!(signed.wrong, vec![]);
    }
}
