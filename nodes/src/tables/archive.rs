//! Tables on the disk, for a node that starts again.
//!
//! A table is a head, which describes it, and its entries in parts. The parts are written first, a few in a transaction so that others get their turn, and the head last: a table is there once its head is.
//! There is one head of a name and version. Parts of which it does not tell are those of an upload that was broken off; they are removed when the node starts.

use super::{
    TableKey, TableSpec, UploadId,
    stored::{Body, Origin, StoredTable, Uses},
};
use crate::{
    pki::ClientName,
    store::{Components, Parts, Space, Store, StoreError, Tables, Transaction, Value, WriteTransaction},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeSet, sync::Arc};

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
    pub(super) copy: Copy,
    pub(super) body: Body,
    pub(super) uses: Uses,
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
}

/// One record of a table.
enum Record {
    Head,
    Uses,
}

impl Archive {
    pub(super) fn new(store: Store) -> Self {
        Self { parts: Parts::new(store.clone(), Space::TableParts), store }
    }

    /// Writes tables, all or none. `there` is asked in the last transaction, before any of them is there; if it fails, none will be.
    ///
    /// Not cancel safe: what is dropped may leave parts behind until the node starts again.
    pub(super) async fn write<E>(
        &self,
        tables: Vec<Arc<StoredTable>>,
        there: impl FnOnce() -> Result<(), E> + Send + 'static,
    ) -> Result<(), E>
    where
        E: From<StoreError> + Send + 'static,
    {
        let written = self.parts(&tables).await.map_err(E::from);
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

    async fn parts(&self, tables: &[Arc<StoredTable>]) -> Result<(), StoreError> {
        for table in tables {
            self.parts.write(&part_prefix(table.key(), table.copy()), table).await?;
        }
        Ok(())
    }

    /// Writes how often the permits of tables have been used, as it is when the record is written.
    pub(super) async fn write_uses(&self, tables: Vec<Arc<StoredTable>>) -> Result<(), StoreError> {
        let store = self.store.clone();
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
        let (store, parts, key) = (self.store.clone(), self.parts.clone(), key.clone());
        let remove = self.store.write(move |records| {
            let found = head(&store, records, &key)?.map(|head| head.copy).filter(|copy| is(*copy));
            if found.is_some() {
                for record in [Record::Head, Record::Uses] {
                    records.remove(Space::Tables, &record_name(&key, &record))?;
                }
            }
            for copy in copies.into_iter().chain(found) {
                parts.remove(records, &part_prefix(&key, copy))?;
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

    /// All tables. Parts of which none is made are removed.
    pub(super) async fn load(&self) -> Result<Vec<Found>, StoreError> {
        let (store, parts) = (self.store.clone(), self.parts.clone());
        let found = self.store.read(move |records| {
            let mut found = Vec::new();
            for name in records.list(Space::Tables, b"")? {
                if !name.ends_with(Record::Head.suffix()) {
                    continue;
                }
                let damaged = |what: &str| store.damaged(format!("the table {} {what}", name.escape_ascii()));
                let Some(head) = records.get(Space::Tables, &name)? else { continue };
                let Head { format, owner, name: table, version, copy, spec, origins, owners } = parsed(&store, &head)?;
                if format != FORMAT {
                    return Err(damaged("is of another version"));
                }
                let key = TableKey { owner, name: table, version };
                let uses = records.get(Space::Tables, &record_name(&key, &Record::Uses))?;
                let uses = uses.map(|uses| parsed(&store, &uses)).transpose()?.unwrap_or_default();
                let bytes = spec.component_bytes().map_err(|fault| damaged(&format!("is none: {fault}")))?;
                let prefix = part_prefix(&key, copy);
                let component = |c: usize| parts.read(records, &prefix, (c, bytes))?.map_err(&damaged);
                let components = [component(0)?, component(1)?];
                found.push(Found { key, copy, body: Body { spec, components, origins, owners }, uses });
            }
            Ok::<_, StoreError>(found)
        });
        let found = found.await?;
        let whole: BTreeSet<Vec<u8>> = found.iter().map(|found| part_prefix(&found.key, found.copy)).collect();
        let rest = self.parts.remove_rest(|prefix| whole.contains(prefix)).await?;
        if rest > 0 {
            tracing::info!("{rest} parts of tables that were not uploaded to their end were removed");
        }
        Ok(found)
    }
}

impl Components for StoredTable {
    fn count(&self) -> usize {
        2
    }

    fn component(&self, c: usize) -> &[u8] {
        StoredTable::component(self, c)
    }
}

fn head<T: Tables>(store: &Store, records: &Transaction<'_, T>, key: &TableKey) -> Result<Option<Head>, StoreError> {
    let head = records.get(Space::Tables, &record_name(key, &Record::Head))?;
    head.map(|head| parsed(store, &head)).transpose()
}

fn put_heads(records: &mut WriteTransaction<'_>, tables: &[Arc<StoredTable>]) -> Result<(), StoreError> {
    tables.iter().try_for_each(|table| {
        let (key, spec, copy) = (table.key(), table.spec().clone(), table.copy());
        let TableKey { owner, name, version } = key.clone();
        let (origins, owners) = (table.origins().to_vec(), table.owners().to_vec());
        let head = Head { format: FORMAT, owner, name, version, copy, spec, origins, owners };
        // Those of a table that was there before say nothing of this one.
        records.remove(Space::Tables, &record_name(key, &Record::Uses))?;
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
    [&prefix(key)[..], record.suffix()].concat()
}

impl Record {
    fn suffix(&self) -> &'static [u8] {
        match self {
            Self::Head => b"/head",
            Self::Uses => b"/uses",
        }
    }
}

fn json(what: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_vec(what).map(Value::new).map_err(|e| StoreError::Bug(e.to_string()))
}

fn parsed<T: DeserializeOwned>(store: &Store, record: &Value) -> Result<T, StoreError> {
    serde_json::from_slice(record).map_err(|e| store.damaged(format!("a record of a table: {e}")))
}
