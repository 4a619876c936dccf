//! Outputs that stay at the nodes as tables of shares.

use crate::{
    job::JobId,
    tables::{ColumnName, ColumnSpec, Permit, TableName, TableSpec, UploadId},
};
use serde::{Deserialize, Serialize};
use trefoil_circuits::program::Shape;

/// The table that an output becomes when the job is done. It belongs to the client that submits the job, and has one column.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeptTable {
    /// Its name, among those of its owner.
    pub name: TableName,
    /// Its version, which must not be there yet.
    pub version: u32,
    /// The name of its column.
    pub column: ColumnName,
    /// Who may use it for what; without permits it cannot be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permits: Vec<Permit>,
}

impl KeptTable {
    /// The description of the table that a job makes of an output. Its upload is the job: no other table has the name of this one.
    pub fn spec(&self, job: JobId, shape: Shape) -> TableSpec {
        TableSpec {
            upload: UploadId::from(job),
            rows: shape.len as u64,
            columns: vec![ColumnSpec { name: self.column.clone(), ring: shape.ring }],
            permits: self.permits.clone(),
        }
    }

    /// Checks that it can be described so, whichever the job.
    pub(super) fn check(&self, shape: Shape) -> Result<(), String> {
        self.spec(JobId::from([0; 16]), shape).component_bytes().map(drop)
    }
}
