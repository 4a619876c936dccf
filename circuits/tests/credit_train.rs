//! Training on shares, in both modes, against its plain twin and `f64`.

mod training;

use training::{bits, far, horizontal, run, sample, signed};
use trefoil_circuits::credit::{
    CreditError, Number, Pooled, Settings, Stopping, Train, decode_model, encode_features,
    reference::{Batch, GradientDescent, Matrix, Newton, Stop},
};
use trefoil_engine::prelude::*;

const SETTINGS: Settings = Settings { rate: 0.8, momentum: 0.0, epochs: 5, batch: Batch::Full, l2: 1.0 };

#[test]
fn models_are_those_of_the_twin_in_both_modes() {
    let sample = sample(90, 3);
    let table = encode_features(sample.features()).unwrap();
    for (momentum, batch) in [(0.0, Batch::Full), (0.5, Batch::Rows(40)), (0.0, Batch::Rows(64)), (0.9, Batch::Full)] {
        let train = Train::new(horizontal(&sample), Settings { momentum, batch, ..SETTINGS }).unwrap();
        let expected = train.plain(&signed(&table), sample.labels());
        let (tables, labels) = ([table.clone()], [bits(sample.labels())]);
        let (model, beyond) = run::<SemiHonest, _>(&train, train.cost(), &tables, &labels);
        assert_eq!((model, beyond), (expected.clone(), false), "{batch:?}");
        let (model, beyond) = run::<Malicious, _>(&train, train.cost(), &tables, &labels);
        assert_eq!((model, beyond), (expected, false), "{batch:?}");
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
    assert_eq!(run::<SemiHonest, _>(&vertical, vertical.cost(), &parts, &[bits(sample.labels())]).0, expected);

    let horizontal = train(Pooled::Horizontal { columns, rows: vec![5, 65] });
    let of = |rows: std::ops::Range<usize>| sample.select(&rows.collect::<Vec<_>>()).unwrap();
    let samples = [of(0..5), of(5..70)];
    let parts = samples.each_ref().map(|part| encode_features(part.features()).unwrap());
    let labels = samples.each_ref().map(|part| bits(part.labels()));
    assert_eq!(run::<SemiHonest, _>(&horizontal, horizontal.cost(), &parts, &labels).0, expected);
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
    assert!(run::<SemiHonest, _>(&train, train.cost(), &table, &labels).1);
    let settings = Settings { rate: 0.001, ..settings };
    let train = Train::new(Pooled::Vertical { rows: 4, columns: vec![1] }, settings).unwrap();
    assert!(!run::<SemiHonest, _>(&train, train.cost(), &table, &labels).1);
}

#[test]
fn customers_of_one_label_train_nothing() {
    let sample = sample(70, 2);
    let table = [encode_features(sample.features()).unwrap()];
    let train = Train::new(horizontal(&sample), Settings { epochs: 1, ..SETTINGS }).unwrap();
    let flagged = |bad: std::ops::Range<usize>| {
        let labels: Vec<bool> = (0..70).map(|k| bad.contains(&k)).collect();
        run::<SemiHonest, _>(&train, train.cost(), &table, &[bits(&labels)]).1
    };
    assert_eq!([0..0, 0..70, 3..4, 0..69].map(flagged), [true, true, false, false]);
}

/// The cost says after which epoch it ended.
#[test]
fn a_training_ends_when_its_coefficients_stand_still() {
    let sample = sample(90, 2);
    let table = encode_features(sample.features()).unwrap();
    let of = |epochs| Train::new(horizontal(&sample), Settings { epochs, ..SETTINGS }).unwrap();
    let after = |epochs| of(epochs).plain(&signed(&table), sample.labels());
    let moved = |a: &[i64], b: &[i64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).max().unwrap() as f64 * Number::ULP;
    let mut ends = Vec::new();
    for (every, below) in [(2, 0.05), (1, 0.05), (5, 0.8), (3, 1e-6)] {
        let still = |epoch: &usize| moved(&after(*epoch), &after(epoch - every)) <= below;
        let epochs = (every..20).step_by(every).find(still).unwrap_or(20);
        ends.push(epochs);
        let train = of(20).stopping(Stopping { every, below }).unwrap();
        let expected = of(epochs).plain(&signed(&table), sample.labels());
        assert_eq!(train.plain(&signed(&table), sample.labels()), expected, "every {every}");
        let (tables, labels) = ([table.clone()], [bits(sample.labels())]);
        let model = run::<SemiHonest, _>(&train, train.cost_of(epochs), &tables, &labels);
        assert_eq!(model, (expected.clone(), false), "every {every}");
        if every == 1 {
            assert_eq!(run::<Malicious, _>(&train, train.cost(), &tables, &labels), (expected, false));
        }
    }
    assert!(ends[1] < ends[0] && ends[0] < 20 && ends[3] == 20, "{ends:?}");
    for (every, below) in [(0, 0.1), (1, 0.0), (1, 1.5), (1, f64::NAN)] {
        assert!(of(1).stopping(Stopping { every, below }).is_err(), "{every} {below}");
    }
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

/// At these limits a step drops no bit of the gradient times the rate.
#[test]
fn a_step_that_drops_no_bit_is_that_of_the_twin() {
    let settings = Settings { rate: 16.0, momentum: 0.0, epochs: 1, batch: Batch::Rows(1), l2: 16_384.0 };
    let train = Train::new(Pooled::Vertical { rows: 1, columns: vec![1] }, settings).unwrap();
    for (feature, bad) in [(1 << 20, true), (-77_777, false)] {
        let expected = train.plain(&[feature], &[bad]);
        assert_ne!(expected, [0, 0]);
        let (tables, labels) = ([vec![Z64(feature.cast_unsigned())]], [bits(&[bad])]);
        let (model, beyond) = run::<SemiHonest, _>(&train, train.cost(), &tables, &labels);
        // One row has one label, so that the flag is raised all the same.
        assert_eq!((model, beyond), (expected, true));
    }
    let settings = Settings { momentum: 0.9999, ..settings };
    assert!(Train::new(Pooled::Vertical { rows: 1, columns: vec![1] }, settings).is_err());
}
