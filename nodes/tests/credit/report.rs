//! Reports: what is released, and the page.

use std::path::PathBuf;
use trefoil_circuits::credit::reference::{Binning, Newton, Ranking, Sample, equal_frequency_cuts};
use trefoil_nodes::credit::{
    Features, HeldOut, Kind, NamedMoments, Schema, Table, Values, read,
    report::{
        Aggregates, AttributeCounts, AttributeKind, Coefficient, Numbers, Report, Scale, StabilityCounts, to_html,
    },
};

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "data/credit", name].iter().collect()
}

/// The counts of a column over some rows.
fn counts(table: &Table, column: usize, rows: &[usize]) -> Option<AttributeCounts> {
    let labels: Vec<bool> = rows.iter().map(|&row| table.labels().unwrap()[row]).collect();
    let described = &table.schema().columns()[column];
    let kind = match (&described.kind, &table.columns()[column]) {
        (_, Values::Numbers(numbers)) => {
            let values: Vec<f64> = rows.iter().map(|&row| numbers[row]).collect();
            let cuts = equal_frequency_cuts(&values, 8).unwrap();
            AttributeKind::Ordered(Binning::of(&values, &labels, cuts).unwrap(), Numbers::Any)
        }
        (Kind::Category { levels, .. }, Values::Levels(own)) => {
            let count = |level: u32, bad: bool| {
                rows.iter().zip(&labels).filter(|&(&row, &label)| own[row] == level && label == bad).count() as u64
            };
            let cells = (0..).zip(levels).map(|(i, name)| (name.clone(), count(i, false), count(i, true)));
            AttributeKind::Nominal(cells.collect())
        }
        _ => return None,
    };
    let meant = match &kind {
        AttributeKind::Ordered(binning, _) => binning.goods().len(),
        AttributeKind::Nominal(levels) => levels.len(),
    };
    Some(AttributeCounts { name: described.name.clone(), kind, meant })
}

/// A report on the held-out real loans, and their exact ranking.
fn loans(minimum: u64) -> (Report, Ranking) {
    let table = read(&Schema::read(&path("schema.toml")).unwrap(), &path("credit_risk_dataset.csv")).unwrap();
    let features = Features::of(table.schema());
    let matrix = features.encode(&table).unwrap();
    let (train, held_out) = HeldOut::read(&path("held_out_rows.txt")).unwrap().split(&table).unwrap();
    let moments = NamedMoments::of(&features, &matrix.select(&train).unwrap()).unwrap();
    let all = Sample::new(moments.standardize(&features, &matrix).unwrap(), table.labels().unwrap().to_vec()).unwrap();
    let fit = Newton::default().fit(&all.select(&train).unwrap()).unwrap();
    let sample = all.select(&held_out).unwrap();
    let scores = fit.model.probabilities(sample.features()).unwrap();
    let mut aggregates = Aggregates::of_scores(&scores, sample.labels(), 100, 0.5).unwrap();
    aggregates.title = "Consumer loans, joint model".into();
    aggregates.model = "logistic regression, 26 features, L2 penalty 1".into();
    aggregates.population = "12,404 held-out loans".into();
    let earlier = fit.model.probabilities(all.select(&train).unwrap().features()).unwrap();
    let mut expected = vec![0; 100];
    for score in earlier {
        expected[(0u32..99).find(|&bin| score * 100.0 < f64::from(bin) + 1.0).unwrap_or(99) as usize] += 1;
    }
    aggregates.stability = Some(StabilityCounts {
        reference: "the 16,228 loans trained on".into(),
        expected,
        actual: None,
        merged: false,
    });
    aggregates.attributes = (0..table.columns().len()).filter_map(|column| counts(&table, column, &held_out)).collect();
    let names = std::iter::once("intercept".to_owned()).chain(moments.features.iter().cloned());
    let values = std::iter::once(fit.model.intercept).chain(fit.model.weights.iter().copied());
    let inference = fit.inference.standard_errors.iter().zip(&fit.inference.p);
    aggregates.coefficients = names
        .zip(values)
        .zip(inference)
        .map(|((name, value), (e, p))| Coefficient { name, value, standard_error: Some(*e), p: Some(*p) })
        .collect();
    aggregates.scorecard = Some(Scale { base_score: 600.0, odds: 50.0, pdo: 20.0 });
    (aggregates.release(minimum).unwrap(), Ranking::new(&scores, sample.labels()).unwrap())
}

#[test]
fn a_report_on_the_loans_has_the_exact_figures_and_no_small_cell() {
    let (report, ranking) = loans(10);
    assert!(
        (report.figures.auc - ranking.auc()).abs() < 1e-15 && (report.figures.ks.unwrap() - ranking.ks()).abs() < 1e-15
    );
    assert!((report.figures.auc - 0.8711).abs() < 1e-4);
    let (cells, exact) = (report.confusion.unwrap(), ranking.confusion(0.5));
    assert_eq!([cells.true_bad, cells.false_bad], [exact.true_bad, exact.false_bad]);
    assert_eq!([cells.true_good, cells.false_good], [exact.true_good, exact.false_good]);
    assert_eq!((report.goods, report.bads), (9717, 2687));
    assert_eq!(report.attributes.len(), 11);
    let scores = report.scores.iter().map(|b| (b.goods, b.bads));
    let attributes = report.attributes.iter().flat_map(|a| &a.bins).map(|b| (b.goods, b.bads));
    assert!(scores.chain(attributes).all(|(goods, bads)| goods >= 10 && bads >= 10));
    for attribute in &report.attributes {
        let total = attribute.bins.iter().fold((0, 0), |sum, b| (sum.0 + b.goods, sum.1 + b.bads));
        assert_eq!(total, (9717, 2687), "{}", attribute.name);
    }
    // A level that is too small is put together with the smallest of the others.
    let levels = |report: &Report| {
        let ownership = report.attributes.iter().find(|a| a.name == "person_home_ownership").unwrap();
        ownership.bins.iter().map(|bin| bin.label.clone()).collect::<Vec<_>>()
    };
    assert_eq!(levels(&report), ["MORTGAGE", "RENT", "OTHER, OWN"]);
    assert_eq!(levels(&loans(2).0), ["MORTGAGE", "OTHER", "OWN", "RENT"]);
    let moved = report.stability.unwrap();
    assert!(moved.psi.unwrap() < 0.01 && (8..=10).contains(&moved.bins.len()), "{moved:?}");
    assert!(moved.bins.iter().all(|b| b.expected >= 10 && b.actual >= 10));
    assert_eq!(moved.bins.iter().map(|b| b.actual).sum::<u64>(), 12_404);
    // Every border of the comparison is one of the scores'.
    assert!(moved.bins.iter().all(|b| report.scores.iter().any(|s| s.from.to_bits() == b.from.to_bits())));
    for (decile, exact) in report.deciles.unwrap().iter().zip(ranking.lift(10).unwrap()) {
        assert!((decile.lift - exact.lift).abs() < 0.12, "{decile:?} {exact:?}");
    }
}

#[test]
fn json_is_read_back_and_other_text_refused() {
    let report = loans(10).0;
    let json = report.to_json().unwrap();
    assert_eq!(to_html(&Report::from_json(&json).unwrap()), to_html(&report));
    for (from, to, expected) in [
        ("\"format\": 3", "\"format\": 2", "its format is 2"),
        ("\"format\": 3", "\"format\": 3, \"x\": 1", "unknown field `x`"),
        ("\"goods\": 9717", "\"goods\": 18446744073709551615", "its counts are too large"),
        ("\"left_out\": 0", "\"left_out\": 18446744073709551615", "its counts are too large"),
        ("\"goods\": 9717", "\"goods\": -1", "no report"),
    ] {
        assert!(json.contains(from), "{from}");
        let message = Report::from_json(&json.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn too_few_customers_release_nothing() {
    let scores: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
    let labels: Vec<bool> = (0..100).map(|i| i % 9 == 0).collect();
    let aggregates = Aggregates::of_scores(&scores, &labels, 20, 0.33).unwrap();
    assert_eq!(aggregates.threshold, 7);
    let message = aggregates.release(13).unwrap_err().to_string();
    assert!(message.contains("fewer than 13 good or fewer than 13 bad customers"), "{message}");
    assert!(aggregates.release(0).is_err());
    // With 12 bad customers of whom some are below the threshold, one cell would be too small.
    let report = aggregates.release(10).unwrap();
    assert_eq!((report.scores.len(), report.confusion), (1, None));
    assert!(to_html(&report).contains("Not released"));
    a_single_bin_is_not_told(&aggregates);
    let fine = aggregates.release(2).unwrap();
    assert!(fine.confusion.is_some() && fine.scores.len() > 2);
    let mut wrong = aggregates.clone();
    wrong.stability =
        Some(StabilityCounts { reference: String::new(), expected: vec![9; 3], actual: None, merged: false });
    assert!(wrong.release(2).is_err());
    let mut wrong = aggregates.clone();
    wrong.coefficients.push(Coefficient { name: "x".into(), value: f64::NAN, standard_error: None, p: None });
    assert!(wrong.release(2).is_err());
    let mut without = aggregates;
    without.exact = None;
    let binned = without.release(2).unwrap();
    assert!((binned.figures.auc - fine.figures.auc).abs() <= binned.figures.auc_error + 1e-12);
    assert!(binned.figures.auc_error > 0.0);
}

/// A chance diagonal, or ten equal tenths, would be nobody's figures.
fn a_single_bin_is_not_told(aggregates: &Aggregates) {
    let mut counted = aggregates.clone();
    let exact = counted.exact.as_mut().unwrap();
    exact.ks = None;
    let report = counted.release(10).unwrap();
    let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    for pointer in ["/figures/ks", "/deciles", "/confusion", "/rates"] {
        assert_eq!(json.pointer(pointer), Some(&serde_json::Value::Null), "{pointer}");
    }
    let page = to_html(&report);
    well_formed(&page);
    for id in ["roc", "ks", "distribution", "lift", "gains", "calibrated"] {
        assert!(!page.contains(&format!("id=\"{id}-t\"")), "{id}");
    }
    assert_eq!(page.matches("Not told: a single range of scores is left").count(), 3);
    assert!(page.contains("<dt>KS</dt>\n<dd>not told<small>at least 0."), "{page}");
    // Of two ranges, it is between bounds, in which the exact one is.
    let (two, exact) = (counted.release(5).unwrap(), aggregates.release(5).unwrap().figures.ks.unwrap());
    let (told, bounds) = (two.figures.ks.unwrap(), two.figures.ks_bounds);
    assert!(two.scores.len() == 2 && told < exact && exact < bounds.at_most, "{told} {exact} {bounds:?}");
    assert!(to_html(&two).contains(&format!("at least {told:.3}, at most {:.3}", bounds.at_most)));
    let lift = &two.deciles.unwrap()[0];
    assert!(lift.lift_bounds.at_least < lift.lift && lift.lift < lift.lift_bounds.at_most, "{lift:?}");
}

#[test]
fn the_page_is_well_formed_self_contained_and_escapes_names() {
    let mut report = loans(10).0;
    well_formed(&to_html(&report));
    report.title = "</title><script>alert(1)</script>".into();
    report.population = "a \"b\" & 'c' \u{1}".into();
    report.attributes[0].name = "<img src=x onerror=y>".into();
    report.attributes[0].bins[0].label = "</td><b>".into();
    report.coefficients[0].name = "<!-- ".into();
    let page = to_html(&report);
    well_formed(&page);
    for absent in ["<script", "<img", "<b>x", "://", "url(", "@import", "<link", "<iframe", "\u{1}", "NaN"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("a &quot;b&quot; &amp; &#39;c&#39;")
    );
    for id in ["roc", "ks", "distribution", "lift", "gains", "calibrated"] {
        assert!(page.contains(&format!("id=\"{id}-t\"")) && page.contains(&format!("id=\"{id}-d\"")), "{id}");
    }
    assert!(page.len() < 200_000);
}

/// Every element is closed in its turn, and every id given once.
#[track_caller]
fn well_formed(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("a document type");
    let mut open = Vec::new();
    let mut rest = body;
    while let Some((text, after)) = rest.split_once('<') {
        assert!(!text.contains('>') || open.last() == Some(&"style"), "{text}");
        let (tag, after) = after.split_once('>').expect("a tag that ends");
        rest = after;
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?}");
    let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|s| s.split('"').next()).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    for named in page.split("aria-labelledby=\"").skip(1).filter_map(|s| s.split('"').next()) {
        assert!(named.split(' ').all(|id| ids.contains(&id)), "{named}");
    }
}
