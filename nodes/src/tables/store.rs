//! Where the tables of a node are kept: in memory for the jobs, and on the disk for a node that starts again.

use super::{
    Clock, TableKey, TableName, TableSpec, UploadId,
    accounts::{Accounts, TableRefusal},
    archive::{Archive, Copy, Found, Loaded},
    arriving::{Arriving, Complete, TableFault, Taken},
    epoch::{Content, Epoch, Seed, renewed},
    stored::{StoredTable, TableRecord},
    unfinished::{Beginning, Paused, Resumed},
};
use crate::{
    job::{JobId, Limits},
    pki::ClientName,
    store::{Store, StoreError},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// The tables of one node.
///
/// What a job or an upload needs of a store: [`begin`](Self::begin) and [`Arriving::store`], [`get`](Self::get), [`versions`](Self::versions),
/// [`list`](Self::list), [`delete`](Self::delete).
pub struct TableStore {
    limits: Limits,
    accounts: Arc<Accounts>,
    archive: Option<Archive>,
    clock: Clock,
    /// That of the next upload.
    copy: AtomicU64,
    slots: Mutex<BTreeMap<TableKey, Slot>>,
}

#[derive(Debug)]
pub(super) enum Slot {
    /// Its body is being read or written: which upload it is, and which copy it will be.
    Arriving(UploadId, Copy),
    Stored(Arc<StoredTable>),
    /// It was broken off, and may be gone on with.
    Paused(Paused),
    /// Its records are being removed.
    Leaving,
}

/// What came of a request to store a table.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one for each upload, and it is taken apart at once")]
pub enum Arrival {
    /// Its body may be read.
    New(Box<Arriving>),
    /// The rest of its body may be read.
    Resumed(Box<Resumed>),
    /// This very upload is complete.
    Known(Arc<StoredTable>),
}

impl TableStore {
    /// Those that are in a node's store.
    ///
    /// # Errors
    /// [`StoreError`], of the disk or of damaged records.
    pub async fn open(limits: Limits, store: Store) -> Result<Arc<Self>, StoreError> {
        Self::open_at(limits, store, Arc::new(SystemTime::now)).await
    }

    /// As [`open`](Self::open), by this clock.
    pub(crate) async fn open_at(limits: Limits, store: Store, clock: Clock) -> Result<Arc<Self>, StoreError> {
        let archive = Archive::new(store);
        let (Loaded { found, begun }, accounts) = (archive.load().await?, Arc::default());
        let copies = found.iter().flat_map(|found| [Some(found.content.copy), found.pending.map(|p| p.copy)]).flatten();
        let copies = copies.chain(begun.iter().map(|(_, beginning)| beginning.copy));
        let copy = AtomicU64::new(copies.map(|copy| copy.0 + 1).max().unwrap_or(0));
        let store = Arc::new_cyclic(|this| {
            let slot = |found: Found| {
                let Found { key, body, content, pending, uses } = found;
                let bytes = content.components.iter().map(|component| component.len() as u64).sum();
                // What was taken on once stays, whatever the limits are now.
                let held = Accounts::hold(&accounts, &key.owner, bytes);
                let shares = (content, pending.map(|pending| pending.epoch));
                let table = StoredTable::new((key.clone(), body), shares, (uses, held), this.clone());
                (key, Slot::Stored(Arc::new(table)))
            };
            let slots = Mutex::new(found.into_iter().map(slot).collect());
            Self { limits, accounts: accounts.clone(), archive: Some(archive), clock, copy, slots }
        });
        store.find_again(begun);
        Ok(store)
    }

    /// No tables yet, and none that stay.
    #[cfg(test)]
    pub(crate) fn in_memory(limits: Limits) -> Arc<Self> {
        Self::in_memory_at(limits, Arc::new(SystemTime::now))
    }

    #[cfg(test)]
    pub(crate) fn in_memory_at(limits: Limits, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            limits,
            accounts: Arc::default(),
            archive: None,
            clock,
            copy: AtomicU64::default(),
            slots: Mutex::default(),
        })
    }

    /// Sets room aside for a table, whose description has been checked.
    ///
    /// # Errors
    /// [`TableRefusal`].
    pub fn begin(self: &Arc<Self>, key: &TableKey, spec: TableSpec, bytes: u64) -> Result<Arrival, TableRefusal> {
        let mut slots = self.lock();
        match slots.get(key) {
            Some(Slot::Stored(table)) if *table.digest() == spec.digest(key) => {
                return Ok(Arrival::Known(table.clone()));
            }
            Some(Slot::Arriving(..)) => return Err(TableRefusal::Uploading(key.clone())),
            Some(Slot::Leaving) => return Err(TableRefusal::Leaving(key.clone())),
            Some(Slot::Stored(_)) => return Err(TableRefusal::Taken(key.clone())),
            // Sent whole, it begins anew.
            Some(Slot::Paused(_)) => self.drop_paused(&mut slots, key),
            None => {}
        }
        if let Some(expires) = spec.expires.filter(|expires| expires.is_over(self.now())) {
            return Err(TableRefusal::Over(key.clone(), expires));
        }
        let held = Accounts::reserve(&self.accounts, &self.limits, &key.owner, bytes)?;
        let copy = Copy(self.copy.fetch_add(1, Ordering::Relaxed));
        let slot = Taken { store: self.clone(), key: Box::new(key.clone()), copy, begun: None };
        slots.insert(key.clone(), Slot::Arriving(spec.upload, copy));
        Ok(Arrival::New(Box::new(Arriving::new(slot, spec, held))))
    }

    /// A table.
    pub fn get(&self, key: &TableKey) -> Option<Arc<StoredTable>> {
        match self.lock().get(key) {
            Some(Slot::Stored(table)) => Some(table.clone()),
            _ => None,
        }
    }

    /// All tables, by owner, name and version.
    pub fn all(&self) -> Vec<Arc<StoredTable>> {
        stored(self.lock().iter())
    }

    /// Writes new shares of a table down beside those in use: those of the next epoch, out of what the nodes have drawn together.
    ///
    /// # Errors
    /// [`TableFault`]; the shares in use are as they were.
    pub async fn prepare(
        &self,
        table: &Arc<StoredTable>,
        (session, me): (JobId, Party),
        seed: &Arc<Seed>,
    ) -> Result<Epoch, TableFault> {
        let (old, copy) = (table.content(), Copy(self.copy.fetch_add(1, Ordering::Relaxed)));
        let (renewing, seed, epoch) = (table.clone(), seed.clone(), old.epoch.after(session));
        let components = tokio::task::spawn_blocking(move || {
            renewed(&renewing.spec().shapes(), (renewing.digest(), me), &seed, &old.components)
        });
        table.prepare(Content { epoch, copy, components: components.await? }).await?;
        Ok(epoch)
    }

    /// Puts a table back that this node has lost, with shares of an epoch.
    ///
    /// # Errors
    /// [`TableFault`]; the table is not there, and can be put back again.
    pub async fn restore(
        self: &Arc<Self>,
        (key, epoch): (TableKey, Epoch),
        record: TableRecord,
        components: [Zeroizing<Vec<u8>>; 2],
    ) -> Result<Arc<StoredTable>, TableFault> {
        let TableRecord { spec, origins, owners, provenance, uses } = record;
        let bytes = components.iter().map(|component| component.len() as u64).sum();
        let arriving = match self.begin(&key, spec, bytes) {
            Ok(Arrival::New(arriving)) => *arriving,
            Ok(Arrival::Known(table)) if table.content().epoch() == epoch => return Ok(table),
            Ok(Arrival::Known(_) | Arrival::Resumed(_)) => return Err(TableFault::Renewed(Box::new(key))),
            Err(refusal) => return Err(refusal.into()),
        };
        let arriving = arriving.of_rows(origins).of_customers(owners).of_provenance(provenance);
        arriving.restored(epoch, uses).store(components).await
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

    /// Whether the time of a table is over, by this node's clock.
    pub fn has_expired(&self, table: &StoredTable) -> bool {
        table.spec().expires.is_some_and(|expires| expires.is_over(self.now()))
    }

    /// All tables that have expired.
    pub(super) fn expired(&self) -> Vec<Arc<StoredTable>> {
        let mut tables = stored(self.lock().iter());
        tables.retain(|table| self.has_expired(table));
        tables
    }

    /// All tables of others that a client may use in jobs of some kind, by owner, name and version.
    pub fn permitted(&self, requester: &ClientName) -> Vec<Arc<StoredTable>> {
        let mut tables = stored(self.lock().iter().filter(|(key, _)| key.owner != *requester));
        let permits =
            |table: &StoredTable| table.spec().permits.iter().any(|permit| permit.requesters.contains(requester));
        tables.retain(|table| permits(table) && !self.has_expired(table));
        tables
    }

    /// Forgets a table, here and on the disk; if `upload` is given, only if it is of that upload. Jobs that have begun with it keep their part. False if there is
    /// none. Dropped, it goes on to its end.
    ///
    /// # Errors
    /// [`TableFault`]; a table that was stored is as it was.
    pub async fn delete(self: &Arc<Self>, key: &TableKey, upload: Option<UploadId>) -> Result<bool, TableFault> {
        let Some(archive) = self.archive.clone() else { return Ok(self.vacate(key, upload)?.is_some()) };
        let Some((copy, slot)) = self.vacate(key, upload)? else { return Ok(archive.forget(key, upload).await?) };
        let (this, key) = (self.clone(), key.clone());
        let leaving = tokio::spawn(async move {
            let removed = match &slot {
                Slot::Stored(table) => {
                    // What has ended badly before is not to hide what the disk has.
                    let reconciled = table.reconcile().await;
                    if let Err(fault) = reconciled {
                        tracing::warn!("{key}: {fault}");
                    }
                    // Its shares may have been made anew since.
                    let _changing = table.changing().await;
                    // Nobody else has this key, so what the disk has of it is this table, in whichever epoch.
                    archive.remove(&key, |_| true, vec![table.copy()]).await
                }
                Slot::Arriving(..) | Slot::Paused(_) | Slot::Leaving => {
                    archive.remove(&key, move |head| head == copy, vec![copy]).await
                }
            };
            match (&removed, slot) {
                (Err(_), slot @ (Slot::Stored(_) | Slot::Paused(_))) => drop(this.lock().insert(key, slot)),
                (_, slot) => {
                    this.lock().remove(&key);
                    // A large table takes long to wipe.
                    tokio::task::spawn_blocking(move || drop(slot));
                }
            }
            removed
        });
        leaving.await??;
        Ok(true)
    }

    /// Takes what is in a slot, which nobody gets until it is given back if there is a disk to remove it from.
    fn vacate(&self, key: &TableKey, upload: Option<UploadId>) -> Result<Option<(Copy, Slot)>, TableFault> {
        let mut slots = self.lock();
        let (there, copy) = match slots.get(key) {
            Some(Slot::Stored(table)) => (table.spec().upload, table.copy()),
            // Who deletes what still arrives has given it up. The upload finds out at its end.
            Some(Slot::Arriving(arriving, copy)) => (*arriving, *copy),
            Some(Slot::Paused(paused)) => (paused.beginning.spec.upload, paused.beginning.copy),
            Some(Slot::Leaving) => return Err(TableFault::Leaving(Box::new(key.clone()))),
            None => return Ok(None),
        };
        if upload.is_some_and(|upload| upload != there) {
            return Ok(None);
        }
        let slot = match self.archive {
            Some(_) => slots.insert(key.clone(), Slot::Leaving),
            None => slots.remove(key),
        };
        Ok(slot.map(|slot| (copy, slot)))
    }

    /// Writes down how often the permits of tables have been used.
    ///
    /// # Errors
    /// [`StoreError`]. In memory the uses are counted all the same.
    pub async fn keep_uses(&self, tables: Vec<Arc<StoredTable>>) -> Result<(), StoreError> {
        match &self.archive {
            Some(archive) if !tables.is_empty() => archive.write_uses(&tables).await,
            _ => Ok(()),
        }
    }

    /// Puts complete tables where jobs find them: on the disk first, and all or none.
    pub(super) async fn keep(self: Arc<Self>, complete: Vec<Complete>) -> Result<Vec<Arc<StoredTable>>, TableFault> {
        let Some(archive) = self.archive.clone() else { return self.place(&complete) };
        // In a task of its own: whoever waits for it may give up, and the slots stay taken until the disk has all or nothing.
        let keeping = tokio::spawn(async move {
            let tables: Vec<_> = complete.iter().map(|complete| complete.table.clone()).collect();
            let parts = complete.iter().map(|complete| (complete.table.clone(), complete.saved)).collect();
            let slots: Vec<_> = complete.iter().map(|c| ((*c.slot.key).clone(), c.slot.copy)).collect();
            let this = self.clone();
            archive.write(parts, move || this.awaits(&slots)).await?;
            let placed = self.place(&complete);
            if placed.is_err() {
                // One was deleted since: the others are not to be there without it.
                archive.remove_all(&tables).await;
            }
            placed
        });
        keeping.await?
    }

    /// Whether all of these are still awaited.
    fn awaits(&self, taken: &[(TableKey, Copy)]) -> Result<(), TableFault> {
        let slots = self.lock();
        match taken.iter().find(|(key, copy)| !is_taken(&slots, key, *copy)) {
            Some((key, _)) => Err(TableFault::Deleted(Box::new(key.clone()))),
            None => Ok(()),
        }
    }

    fn place(&self, complete: &[Complete]) -> Result<Vec<Arc<StoredTable>>, TableFault> {
        let mut slots = self.lock();
        if let Some(gone) = complete.iter().find(|c| !is_taken(&slots, &c.slot.key, c.slot.copy)) {
            return Err(TableFault::Deleted(gone.slot.key.clone()));
        }
        let place = |complete: &Complete| {
            slots.insert((*complete.slot.key).clone(), Slot::Stored(complete.table.clone()));
            complete.table.clone()
        };
        Ok(complete.iter().map(place).collect())
    }

    /// A table will not come.
    pub(super) fn give_up(&self, key: &TableKey, copy: Copy, begun: Option<Beginning>) {
        let mut slots = self.lock();
        if is_taken(&slots, key, copy) {
            slots.remove(key);
            if let Some(begun) = begun.filter(|begun| begun.saved > 0) {
                self.pause(&mut slots, key, begun);
            }
        } else if begun.is_some() {
            // It was deleted while it arrived, and what came after that may be on the disk.
            self.discard(key.clone(), copy);
        }
    }

    /// Whether a table that arrives is still awaited.
    pub(super) fn is_awaited(&self, key: &TableKey, copy: Copy) -> bool {
        is_taken(&self.lock(), key, copy)
    }

    /// Takes up what uploads had sent before the node was started again.
    fn find_again(&self, begun: Vec<(TableKey, Beginning)>) {
        let mut slots = self.lock();
        for (key, beginning) in begun {
            match slots.get(&key) {
                None => self.pause(&mut slots, &key, beginning),
                Some(Slot::Paused(older)) if older.beginning.copy < beginning.copy => {
                    self.drop_paused(&mut slots, &key);
                    self.pause(&mut slots, &key, beginning);
                }
                // A later one took its place.
                Some(_) => self.discard(key, beginning.copy),
            }
        }
    }

    pub(super) fn archive(&self) -> Option<Archive> {
        self.archive.clone()
    }

    pub(super) fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    pub(super) fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// Tables, and bytes held for them.
    pub fn load(&self) -> (u64, u64) {
        self.accounts.load()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<TableKey, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_taken(slots: &BTreeMap<TableKey, Slot>, key: &TableKey, copy: Copy) -> bool {
    matches!(slots.get(key), Some(Slot::Arriving(_, arriving)) if *arriving == copy)
}

fn stored<'a>(slots: impl Iterator<Item = (&'a TableKey, &'a Slot)>) -> Vec<Arc<StoredTable>> {
    let table = |slot: &Slot| match slot {
        Slot::Stored(table) => Some(table.clone()),
        Slot::Arriving(..) | Slot::Paused(_) | Slot::Leaving => None,
    };
    slots.filter_map(|(_, slot)| table(slot)).collect()
}

impl fmt::Debug for TableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tables, bytes) = self.load();
        f.debug_struct("TableStore").field("tables", &tables).field("bytes", &bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests;
