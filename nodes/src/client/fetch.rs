//! Fetching a table back: the shares of all three nodes, batch by batch, compared and put together.

use super::{
    Client, PlainVector,
    node::{NodeClient, PATIENCE, PAUSE, all},
};
use crate::{
    Error,
    api::ProblemKind,
    tables::{ColumnSpec, Incoming, ShareHeader, TableName, TableStatus},
};
use arrow_array::{
    ArrayRef, RecordBatch,
    cast::AsArray,
    types::{ArrowPrimitiveType, UInt16Type, UInt64Type},
};
use reqwest::Response;
use std::{fmt, time::Instant};
use trefoil_circuits::program::RingKind;
use trefoil_engine::{Lanes, Party, Z16, Z64};
use zeroize::Zeroizing;

/// Some rows of a table in the clear. Wiped on drop; does not print what it holds.
#[derive(Debug)]
pub struct TableBatch {
    /// The number of the first row, from 0.
    pub from: u64,
    /// Rows.
    pub rows: usize,
    /// The columns, in the order of the table's description.
    pub columns: Vec<PlainVector>,
}

/// A table on its way back to its owner. Holds one batch of each node. Where a connection breaks, or shares are made anew meanwhile, it goes on from the row where it was.
pub struct TableFetch {
    client: Client,
    table: TableStatus,
    /// The row that comes next.
    row: u64,
    feeds: Option<[Feed; 3]>,
}

/// The stream of one node.
struct Feed {
    response: Response,
    incoming: Incoming,
    /// The batch that comes next.
    ready: Option<RecordBatch>,
}

/// Why a batch could not be had.
enum Broken {
    /// It may be had a moment later.
    Passing(Error),
    Final(Error),
}

impl Client {
    /// Begins to fetch a table that this client has uploaded. Nothing of it has been read yet. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Usage`] if a node has no such table, [`Error::Integrity`] if they describe it differently; [`Error::Unreachable`] or [`Error::Refused`] names the node and the remedy.
    pub async fn fetch_table(&self, name: &TableName, version: u32) -> Result<TableFetch, Error> {
        let mut found: Option<TableStatus> = None;
        for (node, list) in self.nodes.iter().zip(self.tables().await) {
            let here = list?.into_iter().find(|table| table.name == *name && table.version == version);
            let here = here.ok_or_else(|| {
                let me = self.name().map_or_else(|| "this client".to_owned(), ToString::to_string);
                let there = node.name();
                Error::Usage(format!(
                    "{there} has no table {me}/{name}@{version}; `trefoil credit list` says which there are"
                ))
            })?;
            match &found {
                Some(first) if !is_same(first, &here) => {
                    return Err(Error::Integrity(format!(
                        "{} describes {name}@{version} otherwise than {}: they hold different uploads of it, or one of them deviates from the protocol",
                        node.name(),
                        self.node(Party::P0).name()
                    )));
                }
                _ => found = found.or(Some(here)),
            }
        }
        let table = found.ok_or_else(|| Error::Bug("a cluster without nodes".to_owned()))?;
        Ok(TableFetch { client: self.clone(), table, row: 0, feeds: None })
    }
}

impl TableFetch {
    /// What the nodes say of the table.
    pub fn table(&self) -> &TableStatus {
        &self.table
    }

    /// The next rows; `None` after the last. Not cancel safe: what is dropped is fetched again.
    ///
    /// # Errors
    /// [`Error::Integrity`] if copies of a component differ: it names the nodes. [`Error::Unreachable`] or [`Error::Refused`] if nothing has come of one for half a minute, or it hands nothing out.
    pub async fn next(&mut self) -> Result<Option<TableBatch>, Error> {
        let end = Instant::now() + PATIENCE;
        while self.row < self.table.rows {
            match self.step().await {
                Ok(batch) => {
                    self.row += batch.rows as u64;
                    return Ok(Some(batch));
                }
                // All three begin again, from here.
                Err(Broken::Passing(error)) if Instant::now() < end => {
                    tracing::debug!("fetching goes on from row {}: {error}", self.row);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(Broken::Passing(error) | Broken::Final(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn step(&mut self) -> Result<TableBatch, Broken> {
        let mut feeds = match self.feeds.take() {
            Some(feeds) => feeds,
            None => self.open().await?,
        };
        let batch = self.batch(&mut feeds).await?;
        self.feeds = Some(feeds);
        Ok(batch)
    }

    /// Streams of all three nodes from the next row on, of which the first batch is there.
    async fn open(&self) -> Result<[Feed; 3], Broken> {
        let TableStatus { name, version, .. } = &self.table;
        let open = async |node: &NodeClient| {
            let response = node.shares(name, *version, self.row).await.map_err(Broken::of)?;
            let mut feed = Feed { response, incoming: Incoming::default(), ready: None };
            feed.pull(node).await?;
            Ok(feed)
        };
        let [a, b, c] = all(&self.client.nodes, open).await;
        let feeds = [a?, b?, c?];
        let mut first: Option<&ShareHeader> = None;
        for (party, feed) in Party::ALL.into_iter().zip(&feeds) {
            let node = self.client.node(party);
            let Some(header) = feed.incoming.header() else { continue };
            let TableStatus { owner, name, version, sha256, rows, columns, .. } = &self.table;
            let (key, described) = (&header.key, (&header.sha256, &header.rows, &header.columns));
            if (&key.owner, &key.name, &key.version) != (owner, name, version)
                || described != (sha256, rows, columns)
                || (header.party, header.from) != (party, self.row)
            {
                return Err(Broken::Final(Error::Integrity(format!(
                    "{} sends another table than it has described: it was uploaded again meanwhile, or the node deviates from the protocol; fetch it again",
                    node.name()
                ))));
            }
            match first {
                Some(first) if !first.fits(header) => {
                    return Err(Broken::Passing(Error::Integrity(format!(
                        "{} has shares of {name}@{version} of another epoch than {}; if that does not pass, an operator runs `trefoil store compare`",
                        node.name(),
                        self.client.node(first.party).name(),
                    ))));
                }
                _ => first = first.or(Some(header)),
            }
        }
        Ok(feeds)
    }

    /// The next batch of all three, put together.
    async fn batch(&self, feeds: &mut [Feed; 3]) -> Result<TableBatch, Broken> {
        let nodes = &self.client.nodes;
        let [a, b, c] = feeds;
        let (a, b, c) = tokio::join!(a.next(&nodes[0]), b.next(&nodes[1]), c.next(&nodes[2]));
        let held = [a?, b?, c?];
        let counts = held.each_ref().map(RecordBatch::num_rows);
        let [rows, ..] = counts;
        if counts != [rows; 3] {
            return Err(Broken::Final(match odd_one(counts) {
                Some(odd) => self.client.node(odd).nonsense("batches of other rows than both others"),
                None => Error::Integrity(format!(
                    "the three nodes have sent batches of {}, {} and {} rows: two of them at least deviate from the protocol; install the same version of Trefoil on all machines",
                    counts[0], counts[1], counts[2]
                )),
            }));
        }
        let differing = Party::ALL.map(|p| (0..self.table.columns.len()).find(|k| differ(&held, p, *k)));
        if differing.iter().any(Option::is_some) {
            return Err(Broken::Final(self.contradiction(differing, rows)));
        }
        let columns = self.table.columns.iter().enumerate();
        let columns = columns.map(|(k, column)| sum(column.ring, &held.each_ref().map(|batch| batch.column(2 * k))));
        Ok(TableBatch { from: self.row, rows, columns: columns.collect() })
    }

    /// Which nodes contradict each other, by the first column in which the copies of each party and the next differ.
    fn contradiction(&self, differing: [Option<usize>; 3], rows: usize) -> Error {
        let TableStatus { name, version, columns, .. } = &self.table;
        let node = |p: Party| self.client.node(p).name();
        let pairs: Vec<Party> = Party::ALL.into_iter().filter(|p| differing[p.index()].is_some()).collect();
        let who = match pairs[..] {
            [p] => format!("{} and {} have sent different copies of a component; one of them", node(p), node(p.next())),
            [p, q] => {
                // Two of three pairs have one party in common.
                let odd = if p.next() == q { q } else { p };
                format!("{} has sent other copies of components than both other nodes; it", node(odd))
            }
            _ => "all three nodes have sent different copies of components; two of them at least".to_owned(),
        };
        let column = differing.into_iter().flatten().min().and_then(|k| columns.get(k));
        let column: &dyn fmt::Display = column.map_or(&"", |column: &ColumnSpec| &column.name);
        Error::Integrity(format!(
            "{who} deviated from the protocol, or has lost what it held: {name}@{version}, column `{column}`, rows {} to {}. Nothing of it was put together; `trefoil store compare` finds which node's copy has changed since the last comparison",
            self.row,
            self.row + rows as u64 - 1
        ))
    }
}

impl Feed {
    /// Reads until the next batch is there.
    async fn pull(&mut self, node: &NodeClient) -> Result<(), Broken> {
        while self.ready.is_none() {
            self.ready = match self.incoming.batch() {
                Ok(Some((_, batch))) => Some(batch),
                Ok(None) => match node.part(&mut self.response).await.map_err(Broken::Passing)? {
                    Some(bytes) => {
                        self.incoming.push(bytes);
                        None
                    }
                    None => return Err(Broken::Passing(node.nonsense("a stream that ends before the table does"))),
                },
                Err(what) => return Err(Broken::Final(node.nonsense(&what))),
            };
        }
        Ok(())
    }

    async fn next(&mut self, node: &NodeClient) -> Result<RecordBatch, Broken> {
        self.pull(node).await?;
        self.ready.take().ok_or_else(|| Broken::Final(node.nonsense("no batch")))
    }
}

impl Broken {
    fn of(error: Error) -> Self {
        let passes = match &error {
            Error::Unreachable { .. } => true,
            Error::Refused { problem, .. } => matches!(
                problem.kind(),
                Some(
                    ProblemKind::Uploading
                        | ProblemKind::Unready
                        | ProblemKind::Storage
                        | ProblemKind::Busy
                        | ProblemKind::Share
                        | ProblemKind::Rate
                )
            ),
            _ => false,
        };
        if passes { Self::Passing(error) } else { Self::Final(error) }
    }
}

/// The party whose number is another than that of both others; none if all three differ.
fn odd_one(counts: [usize; 3]) -> Option<Party> {
    let count = |p: Party| counts[p.index()];
    Party::ALL.into_iter().find(|p| count(p.next()) == count(p.next().next()) && count(*p) != count(p.next()))
}

/// Whether two nodes describe the same table, in whichever epoch.
fn is_same(one: &TableStatus, other: &TableStatus) -> bool {
    (&one.sha256, one.rows, &one.columns) == (&other.sha256, other.rows, &other.columns)
}

/// Whether a party has another `next` of a column than the next party has `own`.
fn differ(held: &[RecordBatch; 3], party: Party, column: usize) -> bool {
    let (next, own) = (held[party.index()].column(2 * column + 1), held[party.next().index()].column(2 * column));
    // Truth values are compared as such: bits after the last row do not count.
    next.as_ref() != own.as_ref()
}

/// The values of a column: the sum of the three components.
fn sum(ring: RingKind, own: &[&ArrayRef; 3]) -> PlainVector {
    match ring {
        RingKind::Bits => {
            let words = own.map(|array| {
                let bits: Option<Vec<u64>> =
                    array.as_boolean_opt().map(|array| array.values().bit_chunks().iter_padded().collect());
                Zeroizing::new(bits.unwrap_or_default())
            });
            let count = own[0].len().div_ceil(Lanes::COUNT);
            let word = |k: usize| Lanes(words.iter().filter_map(|words| words.get(k)).fold(0, |sum, word| sum ^ word));
            PlainVector::Bits(Zeroizing::new((0..count).map(word).collect()))
        }
        RingKind::Z16 => {
            let own = own.map(values::<UInt16Type>);
            let sum = |k| own.iter().filter_map(|own| own.get(k)).fold(0_u16, |sum, x| sum.wrapping_add(*x));
            PlainVector::Z16(Zeroizing::new((0..own[0].len()).map(|k| Z16(sum(k))).collect()))
        }
        RingKind::Z64 => {
            let own = own.map(values::<UInt64Type>);
            let sum = |k| own.iter().filter_map(|own| own.get(k)).fold(0_u64, |sum, x| sum.wrapping_add(*x));
            PlainVector::Z64(Zeroizing::new((0..own[0].len()).map(|k| Z64(sum(k))).collect()))
        }
    }
}

/// The numbers of an array; the header has said of which type it is.
fn values<T: ArrowPrimitiveType>(array: &ArrayRef) -> &[T::Native] {
    array.as_primitive_opt::<T>().map_or(&[], |array| array.values().as_ref())
}

impl fmt::Debug for TableFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, version) = (&self.table.name, self.table.version);
        write!(f, "TableFetch({name}@{version}, row {} of {})", self.row, self.table.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_with_a_batch_of_another_size_is_the_one_that_is_named() {
        for (counts, odd) in [
            ([64, 128, 128], Some(Party::P0)),
            ([128, 64, 128], Some(Party::P1)),
            ([128, 128, 64], Some(Party::P2)),
            ([64, 128, 192], None),
            ([64; 3], None),
        ] {
            assert_eq!(odd_one(counts), odd, "{counts:?}");
        }
    }
}
