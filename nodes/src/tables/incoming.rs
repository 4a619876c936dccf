//! A stream of shares as its owner reads it: bytes as they come from a node, which may send anything.

use super::{ShareHeader, share_header::GRAIN};
use crate::contain::contain;
use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use bytes::Bytes;
use std::fmt;

/// Bytes of the schema and of a batch together at most. Batches of nodes have a third of that.
const MOST: usize = 16 << 20;

/// Reads one stream, from its first byte on. Batches are of the columns that its header names, have no nulls, and begin where the one before has ended.
#[derive(Default)]
pub struct Incoming {
    decoder: StreamDecoder,
    rest: Buffer,
    header: Option<ShareHeader>,
    /// Bytes since the last batch.
    since: usize,
    /// The row that comes next.
    row: u64,
}

impl Incoming {
    /// What it says of itself, once that has come.
    pub fn header(&self) -> Option<&ShareHeader> {
        self.header.as_ref()
    }

    /// Takes the bytes that come next. All batches of those before have been taken.
    pub fn push(&mut self, bytes: Bytes) {
        debug_assert!(self.rest.is_empty(), "what came before is read first");
        self.rest = Buffer::from(bytes);
    }

    /// The next batch, with the number of its first row; `None` if more bytes are needed.
    ///
    /// # Errors
    /// What the node has sent instead of a stream of shares.
    pub fn batch(&mut self) -> Result<Option<(u64, RecordBatch)>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let before = self.rest.len();
        // Arrow's decoder is not made for who wants to break it.
        let decoded = contain(|| self.decoder.decode(&mut self.rest)).ok_or("what is no Arrow stream")?;
        let batch = decoded.map_err(|e| format!("what is no Arrow stream ({e})"))?;
        self.since += before - self.rest.len();
        if self.since > MOST {
            return Err(format!("a batch of more than {MOST} bytes"));
        }
        if let (None, Some(schema)) = (&self.header, self.decoder.schema()) {
            let header = ShareHeader::read(&schema).map_err(|e| format!("shares that cannot be told ({e})"))?;
            self.row = header.from;
            self.header = Some(header);
        }
        let Some(batch) = batch else { return Ok(None) };
        self.since = 0;
        let rows = self.header.as_ref().map_or(0, |header| header.rows);
        let (first, count) = (self.row, batch.num_rows() as u64);
        let end = first.checked_add(count).filter(|end| *end <= rows).ok_or("more rows than the table has")?;
        if count == 0 || (end < rows && !count.is_multiple_of(GRAIN)) {
            return Err("a batch that ends within a word".to_owned());
        }
        if batch.columns().iter().any(|column| column.null_count() > 0) {
            return Err("shares that are missing".to_owned());
        }
        self.row = end;
        Ok(Some((first, batch)))
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("header", &self.header).field("row", &self.row).finish_non_exhaustive()
    }
}
