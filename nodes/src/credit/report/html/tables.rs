//! The tables of a report.

use super::{
    markup::{Html, grouped, percent, percent_of, points, short},
    svg::paint,
};
use crate::credit::report::{Attribute, Bound, Bounds, Decile, MeanScore, Report, Stability};

/// The figures that are looked at first.
pub(super) fn facts(page: &mut Html, report: &Report) {
    let all = report.goods + report.bads;
    let accuracy = report.confusion.as_ref().map(|c| percent_of(c.true_bad + c.true_good, all));
    let figures = &report.figures;
    let within = |error: f64, text: String| if error > 0.0 { format!("within {text}") } else { String::new() };
    let accuracy_error = report.rates.map_or(0.0, |rates| rates.accuracy.error);
    let ks = figures.ks.map_or_else(|| "not told".to_owned(), |ks| format!("{ks:.3}"));
    let psi = |moved: &Stability| {
        let psi = moved.psi.map_or_else(|| "not told".to_owned(), |psi| format!("{psi:.3}"));
        (psi, if moved.bound == Bound::AtLeast && moved.psi.is_some() { "at least".to_owned() } else { String::new() })
    };
    // Two bases stand side by side: each figure says which is its own.
    let of_all = |text: String| match report.left_out {
        0 => text,
        left_out if text.is_empty() => format!("of all {}", grouped(all + left_out)),
        left_out => format!("of all {}, {text}", grouped(all + left_out)),
    };
    let counted = || if report.left_out > 0 { "counted by label".to_owned() } else { String::new() };
    let by_label = |value: String| Some((value, counted()));
    let mean = |score: MeanScore| {
        let Bounds { at_least, at_most } = score.bounds();
        if score.near() {
            (percent(score.mean), of_all(within(score.error, points(score.error))))
        } else {
            (format!("{:.1} to {}", at_least * 100.0, percent(at_most)), of_all(String::new()))
        }
    };
    let area = |value: f64, bounds: Bounds, error: f64| {
        let Bounds { at_least, at_most } = bounds;
        let interval = format!("{at_least:.3} to {at_most:.3}");
        (
            format!("{value:.3}"),
            if report.left_out > 0 { of_all(interval) } else { within(error, format!("{error:.4}")) },
        )
    };
    page.raw("<dl class=\"facts\">\n");
    for (name, value) in [
        ("Customers", by_label(grouped(all))),
        ("Bad", by_label(percent_of(report.bads, all))),
        ("Mean score", report.mean_score.map(mean)),
        ("AUC", Some(area(figures.auc, figures.auc_bounds, figures.auc_error))),
        ("Gini", Some(area(figures.gini, figures.gini_bounds, 2.0 * figures.auc_error))),
        (
            "KS",
            Some((
                ks,
                if report.left_out > 0 { of_all(between(figures.ks_bounds)) } else { between(figures.ks_bounds) },
            )),
        ),
        ("Accuracy", accuracy.map(|accuracy| (accuracy, within(accuracy_error, points(accuracy_error))))),
        ("PSI", report.stability.as_ref().map(psi)),
    ] {
        if let Some((value, beside)) = value {
            page.raw("<div>").element("dt", name).raw("<dd>").text(&value);
            if !beside.is_empty() {
                page.raw("<small>").text(&beside).raw("</small>");
            }
            page.raw("</dd></div>\n");
        }
    }
    page.raw("</dl>\n");
}

/// What a figure is between, unless it is exact.
fn between(bounds: Bounds) -> String {
    let [least, most] = [bounds.at_least, bounds.at_most].map(|bound| format!("{bound:.3}"));
    if least == most { String::new() } else { format!("at least {least}, at most {most}") }
}

/// Customers by score.
pub(super) fn scores(page: &mut Html, report: &Report) {
    let rows = report.scores.iter().map(|bin| {
        let all = bin.goods + bin.bads;
        vec![
            range(bin.from, bin.to),
            grouped(bin.goods),
            grouped(bin.bads),
            percent_of(bin.bads, all),
            percent(bin.predicted),
            if bin.predicted_error > 0.0 {
                points(bin.predicted_error).replace("percentage points", "points")
            } else {
                "-".to_owned()
            },
        ]
    });
    page.table("Customers by score", &["Score", "Good", "Bad", "Bad rate", "Predicted", "Within"], rows);
}

/// Tenths of the population.
pub(super) fn deciles(page: &mut Html, tenths: &[Decile]) {
    let rows = tenths.iter().enumerate().map(|(i, decile)| {
        vec![
            format!("{}", i + 1),
            format!("{:.1}", decile.rows),
            format!("{:.1}", decile.bads),
            percent(decile.bads / decile.rows),
            format!("{:.2}", decile.lift),
            format!("{:.2} to {:.2}", decile.lift_bounds.at_least, decile.lift_bounds.at_most),
            percent(decile.captured),
            format!("{} to {}", percent(decile.captured_bounds.at_least), percent(decile.captured_bounds.at_most)),
        ]
    });
    let headings = ["Tenth", "Customers", "Bad", "Bad rate", "Lift", "between", "Bad captured", "between"];
    page.table("Tenths of the customers, worst scores first", &headings, rows);
}

/// How the population has moved.
pub(super) fn stability(page: &mut Html, stability: &Stability, report: &Report) {
    let count = stability.bins.len();
    let (psi, verdict) = match (stability.psi, stability.bound) {
        (None, _) => ("not told".to_owned(), String::new()),
        (Some(psi), Bound::Exact) if psi < 0.1 => (format!("{psi:.4}"), ", below 0.1: stable".to_owned()),
        (Some(psi), Bound::Exact) if psi <= 0.25 => (format!("{psi:.4}"), ", from 0.1 to 0.25: watch it".to_owned()),
        (Some(psi), bound) if psi > 0.25 => (bound.words(psi), ", above 0.25: shifted".to_owned()),
        (Some(psi), bound) => (bound.words(psi), format!(" over {count} ranges")),
    };
    page.raw(&format!("<p><b>PSI {psi}</b>")).text(&format!("{verdict}, against: "));
    page.text(&stability.reference).raw("</p>\n");
    if stability.bound == Bound::AtLeast {
        let ranges = if count == 1 { "range is" } else { "ranges are" };
        let text = format!(
            "Only {count} {ranges} known of both populations, and the index is meant to be over ten: what has moved within a range does not show, so a low index does not say that the population is stable. \
             Pool more customers of both."
        );
        page.raw("<p class=\"untold\">").text(&text).raw("</p>\n");
    }
    let total = |of: fn(&crate::credit::report::StabilityBin) -> u64| stability.bins.iter().map(of).sum::<u64>();
    let (expected, actual) = (total(|b| b.expected), total(|b| b.actual));
    let rows = stability.bins.iter().map(|bin| {
        vec![
            range(bin.from, bin.to),
            grouped(bin.expected),
            percent_of(bin.expected, expected),
            grouped(bin.actual),
            percent_of(bin.actual, actual),
        ]
    });
    if actual > report.goods + report.bads {
        let note = "All customers are counted here, by their scores alone, also those whose labels are not told.";
        page.element("p", note);
    }
    page.table("Customers by score, then and now", &["Score", "Then", "Share then", "Now", "Share now"], rows);
}

/// Information values, and the weights of evidence of each column.
pub(super) fn attributes(page: &mut Html, report: &Report) {
    let mut columns: Vec<&Attribute> = report.attributes.iter().collect();
    columns.sort_by(|a, b| b.information_value.total_cmp(&a.information_value));
    let rows = columns.iter().map(|attribute| {
        let value = attribute.information_value;
        let verdict = match value {
            _ if attribute.bound == Bound::AtLeast => "not told: merged",
            v if v < 0.02 => "useless",
            v if v < 0.1 => "weak",
            v if v < 0.3 => "medium",
            _ => "strong",
        };
        vec![attribute.name.clone(), attribute.bound.words(value), verdict.to_owned()]
    });
    let caption = match report.left_out {
        0 => "Information value of each column",
        _ => "Information value of each column, of the customers counted by label",
    };
    page.table(caption, &["Column", "Information value", "Usually called"], rows);
    let widest = columns.iter().flat_map(|a| &a.bins).map(|b| b.woe.abs()).fold(1e-9, f64::max);
    for attribute in columns {
        page.raw("<details open=\"open\">\n<summary>").text(&attribute.name).raw("</summary>\n");
        page.raw("<div class=\"scroll\">\n<table class=\"woe\">\n");
        page.element(
            "caption",
            &format!("Weight of evidence; information value {}", attribute.bound.words(attribute.information_value)),
        );
        page.raw("<thead><tr>");
        for heading in ["Value", "Good", "Bad", "Bad rate", "Weight", ""] {
            page.raw("<th scope=\"col\">").text(heading).raw("</th>");
        }
        page.raw("</tr></thead>\n<tbody>\n");
        for bin in &attribute.bins {
            page.raw("<tr><th scope=\"row\">").text(&bin.label).raw("</th>");
            let cells = [
                grouped(bin.goods),
                grouped(bin.bads),
                percent_of(bin.bads, bin.goods + bin.bads),
                format!("{:+.3}", bin.woe),
            ];
            for cell in cells {
                page.raw("<td>").text(&cell).raw("</td>");
            }
            weight(page, bin.woe / widest);
            page.raw("</tr>\n");
        }
        page.raw("</tbody>\n</table>\n</div>\n</details>\n");
    }
}

/// A weight from -1 to 1 as a bar from the middle.
fn weight(page: &mut Html, weight: f64) {
    let width = if weight.is_finite() { weight.abs().min(1.0) * 58.0 } else { 0.0 };
    let (class, x) = if weight < 0.0 { ("bad-bar", 60.0 - width) } else { ("good-bar", 60.0) };
    let paint = paint(class);
    page.raw(&format!(
        "<td class=\"bar\"><svg viewBox=\"0 0 120 12\" width=\"120\" height=\"12\" aria-hidden=\"true\"><rect class=\"{class}\" {paint} x=\"{x:.1}\" y=\"1\" \
         width=\"{width:.1}\" height=\"10\"/><line class=\"zero\" stroke=\"#888\" x1=\"60\" y1=\"0\" x2=\"60\" y2=\"12\"/></svg></td>"
    ));
}

/// The coefficients and the scale of the scorecard.
pub(super) fn coefficients(page: &mut Html, report: &Report) {
    if let Some(scale) = &report.scorecard {
        page.element(
            "p",
            &format!(
                "Scorecard: {} points at odds of {} good to 1 bad; {} points double the odds.",
                scale.base_score, scale.odds, scale.pdo
            ),
        );
    }
    if report.coefficients.is_empty() {
        return;
    }
    let inferred = report.coefficients.iter().any(|c| c.standard_error.is_some() || c.p.is_some());
    let headings: &[&str] =
        if inferred { &["Feature", "Coefficient", "Standard error", "p-value"] } else { &["Feature", "Coefficient"] };
    let rows = report.coefficients.iter().map(|c| {
        let mut row = vec![c.name.clone(), format!("{:+.4}", c.value)];
        if inferred {
            row.push(c.standard_error.map_or("-".to_owned(), |e| format!("{e:.4}")));
            row.push(
                c.p.map_or("-".to_owned(), |p| if p < 1e-4 { "below 0.0001".to_owned() } else { format!("{p:.4}") }),
            );
        }
        row
    });
    page.table("Coefficients of the standardized features", headings, rows);
}

/// What was evaluated, when and how.
pub(super) fn context(page: &mut Html, report: &Report) {
    let mut rows = Vec::new();
    if let Some(context) = &report.context {
        rows.extend([
            vec!["Evaluated".to_owned(), context.evaluated.clone()],
            vec!["Model".to_owned(), context.model.clone()],
            vec!["Security of the jobs".to_owned(), context.mode.clone()],
            vec![
                "Ranges of scores asked for, and left".to_owned(),
                format!("{}, {}", context.bins, report.scores.len()),
            ],
            vec!["Least good, and least bad, customers of each owner".to_owned(), grouped(context.minimum)],
        ]);
    }
    let training = report.training.clone().unwrap_or_else(|| "not said".to_owned());
    rows.push(vec!["Training of the model, as said by whoever made this".to_owned(), training]);
    rows.push(vec!["Least good, and least bad, customers of a cell here".to_owned(), grouped(report.minimum_cell)]);
    page.table("Evaluation", &["", ""], rows.into_iter());
    let Some(context) = &report.context else { return };
    let tables = context.tables.iter().map(|table| vec![table.table.clone(), grouped(table.rows)]);
    page.table("Tables of customers", &["Table", "Rows"], tables);
    page.raw("<details>\n<summary>Means and deviations of the features</summary>\n");
    let features = context.features.iter().map(|f| vec![f.name.clone(), digits(f.mean), digits(f.sd)]);
    page.table(
        "What features were standardized by, as agreed before the training",
        &["Feature", "Mean", "Deviation"],
        features,
    );
    let note = "The mean of a feature that is 0 or 1 is the share of customers who have it, of those the moments are of, however few.";
    page.element("p", note);
    page.raw("</details>\n");
}

/// A number with six significant digits.
fn digits(value: f64) -> String {
    format!("{value:.5e}").parse::<f64>().unwrap_or(value).to_string()
}

/// A range of scores.
fn range(from: f64, to: f64) -> String {
    format!("{} to {}", short(from), short(to))
}
