//! Error rates on synthetic irises, and the same decisions on shares.

use trefoil_circuits::{
    matching::{
        Answer, Kind, Match, Template, Threshold, encode,
        rates::trade_off,
        reference::{self, Distance},
        synthetic::Irises,
    },
    program::Turns,
};
use trefoil_engine::{client, prelude::*, testing::three};

const EYES: usize = 30;

fn thresholds() -> Vec<Threshold> {
    ["0.15", "0.22", "0.32", "0.345", "0.44", "0.47"].iter().map(|t| t.parse().unwrap()).collect()
}

struct Sample {
    enrolled: Vec<Template>,
    probes: Vec<Template>,
}

fn sample() -> Sample {
    let mut irises = Irises::new(7);
    let enrolled: Vec<Template> = (0..EYES).map(|_| irises.enrol()).collect();
    let mut again = |(k, eye): (usize, &Template)| {
        let noise = 0.1 + 0.15 * irises.uniform();
        irises.again(eye, noise, (k % 31).cast_signed() - 15)
    };
    let probes = enrolled.iter().enumerate().map(&mut again).collect();
    Sample { enrolled, probes }
}

#[test]
fn rates_at_the_thresholds_in_use_are_those_of_the_field() {
    let Sample { enrolled, probes } = sample();
    let distances = |a: usize, b: usize| reference::distances(&probes[a], &enrolled[b]).collect::<Vec<Distance>>();
    let genuine: Vec<_> = (0..EYES).map(|k| distances(k, k)).collect();
    let impostors: Vec<_> = (0..EYES).flat_map(|a| (0..a).map(move |b| (a, b))).map(|(a, b)| distances(a, b)).collect();
    let rates = trade_off(thresholds(), [&genuine, &impostors]);
    for pair in rates.windows(2) {
        assert!(pair[0].false_match.errors <= pair[1].false_match.errors);
        assert!(pair[0].false_non_match.errors >= pair[1].false_non_match.errors);
    }
    for at in &rates {
        println!("{at:?} {:?} {:?}", at.false_match.interval(), at.false_non_match.interval());
    }
    // At the thresholds in use both kinds are apart; far below and far above they are not.
    assert!(rates[2..4].iter().all(|at| at.false_match.errors == 0 && at.false_non_match.errors == 0));
    assert!(rates[0].false_non_match.value() > Some(0.2) && rates[5].false_match.value() > Some(0.05));
}

#[test]
fn decisions_on_shares_are_those_in_plain() {
    let Sample { enrolled, probes } = sample();
    let kind = Kind::IRIS;
    let [gallery, wanted]: [Vec<Lanes>; 2] =
        [&enrolled, &probes].map(|of| of.iter().flat_map(|x| x.to_bits().to_vec()).collect());
    let words = kind.sent(1).elements();
    // Among these are thresholds at which irises are taken for others.
    let tried: Vec<(usize, Threshold)> = thresholds().into_iter().enumerate().map(|(k, t)| (4 * k + 3, t)).collect();
    let program = |t| Match::identify(kind, t, [EYES, 1], Answer::First).unwrap();
    let out = three::<SemiHonest, _, _>(async |mut ctx| {
        let sent = Shares::public(ctx.me(), &gallery);
        let stored = std::sync::Arc::new(encode(&mut ctx, kind, EYES, sent.view()).await?);
        let mut outputs = Vec::new();
        for (k, threshold) in &tried {
            let probe = Shares::public(ctx.me(), &wanted[k * words..][..words]);
            let strand = ctx.fork(1).await?.remove(0);
            let released = program(*threshold).run_on(strand, probe, stored.clone(), &Turns).await?;
            outputs.push(released.strand.output(released.outputs[0].bits()?.view())?);
            ctx.join_verified(released.strand)?;
        }
        ctx.verify().await?;
        Ok(outputs)
    });
    let [a, b, c] = out;
    let mut all = Vec::new();
    for (((&(k, threshold), a), b), c) in tried.iter().zip(a).zip(b).zip(c) {
        let found = program(threshold).found(&client::reconstruct(&[a, b, c]).unwrap());
        assert_eq!(found, reference::identify(threshold, &probes[k], &enrolled, 1), "{threshold}");
        all.push((k, found));
    }
    assert!(all.iter().any(|(k, found)| found == &Some(*k)) && all.iter().any(|(k, found)| found != &Some(*k)));
}
