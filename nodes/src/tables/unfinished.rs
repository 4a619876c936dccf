//! Uploads that were broken off: what has arrived stays for a while, on the disk and encrypted, so that the client can go on where it was.

use super::{
    StoredTable, TableKey, TableSpec, UploadId,
    accounts::{Accounts, Held, TableRefusal},
    archive::Copy,
    arriving::{Arriving, TableFault, Taken},
    store::{Arrival, Slot, TableStore},
};
use crate::store::{AT_ONCE, PART};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};
use zeroize::Zeroizing;

/// Unfinished uploads of one client at most. Beyond, the oldest goes.
const MOST: usize = 4;

/// How long one is kept after the last part has come.
const KEPT: Duration = Duration::from_hours(1);

/// An upload of which a node has the beginning.
#[derive(Clone, Debug)]
pub(super) struct Beginning {
    pub(super) spec: TableSpec,
    pub(super) copy: Copy,
    /// Bytes of the body before the components.
    pub(super) described: u64,
    /// Parts that are on the disk: of the component `own`, then of `next`.
    pub(super) saved: usize,
}

/// One that nobody is sending.
#[derive(Debug)]
pub(super) struct Paused {
    pub(super) beginning: Beginning,
    held: Held,
    since: SystemTime,
}

/// How far an upload has come, as its client is told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UploadStatus {
    /// Which upload.
    pub upload: UploadId,
    /// Bytes of the body that the node has: the next one to send.
    pub offset: u64,
    /// Bytes of the whole body.
    pub length: u64,
}

/// A table whose rest may be read, with what has come before in its place.
#[derive(Debug)]
pub struct Resumed {
    /// The table.
    pub arriving: Arriving,
    /// Its components, of which the first bytes are there.
    pub components: [Zeroizing<Vec<u8>>; 2],
}

/// What an upload is that is gone on with.
enum TakenUp {
    /// It is complete.
    Known(Arc<StoredTable>),
    Rest(Box<(Arriving, Beginning)>),
}

impl Beginning {
    /// Bytes of a component; none if the description is none, which has been checked.
    pub(super) fn component(&self) -> usize {
        self.spec.component_bytes().unwrap_or(0)
    }

    /// Where each saved part lies: which component, and which part of it.
    pub(super) fn places(&self, parts: std::ops::Range<usize>) -> impl Iterator<Item = (usize, usize)> + use<> {
        let each = self.component().div_ceil(PART).max(1);
        parts.map(move |part| (part / each, part % each))
    }

    /// Bytes of the components that are on the disk.
    pub(super) fn bytes(&self) -> usize {
        let (component, each) = (self.component(), self.component().div_ceil(PART));
        let first = self.saved.min(each);
        [first, self.saved - first].map(|parts| (parts * PART).min(component)).iter().sum()
    }

    fn status(&self) -> UploadStatus {
        let length = self.described + 2 * self.component() as u64;
        UploadStatus { upload: self.spec.upload, offset: self.described + self.bytes() as u64, length }
    }
}

impl TableStore {
    /// How far an upload has come that was broken off; `None` if there is none.
    ///
    /// # Errors
    /// [`TableRefusal::Uploading`] if it is arriving now.
    pub fn unfinished(&self, key: &TableKey) -> Result<Option<UploadStatus>, TableRefusal> {
        match self.lock().get(key) {
            Some(Slot::Paused(paused)) => Ok(Some(paused.beginning.status())),
            Some(Slot::Arriving(..)) => Err(TableRefusal::Uploading(key.clone())),
            _ => Ok(None),
        }
    }

    /// Goes on with an upload that was broken off, from the byte of its body that comes next.
    ///
    /// # Errors
    /// [`TableFault::Refused`]: there is none, it is arriving, or another byte comes next; [`TableFault::Store`], and it is there still.
    pub async fn resume(self: &Arc<Self>, key: &TableKey, at: UploadStatus) -> Result<Arrival, TableFault> {
        let (arriving, beginning) = match self.take_up(key, at)? {
            TakenUp::Known(table) => return Ok(Arrival::Known(table)),
            TakenUp::Rest(rest) => *rest,
        };
        let archive = self.archive().ok_or_else(|| TableRefusal::Unbegun(key.clone()))?;
        let components = archive.fetch(key.clone(), beginning).await?;
        Ok(Arrival::Resumed(Box::new(Resumed { arriving, components })))
    }

    fn take_up(self: &Arc<Self>, key: &TableKey, at: UploadStatus) -> Result<TakenUp, TableRefusal> {
        let UploadStatus { upload, .. } = at;
        let mut slots = self.lock();
        match slots.get(key) {
            Some(Slot::Stored(table)) if table.spec().upload == upload => return Ok(TakenUp::Known(table.clone())),
            Some(Slot::Arriving(..)) => return Err(TableRefusal::Uploading(key.clone())),
            Some(Slot::Paused(paused)) if paused.beginning.spec.upload == upload => {
                let status = paused.beginning.status();
                if status != at {
                    return Err(TableRefusal::Elsewhere(key.clone(), status.offset));
                }
            }
            _ => return Err(TableRefusal::Unbegun(key.clone())),
        }
        let Some(Slot::Paused(Paused { beginning, held, .. })) = slots.remove(key) else {
            return Err(TableRefusal::Unbegun(key.clone()));
        };
        slots.insert(key.clone(), Slot::Arriving(upload, beginning.copy));
        let begun = Some(beginning.clone());
        let slot = Taken { store: self.clone(), key: Box::new(key.clone()), copy: beginning.copy, begun };
        let spec = beginning.spec.clone();
        Ok(TakenUp::Rest(Box::new((Arriving::new(slot, spec, held), beginning))))
    }

    /// Keeps what there is of an upload whose sender is gone.
    pub(super) fn pause(&self, slots: &mut BTreeMap<TableKey, Slot>, key: &TableKey, beginning: Beginning) {
        let held = Accounts::hold(self.accounts(), &key.owner, 2 * beginning.component() as u64);
        slots.insert(key.clone(), Slot::Paused(Paused { beginning, held, since: self.now() }));
        let paused = slots.iter().filter_map(|(other, slot)| match slot {
            Slot::Paused(paused) if other.owner == key.owner => Some((paused.since, other.clone())),
            _ => None,
        });
        let mut paused: Vec<_> = paused.collect();
        paused.sort();
        for (_, oldest) in paused.iter().take(paused.len().saturating_sub(MOST)) {
            self.drop_paused(slots, oldest);
        }
    }

    /// Removes one, from the disk in the background.
    pub(super) fn drop_paused(&self, slots: &mut BTreeMap<TableKey, Slot>, key: &TableKey) {
        let Some(Slot::Paused(_)) = slots.get(key) else { return };
        let Some(Slot::Paused(paused)) = slots.remove(key) else { return };
        self.discard(key.clone(), paused.beginning.copy);
    }

    /// Removes what is on the disk of an upload, in the background.
    pub(super) fn discard(&self, key: TableKey, copy: Copy) {
        let Some(archive) = self.archive() else { return };
        // Without a runtime, the node is ending: the next one finds it, and keeps it or not.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { archive.remove_copy(key, copy).await });
        }
    }

    /// Removes those whose clients have not come back in time.
    pub fn drop_unfinished(&self) {
        let (mut slots, now) = (self.lock(), self.now());
        let is_over = |slot: &Slot| match slot {
            Slot::Paused(paused) => now.duration_since(paused.since).is_ok_and(|since| since >= KEPT),
            _ => false,
        };
        let over: Vec<TableKey> = slots.iter().filter(|(_, slot)| is_over(slot)).map(|(key, _)| key.clone()).collect();
        for key in &over {
            self.drop_paused(&mut slots, key);
        }
    }
}

impl Arriving {
    /// Whether this node keeps what has come if the connection breaks: the body had so many bytes before its components.
    pub fn keep_what_comes(&mut self, described: u64) {
        let (spec, copy) = (self.spec().clone(), self.slot().copy);
        if self.slot().store.archive().is_some() {
            self.slot_mut().begun = Some(Beginning { spec, copy, described, saved: 0 });
        }
    }

    /// Where to read on: the next bytes of a component, so many that they are worth a transaction. `None` when all have been read.
    pub fn next(&self, read: usize) -> Option<(usize, std::ops::Range<usize>)> {
        let component = self.spec().component_bytes().unwrap_or(0);
        let (c, at) = if read < component { (0, read) } else { (1, read - component) };
        (at < component).then(|| (c, at..component.min(at + AT_ONCE * PART)))
    }

    /// Bytes of the components that came before this connection.
    pub fn read_before(&self) -> usize {
        self.slot().begun.as_ref().map_or(0, Beginning::bytes)
    }

    /// So many bytes of the components have been read: writes what is worth it.
    ///
    /// # Errors
    /// [`TableFault::Store`]; what was written before stays.
    pub async fn save(&mut self, components: &[Zeroizing<Vec<u8>>; 2], read: usize) -> Result<(), TableFault> {
        let key = self.key().clone();
        let (store, component) = (self.slot().store.clone(), components[0].len());
        let (Some(archive), Some(begun)) = (store.archive(), &mut self.slot_mut().begun) else { return Ok(()) };
        let each = component.div_ceil(PART);
        // What is read ends with a part, or with a component.
        let parts = if read <= component { read.div_ceil(PART) } else { each + (read - component) / PART };
        // The rest is written when it is complete; of a small one nothing is before.
        if parts < begun.saved + AT_ONCE || read >= 2 * component {
            return Ok(());
        }
        if !store.is_awaited(&key, begun.copy) {
            return Err(TableFault::Deleted(Box::new(key)));
        }
        archive.save(&key, begun, parts, components).await?;
        begun.saved = parts;
        Ok(())
    }
}
