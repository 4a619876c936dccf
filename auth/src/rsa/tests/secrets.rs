//! Secrets do not print, keep their binary form, and every number is in its range.

use std::{fmt::Debug, sync::OnceLock};

use proptest::prelude::*;
use subtle::ConstantTimeEq;
use trefoil_engine::Party;

use super::{message, rng, small, split};
use crate::rsa::{
    Confirmation, Contribution, DeviceKey, DeviceSigner, KeySize, NodeKey, NodePartials, NodeSigner, Prepared, Record,
    RecoveryKey, RecoveryPart, Status, Unconfirmed,
    exponent::{Exponent, Range},
};

/// The forms in which the digits of a secret could turn up.
fn digits(secret: &[u8]) -> [String; 3] {
    let tail = &secret[secret.len() - 8..];
    let decimal = tail.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    [hex::encode(tail), hex::encode_upper(tail), decimal]
}

fn hides(shown: &impl Debug, secrets: &[&Exponent]) {
    for text in [format!("{shown:?}"), format!("{shown:#?}")] {
        assert!(text.contains("secret"), "{text}");
        for secret in secrets {
            assert!(digits(&secret.encode()).iter().all(|digits| !text.contains(digits)), "{text}");
        }
    }
}

#[test]
fn secrets_print_as_their_names() {
    let split = split();
    hides(&split.device, &[&split.device.share]);
    hides(&split.recovery, &[&split.recovery.share]);
    for node in &split.nodes {
        hides(node, &[&node.shares[0], &node.shares[1]]);
        hides(&NodeSigner::new(node), &[&node.shares[0], &node.shares[1]]);
        hides(&node.shares[0], &[&node.shares[0]]);
    }
    hides(&DeviceSigner::new(&split.device), &[&split.device.share]);
    let whole = small(1);
    hides(&whole, &[whole.total()]);
    hides(split, &[&split.device.share]);
    let renewals = split.nodes.each_ref().map(|key| key.refresh(1, &mut rng(1)));
    for (renewal, node) in renewals.iter().zip(&split.nodes) {
        hides(renewal, &[&node.shares[0], &node.shares[1]]);
    }
    let [a, b, c] = renewals;
    hides(&a.to_next(), &[]);
    let (for_b, for_c) = ((c.to_prev(), a.to_next()), (a.to_prev(), b.to_next()));
    let [b, c] = [b.seeded(&for_b.0, &for_b.1), c.seeded(&for_c.0, &for_c.1)].map(|seeded| seeded.expect("in turn"));
    hides(&b, &[&split.nodes[1].shares[0]]);
    let (_, difference) = c.difference().expect("P2 has one");
    hides(&difference, &[]);
    hides(&b.finish(Some(&difference)).expect("in turn"), &[&split.nodes[1].shares[0]]);
    let [_, second, _] = split.recovery.parts(&mut rng(1));
    hides(&split.nodes[1].recover(1, second).expect("its part"), &[&split.nodes[1].shares[0]]);
    let [part, ..] = split.recovery.parts(&mut rng(1));
    hides(&part, &[&split.recovery.share]);
    let record = Record::new(split.device.public(), Party::P0);
    hides(&record, &[]);
    // The test can fail: these digits are found where they are.
    let shown = format!("{:02x?}", &split.device.encode()[..]).replace([' ', ','], "");
    assert!(shown.contains(&digits(&split.device.share.encode())[0]));
}

#[test]
fn shares_survive_their_binary_form() {
    let split = split();
    let device = DeviceKey::decode(&split.device.encode()).expect("device");
    let recovery = RecoveryKey::decode(&split.recovery.encode()).expect("recovery");
    assert!(bool::from(device.ct_eq(&split.device)) && bool::from(recovery.ct_eq(&split.recovery)));
    assert!(
        DeviceKey::decode(&split.recovery.encode()).is_err() && RecoveryKey::decode(&split.device.encode()).is_err()
    );
    for node in &split.nodes {
        let bytes = node.encode();
        let read = NodeKey::decode(&bytes).expect("node");
        assert!(bool::from(read.ct_eq(node)));
        assert_eq!((read.party(), read.epoch(), read.public()), (node.party(), 1, node.public()));
        for length in 0..bytes.len() {
            assert!(NodeKey::decode(&bytes[..length]).is_err(), "{length}");
        }
        assert!(NodeKey::decode(&[&bytes[..], &[0]].concat()).is_err());
        // The party, and the flag at the end.
        for place in [8, bytes.len() - 1] {
            let mut wrong = bytes.to_vec();
            wrong[place] = 3;
            assert!(NodeKey::decode(&wrong).is_err(), "{place}");
        }
    }
    assert!(!bool::from(split.nodes[0].ct_eq(&split.nodes[1])));
}

#[test]
fn the_nodes_hold_their_components_and_the_shares_add_up() {
    let (split, whole) = (split(), small(1));
    for node in &split.nodes {
        let next = &split.nodes[node.party().next().index()];
        assert_eq!(node.shares[1].encode(), next.shares[0].encode());
    }
    let [w0, w1, w2] = Party::ALL.map(|party| &split.nodes[party.index()].shares[0]);
    let nodes = w0.plus(w1).plus(w2);
    let (u, v) = (&split.device.share, &split.recovery.share);
    assert_eq!(u.plus(&nodes).encode(), whole.total().encode());
    assert_eq!(u.plus(v).encode(), nodes.encode());
    assert_eq!(u.twice().plus(v).encode(), whole.total().encode());
}

/// How many bits a number has.
fn bits(exponent: &Exponent) -> u32 {
    exponent.value().bits()
}

#[test]
fn numbers_are_in_their_ranges() {
    let n = KeySize::Rsa1024.bits();
    let mut rng = rng(3);
    for (range, bound) in [(Range::Component, n + 187), (Range::Piece, n + 185)] {
        let drawn: Vec<u32> = (0..64).map(|_| bits(&Exponent::random(KeySize::Rsa1024, range, &mut rng))).collect();
        // The bound is reached by half of them: nothing of the range is left out.
        assert_eq!(drawn.iter().max(), Some(&bound));
        assert!(drawn.iter().filter(|&&bits| bits == bound).count() > 16);
    }
    for seed in 0..4 {
        let whole = small(seed);
        // Above 4 components' bounds, and below the width by enough that no sum wraps.
        assert!((n + 190..=n + 191).contains(&bits(whole.total())), "{}", bits(whole.total()));
        let split = whole.split(&mut rng);
        let least = split.nodes.iter().map(|node| bits(&node.shares[0])).max();
        assert!(least >= Some(n + 189) && least <= Some(n + 191), "the rest is positive: {least:?}");
        assert!(bits(&split.recovery.share) <= n + 191);
    }
}

#[test]
fn the_worst_draws_leave_every_share_in_range() {
    // The least total there can be, 2^191 phi(N) with N just above 2^(n-1), against the greatest components.
    let bytes = Exponent::bytes(KeySize::Rsa2048);
    let n = KeySize::Rsa2048.bits();
    let mut least = vec![0; bytes];
    // 2^(n+190) - 2^(n/2+193): N >= 2^(n-1), p + q < 2^(n/2+2).
    least[0] = 0x40;
    let total = Exponent::decode(&least).minus(&power(n / 2 + 193, bytes));
    let greatest = Exponent::uniform(&mut vec![0xff; bytes], Range::Component);
    let piece = Exponent::uniform(&mut vec![0xff; bytes], Range::Piece);
    let below = |value: &Exponent| bits(value) <= n + 191;
    // w_2 at enrolment; v; the third part of v; w_2 after a recovery.
    let rest = total.minus(&greatest).minus(&greatest).minus(&greatest);
    assert!(below(&rest) && bits(&rest) > n + 188);
    let recovery = total.minus(&greatest.twice());
    assert!(below(&recovery));
    assert!(below(&recovery.minus(&greatest).minus(&greatest)));
    let renewed = total.minus(&piece).minus(&piece).minus(&piece).minus(&greatest).minus(&greatest);
    assert!(below(&renewed));
    // One component more would not have fitted: a negative number wraps to the top of the range.
    let mut wrapped = total.copy();
    for _ in 0..9 {
        wrapped = wrapped.minus(&greatest);
    }
    assert!(!below(&wrapped));
}

/// `2^exponent`.
fn power(exponent: u32, bytes: usize) -> Exponent {
    let mut value = vec![0; bytes];
    value[bytes - 1 - exponent as usize / 8] = 1 << (exponent % 8);
    Exponent::decode(&value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever comes from a peer or a damaged file is an error or a value, never a panic, and a value is what it is the form of.
    #[test]
    fn any_bytes_are_read_or_refused(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), by in any::<u8>()) {
        let samples = samples();
        let mut bytes = samples[which.index(samples.len())].clone();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        let public = split().device.public();
        let again = [
            NodeKey::decode(&bytes).map(|read| read.encode().to_vec()),
            DeviceKey::decode(&bytes).map(|read| read.encode().to_vec()),
            Record::decode(&bytes).map(|read| read.encode().to_vec()),
            Status::decode(&bytes, Party::P0).map(|read| read.encode(public)),
            Confirmation::decode(&bytes, Party::P0).map(|read| read.encode(public)),
            Contribution::decode(&bytes).map(|read| read.encode(public).to_vec()),
            NodePartials::decode(&bytes, Party::P0).map(|read| read.encode(public)),
            RecoveryPart::decode(&bytes).map(|read| read.encode(public).to_vec()),
        ];
        let read: Vec<Vec<u8>> = again.into_iter().filter_map(Result::ok).collect();
        prop_assert!(read.len() <= 1, "one kind at most");
        prop_assert!(by != 0 || read.len() == 1, "a sample is read");
        prop_assert!(read.iter().all(|read| *read == bytes));
    }
}

/// One of each kind in its binary form.
fn samples() -> &'static [Vec<u8>] {
    static SAMPLES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let split = split();
        let (node, public) = (&split.nodes[1], split.device.public());
        let first =
            || Unconfirmed::enrolled(NodeKey::decode(&node.encode()).expect("a key"), Party::P1, 1).expect("first");
        let mut record = Record::new(public, Party::P1);
        let key = NodeKey::decode(&node.encode()).expect("a key");
        let status = record.prepare(Prepared { key, attempt: 1 }).expect("the first");
        let partials = NodeSigner::new(node).sign(&message("a sample"), &mut rng(1)).expect("signed");
        let [part, ..] = split.recovery.parts(&mut rng(1));
        vec![
            node.encode().to_vec(),
            split.device.encode().to_vec(),
            Record::new(public, Party::P2).encode().to_vec(),
            record.encode().to_vec(),
            status.encode(public),
            first().confirmation().encode(public),
            node.refresh(1, &mut rng(1)).to_next().encode(public).to_vec(),
            partials.encode(public),
            part.encode(public).to_vec(),
        ]
    })
}
