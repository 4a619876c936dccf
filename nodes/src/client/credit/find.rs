//! Tables of others, and what is known of them.

use super::LABEL;
use crate::{
    Error,
    client::Client,
    job::ProgramKind,
    pki::ClientName,
    tables::{ColumnName, ColumnSpec, NUMBER_COLUMN_NAMES, TableName, TableStatus},
};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// A table as people name it: `OWNER/NAME`, or `OWNER/NAME@VERSION`; without a version, version 1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableArg {
    /// Whose it is.
    pub owner: ClientName,
    /// Its name.
    pub name: TableName,
    /// Its version.
    pub version: u32,
}

impl FromStr for TableArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a table; write OWNER/NAME or OWNER/NAME@VERSION, as in bank-a/loans@1");
        let (owner, rest) = text.split_once('/').ok_or_else(wrong)?;
        let (name, version) = match rest.split_once('@') {
            Some((name, version)) => (name, version.parse().map_err(|_| wrong())?),
            None => (rest, 1),
        };
        let owner = owner.parse().map_err(|_| wrong())?;
        Ok(Self { owner, name: name.parse()?, version })
    }
}

impl fmt::Display for TableArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.owner, self.name, self.version)
    }
}

/// What the nodes say of tables: those of this client, and those that others permit it to use. Cancel safe.
///
/// # Errors
/// [`Error::Usage`] names a table that is not there, or not the same at all nodes; [`Error::Unreachable`] or [`Error::Refused`].
pub async fn find(client: &Client, tables: &[TableArg]) -> Result<Vec<TableStatus>, Error> {
    let mut lists = Vec::with_capacity(3);
    for (own, permitted) in client.tables().await.into_iter().zip(client.permitted_tables().await) {
        lists.push([own?, permitted?].concat());
    }
    let me = client.name().map_or_else(|| "this client".to_owned(), ToString::to_string);
    let found = |table: &TableArg| {
        let is = |status: &&TableStatus| {
            (&status.owner, &status.name, status.version) == (&table.owner, &table.name, table.version)
        };
        let missing = |k: usize| {
            let owner = &table.owner;
            let others: BTreeSet<String> =
                lists.iter().flatten().filter(|status| status.owner == *owner).map(named).collect();
            let elsewhere = lists.iter().position(|list| list.iter().any(|status| is(&status)));
            let remedy = if let Some(there) = elsewhere {
                format!(", and P{there} has it: {owner} deletes it, and shares it, or has it made, again")
            } else if client.name() == Some(owner) {
                ": `trefoil credit share` stores a table of customers, and `trefoil credit train` a model".to_owned()
            } else {
                format!(
                    ": {owner} shares it with `trefoil credit share --analyst {me}`, or with --scores-to or --model-scores-to {me} if it is for scores alone"
                )
            };
            let there = match others.into_iter().collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => String::new(),
                there if client.name() == Some(owner) => format!("; {me} has {there}"),
                there => format!("; of {owner}, {me} may use {there}"),
            };
            Error::Usage(format!("P{k} has no table {table} that {me} may use{remedy}{there}"))
        };
        let mut first: Option<&TableStatus> = None;
        for (k, list) in lists.iter().enumerate() {
            let here = list.iter().find(is).ok_or_else(|| missing(k))?;
            if first.is_some_and(|first| first.sha256 != here.sha256) {
                let owner = &table.owner;
                return Err(Error::Usage(format!(
                    "P0 and P{k} hold different uploads of {table}; {owner} has to share a new version"
                )));
            }
            first = first.or(Some(here));
        }
        first.cloned().ok_or_else(|| missing(0))
    };
    tables.iter().map(found).collect()
}

/// A table as people name it.
pub(super) fn named(status: &TableStatus) -> String {
    format!("{}/{}@{}", status.owner, status.name, status.version)
}

/// Checks that a table is a model of features with these moments, which this column stands for.
pub(super) fn check_model(table: &TableStatus, column: &ColumnName) -> Result<(), Error> {
    if table.columns.iter().any(|own| own.name == *column) {
        return Ok(());
    }
    let (name, is_model) = (named(table), table.columns.iter().any(ColumnSpec::is_model));
    Err(Error::Usage(if is_model {
        format!(
            "{name} is a model of other features or with other moments; give with --moments the file that it was trained with, or that its own file has"
        )
    } else {
        format!(
            "{name} is no model; --model-table names one that `trefoil credit train --model-table` has kept or `trefoil credit share --model` has stored"
        )
    }))
}

/// Checks that a table has features of this form, and labels if they are needed.
pub(super) fn check(table: &TableStatus, features: &[ColumnName], labels: Labels) -> Result<(), Error> {
    let name = named(table);
    if !has_columns(table, features) {
        let owner = &table.owner;
        return Err(Error::Usage(if table.columns.iter().any(ColumnSpec::is_model) {
            format!("{name} is a model, and --tables names tables of customers")
        } else if is_for(table, ProgramKind::Moments) {
            format!(
                "{name} was shared for `trefoil credit moments` alone; {owner} shares its customers with --moments, as another table"
            )
        } else {
            let what = "was not made with these features and moments";
            format!(
                "{name} {what}; give the moments it was shared with, or share it again with the same moments as the others"
            )
        }));
    }
    if labels == Labels::Needed && !table.columns.iter().any(|column| column.name.as_str() == LABEL) {
        return Err(Error::Usage(format!(
            "{name} has no labels; describe the label column in the schema (type = \"label\") and share it again"
        )));
    }
    Ok(())
}

/// Whether a table has features of this form, and no others.
pub(super) fn has_columns(table: &TableStatus, features: &[ColumnName]) -> bool {
    let own = table.columns.iter().filter(|column| !no_feature(column.name.as_str())).count();
    let has = |name: &ColumnName| table.columns.iter().any(|column| column.name == *name);
    own == features.len() && features.iter().all(has)
}

/// Whether a table is permitted for a program at all.
pub(super) fn is_for(table: &TableStatus, program: ProgramKind) -> bool {
    table.permits.iter().any(|permit| permit.programs.contains(&program))
}

/// Whether a column of a table holds something else than a feature.
pub(super) fn no_feature(name: &str) -> bool {
    name == LABEL || NUMBER_COLUMN_NAMES.contains(&name)
}

/// Whether labels are needed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Labels {
    Needed,
    Unused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_with_or_without_a_version() {
        for (text, shown) in [("bank-a/loans", "bank-a/loans@1"), ("b/x.y@12", "b/x.y@12")] {
            assert_eq!(text.parse::<TableArg>().expect("a table").to_string(), shown);
        }
        for text in ["loans", "a/b/c", "a/b@", "a/b@-1", "a/", "/b", "a b/c"] {
            assert!(text.parse::<TableArg>().is_err(), "{text}");
        }
    }
}
