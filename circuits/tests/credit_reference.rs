//! The plain references of credit analysis against scikit-learn, statsmodels and others (`tests/data/credit/expected.py`).

use serde_json::Value;
use trefoil_circuits::credit::reference::{
    Batch, Binning, DataError, Direction, GradientDescent, Histogram, Matrix, Model, Moments, Newton, Ranking, Sample,
    Stop, Stopped, equal_frequency_cuts, psi, two_sided_p,
};

fn expected() -> Value {
    serde_json::from_str(include_str!("data/credit/expected.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn counts(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn raw(e: &Value) -> Matrix {
    let rows = e["raw"].as_array().unwrap();
    Matrix::new(5, rows.iter().flat_map(numbers).collect()).unwrap()
}

fn labels(e: &Value) -> Vec<bool> {
    counts(&e["labels"]).into_iter().map(|l| l == 1).collect()
}

fn sample(e: &Value) -> Sample {
    let raw = raw(e);
    Sample::new(Moments::of(&raw).unwrap().standardize(&raw).unwrap(), labels(e)).unwrap()
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * e.abs().max(1.0), "{f} where {e} is expected");
    }
}

fn coefficients(model: &Model) -> Vec<f64> {
    std::iter::once(model.intercept).chain(model.weights.iter().copied()).collect()
}

fn expected_coefficients(value: &Value) -> Vec<f64> {
    std::iter::once(number(&value["intercept"])).chain(numbers(&value["weights"])).collect()
}

#[test]
fn moments_are_those_of_the_standard_scaler() {
    let e = expected();
    let moments = Moments::of(&raw(&e)).unwrap();
    close(&moments.mean, &numbers(&e["moments"]["mean"]), 1e-13);
    close(&moments.sd, &numbers(&e["moments"]["sd"]), 1e-13);
    let constant = Moments::of(&Matrix::new(1, vec![0.1; 7]).unwrap()).unwrap();
    assert_eq!(constant.sd, [1.0]);
}

#[test]
fn newton_and_full_batches_reach_the_ridge_of_scikit_learn() {
    let e = expected();
    let sample = sample(&e);
    for (l2, expected) in e["ridge"].as_object().unwrap() {
        let l2 = l2.parse().unwrap();
        let expected = expected_coefficients(expected);
        let fit = Newton { l2, ..Newton::default() }.fit(&sample).unwrap();
        assert!(fit.converged && fit.iterations < 12);
        close(&coefficients(&fit.model), &expected, 1e-8);
        let descent = GradientDescent { rate: 1.0, epochs: 50_000, batch: Batch::Full, l2, stop: Stop::Still(1e-11) }
            .fit(&sample)
            .unwrap();
        assert_eq!(descent.stopped, Stopped::Early);
        close(&coefficients(&descent.model), &expected, 1e-7);
    }
}

#[test]
fn inference_is_that_of_statsmodels() {
    let e = expected();
    let sample = sample(&e);
    let fit = Newton { l2: 0.0, ..Newton::default() }.fit(&sample).unwrap();
    let i = &e["inference"];
    close(&coefficients(&fit.model), &numbers(&i["coefficients"]), 1e-8);
    close(&fit.inference.standard_errors, &numbers(&i["standard_errors"]), 1e-8);
    close(&fit.inference.z, &numbers(&i["z"]), 1e-8);
    for (p, expected) in fit.inference.p.iter().zip(numbers(&i["p"])) {
        assert!((p / expected - 1.0).abs() < 1e-6, "{p} where {expected} is expected");
    }
    let likelihood = -fit.model.loss(&sample).unwrap() * sample.rows() as f64;
    close(&[likelihood], &[number(&i["log_likelihood"])], 1e-10);
}

#[test]
fn batches_of_one_row_step_as_stochastic_descent() {
    let e = expected();
    let d = &e["descent_rowwise"];
    let epochs = usize::try_from(d["epochs"].as_u64().unwrap()).unwrap();
    let training = GradientDescent {
        rate: number(&d["rate"]),
        epochs,
        batch: Batch::Rows(1),
        l2: number(&d["l2"]),
        stop: Stop::Never,
    };
    let descent = training.fit(&sample(&e)).unwrap();
    assert_eq!((descent.epochs, descent.stopped), (epochs, Stopped::Exhausted));
    close(&coefficients(&descent.model), &expected_coefficients(d), 1e-9);
}

#[test]
fn a_batch_of_all_rows_is_a_full_batch_and_mini_batches_come_close() {
    let sample = sample(&expected());
    let fit = |batch, rate| {
        GradientDescent { rate, epochs: 400, batch, l2: 1.0, stop: Stop::Never }.fit(&sample).unwrap().model
    };
    assert_eq!(fit(Batch::Full, 0.5), fit(Batch::Rows(usize::MAX), 0.5));
    let newton = Newton::default().fit(&sample).unwrap().model;
    let (small, best) = (fit(Batch::Rows(64), 0.05).loss(&sample).unwrap(), newton.loss(&sample).unwrap());
    assert!((small / best - 1.0).abs() < 0.01, "{small} where {best} is the least");
}

#[test]
fn validation_stops_early_and_returns_the_best_model() {
    let all = sample(&expected());
    let (train, held_out) =
        (all.select(&(0..60).collect::<Vec<_>>()).unwrap(), all.select(&(60..600).collect::<Vec<_>>()).unwrap());
    let rule = Stop::Validation { sample: &held_out, patience: 5, gain: 0.0 };
    let training = GradientDescent { rate: 1.0, epochs: 2000, batch: Batch::Full, l2: 0.0, stop: rule };
    let descent = training.fit(&train).unwrap();
    assert_eq!(descent.stopped, Stopped::Early);
    let best = descent.model.loss(&held_out).unwrap();
    for epochs in 1..=descent.epochs {
        let other = GradientDescent { epochs, stop: Stop::Never, ..training.clone() }.fit(&train).unwrap().model;
        assert!(other.loss(&held_out).unwrap() >= best, "{epochs} epochs");
    }
}

#[test]
fn training_refuses_what_has_no_answer() {
    let twice = Matrix::new(2, (0..20).flat_map(|i| [f64::from(i), f64::from(2 * i)]).collect()).unwrap();
    let labels: Vec<bool> = (0..20).map(|i| i % 3 == 0).collect();
    let sample = Sample::new(twice.clone(), labels).unwrap();
    assert_eq!(Newton { l2: 0.0, ..Newton::default() }.fit(&sample), Err(DataError::Singular));
    assert!(Newton::default().fit(&sample).is_ok());
    let same = Sample::new(twice.clone(), vec![true; 20]).unwrap();
    assert_eq!(Newton::default().fit(&same), Err(DataError::OneClass));
    assert!(matches!(Sample::new(twice, vec![true; 3]), Err(DataError::Length { found: 3, expected: 20, .. })));
    let descent = GradientDescent { rate: 1e308, epochs: 9, batch: Batch::Full, l2: 1.0, stop: Stop::Never };
    assert!(matches!(descent.fit(&sample), Err(DataError::Diverged { .. })));
    for bad in [
        GradientDescent { rate: f64::NAN, ..descent.clone() },
        GradientDescent { l2: -1.0, ..descent.clone() },
        GradientDescent { batch: Batch::Rows(0), ..descent.clone() },
        GradientDescent { stop: Stop::Still(f64::NAN), ..descent },
    ] {
        assert!(matches!(bad.fit(&sample), Err(DataError::Setting { .. })));
    }
    assert_eq!(Matrix::new(1, vec![0.0, f64::INFINITY]), Err(DataError::NotFinite { what: "value", index: 1 }));
}

#[test]
fn exact_figures_of_a_ranking() {
    let e = expected();
    let ranking = Ranking::new(&numbers(&e["scores"]), &labels(&e)).unwrap();
    close(
        &[ranking.auc(), ranking.ks(), ranking.brier()],
        &[number(&e["auc"]), number(&e["ks"]), number(&e["brier"])],
        1e-13,
    );
    close(&[ranking.gini()], &[2.0 * number(&e["auc"]) - 1.0], 1e-13);
    let roc = ranking.roc();
    close(&roc.iter().map(|p| p.false_bad_rate).collect::<Vec<_>>(), &numbers(&e["roc"]["fpr"])[1..], 1e-13);
    close(&roc.iter().map(|p| p.true_bad_rate).collect::<Vec<_>>(), &numbers(&e["roc"]["tpr"])[1..], 1e-13);
    close(&roc.iter().map(|p| p.threshold).collect::<Vec<_>>(), &numbers(&e["roc"]["threshold"]), 0.0);
    let c = &e["confusion"];
    let confusion = ranking.confusion(number(&c["threshold"]));
    let found = [confusion.true_good, confusion.false_bad, confusion.false_good, confusion.true_bad];
    assert_eq!(found.to_vec(), ["tn", "fp", "fn", "tp"].map(|k| c[k].as_u64().unwrap()).to_vec());
    assert_eq!(confusion.rows(), 600);
    let calibration = ranking.calibration(10).unwrap();
    close(
        &calibration.iter().map(|b| b.predicted).collect::<Vec<_>>(),
        &numbers(&e["calibration"]["predicted"]),
        1e-13,
    );
    close(&calibration.iter().map(|b| b.observed).collect::<Vec<_>>(), &numbers(&e["calibration"]["observed"]), 1e-13);
    for (group, expected) in ranking.lift(10).unwrap().iter().zip(e["deciles"].as_array().unwrap()) {
        assert_eq!((group.rows, group.bads), (expected["rows"].as_u64().unwrap(), expected["bads"].as_u64().unwrap()));
        close(&[group.mean_score], &[number(&expected["mean"])], 1e-13);
    }
    assert!(ranking.lift(0).is_err() && ranking.lift(601).is_err());
}

#[test]
fn figures_of_a_histogram() {
    let e = expected();
    let (scores, labels, h) = (numbers(&e["scores"]), labels(&e), &e["histogram"]);
    let histogram = Histogram::of(&scores, &labels, 16).unwrap();
    assert_eq!((histogram.goods(), histogram.bads()), (&counts(&h["goods"])[..], &counts(&h["bads"])[..]));
    close(&[histogram.auc(), histogram.ks()], &[number(&h["auc"]), number(&h["ks"])], 1e-13);
    let ranking = Ranking::new(&scores, &labels).unwrap();
    for bins in [1, 2, 3, 16, 100, 1000] {
        let coarse = Histogram::of(&scores, &labels, bins).unwrap();
        assert!((coarse.auc() - ranking.auc()).abs() <= coarse.auc_error() + 1e-12, "{bins} bins");
        assert!(coarse.ks() <= ranking.ks() + 1e-12);
        assert_eq!(coarse.confusion(bins).unwrap().true_bad, 0);
        let (rows, bads) = coarse.lift(10).unwrap().iter().fold((0.0, 0.0), |sum, g| (sum.0 + g.0, sum.1 + g.1));
        close(&[rows, bads], &[600.0, 118.0], 1e-9);
    }
    let half = histogram.confusion(8).unwrap();
    assert_eq!(half, ranking.confusion(0.5));
    assert!(Histogram::of(&[1.5, 0.2], &[true, false], 4).is_err());
    assert_eq!(Histogram::from_counts(vec![1, 2], vec![0, 0]), Err(DataError::OneClass));
}

#[test]
fn a_histogram_as_fine_as_the_scores_gives_the_exact_deciles() {
    let scores: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 1000.0).collect();
    let labels: Vec<bool> = (0..1000).map(|i| i * i % 1009 < i).collect();
    let fine = Histogram::of(&scores, &labels, 1000).unwrap().lift(10).unwrap();
    let exact = Ranking::new(&scores, &labels).unwrap().lift(10).unwrap();
    for (fine, exact) in fine.iter().zip(exact) {
        close(&[fine.0, fine.1, fine.2], &[exact.rows as f64, exact.bads as f64, exact.lift], 1e-12);
    }
}

#[test]
fn weight_of_evidence_is_that_of_pandas_and_the_merge_that_of_isotonic_regression() {
    let e = expected();
    let (raw, labels) = (raw(&e), labels(&e));
    for (j, b) in e["binning"].as_array().unwrap().iter().enumerate() {
        let column = raw.column(j).unwrap();
        let cuts = equal_frequency_cuts(&column, 8).unwrap();
        close(&cuts, &numbers(&b["cuts"]), 1e-13);
        let binning = Binning::of(&column, &labels, cuts).unwrap();
        assert_eq!((binning.goods(), binning.bads()), (&counts(&b["goods"])[..], &counts(&b["bads"])[..]), "{j}");
        close(&binning.woe(), &numbers(&b["woe"]), 1e-13);
        close(&[binning.information_value()], &[number(&b["iv"])], 1e-13);
        let direction = if b["rising"].as_bool().unwrap() { Direction::Rising } else { Direction::Falling };
        assert_eq!(binning.direction(), direction, "{j}");
        let merged = binning.monotonic(direction);
        assert_eq!(
            (merged.goods(), merged.bads()),
            (&counts(&b["merged_goods"])[..], &counts(&b["merged_bads"])[..]),
            "{j}"
        );
        assert_eq!(Binning::of(&column, &labels, merged.cuts().to_vec()).unwrap(), merged);
    }
}

#[test]
fn stability_and_normal_tail() {
    let e = expected();
    let s = &e["stability"];
    close(&[psi(&counts(&s["expected"]), &counts(&s["actual"])).unwrap()], &[number(&s["psi"])], 1e-13);
    for point in e["normal_tail"].as_array().unwrap() {
        let (found, expected) = (two_sided_p(number(&point["z"])), number(&point["p"]));
        assert!((found / expected - 1.0).abs() < 1e-12, "{point}: {found}");
    }
}
