//! Where the inputs of a job come from: with the job, or out of tables that are stored here.

use super::{InputSpec, JobId, JobSpec, OutputSpec, TableInput};
use crate::{
    pki::ClientName,
    tables::{Arrival, Arriving, ColumnName, StoredTable, TableKey, TableRefusal, TableStore},
};
use std::{fmt, sync::Arc};
use trefoil_circuits::program::{InputVector, Shape};
use trefoil_engine::Error;

/// One input of a job at one node.
#[derive(Debug)]
pub enum Input {
    /// What came with the job.
    Upload(InputVector),
    /// Columns of a table.
    Table(TableSource),
}

/// Where one input comes from, before the job's body is read.
#[derive(Debug)]
pub enum Source {
    /// It comes with the job.
    Upload,
    /// Columns of a table.
    Table(TableSource),
}

/// Columns of a table, as a job names them. The node keeps the table until the job has taken its part, whatever its owner does meanwhile.
#[derive(Debug)]
pub struct TableSource {
    key: TableKey,
    /// `None` if this node has other versions of it only.
    stored: Option<Arc<StoredTable>>,
    places: Vec<usize>,
    shape: Shape,
}

/// Why a job may not, or cannot, use a table. The client has to act, or the owner of the table.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SourceFault {
    /// There is no table of that name, or the owner has not permitted this use of it. Which of the two is not told.
    #[error(
        "input {input}: this node has no {key} that `{requester}` may use in such a job; ask `{}` to upload it to all three nodes and to permit this program, this mode, `{requester}` \
         as the requester and all recipients",
        key.owner
    )]
    Denied {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
        /// Who has asked.
        requester: ClientName,
    },
    /// The table has no such column.
    #[error("input {input}: {key} has no column `{column}`; name columns as its owner does")]
    Column {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
        /// The column.
        column: ColumnName,
    },
    /// The columns are not what the program takes.
    #[error("input {input}: the columns of {key} are not the {} entries of {:?} that the program takes; give the rows that the table has, and as many columns", shape.len, shape.ring)]
    Shape {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
        /// What the program takes.
        shape: Shape,
    },
}

/// Finds the tables of a job, and checks that their owners permit the job. `shapes` are those of the program's inputs.
///
/// A table of which this node has another version only, that the client might use, is left out here: all three nodes will then say so together.
///
/// # Errors
/// [`SourceFault`].
pub fn resolve(
    spec: &JobSpec,
    requester: &ClientName,
    shapes: &[Shape],
    tables: &TableStore,
) -> Result<Vec<Source>, SourceFault> {
    let ports = spec.program.ports();
    let source = |(input, shape): (usize, &Shape)| match spec.inputs.get(input) {
        None | Some(InputSpec::Upload) => Ok(Source::Upload),
        Some(InputSpec::Table(table)) => {
            let key = table.key();
            let permitted = |table: &Arc<StoredTable>| table.spec().permits.iter().any(|p| p.covers(spec, requester));
            let known: Vec<_> = tables.versions(&key.owner, &key.name).into_iter().filter(permitted).collect();
            if known.is_empty() {
                return Err(SourceFault::Denied { input, key, requester: requester.clone() });
            }
            let Some(stored) = known.into_iter().find(|table| *table.key() == key) else {
                return match tables.get(&key) {
                    // It is there, for others.
                    Some(_) => Err(SourceFault::Denied { input, key, requester: requester.clone() }),
                    None => Ok(Source::Table(TableSource { key, stored: None, places: Vec::new(), shape: *shape })),
                };
            };
            let places = stored.spec().places(&table.columns).map_err(|column| {
                let key = key.clone();
                SourceFault::Column { input, key, column }
            })?;
            let takes = ports.get(input).is_some_and(|port| port.takes(stored.spec().rows, places.len()));
            if !takes || !stored.fits(&places, *shape) {
                return Err(SourceFault::Shape { input, key, shape: *shape });
            }
            Ok(Source::Table(TableSource { key, stored: Some(stored), places, shape: *shape }))
        }
    };
    shapes.iter().enumerate().map(source).collect()
}

/// Where each output of a job goes that stays here.
pub type Kept = Vec<Option<Arriving>>;

/// Sets room aside for the outputs of a job that become tables of its submitter.
///
/// # Errors
/// [`TableRefusal`].
pub fn keep(
    spec: &JobSpec,
    requester: &ClientName,
    shapes: &[Shape],
    (id, tables): (JobId, &Arc<TableStore>),
) -> Result<Kept, TableRefusal> {
    let arriving = |(output, shape): (&OutputSpec, &Shape)| {
        let Some(table) = &output.table else { return Ok(None) };
        let key = TableKey { owner: requester.clone(), name: table.name.clone(), version: table.version };
        match tables.begin(&key, table.spec(id, *shape), 2 * shape.component_bytes() as u64)? {
            Arrival::New(arriving) => Ok(Some(arriving)),
            // This very job has been done, and forgotten since.
            Arrival::Known(_) => Err(TableRefusal::Taken(key)),
        }
    };
    spec.outputs.iter().zip(shapes).map(arriving).collect()
}

/// Puts what came with the job in its places.
///
/// # Errors
/// [`Error::Shape`] if it is not as many as the sources say.
pub fn fill(sources: Vec<Source>, uploads: Vec<InputVector>) -> Result<Vec<Input>, Error> {
    let got = uploads.len();
    let mut uploads = uploads.into_iter();
    let fill = |source| match source {
        Source::Table(table) => Some(Input::Table(table)),
        Source::Upload => uploads.next().map(Input::Upload),
    };
    let expected = sources.len();
    let inputs: Option<Vec<_>> = sources.into_iter().map(fill).collect();
    let missing = Error::Shape { what: "the inputs that come with a job", expected, got };
    inputs.filter(|_| uploads.next().is_none()).ok_or(missing)
}

impl Input {
    /// The table, if it is one.
    pub fn table(&self) -> Option<&TableSource> {
        match self {
            Self::Table(table) => Some(table),
            Self::Upload(_) => None,
        }
    }

    /// This node's share of it.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is a table that this node does not have.
    pub fn vector(self) -> Result<InputVector, Error> {
        match self {
            Self::Upload(vector) => Ok(vector),
            Self::Table(TableSource { stored: Some(table), places, shape, .. }) => table.input(&places, shape),
            Self::Table(TableSource { stored: None, .. }) => {
                Err(Error::Shape { what: "the tables of a job that are stored here", expected: 1, got: 0 })
            }
        }
    }
}

impl TableSource {
    /// The digest of the table, if this node has it.
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.stored.as_ref().map(|table| table.digest())
    }
}

impl fmt::Display for TableSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl TableInput {
    /// The table.
    pub fn key(&self) -> TableKey {
        TableKey { owner: self.owner.clone(), name: self.name.clone(), version: self.version }
    }
}

#[cfg(test)]
mod tests;
