//! Trainings on shares, and samples to train on.

use trefoil_circuits::{
    credit::{
        Pooled,
        reference::{Matrix, Moments, Sample},
    },
    program::{Inputs, OutputVector, Program, Turns, Vector},
};
use trefoil_engine::{Cost, client, prelude::*, testing};

/// Standardized features, and labels that depend on them and on chance.
pub fn sample(rows: usize, columns: usize) -> Sample {
    let irregular = |k: usize| ((k * 7919 + k * k * 31 + k / 7 * 977) % 10_007) as f64 / 10_007.0;
    let raw = Matrix::new(columns, (0..rows * columns).map(irregular).collect()).unwrap();
    let features = Moments::of(&raw).unwrap().standardize(&raw).unwrap();
    let labels =
        features.iter().enumerate().map(|(k, row)| row[0] - 0.5 * row[columns - 1] + 3.0 * irregular(7 * k) > 2.0);
    Sample::new(features.clone(), labels.collect()).unwrap()
}

pub fn signed(x: &[Z64]) -> Vec<i64> {
    x.iter().map(|x| x.0.cast_signed()).collect()
}

pub fn bits(labels: &[bool]) -> Vec<Lanes> {
    let word = |bits: &[bool]| Lanes(bits.iter().rev().fold(0, |word, &bit| word << 1 | u64::from(bit)));
    labels.chunks(64).map(word).collect()
}

/// The opened coefficients, and whether one left its range.
pub fn run<M: Mode, P: Program>(train: &P, cost: Cost, tables: &[Vec<Z64>], labels: &[Vec<Lanes>]) -> (Vec<i64>, bool) {
    let out = testing::three::<M, _, _>(async |ctx| {
        let tables = tables.iter().map(|x| Vector::from(Shares::public(ctx.me(), x)));
        let labels = labels.iter().map(|x| Vector::from(Shares::public(ctx.me(), x)));
        let inputs = Inputs::new(tables.chain(labels).collect::<Vec<_>>());
        let (first, released) = (ctx.me() == Party::P0, train.run(ctx, inputs, &Turns).await?);
        if first && M::NAME == SemiHonest::NAME {
            assert_eq!(released.cost(), cost);
        }
        released.release()
    });
    let (mut models, mut flags) = (Vec::new(), Vec::new());
    for output in out.into_iter().flatten() {
        match output {
            OutputVector::Z64(x) => models.push(x),
            OutputVector::Bits(x) => flags.push(x),
            OutputVector::Z16(_) => panic!("models are integers of 64 bits"),
        }
    }
    let flag = client::reconstruct(&<[_; 3]>::try_from(flags).unwrap()).unwrap();
    assert!(flag.len() == 1 && flag[0].0 <= 1);
    (signed(&client::reconstruct(&<[_; 3]>::try_from(models).unwrap()).unwrap()), flag[0].0 == 1)
}

pub fn horizontal(sample: &Sample) -> Pooled {
    Pooled::Horizontal { columns: sample.features().columns(), rows: vec![sample.rows()] }
}

pub fn far(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
