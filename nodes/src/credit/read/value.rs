//! One value of a file, by the rule of its column.

use crate::credit::{Column, Kind, Outside, Schema, fault::quoted};

/// The longest key of a customer, in bytes.
const MAX_KEY: usize = 256;

/// What to do if a text is how a file writes that there is no value.
const MARKER: &str = "; if it stands for a missing value, put it in `missing_markers` of the schema";

/// What programs write where there is no value, in lower case.
const USUAL_MARKERS: [&str; 11] = ["", "?", "-", ".", "na", "n/a", "#n/a", "nan", "none", "null", "\\n"];

/// A value as a file has it.
#[derive(Clone, Copy)]
pub(in crate::credit) enum Cell<'a> {
    /// None.
    Null,
    /// Text, or a field of a CSV file.
    Text(&'a str),
    /// A number.
    Number(f64),
    /// A number that stands for others too, which were rounded to it.
    Rounded(f64),
    /// A whole number, of any type that files have.
    Integer(i128),
    /// A truth value.
    Boolean(bool),
}

/// What a value is.
pub(in crate::credit) enum Parsed {
    Number(f64),
    Level(u32),
    Boolean(bool),
    Key(String),
    Label(bool),
    Missing,
    /// Out of range; the text says how.
    Outside(String),
    /// Not of the column's type; the text says how.
    Wrong(String),
}

impl Parsed {
    /// Whether a row with this value is to be left out.
    pub(super) fn drops(&self, column: &Column) -> bool {
        matches!((self, &column.kind), (Self::Outside(_), Kind::Number { outside: Outside::Drop, .. }))
    }
}

/// Reads a value by the rule of its column.
pub(in crate::credit) fn parse(column: &Column, schema: &Schema, cell: Cell<'_>) -> Parsed {
    let cell = match cell {
        Cell::Text(text) => Cell::Text(text.trim()),
        other => other,
    };
    match cell {
        Cell::Null => return Parsed::Missing,
        Cell::Number(value) if value.is_nan() => return Parsed::Missing,
        Cell::Text(text) if schema.missing_markers().iter().any(|marker| marker == text) => return Parsed::Missing,
        _ => {}
    }
    match &column.kind {
        Kind::Number { integer, scale, range, .. } => match number(cell, *integer) {
            Ok(value) if value >= range.0 && value <= range.1 => Parsed::Number(value * scale),
            Ok(value) => Parsed::Outside(format!(
                "{value} is out of range; the schema allows {} to {}, so correct the value or the range",
                range.0, range.1
            )),
            Err(message) => Parsed::Wrong(message),
        },
        Kind::Category { levels, .. } => {
            let own = text(cell);
            match (0u32..).zip(levels).find(|(_, level)| **level == own) {
                Some((position, _)) => Parsed::Level(position),
                None => Parsed::Wrong(format!(
                    "{} is none of the levels ({}); correct the value or add the level{}",
                    quoted(&own),
                    some(levels),
                    if is_usual_marker(&own) { MARKER } else { "" }
                )),
            }
        }
        Kind::Boolean { yes, no } => match truth(cell, yes, no) {
            Ok(value) => Parsed::Boolean(value),
            Err(message) => Parsed::Wrong(message),
        },
        Kind::Label { bad, good } => match truth(cell, bad, good) {
            Ok(value) => Parsed::Label(value),
            Err(message) => Parsed::Wrong(message),
        },
        Kind::Key => key(cell),
    }
}

/// A finite number, whole if it must be.
fn number(cell: Cell<'_>, integer: bool) -> Result<f64, String> {
    let whole = if integer { "whole number" } else { "number" };
    let value = match cell {
        Cell::Number(value) | Cell::Rounded(value) => value,
        // Beyond 2^53 the value is rounded; it is out of every range then.
        Cell::Integer(value) => value as f64,
        Cell::Text(text) => {
            let remedy = || {
                let hint = if text.contains(',') {
                    ", with a point before the fraction and nothing between thousands"
                } else if text.bytes().any(|b| b.is_ascii_digit()) {
                    ""
                } else {
                    MARKER
                };
                format!("{} is no {whole}; write one, as in {}{hint}", quoted(text), if integer { "42" } else { "3.5" })
            };
            // The standard library also reads `inf` and `nan`.
            let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
            plain.then(|| text.parse().ok()).flatten().ok_or_else(remedy)?
        }
        Cell::Null | Cell::Boolean(_) => {
            return Err(format!("a truth value is no {whole}; correct the type in the schema"));
        }
    };
    if !value.is_finite() {
        return Err(format!("{value} is no finite number; correct it"));
    }
    // Exact: a whole number has no fraction at all.
    #[allow(clippy::float_cmp)]
    if integer && value.trunc() != value {
        return Err(format!("{value} is no whole number; round it, or make the column's type \"number\""));
    }
    // There is one zero.
    Ok(value + 0.0)
}

/// One of two texts, or a truth value of the file format.
fn truth(cell: Cell<'_>, one: &str, zero: &str) -> Result<bool, String> {
    if let Cell::Boolean(value) = cell {
        return Ok(value);
    }
    let own = text(cell);
    if own == one {
        Ok(true)
    } else if own == zero {
        Ok(false)
    } else {
        Err(format!(
            "{} is neither {} nor {}; correct the value or the schema{}",
            quoted(&own),
            quoted(one),
            quoted(zero),
            if is_usual_marker(&own) { MARKER } else { "" }
        ))
    }
}

/// Whether files often write so that there is no value.
fn is_usual_marker(text: &str) -> bool {
    USUAL_MARKERS.iter().any(|marker| text.eq_ignore_ascii_case(marker))
}

fn key(cell: Cell<'_>) -> Parsed {
    let own = text(cell);
    if let Cell::Rounded(_) = cell {
        return Parsed::Wrong(format!(
            "the key {own} may be that of several customers, whose keys are the same number when they are rounded; write keys as whole numbers or as text"
        ));
    }
    if own.len() > MAX_KEY {
        return Parsed::Wrong(format!("the key has {} bytes; use keys of at most {MAX_KEY}", own.len()));
    }
    if own.is_empty() { Parsed::Missing } else { Parsed::Key(own) }
}

/// The text of a value: levels and keys may be numbers in a Parquet file.
fn text(cell: Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Text(text) => text.to_owned(),
        Cell::Number(value) | Cell::Rounded(value) => (value + 0.0).to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Boolean(value) => value.to_string(),
    }
}

/// The first levels, for a text.
fn some(levels: &[String]) -> String {
    let shown: Vec<String> = levels.iter().take(8).map(|level| quoted(level)).collect();
    let more =
        if levels.len() > shown.len() { format!(" and {} more", levels.len() - shown.len()) } else { String::new() };
    shown.join(", ") + &more
}
