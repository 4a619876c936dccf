//! The report as one page: no script, nothing loaded from elsewhere, readable without colour, made for the screen and for paper.

mod figures;
mod markup;
mod svg;
mod tables;

use super::Report;
use figures::{calibration, confusion, distribution, ks, lift, roc};
use markup::{Html, grouped};
use tables::{attributes, coefficients, deciles, facts, scores, stability};

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
    separation(&mut page, report);
    ranking(&mut page, report);
    section(&mut page, "calibration", "Calibration", |page| {
        page.raw("<div class=\"pair\">\n");
        calibration(page, report);
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
    section(&mut page, "cells", "How to read this", |page| notes(page, report));
    page.raw("</main>\n</body>\n</html>\n");
    page.into_string()
}

fn separation(page: &mut Html, report: &Report) {
    section(page, "separation", "Separation", |page| {
        page.raw("<div class=\"pair\">\n");
        roc(page, report);
        ks(page, report);
        page.raw("</div>\n");
        distribution(page, report);
        page.raw("<details>\n<summary>Customers by score</summary>\n");
        scores(page, report);
        page.raw("</details>\n");
    });
}

fn ranking(page: &mut Html, report: &Report) {
    section(page, "deciles", "Deciles and lift", |page| {
        lift(page, report);
        deciles(page, report);
    });
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
            "AUC and KS are those of scores rounded down to their bin. The AUC of the scores themselves is at most {:.4} away.",
            report.figures.auc_error
        )
    } else {
        "AUC and KS were computed from the scores themselves, the curves from the bins.".to_owned()
    };
    let deciles = "Where the border of a tenth of the customers cuts through a bin, the bin is divided evenly.";
    for note in [score, &cells, &auc, deciles] {
        page.element("li", note);
    }
    if let Some(score) = report.mean_score.filter(|score| score.error > 0.0) {
        let note = "The mean score follows from counts between narrow ranges: it is at most";
        page.element("li", &format!("{note} {:.4} away from that of the scores themselves.", score.error));
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
