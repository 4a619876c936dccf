//! The report as one page: no script, nothing loaded from elsewhere, readable without colour, made for the screen and for paper.

mod figures;
mod markup;
mod svg;
mod tables;

use super::{Bound, Bounds, LeftOut, Report};
use figures::{calibration, confusion, distribution, ks, lift, roc};
use markup::{Html, grouped, percent, points};
use tables::{attributes, coefficients, context, deciles, facts, scores, stability};

/// What makes the page look as it does.
const STYLE: &str = include_str!("report.css");

/// The report as a self-contained HTML page.
pub fn to_html(report: &Report) -> String {
    let mut page = Html::new();
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
    // Nothing may be loaded or run, whatever a name in the report holds.
    page.raw(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n",
    );
    page.element("title", &report.title);
    page.raw("<style>\n").raw(STYLE).raw("</style>\n</head>\n<body>\n<header>\n");
    page.element("h1", &report.title);
    for (name, text) in [("Model", &report.model), ("Population", &report.population)] {
        if !text.is_empty() {
            page.raw("<p class=\"about\">").element("b", name).raw(" ").text(text).raw("</p>\n");
        }
    }
    page.raw("</header>\n<main>\n");
    facts(&mut page, report);
    left_out(&mut page, report);
    separation(&mut page, report);
    ranking(&mut page, report);
    section(&mut page, "calibration", "Calibration", |page| {
        page.raw("<div class=\"pair\">\n");
        if report.by_score() {
            calibration(page, report);
        } else {
            not_told(page, report, "no curve of what was predicted and what came");
        }
        confusion(page, report);
        page.raw("</div>\n");
    });
    if let Some(moved) = &report.stability {
        section(&mut page, "stability", "Population stability", |page| stability(page, moved, report));
    }
    if !report.attributes.is_empty() {
        section(&mut page, "attributes", "Weight of evidence", |page| attributes(page, report));
    }
    if !report.coefficients.is_empty() || report.scorecard.is_some() {
        section(&mut page, "model", "Model", |page| coefficients(page, report));
    }
    if report.context.is_some() || report.training.is_some() {
        section(&mut page, "context", "What was evaluated", |page| context(page, report));
    }
    section(&mut page, "cells", "How to read this", |page| notes(page, report));
    page.raw("</main>\n</body>\n</html>\n");
    page.into_string()
}

fn separation(page: &mut Html, report: &Report) {
    section(page, "separation", "Separation", |page| {
        if report.by_score() {
            page.raw("<div class=\"pair\">\n");
            roc(page, report);
            ks(page, report);
            page.raw("</div>\n");
            distribution(page, report);
        } else {
            not_told(page, report, "no ROC curve, no distribution of scores, and no widest gap (KS)");
        }
        page.raw("<details>\n<summary>Customers by score</summary>\n");
        scores(page, report);
        page.raw("</details>\n");
    });
}

fn ranking(page: &mut Html, report: &Report) {
    section(page, "deciles", "Deciles and lift", |page| {
        if let Some(tenths) = &report.deciles {
            lift(page, tenths);
            deciles(page, tenths);
        } else {
            not_told(page, report, "no lift, and no tenths");
        }
    });
}

/// Of whom nothing is told, and what that can change.
fn left_out(page: &mut Html, report: &Report) {
    if report.left_out == 0 {
        return;
    }
    let all = (report.goods + report.bads + report.left_out) as f64;
    let minimum = report.context.as_ref().map_or(report.minimum_cell, |context| context.minimum);
    let words = LeftOut { customers: report.left_out, uncounted: report.uncounted, minimum }.words();
    let share = percent(report.left_out as f64 / all);
    page.raw("<p class=\"untold\">")
        .text(&format!("{} customers more, {share} of all, {words}.", grouped(report.left_out)));
    if let Some(rates) = &report.rates {
        let precision = rates.precision.map(|rate| format!(", the precision within {}", points(rate.error)));
        page.text(&format!(
            " Whatever they are like, the accuracy of all is within {} of the one shown, the recall within {}{}.",
            points(rates.accuracy.error),
            points(rates.recall.error),
            precision.unwrap_or_default()
        ));
    }
    page.raw("</p>\n");
}

/// Why there are no figures by score, and what to do.
fn not_told(page: &mut Html, report: &Report, what: &str) {
    let text = format!(
        "Not told: a single range of scores is left, since every range told has at least {least} good and {least} bad customers, of each owner where there are several. So there is {what}. \
         A single owner with few bad customers of low scores, or few good ones of high scores, is enough for that: pool more customers, hold out more of them for tests, or share again without that owner (another --version and --pooled-with). The AUC does not depend on it.",
        least = grouped(report.minimum_cell)
    );
    page.raw("<p class=\"untold\">").text(&text).raw("</p>\n");
}

fn notes(page: &mut Html, report: &Report) {
    page.raw("<ul>\n");
    let cells = format!(
        "Every cell counts at least {} good and {} bad customers. Smaller neighbours were merged before anything was computed \
         from them, so no difference of two figures by score, or by one column, is about fewer.",
        grouped(report.minimum_cell),
        grouped(report.minimum_cell)
    );
    let score =
        "A score is the model's probability that a customer turns out bad; bad means what the label column says.";
    let deciles = "Where the border of a tenth of the customers cuts through a range, the range is divided evenly. What stands beside lift and captured customers is what they can be, in whatever order \
                   the customers of a range stand.";
    for note in [score, &cells, &separation_note(report), deciles] {
        page.element("li", note);
    }
    ranges_note(page, report);
    merged_note(page, report);
    if let Some(score) = report.mean_score.filter(|score| score.error > 0.0) {
        let note = "The mean score is of all customers, and follows from counts without labels between narrow ranges: it is at most";
        page.element("li", &format!("{note} {} away from that of their scores.", points(score.error)));
    }
    if !report.columns_left_out.is_empty() {
        let names = report.columns_left_out.join(", ");
        page.element(
            "li",
            &format!("Too few good or bad customers are known by these columns, which were left out: {names}."),
        );
    }
    page.raw("</ul>\n");
}

/// What AUC, KS and the curves are of, and how far they can be off.
fn separation_note(report: &Report) -> String {
    let figures = &report.figures;
    let Bounds { at_least, at_most } = figures.ks_bounds;
    let ks = format!("KS is between {at_least:.4} and {at_most:.4}");
    let exact = figures.auc_error <= 0.0;
    match report.left_out {
        0 if exact => "AUC and KS were computed from the scores themselves, the curves from the bins.".to_owned(),
        0 => format!(
            "The AUC is at most {:.4} away from that of the scores. The curves, and the KS where one is shown, are those of the ranges told; by the scores {ks}.",
            figures.auc_error
        ),
        _ => format!(
            "AUC, Gini, KS and the curves are of the customers counted by label: the AUC is at most {:.4} away from that of their scores, the KS and the curves are those of the ranges told. \
             Of all customers, whatever those left out are like, the AUC is between {:.4} and {:.4}, and {ks}.",
            figures.auc_error, figures.auc_bounds.at_least, figures.auc_bounds.at_most
        ),
    }
}

/// Why there are fewer ranges than were asked for.
fn ranges_note(page: &mut Html, report: &Report) {
    let Some(context) = report.context.as_ref().filter(|context| (report.scores.len() as u64) < context.bins.into())
    else {
        return;
    };
    let note = format!(
        "Of {} ranges of scores that were asked for {} are left: the first count, without labels, has ranges of at least {least} customers of each owner, and these were put together until each had \
         {least} good and {least} bad ones of each, on its side of the threshold.",
        context.bins,
        report.scores.len(),
        least = grouped(context.minimum)
    );
    page.element("li", &note);
}

/// What figures of merged ranges are, if any are shown.
fn merged_note(page: &mut Html, report: &Report) {
    if report.attributes.iter().any(|attribute| attribute.bound == Bound::AtLeast) {
        let of = if report.left_out > 0 {
            " of the customers counted; with those left out it can be more or less"
        } else {
            ""
        };
        page.element(
            "li",
            &format!("An information value of merged ranges or levels is a lower bound{of}: apart, these would give as much or more. The usual words for it are left out there. Finer ranges of a number would give more than ten, too."),
        );
    }
    if report.stability.as_ref().is_some_and(|moved| moved.bound == Bound::AtLeast && moved.psi.is_some()) {
        page.element(
            "li",
            "A stability index over merged ranges is a lower bound: apart, these would give as much or more.",
        );
    }
}

/// A section with a heading that names it.
fn section(page: &mut Html, id: &str, title: &str, body: impl FnOnce(&mut Html)) {
    page.raw(&format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n"));
    body(page);
    page.raw("</section>\n");
}
