//! CSV files (RFC 4180): a header, quotes, any line ends, UTF-8 with or without a byte order mark.

use super::{
    MAX_RECORD_BYTES,
    build::Builder,
    lines::{Lines, TOO_LONG},
    value::Cell,
};
use crate::credit::{Place, Schema, Table, TableError};
use csv::{ByteRecord, ReaderBuilder, StringRecord};
use std::{io::Read, path::Path};

/// Reads a table from the text of a CSV file; `path` is what errors call it.
///
/// # Errors
/// As [`read`](super::read).
pub fn read_csv(schema: &Schema, path: &Path, source: impl Read) -> Result<Table, TableError> {
    let (lines, tracker) = Lines::new(source);
    // Fields are counted here, so that every wrong row is reported and not only the first.
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(schema.delimiter()).from_reader(lines);
    let mut builder = Builder::new(schema, path);
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(|e| broken(path, e, tracker.line()))? {
        return Err(
            builder.file("the file is empty; write a header with the names of the columns, and the rows".into())
        );
    }
    let header = StringRecord::from_byte_record(record.clone()).map_err(|_| {
        builder.file("the header is not UTF-8; save the file in that encoding (and not in UTF-16)".to_owned())
    })?;
    let names: Vec<&str> = header.iter().map(str::trim).collect();
    let positions = builder.locate(&names)?;
    loop {
        tracker.next_record(reader.position().byte());
        if !reader.read_byte_record(&mut record).map_err(|e| broken(path, e, tracker.line()))? {
            return builder.finish();
        }
        let place = Place::Line(tracker.line());
        if record.len() != header.len() {
            builder.misshapen(place, record.len(), header.len())?;
        } else if let Some(text) =
            positions.iter().map(|&at| str::from_utf8(&record[at]).ok()).collect::<Option<Vec<_>>>()
        {
            builder.row(place, |i| text.get(i).map_or(Cell::Null, |text| Cell::Text(text)))?;
        } else {
            builder.illegible(place)?;
        }
    }
}

fn broken(path: &Path, error: csv::Error, line: u64) -> TableError {
    let path = path.to_owned();
    match error.into_kind() {
        csv::ErrorKind::Io(e) if e.kind() == TOO_LONG => TableError::Broken {
            path,
            place: Place::Line(line),
            message: format!(
                "the row has more than {MAX_RECORD_BYTES} bytes; look for a quote that is not closed, or another delimiter"
            ),
        },
        csv::ErrorKind::Io(source) => TableError::Read { path, source },
        other => {
            TableError::Broken { path, place: Place::Line(line), message: format!("this is no CSV file: {other:?}") }
        }
    }
}
