//! `trefoil demo`: three node processes, real work, every result checked.

mod aes;
mod auth;
mod circuit;
mod credit;

use super::{Exit, ModeArgs, Output, OutputArgs, interruptible, line};
use crate::{
    Error,
    cli::ClusterArgs,
    client::Client,
    job::ModeSpec,
    local::{LocalCluster, LocalOptions},
};
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use std::{collections::BTreeMap, io::Write, path::Path};

const EXAMPLES: &str = "\
Starts a cluster of three processes in a temporary directory, encrypts and decrypts this very program file through it under a
key that no node holds, evaluates a circuit on shared inputs, scores the applicants of a real data set, logs in with a biometric and a split
signing key, and checks every result against the same in the clear.

Examples:
  trefoil demo
  trefoil demo --json
  trefoil demo --mode semi-honest";

/// Arguments of `trefoil demo`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What one job of the demonstration has come to.
#[derive(Debug, Serialize)]
struct Row {
    job: &'static str,
    mode: ModeSpec,
    ok: bool,
    items: u64,
    unit: &'static str,
    seconds: f64,
    checks: BTreeMap<&'static str, bool>,
    /// What was measured of the result, where that is more than right or wrong.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    figures: BTreeMap<&'static str, f64>,
    /// Rounds of the longest of its runs.
    #[serde(skip)]
    rounds: u64,
    /// Bytes that the three nodes sent to each other, all together.
    #[serde(skip)]
    bytes_sent: u64,
}

/// Runs the command.
///
/// # Errors
/// [`Error::Cluster`] if the nodes cannot be started; else as [`Client::run`]. A check that does not hold is no error: it is
/// printed, and the exit code tells.
pub fn run(args: &DemoArgs) -> Result<Exit, Error> {
    let output = args.output.resolve();
    // What was started is killed when it is dropped.
    let rows = interruptible(demonstrate(output, args.mode.mode))?;
    if output == Output::Text {
        line(table(&rows))?;
    }
    Ok(if rows.iter().all(|row| row.ok) { Exit::Ok } else { Exit::Failed })
}

async fn demonstrate(output: Output, mode: ModeSpec) -> Result<Vec<Row>, Error> {
    tell(output, "starting three nodes");
    let cluster = LocalCluster::start(&LocalOptions::new()?).await?;
    let client = connect(&cluster.cluster_file()).await?;
    let mut rows = Vec::new();
    tell(output, "encrypting this program's file under a key that no node holds, and decrypting it again");
    rows.push(report(output, aes::run(&client, mode, cluster.files().dir()).await?)?);
    tell(output, "adding secret numbers with a circuit in Bristol Fashion");
    rows.push(report(output, circuit::run(&client, mode).await?)?);
    tell(output, "scoring real applicants with a logistic regression on shares");
    rows.push(report(output, credit::run(&client, mode).await?)?);
    tell(output, "logging in with an eye and a signing key that are nowhere whole");
    rows.push(report(output, auth::run(&client, mode).await?)?);
    cluster.shutdown().await;
    Ok(rows)
}

async fn connect(cluster: &Path) -> Result<Client, Error> {
    let target = ClusterArgs { cluster: cluster.to_owned(), identity: None, token: None }.resolve()?;
    Client::connect(&target.cluster, &target.identity).await
}

/// One line of JSON as soon as a job is done.
fn report(output: Output, row: Row) -> Result<Row, Error> {
    if output == Output::Json {
        output.print(&row, "")?;
    }
    Ok(row)
}

/// What is going on, for people, on standard error.
fn tell(output: Output, what: &str) {
    if output == Output::Text {
        // Nothing is lost with it.
        let _ = writeln!(std::io::stderr(), "{what} ..");
    }
}

impl Row {
    fn new(job: &'static str, (items, unit): (u64, &'static str), checks: &[(&'static str, bool)]) -> Self {
        Self {
            job,
            mode: ModeSpec::default(),
            ok: checks.iter().all(|(_, holds)| *holds),
            items,
            unit,
            seconds: 0.0,
            checks: checks.iter().copied().collect(),
            figures: BTreeMap::new(),
            rounds: 0,
            bytes_sent: 0,
        }
    }
}

fn table(rows: &[Row]) -> String {
    let head =
        ["job", "mode", "items", "seconds", "items/s", "rounds", "sent by each node", "checks"].map(str::to_owned);
    let mut lines = vec![head];
    for row in rows {
        let rate = if row.seconds > 0.0 { row.items as f64 / row.seconds } else { 0.0 };
        let failed: Vec<_> = row.checks.iter().filter(|(_, holds)| !**holds).map(|(name, _)| *name).collect();
        lines.push([
            row.job.to_owned(),
            row.mode.to_string(),
            format!("{} {}", HumanCount(row.items), row.unit),
            format!("{:.2}", row.seconds),
            format!("{rate:.0}"),
            row.rounds.to_string(),
            HumanBytes(row.bytes_sent / 3).to_string(),
            if failed.is_empty() {
                format!("{} of {} hold", row.checks.len(), row.checks.len())
            } else {
                format!("FAILED: {}", failed.join(", "))
            },
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let text = lines.iter().map(|line| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    text.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lines_up_and_a_failure_is_named() {
        let good = Row::new("aes", (1_234_567, "blocks"), &[("a", true), ("b", true)]);
        let bad = Row::new("circuit", (3, "additions"), &[("a", true), ("sum_is_right", false)]);
        assert!(good.ok && !bad.ok);
        let text = table(&[good, bad]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("malicious  1,234,567 blocks") && lines[1].ends_with("2 of 2 hold"), "{text}");
        assert!(lines[2].ends_with("FAILED: sum_is_right"), "{text}");
        assert_eq!(lines[0].find("seconds"), lines[2].find("0.00"));
    }

    #[test]
    fn the_json_form_is_as_documented() {
        let row = Row { seconds: 0.5, ..Row::new("aes", (7, "blocks"), &[("b", true), ("a", false)]) };
        let text = r#"{"job":"aes","mode":"malicious","ok":false,"items":7,"unit":"blocks","seconds":0.5,"checks":{"a":false,"b":true}}"#;
        assert_eq!(serde_json::to_string(&row).expect("numbers and strings"), text);
    }
}
