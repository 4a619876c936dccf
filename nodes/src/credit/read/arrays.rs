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
        DataType::Float64 => numbers::<Float64Type>(array, |v| float(v, f64::MANTISSA_DIGITS)),
        DataType::Float32 => numbers::<Float32Type>(array, |v| float(shortest(v), f32::MANTISSA_DIGITS)),
        DataType::Int64 => numbers::<Int64Type>(array, |v| Cell::Integer(v.into())),
        DataType::Int32 => numbers::<Int32Type>(array, |v| Cell::Integer(v.into())),
        DataType::Int16 => numbers::<Int16Type>(array, |v| Cell::Integer(v.into())),
        DataType::Int8 => numbers::<Int8Type>(array, |v| Cell::Integer(v.into())),
        DataType::UInt64 => numbers::<UInt64Type>(array, |v| Cell::Integer(v.into())),
        DataType::UInt32 => numbers::<UInt32Type>(array, |v| Cell::Integer(v.into())),
        DataType::UInt16 => numbers::<UInt16Type>(array, |v| Cell::Integer(v.into())),
        DataType::UInt8 => numbers::<UInt8Type>(array, |v| Cell::Integer(v.into())),
        &DataType::Decimal128(_, scale) => numbers::<Decimal128Type>(array, |v| decimal(v, scale)),
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

/// A number of so many binary digits.
fn float(value: f64, digits: u32) -> Cell<'static> {
    // From here on not every whole number has one of its own.
    let distinct = f64::from(digits).exp2();
    if value.abs() >= distinct { Cell::Rounded(value) } else { Cell::Number(value) }
}

/// So many units of the last decimal place. Keys of customers are often whole numbers of more digits than a double has.
fn decimal(units: i128, scale: i8) -> Cell<'static> {
    let power = 10i128.checked_pow(scale.unsigned_abs().into());
    let whole = match power {
        Some(power) if scale < 0 => units.checked_mul(power),
        Some(power) if units % power == 0 => Some(units / power),
        _ => None,
    };
    let value = units as f64 / 10f64.powi(scale.into());
    // As many decimal digits are told apart by every double.
    let distinct = units.unsigned_abs() < 10u128.pow(f64::DIGITS);
    match whole {
        Some(whole) => Cell::Integer(whole),
        None if distinct => Cell::Number(value),
        None => Cell::Rounded(value),
    }
}

fn text(value: Option<&str>) -> Cell<'_> {
    value.map_or(Cell::Null, Cell::Text)
}

/// The number that a single-precision value is written as: 0.1 is 0.1, not 0.10000000149.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arrow has them, Parquet does not.
    #[test]
    fn decimals_of_negative_scale_are_whole_numbers_if_there_is_room() {
        assert!(matches!(decimal(7, -3), Cell::Integer(7000)));
        assert!(matches!(decimal(7, -38), Cell::Number(value) if (value - 7e38).abs() < 1e25));
        assert!(matches!(decimal(i128::MIN, 127), Cell::Rounded(_)));
    }
}
