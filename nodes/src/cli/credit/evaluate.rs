//! `trefoil credit evaluate`: how a model does, by counts alone.

use super::{
    TablesArgs, connected,
    denied::{Evaluation, denied},
    listed, no_model,
};
use crate::{
    Error,
    cli::{ClusterArgs, Exit, ModeArgs, Output, OutputArgs},
    client::credit::{
        Evaluating, EvaluationFile, ModelFile, ModelSource, NewFile, Pooling, TableArg, check_column, check_fit,
        count_column, evaluate, find,
    },
    credit::{
        TableError,
        report::{Bounds, LeftOut, MeanScore, Rates, gini},
    },
};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::PathBuf,
};

const EXAMPLES: &str = "\
The customers of the tables are scored at the nodes, where the scores stay, and counted by score and label. Only the counts become known, and none below --minimum: bins that count fewer good
or fewer bad customers of an owner are merged before they leave the computation, but not across --threshold, so that accuracy and confusion are those of all customers. If fewer are on one side of it,
they are not told. A first count, without labels, finds bins with about equally many customers. All figures follow from the counts.

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
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The table of a model that is secret or stayed shared
    #[arg(long, value_name = "OWNER/NAME", conflicts_with = "model", requires = "moments")]
    model_table: Option<TableArg>,
    /// Bins of the probability of being bad, with about equally many customers, before small ones are merged
    #[arg(long, default_value_t = 20)]
    bins: u32,
    /// The probability from which customers are called bad
    #[arg(long, default_value_t = 0.5)]
    threshold: f64,
    /// Bins that count fewer good or fewer bad customers of an owner are merged with their neighbours
    #[arg(long, default_value_t = 10)]
    minimum: u64,
    /// Count customers by these columns of the schema too, for weight of evidence and information value: numbers in tenths of the customers, in two jobs each, and categories by
    /// level
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
    /// Customers whose labels are not told.
    left_out: u64,
    /// Those of them who are not even counted without labels.
    uncounted: u64,
    auc: f64,
    auc_error: f64,
    auc_bounds: Bounds,
    gini: f64,
    gini_bounds: Bounds,
    ks: Option<f64>,
    ks_bounds: Bounds,
    bins: usize,
    bad_rate: f64,
    mean_score: Option<f64>,
    mean_score_error: Option<f64>,
    mean_score_bounds: Option<Bounds>,
    threshold: f64,
    /// Where customers were called bad in its place, if that differs by more than rounding.
    threshold_used: Option<f64>,
    accuracy: Option<f64>,
    accuracy_error: Option<f64>,
    precision: Option<f64>,
    precision_error: Option<f64>,
    recall: Option<f64>,
    recall_error: Option<f64>,
    true_bad: Option<u64>,
    false_bad: Option<u64>,
    true_good: Option<u64>,
    false_good: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// As [`evaluate()`]; [`Error::Table`] if so few customers are counted that there are no figures.
pub fn run(args: &EvaluateArgs) -> Result<Exit, Error> {
    if args.model.is_none() && args.model_table.is_none() {
        return Err(no_model());
    }
    let model = args.model.as_ref().map(|path| ModelFile::read(path)).transpose()?;
    let pooling = match &model {
        Some(file) if args.tables.moments.is_empty() => Pooling::Horizontal(file.moments.clone()),
        _ => args.tables.pooling()?,
    };
    let moments = pooling.moments();
    let mut out = args.out.as_ref().map(|path| NewFile::create(path)).transpose()?;
    let output = args.output.resolve();
    // Nothing is lost with it.
    let progress = |step: &str| {
        if output == Output::Text {
            let _ = writeln!(io::stderr(), "{step} ..");
        }
    };
    let file = connected(&args.cluster, async |client| {
        let tables = args.tables.find(&client).await?;
        // Nothing is computed only to find that a column cannot be counted.
        args.columns.iter().try_for_each(|column| check_column(&pooling, column))?;
        let shared = match &args.model_table {
            Some(table) => find(&client, std::slice::from_ref(table)).await?,
            None => Vec::new(),
        };
        let (source, name, named) = match (&model, shared.first()) {
            (Some(file), _) => (
                ModelSource::Public(file),
                format!("logistic regression, {} features", moments.features.len()),
                args.model.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            ),
            (None, Some(table)) => (
                ModelSource::Table(table, &moments),
                format!("logistic regression, {} features, shared as {}", moments.features.len(), listed(&shared)),
                listed(&shared),
            ),
            (None, None) => return Err(no_model()),
        };
        let evaluating = Evaluating {
            model: name,
            named,
            population: listed(&tables),
            bins: args.bins,
            threshold: args.threshold,
            minimum: args.minimum,
            mode: args.mode.mode,
        };
        check_fit(source, (&tables, &pooling))?;
        let (model, columns, mode) = (shared.first(), &args.columns[..], args.mode.mode);
        let asked = Evaluation { tables: &tables, pooling: &pooling, model, columns, minimum: args.minimum, mode };
        client.name().map_or(Ok(()), |me| asked.check(me))?;
        // What is in the way for all that can be seen was named.
        let unseen = |e| denied(e, (&[], None), &[]);
        let evaluated = evaluate(&client, source, (&tables, &pooling), &evaluating, &progress).await;
        let mut file = evaluated.map_err(unseen)?;
        for column in &args.columns {
            let least = (args.minimum, args.mode.mode);
            let counted = count_column(&client, (&tables, &pooling), column, least, &progress).await;
            file.columns.push(counted.map_err(unseen)?);
        }
        Ok(file)
    })?;
    let row = Row::of(&file)?;
    if let Some(mut out) = out.take() {
        out.fill_json(&file)?;
        out.place()?;
    }
    output.print(&row, row.text(&file))?;
    Ok(Exit::Ok)
}

impl Row {
    fn of(file: &EvaluationFile) -> Result<Self, Error> {
        let scores = file.histogram()?;
        let ((auc, auc_error), auc_bounds) = (file.area(&scores), file.area_of_all(&scores));
        let confusion = file.called_bad().map(|bin| scores.confusion(bin)).transpose().map_err(TableError::from)?;
        let mean = file.mean_score();
        let bads: u64 = scores.bads().iter().sum();
        let rates = confusion.map(|cells| Rates::of(&cells, file.left_out()));
        let precision = rates.and_then(|rates| rates.precision);
        let (ks, ks_bounds) = file.separation(&scores);
        Ok(Self {
            rows: file.rows,
            counted: file.counted(),
            left_out: file.left_out(),
            uncounted: file.uncounted(),
            auc,
            auc_error,
            auc_bounds,
            gini: 2.0 * auc - 1.0,
            gini_bounds: gini(auc_bounds),
            ks,
            ks_bounds,
            bins: file.bins(),
            bad_rate: bads as f64 / file.counted().max(1) as f64,
            mean_score: mean.map(|mean| mean.mean),
            mean_score_error: mean.map(|mean| mean.error),
            mean_score_bounds: mean.as_ref().map(MeanScore::bounds),
            threshold: file.threshold,
            threshold_used: file.threshold_used(),
            accuracy: rates.map(|rates| rates.accuracy.value),
            accuracy_error: rates.map(|rates| rates.accuracy.error),
            precision: precision.map(|precision| precision.value),
            precision_error: precision.map(|precision| precision.error),
            recall: rates.map(|rates| rates.recall.value),
            recall_error: rates.map(|rates| rates.recall.error),
            true_bad: confusion.map(|cells| cells.true_bad),
            false_bad: confusion.map(|cells| cells.false_bad),
            true_good: confusion.map(|cells| cells.true_good),
            false_good: confusion.map(|cells| cells.false_good),
        })
    }

    fn text(&self, file: &EvaluationFile) -> String {
        let counted = match self.left_out {
            0 => format!("counted   {}", self.counted),
            customers => {
                let left_out = LeftOut { customers, uncounted: self.uncounted, minimum: file.minimum };
                format!("counted   {} good and bad ones; {customers} {}", self.counted, left_out.words())
            }
        };
        let mut separation = format!("{}{}", self.ks_bounds.words(self.ks, 4), self.ranges(file));
        if self.ks.is_none() {
            separation = format!(
                "{separation}; each range has at least {} good and bad customers of each owner: pool more customers, hold out more of them for tests, or share again without the owner with the fewest (another --version and --pooled-with)",
                file.minimum
            );
        }
        let lines = [
            format!("customers {} of {}", self.rows, file.population),
            counted,
            format!("AUC       {:.4} {}", self.auc, self.area()),
            format!("Gini      {:.4}{}", self.gini, of_all(self.gini_bounds, self.left_out)),
            format!("KS        {separation}"),
        ];
        lines.into_iter().chain(self.scores()).chain([self.confusion(file)]).collect::<Vec<_>>().join("\n")
    }

    /// How far the area under the ROC curve can be off.
    fn area(&self) -> String {
        let of = format!("(within {:.4} of that of the scores)", self.auc_error);
        if self.left_out == 0 { of } else { format!("of those counted {of}{}", of_all(self.auc_bounds, self.left_out)) }
    }

    /// Why there are fewer ranges than were asked for.
    fn ranges(&self, file: &EvaluationFile) -> String {
        let asked = file.context.as_ref().map_or(0, |context| u64::from(context.bins));
        let (found, told) = (file.goods.len(), self.bins);
        let fewer = if asked > found as u64 {
            format!(
                " {found} of the {asked} asked for, since the first count has ranges of at least {} customers of each owner,",
                file.minimum
            )
        } else {
            format!(" {found}")
        };
        match told {
            _ if found == told && asked <= found as u64 => String::new(),
            1 => format!(", since a single range is left of{fewer} by merging small ones"),
            _ if found == told => format!(" (over{fewer} none of which was merged)"),
            _ => format!(
                " (over {told} ranges, of{fewer} before those with fewer than {} good or bad customers of an owner were merged)",
                file.minimum
            ),
        }
    }

    /// The mean score, of all customers, and the rate of bad ones, of those counted.
    fn scores(&self) -> Option<String> {
        let (mean, error) = self.mean_score.zip(self.mean_score_error)?;
        let score = MeanScore { mean, error };
        let Bounds { at_least, at_most } = score.bounds();
        let near = format!("{mean:.4} on average of all {} customers (within {error:.4})", self.rows);
        let far = format!("from {at_least:.4} to {at_most:.4} on average of all {} customers", self.rows);
        let of = if self.left_out == 0 { String::new() } else { format!(" of the {} counted", self.counted) };
        Some(format!("scores    {}; bad {:.4}{of}", if score.near() { near } else { far }, self.bad_rate))
    }

    /// The threshold as it was asked for, and the one that was used if it is another.
    fn asked(&self) -> String {
        match self.threshold_used {
            None => self.threshold.to_string(),
            Some(used) => format!("{} (counted from {used:.7})", self.threshold),
        }
    }

    /// What the threshold makes of the customers, if it is told.
    fn confusion(&self, file: &EvaluationFile) -> String {
        let cells = (self.true_bad.zip(self.false_good)).zip(self.false_bad.zip(self.true_good));
        let Some(((true_bad, false_good), (false_bad, true_good))) = cells else {
            return format!(
                "threshold {}: not told, since fewer than {} good or bad customers of an owner are on one side of it; take another --threshold, or pool more customers",
                self.asked(),
                file.minimum
            );
        };
        let rate = |rate: Option<f64>, error: Option<f64>| match (rate, error) {
            (Some(rate), Some(error)) if error > 0.0 => {
                format!("{rate:.4} (within {error:.4} of that of all customers)")
            }
            (Some(rate), _) => format!("{rate:.4}"),
            (None, _) => "-".to_owned(),
        };
        [
            format!(
                "threshold {}: accuracy {}, precision {}, recall {}",
                self.asked(),
                rate(self.accuracy, self.accuracy_error),
                rate(self.precision, self.precision_error),
                rate(self.recall, self.recall_error)
            ),
            "           called bad called good".to_owned(),
            format!("  bad       {true_bad:>9}   {false_good:>9}"),
            format!("  good      {false_bad:>9}   {true_good:>9}"),
        ]
        .join("\n")
    }
}

/// What a figure of all customers is between, if some were left out.
fn of_all(Bounds { at_least, at_most }: Bounds, left_out: u64) -> String {
    if left_out == 0 { String::new() } else { format!("; of all customers {at_least:.4} to {at_most:.4}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_counts() {
        let counts = r#"{"format":1,"model":"m","population":"p","rows":400,"minimum":10,"threshold":0.5,"cuts":[0.25,0.5,0.75],
            "goods":[100,60,30,10],"bads":[20,40,60,80],"distribution":{"cuts":[0.25,0.5,0.75],"counts":[120,100,90,90]}}"#;
        let file: EvaluationFile = serde_json::from_str(counts).expect("counts");
        let text = Row::of(&file).expect("enough").text(&file);
        assert!(text.contains("threshold 0.5: accuracy 0.7500, precision 0.7778, recall 0.7000"), "{text}");
        assert!(text.contains("scores    from 0.3438 to 0.5938 on average of all 400 customers; bad 0.5000"), "{text}");
        assert!(text.contains("KS        at least 0.5000, at most 0.7000\n"), "{text}");
        let (goods, bads) = (vec![0, 0, 0, 200], vec![0, 0, 0, 200]);
        let single = EvaluationFile { goods, bads, ..file };
        let row = Row::of(&single).expect("enough");
        assert!(row.text(&single).contains(
            "KS        not told (by the AUC, from 0.0000 to 1.0000), since a single range is left of 4 by merging small ones; each range has"
        ));
        assert_eq!(serde_json::to_value(&row).expect("JSON")["ks"], serde_json::Value::Null);
    }

    #[test]
    fn figures_of_those_counted_stand_apart_from_those_of_all() {
        let counts = r#"{"format":2,"model":"m","population":"p","rows":765,"minimum":10,"threshold":0.5,"cuts":[0.5],
            "goods":[500,48],"bads":[42,100],"distribution":{"cuts":[0.25,0.5,0.75],"counts":[500,60,105,100]},"pairs":[112985,0,548,142],
            "context":{"evaluated":"","model":"","tables":[],"mode":"","bins":20,"minimum":10,"features":[]}}"#;
        let file: EvaluationFile = serde_json::from_str(counts).expect("counts");
        let row = Row::of(&file).expect("enough");
        let text = row.text(&file);
        for part in [
            "counted   690 good and bad ones; 75 are of owners with fewer than 10 good or bad ones: nothing is told of their labels",
            "AUC       0.7260 of those counted (within 0.0000 of that of the scores); of all customers 0.4751 to 0.8207",
            "Gini      0.4520; of all customers -0.0499 to 0.6414",
            "(over 2 of the 20 asked for, since the first count has ranges of at least 10 customers of each owner, none of which was merged)",
            "on average of all 765 customers",
            "bad 0.2058 of the 690 counted",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let json = serde_json::to_value(&row).expect("JSON");
        assert!(json["auc_bounds"]["at_least"].as_f64().is_some_and(|least| (least - 0.4751).abs() < 1e-4), "{json}");
    }

    #[test]
    fn a_confusion_that_is_not_told_is_said_not_to_be() {
        let counts = r#"{"format":1,"model":"m","population":"p","rows":410,"minimum":10,"threshold":0.5,"cuts":[0.25,0.5,0.75],
            "goods":[100,0,90,10],"bads":[20,0,100,80]}"#;
        let file: EvaluationFile = serde_json::from_str(counts).expect("counts");
        let row = Row::of(&file).expect("enough");
        let text = row.text(&file);
        assert!(text.contains("threshold 0.5: not told, since fewer than 10 good or bad customers"), "{text}");
        assert!(text.contains("KS        0.4000, from 0.3512 to 0.8988 of all customers (over 3 ranges, of 4 before those with fewer than 10 good or bad customers of an owner were merged)"), "{text}");
        assert!(text.contains("counted   400 good and bad ones; 10 are of owners with fewer than 10 good or bad ones: nothing is told of them"), "{text}");
        assert_eq!(serde_json::to_value(&row).expect("JSON")["accuracy"], serde_json::Value::Null);
        assert_eq!(serde_json::to_value(&row).expect("JSON")["bins"], 3);
    }
}
