//! Several records at once.

use super::{Inner, Space, StoreError, Value};
use redb::{Database, ReadableTable, TableError};

/// Records as they are at one moment.
pub type ReadTransaction<'a> = Transaction<'a, redb::ReadTransaction>;

/// Records that are changed together. Every other transaction sees all of the changes or none.
pub type WriteTransaction<'a> = Transaction<'a, redb::WriteTransaction>;

/// Records as a transaction of the database has them.
pub struct Transaction<'a, T> {
    inner: &'a Inner,
    transaction: T,
}

/// A transaction of the database, which has a table for each space.
pub trait Tables {
    /// A table as it has it.
    type Table<'t>: ReadableTable<&'static [u8], &'static [u8]>
    where
        Self: 't;

    /// The table of a space.
    ///
    /// # Errors
    /// [`TableError`], of the disk.
    fn table(&self, space: Space) -> Result<Self::Table<'_>, TableError>;
}

impl Tables for redb::ReadTransaction {
    type Table<'t> = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

    fn table(&self, space: Space) -> Result<Self::Table<'_>, TableError> {
        self.open_table(space.table())
    }
}

impl Tables for redb::WriteTransaction {
    type Table<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;

    fn table(&self, space: Space) -> Result<Self::Table<'_>, TableError> {
        self.open_table(space.table())
    }
}

impl<T: Tables> Transaction<'_, T> {
    /// A record.
    ///
    /// # Errors
    /// [`StoreError`], of the disk or of a damaged record.
    pub fn get(&self, space: Space, name: &[u8]) -> Result<Option<Value>, StoreError> {
        let table = self.transaction.table(space).map_err(|e| self.inner.failed(e))?;
        let Some(sealed) = table.get(name).map_err(|e| self.inner.failed(e))? else { return Ok(None) };
        self.inner.sealer.open(space.name(), name, sealed.value()).map(Some)
    }

    /// The names in a space that begin with a prefix, in order.
    ///
    /// # Errors
    /// [`StoreError`], of the disk.
    pub fn list(&self, space: Space, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        let table = self.transaction.table(space).map_err(|e| self.inner.failed(e))?;
        let mut names = Vec::new();
        for entry in table.range(prefix..).map_err(|e| self.inner.failed(e))? {
            let (name, _) = entry.map_err(|e| self.inner.failed(e))?;
            if !name.value().starts_with(prefix) {
                break;
            }
            names.push(name.value().to_vec());
        }
        Ok(names)
    }
}

impl<'a> ReadTransaction<'a> {
    pub(super) fn begin(inner: &'a Inner, database: &Database) -> Result<Self, StoreError> {
        use redb::ReadableDatabase;
        let transaction = database.begin_read().map_err(|e| inner.failed(e))?;
        Ok(Self { inner, transaction })
    }
}

impl<'a> WriteTransaction<'a> {
    pub(super) fn begin(inner: &'a Inner, database: &Database) -> Result<Self, StoreError> {
        let transaction = database.begin_write().map_err(|e| inner.failed(e))?;
        Ok(Self { inner, transaction })
    }

    /// Puts a record, whether or not it was there.
    ///
    /// # Errors
    /// [`StoreError`], of the disk.
    pub fn put(&mut self, space: Space, name: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let sealed = self.inner.sealer.seal(space.name(), name, value)?;
        let mut table = self.transaction.open_table(space.table()).map_err(|e| self.inner.failed(e))?;
        table.insert(name, sealed.as_slice()).map_err(|e| self.inner.failed(e))?;
        Ok(())
    }

    /// Removes a record. False if there is none.
    ///
    /// # Errors
    /// [`StoreError`], of the disk.
    pub fn remove(&mut self, space: Space, name: &[u8]) -> Result<bool, StoreError> {
        let mut table = self.transaction.open_table(space.table()).map_err(|e| self.inner.failed(e))?;
        let removed = table.remove(name).map_err(|e| self.inner.failed(e))?;
        Ok(removed.is_some())
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        #[cfg(test)]
        self.inner.faults.before_commit(&self.inner.path)?;
        self.transaction.commit().map_err(|e| self.inner.failed(e))?;
        #[cfg(test)]
        self.inner.faults.after_commit(&self.inner.path)?;
        Ok(())
    }
}
