//! Training on shares, in both modes, against its plain twin and `f64`.

use trefoil_circuits::{
    credit::{
        CreditError, Pooled, Settings, Train, decode_model, encode_features,
        reference::{Batch, GradientDescent, Matrix, Moments, Newton, Sample, Stop},
    },
    program::{Inputs, OutputVector, Program, Turns, Vector},
};
use trefoil_engine::{client, prelude::*, testing};

const SETTINGS: Settings = Settings { rate: 0.8, momentum: 0.0, epochs: 5, batch: Batch::Full, l2: 1.0 };

/// Standardized features, and labels that depend on them and on chance.
fn sample(rows: usize, columns: usize) -> Sample {
    let irregular = |k: usize| ((k * 7919 + k * k * 31 + k / 7 * 977) % 10_007) as f64 / 10_007.0;
    let raw = Matrix::new(columns, (0..rows * columns).map(irregular).collect()).unwrap();
    let features = Moments::of(&raw).unwrap().standardize(&raw).unwrap();
    let labels =
        features.iter().enumerate().map(|(k, row)| row[0] - 0.5 * row[columns - 1] + 3.0 * irregular(7 * k) > 2.0);
    Sample::new(features.clone(), labels.collect()).unwrap()
}

fn signed(x: &[Z64]) -> Vec<i64> {
    x.iter().map(|x| x.0.cast_signed()).collect()
}

fn bits(labels: &[bool]) -> Vec<Lanes> {
    let word = |bits: &[bool]| Lanes(bits.iter().rev().fold(0, |word, &bit| word << 1 | u64::from(bit)));
    labels.chunks(64).map(word).collect()
}

/// The opened coefficients, and whether one left its range.
fn run<M: Mode>(train: &Train, tables: &[Vec<Z64>], labels: &[Vec<Lanes>]) -> (Vec<Z64>, bool) {
    let cost = train.cost();
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
        }
    }
    let flag = client::reconstruct(&<[_; 3]>::try_from(flags).unwrap()).unwrap();
    assert!(flag.len() == 1 && flag[0].0 <= 1);
    (client::reconstruct(&<[_; 3]>::try_from(models).unwrap()).unwrap(), flag[0].0 == 1)
}

fn horizontal(sample: &Sample) -> Pooled {
    Pooled::Horizontal { columns: sample.features().columns(), rows: vec![sample.rows()] }
}

#[test]
fn models_are_those_of_the_twin_in_both_modes() {
    let sample = sample(90, 3);
    let table = encode_features(sample.features()).unwrap();
    for (momentum, batch) in [(0.0, Batch::Full), (0.5, Batch::Rows(40)), (0.9, Batch::Full)] {
        let train = Train::new(horizontal(&sample), Settings { momentum, batch, ..SETTINGS }).unwrap();
        let expected = train.plain(&signed(&table), sample.labels());
        let (tables, labels) = ([table.clone()], [bits(sample.labels())]);
        let (model, beyond) = run::<SemiHonest>(&train, &tables, &labels);
        assert_eq!((signed(&model), beyond), (expected.clone(), false), "{batch:?}");
        let (model, beyond) = run::<Malicious>(&train, &tables, &labels);
        assert_eq!((signed(&model), beyond), (expected, false), "{batch:?}");
    }
}

#[test]
fn tables_of_several_owners_train_the_model_of_the_pooled_one() {
    let (rows, columns) = (70, 4);
    let sample = sample(rows, columns);
    let table = encode_features(sample.features()).unwrap();
    let settings = Settings { epochs: 2, ..SETTINGS };
    let train = |pooled| Train::new(pooled, settings).unwrap();
    let expected = train(horizontal(&sample)).plain(&signed(&table), sample.labels());

    let vertical = train(Pooled::Vertical { rows, columns: vec![1, 3] });
    let parts = [table[..rows].to_vec(), table[rows..].to_vec()];
    assert_eq!(signed(&run::<SemiHonest>(&vertical, &parts, &[bits(sample.labels())]).0), expected);

    let horizontal = train(Pooled::Horizontal { columns, rows: vec![5, 65] });
    let of = |rows: std::ops::Range<usize>| sample.select(&rows.collect::<Vec<_>>()).unwrap();
    let samples = [of(0..5), of(5..70)];
    let parts = samples.each_ref().map(|part| encode_features(part.features()).unwrap());
    let labels = samples.each_ref().map(|part| bits(part.labels()));
    assert_eq!(signed(&run::<SemiHonest>(&horizontal, &parts, &labels).0), expected);
}

fn far(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Step for step, up to the error of the sigmoid and of roundings.
#[test]
fn the_twin_follows_descent_on_f64() {
    let sample = sample(20_000, 6);
    let table = signed(&encode_features(sample.features()).unwrap());
    for (epochs, batch) in [(40, Batch::Full), (3, Batch::Rows(900))] {
        let train = Train::new(horizontal(&sample), Settings { epochs, batch, ..SETTINGS }).unwrap();
        let coefficients = train.plain(&table, sample.labels());
        let model = decode_model(&coefficients.iter().map(|x| Z64(x.cast_unsigned())).collect::<Vec<_>>());
        let plain = GradientDescent { rate: 0.8, epochs, batch, l2: 1.0, stop: Stop::Never };
        let plain = plain.fit(&sample).unwrap().model;
        assert!(far(&model.weights, &plain.weights) < 2e-4, "{batch:?}");
        assert!((model.intercept - plain.intercept).abs() < 2e-4, "{batch:?}");
    }
}

#[test]
fn momentum_comes_to_the_best_model() {
    let sample = sample(10_000, 8);
    let table = signed(&encode_features(sample.features()).unwrap());
    let settings = Settings { momentum: 0.8, epochs: 150, ..SETTINGS };
    let coefficients = Train::new(horizontal(&sample), settings).unwrap().plain(&table, sample.labels());
    let model = decode_model(&coefficients.iter().map(|x| Z64(x.cast_unsigned())).collect::<Vec<_>>());
    let best = Newton { l2: 1.0, ..Newton::default() }.fit(&sample).unwrap().model;
    let off = far(&model.weights, &best.weights).max((model.intercept - best.intercept).abs());
    assert!(off < 2e-4, "{off}");
}

#[test]
fn a_training_that_leaves_its_range_says_so() {
    // Classes that one column separates, and steps far too long.
    let features = Matrix::new(1, vec![-100.0, -90.0, 95.0, 110.0]).unwrap();
    let table = [encode_features(&features).unwrap()];
    let labels = [bits(&[false, false, true, true])];
    let settings = Settings { rate: 16.0, epochs: 3, ..SETTINGS };
    let train = Train::new(Pooled::Vertical { rows: 4, columns: vec![1] }, settings).unwrap();
    assert!(run::<SemiHonest>(&train, &table, &labels).1);
    let settings = Settings { rate: 0.001, ..settings };
    let train = Train::new(Pooled::Vertical { rows: 4, columns: vec![1] }, settings).unwrap();
    assert!(!run::<SemiHonest>(&train, &table, &labels).1);
}

#[test]
fn settings_out_of_range_are_refused() {
    let pooled = || Pooled::Vertical { rows: 10, columns: vec![2] };
    for settings in [
        Settings { rate: 0.0, ..SETTINGS },
        Settings { rate: 16.5, ..SETTINGS },
        Settings { rate: f64::NAN, ..SETTINGS },
        Settings { momentum: 1.0, ..SETTINGS },
        Settings { momentum: -0.1, ..SETTINGS },
        Settings { batch: Batch::Rows(0), ..SETTINGS },
        Settings { l2: -1.0, ..SETTINGS },
        Settings { l2: 16_385.0, ..SETTINGS },
    ] {
        assert!(matches!(Train::new(pooled(), settings), Err(CreditError::Setting { .. })), "{settings:?}");
    }
    for (rows, columns) in [(0, 2), (1 << 21, 2), (10, 0), (10, 501)] {
        let pooled = Pooled::Vertical { rows, columns: vec![columns] };
        assert!(Train::new(pooled, SETTINGS).is_err(), "{rows} rows");
    }
}
