//! Several records at once.

use super::{
    Inner, Space, StoreError, Tables, Value,
    backend::{Backend, Reading, Writes, Writing},
};

/// Records as they are at one moment.
pub type ReadTransaction<'a> = Transaction<'a, Reading<'a>>;

/// Records that are changed together. Every other transaction sees all of the changes or none.
pub type WriteTransaction<'a> = Transaction<'a, Writing<'a>>;

/// Records as a transaction of the database has them.
pub struct Transaction<'a, T> {
    inner: &'a Inner,
    transaction: T,
}

impl<T: Tables> Transaction<'_, T> {
    /// A record.
    ///
    /// # Errors
    /// [`StoreError`], of the disk or of a damaged record.
    pub fn get(&self, space: Space, name: &[u8]) -> Result<Option<Value>, StoreError> {
        let sealed = self.transaction.get(space, name).map_err(|e| self.inner.failed(e))?;
        sealed.map(|sealed| self.inner.sealer.open(space.name(), name, &sealed)).transpose()
    }

    /// A record that opens and is not what the program wrote.
    pub(crate) fn damaged(&self, what: String) -> StoreError {
        StoreError::Record { place: self.inner.place.clone(), what }
    }

    /// A record that a later version of the program has written.
    pub(crate) fn of_format(&self, format: u8) -> StoreError {
        StoreError::Format { place: self.inner.place.clone(), format }
    }

    /// The names in a space that begin with a prefix, in order.
    ///
    /// # Errors
    /// [`StoreError`], of the disk.
    pub fn list(&self, space: Space, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        self.transaction.list(space, prefix).map_err(|e| self.inner.failed(e))
    }
}

impl<'a> ReadTransaction<'a> {
    pub(super) fn begin(inner: &'a Inner, backend: &'a Backend) -> Result<Self, StoreError> {
        let transaction = backend.begin_read().map_err(|e| inner.failed(e))?;
        Ok(Self { inner, transaction })
    }
}

impl<'a> WriteTransaction<'a> {
    pub(super) fn begin(inner: &'a Inner, backend: &'a Backend) -> Result<Self, StoreError> {
        let transaction = backend.begin_write().map_err(|e| inner.failed(e))?;
        Ok(Self { inner, transaction })
    }

    /// Puts a record, whether or not it was there.
    ///
    /// # Errors
    /// [`StoreError`], of the disk.
    pub fn put(&mut self, space: Space, name: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let sealed = self.inner.sealer.seal(space.name(), name, value)?;
        self.transaction.put(space, name, &sealed).map_err(|e| self.inner.failed(e))
    }

    /// Removes a record. False if there is none.
    ///
    /// # Errors
    /// [`StoreError`], of the disk.
    pub fn remove(&mut self, space: Space, name: &[u8]) -> Result<bool, StoreError> {
        self.transaction.remove(space, name).map_err(|e| self.inner.failed(e))
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        #[cfg(test)]
        self.inner.faults.before_commit(&self.inner.place)?;
        self.transaction.commit().map_err(|e| self.inner.failed(e))?;
        #[cfg(test)]
        self.inner.faults.after_commit(&self.inner.place)?;
        Ok(())
    }
}
