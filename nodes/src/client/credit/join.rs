//! Tables of the same customers, in any order, side by side.

use super::{
    LABEL, Pooling, column, digest, feature_columns,
    find::{Labels, TableArg, check, find},
    key_columns,
    moments::input,
};
use crate::{
    Error,
    client::Client,
    credit::NamedMoments,
    job::{
        InputSpec, JobCost, JobSpec, JoinSpec, JoinedSpec, KeptTable, ModeSpec, OutputSpec, ProgramKind, ProgramSpec,
    },
    pki::ClientName,
    tables::{ColumnName, Permit, TableName, TableStatus, UploadId},
};
use bytes::Bytes;

/// What the joined table will be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Joining {
    /// Its name, among those of this client.
    pub name: TableName,
    /// Its version, which must not be there yet.
    pub version: u32,
    /// The mode of the job.
    pub mode: ModeSpec,
}

/// A join that is done.
#[derive(Debug)]
pub struct Joined {
    /// The table at the nodes.
    pub table: TableStatus,
    /// The moments of its features: those of all tables, in their order.
    pub moments: NamedMoments,
    /// What it cost each node.
    pub costs: [JobCost; 3],
}

/// Finds the customers that are in all tables, whatever their order, and keeps their features side by side at the nodes: a table of this client, for what all owners permit.
///
/// The tables are such as [`Encoded::keyed`](super::Encoded::keyed) has made, with moments of each. The first one that has labels brings them. The nodes learn how many customers are in all tables, as does
/// whoever may use the joined table; nobody learns which. Not cancel safe: cancelled, it may leave the joined table at the nodes; delete that version.
///
/// # Errors
/// [`Error::Usage`] for tables that do not fit, or whose owners permit nothing in common; [`Error::Job`] with the kind `data` if there are fewer customers in common than the largest of the owners' minima, or a
/// customer is in a table twice; else as [`Client::run`].
pub async fn join(
    client: &Client,
    tables: &[TableStatus],
    moments: &[NamedMoments],
    joining: &Joining,
) -> Result<Joined, Error> {
    let me = client.name().cloned();
    let me = me.ok_or_else(|| Error::Usage("a node submits no jobs; use the certificate of a client".to_owned()))?;
    if tables.len() < 2 || tables.len() != moments.len() {
        return Err(Error::Usage(format!(
            "--tables names {} tables and --moments {} files; give two tables at least, and the moments that each was shared with, in the same order",
            tables.len(),
            moments.len()
        )));
    }
    let (permits, minimum) = permits(tables, &me, joining.mode)?;
    let pooled = Pooling::Vertical(moments.to_vec()).moments();
    let labelled = tables.iter().position(|table| table.columns.iter().any(|c| c.name.as_str() == LABEL));
    let mut inputs = Vec::new();
    for (table, moments) in tables.iter().zip(moments) {
        inputs.push(keyed(table, moments)?);
    }
    let label = [column(LABEL)?];
    inputs.extend(labelled.and_then(|k| tables.get(k)).map(|table| input(table, &label)));
    let kept = |columns| {
        let Joining { name, version, .. } = joining;
        OutputSpec::kept(KeptTable { name: name.clone(), version: *version, columns, permits: permits.clone() })
    };
    let features = feature_columns(&digest(&pooled)?, pooled.features.len())?;
    let mut outputs = vec![kept(features)];
    outputs.extend(labelled.map(|_| kept(label.to_vec())));
    let program = ProgramSpec::CreditJoin(JoinSpec {
        tables: tables
            .iter()
            .zip(moments)
            .map(|(table, moments)| JoinedSpec { rows: table.rows, columns: moments.features.len() as u32 })
            .collect(),
        labels: labelled.map(|k| k as u32),
        minimum,
    });
    let spec = JobSpec { inputs, outputs, ..JobSpec::new(program, joining.mode) };
    let job = client.submit(&spec, Bytes::new(), &[]).await?;
    let (id, outcome) = (job.id(), job.outcome().await);
    job.conclude(&spec, &outcome).await;
    if outcome.is_err() {
        // A node that was done before another failed has the table.
        client.forget(&joining.name, joining.version, UploadId::from(id)).await;
    }
    let costs = outcome?.costs;
    let joined = TableArg { owner: me, name: joining.name.clone(), version: joining.version };
    let found = find(client, &[joined]).await?;
    let table = found.into_iter().next().ok_or_else(|| Error::Bug("a table was found and is not there".to_owned()))?;
    Ok(Joined { table, moments: pooled, costs })
}

/// Numbers and features of a table as an input.
fn keyed(table: &TableStatus, moments: &NamedMoments) -> Result<InputSpec, Error> {
    let features = feature_columns(&digest(moments)?, moments.features.len())?;
    check(table, &features, Labels::Unused)?;
    let keys = key_columns()?;
    if !keys.iter().all(|key| table.columns.iter().any(|column| column.name == *key)) {
        return Err(Error::Usage(format!(
            "{}/{} has no numbers of customers; its owner describes a key column in the schema (type = \"key\") and shares it again with --joinable",
            table.owner, table.name
        )));
    }
    let columns: Vec<ColumnName> = keys.into_iter().chain(features).collect();
    Ok(input(table, &columns))
}

/// What all owners permit of a joined table, and the largest of their minima, at least 1.
fn permits(tables: &[TableStatus], me: &ClientName, mode: ModeSpec) -> Result<(Vec<Permit>, u64), Error> {
    let mut all: Option<Vec<Permit>> = None;
    let mut minimum = 1;
    for table in tables {
        let mine = |permit: &&Permit| {
            permit.programs.contains(&ProgramKind::CreditJoin)
                && permit.modes.contains(&mode)
                && permit.requesters.contains(me)
        };
        let join = table.permits.iter().find(mine).ok_or_else(|| {
            Error::Usage(format!(
                "{owner} has not permitted {me} to join {owner}/{} with other tables in {mode} mode; it shares it again with --joinable, --analyst {me} and --mode",
                table.name,
                owner = table.owner
            ))
        })?;
        minimum = minimum.max(join.minimum);
        all = Some(match all {
            None => join.keep.clone(),
            Some(all) => Permit::all_of_both(&all, &join.keep),
        });
    }
    let all = all.unwrap_or_default();
    if all.is_empty() {
        let what =
            "the owners of these tables permit nothing in common with what is joined, so that it could not be used";
        return Err(Error::Usage(format!(
            "{what}; they name the same --analyst, the same institutions in --pooled-with, and the same --mode"
        )));
    }
    Ok((all, minimum))
}
