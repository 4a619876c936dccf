//! `trefoil credit list` and `delete`: what lies at the nodes.

use super::{interruptible, share::until};
use crate::{
    Error,
    cli::{ClusterArgs, Exit, Output, OutputArgs, line},
    client::Client,
    pki::ClientName,
    tables::{Expiry, NUMBER_COLUMN_NAMES, TableName, TableStatus},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

const LIST: &str = "\
A table is of use if all three nodes have it.

Examples:
  trefoil credit list --cluster demo/cluster.toml --identity demo/bank-a.crt
  trefoil credit list --cluster demo/cluster.toml --identity demo/lead.crt --permitted";

const DELETE: &str = "\
Jobs that have begun with the table end as they would have. Models and scores that were made of it stay, for what its owner has permitted of them.

Examples:
  trefoil credit delete --cluster demo/cluster.toml --identity demo/bank-a.crt --table loans
  trefoil credit delete --cluster demo/cluster.toml --identity demo/lead.crt --table model --version 2";

/// Arguments of `trefoil credit list`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = LIST)]
pub struct ListArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// List the tables of others that this client may use, in place of its own
    #[arg(long)]
    permitted: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil credit delete`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = DELETE)]
pub struct DeleteArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The name of the table, which is this client's own
    #[arg(long, value_name = "NAME")]
    table: TableName,
    /// Its version
    #[arg(long, default_value_t = 1)]
    version: u32,
    #[command(flatten)]
    output: OutputArgs,
}

/// The JSON form of a table.
#[derive(Debug, Serialize)]
struct Row {
    table: String,
    holds: String,
    rows: u64,
    /// Who may submit jobs over it.
    requesters: BTreeSet<ClientName>,
    /// The nodes that have it, the same at all of them.
    nodes: Vec<usize>,
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Expiry>,
}

/// Lists tables.
///
/// # Errors
/// Those of the client.
pub fn list(args: &ListArgs) -> Result<Exit, Error> {
    let target = args.cluster.resolve()?;
    let lists = interruptible(async {
        let client = Client::new(&target.cluster, &target.identity)?;
        Ok(if args.permitted { client.permitted_tables().await } else { client.tables().await })
    })?;
    let mut tables: BTreeMap<_, (TableStatus, Vec<usize>)> = BTreeMap::new();
    for (node, list) in lists.into_iter().enumerate() {
        for table in list? {
            // Two uploads of one version are two lines.
            let key = (table.owner.to_string(), table.name.to_string(), table.version, table.sha256.0);
            tables.entry(key).or_insert_with(|| (table, Vec::new())).1.push(node);
        }
    }
    let output = args.output.resolve();
    if tables.is_empty() && output == Output::Text {
        line(if args.permitted {
            "no tables of others; their owners share them with --analyst, --scores-to or --model-scores-to naming this client"
        } else {
            "no tables; share one with `trefoil credit share`"
        })?;
    }
    for (table, nodes) in tables.into_values() {
        let row = Row::of(&table, nodes);
        output.print(&row, row.text())?;
    }
    Ok(Exit::Ok)
}

/// Deletes a table.
///
/// # Errors
/// [`Error::Usage`] if there is no such table; else as [`Client::delete_table`].
pub fn delete(args: &DeleteArgs) -> Result<Exit, Error> {
    let target = args.cluster.resolve()?;
    let (name, version) = (&args.table, args.version);
    interruptible(async {
        let client = Client::new(&target.cluster, &target.identity)?;
        let lists = client.tables().await;
        let is = |table: &TableStatus| table.name == *name && table.version == version;
        // A node that does not answer may have it.
        if lists.iter().all(|list| list.as_ref().is_ok_and(|list| !list.iter().any(is))) {
            let me = client.name().map_or_else(|| "this client".to_owned(), ToString::to_string);
            return Err(Error::Usage(format!(
                "no node has the table {me}/{name}@{version}; `trefoil credit list` says which there are"
            )));
        }
        client.delete_table(name, version).await
    })?;
    let deleted = serde_json::json!({ "table": name, "version": version });
    args.output.resolve().print(&deleted, format!("deleted {name}@{version} at the three nodes"))?;
    Ok(Exit::Ok)
}

impl Row {
    fn of(table: &TableStatus, nodes: Vec<usize>) -> Self {
        let has = |name: &str| table.columns.iter().any(|column| column.name.as_str() == name);
        let labels = has("label");
        let joinable = NUMBER_COLUMN_NAMES.iter().all(|name| has(name));
        let features = table.columns.len() - usize::from(labels) - 2 * usize::from(joinable);
        let holds = if table.columns.iter().any(crate::tables::ColumnSpec::is_model) {
            format!("a model of {} features", table.rows.saturating_sub(1))
        } else if has("score") {
            format!("scores of {} customers", table.rows)
        } else {
            let labels = if labels { " and labels" } else { "" };
            let joinable = if joinable { ", joinable" } else { "" };
            format!("{} rows of {features} features{labels}{joinable}", table.rows)
        };
        Self {
            table: format!("{}/{}@{}", table.owner, table.name, table.version),
            holds,
            rows: table.rows,
            requesters: table.permits.iter().flat_map(|permit| permit.requesters.clone()).collect(),
            usable: nodes.len() == 3,
            nodes,
            expires: table.expires,
        }
    }

    fn text(&self) -> String {
        let names: Vec<_> = self.requesters.iter().map(ToString::to_string).collect();
        let whose = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
        let places: Vec<_> = self.nodes.iter().map(|node| format!("P{node}")).collect();
        let only = if self.usable {
            String::new()
        } else {
            format!("; at {} alone, so of no use: share it again, as a new version", places.join(" and "))
        };
        format!("{}: {}, for {whose}{}{only}", self.table, self.holds, until(self.expires))
    }
}
