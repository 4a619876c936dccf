//! `trefoil credit share`: tables and models as shares at the nodes.

use super::{SplitArgs, connected, moments_of_schema, warn_of_strangers};
use crate::{
    Error,
    cli::{ClusterArgs, Exit, ModeArgs, OutputArgs},
    client::{
        Client, NewTable,
        credit::{Encoded, ModelFile, NewFile, Purpose, share_model},
    },
    credit::{Features, NamedMoments, Schema, Table, read},
    pki::ClientName,
    tables::{Expires, Expiry, Permit, ScoreDetail, TableName, TableStatus},
};
use serde::Serialize;
use std::{io::Write as _, path::PathBuf, time::SystemTime};

const EXAMPLES: &str = "\
Every row of the file is checked against the schema first. If one does not fit, each fault is named with its line and column, and nothing is shared.

Without moments, features are shared for `trefoil credit moments` alone. With them, they are shared standardized, for training, scores and counts.
With --test-every or --test-rows, some rows go into a table of their own, on which a model can be judged.

Examples:
  trefoil credit share --cluster demo/cluster.toml --identity demo/bank-a.crt --schema schema.toml --data a.csv --table loans-raw --analyst lead
  trefoil credit share --cluster demo/cluster.toml --identity demo/bank-a.crt --schema schema.toml --data a.csv --table loans --analyst lead \\
      --moments moments.json --test-every 4 --pooled-with bank-a,bank-b --scores-to bank-a --model-scores-to bank-a,bank-b
  trefoil credit share --cluster demo/cluster.toml --identity demo/telco.crt --schema telco.toml --data telco.csv --table usage --analyst lead \\
      --own-moments telco.json --joinable --pooled-with bank-a,telco
  trefoil credit share --cluster demo/cluster.toml --identity demo/bank-b.crt --model model.json --table scorecard --analyst bank-a --scores-to bank-a";

/// Arguments of `trefoil credit share`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ShareArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// What the columns of the file hold
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// The customers: CSV, Parquet or Arrow
    #[arg(long, value_name = "FILE", requires = "schema")]
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
    /// What those in `--scores-to` may be told, and for a model whether scores by it may be counted: one decision in each job, or numbers too. Who receives numbers for one customer more than there are features knows a model
    #[arg(long, value_enum, default_value_t)]
    scores: ScoreDetail,
    /// What those in `--model-scores-to` may be told
    #[arg(long, value_enum, default_value_t, conflicts_with = "model")]
    model_scores: ScoreDetail,
    /// Moments, training, counts and joins are of customers of this table and of tables of all of these: these, and no others, or they are refused. The owner is always one of them [default: this institution alone]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..", conflicts_with = "model")]
    pooled_with: Vec<ClientName>,
    /// How many jobs of each kind each client may submit over it, as each node counts them; a model trained on it, scores of it and a table joined of it, as often again [default: 0, not bounded]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    times: u32,
    /// Share a hash of each customer's key too, and permit the analysts to join the table with those of all in `--pooled-with`, which have other columns of the same customers: `trefoil credit join`
    #[arg(long, conflicts_with = "model", requires = "pooled_with")]
    joinable: bool,
    /// The least count of customers that may be told, the least rows of each table of which moments are computed, and the least number of customers that a joined table may have
    #[arg(long, default_value_t = 10)]
    minimum: u64,
    /// The nodes refuse the table from then on, and erase it: a time from now (`90d`, `12h`) or a moment (`2030-12-31T00:00:00Z`). What stays at the nodes of jobs over it expires with it [default: it stays until it is deleted]
    #[arg(long, value_name = "WHEN")]
    expires: Option<Expires>,
    /// Standardize by moments that all institutions have agreed on
    #[arg(long, value_name = "FILE", conflicts_with = "own_moments")]
    moments: Option<PathBuf>,
    /// Standardize by the moments of these rows, and write them to this new file, which is given to those who use the table
    #[arg(long, value_name = "FILE")]
    own_moments: Option<PathBuf>,
    #[command(flatten)]
    split: SplitArgs,
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
    joinable: bool,
    rows_left_out: u64,
    test_rows_not_shared: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Expiry>,
}

/// A model that was shared.
#[derive(Debug, Serialize)]
struct ModelRow {
    table: String,
    features: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Expiry>,
}

/// What is about to be shared.
struct Plan {
    parts: Vec<(TableName, Encoded)>,
    purpose: Purpose,
    expires: Option<Expiry>,
    permits: fn(&Purpose) -> Vec<Permit>,
    left_out: u64,
    /// Test rows that are not shared, since moments are those of the others.
    held_out: usize,
    /// Own moments on the disk, which get their name when the tables are stored.
    moments: Option<NewFile>,
}

/// Runs the command.
///
/// # Errors
/// [`Error::Table`] with every row that does not fit, [`Error::Usage`], [`Error::Config`] for the schema; else as [`Client::put_tables`].
pub fn run(args: &ShareArgs) -> Result<Exit, Error> {
    let output = args.output.resolve();
    // Before a large file is read.
    args.cluster.resolve()?;
    let expires = args.expiry()?;
    args.warn_of_strangers();
    args.say_who_shares();
    if let Some(path) = &args.model {
        let (file, purpose) = (ModelFile::read(path)?, args.purpose());
        let name = (args.table.clone(), args.version);
        let stored = connected(&args.cluster, async |client| {
            share_model(&client, &file, name, purpose.secret_model(), expires).await
        })?;
        let row = ModelRow { table: named(&stored), features: file.weights.len(), expires: stored.expires };
        let until = until(row.expires);
        output.print(&row, format!("shared {}: a model of {} features{until}", row.table, row.features))?;
        return Ok(Exit::Ok);
    }
    let mut plan = args.resolve(expires)?;
    let moments = plan.moments.take();
    let stored = connected(&args.cluster, async |client| share(&client, &plan, args.version).await)?;
    if let Some(file) = moments {
        file.place()?;
    }
    for row in stored.iter().map(|table| Row::of(table, (plan.left_out, plan.held_out))) {
        output.print(&row, row.text())?;
    }
    Ok(Exit::Ok)
}

impl ShareArgs {
    fn warn_of_strangers(&self) {
        let options: [(&str, &[ClientName]); 5] = [
            ("--analyst", &self.analyst),
            ("--model-to", &self.model_to),
            ("--scores-to", &self.scores_to),
            ("--model-scores-to", &self.model_scores_to),
            ("--pooled-with", &self.pooled_with),
        ];
        warn_of_strangers(&self.cluster, &options);
    }

    /// Whose the table will be where that was not said, and who is in `--pooled-with` unsaid.
    fn say_who_shares(&self) {
        let Some(me) = self.cluster.own_name() else { return };
        // Results go to standard output; this is for people.
        let mut to = std::io::stderr();
        if self.cluster.identity.is_none() && self.cluster.token.is_none() {
            let _ = writeln!(
                to,
                "no --identity is given: the owner is {me}, by the certificate {me}.crt beside {}",
                self.cluster.cluster.display()
            );
        }
        if !self.pooled_with.is_empty() && !self.pooled_with.contains(&me) {
            let _ = writeln!(to, "--pooled-with does not name {me}, the owner, which is always one of them");
        }
    }

    /// The same moment for all nodes, whatever their clocks say.
    fn expiry(&self) -> Result<Option<Expiry>, Error> {
        let resolve = |expires: Expires| expires.resolve(SystemTime::now());
        self.expires.map(resolve).transpose().map_err(|fault| Error::Usage(format!("--expires: {fault}")))
    }

    fn purpose(&self) -> Purpose {
        Purpose {
            analysts: self.analyst.clone(),
            model_to: self.model_to.clone(),
            scores_to: self.scores_to.clone(),
            model_scores_to: if self.model.is_some() { self.scores_to.clone() } else { self.model_scores_to.clone() },
            pooled_with: self.pooled_with.clone(),
            scores: self.scores,
            model_scores: if self.model.is_some() { self.scores } else { self.model_scores },
            minimum: self.minimum,
            times: self.times,
            mode: self.mode.mode,
        }
    }

    /// Reads, checks and encodes everything.
    fn resolve(&self, expires: Option<Expiry>) -> Result<Plan, Error> {
        let (Some(schema), Some(data)) = (&self.schema, &self.data) else {
            return Err(Error::Usage(
                "say what is shared: customers, with --schema FILE and --data FILE, or a model, with --model FILE"
                    .to_owned(),
            ));
        };
        let table = read(&Schema::read(schema)?, data)?;
        let (train, test) = self.split.split(&table)?;
        let mut file = self.own_moments.as_ref().map(|path| NewFile::create(path)).transpose()?;
        let moments = match (&self.moments, &mut file) {
            (Some(path), _) => Some(moments_of_schema(path)?),
            (None, Some(file)) => Some(own_moments(&table, &train, file)?),
            (None, None) => None,
        };
        let encode = |rows: &[usize]| match &moments {
            Some(moments) if self.joinable => Encoded::standardized(&table, moments, rows)?.keyed(&table, rows),
            Some(moments) => Encoded::standardized(&table, moments, rows),
            None => Encoded::within_range(&table, rows),
        };
        if self.joinable && moments.is_none() {
            return Err(Error::Usage(
                "tables are joined for training, which takes moments; give --moments or --own-moments with --joinable"
                    .to_owned(),
            ));
        }
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
        let held_out = if moments.is_none() { test.len() } else { 0 };
        let permits = match &moments {
            None => Purpose::moments,
            Some(_) if self.joinable => Purpose::joinable,
            Some(_) => Purpose::customers,
        };
        let purpose = self.purpose();
        Ok(Plan { parts, purpose, expires, permits, left_out, held_out, moments: file })
    }
}

/// The moments of some rows, put into a file.
fn own_moments(table: &Table, rows: &[usize], file: &mut NewFile) -> Result<NamedMoments, Error> {
    let features = Features::of(table.schema());
    let matrix = features.encode(table)?.select(rows).map_err(crate::credit::TableError::from)?;
    let moments = NamedMoments::of(&features, &matrix)?;
    file.fill_json(&moments)?;
    Ok(moments)
}

/// Stores all parts, or none.
async fn share(client: &Client, plan: &Plan, version: u32) -> Result<Vec<TableStatus>, Error> {
    let purpose = match client.name() {
        Some(me) => plan.purpose.clone().of_owner(me),
        None => plan.purpose.clone(),
    };
    let permits = (plan.permits)(&purpose);
    let parts = plan.parts.iter().map(|(name, part)| {
        let table = part.table((name.clone(), version), permits.clone())?;
        Ok::<_, Error>(NewTable { expires: plan.expires, ..table })
    });
    client.put_tables(&parts.collect::<Result<Vec<_>, _>>()?).await
}

/// Until when a table is there, for people.
pub(super) fn until(expires: Option<Expiry>) -> String {
    expires.map(|expires| format!("; it expires at {expires}")).unwrap_or_default()
}

/// A table as people name it.
fn named(table: &TableStatus) -> String {
    format!("{}/{}@{}", table.owner, table.name, table.version)
}

impl Row {
    fn of(table: &TableStatus, (rows_left_out, test_rows_not_shared): (u64, usize)) -> Self {
        let has = |name: &str| table.columns.iter().any(|column| column.name.as_str() == name);
        let (labels, joinable) = (has("label"), has("key-low"));
        Self {
            table: named(table),
            rows: table.rows,
            features: table.columns.len() - usize::from(labels) - 2 * usize::from(joinable),
            labels,
            joinable,
            rows_left_out,
            test_rows_not_shared,
            expires: table.expires,
        }
    }

    fn text(&self) -> String {
        let labels = match (self.labels, self.joinable) {
            (true, false) => "and labels",
            (true, true) => "and labels, with numbers of customers",
            (false, true) => "without labels, with numbers of customers",
            (false, false) => "without labels",
        };
        let left_out = match self.rows_left_out {
            0 => String::new(),
            n => format!("; the schema left {n} rows of the file out"),
        };
        let test = match self.test_rows_not_shared {
            0 => String::new(),
            n => format!("; {n} test rows were not shared, since moments are those of the others"),
        };
        let until = until(self.expires);
        format!(
            "shared {}: {} rows of {} features {labels}{left_out}{test}{until}",
            self.table, self.rows, self.features
        )
    }
}
