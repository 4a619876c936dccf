//! Which rows are held out from training.

use super::{Table, TableError};
use crate::config::ConfigError;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Read},
    num::NonZeroUsize,
    path::Path,
};

/// The longest line of a list of rows, in bytes: more than any row number has.
const MAX_LINE: u64 = 64;

/// The positions in a table of the rows to train on, and of those held out, each in the order of the table: about one of `every`.
///
/// If the table has keys, it is customers that are held out: those of whose keys a hash is a multiple of `every`. Tables of the same customers, whoever has them and in whatever order, are
/// split in the same way then. If not, it is every so manieth row.
pub fn split_every(table: &Table, every: NonZeroUsize) -> (Vec<usize>, Vec<usize>) {
    let every = every.get();
    let held_out = |row: usize| match table.keys() {
        Some(keys) => keys.get(row).is_some_and(|key| hash(key).is_multiple_of(every as u64)),
        None => row % every == every - 1,
    };
    let (held_out, train) = (0..table.rows()).partition(|row| held_out(*row));
    (train, held_out)
}

/// For the split alone: it says nothing of what else is made of a key.
fn hash(key: &str) -> u64 {
    let digest = Sha256::new().chain_update(b"trefoil/v1/held-out/").chain_update(key).finalize();
    let (words, _) = digest.as_chunks::<8>();
    u64::from_le_bytes(words[0])
}

/// The rows of a file that are held out from training, by their number in the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeldOut {
    rows: BTreeSet<u64>,
}

impl HeldOut {
    /// Reads a list of row numbers, one a line; the first row below the header is row 1. Empty lines are skipped.
    ///
    /// # Errors
    /// A file that cannot be read, a line that is no row number, or a number that is given twice.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let failed = |source| TableError::Read { path: path.to_owned(), source };
        Self::parse(path, File::open(path).map_err(failed)?)
    }

    /// As [`read`](Self::read), from any source; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(path: &Path, source: impl Read) -> Result<Self, TableError> {
        let mut source = BufReader::new(source);
        let mut rows = BTreeSet::new();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = (&mut source).take(MAX_LINE).read_until(b'\n', &mut line);
            if read.map_err(|source| TableError::Read { path: path.to_owned(), source })? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let at = |message: &str| ConfigError::Line {
                path: path.to_owned(),
                line: number,
                message: message.to_owned(),
                text: text.escape_debug().to_string(),
            };
            let row = text.parse().ok().filter(|&row: &u64| row > 0);
            let row = row.ok_or_else(|| at("this is no row number; write one number from 1 up on each line"))?;
            if !rows.insert(row) {
                return Err(at("this row is in the list twice; remove one of the lines").into());
            }
        }
        Ok(Self { rows })
    }

    /// How many rows the list has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row is held out.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The positions in the table of the rows to train on, and of those held out, each in the order of the table.
    ///
    /// # Errors
    /// A row of the list that the table does not have: it was left out by the schema, or belongs to another file.
    pub fn split(&self, table: &Table) -> Result<(Vec<usize>, Vec<usize>), TableError> {
        let (held_out, train): (Vec<_>, Vec<_>) =
            (0..table.rows()).partition(|&i| self.rows.contains(&table.row_numbers()[i]));
        if held_out.len() == self.rows.len() {
            return Ok((train, held_out));
        }
        let kept: BTreeSet<u64> = table.row_numbers().iter().copied().collect();
        let absent = self.rows.difference(&kept).next().copied().unwrap_or_default();
        Err(TableError::Mismatch(format!(
            "row {absent} is to be held out, but the table has none of that number: the schema drops it, or the list belongs \
             to another file"
        )))
    }
}
