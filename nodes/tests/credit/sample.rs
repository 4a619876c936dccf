//! The real loans: their preparation, and plain training on them against scikit-learn (`data/credit/expected.py`).

use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};
use trefoil_circuits::credit::reference::{
    Batch, GradientDescent, Model, Moments, Newton, Ranking, Sample, Stop, sigmoid,
};
use trefoil_nodes::credit::{Dropped, Features, FixedRange, HeldOut, NamedMoments, Schema, Table, read};

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "data/credit", name].iter().collect()
}

fn loans() -> Table {
    read(&Schema::read(&path("schema.toml")).unwrap(), &path("credit_risk_dataset.csv")).unwrap()
}

fn expected() -> Value {
    serde_json::from_str(include_str!("../../data/credit/expected.json")).unwrap()
}

/// Features of the rows trained on and of those held out, standardized, with labels.
fn samples(table: &Table) -> (Features, NamedMoments, Sample, Sample) {
    let features = Features::of(table.schema());
    let matrix = features.encode(table).unwrap();
    let (train, held_out) = HeldOut::read(&path("held_out_rows.txt")).unwrap().split(table).unwrap();
    let moments = NamedMoments::of(&features, &matrix.select(&train).unwrap()).unwrap();
    let standardized = moments.standardize(&features, &matrix).unwrap();
    let all = Sample::new(standardized, table.labels().unwrap().to_vec()).unwrap();
    (features, moments, all.select(&train).unwrap(), all.select(&held_out).unwrap())
}

fn by_name(names: &[String], values: &[f64]) -> BTreeMap<String, f64> {
    names.iter().cloned().zip(values.iter().copied()).collect()
}

#[track_caller]
fn close(found: &BTreeMap<String, f64>, expected: &Value, tolerance: f64) {
    let expected = expected.as_object().unwrap();
    assert_eq!(found.len(), expected.len());
    for (name, value) in found {
        let wanted = expected[name].as_f64().unwrap();
        assert!(
            (value - wanted).abs() <= tolerance * wanted.abs().max(1.0),
            "{name}: {value} where {wanted} is expected"
        );
    }
}

#[test]
fn the_preparation_leaves_the_documented_rows_and_features() {
    let table = loans();
    assert_eq!((table.rows_read(), table.rows()), (32_581, 28_632));
    let of = |name| table.dropped()[table.schema().position(name).unwrap()];
    let missing = ["person_emp_length", "loan_int_rate"].map(|name| of(name).missing);
    assert_eq!(missing.iter().sum::<u64>(), 3943 - 1, "one row without a rate is dropped for its age first");
    let total = table.dropped().iter().fold(Dropped::default(), |sum, d| Dropped {
        missing: sum.missing + d.missing,
        outside: sum.outside + d.outside,
    });
    assert_eq!(total.missing + total.outside, 32_581 - 28_632);
    let features = Features::of(table.schema());
    assert_eq!((features.len(), features.attribute_names().len()), (26, 11));
    assert_eq!(features.attributes().last(), Some(&10));
    assert_eq!(format!("{table:?}"), "Table { rows: 28632, columns: 12, .. }");
}

#[test]
fn plain_training_reaches_the_documented_figures() {
    let table = loans();
    let (_, moments, train, held_out) = samples(&table);
    let e = expected();
    close(&by_name(&moments.features, &moments.mean), &e["mean"], 1e-12);
    close(&by_name(&moments.features, &moments.sd), &e["sd"], 1e-12);
    let fit = Newton::default().fit(&train).unwrap();
    assert!(fit.converged);
    agrees(&fit.model, &moments, &held_out, 1e-6);
    // The published figures.
    let figures = figures(&fit.model, &held_out);
    assert_eq!(held_out.rows(), 12_404);
    assert!((figures.0 - 0.8685).abs() < 1e-3 && (figures.1 - 0.871).abs() < 1e-3);
}

#[test]
fn gradient_descent_reaches_the_same_model() {
    let (_, moments, train, held_out) = samples(&loans());
    let training = GradientDescent { rate: 2.0, epochs: 3000, batch: Batch::Full, l2: 1.0, stop: Stop::Still(1e-7) };
    let descent = training.fit(&train).unwrap();
    agrees(&descent.model, &moments, &held_out, 1e-3);
}

#[test]
fn standardized_loans_fit_fixed_point() {
    let table = loans();
    let features = Features::of(table.schema());
    let matrix = features.encode(&table).unwrap();
    let standardized = NamedMoments::of(&features, &matrix).unwrap().standardize(&features, &matrix).unwrap();
    let fixed = FixedRange::new(16, 64.0).unwrap().encode_all(&features, &table, &standardized).unwrap();
    for (fixed, value) in fixed.iter().zip(standardized.values()) {
        assert!((*fixed as f64 / 65536.0 - value).abs() <= 0.5 / 65536.0);
    }
    // The highest income is 38 standard deviations above the mean.
    let refused =
        FixedRange::new(16, 32.0).unwrap().encode_all(&features, &table, &standardized).unwrap_err().to_string();
    assert!(refused.contains("column `person_income`: feature `person_income` is 38."), "{refused}");
    assert_eq!(Moments::of(&standardized).unwrap().mean.iter().filter(|m| m.abs() > 1e-12).count(), 0);
}

#[track_caller]
fn agrees(model: &Model, moments: &NamedMoments, held_out: &Sample, tolerance: f64) {
    let e = expected();
    close(&by_name(&moments.features, &model.weights), &e["weights"], tolerance);
    assert!((model.intercept - e["intercept"].as_f64().unwrap()).abs() < tolerance);
    let (accuracy, auc, largest) = figures(model, held_out);
    assert!((accuracy - e["accuracy"].as_f64().unwrap()).abs() < tolerance, "{accuracy}");
    assert!((auc - e["auc"].as_f64().unwrap()).abs() < tolerance, "{auc}");
    assert!((largest - e["largest_logit"].as_f64().unwrap()).abs() < 10.0 * tolerance, "{largest}");
}

/// Accuracy, AUC and the largest absolute logit.
fn figures(model: &Model, held_out: &Sample) -> (f64, f64, f64) {
    let logits = model.logits(held_out.features()).unwrap();
    let scores: Vec<f64> = logits.iter().map(|&z| sigmoid(z)).collect();
    let ranking = Ranking::new(&scores, held_out.labels()).unwrap();
    (ranking.confusion(0.5).accuracy(), ranking.auc(), logits.iter().fold(0.0, |most: f64, z| most.max(z.abs())))
}
