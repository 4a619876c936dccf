//! `trefoil credit moments`: what features are standardized by.

use super::{check_distinct, connected, denied::denied, listed};
use crate::{
    Error,
    cli::{ClusterArgs, Exit, ModeArgs, OutputArgs},
    client::credit::{Asked, NewFile, TableArg, find, joint_moments},
    credit::Schema,
    job::ProgramKind,
    tables::ScoreDetail,
};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
The tables are those that `trefoil credit share` has stored without moments. Nothing but the mean and the deviation of each feature over all customers becomes known; for a
feature that is 0 or 1, the mean is the share of customers with that level, however few.
The file is given to all institutions, for `trefoil credit share --moments`.

Examples:
  trefoil credit moments --cluster demo/cluster.toml --identity demo/lead.crt --schema schema.toml \\
      --tables bank-a/loans-raw,bank-b/loans-raw,bank-c/loans-raw --out moments.json";

/// Arguments of `trefoil credit moments`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct MomentsArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// What the columns of the tables hold, as all institutions have it
    #[arg(long, value_name = "FILE")]
    schema: PathBuf,
    /// The tables, each as OWNER/NAME or OWNER/NAME@VERSION
    #[arg(long, value_delimiter = ',', value_name = "OWNER/NAME,..", required = true)]
    tables: Vec<TableArg>,
    /// Where to write the moments: a new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The JSON form of the result.
#[derive(Debug, Serialize)]
struct Row<'a> {
    moments: &'a PathBuf,
    features: usize,
    rows: u64,
}

/// Runs the command.
///
/// # Errors
/// As [`joint_moments`] and [`find`]; [`Error::Config`] for the schema.
pub fn run(args: &MomentsArgs) -> Result<Exit, Error> {
    let schema = Schema::read(&args.schema)?;
    check_distinct(&args.tables)?;
    let mut out = NewFile::create(&args.out)?;
    let (tables, moments) = connected(&args.cluster, async |client| {
        let tables = find(&client, &args.tables).await?;
        let moments = joint_moments(&client, &schema, &tables, args.mode.mode).await.map_err(|e| {
            let asked = client.name().map(|requester| Asked {
                program: ProgramKind::Moments,
                requester,
                recipients: std::slice::from_ref(requester),
                minimum: tables.iter().map(|table| table.rows).min().unwrap_or(0),
                tell: ScoreDetail::Decision,
                mode: args.mode.mode,
                times: 1,
            });
            denied(e, (&tables, None), asked.as_slice())
        })?;
        Ok((tables, moments))
    })?;
    out.fill_json(&moments)?;
    out.place()?;
    let row =
        Row { moments: &args.out, features: moments.features.len(), rows: tables.iter().map(|table| table.rows).sum() };
    let text = format!(
        "wrote {}: means and deviations of {} features over {} rows of {}",
        args.out.display(),
        row.features,
        row.rows,
        listed(&tables)
    );
    args.output.resolve().print(&row, text)?;
    Ok(Exit::Ok)
}
