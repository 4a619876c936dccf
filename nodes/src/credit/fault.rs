//! Rows that do not fit, and where they are.

use std::fmt;

/// The most faults that are kept with their text; the rest are counted.
pub const MAX_FAULTS: usize = 100;

/// The longest part of a value that a text quotes, in characters.
const QUOTED: usize = 40;

/// Where in a file.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    /// A line of a text file, from 1.
    Line(u64),
    /// A row of a Parquet file, from 1.
    Row(u64),
}

/// One value, or one row, that does not fit the schema.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// In which column; `None` if the row as a whole is at fault.
    pub column: Option<String>,
    /// The cause and the remedy.
    pub message: String,
}

/// All faults of a file: the first [`MAX_FAULTS`] with their text, all by number.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    list: Vec<Fault>,
    total: u64,
}

impl Faults {
    /// The first faults, in the order of the file.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn push(&mut self, place: Place, column: Option<&str>, message: impl FnOnce() -> String) {
        self.total += 1;
        if self.list.len() < MAX_FAULTS {
            self.list.push(Fault { place, column: column.map(str::to_owned), message: message() });
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if let Some(column) = &self.column {
            write!(f, ", column {}", quoted(column))?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = if self.total == 1 { "value does" } else { "values do" };
        write!(f, "{} {values} not fit the schema; nothing was accepted", self.total)?;
        for fault in &self.list {
            write!(f, "\n  {fault}")?;
        }
        let more = self.total - self.list.len() as u64;
        if more > 0 { write!(f, "\n  and {more} more; correct these first") } else { Ok(()) }
    }
}

/// A value as texts show it: on one line, without control characters, of bounded length.
pub(super) fn quoted(value: &str) -> String {
    let shown: String = value.chars().take(QUOTED).flat_map(char::escape_debug).collect();
    let rest = if value.chars().nth(QUOTED).is_some() { ".." } else { "" };
    format!("`{shown}{rest}`")
}
