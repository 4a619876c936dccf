//! Storing tables at all three nodes, or at none.

use super::{Client, Plain, node::all, upload::components};
use crate::{
    Error,
    job::frame,
    tables::{ColumnName, ColumnSpec, Expiry, Permit, TableName, TableSpec, TableStatus, UploadId},
};
use bytes::Bytes;
use std::fmt::Write as _;
use trefoil_circuits::program::Shape;
use trefoil_engine::Party;

/// A table in the clear, about to be split. Does not print what it holds.
#[derive(Clone, Debug)]
pub struct NewTable<'a> {
    /// Its name, among those of this client.
    pub name: TableName,
    /// Its version, which must not be there yet.
    pub version: u32,
    /// Rows.
    pub rows: usize,
    /// Its columns: entries of one ring, as many as there are rows.
    pub columns: Vec<(ColumnName, Plain<'a>)>,
    /// Who may use it for what; without permits it cannot be used.
    pub permits: Vec<Permit>,
    /// From when on it may not be used: the nodes erase it then.
    pub expires: Option<Expiry>,
}

impl Client {
    /// Splits a table and stores at each node its two components of every column. If a node does not take it, it is deleted at the others.
    ///
    /// Cancelled, it deletes in the background what it has stored, as long as the runtime lives.
    ///
    /// # Errors
    /// [`Error::Usage`] if a column has not as many entries as there are rows; [`Error::Refused`] or [`Error::Unreachable`] names the node and the
    /// remedy; [`Error::Undone`] if in addition the table could not be deleted at a node that may have it.
    pub async fn put_table(&self, table: &NewTable<'_>) -> Result<TableStatus, Error> {
        let stored = self.put_tables(std::slice::from_ref(table)).await?;
        stored.into_iter().next().ok_or_else(|| Error::Bug("a table was stored and is not described".to_owned()))
    }

    /// Stores tables as [`put_table`](Self::put_table) does: all of them, or none.
    ///
    /// # Errors
    /// As [`put_table`](Self::put_table).
    pub async fn put_tables(&self, tables: &[NewTable<'_>]) -> Result<Vec<TableStatus>, Error> {
        let specs = tables.iter().map(NewTable::spec).collect::<Result<Vec<_>, _>>()?;
        let mut uploads = Uploads { client: self.clone(), begun: Vec::new() };
        let mut stored = Vec::with_capacity(tables.len());
        for (table, spec) in tables.iter().zip(&specs) {
            uploads.begun.push((table.name.clone(), table.version, spec.upload));
            match self.put(table, spec).await {
                Ok(status) => stored.push(status),
                Err(e) => return Err(uploads.undo(e).await),
            }
        }
        uploads.begun.clear();
        Ok(stored)
    }

    /// One table, without undoing anything.
    pub(super) async fn put(&self, table: &NewTable<'_>, spec: &TableSpec) -> Result<TableStatus, Error> {
        let mut own = [(); 3].map(|()| vec![frame(&spec.canonical())]);
        let mut next = [(); 3].map(|()| Vec::new());
        for (_, column) in &table.columns {
            for ((own, next), share) in own.iter_mut().zip(&mut next).zip(column.split()?) {
                let [first, second] = components(share);
                own.push(first);
                next.push(second);
            }
        }
        let bodies: Vec<Vec<Bytes>> = own.into_iter().zip(next).map(|(own, next)| [own, next].concat()).collect();
        let (name, version) = (&table.name, table.version);
        let stored =
            all(&self.nodes, |node| node.put_table((name, version, spec.upload), &bodies[node.party().index()])).await;
        let [a, b, c] = stored;
        let (a, b, c) = (a?, b?, c?);
        if a == b && b == c {
            return Ok(a);
        }
        let nodes = "the nodes describe the table they have stored differently; one of them deviates from the protocol";
        Err(Error::Integrity(format!("{nodes}. It was deleted; find out which before anything is uploaded again")))
    }

    /// The tables of this client at each node, by name and version. A table that is not in all three lists is of no use. Cancel safe.
    pub async fn tables(&self) -> [Result<Vec<TableStatus>, Error>; 3] {
        all(&self.nodes, super::node::NodeClient::tables).await
    }

    /// The tables of others that this client may use in some job, at each node, by owner, name and version. Cancel safe.
    pub async fn permitted_tables(&self) -> [Result<Vec<TableStatus>, Error>; 3] {
        all(&self.nodes, super::node::NodeClient::permitted_tables).await
    }

    /// Deletes a table of this client at all three nodes; a node that has none is content. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names a node that may still have it.
    pub async fn delete_table(&self, name: &TableName, version: u32) -> Result<(), Error> {
        let [a, b, c] = all(&self.nodes, |node| node.delete_table(name, version, None)).await;
        a.and(b).and(c)
    }

    /// Deletes at all nodes what one upload, or one job, has left of a table. A node that does not answer keeps its part, which is of no use alone.
    pub(super) async fn forget(&self, name: &TableName, version: u32, upload: UploadId) {
        for (p, result) in
            Party::ALL.into_iter().zip(all(&self.nodes, |node| node.delete_table(name, version, Some(upload))).await)
        {
            if let Err(e) = result {
                tracing::debug!("could not delete the table `{name}` at {p}: {e}");
            }
        }
    }
}

/// Uploads that are not to stay: dropped, they are deleted in the background.
pub(super) struct Uploads {
    pub(super) client: Client,
    pub(super) begun: Vec<(TableName, u32, UploadId)>,
}

impl Uploads {
    /// Deletes what they have left behind, and gives the error to report.
    async fn undo(mut self, first: Error) -> Error {
        let mut left = String::new();
        for (name, version, upload) in &self.begun {
            // By the upload's own name: an older table of that version stays. At all three: a node that did not answer may have it.
            let deleted = all(&self.client.nodes, |node| node.delete_table(name, *version, Some(*upload))).await;
            for (p, result) in Party::ALL.into_iter().zip(deleted) {
                if let Err(e) = result {
                    // Writing to a string does not fail.
                    let _ = write!(left, "; {name} at {}: {e}", self.client.node(p).name());
                }
            }
        }
        self.begun.clear();
        if left.is_empty() { first } else { Error::Undone { first: Box::new(first), left } }
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        let (client, begun) = (self.client.clone(), std::mem::take(&mut self.begun));
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !begun.is_empty()
        {
            runtime.spawn(async move {
                for (name, version, upload) in begun {
                    client.forget(&name, version, upload).await;
                }
            });
        }
    }
}

impl NewTable<'_> {
    pub(super) fn spec(&self) -> Result<TableSpec, Error> {
        for (name, column) in &self.columns {
            if !column.fits(Shape { ring: column.ring(), len: self.rows }) {
                let (rows, got) = (self.rows, column.elements());
                return Err(Error::Usage(format!(
                    "column `{name}` has {got} words, which is not what {rows} rows take"
                )));
            }
        }
        let columns = self.columns.iter().map(|(name, column)| ColumnSpec { name: name.clone(), ring: column.ring() });
        let spec = TableSpec {
            upload: UploadId::random()?,
            rows: self.rows as u64,
            columns: columns.collect(),
            permits: self.permits.clone(),
            expires: self.expires,
        };
        spec.component_bytes().map_err(Error::Usage)?;
        Ok(spec)
    }
}
