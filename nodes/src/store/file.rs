//! Records in a file of this machine, by an embedded database.

use super::{
    Location, Space, StoreError, Tables,
    backend::Writes,
    directory, files,
    identity::{About, identify},
    seal::Sealer,
};
use crate::contain::contain;
use redb::{
    AccessGuard, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction, backends::FileBackend,
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Pages of the file that are kept in memory, in bytes. They are as the file has them, encrypted.
const CACHE_BYTES: usize = 16 << 20;

/// Bytes of records in a transaction when all are written anew.
const AT_ONCE: usize = 8 << 20;

/// What the file says of itself.
const ABOUT: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("about");

type Bytes = &'static [u8];

/// A file that is open.
pub(super) struct Embedded {
    place: Location,
    path: PathBuf,
    database: Database,
}

/// Records of a file as they are at one moment.
pub struct FileReading<'a> {
    place: &'a Location,
    transaction: ReadTransaction,
}

/// Records of a file that are changed together.
pub struct FileWriting<'a> {
    place: &'a Location,
    transaction: WriteTransaction,
}

impl Embedded {
    /// Opens the file, or makes it, and checks that it is this node's and that its key is there.
    pub(super) fn open(path: &Path, sealer: &Sealer) -> Result<Self, StoreError> {
        let place = Location::File(path.to_owned());
        let file = files::open(path)?;
        let failed = |error: redb::Error| StoreError::of_database(&place, error);
        let opened = contain(|| {
            let mut builder = Database::builder();
            // Checked from end to end, because the library trusts a file that was closed in order and may panic on one that was changed since.
            builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
            let file = FileBackend::new(file).map_err(|error| failed(error.into()))?;
            builder.create_with_backend(file).map_err(|error| failed(error.into()))
        });
        let broken = || StoreError::Damaged { place: place.clone(), what: "its structure is broken".to_owned() };
        let database = opened.ok_or_else(broken)??;
        let transaction = database.begin_write().map_err(|e| failed(e.into()))?;
        let mut about =
            AboutFile { place: &place, table: transaction.open_table(ABOUT).map_err(|e| failed(e.into()))? };
        identify(&mut about, &place, sealer)?;
        drop(about);
        // Those of a newer version are added to an older file.
        for space in Space::ALL {
            transaction.open_table(table(space)).map_err(|e| failed(e.into()))?;
        }
        transaction.commit().map_err(|e| failed(e.into()))?;
        // A new file is there after a loss of power only if its directory says so.
        let directory = File::open(directory(path)).and_then(|directory| directory.sync_all());
        directory.map_err(|e| StoreError::of_system(&place, e))?;
        Ok(Self { place, path: path.to_owned(), database })
    }

    pub(super) fn begin_read(&self) -> Result<FileReading<'_>, StoreError> {
        let transaction = self.database.begin_read().map_err(|e| StoreError::of_database(&self.place, e.into()))?;
        Ok(FileReading { place: &self.place, transaction })
    }

    pub(super) fn begin_write(&self) -> Result<FileWriting<'_>, StoreError> {
        let transaction = self.database.begin_write().map_err(|e| StoreError::of_database(&self.place, e.into()))?;
        Ok(FileWriting { place: &self.place, transaction })
    }

    /// Writes all records under the first key of a sealer into a new file, and puts that in the place of this one.
    pub(super) fn rewrite(&self, sealer: &Sealer) -> Result<u64, StoreError> {
        let fresh = beside(&self.path);
        remove(&fresh)?;
        let done = self.copy(&fresh, sealer).and_then(|records| {
            let moved = fs::rename(&fresh, &self.path).and_then(|()| File::open(directory(&self.path))?.sync_all());
            moved.map(|()| records).map_err(|e| StoreError::of_system(&self.place, e))
        });
        if done.is_err() {
            // What is left of it is removed by the next one.
            let _ = remove(&fresh);
        }
        done
    }

    fn copy(&self, fresh: &Path, sealer: &Sealer) -> Result<u64, StoreError> {
        let new = Self::open(fresh, sealer)?;
        let failed = |error: redb::Error| StoreError::of_database(&new.place, error);
        let from = self.database.begin_read().map_err(|e| failed(e.into()))?;
        let mut count = 0;
        for space in Space::ALL {
            let table = from.open_table(table(space)).map_err(|e| failed(e.into()))?;
            let mut records = table.iter().map_err(|e| failed(e.into()))?.peekable();
            while records.peek().is_some() {
                let (mut into, mut bytes) = (new.begin_write()?, 0);
                while bytes < AT_ONCE
                    && let Some(record) = records.next()
                {
                    let (name, sealed) = record.map_err(|e| failed(e.into()))?;
                    let sealed = sealer.reseal(space.name(), name.value(), sealed.value())?;
                    bytes += sealed.len();
                    into.put(space, name.value(), &sealed)?;
                    count += 1;
                }
                into.commit()?;
            }
        }
        Ok(count)
    }
}

impl Tables for FileReading<'_> {
    fn get(&self, space: Space, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        get(&self.table(space)?, name).map_err(|e| StoreError::of_database(self.place, e))
    }

    fn list(&self, space: Space, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        list(&self.table(space)?, prefix).map_err(|e| StoreError::of_database(self.place, e))
    }
}

impl FileReading<'_> {
    fn table(&self, space: Space) -> Result<ReadOnlyTable<Bytes, Bytes>, StoreError> {
        self.transaction.open_table(table(space)).map_err(|e| StoreError::of_database(self.place, e.into()))
    }
}

impl Tables for FileWriting<'_> {
    fn get(&self, space: Space, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        get(&self.table(space)?, name).map_err(|e| StoreError::of_database(self.place, e))
    }

    fn list(&self, space: Space, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        list(&self.table(space)?, prefix).map_err(|e| StoreError::of_database(self.place, e))
    }
}

impl Writes for FileWriting<'_> {
    fn put(&mut self, space: Space, name: &[u8], sealed: &[u8]) -> Result<(), StoreError> {
        let put = self.table(space)?.insert(name, sealed).map(drop);
        put.map_err(|e| StoreError::of_database(self.place, e.into()))
    }

    fn remove(&mut self, space: Space, name: &[u8]) -> Result<bool, StoreError> {
        let removed = self.table(space)?.remove(name).map(|removed| removed.is_some());
        removed.map_err(|e| StoreError::of_database(self.place, e.into()))
    }

    fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().map_err(|e| StoreError::of_database(self.place, e.into()))
    }
}

impl FileWriting<'_> {
    fn table(&self, space: Space) -> Result<Table<'_, Bytes, Bytes>, StoreError> {
        self.transaction.open_table(table(space)).map_err(|e| StoreError::of_database(self.place, e.into()))
    }
}

struct AboutFile<'a> {
    place: &'a Location,
    table: Table<'a, &'static str, Bytes>,
}

impl About for AboutFile<'_> {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.table.get(key).map_err(|e| StoreError::of_database(self.place, e.into()))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.table.insert(key, value).map(drop).map_err(|e| StoreError::of_database(self.place, e.into()))
    }
}

pub(super) const fn table(space: Space) -> TableDefinition<'static, Bytes, Bytes> {
    TableDefinition::new(space.name())
}

fn get(table: &impl ReadableTable<Bytes, Bytes>, name: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
    Ok(table.get(name)?.map(|found: AccessGuard<'_, Bytes>| found.value().to_vec()))
}

fn list(table: &impl ReadableTable<Bytes, Bytes>, prefix: &[u8]) -> Result<Vec<Vec<u8>>, redb::Error> {
    let mut names = Vec::new();
    for entry in table.range(prefix..)? {
        let (name, _) = entry?;
        if !name.value().starts_with(prefix) {
            break;
        }
        names.push(name.value().to_vec());
    }
    Ok(names)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".rekeyed");
    path.with_file_name(name)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::of_system(&Location::File(path.to_owned()), e))
        }
        _ => Ok(()),
    }
}
