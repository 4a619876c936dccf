//! What a node keeps through restarts: records in an embedded file, encrypted at rest.
//!
//! A record is a value under a name in a [`Space`]. Names are stored as they are; values are encrypted and bound to space, name, node and cluster, so that records that
//! are exchanged, or come from another node, are found out. What cannot be found out is an older copy of the whole file: who restores a backup brings back what was true then.
//!
//! Everything written is on the disk before the call returns. The file belongs to one process at a time.
//!
//! ```no_run
//! # async fn example(config: trefoil_nodes::config::NodeConfig) -> Result<(), trefoil_nodes::store::StoreError> {
//! use trefoil_nodes::store::{Space, Store, StoreError, Whose};
//!
//! let whose = Whose { cluster: config.cluster.id(), party: config.party };
//! let store = Store::open(&config.store, whose).await?;
//! let next = store
//!     .write(|records| {
//!         let old = records.get(Space::Counters, b"alice")?;
//!         let next = 1 + old.and_then(|old| old.as_slice().try_into().ok()).map_or(0, u64::from_be_bytes);
//!         records.put(Space::Counters, b"alice", &next.to_be_bytes())?;
//!         Ok::<_, StoreError>(next)
//!     })
//!     .await?;
//! # let _ = next;
//! # Ok(())
//! # }
//! ```

mod error;
mod files;
mod open;
mod parts;
mod rekey;
mod seal;
mod transaction;

pub use error::StoreError;
pub use files::{KEY_VARIABLE, StoreFiles, create_key};
pub(crate) use parts::{Components, Parts};
pub use rekey::{Rekeyed, rekey};
pub use transaction::{ReadTransaction, Tables, Transaction, WriteTransaction};

use crate::config::ClusterId;
use open::open;
use redb::{Database, TableDefinition};
use seal::Sealer;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// The version of the form of the file that this program reads and writes.
pub const STORE_FORMAT: u8 = 1;

/// The value of a record. Erased when dropped.
pub type Value = Zeroizing<Vec<u8>>;

/// A set of records whose names do not meet those of another.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Space {
    /// Shares of signing keys.
    Keys,
    /// Shares of biometric templates.
    Templates,
    /// Credentials of users with relying parties.
    Credentials,
    /// Signature counters, attempts and locks.
    Counters,
    /// Receipts of what was deleted.
    Receipts,
    /// Tables of shares, without their entries.
    Tables,
    /// The entries of tables.
    TableParts,
    /// The end of the audit log.
    Audit,
    /// Jobs that are done, without the entries of their outputs.
    Outputs,
    /// The entries of outputs.
    OutputParts,
}

/// Which node a store belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Whose {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub party: Party,
}

/// A node's records. Clones are of the same store.
///
/// All functions are cancel safe in that they happen whole or not at all; one that is dropped may happen all the same.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    path: PathBuf,
    sealer: Sealer,
    /// `None` between a failure of the disk and the next use.
    database: RwLock<Option<Database>>,
    /// The disk has failed, and the database has to be opened again.
    broken: AtomicBool,
    #[cfg(test)]
    faults: tests::Faults,
}

impl Space {
    const ALL: [Self; 10] = [
        Self::Keys,
        Self::Templates,
        Self::Credentials,
        Self::Counters,
        Self::Receipts,
        Self::Tables,
        Self::TableParts,
        Self::Audit,
        Self::Outputs,
        Self::OutputParts,
    ];

    /// As the file names it.
    const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Templates => "templates",
            Self::Credentials => "credentials",
            Self::Counters => "counters",
            Self::Receipts => "receipts",
            Self::Tables => "tables",
            Self::TableParts => "table-parts",
            Self::Audit => "audit",
            Self::Outputs => "outputs",
            Self::OutputParts => "output-parts",
        }
    }

    const fn table(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.name())
    }
}

impl Store {
    /// Opens a node's store, and creates it if there is none. A key is created with it if there is none either.
    ///
    /// # Errors
    /// [`StoreError`]: another process has it open, the key is missing or another one, the file is damaged or another node's, or the system refuses it.
    pub async fn open(files: &StoreFiles, whose: Whose) -> Result<Self, StoreError> {
        let (files, path, named) = (files.clone(), files.path.clone(), files.path.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let keys = files.keys()?;
            let sealer = Sealer::new(keys, whose, path);
            let database = open(&files.path, &sealer)?;
            Ok(Inner {
                path: files.path,
                sealer,
                database: RwLock::new(Some(database)),
                broken: AtomicBool::new(false),
                #[cfg(test)]
                faults: tests::Faults::default(),
            })
        });
        let opened = opened.await.unwrap_or_else(|ended| Err(StoreError::of_task(&named, &ended)));
        opened.map(|inner| Self(Arc::new(inner)))
    }

    /// A record.
    ///
    /// # Errors
    /// [`StoreError`], of the disk or of a damaged record.
    pub async fn get(&self, space: Space, name: impl Into<Vec<u8>>) -> Result<Option<Value>, StoreError> {
        let name = name.into();
        self.read(move |records| records.get(space, &name)).await
    }

    /// Puts a record, whether or not it was there.
    ///
    /// # Errors
    /// [`StoreError`]; the record is as it was.
    pub async fn put(&self, space: Space, name: impl Into<Vec<u8>>, value: Value) -> Result<(), StoreError> {
        let name = name.into();
        self.write(move |records| records.put(space, &name, &value)).await
    }

    /// Removes a record. False if there is none.
    ///
    /// # Errors
    /// [`StoreError`]; the record is as it was.
    pub async fn remove(&self, space: Space, name: impl Into<Vec<u8>>) -> Result<bool, StoreError> {
        let name = name.into();
        self.write(move |records| records.remove(space, &name)).await
    }

    /// The names in a space that begin with a prefix, in order.
    ///
    /// # Errors
    /// [`StoreError`], of the disk.
    pub async fn list(&self, space: Space, prefix: impl Into<Vec<u8>>) -> Result<Vec<Vec<u8>>, StoreError> {
        let prefix = prefix.into();
        self.read(move |records| records.list(space, &prefix)).await
    }

    /// Reads several records as they are at one moment.
    ///
    /// # Errors
    /// That of `work`; [`StoreError`], of the disk.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&ReadTransaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.blocking(move |inner| inner.read(work)).await
    }

    /// Changes several records, all or none. If `work` fails, nothing is written. Transactions that write go one after the other.
    ///
    /// # Errors
    /// That of `work`; [`StoreError`], and then all records are as they were.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut WriteTransaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.blocking(move |inner| inner.write(work)).await
    }

    /// A record that opens and is not what the program wrote.
    pub(crate) fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged { path: self.0.path.clone(), what }
    }

    async fn blocking<T, E>(&self, work: impl FnOnce(&Inner) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let inner = self.0.clone();
        tokio::task::spawn_blocking(move || work(&inner)).await.unwrap_or_else(|ended| {
            self.0.broken.store(true, Ordering::Release);
            Err(StoreError::of_task(&self.0.path, &ended).into())
        })
    }
}

impl Inner {
    fn read<T, E: From<StoreError>>(&self, work: impl FnOnce(&ReadTransaction<'_>) -> Result<T, E>) -> Result<T, E> {
        self.with(|database| work(&ReadTransaction::begin(self, database)?))
    }

    fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut WriteTransaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.with(|database| {
            let mut transaction = WriteTransaction::begin(self, database)?;
            let result = work(&mut transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    fn with<T, E: From<StoreError>>(&self, work: impl FnOnce(&Database) -> Result<T, E>) -> Result<T, E> {
        if self.broken.load(Ordering::Acquire) {
            self.reopen()?;
        }
        match &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            Some(database) => work(database),
            None => Err(StoreError::Busy { path: self.path.clone() }.into()),
        }
    }

    /// After a failure of the disk: what was committed is read from it again.
    fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if self.broken.load(Ordering::Acquire) {
            // The lock of the file goes first.
            drop(database.take());
            *database = Some(open(&self.path, &self.sealer)?);
            self.broken.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// A failure of the database, after which it is opened again.
    fn failed(&self, error: impl Into<redb::Error>) -> StoreError {
        self.broken.store(true, Ordering::Release);
        StoreError::of_database(&self.path, error.into())
    }
}

/// The directory of a file.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(".".as_ref())
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.0.path).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests;
