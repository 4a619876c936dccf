//! Embeddings on shares, against the plain twin and the price.

use trefoil_circuits::{
    matching::{Answer, Embedding, MatchEmbedding, MatchingError, Metric, Threshold},
    program::{Inputs, Program, Turns, Vector},
};
use trefoil_engine::{Cost, client, prelude::*, testing::three};

/// Numbers from -1 to 1.
fn entries(n: usize, seed: u64) -> Vec<f32> {
    let entry = |k: u64| {
        let z = (k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (seed + 1).wrapping_mul(0xd134_2543_de82_ef95);
        let z = (z ^ z >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n as u64).map(entry).collect()
}

fn integers(x: &[i64]) -> Vec<Z64> {
    x.iter().map(|x| Z64(x.cast_unsigned())).collect()
}

fn run<M: Mode>(program: &MatchEmbedding, probe: &[i64], templates: &[Vec<i64>]) -> (Option<usize>, Cost) {
    let (probe, templates) = (integers(probe), integers(&templates.concat()));
    let out = three::<M, _, _>(async |ctx| {
        let inputs: [Vector; 2] = [&probe, &templates].map(|x| Shares::public(ctx.me(), x).into());
        let released = program.run(ctx, Inputs::new(inputs), &Turns).await?;
        Ok((released.strand.output(released.outputs[0].bits()?.view())?, released.cost()))
    });
    let [(a, cost), (b, _), (c, _)] = out;
    (program.found(&client::reconstruct(&[a, b, c]).unwrap()), cost)
}

fn agrees<M: Mode>(metric: Metric, probe: &[i64], templates: &[Vec<i64>]) -> Option<usize> {
    for each in [1, 2] {
        let users = templates.len() / each;
        let program = MatchEmbedding::new(probe.len(), metric, [users, each], Answer::First).unwrap();
        let due = templates.chunks(each).position(|of| of.iter().any(|x| metric.matches(probe, x)));
        let (found, cost) = run::<M>(&program, probe, templates);
        assert_eq!(found, due, "{metric:?}");
        if M::NAME == SemiHonest::NAME {
            assert_eq!(cost, program.cost());
        }
    }
    templates.iter().position(|x| metric.matches(probe, x))
}

/// A template for each angle to the probe.
fn around(probe: &[f32], seed: u64) -> Vec<Vec<i64>> {
    let other = entries(probe.len(), seed);
    let mix = |by: f32| -> Vec<f32> { probe.iter().zip(&other).map(|(x, y)| (1.0 - by) * x + by * y).collect() };
    [1.0, 0.8, 0.55, 0.5, 0.3, 0.0].iter().map(|&by| Embedding::new(&mix(by)).unwrap().entries().to_vec()).collect()
}

#[test]
fn embeddings_match_as_in_plain() {
    for (dimensions, seed) in [(512, 1), (3, 5), (128, 3)] {
        let raw = entries(dimensions, seed);
        let (probe, templates) = (Embedding::new(&raw).unwrap(), around(&raw, seed + 100));
        for threshold in ["0.3", "0.65", "0.9"] {
            let threshold = threshold.parse().unwrap();
            for metric in [Metric::Cosine(threshold), Metric::Euclidean(threshold)] {
                assert!(agrees::<SemiHonest>(metric, probe.entries(), &templates).is_some());
            }
        }
    }
    let raw = entries(70, 9);
    let (probe, templates) = (Embedding::new(&raw).unwrap(), around(&raw, 8));
    assert!(agrees::<Malicious>(Metric::Cosine("0.8".parse().unwrap()), probe.entries(), &templates).is_some());
}

#[test]
fn the_threshold_itself_is_no_match() {
    // 9,830 / 16,384 = 4,915 / 8,192.
    let (x, at, above) = (vec![1 << 14, 0, 0], vec![9830, 13_107, 0], vec![9831, 13_107, 0]);
    let cosine = |p: u32| Metric::Cosine(Threshold::new(p, 8192).unwrap());
    assert_eq!(agrees::<SemiHonest>(cosine(4915), &x, &[at.clone(), above]), Some(1));
    assert_eq!(agrees::<SemiHonest>(cosine(4914), &x, &[at.clone(), at.clone()]), Some(0));
    // At a distance of one: below it once, three times above it.
    let half = Metric::Euclidean("0.5".parse().unwrap());
    let squared = |y: &[i64]| y.iter().zip(&x).map(|(y, x)| (y - x).pow(2)).sum::<i64>();
    let templates: Vec<Vec<i64>> = [14_190, 14_189, 14_188, 14_190].map(|k| vec![1 << 13, k, 0]).to_vec();
    for y in &templates {
        assert_eq!(half.matches(&x, y), squared(y) < 1 << 28);
    }
    agrees::<SemiHonest>(half, &x, &templates);
}

#[test]
fn vectors_of_another_length_match_nobody() {
    let metric = Metric::Cosine("0.5".parse().unwrap());
    let unit = Embedding::new(&entries(64, 2)).unwrap().entries().to_vec();
    let scaled = |by: i64| -> Vec<i64> { unit.iter().map(|x| x * by / 100).collect() };
    let templates = vec![scaled(120), scaled(0), scaled(80), unit.clone()];
    assert_eq!(agrees::<SemiHonest>(metric, &unit, &templates), Some(3));
    // The largest that the limits let through: of great length, and close to everybody.
    for probe in [scaled(150), scaled(0), vec![1 << 14; 64], vec![-(1 << 14); 64]] {
        assert_eq!(agrees::<SemiHonest>(metric, &probe, &templates), None);
        let distance = Metric::Euclidean("0.99".parse().unwrap());
        assert_eq!(agrees::<SemiHonest>(distance, &probe, &templates), None);
    }
}

#[test]
fn what_is_no_embedding_is_refused() {
    assert_eq!(Embedding::new(&[0.0, f32::NAN]).err(), Some(MatchingError::NotFinite(1)));
    assert_eq!(Embedding::new(&[0.0; 4]).err(), Some(MatchingError::Zero));
    for n in [0, 1025] {
        assert!(matches!(Embedding::new(&vec![1.0; n]), Err(MatchingError::Setting { .. })));
    }
    let one = Embedding::new(&[3.0, -4.0]).unwrap();
    assert_eq!((one.entries(), format!("{one:?}")), (&[9830, -13_107][..], "Embedding[2]".to_owned()));
    assert_eq!(one.to_integers()[1], Z64((-13_107_i64).cast_unsigned()));
    let program = MatchEmbedding::new(2, Metric::Cosine("0.5".parse().unwrap()), [1, 1], Answer::Match).unwrap();
    assert_eq!(program.limits(), [Some(1 << 14); 2]);
}
