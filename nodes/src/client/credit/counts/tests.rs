//! Files of counts, and the reports made of them.

use super::*;
use crate::credit::report::{Bound, CountedTable, Standardized};
use proptest::prelude::*;

#[test]
fn customers_left_out_widen_the_error_and_too_many_give_no_figures() {
    let counts = |rows| EvaluationFile {
        rows,
        minimum: 10,
        cuts: vec![0.25, 0.5],
        goods: vec![700, 100, 0],
        bads: vec![0, 100, 100],
        ..EvaluationFile::new(String::new(), String::new())
    };
    assert_eq!((counts(1000).left_out(), counts(1000).uncounted()), (0, 0));
    // 800 good by 200 bad ones are counted, and 300 may be bad.
    let pairs = EvaluationFile { pairs: Some([2 * 128_000, 0, 800, 200]), ..counts(1100) };
    let of_all = pairs.area_of_all(&pairs.histogram().expect("counts"));
    assert!(
        (of_all.at_least - 0.8 * 2.0 / 3.0).abs() < 1e-12 && (of_all.at_most - (1.0 - 0.2 * 2.0 / 3.0)).abs() < 1e-12,
        "{of_all:?}"
    );
    // 900 of 1,000 are called right: of 1,100 from 900 to 1,000.
    let (goods, bads) = (vec![720, 0, 80], vec![20, 0, 180]);
    let left_out = EvaluationFile { threshold: 0.25, goods, bads, ..counts(1100) };
    let report = left_out.aggregates("", None, (None, None)).and_then(|all| Ok(all.release(10)?)).expect("a report");
    let accuracy = report.rates.expect("a threshold").accuracy;
    assert!(
        (accuracy.value - 0.9).abs() < 1e-12 && (0.9 - accuracy.error - 900.0 / 1100.0).abs() < 1e-12,
        "{accuracy:?}"
    );
    assert_eq!((report.left_out, report.goods + report.bads), (100, 1000));
    let page = crate::credit::report::to_html(&report);
    assert!(page.contains("100 customers more") && page.contains("within 8.2 percentage points"), "{page}");
    assert!(counts(1100).histogram().is_ok());
    let refused = counts(1200).histogram().expect_err("a sixth is left out").to_string();
    assert!(refused.starts_with("200 of 1200 customers are of owners with fewer than 10"), "{refused}");
}

#[test]
fn where_bins_were_merged_there_is_no_confusion() {
    let counts = |bin: usize| EvaluationFile {
        rows: 1000,
        minimum: 10,
        threshold: [0.2, 0.4, 0.6, 0.8][bin - 1],
        cuts: vec![0.2, 0.4, 0.6, 0.8],
        goods: vec![0, 600, 0, 0, 200],
        bads: vec![0, 90, 0, 0, 110],
        ..EvaluationFile::new(String::new(), String::new())
    };
    assert_eq!(counts(2).bins(), 2);
    for (threshold, told) in [(1, false), (2, true), (3, false), (4, false)] {
        let report = counts(threshold).aggregates("", None, (None, None)).and_then(|all| Ok(all.release(10)?));
        let report = report.expect("a report");
        assert_eq!(
            (report.confusion.is_some(), counts(threshold).called_bad()),
            (told, told.then_some(threshold)),
            "{threshold}"
        );
        assert_eq!(report.scores.iter().map(|bin| (bin.goods, bin.bads)).collect::<Vec<_>>(), [(600, 90), (200, 110)]);
        assert_eq!(report.scores[0].to.to_bits(), 0.4_f64.to_bits());
        assert!(report.confusion.is_none_or(|cells| (cells.true_good, cells.true_bad) == (600, 110)));
    }
    assert_eq!(EvaluationFile { minimum: 1, ..counts(3) }.called_bad(), Some(3), "zeros are zeros");
    assert_eq!(EvaluationFile { threshold: 0.5, ..counts(2) }.called_bad(), None, "no cut point");
}

#[test]
fn stability_is_by_bins_that_neither_population_merged() {
    let counts = |goods, bads| EvaluationFile {
        rows: 1000,
        minimum: 10,
        cuts: vec![0.25, 0.5, 0.75],
        goods,
        bads,
        ..EvaluationFile::new(String::new(), String::new())
    };
    let earlier = counts(vec![300, 0, 300, 200], vec![20, 0, 80, 100]);
    let now = counts(vec![200, 300, 150, 150], vec![20, 40, 40, 100]);
    let aggregates = now.aggregates("", Some(&earlier), (None, None)).expect("counts");
    let moved = aggregates.release(10).expect("a report").stability.expect("two populations");
    let bins: Vec<_> = moved.bins.iter().map(|bin| (bin.expected, bin.actual)).collect();
    assert_eq!(bins, [(320, 220), (380, 530), (300, 250)]);
}

#[test]
fn a_column_of_which_too_few_are_told_is_left_out_and_the_others_are_reported() {
    let column = |name: &str, goods: Vec<u64>, bads: Vec<u64>| {
        let levels = (0..goods.len()).map(|k| k.to_string()).collect();
        ColumnCounts {
            name: name.to_owned(),
            cuts: Vec::new(),
            numbers: Numbers::Any,
            meant: goods.len(),
            levels,
            goods,
            bads,
        }
    };
    let file = EvaluationFile {
        rows: 1000,
        minimum: 10,
        cuts: vec![0.25, 0.5],
        goods: vec![700, 100, 0],
        bads: vec![0, 100, 100],
        columns: vec![
            column("told", vec![600, 200], vec![50, 150]),
            // Of 150 it is not known what they have.
            column("hidden", vec![600, 50], vec![50, 150]),
            // Of all it is known, and nobody is bad.
            column("thin", vec![800, 195], vec![0, 5]),
        ],
        ..EvaluationFile::new(String::new(), String::new())
    };
    let aggregates = file.aggregates("", None, (None, None)).expect("counts");
    let report = aggregates.release(10).expect("a report");
    assert_eq!(report.attributes.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["told"]);
    assert_eq!(report.columns_left_out, ["hidden", "thin"]);
    let page = crate::credit::report::to_html(&report);
    assert!(page.contains("hidden, thin"), "the page says so");
}

/// Each evaluation has cut points of its own; the distributions of both are between the same ones.
#[test]
fn stability_is_by_the_distribution_of_the_earlier_population() {
    let counts = |cuts: &[f64], goods: &[u64], all: &[u64]| EvaluationFile {
        rows: 1000,
        minimum: 10,
        cuts: cuts.to_vec(),
        goods: goods.to_vec(),
        bads: goods.to_vec(),
        distribution: Some(Distribution { cuts: vec![0.1, 0.2, 0.3, 0.4], counts: all.to_vec() }),
        ..EvaluationFile::new(String::new(), String::new())
    };
    let earlier = counts(&[0.3], &[250, 250], &[100, 200, 0, 300, 400]);
    let now = counts(&[0.1, 0.2, 0.3, 0.4], &[100, 100, 100, 100, 100], &[200; 5]);
    let aggregates = now.aggregates("", Some(&earlier), (None, None)).expect("counts");
    let moved = aggregates.release(10).expect("a report").stability.expect("two populations");
    let bins: Vec<_> = moved.bins.iter().map(|bin| (bin.to, bin.expected, bin.actual)).collect();
    assert_eq!(bins, [(0.1, 100, 200), (0.2, 200, 200), (0.4, 300, 400), (1.0, 400, 200)]);
    assert!(moved.psi.is_some_and(|psi| psi > 0.1) && moved.bound == Bound::AtLeast, "{moved:?}");
    let single = counts(&[0.3], &[250, 250], &[0, 0, 0, 0, 1000]);
    let report =
        now.aggregates("", Some(&single), (None, None)).and_then(|all| Ok(all.release(10)?)).expect("a report");
    assert_eq!(report.stability.as_ref().map(|moved| (moved.psi, moved.bins.len())), Some((None, 1)));
    let page = crate::credit::report::to_html(&report);
    assert!(page.contains("<b>PSI not told</b>") && page.contains("Only 1 range is known of both"), "{page}");
    let other = EvaluationFile { cuts: vec![0.15], distribution: None, ..earlier };
    assert!(now.aggregates("", Some(&other), (None, None)).is_err(), "nothing is between the same cut points");
}

/// Of an owner with few bad customers the labels alone are not told: its scores are counted with those of all.
#[test]
fn customers_left_out_are_among_the_scores_and_each_figure_says_whose_it_is() {
    let counts = |all: &[u64], uncounted: u64| EvaluationFile {
        rows: all.iter().sum::<u64>() + uncounted,
        minimum: 10,
        cuts: vec![0.2, 0.4, 0.6],
        goods: vec![400, 100, 50, 50],
        bads: vec![20, 20, 30, 30],
        distribution: Some(Distribution { cuts: vec![0.2, 0.4, 0.6], counts: all.to_vec() }),
        ..EvaluationFile::new(String::new(), String::new())
    };
    let now = counts(&[430, 120, 90, 120], 0);
    assert_eq!((now.left_out(), now.uncounted()), (60, 0));
    let report = |file: &EvaluationFile, earlier| {
        file.aggregates("", Some(earlier), (None, None)).and_then(|all| Ok(all.release(10)?)).expect("a report")
    };
    let told = report(&now, &now);
    let moved = told.stability.as_ref().expect("two populations");
    assert!(moved.psi.is_some_and(|psi| psi.abs() < 1e-12), "a population has not moved from itself: {moved:?}");
    assert!(moved.bins.iter().all(|bin| bin.expected == bin.actual), "{moved:?}");
    assert_eq!(moved.bins.iter().map(|bin| bin.actual).sum::<u64>(), 760);
    let page = crate::credit::report::to_html(&told);
    for part in [
        "nothing is told of their labels",
        "are of all customers.",
        "<dd>700<small>counted by label</small>",
        "<dd>17.4 to 40.5 %<small>of all 760</small>",
        "also those whose labels are not told",
        "Of all customers, whatever those left out are like, the AUC is between",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    assert!(!page.contains("all counts are of the others"), "{page}");
    let json = told.to_json().expect("JSON");
    assert!(json.contains("\"auc_bounds\": {") && json.contains("\"uncounted\": 0"), "{json}");
    // Nothing at all is told of owners with few customers.
    let wider = report(&counts(&[430, 120, 90, 120], 5), &now);
    assert_eq!((wider.left_out, wider.uncounted), (65, 5));
    let page = crate::credit::report::to_html(&wider);
    assert!(page.contains("but 5, whose owners have fewer than 10 in all"), "{page}");
    let mean = wider.mean_score.expect("a distribution");
    let Bounds { at_least, at_most } = mean.bounds();
    assert!(!mean.near() && page.contains(&format!("{:.1} to {:.1} %", at_least * 100.0, at_most * 100.0)), "{mean:?}");
}

#[test]
fn what_to_do_about_too_many_left_out_can_be_done() {
    let context = |rows: &[u64]| Context {
        evaluated: String::new(),
        model: String::new(),
        tables: rows.iter().map(|rows| CountedTable { table: "a/loans@1".to_owned(), rows: *rows }).collect(),
        mode: String::new(),
        bins: 20,
        minimum: 10,
        features: Vec::new(),
    };
    let refused = |rows: &[u64]| {
        let file = EvaluationFile {
            rows: 100,
            minimum: 10,
            goods: vec![40],
            bads: vec![10],
            context: Some(context(rows)),
            ..EvaluationFile::new(String::new(), String::new())
        };
        file.histogram().expect_err("half of them are left out").to_string()
    };
    assert!(refused(&[50, 50]).contains("a --pooled-with without those owners"));
    for one_owner_or_the_same_customers in [&[100][..], &[100, 100]] {
        let text = refused(one_owner_or_the_same_customers);
        assert!(text.contains("--minimum") && !text.contains("--pooled-with"), "{text}");
    }
}

#[test]
fn mean_scores_are_as_near_as_the_distribution_tells() {
    let scores: Vec<f64> = (0..1000).map(|k| f64::from(k * k) / 1e6).collect();
    let between = |cuts: &[f64]| {
        let mut counts = vec![0; cuts.len() + 1];
        for score in &scores {
            counts[cuts.partition_point(|cut| cut <= score)] += 1;
        }
        counts
    };
    let fine: Vec<f64> = (1..100).map(|k| f64::from(k) / 100.0).collect();
    let mut all = between(&fine);
    // The 33 customers of three ranges are told as one.
    (all[32], all[30], all[31]) = (all[30] + all[31] + all[32], 0, 0);
    let cuts = vec![0.09, 0.25, 0.64];
    let goods: Vec<u64> = between(&cuts).iter().map(|count| count / 2).collect();
    let file = EvaluationFile {
        rows: 1000,
        minimum: 10,
        cuts: cuts.clone(),
        bads: goods.clone(),
        goods,
        distribution: Some(Distribution { cuts: fine, counts: all }),
        ..EvaluationFile::new(String::new(), String::new())
    };
    let mean = file.mean_score().expect("a distribution");
    let exact = scores.iter().sum::<f64>() / 1000.0;
    assert!((mean.mean - exact).abs() <= mean.error && mean.error < 0.006, "{mean:?} {exact}");
    let report = file.aggregates("", None, (None, None)).and_then(|all| Ok(all.release(10)?)).expect("a report");
    assert_eq!(report.scores.len(), 4);
    for bin in &report.scores {
        let own: Vec<f64> = scores.iter().copied().filter(|score| (bin.from..bin.to).contains(score)).collect();
        let exact = own.iter().sum::<f64>() / own.len() as f64;
        assert!((bin.predicted - exact).abs() <= bin.predicted_error && bin.predicted_error < 0.006, "{bin:?} {exact}");
    }
    assert_eq!(report.mean_score, Some(mean));
}

#[test]
fn a_file_whose_cut_points_do_not_fit_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let counts = |cuts: &str, goods: &str| {
        format!(
            r#"{{"format":2,"model":"","population":"","rows":4,"minimum":0,"threshold":0.5,"cuts":{cuts},"goods":{goods},"bads":[1,1]}}"#
        )
    };
    for (k, (cuts, goods, well)) in
        [("[0.5]", "[1,1]", true), ("[0.5]", "[2]", false), ("[1.5]", "[1,1]", false), ("[0.5,0.5]", "[1,1,1]", false)]
            .into_iter()
            .enumerate()
    {
        let path = dir.path().join(k.to_string());
        std::fs::write(&path, counts(cuts, goods)).expect("written");
        assert_eq!(EvaluationFile::read(&path).is_ok(), well, "{cuts} {goods}");
    }
    let path = dir.path().join("old");
    std::fs::write(&path, r#"{"format":1,"rows":4,"of_another_version":0}"#).expect("written");
    let refused = EvaluationFile::read(&path).expect_err("another format").to_string();
    assert!(refused.contains("format 1") && refused.contains("run `trefoil credit evaluate` again"), "{refused}");
}

/// What was asked for stands in the report, and not the nearest number that scores can have, unless that is another.
#[test]
fn a_report_says_what_was_evaluated_and_the_threshold_as_it_was_asked_for() {
    let cuts = vec![countable(0.17), countable(0.4)];
    assert!(cuts[0].to_string().len() > 10, "{cuts:?}");
    let context = Context {
        evaluated: "2026-01-02T03:04:05Z".to_owned(),
        model: "lead/model@2".to_owned(),
        tables: vec![CountedTable { table: "bank-a/loans-test@3".to_owned(), rows: 1000 }],
        mode: "malicious".to_owned(),
        bins: 20,
        minimum: 10,
        features: vec![Standardized { name: "income".to_owned(), mean: 66_074.84, sd: 61_983.12 }],
    };
    let file = EvaluationFile {
        rows: 1000,
        minimum: 10,
        threshold: 0.17,
        cuts,
        goods: vec![600, 150, 50],
        bads: vec![40, 60, 100],
        context: Some(context),
        ..EvaluationFile::new(String::new(), String::new())
    };
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("counts.json");
    std::fs::write(&path, serde_json::to_vec(&file).expect("JSON")).expect("written");
    assert_eq!(EvaluationFile::read(&path).expect("counts"), file);
    let mut report = file.aggregates("", None, (None, None)).and_then(|all| Ok(all.release(10)?)).expect("a report");
    report.training = Some("Newton, 8 iterations".to_owned());
    let json = report.to_json().expect("JSON");
    assert!(json.contains("\"threshold\": 0.17,") && !json.contains("0.1700000"), "{json}");
    assert!(!json.contains("threshold_used") && file.threshold_used().is_none(), "{json}");
    let page = crate::credit::report::to_html(&report);
    for part in [
        "A score of 0.17 or more",
        "2026-01-02T03:04:05Z",
        "lead/model@2",
        "bank-a/loans-test@3",
        "66074.8",
        "Newton, 8",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let near_zero = EvaluationFile { threshold: 2.4e-6, ..file };
    assert_eq!(near_zero.threshold_used(), Some(3.0 / 1_048_576.0));
}

proptest! {
    /// Whatever the others are like, who are of owners that the first count has and the second one has not.
    #[test]
    fn the_mean_score_of_a_bin_is_within_its_error(
        customers in prop::collection::vec((0..1000_u32, any::<bool>()), 1..200),
        ends in prop::collection::btree_set(0..19_usize, 0..4),
    ) {
        let fine: Vec<f64> = (1..20).map(|k| f64::from(k) / 20.0).collect();
        let cuts: Vec<f64> = ends.iter().map(|end| fine[*end]).collect();
        let place = |cuts: &[f64], score: f64| cuts.partition_point(|cut| *cut <= score);
        let (mut all, mut counted) = (vec![0; 20], vec![(0, 0.0); cuts.len() + 1]);
        for (score, told) in &customers {
            let score = f64::from(*score) / 1000.0;
            all[place(&fine, score)] += 1;
            let (count, sum) = &mut counted[place(&cuts, score)];
            *count += u64::from(*told);
            *sum += if *told { score } else { 0.0 };
        }
        let file = EvaluationFile {
            rows: customers.len() as u64,
            minimum: 1,
            bads: vec![0; cuts.len() + 1],
            goods: counted.iter().map(|bin| bin.0).collect(),
            cuts,
            distribution: Some(Distribution { cuts: fine, counts: all }),
            ..EvaluationFile::new(String::new(), String::new())
        };
        for (told, (_, exact)) in file.score_sums().expect("a distribution").iter().zip(counted) {
            prop_assert!((told.sum - exact).abs() <= told.error + 1e-9, "{told:?} {exact}");
        }
    }
}
