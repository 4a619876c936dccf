//! A table in memory.

use super::{Place, Schema};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use zeroize::Zeroize;

/// A file's rows, typed by its schema. Opaque in `Debug` and wiped on drop: it holds customers' data in clear.
pub struct Table {
    pub(super) schema: Schema,
    pub(super) columns: Vec<Values>,
    pub(super) rows: Vec<u64>,
    pub(super) places: Vec<Place>,
    pub(super) path: PathBuf,
    pub(super) dropped: Vec<Dropped>,
    pub(super) read: u64,
}

/// The values of one column, one for each row that was kept.
#[derive(Clone, PartialEq)]
pub enum Values {
    /// Numbers and integers, multiplied by the column's scale.
    Numbers(Vec<f64>),
    /// Positions in the column's list of levels.
    Levels(Vec<u32>),
    /// Truth values.
    Booleans(Vec<bool>),
    /// Keys of customers, all different.
    Keys(Vec<String>),
    /// Labels: `true` is bad.
    Labels(Vec<bool>),
}

/// Rows that a rule of the schema left out. A row is counted at the first column that drops it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dropped {
    /// For a value that is missing.
    pub missing: u64,
    /// For a value out of range.
    pub outside: u64,
}

impl Table {
    /// What the columns hold.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The number of rows kept.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The number of rows in the file.
    pub fn rows_read(&self) -> u64 {
        self.read
    }

    /// For each row kept, its number in the file: the first row (below the header, if there is one) is 1.
    pub fn row_numbers(&self) -> &[u64] {
        &self.rows
    }

    /// For each row kept, where it is in the file: the line on which it begins, or its number in a file that has no lines.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// What errors call the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The columns, in the order of the schema.
    pub fn columns(&self) -> &[Values] {
        &self.columns
    }

    /// For each column of the schema, the rows that were left out on its account.
    pub fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }

    /// The labels, if the schema has a label column.
    pub fn labels(&self) -> Option<&[bool]> {
        self.columns.iter().find_map(|c| if let Values::Labels(labels) = c { Some(labels.as_slice()) } else { None })
    }

    /// The keys of the customers, if the schema has a key column.
    pub fn keys(&self) -> Option<&[String]> {
        self.columns.iter().find_map(|c| if let Values::Keys(keys) = c { Some(keys.as_slice()) } else { None })
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("rows", &self.rows())
            .field("columns", &self.columns.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, rows) = match self {
            Self::Numbers(v) => ("Numbers", v.len()),
            Self::Levels(v) => ("Levels", v.len()),
            Self::Booleans(v) => ("Booleans", v.len()),
            Self::Keys(v) => ("Keys", v.len()),
            Self::Labels(v) => ("Labels", v.len()),
        };
        write!(f, "{kind}({rows} rows)")
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        match self {
            Self::Numbers(values) => values.zeroize(),
            Self::Levels(values) => values.zeroize(),
            Self::Booleans(values) | Self::Labels(values) => values.zeroize(),
            Self::Keys(values) => values.zeroize(),
        }
    }
}
