//! Tables on the disk, for a node that starts again.
//!
//! A table is a head, which describes it, and its entries in parts. The parts are written first, a few in a transaction so that others get their turn, and the head last: a table is there once its head is.
//! There is one head of a name and version. New shares of it are prepared beside those in use: their parts first, then a record that tells of them; the head tells of them when all three nodes have theirs. An upload whose parts are written while it
//! arrives has a record of its own instead, until the head is there. Parts of which nothing tells are those of a table that did not come to be; they are removed when the node starts.

mod uploads;

use super::{
    Epoch, Provenance, TableFault, TableKey, TableSpec, UploadId,
    epoch::Content,
    stored::{Body, Origin, StoredTable, Uses},
    unfinished::Beginning,
};
use crate::{
    pki::ClientName,
    store::{Parts, Space, Store, StoreError, Tables, Transaction, Value, WriteTransaction},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeSet, sync::Arc};

/// The ends of the names of heads and of uploads.
const HEAD: &[u8] = b"/head";
const UPLOAD: &[u8] = b"/upload";

/// The version of the form of a head.
const FORMAT: u8 = 1;

/// The store, as far as tables are in it.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    store: Store,
    parts: Parts,
}

/// Which copy of a table its parts are of: two uploads that follow each other closely are not mixed up, even under one id.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub(super) struct Copy(pub(super) u64);

/// What the store says of a table that was found in it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: TableKey,
    pub(super) body: Body,
    pub(super) content: Content,
    pub(super) pending: Option<Pending>,
    pub(super) uses: Uses,
}

/// Shares that are prepared.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending {
    pub(super) copy: Copy,
    pub(super) epoch: Epoch,
}

/// All of a table but its entries.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u8,
    owner: ClientName,
    name: super::TableName,
    version: u32,
    copy: Copy,
    spec: TableSpec,
    origins: Vec<Origin>,
    owners: Vec<ClientName>,
    #[serde(default, skip_serializing_if = "Epoch::is_first")]
    epoch: Epoch,
    #[serde(default, skip_serializing_if = "super::spec::is_default")]
    provenance: Provenance,
}

/// What was found in the store.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Tables.
    pub(super) found: Vec<Found>,
    /// Uploads that were broken off.
    pub(super) begun: Vec<(TableKey, Beginning)>,
}

/// One record of a table.
enum Record {
    Head,
    Uses,
    /// Of shares that are prepared.
    Pending,
    /// Of the upload of one copy.
    Upload(Copy),
}

impl Archive {
    pub(super) fn new(store: Store) -> Self {
        Self { parts: Parts::new(store.clone(), Space::TableParts), store }
    }

    /// The components of a copy, of so many bytes each.
    fn content<T: Tables>(
        &self,
        records: &Transaction<'_, T>,
        key: &TableKey,
        (copy, epoch, bytes): (Copy, Epoch, usize),
    ) -> Result<Content, StoreError> {
        let component = |c: usize| {
            let component = self.parts.read(records, &part_prefix(key, copy), (c, bytes))?;
            component.map_err(|fault| self.store.damaged(format!("{key} {fault}")))
        };
        Ok(Content { epoch, copy, components: [component(0)?, component(1)?] })
    }

    /// Writes tables, all or none, of which so many parts each are there already. `there` is asked in the last transaction, before any of them is there; if it fails, none will be.
    ///
    /// Not cancel safe: what is dropped may leave parts behind until the node starts again.
    pub(super) async fn write<E>(
        &self,
        parts: Vec<(Arc<StoredTable>, usize)>,
        there: impl FnOnce() -> Result<(), E> + Send + 'static,
    ) -> Result<(), E>
    where
        E: From<StoreError> + Send + 'static,
    {
        let written = self.write_all_parts(&parts).await.map_err(E::from);
        let tables: Vec<_> = parts.into_iter().map(|(table, _)| table).collect();
        let heads = tables.clone();
        let end = match written {
            Ok(()) => {
                let put = move |records: &mut WriteTransaction<'_>| {
                    there().and_then(|()| put_heads(records, &heads).map_err(E::from))
                };
                self.store.write(put).await
            }
            Err(error) => Err(error),
        };
        if end.is_err() {
            self.remove_all(&tables).await;
        }
        end
    }

    async fn write_all_parts(&self, tables: &[(Arc<StoredTable>, usize)]) -> Result<(), StoreError> {
        for (table, saved) in tables {
            self.write_parts(table.key(), &table.content(), *saved).await?;
        }
        Ok(())
    }

    /// Writes the parts of a copy but the first, which are there.
    pub(super) async fn write_parts(
        &self,
        key: &TableKey,
        content: &Arc<Content>,
        saved: usize,
    ) -> Result<(), StoreError> {
        self.parts.write(&part_prefix(key, content.copy), (content, saved)).await
    }

    /// Writes that new shares of a table are there, whose parts are.
    ///
    /// # Errors
    /// [`TableFault::Deleted`] if the table is not there any more; [`TableFault`] of the disk.
    pub(super) async fn prepare(&self, table: Arc<StoredTable>, content: &Content) -> Result<(), TableFault> {
        let pending = Pending { copy: content.copy, epoch: content.epoch };
        let store = self.store.clone();
        let write = self.store.write(move |records| {
            let key = table.key();
            match head(&store, records, key)? {
                Some(head) if head.copy == table.copy() => {
                    records.put(Space::Tables, &record_name(key, &Record::Pending), &json(&pending)?)?;
                    Ok(())
                }
                _ => Err(TableFault::Deleted(Box::new(key.clone()))),
            }
        });
        write.await
    }

    /// Makes the shares of an epoch that are prepared those in use, and removes the ones before them. What comes back are the new ones.
    ///
    /// # Errors
    /// [`TableFault::Deleted`] if the table or these shares are not there; [`TableFault`] of the disk.
    pub(super) async fn commit(&self, table: &StoredTable, epoch: Epoch) -> Result<Content, TableFault> {
        let (this, key, bytes) = (self.clone(), table.key().clone(), table.content().components[0].len());
        // Read first: nobody waits for a large table meanwhile. It does not change, as this table is being changed by nobody else.
        let read = self.store.read(move |records| {
            let deleted = || TableFault::Deleted(Box::new(key.clone()));
            let head = head(&this.store, records, &key)?.ok_or_else(deleted)?;
            let found = pending(&this.store, records, &key)?.filter(|pending| pending.epoch == epoch);
            let copy = match found {
                _ if head.epoch == epoch => head.copy,
                Some(pending) => pending.copy,
                None => return Err(deleted()),
            };
            Ok::<_, TableFault>(this.content(records, &key, (copy, epoch, bytes))?)
        });
        let content = read.await?;
        let (this, key, copy) = (self.clone(), table.key().clone(), content.copy);
        let write = self.store.write(move |records| {
            let mut head =
                head(&this.store, records, &key)?.ok_or_else(|| TableFault::Deleted(Box::new(key.clone())))?;
            if head.epoch != epoch {
                this.remove_parts(records, &key, head.copy)?;
                (head.copy, head.epoch) = (copy, epoch);
                records.put(Space::Tables, &record_name(&key, &Record::Head), &json(&head)?)?;
                records.remove(Space::Tables, &record_name(&key, &Record::Pending))?;
            }
            Ok::<_, TableFault>(())
        });
        write.await?;
        Ok(content)
    }

    /// Removes the parts of a copy that was to be prepared, and the record that tells of it if there is one.
    pub(super) async fn unprepare(&self, key: &TableKey, copy: Copy) -> Result<(), StoreError> {
        let (this, key) = (self.clone(), key.clone());
        let write = self.store.write(move |records| {
            if pending(&this.store, records, &key)?.is_some_and(|pending| pending.copy == copy) {
                records.remove(Space::Tables, &record_name(&key, &Record::Pending))?;
            }
            this.remove_parts(records, &key, copy)
        });
        write.await
    }

    /// Removes shares that are prepared beside those of an epoch.
    ///
    /// # Errors
    /// [`TableFault::Deleted`] if others are in use: nothing is removed then.
    pub(super) async fn abandon(&self, key: &TableKey, current: Epoch) -> Result<(), TableFault> {
        let (this, key) = (self.clone(), key.clone());
        let write = self.store.write(move |records| {
            if head(&this.store, records, &key)?.is_none_or(|head| head.epoch != current) {
                return Err(TableFault::Deleted(Box::new(key)));
            }
            let Some(pending) = pending(&this.store, records, &key)? else { return Ok(()) };
            this.remove_parts(records, &key, pending.copy)?;
            records.remove(Space::Tables, &record_name(&key, &Record::Pending))?;
            Ok(())
        });
        write.await
    }

    /// What the disk has of a table: its shares in use, if they are others than those in memory, and the epoch of those that are prepared.
    ///
    /// # Errors
    /// [`TableFault::Deleted`] if the table is not there.
    pub(super) async fn found(&self, table: &StoredTable) -> Result<(Option<Content>, Option<Epoch>), TableFault> {
        let (this, key) = (self.clone(), table.key().clone());
        let (epoch, bytes) = (table.content().epoch, table.content().components[0].len());
        let read = self.store.read(move |records| {
            let Some(head) = head(&this.store, records, &key)? else { return Err(TableFault::Deleted(Box::new(key))) };
            let other = (head.epoch != epoch).then(|| this.content(records, &key, (head.copy, head.epoch, bytes)));
            Ok((other.transpose()?, pending(&this.store, records, &key)?.map(|pending| pending.epoch)))
        });
        read.await
    }

    /// Writes how often the permits of tables have been used, as it is when the record is written.
    pub(super) async fn write_uses(&self, tables: &[Arc<StoredTable>]) -> Result<(), StoreError> {
        let mut changing = Vec::with_capacity(tables.len());
        for table in tables {
            // Its shares are not made anew meanwhile.
            changing.push(table.changing().await);
        }
        let (store, tables) = (self.store.clone(), tables.to_vec());
        let write = self.store.write(move |records| {
            tables.iter().try_for_each(|table| {
                // One that was deleted meanwhile stays so. Which shares of it are in use here may be unknown after a disk has failed: an upload is told by its description.
                match head(&store, records, table.key())? {
                    Some(head) if head.spec == *table.spec() => {
                        records.put(Space::Tables, &record_name(table.key(), &Record::Uses), &json(&table.uses())?)
                    }
                    _ => Ok(()),
                }
            })
        });
        write.await
    }

    /// Removes what there is of tables that did not come to be. What cannot be removed now is when the node starts, or when the table is uploaded or deleted again.
    pub(super) async fn remove_all(&self, tables: &[Arc<StoredTable>]) {
        for table in tables {
            let copy = table.copy();
            if let Err(error) = self.remove(table.key(), move |head| head == copy, vec![copy]).await {
                tracing::error!("{}: what there is of it could not be removed: {error}", table.key());
            }
        }
    }

    /// Removes a table if it is this copy, and the parts of some copies. False if it is another one, or there is none.
    pub(super) async fn remove(
        &self,
        key: &TableKey,
        is: impl FnOnce(Copy) -> bool + Send + 'static,
        copies: Vec<Copy>,
    ) -> Result<bool, StoreError> {
        let (this, key) = (self.clone(), key.clone());
        let remove = self.store.write(move |records| {
            let found = head(&this.store, records, &key)?.map(|head| head.copy).filter(|copy| is(*copy));
            let mut prepared = None;
            if found.is_some() {
                prepared = pending(&this.store, records, &key)?.map(|pending| pending.copy);
                for record in [Record::Head, Record::Uses, Record::Pending] {
                    records.remove(Space::Tables, &record_name(&key, &record))?;
                }
            }
            for copy in copies.into_iter().chain(found).chain(prepared) {
                records.remove(Space::Tables, &record_name(&key, &Record::Upload(copy)))?;
                this.remove_parts(records, &key, copy)?;
            }
            Ok(found.is_some())
        });
        remove.await
    }

    /// Removes a table that nobody knows of: of an upload whose end was not told. False if there is none, or of another upload.
    pub(super) async fn forget(&self, key: &TableKey, upload: Option<UploadId>) -> Result<bool, StoreError> {
        let (store, of) = (self.store.clone(), key.clone());
        let found = self.store.read(move |records| head(&store, records, &of)).await?;
        match found.filter(|head| upload.is_none_or(|upload| upload == head.spec.upload)) {
            Some(found) => self.remove(key, move |copy| copy == found.copy, Vec::new()).await,
            None => Ok(false),
        }
    }

    /// All tables, and uploads that were broken off. Parts of neither are removed.
    pub(super) async fn load(&self) -> Result<Loaded, StoreError> {
        let this = self.clone();
        let found = self.store.read(move |records| {
            let (store, mut found, mut begun) = (&this.store, Vec::new(), Vec::new());
            for name in records.list(Space::Tables, b"")? {
                if name.ends_with(UPLOAD) {
                    begun.extend(
                        records
                            .get(Space::Tables, &name)?
                            .map(|upload| uploads::read(store, records, &upload))
                            .transpose()?,
                    );
                }
                if !name.ends_with(HEAD) {
                    continue;
                }
                let damaged = |what: &str| store.damaged(format!("the table {} {what}", name.escape_ascii()));
                let Some(head) = records.get(Space::Tables, &name)? else { continue };
                let Head { format, owner, name: table, version, copy, spec, origins, owners, epoch, provenance } =
                    parsed(store, &head)?;
                if format != FORMAT {
                    return Err(damaged("is of another version"));
                }
                let key = TableKey { owner, name: table, version };
                let uses = records.get(Space::Tables, &record_name(&key, &Record::Uses))?;
                let uses = uses.map(|uses| parsed(store, &uses)).transpose()?.unwrap_or_default();
                let bytes = spec.component_bytes().map_err(|fault| damaged(&format!("is none: {fault}")))?;
                let content = this.content(records, &key, (copy, epoch, bytes))?;
                let pending = pending(store, records, &key)?;
                found.push(Found { key, body: Body { spec, origins, owners, provenance }, content, pending, uses });
            }
            Ok::<_, StoreError>(Loaded { found, begun })
        });
        let Loaded { found, begun } = found.await?;
        let of_uploads = begun.iter().map(|(key, upload)| part_prefix(key, upload.copy));
        let copies = found.iter().flat_map(|found| {
            let copies = [Some(found.content.copy), found.pending.map(|pending| pending.copy)];
            copies.into_iter().flatten().map(|copy| part_prefix(&found.key, copy))
        });
        let whole: BTreeSet<Vec<u8>> = copies.chain(of_uploads).collect();
        let rest = self.parts.remove_rest(|prefix| whole.contains(prefix)).await?;
        if rest > 0 {
            tracing::info!("{rest} parts of tables that were not uploaded to their end were removed");
        }
        Ok(Loaded { found, begun })
    }

    fn remove_parts(&self, records: &mut WriteTransaction<'_>, key: &TableKey, copy: Copy) -> Result<(), StoreError> {
        self.parts.remove(records, &part_prefix(key, copy))
    }
}

fn head<T: Tables>(store: &Store, records: &Transaction<'_, T>, key: &TableKey) -> Result<Option<Head>, StoreError> {
    let head = records.get(Space::Tables, &record_name(key, &Record::Head))?;
    head.map(|head| parsed(store, &head)).transpose()
}

fn pending<T: Tables>(
    store: &Store,
    records: &Transaction<'_, T>,
    key: &TableKey,
) -> Result<Option<Pending>, StoreError> {
    let pending = records.get(Space::Tables, &record_name(key, &Record::Pending))?;
    pending.map(|pending| parsed(store, &pending)).transpose()
}

fn put_heads(records: &mut WriteTransaction<'_>, tables: &[Arc<StoredTable>]) -> Result<(), StoreError> {
    tables.iter().try_for_each(|table| {
        let (key, spec, copy) = (table.key(), table.spec().clone(), table.copy());
        let TableKey { owner, name, version } = key.clone();
        let (origins, owners, epoch) = (table.origins().to_vec(), table.owners().to_vec(), table.content().epoch);
        let provenance = table.provenance();
        let head = Head { format: FORMAT, owner, name, version, copy, spec, origins, owners, epoch, provenance };
        // Those of a table that was there before say nothing of this one.
        match table.uses() {
            uses if uses.is_empty() => drop(records.remove(Space::Tables, &record_name(key, &Record::Uses))?),
            uses => records.put(Space::Tables, &record_name(key, &Record::Uses), &json(&uses)?)?,
        }
        records.remove(Space::Tables, &record_name(key, &Record::Upload(copy)))?;
        records.put(Space::Tables, &record_name(key, &Record::Head), &json(&head)?)
    })
}

/// Owner and name have no zero byte; the version has a length of its own.
fn prefix(key: &TableKey) -> Vec<u8> {
    let texts = [key.owner.as_str(), key.name.as_str()];
    let mut prefix: Vec<u8> = texts.into_iter().flat_map(|text| text.bytes().chain([0])).collect();
    prefix.extend(key.version.to_be_bytes());
    prefix
}

fn part_prefix(key: &TableKey, copy: Copy) -> Vec<u8> {
    [&prefix(key)[..], &copy.0.to_be_bytes()].concat()
}

fn record_name(key: &TableKey, record: &Record) -> Vec<u8> {
    [prefix(key), record.suffix()].concat()
}

impl Record {
    fn suffix(&self) -> Vec<u8> {
        match self {
            Self::Head => HEAD.to_vec(),
            Self::Uses => b"/uses".to_vec(),
            Self::Pending => b"/pending".to_vec(),
            Self::Upload(copy) => [&copy.0.to_be_bytes(), UPLOAD].concat(),
        }
    }
}

fn json(what: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_vec(what).map(Value::new).map_err(|e| StoreError::Bug(e.to_string()))
}

fn parsed<T: DeserializeOwned>(store: &Store, record: &Value) -> Result<T, StoreError> {
    serde_json::from_slice(record).map_err(|e| store.damaged(format!("a record of a table: {e}")))
}

/// Reads bytes as each record of a table.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_any(bytes: &[u8]) {
    if let Ok(Head { spec, .. }) = serde_json::from_slice(bytes) {
        let _ = (spec.component_bytes(), spec.canonical());
    }
    uploads::read_any(bytes);
    drop(serde_json::from_slice::<Pending>(bytes));
}
