//! `trefoil credit share`: tables and models as shares at the nodes.

use super::connected;
use crate::{
    Error,
    cli::{ClusterArgs, Exit, ModeArgs, OutputArgs},
    client::{
        Client,
        credit::{Encoded, ModelFile, Purpose, read_moments, share_model, write_json},
    },
    credit::{Features, HeldOut, NamedMoments, Schema, Table, read},
    pki::ClientName,
    tables::{TableName, TableStatus},
};
use serde::Serialize;
use std::{num::NonZeroUsize, path::PathBuf};

const EXAMPLES: &str = "\
Every row of the file is checked against the schema first. If one does not fit, each fault is named with its line and column, and nothing is shared.

Without moments, features are shared for `trefoil credit moments` alone. With them, they are shared standardized, for training, scores and counts.
With --test-every or --test-rows, some rows go into a table of their own, on which a model can be judged.

Examples:
  trefoil credit share --cluster demo/cluster.toml --identity demo/bank-a.crt --schema schema.toml --data a.csv --table loans-raw --analyst lead
  trefoil credit share --cluster demo/cluster.toml --identity demo/bank-a.crt --schema schema.toml --data a.csv --table loans --analyst lead \\
      --moments moments.json --test-every 4 --scores-to bank-a --model-scores-to bank-a,bank-b
  trefoil credit share --cluster demo/cluster.toml --identity demo/bank-b.crt --model model.json --table scorecard --analyst bank-a --scores-to bank-a";

/// Arguments of `trefoil credit share`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ShareArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// What the columns of the file hold
    #[arg(long, value_name = "FILE", required_unless_present = "model")]
    schema: Option<PathBuf>,
    /// The customers: CSV or Parquet
    #[arg(long, value_name = "FILE", required_unless_present = "model", requires = "schema")]
    data: Option<PathBuf>,
    /// Share a model instead, which stays this institution's secret
    #[arg(long, value_name = "FILE", conflicts_with_all = ["schema", "data", "moments", "own_moments", "test_every", "test_rows"])]
    model: Option<PathBuf>,
    /// The name of the table at the nodes
    #[arg(long, value_name = "NAME")]
    table: TableName,
    /// Its version: versions stand side by side and are not changed
    #[arg(long, default_value_t = 1)]
    version: u32,
    /// Who may submit jobs over it, and learns sums and counts: names in certificates
    #[arg(long, value_delimiter = ',', value_name = "NAME,..", required = true)]
    analyst: Vec<ClientName>,
    /// Who may receive a model that was trained on it [default: nobody, the model stays shared]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    model_to: Vec<ClientName>,
    /// Who may receive, and ask for, scores of the customers in it; of a model, scores by it [default: nobody]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    scores_to: Vec<ClientName>,
    /// Who may receive, and ask for, scores of customers by a shared model that was trained on it [default: nobody]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..", conflicts_with = "model")]
    model_scores_to: Vec<ClientName>,
    /// The least count of customers that may be told
    #[arg(long, default_value_t = 10)]
    minimum: u64,
    /// Standardize by moments that all institutions have agreed on
    #[arg(long, value_name = "FILE", conflicts_with = "own_moments")]
    moments: Option<PathBuf>,
    /// Standardize by the moments of these rows, and write them to this new file, which is given to those who use the table
    #[arg(long, value_name = "FILE")]
    own_moments: Option<PathBuf>,
    /// Put every N-th row into the table of test rows
    #[arg(long, value_name = "N", conflicts_with = "test_rows")]
    test_every: Option<NonZeroUsize>,
    /// Put these rows into the table of test rows: their numbers in the file, one a line, the first below the header being 1
    #[arg(long, value_name = "FILE")]
    test_rows: Option<PathBuf>,
    /// The name of the table of test rows [default: that of the table with `-test`]
    #[arg(long, value_name = "NAME")]
    test_table: Option<TableName>,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A table that was shared.
#[derive(Debug, Serialize)]
struct Row {
    table: String,
    rows: u64,
    features: usize,
    labels: bool,
    rows_left_out: u64,
}

/// What is about to be shared.
struct Plan {
    parts: Vec<(TableName, Encoded)>,
    purpose: Purpose,
    standardized: bool,
    left_out: u64,
}

/// Runs the command.
///
/// # Errors
/// [`Error::Table`] with every row that does not fit, [`Error::Usage`], [`Error::Config`] for the schema; else as [`Client::put_table`].
pub fn run(args: &ShareArgs) -> Result<Exit, Error> {
    let output = args.output.resolve();
    let rows = if let Some(path) = &args.model {
        let (file, purpose) = (ModelFile::read(path)?, args.purpose());
        let name = (args.table.clone(), args.version);
        let stored = connected(&args.cluster, async |client| share_model(&client, &file, name, purpose.model()).await)?;
        vec![Row { features: file.weights.len(), labels: false, ..Row::of(&stored, 0) }]
    } else {
        let plan = args.resolve()?;
        let left_out = plan.left_out;
        let stored = connected(&args.cluster, async |client| share(&client, plan, args.version).await)?;
        stored.iter().map(|table| Row::of(table, left_out)).collect()
    };
    for row in rows {
        output.print(&row, row.text())?;
    }
    Ok(Exit::Ok)
}

impl ShareArgs {
    fn purpose(&self) -> Purpose {
        Purpose {
            analysts: self.analyst.clone(),
            model_to: self.model_to.clone(),
            scores_to: self.scores_to.clone(),
            model_scores_to: if self.model.is_some() { self.scores_to.clone() } else { self.model_scores_to.clone() },
            minimum: self.minimum,
            mode: self.mode.mode,
        }
    }

    /// Reads, checks and encodes everything.
    fn resolve(&self) -> Result<Plan, Error> {
        let (Some(schema), Some(data)) = (&self.schema, &self.data) else {
            return Err(Error::Usage("give a schema and a file of customers, or a model".to_owned()));
        };
        let table = read(&Schema::read(schema)?, data)?;
        let (train, test) = self.split(&table)?;
        let moments = match (&self.moments, &self.own_moments) {
            (Some(path), _) => Some(read_moments(path)?),
            (None, Some(path)) => Some(own_moments(&table, &train, path)?),
            (None, None) => None,
        };
        let encode = |rows: &[usize]| match &moments {
            Some(moments) => Encoded::standardized(&table, moments, rows),
            None => Encoded::within_range(&table, rows),
        };
        let mut parts = vec![(self.table.clone(), encode(&train)?)];
        // Moments are those of the rows that are trained on.
        if !test.is_empty() && moments.is_some() {
            let name = match &self.test_table {
                Some(name) => name.clone(),
                None => format!("{}-test", self.table).parse().map_err(Error::Usage)?,
            };
            parts.push((name, encode(&test)?));
        }
        let left_out = table.rows_read() - table.rows() as u64;
        Ok(Plan { parts, purpose: self.purpose(), standardized: moments.is_some(), left_out })
    }

    /// The positions of the rows to train on, and of those to test on.
    fn split(&self, table: &Table) -> Result<(Vec<usize>, Vec<usize>), Error> {
        if let Some(path) = &self.test_rows {
            return Ok(HeldOut::read(path)?.split(table)?);
        }
        let every = self.test_every.map_or(usize::MAX, NonZeroUsize::get);
        Ok((0..table.rows()).partition(|row| row % every != every - 1))
    }
}

/// The moments of some rows, written to a new file.
fn own_moments(table: &Table, rows: &[usize], path: &std::path::Path) -> Result<NamedMoments, Error> {
    let features = Features::of(table.schema());
    let matrix = features.encode(table)?.select(rows).map_err(crate::credit::TableError::from)?;
    let moments = NamedMoments::of(&features, &matrix)?;
    write_json(path, &moments)?;
    Ok(moments)
}

/// Stores all parts, or none.
async fn share(client: &Client, plan: Plan, version: u32) -> Result<Vec<TableStatus>, Error> {
    let permits = if plan.standardized { plan.purpose.customers() } else { plan.purpose.moments() };
    let mut stored: Vec<TableStatus> = Vec::new();
    for (name, part) in &plan.parts {
        match part.share(client, (name.clone(), version), permits.clone()).await {
            Ok(table) => stored.push(table),
            Err(e) => {
                for table in &stored {
                    client.delete_table(&table.name, table.version).await?;
                }
                return Err(e);
            }
        }
    }
    Ok(stored)
}

impl Row {
    fn of(table: &TableStatus, rows_left_out: u64) -> Self {
        let labels = table.columns.iter().any(|column| column.name.as_str() == "label");
        Self {
            table: format!("{}/{}@{}", table.owner, table.name, table.version),
            rows: table.rows,
            features: table.columns.len() - usize::from(labels),
            labels,
            rows_left_out,
        }
    }

    fn text(&self) -> String {
        let labels = if self.labels { "and labels" } else { "without labels" };
        let left_out = match self.rows_left_out {
            0 => String::new(),
            n => format!("; the schema left {n} rows of the file out"),
        };
        format!("shared {}: {} rows of {} features {labels}{left_out}", self.table, self.rows, self.features)
    }
}
