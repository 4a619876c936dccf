//! `trefoil credit report`: a page and JSON of what was counted.

mod models;

use super::Points;
use crate::{
    Error,
    cli::{Exit, OutputArgs},
    client::credit::{EvaluationFile, ModelFile, NewFile},
    credit::report::{Bounds, LeftOut, to_html},
};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
The page is one file with its plots and needs nothing else. Neighbouring bins are merged until none counts fewer than --minimum good or bad customers; a column that counts
fewer in all is left out. Files are new ones, and yours alone to read.

Examples:
  trefoil credit report counts.json --html report.html
  trefoil credit report counts.json --html report.html --out report.json --title 'Consumer loans' --model model.json --points 600,50,20 --earlier last-year.json";

/// Arguments of `trefoil credit report`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("files").required(true).multiple(true).args(["html", "out"]))]
pub struct ReportArgs {
    /// The counts, as `trefoil credit evaluate --out` writes them
    counts: PathBuf,
    /// Write the page to this new file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the report as JSON to this new file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The title of the page
    #[arg(long, default_value = "Credit model")]
    title: String,
    /// Counts of an earlier population, scored by the same model, for the stability index
    #[arg(long, value_name = "FILE")]
    earlier: Option<PathBuf>,
    /// List the coefficients of this model
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The model of --earlier is the same, though it was shared or trained anew in between, so that the counts cannot tell
    #[arg(long, requires = "earlier")]
    same_model: bool,
    /// State the scale of the scorecard
    #[arg(long, value_name = "BASE,ODDS,PDO")]
    points: Option<Points>,
    /// Say in the report how the model was trained, as in 'Newton, 8 iterations, L2 penalty 1': counts do not tell it
    #[arg(long, value_name = "TEXT")]
    training: Option<String>,
    /// No cell of the report counts fewer good, or fewer bad, customers: at least that of the counts, which is the default
    #[arg(long)]
    minimum: Option<u64>,
    #[command(flatten)]
    output: OutputArgs,
}

/// The JSON form of the result.
#[derive(Debug, Serialize)]
struct Row<'a> {
    html: Option<&'a PathBuf>,
    report: Option<&'a PathBuf>,
    auc: f64,
    auc_bounds: Bounds,
    gini: f64,
    gini_bounds: Bounds,
    ks: Option<f64>,
    ks_bounds: Bounds,
    left_out: u64,
    uncounted: u64,
    /// Columns of which too few customers are known.
    columns_left_out: &'a [String],
}

/// Runs the command.
///
/// # Errors
/// [`Error::Usage`] for files of another form or of different models, [`Error::Table`] if so few customers were counted that nothing may be released.
pub fn run(args: &ReportArgs) -> Result<Exit, Error> {
    let counts = EvaluationFile::read(&args.counts)?;
    let earlier = args.earlier.as_ref().map(|path| EvaluationFile::read(path)).transpose()?;
    let model = args.model.as_ref().map(|path| ModelFile::read(path)).transpose()?;
    let unknown = args.same_models(&counts, earlier.as_ref(), model.as_ref())?;
    let scale = args.points.map(|points| points.scale);
    let aggregates = counts.aggregates(&args.title, earlier.as_ref(), (model.as_ref(), scale))?;
    let mut report = aggregates.release(args.minimum_cell(counts.minimum)?)?;
    report.training.clone_from(&args.training);
    // Both are on the disk before one of them has its name.
    let mut written = Vec::new();
    for (path, text) in [(&args.out, report.to_json()?), (&args.html, to_html(&report))] {
        let Some(path) = path else { continue };
        let mut file = NewFile::create(path)?;
        file.fill(&text)?;
        written.push(file);
    }
    written.into_iter().try_for_each(NewFile::place)?;
    let figures = &report.figures;
    let row = Row {
        html: args.html.as_ref(),
        report: args.out.as_ref(),
        auc: figures.auc,
        auc_bounds: figures.auc_bounds,
        gini: figures.gini,
        gini_bounds: figures.gini_bounds,
        ks: figures.ks,
        ks_bounds: figures.ks_bounds,
        left_out: report.left_out,
        uncounted: report.uncounted,
        columns_left_out: &report.columns_left_out,
    };
    let files: Vec<String> = args.html.iter().chain(&args.out).map(|path| path.display().to_string()).collect();
    let mut text = format!(
        "wrote {}: AUC {}, Gini {:.4}, KS {}",
        files.join(" and "),
        figures.auc_words(4),
        row.gini,
        figures.ks_words(4)
    );
    if row.ks.is_none() {
        text.push_str("\nKS, lift and the curves are not told, since a single range of scores is left; pool more customers, or hold out more of them for tests");
    }
    if row.left_out > 0 {
        let all = report.goods + report.bads + row.left_out;
        let (customers, uncounted) = (row.left_out, row.uncounted);
        let left_out = LeftOut { customers, uncounted, minimum: counts.minimum };
        text = format!("{text}\n{customers} of {all} customers {}", left_out.words());
    }
    if !row.columns_left_out.is_empty() {
        let names = row.columns_left_out.join(", ");
        let columns = if row.columns_left_out.len() == 1 { "column" } else { "columns" };
        text = format!("{text}\nleft out, since too few good or bad customers are known: the {columns} {names}");
    }
    if let Some(unknown) = unknown {
        text = format!("{text}\n{unknown}");
    }
    args.output.resolve().print(&row, text)?;
    Ok(Exit::Ok)
}

impl ReportArgs {
    /// The least count of a cell: counts that were merged up to a minimum tell nothing smaller.
    fn minimum_cell(&self, counted: u64) -> Result<u64, Error> {
        match self.minimum {
            Some(asked) if asked < counted => Err(Error::Usage(format!(
                "--minimum {asked} is less than the {counted} that {} was counted with, and nothing smaller can be told of it; leave --minimum away, or run `trefoil credit evaluate` again with --minimum {asked}, if the owners permit it",
                self.counts.display()
            ))),
            asked => Ok(asked.unwrap_or(counted).max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        report: ReportArgs,
    }

    #[test]
    fn a_page_or_json_or_both_are_written() {
        let parse = |options: &str| {
            let words = ["report", "counts.json"].into_iter().chain(options.split_whitespace());
            Line::try_parse_from(words).map(|line| (line.report.html.is_some(), line.report.out.is_some()))
        };
        assert_eq!(parse("--out r.json").expect("options"), (false, true));
        assert_eq!(parse("--html r.html").expect("options"), (true, false));
        assert_eq!(parse("--html r.html --out r.json").expect("options"), (true, true));
        let least = |options: &str| {
            let words = ["report", "counts.json", "--out", "r.json"].into_iter().chain(options.split_whitespace());
            Line::try_parse_from(words).expect("options").report.minimum_cell(10).map_err(|e| e.to_string())
        };
        assert_eq!((least(""), least("--minimum 12")), (Ok(10), Ok(12)));
        assert!(least("--minimum 5").is_err_and(|e| e.contains("--minimum 5 is less than the 10 that counts.json")));
        let error = parse("--title x").expect_err("nothing is written").to_string();
        assert!(error.contains("--html <FILE>|--out <FILE>"), "{error}");
    }
}
