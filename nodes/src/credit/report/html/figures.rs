//! The plots of a report.

use super::{
    markup::{Html, grouped, percent, percent_of, points, short},
    svg::{Axis, Plot, Width},
};
use crate::credit::report::{Decile, Report};

/// The receiver operating characteristic.
pub(super) fn roc(page: &mut Html, report: &Report) {
    let curve = roc_points(report);
    let axes = (share_axis("good customers called bad"), share_axis("bad customers called bad"));
    let mut plot = Plot::new("roc", "ROC curve", Width::Half, axes);
    plot.describe(format!(
        "The share of bad customers found against the share of good customers wrongly called bad. The area under the curve is \
         {:.3}; 0.5 is chance.",
        report.figures.auc
    ));
    plot.area("fill", &curve);
    plot.line("chance", &[(0.0, 0.0), (1.0, 1.0)]);
    plot.line("curve", &curve);
    plot.words("end", (0.97, 0.08), &format!("AUC {:.3}", report.figures.auc));
    plot.finish(page, &[("curve", "model"), ("chance", "chance")]);
}

/// The two cumulative distributions whose widest gap is KS.
pub(super) fn ks(page: &mut Html, report: &Report) {
    let (mut good, mut bad) = (vec![(0.0, 0.0)], vec![(0.0, 0.0)]);
    let (mut goods, mut bads) = (0, 0);
    for bin in &report.scores {
        (goods, bads) = (goods + bin.goods, bads + bin.bads);
        good.push((bin.to, ratio(goods, report.goods)));
        bad.push((bin.to, ratio(bads, report.bads)));
    }
    let gap = |i: &usize| good[*i].1 - bad[*i].1;
    let widest = (0..good.len()).max_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap_or_default();
    let told = report.figures.ks_words(3);
    let mut plot = Plot::new(
        "ks",
        "Cumulative distributions",
        Width::Half,
        (share_axis("score"), share_axis("customers at or below")),
    );
    plot.describe(format!(
        "The share of good and of bad customers up to each score. The gap is widest at a score of {:.2}; Kolmogorov-Smirnov is {told}.",
        good[widest].0
    ));
    let at = good[widest].0;
    plot.line("gap", &[(at, bad[widest].1), (at, good[widest].1)]);
    plot.line("good", &good);
    plot.line("bad", &bad);
    plot.words(
        if at > 0.7 { "end" } else { "start" },
        (at + if at > 0.7 { -0.02 } else { 0.02 }, f64::midpoint(bad[widest].1, good[widest].1)),
        &format!("KS {:.3}", gap(&widest)),
    );
    plot.finish(page, &[("good", "good"), ("bad", "bad"), ("gap", "widest gap that is told")]);
}

/// How many customers have which score.
pub(super) fn distribution(page: &mut Html, report: &Report) {
    let density = |count: u64, all: u64, from: f64, to: f64| ratio(count, all) / (to - from).max(f64::EPSILON);
    let highest = report
        .scores
        .iter()
        .flat_map(|b| [density(b.goods, report.goods, b.from, b.to), density(b.bads, report.bads, b.from, b.to)])
        .fold(1e-9, f64::max);
    let y = Axis { title: "density", from: 0.0, to: highest * 1.05, format: short };
    let mut plot =
        Plot::new("distribution", "Scores of good and of bad customers", Width::Full, (share_axis("score"), y));
    plot.describe(format!(
        "The distribution of the scores of {} good and {} bad customers, each with an area of 1.",
        grouped(report.goods),
        grouped(report.bads)
    ));
    let steps = |of: &dyn Fn(&crate::credit::report::ScoreBin) -> f64| {
        report.scores.iter().flat_map(|b| [(b.from, of(b)), (b.to, of(b))]).collect::<Vec<_>>()
    };
    let good = steps(&|b| density(b.goods, report.goods, b.from, b.to));
    let bad = steps(&|b| density(b.bads, report.bads, b.from, b.to));
    plot.area("good-fill", &good);
    plot.area("bad-fill", &bad);
    plot.line("good", &good);
    plot.line("bad", &bad);
    plot.finish(page, &[("good", "good"), ("bad", "bad")]);
}

/// The lift of each tenth, and what is captured.
pub(super) fn lift(page: &mut Html, tenths: &[Decile]) {
    let highest = tenths.iter().map(|d| d.lift).fold(1.0, f64::max);
    let count = tenths.len().max(1) as f64;
    page.raw("<div class=\"pair\">\n");
    let x = Axis { title: "tenth, worst scores first", from: 0.5, to: count + 0.5, format: whole };
    let y = Axis { title: "lift", from: 0.0, to: highest * 1.05, format: short };
    let mut plot = Plot::new("lift", "Lift", Width::Half, (x, y));
    let first = tenths.first().map_or(0.0, |d| d.lift);
    plot.describe(format!(
        "The rate of bad customers in each tenth by that of all. It is {first:.2} in the worst tenth."
    ));
    for (i, decile) in tenths.iter().enumerate() {
        let middle = i as f64 + 1.0;
        plot.bar("column", (middle - 0.38, middle + 0.38), decile.lift);
    }
    plot.line("chance", &[(0.5, 1.0), (count + 0.5, 1.0)]);
    plot.finish(page, &[("curve", "model"), ("chance", "all customers")]);
    let mut plot = Plot::new(
        "gains",
        "Bad customers captured",
        Width::Half,
        (share_axis("customers, worst scores first"), share_axis("bad customers")),
    );
    let mut gains = vec![(0.0, 0.0)];
    gains.extend(tenths.iter().enumerate().map(|(i, d)| ((i as f64 + 1.0) / count, d.captured)));
    let third = tenths.get(2).map_or(0.0, |d| d.captured);
    plot.describe(format!(
        "The share of all bad customers among those with the worst scores: {} among the worst 30 %.",
        percent(third)
    ));
    plot.line("chance", &[(0.0, 0.0), (1.0, 1.0)]);
    plot.line("curve", &gains);
    for point in &gains {
        plot.dot("point", *point, 3.0);
    }
    plot.finish(page, &[("curve", "model"), ("chance", "chance")]);
    page.raw("</div>\n");
}

/// What is predicted against what came.
pub(super) fn calibration(page: &mut Html, report: &Report) {
    let means = calibration_points(report);
    let most = means.iter().map(|p| p.2).max().unwrap_or(1).max(1);
    let axes = (share_axis("bad customers predicted"), share_axis("bad customers observed"));
    let mut plot = Plot::new("calibrated", "Predicted and observed", Width::Half, axes);
    let error =
        means.iter().map(|p| (p.0 - p.1).abs() * p.2 as f64).sum::<f64>() / (report.goods + report.bads).max(1) as f64;
    plot.describe(format!(
        "The rate of bad customers against the predicted one: the mean score of each bin, as nearly as it is known. They differ by {} on average.",
        points(error)
    ));
    plot.line("chance", &[(0.0, 0.0), (1.0, 1.0)]);
    plot.line("curve", &means.iter().map(|p| (p.0, p.1)).collect::<Vec<_>>());
    for (x, y, rows) in means {
        plot.dot("point", (x, y), 2.5 + 5.5 * (rows as f64 / most as f64).sqrt());
    }
    plot.finish(page, &[("curve", "model; larger dots count more customers"), ("chance", "perfect")]);
}

/// The four cells of a threshold.
pub(super) fn confusion(page: &mut Html, report: &Report) {
    page.raw("<figure>\n<figcaption>Confusion</figcaption>\n");
    if let (Some(c), Some(rates)) = (&report.confusion, report.rates) {
        let all = report.goods + report.bads;
        page.raw("<div class=\"scroll\">\n<table class=\"confusion\">\n");
        let called = c
            .threshold_used
            .map_or_else(|| short(c.threshold), |used| format!("{} (asked for: {})", short(used), short(c.threshold)));
        page.element("caption", &format!("A score of {called} or more is called bad"));
        page.raw("<thead><tr><th></th><th scope=\"col\">called bad</th><th scope=\"col\">called good</th></tr></thead>\n<tbody>\n");
        for (name, cells) in [
            ("bad", [(c.true_bad, "right"), (c.false_good, "wrong")]),
            ("good", [(c.false_bad, "wrong"), (c.true_good, "right")]),
        ] {
            page.raw("<tr><th scope=\"row\">").text(name).raw("</th>");
            for (count, class) in cells {
                page.raw(&format!("<td class=\"{class}\">")).text(&grouped(count));
                page.raw("<small>").text(&percent_of(count, all)).raw("</small></td>");
            }
            page.raw("</tr>\n");
        }
        page.raw("</tbody>\n</table>\n</div>\n<dl class=\"rates\">\n");
        for (name, rate) in
            [("Accuracy", Some(rates.accuracy)), ("Precision", rates.precision), ("Recall", Some(rates.recall))]
        {
            page.raw("<div>").element("dt", name).raw("<dd>");
            page.text(&rate.map_or("-".to_owned(), |rate| percent(rate.value)));
            if let Some(rate) = rate.filter(|rate| rate.error > 0.0) {
                page.raw("<small>").text(&format!("within {}", points(rate.error))).raw("</small>");
            }
            page.raw("</dd></div>\n");
        }
        let called = percent_of(c.true_bad + c.false_bad, all);
        page.raw("<div>").element("dt", "Called bad").element("dd", &called).raw("</div>\n");
        page.raw("</dl>\n");
    } else {
        page.element("p", "Not released: one side of the threshold counts too few customers.");
    }
    page.raw("</figure>\n");
}

/// Predicted and observed rate of bad customers and customers of neighbouring bins that together have a fifteenth of the customers.
fn calibration_points(report: &Report) -> Vec<(f64, f64, u64)> {
    let least = (report.goods + report.bads) / 15;
    let mut points = Vec::new();
    let (mut rows, mut bads, mut predicted) = (0, 0, 0.0);
    for (i, bin) in report.scores.iter().enumerate() {
        rows += bin.goods + bin.bads;
        bads += bin.bads;
        predicted += bin.predicted * (bin.goods + bin.bads) as f64;
        if rows > 0 && (rows >= least || i + 1 == report.scores.len()) {
            points.push((predicted / rows as f64, ratio(bads, rows), rows));
            (rows, bads, predicted) = (0, 0, 0.0);
        }
    }
    points
}

/// The ROC curve over the borders of the bins, from the origin.
fn roc_points(report: &Report) -> Vec<(f64, f64)> {
    let (mut goods, mut bads) = (0, 0);
    let mut curve = vec![(0.0, 0.0)];
    for bin in report.scores.iter().rev() {
        (goods, bads) = (goods + bin.goods, bads + bin.bads);
        curve.push((ratio(goods, report.goods), ratio(bads, report.bads)));
    }
    curve
}

fn share_axis(title: &str) -> Axis<'_> {
    Axis { title, from: 0.0, to: 1.0, format: short }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}
