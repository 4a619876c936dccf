//! Arrays of Arrow as values, for the file formats that are read into them.

use super::{build::Builder, value::Cell};
use crate::{
    contain::contain,
    credit::{TableError, fault::quoted},
};
use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{
        ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
        UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_schema::DataType;

/// The rows that are in memory in the file's own form.
pub(super) const BATCH: usize = 1024;

/// Runs a step of a library. Some of its decoders panic on damaged files, which must not end the program.
pub(super) fn contained<T>(
    builder: &Builder<'_>,
    remedy: &str,
    step: impl FnOnce() -> Result<T, String>,
) -> Result<T, TableError> {
    match contain(step) {
        Some(Ok(value)) => Ok(value),
        Some(Err(cause)) => Err(builder.file(format!("{remedy}: {cause}"))),
        None => Err(builder.file(remedy.to_owned())),
    }
}

/// The values of a column.
pub(super) fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<Vec<Cell<'b>>, String> {
    let absent = || format!("the column {} is not in every part of the file; write it again", quoted(name));
    let array = batch.column_by_name(name).ok_or_else(absent)?;
    let foreign = || {
        format!(
            "the column {} is of type {}, which is read from no file; write numbers, text or truth values",
            quoted(name),
            array.data_type()
        )
    };
    cells(array.as_ref()).ok_or_else(foreign)
}

/// The values of an array. `None` of a type that is not read.
fn cells(array: &dyn Array) -> Option<Vec<Cell<'_>>> {
    let mut cells = values(array)?;
    for (i, cell) in cells.iter_mut().enumerate() {
        if array.is_null(i) {
            *cell = Cell::Null;
        }
    }
    Some(cells)
}

/// The values of an array, whatever stands in the place of a null. `None` of a type that is not read.
fn values(array: &dyn Array) -> Option<Vec<Cell<'_>>> {
    Some(match array.data_type() {
        DataType::Float64 => numbers::<Float64Type>(array, Cell::Number),
        DataType::Float32 => numbers::<Float32Type>(array, |v| Cell::Number(shortest(v))),
        DataType::Int64 => numbers::<Int64Type>(array, |v| Cell::Integer(v.into())),
        DataType::Int32 => numbers::<Int32Type>(array, |v| Cell::Integer(v.into())),
        DataType::Int16 => numbers::<Int16Type>(array, |v| Cell::Integer(v.into())),
        DataType::Int8 => numbers::<Int8Type>(array, |v| Cell::Integer(v.into())),
        DataType::UInt64 => numbers::<UInt64Type>(array, |v| Cell::Integer(v.into())),
        DataType::UInt32 => numbers::<UInt32Type>(array, |v| Cell::Integer(v.into())),
        DataType::UInt16 => numbers::<UInt16Type>(array, |v| Cell::Integer(v.into())),
        DataType::UInt8 => numbers::<UInt8Type>(array, |v| Cell::Integer(v.into())),
        &DataType::Decimal128(_, scale) => {
            let unit = 10f64.powi(scale.into());
            let whole = u32::try_from(scale).ok().and_then(|scale| 10i128.checked_pow(scale));
            // Keys of customers are often whole numbers of more digits than a double has.
            let exact = |v| whole.filter(|whole| v % whole == 0).map(|whole| Cell::Integer(v / whole));
            numbers::<Decimal128Type>(array, |v| exact(v).unwrap_or(Cell::Number(v as f64 / unit)))
        }
        DataType::Boolean => array.as_boolean_opt()?.iter().map(|v| Cell::Boolean(v.unwrap_or_default())).collect(),
        DataType::Utf8 => array.as_string_opt::<i32>()?.iter().map(text).collect(),
        DataType::LargeUtf8 => array.as_string_opt::<i64>()?.iter().map(text).collect(),
        DataType::Utf8View => array.as_string_view_opt()?.iter().map(text).collect(),
        DataType::Dictionary(..) => {
            let array = array.as_any_dictionary_opt()?;
            let levels = cells(array.values().as_ref())?;
            let keys = if levels.is_empty() { Vec::new() } else { array.normalized_keys() };
            let level = |k: usize| keys.get(k).and_then(|key| levels.get(*key)).copied().unwrap_or(Cell::Null);
            (0..array.len()).map(level).collect()
        }
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
