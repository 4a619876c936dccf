//! `trefoil credit join`: tables of the same customers side by side.

use super::{connected, moments_of_schema};
use crate::{
    Error,
    cli::{ClusterArgs, Exit, ModeArgs, OutputArgs},
    client::credit::{Joined, Joining, NewFile, TableArg, find, join},
    credit::NamedMoments,
    tables::TableName,
};
use indicatif::HumanBytes;
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
The tables are those that `trefoil credit share --joinable` has stored: other columns of the same customers, in any order, who are found by their keys. The first table with labels brings them.

The nodes, and you, learn how many customers are in all tables, and nobody learns which. If they are fewer than the largest --minimum of the owners, the job fails without saying how many.
The joined table is yours, for what all owners permit and no more. It is used as any other: one table, and the one file of moments that --out writes.

Examples:
  trefoil credit join --cluster demo/cluster.toml --identity demo/lead.crt --tables bank-a/loans,telco/usage --moments bank.json,telco.json \\
      --out-table joined --out joined.json
  trefoil credit join --cluster demo/cluster.toml --identity demo/lead.crt --tables bank-a/loans-test,telco/usage-test --moments bank.json,telco.json \\
      --out-table joined-test
  trefoil credit train --cluster demo/cluster.toml --identity demo/lead.crt --tables lead/joined --moments joined.json --model-table model";

/// Arguments of `trefoil credit join`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct JoinArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The tables, two or more, each as OWNER/NAME or OWNER/NAME@VERSION
    #[arg(long, value_delimiter = ',', value_name = "OWNER/NAME,..", required = true)]
    tables: Vec<TableArg>,
    /// The moments that each table was shared with, in the same order
    #[arg(long, value_delimiter = ',', value_name = "FILE,..", required = true)]
    moments: Vec<PathBuf>,
    /// The name of the joined table at the nodes
    #[arg(long, value_name = "NAME")]
    out_table: TableName,
    /// Its version: versions stand side by side and are not changed
    #[arg(long, default_value_t = 1)]
    version: u32,
    /// Write the moments of all features to this new file, which goes with the joined table
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
    table: String,
    rows: u64,
    features: usize,
    labels: bool,
    moments: Option<String>,
    seconds: f64,
    rounds: u64,
    bytes_sent: u64,
}

/// Runs the command.
///
/// # Errors
/// As [`join()`] and [`find`].
pub fn run(args: &JoinArgs) -> Result<Exit, Error> {
    let moments: Vec<NamedMoments> =
        args.moments.iter().map(|path| moments_of_schema(path)).collect::<Result<_, _>>()?;
    let out = args.out.as_ref().map(|path| NewFile::create(path)).transpose()?;
    let joining = Joining { name: args.out_table.clone(), version: args.version, mode: args.mode.mode };
    let Joined { table, moments, costs } = connected(&args.cluster, async |client| {
        let tables = find(&client, &args.tables).await?;
        join(&client, &tables, &moments, &joining).await
    })?;
    if let Some(mut out) = out {
        out.fill_json(&moments)?;
        out.place()?;
    }
    let row = Row {
        table: format!("{}/{}@{}", table.owner, table.name, table.version),
        rows: table.rows,
        features: moments.features.len(),
        labels: table.columns.len() > moments.features.len(),
        moments: args.out.as_ref().map(|path| path.display().to_string()),
        seconds: costs[0].seconds,
        rounds: costs[0].rounds,
        bytes_sent: costs.iter().map(|cost| cost.bytes_sent).sum(),
    };
    args.output.resolve().print(&row, row.text())?;
    Ok(Exit::Ok)
}

impl Row {
    fn text(&self) -> String {
        let labels = if self.labels { "and labels" } else { "without labels" };
        let moments = self.moments.as_ref().map_or_else(String::new, |path| format!("; wrote {path}"));
        format!(
            "joined {}: {} customers in common with {} features {labels}, in {:.1} s, {} rounds, {} sent by each node{moments}",
            self.table,
            self.rows,
            self.features,
            self.seconds,
            self.rounds,
            HumanBytes(self.bytes_sent / 3)
        )
    }
}
