//! What the columns of a table hold: `schema.toml`.

mod digest;
mod file;

pub use digest::{ColumnDigest, SchemaDigest};

use super::TableError;
use crate::config::Source;
use std::path::{Path, PathBuf};

/// The version of the form of a schema that this program reads.
pub const SCHEMA_FORMAT: u32 = 1;

const REMEDY: &str = "write a schema for the table, as nodes/data/credit/schema.toml";

/// What the columns of a table hold, free of contradictions.
///
/// ```toml
/// format = 1
/// delimiter = ","            # of CSV files; this is the default
/// missing_markers = [""]     # what stands for a missing value in CSV files; this is the default
/// other_columns = "reject"   # or "ignore": columns of the file that the schema does not name
///
/// [[column]]
/// name = "income"
/// type = "number"            # or "integer"
/// unit = "euro per month"    # for people
/// scale = 0.001              # what values are multiplied by; 1 by default
/// min = 0                    # range of the values as the file has them, both ends included
/// max = 1_000_000
/// outside = "reject"         # the default: the file is refused; "drop" leaves out the row
/// missing = "reject"         # the default; "drop", or { fill = 1200 }
///
/// [[column]]
/// name = "home"
/// type = "category"
/// levels = ["MORTGAGE", "OWN", "RENT"]
/// reference = "OWN"          # the level that gets no feature; by default each gets one
/// missing = { fill = "RENT" }
///
/// [[column]]
/// name = "employed"
/// type = "boolean"
/// yes = "Y"                  # "1" by default
/// no = "N"                   # "0" by default
///
/// [[column]]
/// name = "customer"
/// type = "key"
///
/// [[column]]
/// name = "defaulted"
/// type = "label"
/// bad = "1"                  # the defaults
/// good = "0"
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    columns: Vec<Column>,
    delimiter: u8,
    missing_markers: Vec<String>,
    other_columns: OtherColumns,
}

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, as the header has it.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
    /// The unit, for people.
    pub unit: Option<String>,
    /// What becomes of a row without a value.
    pub missing: Missing,
}

/// What a column's values are.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A number.
    Number {
        /// Whether it must be whole.
        integer: bool,
        /// What values are multiplied by.
        scale: f64,
        /// The range of values as the file has them, both ends included.
        range: (f64, f64),
        /// What becomes of a row with a value out of range.
        outside: Outside,
    },
    /// One of a list of levels.
    Category {
        /// The levels, all different.
        levels: Vec<String>,
        /// The level that gets no feature.
        reference: Option<String>,
    },
    /// A truth value.
    Boolean {
        /// The text of true.
        yes: String,
        /// The text of false.
        no: String,
    },
    /// The name of the customer, by which tables are joined. No two rows have the same.
    Key,
    /// Whether the customer turned out bad: what a model is to predict.
    Label {
        /// The text of a bad customer.
        bad: String,
        /// The text of a good one.
        good: String,
    },
}

/// What becomes of a row whose value is missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Missing {
    /// The file is refused.
    Reject,
    /// The row is left out, and counted.
    Drop,
    /// This value is put in its place, written as in the file.
    Fill(String),
}

/// What becomes of a row whose number is out of range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outside {
    /// The file is refused.
    Reject,
    /// The row is left out, and counted.
    Drop,
}

/// What is done with columns of the file that the schema does not name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OtherColumns {
    /// The file is refused.
    Reject,
    /// They are not read.
    Ignore,
}

impl Schema {
    /// Reads a schema file.
    ///
    /// # Errors
    /// A file that cannot be read, is malformed or contradicts itself, with the line.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        Ok(file::resolve(&Source::read(path, REMEDY)?)?)
    }

    /// As [`read`](Self::read), from text; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(path: &Path, text: &str) -> Result<Self, TableError> {
        Ok(file::resolve(&Source { path: PathBuf::from(path), text: text.to_owned() })?)
    }

    /// The columns, in the order of the schema; the file may have another.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The byte between the fields of a CSV file.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// The texts that stand for a missing value in a CSV file.
    pub fn missing_markers(&self) -> &[String] {
        &self.missing_markers
    }

    /// What is done with columns that the schema does not name.
    pub fn other_columns(&self) -> OtherColumns {
        self.other_columns
    }

    /// The position of a column.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}
