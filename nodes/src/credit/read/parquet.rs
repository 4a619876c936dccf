//! Parquet files: columns of numbers, text and truth values, without nesting.

use super::{
    MAX_ROWS,
    arrays::{BATCH, column, contained},
    build::Builder,
    value::Cell,
};
use crate::credit::{Place, Schema, Table, TableError};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    file::reader::ChunkReader,
};
use std::{fs::File, path::Path};

/// What a Parquet file starts with.
const MAGIC: &[u8; 4] = b"PAR1";

/// What a file that cannot be read is answered by.
const REMEDY: &str =
    "this is no sound Parquet file; write it again, without encryption and compressed with snappy or zstd, if at all";

/// Whether a file that begins like this is a Parquet file.
pub(super) fn is_parquet(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// Reads a table from a Parquet file; `path` is what errors call it.
///
/// # Errors
/// As [`read`](super::read).
pub fn read_parquet(schema: &Schema, path: &Path, file: File) -> Result<Table, TableError> {
    read_chunks(schema, path, file)
}

fn read_chunks(schema: &Schema, path: &Path, source: impl ChunkReader + 'static) -> Result<Table, TableError> {
    let mut builder = Builder::new(schema, path);
    let (reader, columns) = open(&builder, schema, source)?;
    let mut reader = reader;
    let mut row = 0u64;
    while let Some(batch) = contained(&builder, REMEDY, || reader.next().transpose().map_err(|e| e.to_string()))? {
        let cells = columns.iter().map(|name| column(&batch, name)).collect::<Result<Vec<_>, _>>();
        let cells = cells.map_err(|message| builder.file(message))?;
        for i in 0..batch.num_rows() {
            row += 1;
            builder.row(Place::Row(row), |at| cells.get(at).and_then(|c| c.get(i)).copied().unwrap_or(Cell::Null))?;
        }
    }
    builder.finish()
}

/// A reader of the schema's columns, and their names.
fn open<'s>(
    builder: &Builder<'_>,
    schema: &'s Schema,
    source: impl ChunkReader + 'static,
) -> Result<(ParquetRecordBatchReader, Vec<&'s str>), TableError> {
    // The types of the file itself: what the writing program had in memory does not matter.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let opened = contained(builder, REMEDY, || {
        ParquetRecordBatchReaderBuilder::try_new_with_options(source, options).map_err(|e| e.to_string())
    })?;
    let rows = opened.metadata().file_metadata().num_rows();
    if !u64::try_from(rows).is_ok_and(|rows| rows <= MAX_ROWS) {
        return Err(builder.file(format!("the file claims {rows} rows and {MAX_ROWS} are read at most; divide it")));
    }
    let names: Vec<&str> = opened.schema().fields().iter().map(|field| field.name().as_str()).collect();
    let roots = builder.locate(&names)?;
    let mask = ProjectionMask::roots(opened.parquet_schema(), roots);
    let reader = contained(builder, REMEDY, || {
        opened.with_projection(mask).with_batch_size(BATCH).build().map_err(|e| e.to_string())
    })?;
    Ok((reader, schema.columns().iter().map(|column| column.name.as_str()).collect()))
}
