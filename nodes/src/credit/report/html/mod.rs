//! The report as one page: no script, nothing loaded from elsewhere, readable without colour, made for the screen and for paper.

mod figures;
mod markup;
mod svg;
mod tables;

use super::Report;
use figures::{calibration, confusion, distribution, ks, lift, roc};
use markup::{Html, grouped, percent};
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
        section(&mut page, "stability", "Population stability", |page| stability(page, moved));
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
    let text = format!(
        "{} customers more, {} of all, are of owners with fewer than {least} good or {least} bad ones: nothing is told of them, and all counts are of the others.",
        grouped(report.left_out),
        percent(report.left_out as f64 / all),
        least = grouped(report.minimum_cell)
    );
    page.raw("<p class=\"untold\">").text(&text);
    if let Some(rates) = &report.rates {
        let precision = rates.precision.map(|rate| format!(", the precision within {}", percent(rate.error)));
        page.text(&format!(
            " Whatever they are like, the accuracy of all is within {} of the one shown, the recall within {}{}.",
            percent(rates.accuracy.error),
            percent(rates.recall.error),
            precision.unwrap_or_default()
        ));
    }
    page.raw("</p>\n");
}

/// Why there are no figures by score, and what to do.
fn not_told(page: &mut Html, report: &Report, what: &str) {
    let text = format!(
        "Not told: a single range of scores is left, since every range told has at least {least} good and {least} bad customers, of each owner where there are several. So there is {what}. \
         A single owner with few bad customers of low scores, or few good ones of high scores, is enough for that: pool more customers, hold out more of them for tests, or leave out that owner's table. The AUC does not depend on it.",
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
    let auc = if report.figures.auc_error > 0.0 {
        format!(
            "The AUC is at most {:.4} away from that of the scores of all customers. KS and the curves are those of the ranges told: the KS of the scores is as much or more, \
             and at most what the customers within the ranges can make of it.",
            report.figures.auc_error
        )
    } else {
        "AUC and KS were computed from the scores themselves, the curves from the bins.".to_owned()
    };
    let deciles = "Where the border of a tenth of the customers cuts through a range, the range is divided evenly. What stands beside lift and captured customers is what they can be, in whatever order \
                   the customers of a range stand.";
    let merged = "Information values and stability indices of merged ranges or levels are lower bounds: apart, these would give as much or more. The usual words for an information value are left out \
                  there. Finer ranges of a number would give more than ten, too.";
    for note in [score, &cells, &auc, deciles, merged] {
        page.element("li", note);
    }
    if let Some(score) = report.mean_score.filter(|score| score.error > 0.0) {
        let note = "The mean score follows from counts between narrow ranges: it is at most";
        page.element("li", &format!("{note} {:.4} away from that of the scores of all customers.", score.error));
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

/// A section with a heading that names it.
fn section(page: &mut Html, id: &str, title: &str, body: impl FnOnce(&mut Html)) {
    page.raw(&format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n"));
    body(page);
    page.raw("</section>\n");
}
