//! Outputs that stay at the nodes as tables of shares.

use super::{JobSpec, ProgramSpec, SpecFault};
use crate::{
    job::{JobId, ProgramKind},
    tables::{ColumnName, ColumnSpec, MODEL_COLUMN_NAME, Permit, TableName, TableSpec, UploadId},
};
use serde::{Deserialize, Serialize};
use trefoil_circuits::program::Shape;

/// The table that an output becomes when the job is done. It belongs to the client that submits the job. Outputs that name one table, with the same permits, become columns of it in their order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeptTable {
    /// Its name, among those of its owner.
    pub name: TableName,
    /// Its version, which must not be there yet.
    pub version: u32,
    /// The names of the columns that this output becomes: one, but for the features of a join, which are as many columns as its tables have.
    pub columns: Vec<ColumnName>,
    /// Who may use it for what; without permits it cannot be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permits: Vec<Permit>,
}

/// A table that a job makes, with all its columns.
#[derive(Clone, Debug)]
pub struct Making<'a> {
    /// Its name, version and permits, as the first of its outputs says.
    pub table: &'a KeptTable,
    /// Its columns. Its upload is the job: no other table has the name of this one.
    pub spec: TableSpec,
    /// The outputs that become its columns, in their order.
    pub outputs: Vec<usize>,
}

/// The tables that a job of this name makes of its outputs, which have these shapes.
///
/// # Errors
/// [`SpecFault::Table`] or [`SpecFault::SameTable`].
pub(in crate::job) fn making<'a>(
    spec: &'a JobSpec,
    shapes: &[Shape],
    job: JobId,
) -> Result<Vec<Making<'a>>, SpecFault> {
    let mut all: Vec<Making<'a>> = Vec::new();
    for (output, (table, shape)) in spec.outputs.iter().map(|output| output.table.as_ref()).zip(shapes).enumerate() {
        let Some(table) = table else { continue };
        let fault = |cause| SpecFault::Table { output, cause };
        let (rows, columns) = table.columns(*shape, columns_of(&spec.program, output)).map_err(fault)?;
        check_names(spec.program.kind(), &columns).map_err(fault)?;
        let same = |other: &&mut Making<'_>| (&other.table.name, other.table.version) == (&table.name, table.version);
        if let Some(other) = all.iter_mut().find(same) {
            if other.spec.rows != rows || other.table.permits != table.permits {
                return Err(SpecFault::SameTable(output));
            }
            other.spec.columns.extend(columns);
            other.outputs.push(output);
        } else {
            let spec =
                TableSpec { upload: UploadId::from(job), rows, columns, permits: table.permits.clone(), expires: None };
            all.push(Making { table, spec, outputs: vec![output] });
        }
    }
    for table in &all {
        let output = table.outputs.first().copied().unwrap_or(0);
        table.spec.component_bytes().map_err(|cause| SpecFault::Table { output, cause })?;
    }
    Ok(all)
}

/// Refuses names by which coefficients would be taken for something about customers later, or that for coefficients.
fn check_names(program: ProgramKind, columns: &[ColumnSpec]) -> Result<(), String> {
    let is_model = match program {
        // Nobody knows what their outputs are.
        ProgramKind::Circuit | ProgramKind::AesCtr => return Ok(()),
        program => program == ProgramKind::CreditTrain,
    };
    match columns.iter().find(|column| column.is_model() != is_model) {
        Some(column) if is_model => Err(format!(
            "its column `{}` holds the coefficients of a model; call it `{MODEL_COLUMN_NAME}`, or let its name begin with `{MODEL_COLUMN_NAME}-`",
            column.name
        )),
        Some(column) => Err(format!(
            "its column `{}` has the name of one with the coefficients of a model, which it does not hold; give it another",
            column.name
        )),
        None => Ok(()),
    }
}

/// The columns of an output, which it becomes if it stays; `None` if it has none. In other columns it would have other rows: some of the customers that it tells of, or one of them several times, where
/// owners permit what is told of all.
fn columns_of(program: &ProgramSpec, output: usize) -> Option<usize> {
    match program {
        ProgramSpec::CreditJoin(join) if output == 0 => {
            Some(join.tables.iter().map(|table| table.columns as usize).sum())
        }
        program => (!program.has_several(output)).then_some(1),
    }
}

impl KeptTable {
    /// The rows and columns that an output of this shape becomes, which has so many.
    fn columns(&self, shape: Shape, has: Option<usize>) -> Result<(u64, Vec<ColumnSpec>), String> {
        let count = self.columns.len();
        let Some(has) = has else {
            return Err("reasons and probabilities in bits are several entries for each customer, who would be several rows; name recipients"
                .to_owned());
        };
        if count == 0 || count != has || !shape.len.is_multiple_of(count) {
            return Err(format!("it has {has} columns, and {count} are named; name each"));
        }
        let columns = self.columns.iter().map(|name| ColumnSpec { name: name.clone(), ring: shape.ring });
        Ok(((shape.len / count) as u64, columns.collect()))
    }
}
