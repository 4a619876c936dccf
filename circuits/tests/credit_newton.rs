//! Training by Newton's method on shares, in both modes, against its plain twin and `f64`.

mod training;

use training::{bits, far, horizontal, run, sample, signed};
use trefoil_circuits::credit::{
    CreditError, NewtonSettings, NewtonTrain, Pooled, decode_model, encode_features,
    reference::{Matrix, Model, Newton, Sample},
};
use trefoil_engine::prelude::*;

fn plain(train: &NewtonTrain, sample: &Sample) -> Model {
    let coefficients = train.plain(&signed(&encode_features(sample.features()).unwrap()), sample.labels());
    decode_model(&coefficients.iter().map(|x| Z64(x.cast_unsigned())).collect::<Vec<_>>())
}

/// How far the coefficients after so many iterations are from the best ones.
fn off(sample: &Sample, settings: NewtonSettings) -> f64 {
    let model = plain(&NewtonTrain::new(horizontal(sample), settings).unwrap(), sample);
    let best = Newton { l2: settings.l2, ..Newton::default() }.fit(sample).unwrap().model;
    far(&model.weights, &best.weights).max((model.intercept - best.intercept).abs())
}

#[test]
fn models_are_those_of_the_twin_in_both_modes() {
    for (rows, columns, iterations) in [(90, 3, 3), (500, 1, 2)] {
        let sample = sample(rows, columns);
        let table = encode_features(sample.features()).unwrap();
        let settings = NewtonSettings { iterations, l2: 1.0 };
        let train = NewtonTrain::new(horizontal(&sample), settings).unwrap();
        let expected = (train.plain(&signed(&table), sample.labels()), false);
        let (tables, labels) = ([table], [bits(sample.labels())]);
        assert_eq!(run::<SemiHonest, _>(&train, train.cost(), &tables, &labels), expected, "{columns}");
        assert_eq!(run::<Malicious, _>(&train, train.cost(), &tables, &labels), expected, "{columns}");
    }
}

#[test]
fn tables_of_several_owners_train_the_model_of_the_pooled_one() {
    let (rows, columns) = (70, 4);
    let sample = sample(rows, columns);
    let table = encode_features(sample.features()).unwrap();
    let settings = NewtonSettings { iterations: 2, l2: 1.0 };
    let train = |pooled| NewtonTrain::new(pooled, settings).unwrap();
    let expected = train(horizontal(&sample)).plain(&signed(&table), sample.labels());
    let vertical = train(Pooled::Vertical { rows, columns: vec![1, 3] });
    let parts = [table[..rows].to_vec(), table[rows..].to_vec()];
    let labels = [bits(sample.labels())];
    assert_eq!(run::<SemiHonest, _>(&vertical, vertical.cost(), &parts, &labels).0, expected);
}

#[test]
fn a_few_iterations_come_to_the_best_model() {
    let settings = NewtonSettings::default();
    for (rows, columns) in [(10_000, 8), (3_000, 1), (600, 20)] {
        let off = off(&sample(rows, columns), settings);
        assert!(off < 3e-4, "{off} of {rows} rows");
    }
    assert!(off(&sample(2_000, 3), NewtonSettings { l2: 500.0, ..settings }) < 3e-4);
    assert!(off(&sample(2_000, 3), NewtonSettings { l2: 0.0, ..settings }) < 3e-4);
}

/// A column and its copy with the opposite sign: the penalty alone says how the weight is divided.
#[test]
fn columns_that_depend_on_each_other_do_no_harm() {
    let one = sample(2_000, 2);
    let both = one.features().iter().flat_map(|row| [row[0], -row[0], row[1]]).collect();
    let sample = Sample::new(Matrix::new(3, both).unwrap(), one.labels().to_vec()).unwrap();
    let off = off(&sample, NewtonSettings::default());
    assert!(off < 5e-4, "{off}");
}

#[test]
fn a_training_that_leaves_its_range_says_so() {
    let flagged = |values: Vec<f64>, settings| {
        let features = Matrix::new(1, values).unwrap();
        let labels: Vec<bool> = (0..features.rows()).map(|k| 2 * k >= features.rows()).collect();
        let table = [encode_features(&features).unwrap()];
        let pooled = Pooled::Vertical { rows: features.rows(), columns: vec![1] };
        let train = NewtonTrain::new(pooled, settings).unwrap();
        run::<SemiHonest, _>(&train, train.cost(), &table, &[bits(&labels)]).1
    };
    let settings = NewtonSettings::default();
    let standardized = vec![-1.2, -0.8, 0.8, 1.2];
    assert!(!flagged(standardized.clone(), settings));
    // A column so small that its coefficient is beyond the limit, and one that is not standardized.
    assert!(flagged(standardized.iter().map(|x| x / 100.0).collect(), NewtonSettings { iterations: 40, l2: 0.0 }));
    assert!(flagged(vec![-100.0, -90.0, 95.0, 110.0], settings));
}

#[test]
fn customers_of_one_label_train_nothing() {
    let sample = sample(70, 2);
    let table = [encode_features(sample.features()).unwrap()];
    let train = NewtonTrain::new(horizontal(&sample), NewtonSettings { iterations: 2, l2: 1.0 }).unwrap();
    let flagged = |bad: std::ops::Range<usize>| {
        let labels: Vec<bool> = (0..70).map(|k| bad.contains(&k)).collect();
        run::<Malicious, _>(&train, train.cost(), &table, &[bits(&labels)]).1
    };
    assert_eq!([0..0, 0..70, 3..4, 0..69].map(flagged), [true, true, false, false]);
}

#[test]
fn settings_out_of_range_are_refused() {
    let pooled = |rows, columns| Pooled::Vertical { rows, columns: vec![columns] };
    for (iterations, l2) in [(0, 1.0), (65, 1.0), (8, -1.0), (8, 11.0), (8, f64::NAN)] {
        let refused = NewtonTrain::new(pooled(10, 2), NewtonSettings { iterations, l2 });
        assert!(matches!(refused, Err(CreditError::Setting { .. })), "{iterations} {l2}");
    }
    for (rows, columns) in [(0, 2), (1 << 21, 2), (10, 0), (10, 501)] {
        assert!(NewtonTrain::new(pooled(rows, columns), NewtonSettings::default()).is_err(), "{rows} rows");
    }
}
