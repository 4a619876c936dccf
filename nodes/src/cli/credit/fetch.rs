//! `trefoil credit fetch`: a table back from the nodes.

use super::interruptible;
use crate::{
    Error,
    cli::{ClusterArgs, Exit, OutputArgs},
    client::{Client, credit::TableFile},
    tables::TableName,
};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Fetches this client's shares of a table that it has uploaded, compares the two copies of each component, and writes the values: bit for bit what was stored. Tables that jobs have computed are handed out to nobody. Each node has to permit the action `downloads`, and writes the download into its audit log.
A connection that breaks is made again, and it goes on where it was. The file can be read by its owner alone, and is there when it is complete.

The name of the file says its form: .arrow (Arrow IPC file), .arrows (Arrow IPC stream), .parquet or .csv.

Examples:
  trefoil credit fetch --cluster demo/cluster.toml --identity demo/bank-a.crt --table loans --out loans.arrow
  trefoil credit fetch --cluster demo/cluster.toml --identity demo/bank-a.crt --table loans --version 2 --fraction-bits 20 --out loans.parquet";

/// Arguments of `trefoil credit fetch`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct FetchArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The name of the table, which is this client's own
    #[arg(long, value_name = "NAME")]
    table: TableName,
    /// Its version
    #[arg(long, default_value_t = 1)]
    version: u32,
    /// The file to write, which is not there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Integers of 64 bits are fixed-point numbers with so many bits after the point: 20 in tables shared with moments, 21 in those shared for moments. Numbers of customers stay integers [default: they are written as integers]
    #[arg(long, value_name = "N")]
    fraction_bits: Option<u32>,
    #[command(flatten)]
    output: OutputArgs,
}

/// A table that was fetched.
#[derive(Debug, Serialize)]
struct Row {
    table: String,
    rows: u64,
    columns: usize,
    out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// [`Error::Usage`] for a file that is there, or no such table; else as [`TableFetch::next`](crate::client::TableFetch::next).
pub fn run(args: &FetchArgs) -> Result<Exit, Error> {
    let target = args.cluster.resolve()?;
    let (name, version) = (&args.table, args.version);
    let row = interruptible(async {
        let client = Client::new(&target.cluster, &target.identity)?;
        let mut fetch = client.fetch_table(name, version).await?;
        let mut file = TableFile::create(&args.out, fetch.table(), args.fraction_bits)?;
        while let Some(batch) = fetch.next().await? {
            file.write(&batch)?;
        }
        file.place()?;
        let table = fetch.table();
        let (rows, columns) = (table.rows, table.columns.len());
        Ok(Row { table: format!("{}/{name}@{version}", table.owner), rows, columns, out: args.out.clone() })
    })?;
    let text =
        format!("fetched {}: {} rows of {} columns, into {}", row.table, row.rows, row.columns, row.out.display());
    args.output.resolve().print(&row, text)?;
    Ok(Exit::Ok)
}
