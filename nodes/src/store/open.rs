//! From a file to a database that is known to be this node's.

use super::{STORE_FORMAT, Space, StoreError, directory, files, seal::Sealer};
use redb::{Database, ReadableTable, TableDefinition, backends::FileBackend};
use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// Pages of the file that are kept in memory, in bytes. They are as the file has them, encrypted.
const CACHE_BYTES: usize = 16 << 20;

/// What the file says of itself.
const ABOUT: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("about");
const FORMAT: &str = "format";
const CLUSTER: &str = "cluster";
const PARTY: &str = "party";
/// Sealed, so that a wrong key is found when the file is opened.
const CHECK: &str = "check";

/// Opens the file, or makes it, and checks that it is this node's and that its key is there.
pub(super) fn open(path: &Path, sealer: &Sealer) -> Result<Database, StoreError> {
    let file = files::open(path)?;
    let failed = |error: redb::Error| StoreError::of_database(path, error);
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Database::builder();
        // Checked from end to end, because the library trusts a file that was closed in order and may panic on one that was changed since.
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let file = FileBackend::new(file).map_err(|error| failed(error.into()))?;
        builder.create_with_backend(file).map_err(|error| failed(error.into()))
    }));
    let broken = |_| StoreError::Damaged { path: path.to_owned(), what: "its structure is broken".to_owned() };
    let database = opened.map_err(broken)??;
    identify(&database, path, sealer).map_err(failed)??;
    // A new file is there after a loss of power only if its directory says so.
    let directory = File::open(directory(path)).and_then(|directory| directory.sync_all());
    directory.map_err(|e| StoreError::of_system(path, e))?;
    Ok(database)
}

fn identify(database: &Database, path: &Path, sealer: &Sealer) -> Result<Result<(), StoreError>, redb::Error> {
    let (whose, path) = (sealer.whose(), path.to_owned());
    let transaction = database.begin_write()?;
    {
        let mut about = transaction.open_table(ABOUT)?;
        let is = about.get(FORMAT)?.map(|format| format.value().to_vec());
        if let Some(format) = is {
            if format != [STORE_FORMAT] {
                return Ok(Err(StoreError::Format { path, format: format.first().copied().unwrap_or_default() }));
            }
            let is =
                |key: &str, value: &[u8]| about.get(key).map(|found| found.is_some_and(|found| found.value() == value));
            if !is(CLUSTER, whose.cluster.as_bytes())? || !is(PARTY, &[whose.party.index() as u8])? {
                return Ok(Err(StoreError::Foreign { path }));
            }
            let check = about.get(CHECK)?.map(|check| check.value().to_vec()).unwrap_or_default();
            if let Err(error) = sealer.open(CHECK, CHECK.as_bytes(), &check) {
                return Ok(Err(error));
            }
        } else {
            about.insert(CLUSTER, whose.cluster.as_bytes().as_slice())?;
            about.insert(PARTY, [whose.party.index() as u8].as_slice())?;
            match sealer.seal(CHECK, CHECK.as_bytes(), &[]) {
                Ok(check) => drop(about.insert(CHECK, check.as_slice())?),
                Err(error) => return Ok(Err(error)),
            }
            about.insert(FORMAT, [STORE_FORMAT].as_slice())?;
        }
    }
    // Those of a newer version are added to an older file.
    for space in Space::ALL {
        transaction.open_table(space.table())?;
    }
    transaction.commit()?;
    Ok(Ok(()))
}
