//! `trefoil credit`: institutions score, train and report on customers that none of them shows to another.

mod denied;
mod evaluate;
mod fetch;
mod join;
mod moments;
mod report;
mod schema;
mod score;
mod share;
mod tables;
mod train;

pub(super) use train::MethodArgs;

use super::{ClusterArgs, Exit, interruptible, target::FIRST_CLIENT};
use crate::{
    Error,
    api::ProblemKind,
    client::{
        Client,
        credit::{Pooling, TableArg, find, read_moments},
    },
    credit::{HeldOut, NamedMoments, Table, TableError, report::Scale, split_every},
    job::JobId,
    pki::ClientName,
    tables::TableStatus,
};
use std::{
    io::Write as _,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr,
};
use trefoil_circuits::credit::reference::Scorecard;

const EXAMPLES: &str = "\
docs/credit.md goes through all of it with a real data set.

Examples:
  trefoil credit schema schema.toml
  trefoil credit share --cluster demo/cluster.toml --identity demo/bank-a.crt --schema schema.toml --data a.csv --table loans-raw --analyst lead
  trefoil credit moments --cluster demo/cluster.toml --identity demo/lead.crt --schema schema.toml --tables bank-a/loans-raw,bank-b/loans-raw --out moments.json
  trefoil credit share --cluster demo/cluster.toml --identity demo/bank-a.crt --schema schema.toml --data a.csv --table loans --analyst lead --moments moments.json --test-every 4
  trefoil credit join --cluster demo/cluster.toml --identity demo/lead.crt --tables bank-a/loans,telco/usage --moments bank.json,telco.json --out-table joined --out joined.json
  trefoil credit train --cluster demo/cluster.toml --identity demo/lead.crt --tables bank-a/loans,bank-b/loans --moments moments.json --model-table model
  trefoil credit evaluate --cluster demo/cluster.toml --identity demo/lead.crt --tables bank-a/loans-test,bank-b/loans-test --moments moments.json --model-table lead/model --out counts.json
  trefoil credit report counts.json --html report.html";

/// Subcommands of `trefoil credit`.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum CreditCommand {
    /// Say what tells a schema from others, and whether moments were made with it
    Schema(schema::SchemaArgs),
    /// Store a table of customers, or a model, as shares at the nodes, and say who may use it for what
    Share(share::ShareArgs),
    /// Compute means and deviations of features over the tables of several institutions
    Moments(moments::MomentsArgs),
    /// Find the customers that several tables have in common, and keep their columns side by side at the nodes
    Join(join::JoinArgs),
    /// Train a logistic regression on the tables of several institutions
    Train(train::TrainArgs),
    /// Score customers, for those who may know
    Score(score::ScoreArgs),
    /// Count how a model does on customers of several institutions, without anybody learning a score
    Evaluate(evaluate::EvaluateArgs),
    /// Make a page and JSON of what was counted
    Report(report::ReportArgs),
    /// List the tables at the nodes
    List(tables::ListArgs),
    /// Fetch a table that was uploaded back into a file
    Fetch(fetch::FetchArgs),
    /// Delete a table at the nodes
    Delete(tables::DeleteArgs),
}

/// Runs a subcommand of `trefoil credit`.
///
/// # Errors
/// [`Error::Usage`] or [`Error::Table`] for files that are not what they should be, before anything is sent; else those of the client.
pub fn run(command: &CreditCommand) -> Result<Exit, Error> {
    match command {
        CreditCommand::Schema(args) => schema::run(args),
        CreditCommand::Share(args) => share::run(args),
        CreditCommand::Moments(args) => moments::run(args),
        CreditCommand::Join(args) => join::run(args),
        CreditCommand::Train(args) => train::run(args),
        CreditCommand::Score(args) => score::run(args),
        CreditCommand::Evaluate(args) => evaluate::run(args),
        CreditCommand::Report(args) => report::run(args),
        CreditCommand::List(args) => tables::list(args),
        CreditCommand::Fetch(args) => fetch::run(args),
        CreditCommand::Delete(args) => tables::delete(args),
    }
}

/// Connects to a cluster and works until that is done or the user stops it.
fn connected<T>(cluster: &ClusterArgs, work: impl AsyncFnOnce(Client) -> Result<T, Error>) -> Result<T, Error> {
    let target = cluster.resolve()?;
    interruptible(async { work(Client::connect(&target.cluster, &target.identity).await?).await.map_err(in_options) })
}

/// What nodes refuse, in terms of the options of these commands.
fn in_options(error: Error) -> Error {
    let Error::Refused { node, mut problem } = error else { return error };
    problem.detail.push_str(match problem.kind() {
        Some(ProblemKind::Conflict) => {
            ". `trefoil credit delete --table NAME` deletes a table; --version 2 makes a new version"
        }
        Some(ProblemKind::Full) => {
            ". `trefoil credit list` names your tables, and `trefoil credit delete --table NAME` deletes one"
        }
        _ => "",
    });
    Error::Refused { node, problem }
}

/// Warns of names that nobody has, as far as the certificates beside the cluster file tell: `trefoil cluster client` leaves those of all clients there. Where there are none of others, nothing is known.
fn warn_of_strangers(cluster: &ClusterArgs, options: &[(&str, &[ClientName])]) {
    let known = cluster.clients();
    if known.iter().all(|name| Some(name) == cluster.own_name().as_ref()) {
        return;
    }
    for (option, names) in options {
        for name in names.iter().filter(|name| !known.contains(name) && name.as_str() != FIRST_CLIENT) {
            let (there, file) = (known.iter().map(ToString::to_string).collect::<Vec<_>>(), cluster.cluster.display());
            // Results go to standard output; this is for people.
            let _ = writeln!(
                std::io::stderr(),
                "warning: {option} names {name}, and no {name}.crt lies beside {file}, where there are {}; nodes do not check names: one that nobody has permits nobody",
                there.join(", ")
            );
        }
    }
}

/// Tables at the nodes and the moments of their features.
#[derive(Debug, clap::Args)]
struct TablesArgs {
    /// The tables, each as OWNER/NAME or OWNER/NAME@VERSION
    #[arg(long, value_delimiter = ',', value_name = "OWNER/NAME,..")]
    tables: Vec<TableArg>,
    /// The moments that the features were standardized by. One file: the tables have other customers with the same features. One file for each
    /// table: they have other features of the same customers, in the same order; `trefoil credit join` takes customers in any order
    #[arg(long, value_delimiter = ',', value_name = "FILE,..")]
    moments: Vec<PathBuf>,
}

/// One of two options that name the model.
fn no_model() -> Error {
    Error::Usage(
        "give a model: its file with --model FILE, or its table at the nodes with --model-table OWNER/NAME".to_owned(),
    )
}

impl TablesArgs {
    fn pooling(&self) -> Result<Pooling, Error> {
        check_distinct(&self.tables)?;
        let mut all: Vec<NamedMoments> =
            self.moments.iter().map(|path| moments_of_schema(path)).collect::<Result<_, _>>()?;
        match all.len() {
            0 => Err(Error::Usage("give the file of moments that the tables were shared with: --moments FILE".into())),
            1 => Ok(Pooling::Horizontal(all.remove(0))),
            _ => Ok(Pooling::Vertical(all)),
        }
    }

    async fn find(&self, client: &Client) -> Result<Vec<TableStatus>, Error> {
        if self.tables.is_empty() {
            return Err(Error::Usage("name the tables: --tables OWNER/NAME,..".to_owned()));
        }
        check_distinct(&self.tables)?;
        find(client, &self.tables).await
    }
}

/// Refuses a table that is named twice: its customers would count twice.
fn check_distinct(tables: &[TableArg]) -> Result<(), Error> {
    match tables.iter().enumerate().find(|(k, table)| tables[..*k].contains(table)) {
        Some((_, table)) => Err(Error::Usage(format!("the table {table} is named twice; name each once"))),
        None => Ok(()),
    }
}

/// Reads moments, and warns if they do not say with which schema they were made.
fn moments_of_schema(path: &Path) -> Result<NamedMoments, Error> {
    let moments = read_moments(path)?;
    warn_without_schema(path, &moments);
    Ok(moments)
}

/// Warns of moments, or a model, that do not say with which schema they were made.
fn warn_without_schema(path: &Path, moments: &NamedMoments) {
    if moments.schema.is_none() {
        let path = path.display();
        // Results go to standard output; this is for people.
        let _ = writeln!(
            std::io::stderr(),
            "warning: {path} does not say with which schema it was made, so schemas are not compared; how to write it in says `trefoil credit schema --help`"
        );
    }
}

/// Which rows of a file make the table of test rows.
#[derive(Debug, clap::Args)]
struct SplitArgs {
    /// Every N-th row is one of the table of test rows; with a key column in the schema, the customers of whose keys a hash is a multiple of N, so that all institutions take the same ones
    #[arg(long, value_name = "N", conflicts_with = "test_rows")]
    test_every: Option<NonZeroUsize>,
    /// These rows are those of the table of test rows: their numbers in the file, one a line, the first below the header being 1
    #[arg(long, value_name = "FILE")]
    test_rows: Option<PathBuf>,
}

impl SplitArgs {
    /// The positions of the rows to train on, and of those to test on.
    fn split(&self, table: &Table) -> Result<(Vec<usize>, Vec<usize>), Error> {
        if let Some(path) = &self.test_rows {
            return Ok(HeldOut::read(path)?.split(table)?);
        }
        Ok(match self.test_every {
            Some(every) => split_every(table, every),
            None => ((0..table.rows()).collect(), Vec::new()),
        })
    }
}

/// The scale of a scorecard: `BASE,ODDS,PDO`.
#[derive(Clone, Copy, Debug)]
struct Points {
    scale: Scale,
    card: Scorecard,
}

impl FromStr for Points {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Vec<f64> = text.split(',').map_while(|number| number.trim().parse().ok()).collect();
        let &[base_score, odds, pdo] = numbers.as_slice() else {
            return Err(format!("`{text}` is not a scale; write BASE,ODDS,PDO, as in 600,50,20"));
        };
        let card = Scorecard::new(base_score, odds, pdo).map_err(|e| TableError::from(e).to_string())?;
        Ok(Self { scale: Scale { base_score, odds, pdo }, card })
    }
}

/// Tables as a list for people.
fn listed(tables: &[TableStatus]) -> String {
    let names = tables.iter().map(|table| format!("{}/{}@{}", table.owner, table.name, table.version));
    names.collect::<Vec<_>>().join(", ")
}

/// The command by which a recipient fetches what a job has come to, but for its output files and what names rows: with the certificate that `trefoil cluster client` has made.
fn fetch_command(cluster: &ClusterArgs, recipient: &ClientName, (command, job): (&str, JobId)) -> String {
    let certificate = cluster.cluster.with_file_name(format!("{recipient}.crt"));
    let (cluster, certificate) = (cluster.cluster.display(), certificate.display());
    format!("trefoil credit {command} --cluster {cluster} --identity {certificate} --fetch {job}")
}
