//! Files to tables.

mod build;
mod csv;
mod lines;
mod parquet;
mod value;

pub use self::{csv::read_csv, parquet::read_parquet};
pub(super) use value::{Cell, Parsed, parse};

use super::{Schema, Table, TableError};
use std::{fs::File, path::Path};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// The longest row of a CSV file, in bytes.
pub const MAX_RECORD_BYTES: u64 = 1 << 20;

/// The most rows that are read.
pub const MAX_ROWS: u64 = 1 << 26;

/// Reads a table from a CSV or Parquet file: Parquet if the file starts as such a file does, CSV otherwise.
///
/// # Errors
/// A file that cannot be read, is no such file or is beyond the limits; columns that are missing or unknown; every row that
/// does not fit the schema, with its line. A file is accepted as a whole or not at all.
pub fn read(schema: &Schema, path: &Path) -> Result<Table, TableError> {
    let failed = |source| TableError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > MAX_FILE_BYTES {
        let message = format!("the file has {bytes} bytes and {MAX_FILE_BYTES} are read at most; divide it");
        return Err(TableError::File { path: path.to_owned(), message });
    }
    if parquet::is_parquet(&mut file).map_err(failed)? {
        read_parquet(schema, path, file)
    } else {
        read_csv(schema, path, file)
    }
}
