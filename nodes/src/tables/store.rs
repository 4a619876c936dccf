//! Where the tables of a node are kept: in memory.

use super::{
    ColumnSpec, Customers, Permit, TableKey, TableName, TableSpec, UploadId,
    accounts::{Accounts, Held, TableRefusal},
    proven::Proven,
};
use crate::{
    job::{JobSpec, Limits, ModeSpec, Sha256Hex},
    pki::ClientName,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use trefoil_circuits::program::{InputVector, RingKind, Shape};
use zeroize::Zeroizing;

/// The tables of one node. Every operation is short and synchronous.
///
/// What a job or an upload needs of a store: [`begin`](Self::begin) and [`Arriving::store`], [`get`](Self::get), [`versions`](Self::versions),
/// [`list`](Self::list), [`delete`](Self::delete).
pub struct TableStore {
    limits: Limits,
    accounts: Arc<Accounts>,
    slots: Mutex<BTreeMap<TableKey, Slot>>,
}

enum Slot {
    /// Its body is being read: which upload it is.
    Arriving(UploadId),
    Stored(Arc<StoredTable>),
}

/// What came of a request to store a table.
#[derive(Debug)]
pub enum Arrival {
    /// Its body may be read.
    New(Arriving),
    /// This very upload is complete.
    Known(Arc<StoredTable>),
}

/// One table as the nodes describe it to its owner and to those who may use it.
///
/// A client of another version may read this, so unknown fields are ignored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TableStatus {
    /// Whose it is.
    pub owner: ClientName,
    /// Its name.
    pub name: TableName,
    /// Its version.
    pub version: u32,
    /// The digest that nodes compare before they use it.
    pub sha256: Sha256Hex,
    /// Its rows.
    pub rows: u64,
    /// Its columns.
    pub columns: Vec<ColumnSpec>,
    /// Who may use it for what.
    pub permits: Vec<Permit>,
}

/// This node's share of a table. Wiped when the last job that uses it has taken its part.
pub struct StoredTable {
    key: TableKey,
    spec: TableSpec,
    digest: [u8; 32],
    components: [Zeroizing<Vec<u8>>; 2],
    origins: Vec<Origin>,
    owners: Vec<ClientName>,
    /// Jobs of each client under each permit that bounds them.
    used: Mutex<BTreeMap<(usize, ClientName), u32>>,
    proven: Proven,
    _held: Held,
}

/// A table, of each row of which another one tells something: the customers that were scored, for their scores.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// Whose it is.
    pub owner: ClientName,
    /// The digest of its description.
    pub digest: [u8; 32],
}

impl TableStore {
    /// No tables yet.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, accounts: Arc::default(), slots: Mutex::default() })
    }

    /// Sets room aside for a table, whose description has been checked.
    ///
    /// # Errors
    /// [`TableRefusal`].
    pub fn begin(self: &Arc<Self>, key: &TableKey, spec: TableSpec, bytes: u64) -> Result<Arrival, TableRefusal> {
        let digest = spec.digest(key);
        let mut slots = self.lock();
        match slots.get(key) {
            Some(Slot::Stored(table)) if table.digest == digest => return Ok(Arrival::Known(table.clone())),
            Some(Slot::Arriving(_)) => return Err(TableRefusal::Uploading(key.clone())),
            Some(Slot::Stored(_)) => return Err(TableRefusal::Taken(key.clone())),
            None => {}
        }
        let held = Accounts::reserve(&self.accounts, &self.limits, &key.owner, bytes)?;
        slots.insert(key.clone(), Slot::Arriving(spec.upload));
        Ok(Arrival::New(Arriving {
            store: self.clone(),
            key: Box::new(key.clone()),
            spec,
            digest,
            origins: Vec::new(),
            owners: vec![key.owner.clone()],
            held: Some(held),
        }))
    }

    /// A table.
    pub fn get(&self, key: &TableKey) -> Option<Arc<StoredTable>> {
        match self.lock().get(key) {
            Some(Slot::Stored(table)) => Some(table.clone()),
            _ => None,
        }
    }

    /// All versions of a table.
    pub fn versions(&self, owner: &ClientName, name: &TableName) -> Vec<Arc<StoredTable>> {
        let key = |version| TableKey { owner: owner.clone(), name: name.clone(), version };
        stored(self.lock().range(key(0)..=key(u32::MAX)))
    }

    /// All tables of a client, by name and version.
    pub fn list(&self, owner: &ClientName) -> Vec<Arc<StoredTable>> {
        stored(self.lock().iter().filter(|(key, _)| key.owner == *owner))
    }

    /// All tables of others that a client may use in jobs of some kind, by owner, name and version.
    pub fn permitted(&self, requester: &ClientName) -> Vec<Arc<StoredTable>> {
        let mut tables = stored(self.lock().iter().filter(|(key, _)| key.owner != *requester));
        tables.retain(|table| table.spec.permits.iter().any(|permit| permit.requesters.contains(requester)));
        tables
    }

    /// Forgets a table; if `upload` is given, only if it is of that upload. Jobs that have begun with it keep their part. False if there is
    /// none.
    pub fn delete(&self, key: &TableKey, upload: Option<UploadId>) -> bool {
        let mut slots = self.lock();
        let there = match slots.get(key) {
            Some(Slot::Stored(table)) => table.spec.upload,
            // Who deletes what still arrives has given it up. The upload finds out at its end.
            Some(Slot::Arriving(arriving)) => *arriving,
            None => return false,
        };
        upload.is_none_or(|upload| upload == there) && slots.remove(key).is_some()
    }

    /// Tables, and bytes held for them.
    pub fn load(&self) -> (u64, u64) {
        self.accounts.load()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TableKey, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stored<'a>(slots: impl Iterator<Item = (&'a TableKey, &'a Slot)>) -> Vec<Arc<StoredTable>> {
    let table = |slot: &Slot| match slot {
        Slot::Stored(table) => Some(table.clone()),
        Slot::Arriving(_) => None,
    };
    slots.filter_map(|(_, slot)| table(slot)).collect()
}

impl fmt::Debug for TableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tables, bytes) = self.load();
        f.debug_struct("TableStore").field("tables", &tables).field("bytes", &bytes).finish_non_exhaustive()
    }
}

/// A table whose body is being read. Dropped before [`store`](Self::store), it leaves no trace.
#[derive(Debug)]
pub struct Arriving {
    store: Arc<TableStore>,
    key: Box<TableKey>,
    spec: TableSpec,
    digest: [u8; 32],
    origins: Vec<Origin>,
    owners: Vec<ClientName>,
    held: Option<Held>,
}

impl Arriving {
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

    /// Whose it will be, and which.
    pub fn key(&self) -> &TableKey {
        &self.key
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
        self.digest = self.spec.digest(&self.key);
        if let Some(held) = &mut self.held {
            held.shrink(2 * component as u64);
        }
        Ok(self)
    }

    /// The body is complete: `own` and `next` of all columns, one after the other. `None` if the table was deleted meanwhile.
    pub fn store(mut self, components: [Zeroizing<Vec<u8>>; 2]) -> Option<Arc<StoredTable>> {
        let store = self.store.clone();
        let mut slots = store.lock();
        let table = slots.get(&self.key).is_some_and(|slot| self.is(slot)).then(|| self.place(&mut slots, components));
        drop(slots);
        table.flatten()
    }

    /// Stores all of these tables of one node with their bodies, or none.
    ///
    /// # Errors
    /// Which was deleted meanwhile.
    pub fn store_all(mut tables: Vec<(Self, [Zeroizing<Vec<u8>>; 2])>) -> Result<(), TableKey> {
        let Some(store) = tables.first().map(|(first, _)| first.store.clone()) else { return Ok(()) };
        let mut slots = store.lock();
        let deleted = |arriving: &Self| !slots.get(&arriving.key).is_some_and(|slot| arriving.is(slot));
        if let Some((arriving, _)) = tables.iter().find(|(arriving, _)| deleted(arriving)) {
            return Err((*arriving.key).clone());
        }
        for (arriving, components) in &mut tables {
            arriving.place(&mut slots, std::mem::take(components));
        }
        Ok(())
    }

    /// Puts the table into its slot.
    fn place(
        &mut self,
        slots: &mut BTreeMap<TableKey, Slot>,
        components: [Zeroizing<Vec<u8>>; 2],
    ) -> Option<Arc<StoredTable>> {
        let held = self.held.take()?;
        let (key, spec, digest) = ((*self.key).clone(), self.spec.clone(), self.digest);
        let (origins, owners) = (std::mem::take(&mut self.origins), std::mem::take(&mut self.owners));
        let (used, proven) = (Mutex::default(), Proven::default());
        let table =
            StoredTable { key: key.clone(), spec, digest, components, origins, owners, used, proven, _held: held };
        let table = Arc::new(table);
        slots.insert(key, Slot::Stored(table.clone()));
        Some(table)
    }

    fn is(&self, slot: &Slot) -> bool {
        matches!(slot, Slot::Arriving(upload) if *upload == self.spec.upload)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if self.held.take().is_some() {
            let mut slots = self.store.lock();
            if slots.get(&self.key).is_some_and(|slot| self.is(slot)) {
                slots.remove(&self.key);
            }
        }
    }
}

impl StoredTable {
    /// Whose it is, and which.
    pub fn key(&self) -> &TableKey {
        &self.key
    }

    /// Its public description.
    pub fn spec(&self) -> &TableSpec {
        &self.spec
    }

    /// The digest of the description.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Of which tables each of its rows tells something: itself, and what it was made of row by row.
    pub fn tells_of(&self) -> Vec<Origin> {
        let own = Origin { owner: self.key.owner.clone(), digest: self.digest };
        std::iter::once(own).chain(self.origins.iter().cloned()).collect()
    }

    /// Whose customers it tells of: its owner's, unless it was made of tables of others row by row.
    pub fn owners(&self) -> &[ClientName] {
        &self.owners
    }

    /// Which of its permits covers a job of a client about these customers: one that is not used up, if there is one.
    pub fn permit(&self, job: &JobSpec, requester: &ClientName, customers: &Customers<'_>) -> Option<usize> {
        let permits = self.spec.permits.iter().enumerate();
        let covering: Vec<usize> =
            permits.filter(|(_, permit)| permit.covers(job, requester, customers)).map(|(k, _)| k).collect();
        covering.iter().find(|k| self.is_left(**k, requester)).or_else(|| covering.first()).copied()
    }

    /// Whether a client may submit another job under a permit.
    pub fn is_left(&self, permit: usize, requester: &ClientName) -> bool {
        let times = self.spec.permits.get(permit).map_or(0, |permit| permit.times);
        times == 0 || self.used().get(&(permit, requester.clone())).is_none_or(|used| *used < times)
    }

    /// Counts a job of a client under a permit. False if it may submit no more.
    pub fn spend(&self, permit: usize, requester: &ClientName) -> bool {
        let times = self.spec.permits.get(permit).map_or(0, |permit| permit.times);
        if times == 0 {
            return true;
        }
        let mut used = self.used();
        let used = used.entry((permit, requester.clone())).or_default();
        let left = *used < times;
        *used += u32::from(left);
        left
    }

    fn used(&self) -> MutexGuard<'_, BTreeMap<(usize, ClientName), u32>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its owner and those who may use it are told.
    pub fn status(&self) -> TableStatus {
        let TableKey { owner, name, version } = self.key.clone();
        let TableSpec { rows, columns, permits, .. } = self.spec.clone();
        TableStatus { owner, name, version, sha256: Sha256Hex(self.digest), rows, columns, permits }
    }

    /// Columns as one input, one after the other, each from an element of its own on. The columns are over the ring of the shape, and have together as many
    /// elements: [`fits`](Self::fits).
    ///
    /// # Errors
    /// [`trefoil_engine::Error::Shape`] if not.
    pub fn input(&self, places: &[usize], shape: Shape) -> Result<InputVector, trefoil_engine::Error> {
        let [own, next] = self.components.each_ref().map(|component| {
            let part = |k: &usize| component.get(self.range(*k)).unwrap_or_default();
            places.iter().map(part).collect::<Vec<_>>()
        });
        InputVector::from_parts(shape, &own, &next)
    }

    /// Whether columns make an input of a shape.
    pub fn fits(&self, places: &[usize], shape: Shape) -> bool {
        let shapes = || places.iter().map(|k| self.spec.shape(*k));
        shapes().all(|column| column.ring == shape.ring)
            && shapes().map(Shape::elements).sum::<usize>() == shape.elements()
            // Bits of several columns have gaps between them, so that they are taken for what they are by their words.
            && (places.len() > 1 || shape.ring != RingKind::Bits || shapes().all(|column| column == shape))
    }

    /// Whether jobs as secure as those of a mode have found the entries of columns to be within a limit.
    pub fn is_within(&self, places: &[usize], limit: u64, mode: ModeSpec) -> bool {
        self.proven.holds(places, limit, mode)
    }

    /// A job of a mode has found the entries of columns to be within a limit.
    pub fn found_within(&self, places: &[usize], limit: u64, mode: ModeSpec) {
        self.proven.record(places, limit, mode);
    }

    fn range(&self, place: usize) -> std::ops::Range<usize> {
        let start = (0..place).map(|k| self.spec.shape(k).component_bytes()).sum();
        start..start + self.spec.shape(place).component_bytes()
    }
}

impl fmt::Debug for StoredTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredTable({}, {} rows)", self.key, self.spec.rows)
    }
}

#[cfg(test)]
mod tests;
