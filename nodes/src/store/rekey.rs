//! A store written anew under another key.

use super::{
    Space, StoreError, StoreFiles, Whose, directory,
    files::{add_key, drop_old_keys, is_key_file_used},
    open::open,
    seal::Sealer,
};
use crate::Error;
use redb::{Database, ReadableDatabase, ReadableTable};
use serde::Serialize;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Bytes of records in a transaction.
const AT_ONCE: usize = 8 << 20;

/// What came of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Rekeyed {
    /// Records that were written anew.
    pub records: u64,
    /// Whether a new key was drawn, and the old ones removed. Keys in the environment or in a credential of systemd are their owner's to change.
    pub new_key: bool,
}

/// Writes all records of a store that no node has open into a new file, and puts that in the place of the old one. They are sealed under a new key, which is then the only one in the key file; under the first of the keys that are given otherwise.
///
/// What was broken off leaves a store that opens, with the keys that it needs: begin again. Afterwards nothing of records that were overwritten before is in the file any more. Blocks.
///
/// # Errors
/// [`StoreError`]: a node has it open, a record cannot be opened, there is no room for both files.
pub fn rekey(files: &StoreFiles, whose: Whose) -> Result<Rekeyed, StoreError> {
    let path = &files.path;
    if !path.exists() {
        return Err(StoreError::of_system(path, io::ErrorKind::NotFound.into()));
    }
    // Open to the end, so that no node begins with the old file meanwhile; before anything is changed.
    let old = open(path, &Sealer::new(files.keys()?, whose, path.clone()))?;
    let new_key = is_key_file_used();
    let of_file = |e: Error| StoreError::Key { from: format!("in {}", files.key.display()), cause: e.to_string() };
    if new_key {
        add_key(&files.key).map_err(of_file)?;
    }
    let sealer = Sealer::new(files.keys()?, whose, path.clone());
    let fresh = beside(path);
    remove(&fresh)?;
    let done = copy(&old, &fresh, &sealer).and_then(|records| {
        let moved = fs::rename(&fresh, path).and_then(|()| File::open(directory(path))?.sync_all());
        moved.map(|()| records).map_err(|e| StoreError::of_system(path, e))
    });
    if done.is_err() {
        // What is left of it is removed by the next one.
        let _ = remove(&fresh);
    }
    let records = done?;
    if new_key {
        drop_old_keys(&files.key).map_err(of_file)?;
    }
    Ok(Rekeyed { records, new_key })
}

fn copy(old: &Database, fresh: &Path, sealer: &Sealer) -> Result<u64, StoreError> {
    let new = open(fresh, sealer)?;
    let failed = |error: redb::Error| StoreError::of_database(fresh, error);
    let from = old.begin_read().map_err(|e| failed(e.into()))?;
    let mut count = 0;
    for space in Space::ALL {
        let table = from.open_table(space.table()).map_err(|e| failed(e.into()))?;
        let mut records = table.iter().map_err(|e| failed(e.into()))?.peekable();
        while records.peek().is_some() {
            let into = new.begin_write().map_err(|e| failed(e.into()))?;
            {
                let (mut table, mut bytes) = (into.open_table(space.table()).map_err(|e| failed(e.into()))?, 0);
                while bytes < AT_ONCE
                    && let Some(record) = records.next()
                {
                    let (name, sealed) = record.map_err(|e| failed(e.into()))?;
                    let value = sealer.open(space.name(), name.value(), sealed.value())?;
                    let sealed = sealer.seal(space.name(), name.value(), &value)?;
                    bytes += sealed.len();
                    table.insert(name.value(), sealed.as_slice()).map_err(|e| failed(e.into()))?;
                    count += 1;
                }
            }
            into.commit().map_err(|e| failed(e.into()))?;
        }
    }
    Ok(count)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".rekeyed");
    path.with_file_name(name)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::of_system(path, e)),
        _ => Ok(()),
    }
}
