//! A table on its way into the store.

use super::{
    Provenance, TableKey, TableSpec,
    accounts::{Held, TableRefusal},
    archive::Copy,
    epoch::{Content, Epoch},
    store::TableStore,
    stored::{Body, Origin, StoredTable, Uses},
    unfinished::Beginning,
};
use crate::{pki::ClientName, store::StoreError};
use std::{fmt, sync::Arc};
use tokio::task::JoinError;
use zeroize::Zeroizing;

/// Why a table could not be stored or deleted.
#[derive(Debug, thiserror::Error)]
pub enum TableFault {
    /// It was deleted while it arrived.
    #[error("{0} was deleted while it arrived")]
    Deleted(Box<TableKey>),
    /// Another request deletes it now.
    #[error("{0} is being deleted; ask again when that is done")]
    Leaving(Box<TableKey>),
    /// It cannot be gone on with, or there is no room for it.
    #[error(transparent)]
    Refused(#[from] TableRefusal),
    /// It has other shares by now than those that the nodes had agreed on.
    #[error("the shares of {0} were made anew meanwhile")]
    Renewed(Box<TableKey>),
    /// There is no disk to keep new shares on.
    #[error("the tables of this node are in memory alone")]
    Memory,
    /// The node's disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node is ending, or broke one of its own rules.
    #[error("it was broken off: {0}")]
    Ended(#[from] JoinError),
}

/// A table whose body is being read. Dropped before [`store`](Self::store), it leaves no trace, unless what has come is [kept](Self::keep_what_comes).
#[derive(Debug)]
pub struct Arriving {
    slot: Taken,
    spec: TableSpec,
    origins: Vec<Origin>,
    owners: Vec<ClientName>,
    provenance: Provenance,
    /// Of a table that was there before, at a node that has lost it.
    restored: (Epoch, Uses),
    held: Held,
}

/// A slot that is taken for a table. Given back on drop, unless the table is in it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) store: Arc<TableStore>,
    pub(super) key: Box<TableKey>,
    pub(super) copy: Copy,
    /// What is on the disk of it, to go on from when it is dropped.
    pub(super) begun: Option<Beginning>,
}

/// A table with its body, whose slot is still to be filled.
pub(super) struct Complete {
    pub(super) slot: Taken,
    pub(super) table: Arc<StoredTable>,
    /// Parts of it that are on the disk already.
    pub(super) saved: usize,
}

impl Arriving {
    pub(super) fn new(slot: Taken, spec: TableSpec, held: Held) -> Self {
        let (owners, provenance) = (vec![slot.key.owner.clone()], Provenance::default());
        let restored = (Epoch::default(), Uses::default());
        Self { slot, spec, origins: Vec::new(), owners, provenance, restored, held }
    }

    /// Of each row of these it tells something.
    #[must_use]
    pub fn of_rows(mut self, origins: Vec<Origin>) -> Self {
        self.origins = origins;
        self
    }

    /// It tells of customers of these owners, and not of its holder's.
    #[must_use]
    pub fn of_customers(mut self, owners: Vec<ClientName>) -> Self {
        self.owners = owners;
        self
    }

    /// Made by whom. Computed, unless this says otherwise.
    #[must_use]
    pub fn of_provenance(mut self, provenance: Provenance) -> Self {
        self.provenance = provenance;
        self
    }

    /// Its shares are of this epoch, and its permits were used so often.
    #[must_use]
    pub(super) fn restored(mut self, epoch: Epoch, uses: Uses) -> Self {
        self.restored = (epoch, uses);
        self
    }

    pub(super) fn slot(&self) -> &Taken {
        &self.slot
    }

    pub(super) fn slot_mut(&mut self) -> &mut Taken {
        &mut self.slot
    }

    /// What it is to be.
    pub(super) fn spec(&self) -> &TableSpec {
        &self.spec
    }

    /// Whose it will be, and which.
    pub fn key(&self) -> &TableKey {
        &self.slot.key
    }

    /// Of fewer rows than were announced, if one component of all columns has only so many bytes. What was set aside for the others is given back.
    ///
    /// # Errors
    /// The number of bytes again, if no number of rows up to those announced has it.
    pub fn of_bytes(mut self, component: usize) -> Result<Self, usize> {
        let bytes = |rows: u64| TableSpec { rows, ..self.spec.clone() }.component_bytes().unwrap_or(0);
        if bytes(self.spec.rows) == component {
            return Ok(self);
        }
        // A row more is a word more of every column of integers: the number of rows is found by halves.
        let (mut rows, mut beyond) = (0, self.spec.rows);
        while rows + 1 < beyond {
            let middle = rows.midpoint(beyond);
            if bytes(middle) <= component { rows = middle } else { beyond = middle }
        }
        if rows == 0 || bytes(rows) != component {
            return Err(component);
        }
        self.spec.rows = rows;
        self.held.shrink(2 * component as u64);
        Ok(self)
    }

    /// The body is complete: `own` and `next` of all columns, one after the other. When this returns, the table is on the disk.
    ///
    /// # Errors
    /// [`TableFault`]; there is no trace of it.
    pub async fn store(self, components: [Zeroizing<Vec<u8>>; 2]) -> Result<Arc<StoredTable>, TableFault> {
        let key = self.slot.key.clone();
        Self::store_all(vec![(self, components)]).await?.pop().ok_or(TableFault::Deleted(key))
    }

    /// Stores all of these tables of one node with their bodies, or none. Dropped, it goes on to its end.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    pub async fn store_all(tables: Vec<(Self, [Zeroizing<Vec<u8>>; 2])>) -> Result<Vec<Arc<StoredTable>>, TableFault> {
        let complete = |(table, components): (Self, _)| {
            let Self { mut slot, spec, origins, owners, provenance, restored: (epoch, uses), held } = table;
            // From now on it is all or nothing.
            let saved = slot.begun.take().map_or(0, |begun| begun.saved);
            let body = Body { spec, origins, owners, provenance };
            let content = Content { epoch, copy: slot.copy, components };
            let (key, shares) = ((*slot.key).clone(), (content, None));
            let table = StoredTable::new((key, body), shares, (uses, held), Arc::downgrade(&slot.store));
            Complete { slot, table: Arc::new(table), saved }
        };
        let complete: Vec<_> = tables.into_iter().map(complete).collect();
        let Some(store) = complete.first().map(|first| first.slot.store.clone()) else { return Ok(Vec::new()) };
        store.keep(complete).await
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.store.give_up(&self.key, self.copy, self.begun.take());
    }
}

impl fmt::Debug for Complete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Complete").field(&self.table).finish()
    }
}
