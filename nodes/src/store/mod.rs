//! What a node keeps through restarts: records in an embedded file, or in a schema of a PostgreSQL server, encrypted at rest.
//!
//! A record is a value under a name in a [`Space`]. Names are stored as they are; values are encrypted and bound to space, name, node and cluster, so that records that
//! are exchanged, or come from another node, are found out. What cannot be found out is an older copy of the whole file: who restores a backup brings back what was true then.
//!
//! Everything written is on the disk before the call returns. File and schema belong to one process at a time.
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

mod backend;
mod error;
mod file;
mod files;
mod identity;
mod location;
mod parts;
mod postgres;
mod rekey;
mod seal;
mod transaction;

pub use backend::{Reading, Tables, Writing};
pub use error::StoreError;
pub use file::{FileReading, FileWriting};
pub use files::{KEY_VARIABLE, StoreConfig, create_key};
pub use location::Location;
pub(crate) use parts::{AT_ONCE, Components, PART, Parts, part_name};
pub use postgres::{PASSWORD_VARIABLE, Postgres, Session};
pub use rekey::{Rekeyed, rekey};
pub use transaction::{ReadTransaction, Transaction, WriteTransaction};

use crate::{
    config::ClusterId,
    metrics::{Access, StoreMetrics},
};
use backend::Backend;
use seal::Sealer;
#[cfg(any(test, fuzzing))]
pub(crate) use seal::read_any;
use std::{
    fmt,
    path::Path,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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
    /// What is remembered of shares that were compared.
    Witnesses,
    /// The last policy, and jobs counted by its rules.
    Policy,
    /// Jobs that are done, without the entries of their outputs.
    Outputs,
    /// The entries of outputs.
    OutputParts,
}

/// Which node a store belongs to. All of it is bound to every value: what a value is to be bound to beside it, such as an epoch, has its place here and in the associated data.
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
    place: Location,
    sealer: Sealer,
    opened: RwLock<Opened>,
    /// Disk or server have failed, and the records have to be opened again.
    broken: AtomicBool,
    /// Uses that are under way, each on a thread of its own.
    uses: Arc<Semaphore>,
    metrics: OnceLock<StoreMetrics>,
    #[cfg(test)]
    faults: tests::Faults,
}

/// Uses that are under way at the same time.
const USES: usize = 32;

/// How long one waits for those before it.
const TURN: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Opened {
    /// `None` between a failure and the next use.
    backend: Option<Backend>,
    /// When the last attempt to open it again began that has failed, and why it did.
    failed: Option<(Instant, String)>,
}

impl Space {
    pub(crate) const ALL: [Self; 12] = [
        Self::Keys,
        Self::Templates,
        Self::Credentials,
        Self::Counters,
        Self::Receipts,
        Self::Tables,
        Self::TableParts,
        Self::Audit,
        Self::Witnesses,
        Self::Policy,
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
            Self::Witnesses => "witnesses",
            Self::Policy => "policy",
            Self::Outputs => "outputs",
            Self::OutputParts => "output-parts",
        }
    }
}

impl Store {
    /// Opens a node's store, and creates it if there is none. A key is created with it if there is none either.
    ///
    /// # Errors
    /// [`StoreError`]: another process has it open, the key is missing or another one, the file is damaged or another node's, or the system refuses it.
    pub async fn open(config: &StoreConfig, whose: Whose) -> Result<Self, StoreError> {
        let (config, named) = (config.clone(), config.place.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let sealer = Sealer::new(config.keys()?, whose, config.place.clone());
            let backend = Some(Backend::open(&config.place, &sealer)?);
            Ok(Inner {
                place: config.place,
                sealer,
                opened: RwLock::new(Opened { backend, failed: None }),
                broken: AtomicBool::new(false),
                uses: Arc::new(Semaphore::new(USES)),
                metrics: OnceLock::new(),
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
        self.measured(Access::Read, self.blocking(move |inner| inner.read(work))).await
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
        self.measured(Access::Write, self.blocking(move |inner| inner.write(work))).await
    }

    /// From now on, what transactions take is told. The first to be told stays.
    pub fn observed_by(&self, metrics: StoreMetrics) {
        let _ = self.0.metrics.set(metrics);
    }

    async fn measured<T>(&self, access: Access, work: impl Future<Output = T>) -> T {
        let begin = Instant::now();
        let result = work.await;
        if let Some(metrics) = self.0.metrics.get() {
            metrics.took(access, begin.elapsed());
            // Set by a failure, and cleared by the next use that finds the disk well.
            if self.0.broken.load(Ordering::Acquire) {
                metrics.failed(access);
            }
        }
        result
    }

    /// A record that opens and is not what the program wrote.
    pub(crate) fn damaged(&self, what: String) -> StoreError {
        StoreError::Record { place: self.0.place.clone(), what }
    }

    async fn blocking<T, E>(&self, work: impl FnOnce(&Inner) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let inner = self.0.clone();
        // Threads that may block are few, and files and names are looked up on them too: a server that is silent does not get them all.
        let place = self.0.turn(TURN).await?;
        let blocking = move || {
            let _place = place;
            work(&inner)
        };
        tokio::task::spawn_blocking(blocking).await.unwrap_or_else(|ended| {
            self.0.broken.store(true, Ordering::Release);
            Err(StoreError::of_task(&self.0.place, &ended).into())
        })
    }
}

impl Inner {
    /// A place among the uses that are under way, if there is one in time.
    async fn turn(&self, most: Duration) -> Result<OwnedSemaphorePermit, StoreError> {
        let place = tokio::time::timeout(most, self.uses.clone().acquire_owned()).await;
        let place = place.map_err(|_| StoreError::Crowded { place: self.place.clone() })?;
        place.map_err(|_| StoreError::Stopping)
    }

    fn read<T, E: From<StoreError>>(&self, work: impl FnOnce(&ReadTransaction<'_>) -> Result<T, E>) -> Result<T, E> {
        self.with(|backend| work(&ReadTransaction::begin(self, backend)?))
    }

    fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut WriteTransaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.with(|backend| {
            let mut transaction = WriteTransaction::begin(self, backend)?;
            let result = work(&mut transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    fn with<T, E: From<StoreError>>(&self, work: impl FnOnce(&Backend) -> Result<T, E>) -> Result<T, E> {
        let asked = Instant::now();
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        if opened.backend.as_ref().is_some_and(|backend| !backend.is_alive()) {
            self.broken.store(true, Ordering::Release);
        }
        drop(opened);
        if self.broken.load(Ordering::Acquire) {
            self.reopen(asked)?;
        }
        match &self.opened.read().unwrap_or_else(PoisonError::into_inner).backend {
            Some(backend) => work(backend),
            None => Err(StoreError::Busy { place: self.place.clone() }.into()),
        }
    }

    /// After a failure: what was committed is read again. Of many that wait, one tries.
    fn reopen(&self, asked: Instant) -> Result<(), StoreError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if !self.broken.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some((_, why)) = opened.failed.as_ref().filter(|(began, _)| *began >= asked) {
            return Err(StoreError::Again(why.clone()));
        }
        let began = Instant::now();
        match Backend::reopen(&mut opened.backend, &self.place, &self.sealer) {
            Ok(()) => {
                opened.failed = None;
                self.broken.store(false, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                opened.failed = Some((began, error.to_string()));
                Err(error)
            }
        }
    }

    /// A failure, after which the records are opened again.
    fn failed(&self, error: StoreError) -> StoreError {
        self.broken.store(true, Ordering::Release);
        error
    }
}

/// The directory of a file.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(".".as_ref())
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.0.place).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests;
