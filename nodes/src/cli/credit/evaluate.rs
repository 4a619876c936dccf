//! `trefoil credit evaluate`: how a model does, by counts alone.

use super::{TablesArgs, connected, listed};
use crate::{
    Error,
    cli::{ClusterArgs, Exit, ModeArgs, OutputArgs},
    client::credit::{
        Evaluating, EvaluationFile, ModelFile, ModelSource, NewFile, Pooling, TableArg, count_column, evaluate, find,
    },
    credit::TableError,
};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
The customers of the tables are scored at the nodes, where the scores stay, and counted by score and label. Only the counts become known, and none below --minimum: it is zero before it
leaves the computation. All figures follow from the counts.

Examples:
  trefoil credit evaluate --cluster demo/cluster.toml --identity demo/lead.crt --tables bank-a/loans-test,bank-b/loans-test --moments moments.json \\
      --model-table lead/model --out counts.json
  trefoil credit evaluate --cluster demo/cluster.toml --identity demo/lead.crt --tables bank-a/loans-test --model model.json --threshold 0.3";

/// Arguments of `trefoil credit evaluate`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct EvaluateArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    tables: TablesArgs,
    /// The model, as `trefoil credit train --out` writes it
    #[arg(long, value_name = "FILE", required_unless_present = "model_table")]
    model: Option<PathBuf>,
    /// The table of a model that is secret or stayed shared
    #[arg(long, value_name = "OWNER/NAME", conflicts_with = "model", requires = "moments")]
    model_table: Option<TableArg>,
    /// Equal bins of the probability of being bad
    #[arg(long, default_value_t = 20)]
    bins: usize,
    /// The probability from which customers are called bad: moved up to the next border of a bin
    #[arg(long, default_value_t = 0.5)]
    threshold: f64,
    /// Counts below this are left out
    #[arg(long, default_value_t = 10)]
    minimum: u64,
    /// Count customers by these columns of the schema too, for weight of evidence and information value: numbers by nine cut points, which follow from the moments, and
    /// categories by level
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,..")]
    columns: Vec<String>,
    /// Write the counts to this new file, for `trefoil credit report`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The JSON form of the result.
#[derive(Debug, Serialize)]
struct Row {
    rows: u64,
    counted: u64,
    auc: f64,
    auc_error: f64,
    gini: f64,
    ks: f64,
    threshold: f64,
    accuracy: f64,
    accuracy_error: f64,
    precision: f64,
    recall: f64,
    true_bad: u64,
    false_bad: u64,
    true_good: u64,
    false_good: u64,
}

/// Runs the command.
///
/// # Errors
/// As [`evaluate()`]; [`Error::Table`] if so few customers are counted that there are no figures.
pub fn run(args: &EvaluateArgs) -> Result<Exit, Error> {
    let model = args.model.as_ref().map(|path| ModelFile::read(path)).transpose()?;
    let pooling = match &model {
        Some(file) if args.tables.moments.is_empty() => Pooling::Horizontal(file.moments.clone()),
        _ => args.tables.pooling()?,
    };
    let moments = pooling.moments();
    let mut out = args.out.as_ref().map(|path| NewFile::create(path)).transpose()?;
    let file = connected(&args.cluster, async |client| {
        let tables = args.tables.find(&client).await?;
        let shared = match &args.model_table {
            Some(table) => find(&client, std::slice::from_ref(table)).await?,
            None => Vec::new(),
        };
        let (source, name) = match (&model, shared.first()) {
            (Some(file), _) => {
                (ModelSource::Public(file), format!("logistic regression, {} features", moments.features.len()))
            }
            (None, Some(table)) => (
                ModelSource::Table(table, &moments),
                format!("logistic regression, {} features, shared as {}", moments.features.len(), listed(&shared)),
            ),
            (None, None) => return Err(Error::Usage("give a model: --model or --model-table".to_owned())),
        };
        let evaluating = Evaluating {
            model: name,
            population: listed(&tables),
            bins: args.bins,
            threshold: args.threshold,
            minimum: args.minimum,
            mode: args.mode.mode,
        };
        let mut file = evaluate(&client, source, (&tables, &pooling), &evaluating).await?;
        for column in &args.columns {
            let least = (args.minimum, args.mode.mode);
            file.columns.push(count_column(&client, (&tables, &pooling), column, least).await?);
        }
        Ok(file)
    })?;
    let row = Row::of(&file)?;
    if let Some(mut out) = out.take() {
        out.fill_json(&file)?;
        out.place()?;
    }
    args.output.resolve().print(&row, row.text(&file, args.threshold))?;
    Ok(Exit::Ok)
}

impl Row {
    fn of(file: &EvaluationFile) -> Result<Self, Error> {
        let scores = file.histogram()?;
        let (auc, auc_error) = file.area(&scores);
        let confusion = scores.confusion(file.threshold).map_err(TableError::from)?;
        Ok(Self {
            rows: file.rows,
            counted: file.counted(),
            auc,
            auc_error,
            gini: 2.0 * auc - 1.0,
            ks: scores.ks(),
            threshold: file.threshold as f64 / file.goods.len() as f64,
            accuracy: confusion.accuracy(),
            accuracy_error: file.left_out_accuracy(confusion.accuracy()),
            precision: confusion.precision(),
            recall: confusion.recall(),
            true_bad: confusion.true_bad,
            false_bad: confusion.false_bad,
            true_good: confusion.true_good,
            false_good: confusion.false_good,
        })
    }

    fn text(&self, file: &EvaluationFile, asked: f64) -> String {
        let left_out = file.left_out();
        let pad = |n: u64| format!("{n:>9}");
        let moved = match self.threshold - asked {
            up if up < 1e-6 => String::new(),
            _ => format!(" (from {asked} up to the next border of {} bins)", file.goods.len()),
        };
        [
            format!("customers {} of {}", self.rows, file.population),
            format!(
                "counted   {} ({left_out} are in counts below {}, which nobody learns)",
                self.counted, file.minimum
            ),
            format!("AUC       {:.4} (within {:.4} of that of the scores of all)", self.auc, self.auc_error),
            format!("Gini      {:.4}", self.gini),
            format!("KS        {:.4}", self.ks),
            format!(
                "threshold {:.3}{moved}: accuracy {:.4} (within {:.4} of that of all customers), precision {:.4}, recall {:.4}",
                self.threshold, self.accuracy, self.accuracy_error, self.precision, self.recall
            ),
            "           called bad called good".to_owned(),
            format!("  bad       {}   {}", pad(self.true_bad), pad(self.false_good)),
            format!("  good      {}   {}", pad(self.false_bad), pad(self.true_good)),
        ]
        .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_that_was_moved_is_said_to_be() {
        let counts = r#"{"format":1,"model":"m","population":"p","rows":400,"minimum":10,"threshold":2,
            "goods":[100,60,30,10],"bads":[20,40,60,80]}"#;
        let file: EvaluationFile = serde_json::from_str(counts).expect("counts");
        let row = Row::of(&file).expect("enough");
        assert!(row.text(&file, 0.3).contains("threshold 0.500 (from 0.3 up to the next border of 4 bins): accuracy"));
        assert!(row.text(&file, 0.5).contains("threshold 0.500: accuracy"));
    }
}
