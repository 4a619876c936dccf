//! Tables on the disk, for a node that starts again.
//!
//! A table is a head, which describes it, and its entries in parts. The parts are written first, a few in a transaction so that others get their turn, and the head last: a table is there once its head is.
//! Parts without a head are those of an upload that was broken off; they are removed when the node starts.

use super::{
    TableKey, TableSpec, UploadId,
    stored::{Body, Origin, StoredTable, Uses},
};
use crate::{
    pki::ClientName,
    store::{Space, Store, StoreError, Value, WriteTransaction},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeSet, sync::Arc};
use zeroize::Zeroizing;

/// The version of the form of a head.
const FORMAT: u8 = 1;

/// Bytes of a part.
const PART: usize = 1 << 20;

/// Parts in a transaction.
const AT_ONCE: usize = 8;

/// The store, as far as tables are in it.
#[derive(Clone, Debug)]
pub(super) struct Archive(Store);

/// What the store says of a table that was found in it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: TableKey,
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
        Self(store)
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
                self.0.write(move |records| there().and_then(|()| put_heads(records, &heads).map_err(E::from))).await
            }
            Err(error) => Err(error),
        };
        if end.is_err() {
            for table in &tables {
                // What cannot be removed now is removed when the node starts.
                let _ = self.remove(table.key(), table.spec().upload).await;
            }
        }
        end
    }

    async fn parts(&self, tables: &[Arc<StoredTable>]) -> Result<(), StoreError> {
        for table in tables {
            let parts = (0..2).flat_map(|c| (0..table.component(c).len().div_ceil(PART)).map(move |k| (c, k)));
            let parts: Vec<_> = parts.collect();
            for some in parts.chunks(AT_ONCE) {
                let (table, some) = (table.clone(), some.to_vec());
                let write = self.0.write(move |records| {
                    let prefix = prefix(table.key(), table.spec().upload);
                    some.into_iter().try_for_each(|(c, k)| {
                        let component = table.component(c);
                        let part = &component[k * PART..component.len().min((k + 1) * PART)];
                        records.put(Space::TableParts, &part_name(&prefix, c, k), part)
                    })
                });
                write.await?;
            }
        }
        Ok(())
    }

    /// Writes how often the permits of tables have been used, as it is when the record is written.
    pub(super) async fn write_uses(&self, tables: Vec<Arc<StoredTable>>) -> Result<(), StoreError> {
        self.0
            .write(move |records| {
                tables.iter().try_for_each(|table| {
                    let prefix = prefix(table.key(), table.spec().upload);
                    // One that was deleted meanwhile stays so.
                    match records.get(Space::Tables, &record_name(&prefix, &Record::Head))? {
                        Some(_) => {
                            records.put(Space::Tables, &record_name(&prefix, &Record::Uses), &json(&table.uses())?)
                        }
                        None => Ok(()),
                    }
                })
            })
            .await
    }

    /// Removes a table, or what there is of one.
    pub(super) async fn remove(&self, key: &TableKey, upload: UploadId) -> Result<(), StoreError> {
        let prefix = prefix(key, upload);
        self.0
            .write(move |records| {
                for record in [Record::Head, Record::Uses] {
                    records.remove(Space::Tables, &record_name(&prefix, &record))?;
                }
                let parts = records.list(Space::TableParts, &prefix)?;
                parts.iter().try_for_each(|part| records.remove(Space::TableParts, part).map(drop))
            })
            .await
    }

    /// All tables. Parts of which none is made are removed.
    pub(super) async fn load(&self) -> Result<Vec<Found>, StoreError> {
        let store = self.0.clone();
        let found = self.0.read(move |records| {
            let mut found = Vec::new();
            for name in records.list(Space::Tables, b"")? {
                let Some(prefix) = name.strip_suffix(Record::Head.suffix()) else { continue };
                let damaged = |what: &str| store.damaged(format!("the table {} {what}", name.escape_ascii()));
                let Some(head) = records.get(Space::Tables, &name)? else { continue };
                let head: Head = parsed(&store, &head)?;
                if head.format != FORMAT {
                    return Err(damaged("is of another version"));
                }
                let uses = records.get(Space::Tables, &record_name(prefix, &Record::Uses))?;
                let uses = uses.map(|uses| parsed(&store, &uses)).transpose()?.unwrap_or_default();
                let Head { owner, name: table, version, spec, origins, owners, .. } = head;
                let bytes = spec.component_bytes().map_err(|fault| damaged(&format!("is none: {fault}")))?;
                let component = |c: usize| {
                    let mut component = Zeroizing::new(Vec::with_capacity(bytes));
                    for k in 0..bytes.div_ceil(PART) {
                        let part = records.get(Space::TableParts, &part_name(prefix, c, k))?;
                        component.extend_from_slice(&part.ok_or_else(|| damaged("lacks a part"))?);
                    }
                    if component.len() == bytes { Ok(component) } else { Err(damaged("has a part of another length")) }
                };
                let key = TableKey { owner, name: table, version };
                let components = [component(0)?, component(1)?];
                found.push(Found { key, body: Body { spec, components, origins, owners }, uses });
            }
            Ok::<_, StoreError>(found)
        });
        let found = found.await?;
        let whole: BTreeSet<Vec<u8>> = found.iter().map(|found| prefix(&found.key, found.body.spec.upload)).collect();
        let parts = self.0.list(Space::TableParts, b"").await?;
        let rest: Vec<_> =
            parts.into_iter().filter(|part| !whole.contains(&part[..part.len().saturating_sub(PLACE)])).collect();
        if !rest.is_empty() {
            tracing::info!("{} parts of tables that were not uploaded to their end are removed", rest.len());
            let remove = self.0.write(move |records| {
                rest.iter().try_for_each(|part| records.remove(Space::TableParts, part).map(drop))
            });
            remove.await?;
        }
        Ok(found)
    }
}

fn put_heads(records: &mut WriteTransaction<'_>, tables: &[Arc<StoredTable>]) -> Result<(), StoreError> {
    tables.iter().try_for_each(|table| {
        let TableKey { owner, name, version } = table.key().clone();
        let (origins, owners) = (table.origins().to_vec(), table.owners().to_vec());
        let head = Head { format: FORMAT, owner, name, version, spec: table.spec().clone(), origins, owners };
        let prefix = prefix(table.key(), head.spec.upload);
        records.put(Space::Tables, &record_name(&prefix, &Record::Head), &json(&head)?)
    })
}

/// Bytes of a part's name after the prefix: the component, and the place in it.
const PLACE: usize = 1 + 4;

/// Owner and name have no zero byte; the rest has a length of its own. Two uploads of one version have different ones.
fn prefix(key: &TableKey, upload: UploadId) -> Vec<u8> {
    let texts = [key.owner.as_str(), key.name.as_str()];
    let mut prefix: Vec<u8> = texts.into_iter().flat_map(|text| text.bytes().chain([0])).collect();
    prefix.extend(key.version.to_be_bytes());
    prefix.extend(upload.as_bytes());
    prefix
}

fn part_name(prefix: &[u8], component: usize, place: usize) -> Vec<u8> {
    [prefix, &[component as u8], &(place as u32).to_be_bytes()].concat()
}

fn record_name(prefix: &[u8], record: &Record) -> Vec<u8> {
    [prefix, record.suffix()].concat()
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
