//! Tables of the same customers side by side, as a client names it.

use super::{SpecFault, credit::SHARE};
use serde::{Deserialize, Serialize};
use trefoil_circuits::credit::{Join, MOST_FEATURES, NUMBER_COLUMNS};

/// Finds the customers that all of several tables have, and puts their columns side by side.
///
/// Inputs: the table of each owner, column after column, the first two being the low and the high word of a number that stands for the customer; then, with `labels`, the labels of that
/// table as bits. Outputs, which stay at the nodes as one table: the other columns of all tables, column after column; then the labels. How many rows that table has is found out in the
/// run: it is what the nodes learn. If they are fewer than the minimum, or a customer is in a table twice, the job fails and nothing is kept.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JoinSpec {
    /// The tables.
    pub tables: Vec<JoinedSpec>,
    /// The table that has labels, counted from 0; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<u32>,
    /// The least number of customers in common, at least 1.
    pub minimum: u64,
}

/// One of the tables that are joined.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JoinedSpec {
    /// Its customers.
    pub rows: u64,
    /// Its columns beside the number and the label.
    pub columns: u32,
}

/// Tables that are joined at most.
pub const MAX_JOINED: usize = 16;

/// Rows of a table at most, which is what a training takes.
const MOST_ROWS: u64 = 1 << 20;

/// Bytes of the switches of a shuffle for each row and each doubling of the rows, and what leads to them.
const SWITCH: u64 = 128;

/// Bytes of the blocks that are encrypted at a time, at most.
const BLOCKS: u64 = 16 << 20;

impl JoinSpec {
    /// Bytes that the computation takes beside its inputs and outputs: each table shuffled, what one shuffle takes while it is under way, and the joined table twice.
    /// Call it on what [`ProgramSpec::shapes`](super::ProgramSpec::shapes) accepts.
    pub(in crate::job) fn memory(&self) -> u64 {
        let bytes = |table: &JoinedSpec| table.rows * (u64::from(table.columns) + NUMBER_COLUMNS as u64 + 1) * SHARE;
        let shuffled: u64 = self.tables.iter().map(bytes).sum();
        let largest = self.tables.iter().map(bytes).max().unwrap_or(0);
        let rows = self.tables.iter().map(|table| table.rows).max().unwrap_or(0);
        let doublings = u64::from(u64::BITS - rows.leading_zeros());
        2 * shuffled + 2 * largest + rows * doublings * SWITCH + BLOCKS.min(rows * 512)
    }

    /// The program.
    ///
    /// # Errors
    /// [`SpecFault::Join`].
    pub fn resolve(&self) -> Result<Join, SpecFault> {
        let size = |table: &JoinedSpec| {
            let accepted = (1..=MOST_ROWS).contains(&table.rows) && table.columns as usize <= MOST_FEATURES;
            accepted.then_some([table.rows as usize, table.columns as usize])
        };
        if !(2..=MAX_JOINED).contains(&self.tables.len()) {
            return Err(SpecFault::Join);
        }
        let tables: Vec<_> = self.tables.iter().map(size).collect::<Option<_>>().ok_or(SpecFault::Join)?;
        let columns: usize = tables.iter().map(|[_, columns]| columns).sum();
        let labels = self.labels.map(|k| k as usize);
        let minimum = usize::try_from(self.minimum).unwrap_or(usize::MAX);
        let accepted = (1..=MOST_FEATURES).contains(&columns) && labels.is_none_or(|k| k < tables.len()) && minimum > 0;
        if accepted { Ok(Join { tables, labels, minimum }) } else { Err(SpecFault::Join) }
    }
}
