//! Files to tables.

mod arrays;
mod arrow;
mod build;
mod csv;
mod lines;
mod parquet;
mod value;

pub use self::{arrow::read_arrow, csv::read_csv, parquet::read_parquet};
pub(super) use value::{Cell, Parsed, parse};

use super::{Schema, Table, TableError};
use std::{
    fs::File,
    io::{Read as _, Seek as _},
    path::Path,
};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// The longest row of a CSV file, in bytes.
pub const MAX_RECORD_BYTES: u64 = 1 << 20;

/// Bytes by which files are told apart.
const START: usize = 8;

/// The most rows that are read.
pub const MAX_ROWS: u64 = 1 << 26;

/// Reads a table from a CSV, Parquet or Arrow IPC file: Parquet or Arrow (file or stream) if the file starts as such a file does, CSV otherwise.
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
    let mut start = Vec::with_capacity(START);
    (&mut file).take(START as u64).read_to_end(&mut start).map_err(failed)?;
    file.rewind().map_err(failed)?;
    if parquet::is_parquet(&start) {
        read_parquet(schema, path, file)
    } else if arrow::is_arrow(&start) {
        read_arrow(schema, path, file)
    } else {
        read_csv(schema, path, file)
    }
}
