//! Tables on their way back to their owners: this node's shares as record batches of Arrow, one at a time.

use super::{Content, Epoch, Expiry, Provenance, ShareHeader, StoredTable, TableKey, TableStore, share_header::GRAIN};
use crate::job::Sha256Hex;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt16Array, UInt64Array};
use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer, ToByteSlice};
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{ArrowError, SchemaRef};
use bytes::Bytes;
use serde::Deserialize;
use std::{
    fmt,
    ops::Range,
    sync::{Arc, Weak},
};
use trefoil_circuits::program::RingKind;
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// Bytes of a batch, but for tables of which 64 rows have more: 4 MiB at most.
const BATCH: u64 = 1 << 20;

/// Where a download begins.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The first row, from 0: a multiple of 64.
    #[serde(default)]
    pub from: u64,
    /// The shares that it has to be of, if those of rows before are here already.
    pub mark: Option<Sha256Hex>,
}

/// Why a table is not handed out, or not to its end.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OutgoingFault {
    /// There is none.
    #[error("this node has no {0}; GET /v1/tables lists your tables")]
    Missing(Box<TableKey>),
    /// Its owner does not know what it holds.
    #[error(
        "{0} is not handed out: a job has computed it, or it was stored before nodes wrote down who made a table. Only what its owner has uploaded can be fetched; what a job may tell are its outputs"
    )]
    Computed(Box<TableKey>),
    /// Its time is over.
    #[error("{0} has expired at {1}")]
    Expired(Box<TableKey>, Expiry),
    /// There is no batch that begins there.
    #[error("the parameter from is {from}; it has to be a multiple of {GRAIN} below {rows}, the rows of the table")]
    Row {
        /// What was asked for.
        from: u64,
        /// Rows of the table.
        rows: u64,
    },
    /// It has other shares than those that were asked for, or than those at the beginning.
    #[error(
        "the shares of {0} are others by now: they were made anew, or it was uploaded again. Components of before do not fit to these; leave the parameter mark out and begin again at all three nodes"
    )]
    Renewed(Box<TableKey>),
    /// Our fault.
    #[error("a batch could not be made: {0}; please report this")]
    Encode(String),
}

/// One download. Holds a batch at a time, and the shares of no epoch but the one in use: whoever is slow keeps nothing from being erased.
pub struct Outgoing {
    store: Arc<TableStore>,
    /// A table that is deleted goes at once.
    table: Weak<StoredTable>,
    key: TableKey,
    digest: [u8; 32],
    epoch: Epoch,
    schema: SchemaRef,
    /// What each column has, and where it begins in a component.
    columns: Vec<(RingKind, usize)>,
    rows: u64,
    next: u64,
    /// Rows of a batch.
    at_once: u64,
    /// None when it has ended.
    encoder: Option<StreamEncoder>,
}

impl Outgoing {
    /// A download of a table by its owner.
    ///
    /// # Errors
    /// [`OutgoingFault`].
    pub fn open(
        store: &Arc<TableStore>,
        key: &TableKey,
        party: Party,
        Start { from, mark }: Start,
    ) -> Result<Self, OutgoingFault> {
        let table = store.get(key).ok_or_else(|| OutgoingFault::Missing(Box::new(key.clone())))?;
        if table.provenance() != Provenance::Uploaded {
            return Err(OutgoingFault::Computed(Box::new(key.clone())));
        }
        let (spec, epoch) = (table.spec(), table.content().epoch());
        let current = Sha256Hex(epoch.mark(table.digest()));
        if mark.is_some_and(|mark| mark != current) {
            return Err(OutgoingFault::Renewed(Box::new(key.clone())));
        }
        if !from.is_multiple_of(GRAIN) || from >= spec.rows {
            return Err(OutgoingFault::Row { from, rows: spec.rows });
        }
        let header = ShareHeader {
            key: key.clone(),
            upload: spec.upload,
            sha256: Sha256Hex(*table.digest()),
            epoch: epoch.number,
            mark: current,
            party,
            rows: spec.rows,
            from,
            columns: spec.columns.clone(),
        };
        let columns = spec.columns.iter().enumerate().scan(0, |end, (k, column)| {
            let start = *end;
            *end += spec.shape(k).component_bytes();
            Some((column.ring, start))
        });
        let schema = Arc::new(header.schema());
        let this = Self {
            store: store.clone(),
            table: Arc::downgrade(&table),
            key: header.key,
            digest: *table.digest(),
            epoch,
            columns: columns.collect(),
            rows: spec.rows,
            next: from,
            at_once: rows_at_once(spec.columns.iter().map(|column| column.ring)),
            encoder: Some(StreamEncoder::try_new(&schema).map_err(|e| broken(&e))?),
            schema,
        };
        this.content().map(drop)?;
        Ok(this)
    }

    /// The digest of the table's description.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The shares, if they are those in use still.
    fn content(&self) -> Result<Arc<Content>, OutgoingFault> {
        let key = || Box::new(self.key.clone());
        let there = self.store.get(&self.key).filter(|table| std::ptr::eq(Arc::as_ptr(table), self.table.as_ptr()));
        let table = there.ok_or_else(|| OutgoingFault::Missing(key()))?;
        if let Some(expires) = table.spec().expires.filter(|_| self.store.has_expired(&table)) {
            return Err(OutgoingFault::Expired(key(), expires));
        }
        let content = table.content();
        if content.epoch() == self.epoch { Ok(content) } else { Err(OutgoingFault::Renewed(key())) }
    }

    fn batch(&self, rows: Range<u64>) -> Result<RecordBatch, OutgoingFault> {
        let content = self.content()?;
        let columns = self.columns.iter();
        let arrays =
            columns.flat_map(|(ring, start)| [0, 1].map(|c| array(*ring, &content.component(c)[*start..], &rows)));
        RecordBatch::try_new(self.schema.clone(), arrays.collect()).map_err(|e| broken(&e))
    }

    fn encoded(&mut self) -> Result<Vec<Buffer>, OutgoingFault> {
        let rows = self.next..self.rows.min(self.next + self.at_once);
        if rows.is_empty() {
            return self.encoder.take().map_or(Ok(Vec::new()), StreamEncoder::finish).map_err(|e| broken(&e));
        }
        let batch = self.batch(rows.clone())?;
        self.next = rows.end;
        self.encoder.as_mut().map_or(Ok(Vec::new()), |encoder| encoder.encode(&batch)).map_err(|e| broken(&e))
    }
}

impl Iterator for Outgoing {
    type Item = Result<Vec<Buffer>, OutgoingFault>;

    /// The bytes of the next batch, with those of the schema before the first one, or of the end after the last.
    fn next(&mut self) -> Option<Self::Item> {
        self.encoder.as_ref()?;
        let encoded = self.encoded();
        if encoded.is_err() {
            self.encoder = None;
        }
        Some(encoded)
    }
}

/// Rows of a batch: as many at all nodes.
fn rows_at_once(columns: impl Iterator<Item = RingKind>) -> u64 {
    let bits = columns.map(|ring| match ring {
        RingKind::Bits => 2,
        RingKind::Z16 => 2 * 16,
        RingKind::Z64 => 2 * 64,
    });
    (8 * BATCH / bits.sum::<u64>().max(1) / GRAIN * GRAIN).max(GRAIN)
}

/// Rows of a column, the first of which begins a word.
fn array(ring: RingKind, column: &[u8], rows: &Range<u64>) -> ArrayRef {
    // A table in memory has no more rows than there are addresses.
    let (first, last) = (rows.start as usize, rows.end as usize);
    let (count, bytes) = match ring {
        RingKind::Bits => (last - first, first / 8..last.div_ceil(GRAIN as usize) * 8),
        RingKind::Z16 => (last - first, 2 * first..2 * last),
        RingKind::Z64 => (last - first, 8 * first..8 * last),
    };
    let buffer = Buffer::from(Bytes::from_owner(Words::of(&column[bytes])));
    match ring {
        RingKind::Bits => Arc::new(BooleanArray::new(BooleanBuffer::new(buffer, 0, count), None)),
        RingKind::Z16 => Arc::new(UInt16Array::new(ScalarBuffer::new(buffer, 0, count), None)),
        RingKind::Z64 => Arc::new(UInt64Array::new(ScalarBuffer::new(buffer, 0, count), None)),
    }
}

/// A part of a component where Arrow can have it, at the address of a word. Wiped on drop.
struct Words(Zeroizing<Vec<u64>>);

impl Words {
    fn of(bytes: &[u8]) -> Self {
        let word = |part: &[u8]| {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            u64::from_le_bytes(word)
        };
        Self(Zeroizing::new(bytes.chunks(8).map(word).collect()))
    }
}

impl AsRef<[u8]> for Words {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice().to_byte_slice()
    }
}

fn broken(error: &ArrowError) -> OutgoingFault {
    OutgoingFault::Encode(error.to_string())
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("table", &self.key).field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
