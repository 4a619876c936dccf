//! The real loans, on the integers that shares hold: scores, decisions and coefficients against scikit-learn's.
//!
//! What is computed on shares is the same bit for bit: all scores here, of training by descent an epoch, and a hundred in the test that is ignored, and by Newton's method all.

use serde_json::Value;
use std::{collections::HashSet, fs, path::PathBuf};
use trefoil_circuits::{
    credit::{
        NewtonSettings, NewtonTrain, Number, Pooled, Report, Score, Settings, Train, Weights, decode_model,
        encode_features, encode_model, logit_error,
        reference::{Batch, Matrix, Model, Moments, Ranking, Sample},
    },
    program::{Inputs, Program, Turns, Vector},
};
use trefoil_engine::{prelude::*, testing};

struct Loans {
    expected: Value,
    training: Sample,
    held_out: Sample,
}

fn file(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../nodes/data/credit").join(name);
    fs::read_to_string(path).unwrap()
}

/// The loans, prepared as their README says.
fn loans() -> Loans {
    let expected: Value = serde_json::from_str(&file("expected.json")).unwrap();
    let names: Vec<&String> = expected["weights"].as_object().unwrap().keys().collect();
    let text = file("credit_risk_dataset.csv");
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let held_out: HashSet<usize> = file("held_out_rows.txt").lines().map(|n| n.parse().unwrap()).collect();
    let mut parts = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for (k, row) in lines.enumerate() {
        let cell = |name: &str| row[header.iter().position(|column| *column == name).unwrap()];
        let number = |name: &str| cell(name).parse::<f64>().unwrap();
        let whole = row.iter().all(|cell| !cell.is_empty());
        if !whole || number("person_age") > 100.0 || number("person_emp_length") > 60.0 {
            continue;
        }
        let (values, labels) = &mut parts[usize::from(held_out.contains(&(k + 1)))];
        values.extend(names.iter().map(|name| match name.split_once('=') {
            Some((column, level)) => f64::from(u8::from(cell(column) == level)),
            None => number(name),
        }));
        labels.push(cell("loan_status") == "1");
    }
    let of = |key: &str| names.iter().map(|name| expected[key][*name].as_f64().unwrap()).collect();
    let moments = Moments { mean: of("mean"), sd: of("sd") };
    let [training, held_out] = parts.map(|(values, labels)| {
        let raw = Matrix::new(names.len(), values).unwrap();
        Sample::new(moments.standardize(&raw).unwrap(), labels).unwrap()
    });
    assert_eq!((training.rows(), held_out.rows()), (16_228, 12_404));
    Loans { expected, training, held_out }
}

fn plain_model(expected: &Value) -> Model {
    let weights = expected["weights"].as_object().unwrap().values().map(|w| w.as_f64().unwrap()).collect();
    Model { intercept: expected["intercept"].as_f64().unwrap(), weights }
}

fn table(sample: &Sample) -> Vec<i64> {
    encode_features(sample.features()).unwrap().iter().map(|x| x.0.cast_signed()).collect()
}

fn scores(model: &Model, sample: &Sample, threshold: f64) -> [Vec<i64>; 2] {
    let pooled = Pooled::Horizontal { columns: model.weights.len(), rows: vec![sample.rows()] };
    let reports = vec![Report::Probability, Report::Decision(threshold)];
    let score = Score::new(pooled, Weights::Public(model.clone()), reports).unwrap();
    score.plain(&table(sample), &[]).try_into().unwrap()
}

/// Every decision is the plain one, at several thresholds, and no score is off by `1e-4`.
#[test]
fn every_applicant_is_decided_as_in_plain() {
    let Loans { expected, held_out, .. } = loans();
    let model = plain_model(&expected);
    let plain = model.probabilities(held_out.features()).unwrap();
    for threshold in [0.05, 0.2, 0.5, 0.8] {
        let [scores, decisions] = scores(&model, &held_out, threshold);
        for ((score, decision), p) in scores.iter().zip(decisions).zip(&plain) {
            assert_eq!(decision == 1, *p >= threshold);
            assert!((*score as f64 * Number::ULP - p).abs() < 5e-5);
        }
    }
    let bound = held_out.features().iter().map(|row| logit_error(&model, row)).fold(0.0, f64::max);
    assert!(bound < 5e-5, "{bound}");
}

/// The coefficients within `1e-3` after 100 epochs and within `1e-4` after 200; accuracy and AUC within `1e-4`.
#[test]
fn descent_comes_to_the_coefficients_of_scikit_learn() {
    let loans = loans();
    let plain = plain_model(&loans.expected);
    for (epochs, bound) in [(100, 1e-3), (200, 1e-4)] {
        let training = &loans.training;
        let (model, off) = compared(&train(training, epochs).plain(&table(training), training.labels()), &plain);
        assert!(off < bound, "{off} after {epochs}");
        predicts_as_plain(&model, &loans, 1e-4);
    }
}

/// Within `1e-3` after 6 iterations and within `3e-4` after 8.
#[test]
fn newton_comes_to_the_coefficients_of_scikit_learn() {
    let Loans { expected, training, .. } = loans();
    let plain = plain_model(&expected);
    for (iterations, bound) in [(6, 1e-3), (8, 3e-4)] {
        let coefficients = newton(&training, Split::Vertical, iterations).plain(&table(&training), training.labels());
        let (_, off) = compared(&coefficients, &plain);
        assert!(off < bound, "{off} after {iterations}");
    }
}

/// How the loans are divided among institutions.
#[derive(Clone, Copy, Debug)]
enum Split {
    /// Two, one with seven columns and the labels, the other with the rest.
    Vertical,
    /// Three with other customers each.
    Horizontal,
}

impl Split {
    fn pooled(self, training: &Sample) -> Pooled {
        let (rows, columns) = (training.rows(), training.features().columns());
        match self {
            Self::Vertical => Pooled::Vertical { rows, columns: vec![7, columns - 7] },
            Self::Horizontal => Pooled::Horizontal { columns, rows: vec![5_000, 7_001, rows - 12_001] },
        }
    }

    /// What each institution shares: features column after column, then labels.
    fn inputs(self, training: &Sample) -> (Vec<Vec<Z64>>, Vec<Vec<Lanes>>) {
        let (table, labels) = (encode_features(training.features()).unwrap(), training.labels());
        let rows = match self.pooled(training) {
            Pooled::Vertical { rows, columns } => {
                let (one, other) = table.split_at(columns[0] * rows);
                return (vec![one.to_vec(), other.to_vec()], vec![bits(labels)]);
            }
            Pooled::Horizontal { rows, .. } => rows,
        };
        let ends = rows.iter().scan(0, |end, rows| {
            *end += rows;
            Some(*end - rows..*end)
        });
        let part = |at: std::ops::Range<usize>| {
            let columns = table.chunks_exact(training.rows()).flat_map(|column| &column[at.clone()]);
            (columns.copied().collect(), bits(&labels[at.clone()]))
        };
        ends.map(part).unzip()
    }
}

fn bits(labels: &[bool]) -> Vec<Lanes> {
    let word = |bits: &[bool]| Lanes(bits.iter().rev().fold(0, |word, &bit| word << 1 | u64::from(bit)));
    labels.chunks(64).map(word).collect()
}

fn train(training: &Sample, epochs: usize) -> Train {
    let settings = Settings { rate: 2.0, momentum: 0.9, epochs, batch: Batch::Full, l2: 1.0 };
    Train::new(Split::Vertical.pooled(training), settings).unwrap()
}

fn newton(training: &Sample, split: Split, iterations: usize) -> NewtonTrain {
    NewtonTrain::new(split.pooled(training), NewtonSettings { iterations, l2: 1.0 }).unwrap()
}

/// Trains on shares of all loans.
fn on_shares(training: &Sample, split: Split, program: &impl Program) -> Vec<i64> {
    let (tables, labels) = split.inputs(training);
    let out = testing::three::<SemiHonest, _, _>(async |ctx| {
        let me = ctx.me();
        let tables = tables.iter().map(|x| Vector::from(Shares::public(me, x)));
        let labels = labels.iter().map(|x| Vector::from(Shares::public(me, x)));
        let mut released = program.run(ctx, Inputs::new(tables.chain(labels)), &Turns).await?;
        let model = released.strand.open(released.outputs[0].z64()?.view()).await?;
        Ok((model, released.strand.open(released.outputs[1].bits()?.view()).await?))
    });
    let [(model, flags), ..] = out;
    assert_eq!(flags, vec![Lanes(0)]);
    model.iter().map(|x| x.0.cast_signed()).collect()
}

fn descent_on_shares(epochs: usize) {
    let training = loans().training;
    let program = train(&training, epochs);
    let expected = program.plain(&table(&training), training.labels());
    assert_eq!(on_shares(&training, Split::Vertical, &program), expected);
}

/// Accuracy and AUC are those of scikit-learn's model on the held-out rows, within a bound.
fn predicts_as_plain(model: &Model, loans: &Loans, bound: f64) {
    let [scores, decisions] = scores(model, &loans.held_out, 0.5);
    let labels = loans.held_out.labels();
    let right = decisions.iter().zip(labels).filter(|(decision, bad)| (**decision == 1) == **bad);
    let accuracy = right.count() as f64 / labels.len() as f64;
    let scores: Vec<f64> = scores.iter().map(|score| *score as f64 * Number::ULP).collect();
    let auc = Ranking::new(&scores, labels).unwrap().auc();
    let of = |key: &str| loans.expected[key].as_f64().unwrap();
    assert!((accuracy - of("accuracy")).abs() < bound && (auc - of("auc")).abs() < bound, "{accuracy} {auc}");
}

/// The model of some coefficients, and how far it is from scikit-learn's.
fn compared(coefficients: &[i64], plain: &Model) -> (Model, f64) {
    let model = decode_model(&coefficients.iter().map(|x| Z64(x.cast_unsigned())).collect::<Vec<_>>());
    let off = model.weights.iter().zip(&plain.weights).map(|(a, b)| (a - b).abs());
    let off = off.fold((model.intercept - plain.intercept).abs(), f64::max);
    (model, off)
}

#[test]
fn all_applicants_are_scored_on_shares_as_by_the_twin() {
    let Loans { expected, held_out, .. } = loans();
    let model = plain_model(&expected);
    let pooled = Pooled::Horizontal { columns: model.weights.len(), rows: vec![held_out.rows()] };
    let score = Score::new(pooled, Weights::Shared, vec![Report::Probability, Report::Decision(0.5)]).unwrap();
    let inputs = [encode_features(held_out.features()).unwrap(), encode_model(&model).unwrap()];
    let out = testing::three::<SemiHonest, _, _>(async |ctx| {
        let inputs = Inputs::new(inputs.each_ref().map(|x| Vector::from(Shares::public(ctx.me(), x))));
        let mut released = score.run(ctx, inputs, &Turns).await?;
        let scores = released.strand.open(released.outputs[0].z64()?.view()).await?;
        Ok((scores, released.strand.open(released.outputs[1].bits()?.view()).await?))
    });
    let [expected_scores, expected_decisions] = scores(&model, &held_out, 0.5);
    let (scores, decisions) = &out[0];
    for (k, (score, decision)) in expected_scores.into_iter().zip(expected_decisions).enumerate() {
        assert_eq!(scores[k].0.cast_signed(), score, "row {k}");
        assert_eq!((decisions[k / 64].0 >> (k % 64) & 1).cast_signed(), decision, "row {k}");
    }
}

#[test]
fn an_epoch_on_shares_of_all_loans_is_that_of_the_twin() {
    descent_on_shares(1);
}

#[test]
fn a_hundred_epochs_on_shares_of_all_loans_are_those_of_the_twin() {
    descent_on_shares(100);
}

/// Trained jointly on shares of all loans, divided among three by customers or between two by columns.
#[test]
fn newton_on_shares_of_all_loans_in_either_split_comes_to_the_model_of_scikit_learn() {
    let loans = loans();
    let (training, plain) = (&loans.training, plain_model(&loans.expected));
    for split in [Split::Vertical, Split::Horizontal] {
        let program = newton(training, split, 8);
        let coefficients = on_shares(training, split, &program);
        assert_eq!(coefficients, program.plain(&table(training), training.labels()), "{split:?}");
        let (model, off) = compared(&coefficients, &plain);
        assert!(off < 1e-3, "{off} in {split:?}");
        predicts_as_plain(&model, &loans, 1e-3);
    }
}
