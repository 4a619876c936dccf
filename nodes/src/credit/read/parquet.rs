//! Parquet files: columns of numbers, text and truth values, without nesting.

use super::{MAX_ROWS, build::Builder, value::Cell};
use crate::credit::{Place, Schema, Table, TableError, fault::quoted};
use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{
        ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
        UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_schema::DataType;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    file::reader::ChunkReader,
};
use std::{
    fs::File,
    io::{self, Read, Seek},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// What a Parquet file starts with.
const MAGIC: &[u8; 4] = b"PAR1";

/// The rows that are in memory in the file's own form.
const BATCH: usize = 1024;

/// Whether a file starts as a Parquet file does; it is then back at its start.
pub(super) fn is_parquet(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::with_capacity(MAGIC.len());
    (&mut *file).take(MAGIC.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(start == MAGIC)
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
    while let Some(batch) = contained(&builder, || reader.next().transpose().map_err(|e| e.to_string()))? {
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
    let opened = contained(builder, || {
        ParquetRecordBatchReaderBuilder::try_new_with_options(source, options).map_err(|e| e.to_string())
    })?;
    let rows = opened.metadata().file_metadata().num_rows();
    if !u64::try_from(rows).is_ok_and(|rows| rows <= MAX_ROWS) {
        return Err(builder.file(format!("the file claims {rows} rows and {MAX_ROWS} are read at most; divide it")));
    }
    let names: Vec<&str> = opened.schema().fields().iter().map(|field| field.name().as_str()).collect();
    let roots = builder.locate(&names)?;
    let mask = ProjectionMask::roots(opened.parquet_schema(), roots);
    let reader =
        contained(builder, || opened.with_projection(mask).with_batch_size(BATCH).build().map_err(|e| e.to_string()))?;
    Ok((reader, schema.columns().iter().map(|column| column.name.as_str()).collect()))
}

/// Runs a step of the Parquet library. Some of its decoders panic on damaged pages, which must not end the program.
fn contained<T>(builder: &Builder<'_>, step: impl FnOnce() -> Result<T, String>) -> Result<T, TableError> {
    let remedy = "this is no sound Parquet file; write it again, without encryption and compressed with snappy or zstd, if at all";
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(cause)) => Err(builder.file(format!("{remedy}: {cause}"))),
        Err(_) => Err(builder.file(remedy.to_owned())),
    }
}

/// The values of a column.
fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<Vec<Cell<'b>>, String> {
    let absent = || format!("the column {} is not in every part of the file; write it again", quoted(name));
    let array = batch.column_by_name(name).ok_or_else(absent)?;
    let foreign = || {
        format!(
            "the column {} is of type {}, which is read from no file; write numbers, text or truth values",
            quoted(name),
            array.data_type()
        )
    };
    let mut cells = values(array.as_ref()).ok_or_else(foreign)?;
    for (i, cell) in cells.iter_mut().enumerate() {
        if array.is_null(i) {
            *cell = Cell::Null;
        }
    }
    Ok(cells)
}

/// The values of an array, whatever stands in the place of a null. `None` of a type that is not read.
fn values(array: &dyn Array) -> Option<Vec<Cell<'_>>> {
    Some(match array.data_type() {
        DataType::Float64 => numbers::<Float64Type>(array, Cell::Number),
        DataType::Float32 => numbers::<Float32Type>(array, |v| Cell::Number(shortest(v))),
        DataType::Int64 => numbers::<Int64Type>(array, Cell::Integer),
        DataType::Int32 => numbers::<Int32Type>(array, |v| Cell::Integer(v.into())),
        DataType::Int16 => numbers::<Int16Type>(array, |v| Cell::Integer(v.into())),
        DataType::Int8 => numbers::<Int8Type>(array, |v| Cell::Integer(v.into())),
        DataType::UInt64 => {
            numbers::<UInt64Type>(array, |v| i64::try_from(v).map_or(Cell::Number(v as f64), Cell::Integer))
        }
        DataType::UInt32 => numbers::<UInt32Type>(array, |v| Cell::Integer(v.into())),
        DataType::UInt16 => numbers::<UInt16Type>(array, |v| Cell::Integer(v.into())),
        DataType::UInt8 => numbers::<UInt8Type>(array, |v| Cell::Integer(v.into())),
        &DataType::Decimal128(_, scale) => {
            let unit = 10f64.powi(scale.into());
            numbers::<Decimal128Type>(array, |v| Cell::Number(v as f64 / unit))
        }
        DataType::Boolean => array.as_boolean_opt()?.iter().map(|v| Cell::Boolean(v.unwrap_or_default())).collect(),
        DataType::Utf8 => array.as_string_opt::<i32>()?.iter().map(text).collect(),
        DataType::LargeUtf8 => array.as_string_opt::<i64>()?.iter().map(text).collect(),
        DataType::Utf8View => array.as_string_view_opt()?.iter().map(text).collect(),
        DataType::Null => vec![Cell::Null; array.len()],
        _ => return None,
    })
}

fn numbers<T: ArrowPrimitiveType>(array: &dyn Array, cell: impl Fn(T::Native) -> Cell<'static>) -> Vec<Cell<'static>> {
    array.as_primitive_opt::<T>().map(|a| a.values().iter().map(|&v| cell(v)).collect()).unwrap_or_default()
}

fn text(value: Option<&str>) -> Cell<'_> {
    value.map_or(Cell::Null, Cell::Text)
}

/// The number that a single-precision value is written as: 0.1 is 0.1, not 0.10000000149.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| value.into())
}
