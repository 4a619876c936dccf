//! Tables on the disk, for a node that starts again.
//!
//! A table is a head, which describes it, and its entries in parts. The parts are written first, a few in a transaction so that others get their turn, and the head last: a table is there once its head is.
//! There is one head of a name and version. New shares of it are prepared beside those in use: their parts first, then a record that tells of them; the head tells of them when all three nodes have theirs. An upload whose parts are written while it
//! arrives has a record of its own instead, until the head is there. Parts of which nothing tells are those of a table that did not come to be; they are removed when the node starts.

use super::{
    Epoch, Provenance, TableFault, TableKey, TableSpec, UploadId,
    epoch::Content,
    stored::{Body, Origin, StoredTable, Uses},
    unfinished::{AT_ONCE, Beginning, PART},
};
use crate::{
    pki::ClientName,
    store::{Space, Store, StoreError, Tables, Transaction, Value, WriteTransaction},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// The ends of the names of heads and of uploads.
const HEAD: &[u8] = b"/head";
const UPLOAD: &[u8] = b"/upload";

/// The version of the form of a head.
const FORMAT: u8 = 1;

/// The store, as far as tables are in it.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    store: Store,
    /// One transaction of parts at a time, so that others wait for no more than one.
    turn: Arc<Semaphore>,
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

/// An upload of which parts are there.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Upload {
    format: u8,
    owner: ClientName,
    name: super::TableName,
    version: u32,
    copy: Copy,
    spec: TableSpec,
    described: u64,
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
        Self { store, turn: Arc::new(Semaphore::new(1)) }
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
        let written = self.parts(&parts).await.map_err(E::from);
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

    async fn parts(&self, tables: &[(Arc<StoredTable>, usize)]) -> Result<(), StoreError> {
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
        let component = |c: usize| &content.components[c];
        let parts = (0..2).flat_map(|c| (0..component(c).len().div_ceil(PART)).map(move |k| (c, k)));
        let parts: Vec<_> = parts.skip(saved).collect();
        for some in parts.chunks(AT_ONCE) {
            let _turn = self.turn.acquire().await;
            let (prefix, content, some) = (part_prefix(key, content.copy), content.clone(), some.to_vec());
            let write = self.store.write(move |records| {
                some.into_iter().try_for_each(|(c, k)| {
                    let component = &content.components[c];
                    let part = &component[k * PART..component.len().min((k + 1) * PART)];
                    records.put(Space::TableParts, &part_name(&prefix, c, k), part)
                })
            });
            write.await?;
        }
        Ok(())
    }

    /// Writes the parts of an upload up to one, beginning with the first that is not there.
    pub(super) async fn save(
        &self,
        key: &TableKey,
        begun: &Beginning,
        parts: usize,
        components: &[Zeroizing<Vec<u8>>; 2],
    ) -> Result<(), StoreError> {
        let prefix = part_prefix(key, begun.copy);
        let mut first = (begun.saved == 0).then(|| Upload::of(key, begun)).transpose()?;
        let places: Vec<_> = begun.places(begun.saved..parts).collect();
        for some in places.chunks(AT_ONCE) {
            let part = |(c, k): &(usize, usize)| {
                let component = &components[*c];
                let part = &component[k * PART..component.len().min((k + 1) * PART)];
                (part_name(&prefix, *c, *k), Zeroizing::new(part.to_vec()))
            };
            let (some, upload): (Vec<_>, _) = (some.iter().map(part).collect(), first.take());
            let _turn = self.turn.acquire().await;
            let write = self.store.write(move |records| {
                if let Some((name, upload)) = upload {
                    records.put(Space::Tables, &name, &upload)?;
                }
                some.iter().try_for_each(|(name, part)| records.put(Space::TableParts, name, part))
            });
            write.await?;
        }
        Ok(())
    }

    /// The components of an upload as far as they are there, and zeros.
    pub(super) async fn fetch(&self, key: TableKey, begun: Beginning) -> Result<[Zeroizing<Vec<u8>>; 2], StoreError> {
        let store = self.store.clone();
        let fetch = self.store.read(move |records| {
            let (prefix, bytes) = (part_prefix(&key, begun.copy), begun.component());
            let mut components = [(); 2].map(|()| Zeroizing::new(vec![0; bytes]));
            for (c, k) in begun.places(0..begun.saved) {
                let part = records.get(Space::TableParts, &part_name(&prefix, c, k))?;
                let place = &mut components[c][k * PART..bytes.min((k + 1) * PART)];
                match part.filter(|part| part.len() == place.len()) {
                    Some(part) => place.copy_from_slice(&part),
                    None => return Err(store.damaged(format!("the upload of {key} lacks a part"))),
                }
            }
            Ok(components)
        });
        fetch.await
    }

    /// Removes what there is of an upload; what cannot be removed now is when the node is started the next time.
    pub(super) async fn remove_copy(&self, key: TableKey, copy: Copy) {
        if let Err(error) = self.remove(&key, |_| false, vec![copy]).await {
            tracing::error!("{key}: what there is of an upload could not be removed: {error}");
        }
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
        let (store, key, bytes) = (self.store.clone(), table.key().clone(), table.content().components[0].len());
        // Read first: nobody waits for a large table meanwhile. It does not change, as this table is being changed by nobody else.
        let read = self.store.read(move |records| {
            let deleted = || TableFault::Deleted(Box::new(key.clone()));
            let head = head(&store, records, &key)?.ok_or_else(deleted)?;
            let found = pending(&store, records, &key)?.filter(|pending| pending.epoch == epoch);
            let copy = match found {
                _ if head.epoch == epoch => head.copy,
                Some(pending) => pending.copy,
                None => return Err(deleted()),
            };
            Ok::<_, TableFault>(content(&store, records, &key, (copy, epoch, bytes))?)
        });
        let content = read.await?;
        let (store, key, copy) = (self.store.clone(), table.key().clone(), content.copy);
        let write = self.store.write(move |records| {
            let mut head = head(&store, records, &key)?.ok_or_else(|| TableFault::Deleted(Box::new(key.clone())))?;
            if head.epoch != epoch {
                remove_parts(records, &key, head.copy)?;
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
        let (store, key) = (self.store.clone(), key.clone());
        let write = self.store.write(move |records| {
            if pending(&store, records, &key)?.is_some_and(|pending| pending.copy == copy) {
                records.remove(Space::Tables, &record_name(&key, &Record::Pending))?;
            }
            remove_parts(records, &key, copy)
        });
        write.await
    }

    /// Removes shares that are prepared beside those of an epoch.
    ///
    /// # Errors
    /// [`TableFault::Deleted`] if others are in use: nothing is removed then.
    pub(super) async fn abandon(&self, key: &TableKey, current: Epoch) -> Result<(), TableFault> {
        let (store, key) = (self.store.clone(), key.clone());
        let write = self.store.write(move |records| {
            if head(&store, records, &key)?.is_none_or(|head| head.epoch != current) {
                return Err(TableFault::Deleted(Box::new(key)));
            }
            let Some(pending) = pending(&store, records, &key)? else { return Ok(()) };
            remove_parts(records, &key, pending.copy)?;
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
        let (store, key) = (self.store.clone(), table.key().clone());
        let (epoch, bytes) = (table.content().epoch, table.content().components[0].len());
        let read = self.store.read(move |records| {
            let Some(head) = head(&store, records, &key)? else { return Err(TableFault::Deleted(Box::new(key))) };
            let other = (head.epoch != epoch).then(|| content(&store, records, &key, (head.copy, head.epoch, bytes)));
            Ok((other.transpose()?, pending(&store, records, &key)?.map(|pending| pending.epoch)))
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
                // One that was deleted meanwhile stays so.
                match head(&store, records, table.key())? {
                    Some(head) if head.copy == table.copy() => {
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
        let (store, key) = (self.store.clone(), key.clone());
        let remove = self.store.write(move |records| {
            let found = head(&store, records, &key)?.map(|head| head.copy).filter(|copy| is(*copy));
            let mut prepared = None;
            if found.is_some() {
                prepared = pending(&store, records, &key)?.map(|pending| pending.copy);
                for record in [Record::Head, Record::Uses, Record::Pending] {
                    records.remove(Space::Tables, &record_name(&key, &record))?;
                }
            }
            for copy in copies.into_iter().chain(found).chain(prepared) {
                records.remove(Space::Tables, &record_name(&key, &Record::Upload(copy)))?;
                remove_parts(records, &key, copy)?;
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
        let store = self.store.clone();
        let found = self.store.read(move |records| {
            let (mut found, mut begun) = (Vec::new(), Vec::new());
            for name in records.list(Space::Tables, b"")? {
                if name.ends_with(UPLOAD) {
                    begun.extend(
                        records
                            .get(Space::Tables, &name)?
                            .map(|upload| read_upload(&store, records, &upload))
                            .transpose()?,
                    );
                }
                if !name.ends_with(HEAD) {
                    continue;
                }
                let damaged = |what: &str| store.damaged(format!("the table {} {what}", name.escape_ascii()));
                let Some(head) = records.get(Space::Tables, &name)? else { continue };
                let Head { format, owner, name: table, version, copy, spec, origins, owners, epoch, provenance } =
                    parsed(&store, &head)?;
                if format != FORMAT {
                    return Err(damaged("is of another version"));
                }
                let key = TableKey { owner, name: table, version };
                let uses = records.get(Space::Tables, &record_name(&key, &Record::Uses))?;
                let uses = uses.map(|uses| parsed(&store, &uses)).transpose()?.unwrap_or_default();
                let bytes = spec.component_bytes().map_err(|fault| damaged(&format!("is none: {fault}")))?;
                let content = content(&store, records, &key, (copy, epoch, bytes))?;
                let pending = pending(&store, records, &key)?;
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
        let parts = self.store.list(Space::TableParts, b"").await?;
        let is_left = |part: &Vec<u8>| !whole.contains(&part[..part.len().saturating_sub(PLACE)]);
        let rest: Vec<_> = parts.into_iter().filter(is_left).collect();
        if !rest.is_empty() {
            tracing::info!("{} parts of tables that were not uploaded to their end are removed", rest.len());
            let remove = self.store.write(move |records| {
                rest.iter().try_for_each(|part| records.remove(Space::TableParts, part).map(drop))
            });
            remove.await?;
        }
        Ok(Loaded { found, begun })
    }
}

impl Upload {
    /// The record of an upload, and its name.
    fn of(key: &TableKey, begun: &Beginning) -> Result<(Vec<u8>, Value), StoreError> {
        let TableKey { owner, name, version } = key.clone();
        let Beginning { spec, copy, described, .. } = begun.clone();
        let upload = Self { format: FORMAT, owner, name, version, copy, spec, described };
        Ok((record_name(key, &Record::Upload(copy)), json(&upload)?))
    }
}

/// An upload, with as many parts as are there from the first on.
fn read_upload<T: Tables>(
    store: &Store,
    records: &Transaction<'_, T>,
    record: &Value,
) -> Result<(TableKey, Beginning), StoreError> {
    let Upload { format, owner, name, version, copy, spec, described } = parsed(store, record)?;
    let key = TableKey { owner, name, version };
    if format != FORMAT {
        return Err(store.damaged(format!("the upload of {key} is of another version")));
    }
    spec.component_bytes().map_err(|fault| store.damaged(format!("the upload of {key} is none: {fault}")))?;
    let prefix = part_prefix(&key, copy);
    let there: BTreeSet<Vec<u8>> = records.list(Space::TableParts, &prefix)?.into_iter().collect();
    let mut begun = Beginning { spec, copy, described, saved: 0 };
    let all = 2 * begun.component().div_ceil(PART);
    let saved = begun.places(0..all).take_while(|(c, k)| there.contains(&part_name(&prefix, *c, *k))).count();
    // Something is left to send, with which the client learns that it is complete.
    begun.saved = saved.min(all.saturating_sub(1));
    Ok((key, begun))
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

/// The components of a copy, of so many bytes each.
fn content<T: Tables>(
    store: &Store,
    records: &Transaction<'_, T>,
    key: &TableKey,
    (copy, epoch, bytes): (Copy, Epoch, usize),
) -> Result<Content, StoreError> {
    let damaged = |what: &str| store.damaged(format!("{key} {what}"));
    let component = |c: usize| {
        let mut component = Zeroizing::new(Vec::with_capacity(bytes));
        for k in 0..bytes.div_ceil(PART) {
            let part = records.get(Space::TableParts, &part_name(&part_prefix(key, copy), c, k))?;
            component.extend_from_slice(&part.ok_or_else(|| damaged("lacks a part"))?);
        }
        if component.len() == bytes { Ok(component) } else { Err(damaged("has a part of another length")) }
    };
    Ok(Content { epoch, copy, components: [component(0)?, component(1)?] })
}

fn remove_parts(records: &mut WriteTransaction<'_>, key: &TableKey, copy: Copy) -> Result<(), StoreError> {
    let parts = records.list(Space::TableParts, &part_prefix(key, copy))?;
    parts.iter().try_for_each(|part| records.remove(Space::TableParts, part).map(drop))
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

/// Bytes of a part's name after the prefix: the component, and the place in it.
const PLACE: usize = 1 + 4;

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

fn part_name(prefix: &[u8], component: usize, place: usize) -> Vec<u8> {
    [prefix, &[component as u8], &(place as u32).to_be_bytes()].concat()
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
