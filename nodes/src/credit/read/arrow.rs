//! Arrow IPC files and streams: columns of numbers, text and truth values, without nesting.

use super::{
    arrays::{BATCH, column, contained},
    build::Builder,
    value::Cell,
};
use crate::credit::{Place, Schema, Table, TableError};
use arrow_ipc::reader::StreamReader;
use std::{
    io::{self, BufReader, Cursor, Read},
    path::Path,
};

/// What an Arrow file starts with: these and zeros, eight bytes or more, and after them a stream.
const FILE: &[u8] = b"ARROW1";

/// Zeros that may follow the name of a file at most.
const PADDING: usize = 64;

/// What an Arrow stream starts with.
const STREAM: [u8; 4] = [0xff; 4];

/// What a file that cannot be read is answered by.
const REMEDY: &str = "this is no sound Arrow file or stream; write it again, without compression of its buffers";

/// Whether a file that begins like this is one of Arrow's.
pub(super) fn is_arrow(start: &[u8]) -> bool {
    start.starts_with(FILE) || start.starts_with(&STREAM)
}

/// Reads a table from an Arrow IPC file or stream, batch by batch; `path` is what errors call it.
///
/// # Errors
/// As [`read`](super::read).
pub fn read_arrow(schema: &Schema, path: &Path, mut source: impl Read) -> Result<Table, TableError> {
    let mut builder = Builder::new(schema, path);
    let before = contained(&builder, REMEDY, || beginning(&mut source).map_err(|e| e.to_string()))?;
    let source = BufReader::new(Cursor::new(before).chain(source));
    let mut reader = contained(&builder, REMEDY, || StreamReader::try_new(source, None).map_err(|e| e.to_string()))?;
    let of_file = reader.schema();
    let names: Vec<&str> = of_file.fields().iter().map(|field| field.name().as_str()).collect();
    builder.locate(&names)?;
    let columns: Vec<&str> = schema.columns().iter().map(|column| column.name.as_str()).collect();
    let mut row = 0u64;
    while let Some(batch) = contained(&builder, REMEDY, || reader.next().transpose().map_err(|e| e.to_string()))? {
        for first in (0..batch.num_rows()).step_by(BATCH) {
            let some = batch.slice(first, BATCH.min(batch.num_rows() - first));
            let cells = columns.iter().map(|name| column(&some, name)).collect::<Result<Vec<_>, _>>();
            let cells = cells.map_err(|message| builder.file(message))?;
            for i in 0..some.num_rows() {
                row += 1;
                let cell = |at: usize| cells.get(at).and_then(|c| c.get(i)).copied().unwrap_or(Cell::Null);
                builder.row(Place::Row(row), cell)?;
            }
        }
    }
    builder.finish()
}

/// What has been read of the stream: its first bytes. What follows the name of a file is a stream; the list of its batches at the end is not needed.
fn beginning(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = [0; 8];
    source.read_exact(&mut start)?;
    if !start.starts_with(FILE) {
        return Ok(start.to_vec());
    }
    // Writers that align everything to cache lines begin with that.
    let mut word = [0; 4];
    for _ in 0..=PADDING / word.len() {
        source.read_exact(&mut word)?;
        if word != [0; 4] {
            break;
        }
    }
    Ok(word.to_vec())
}
