//! Uploads that were broken off: a record that tells of them, and as many parts as have come.

use super::{Archive, Copy, FORMAT, Record, json, parsed, part_prefix, record_name};
use crate::{
    pki::ClientName,
    store::{AT_ONCE, PART, Space, Store, StoreError, Tables, Transaction, Value, part_name},
    tables::{TableKey, TableName, TableSpec, unfinished::Beginning},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// An upload of which parts are there.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Upload {
    format: u8,
    owner: ClientName,
    name: TableName,
    version: u32,
    copy: Copy,
    spec: TableSpec,
    described: u64,
}

impl Archive {
    /// Writes the parts of an upload up to one, beginning with the first that is not there.
    pub(in crate::tables) async fn save(
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
            let _turn = self.parts.turn().await;
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
    pub(in crate::tables) async fn fetch(
        &self,
        key: TableKey,
        begun: Beginning,
    ) -> Result<[Zeroizing<Vec<u8>>; 2], StoreError> {
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
    pub(in crate::tables) async fn remove_copy(&self, key: TableKey, copy: Copy) {
        if let Err(error) = self.remove(&key, |_| false, vec![copy]).await {
            tracing::error!("{key}: what there is of an upload could not be removed: {error}");
        }
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
pub(super) fn read<T: Tables>(
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

/// Reads bytes as the record of an upload.
#[cfg(any(test, fuzzing))]
pub(super) fn read_any(bytes: &[u8]) {
    if let Ok(Upload { spec, .. }) = serde_json::from_slice(bytes) {
        let _ = spec.component_bytes();
    }
}
