//! What the records are kept in: a file, or a database server. Both are given values that are sealed.

use super::{
    Location, Space, StoreError,
    file::{Embedded, FileReading, FileWriting},
    postgres::{Server, Session},
    seal::Sealer,
};

/// A transaction of a database, which has sealed records under names in spaces.
pub trait Tables {
    /// A sealed record.
    ///
    /// # Errors
    /// [`StoreError`], of the disk or of the server.
    fn get(&self, space: Space, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The names in a space that begin with a prefix, in order.
    ///
    /// # Errors
    /// [`StoreError`], of the disk or of the server.
    fn list(&self, space: Space, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError>;
}

/// A transaction that changes what it has.
pub(super) trait Writes: Tables {
    fn put(&mut self, space: Space, name: &[u8], sealed: &[u8]) -> Result<(), StoreError>;
    fn remove(&mut self, space: Space, name: &[u8]) -> Result<bool, StoreError>;
    fn commit(self) -> Result<(), StoreError>;
}

pub(super) enum Backend {
    File(Embedded),
    Server(Server),
}

/// Records as they are at one moment.
pub enum Reading<'a> {
    /// Of a file.
    File(FileReading<'a>),
    /// Of a server.
    Server(Session<'a>),
}

/// Records that are changed together.
pub enum Writing<'a> {
    /// Of a file.
    File(Box<FileWriting<'a>>),
    /// Of a server.
    Server(Session<'a>),
}

impl Backend {
    /// Opens the records, or makes them, and checks that they are this node's, that their key is there, and that no other process has them.
    pub(super) fn open(place: &Location, sealer: &Sealer) -> Result<Self, StoreError> {
        Ok(match place {
            Location::File(path) => Self::File(Embedded::open(path, sealer)?),
            Location::Postgres(settings) => Self::Server(Server::open(settings, sealer, None)?),
        })
    }

    /// Opens them again, in the place of what this process had open before.
    pub(super) fn reopen(before: &mut Option<Self>, place: &Location, sealer: &Sealer) -> Result<(), StoreError> {
        let again = if let (Some(Self::Server(server)), Location::Postgres(settings)) = (before.as_ref(), place) {
            // The server may not know yet that the connection is gone.
            let session = server.give_up();
            Self::Server(Server::open(settings, sealer, Some(&session))?)
        } else {
            // The lock of the file goes first.
            drop(before.take());
            Self::open(place, sealer)?
        };
        *before = Some(again);
        Ok(())
    }

    /// Whether it can be used, as far as can be told without using it.
    pub(super) fn is_alive(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Server(server) => server.is_alive(),
        }
    }

    pub(super) fn begin_read(&self) -> Result<Reading<'_>, StoreError> {
        Ok(match self {
            Self::File(file) => Reading::File(file.begin_read()?),
            Self::Server(server) => Reading::Server(server.begin_read()?),
        })
    }

    pub(super) fn begin_write(&self) -> Result<Writing<'_>, StoreError> {
        Ok(match self {
            Self::File(file) => Writing::File(Box::new(file.begin_write()?)),
            Self::Server(server) => Writing::Server(server.begin_write()?),
        })
    }

    /// Writes all records anew under the first key of a sealer, so that nothing of what was overwritten before is left where they are. All or nothing; gives their number.
    pub(super) fn rewrite(&self, sealer: &Sealer) -> Result<u64, StoreError> {
        match self {
            Self::File(file) => file.rewrite(sealer),
            Self::Server(server) => server.rewrite(sealer),
        }
    }
}

impl Tables for Reading<'_> {
    fn get(&self, space: Space, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::File(file) => file.get(space, name),
            Self::Server(session) => session.get(space, name),
        }
    }

    fn list(&self, space: Space, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        match self {
            Self::File(file) => file.list(space, prefix),
            Self::Server(session) => session.list(space, prefix),
        }
    }
}

impl Tables for Writing<'_> {
    fn get(&self, space: Space, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::File(file) => file.get(space, name),
            Self::Server(session) => session.get(space, name),
        }
    }

    fn list(&self, space: Space, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        match self {
            Self::File(file) => file.list(space, prefix),
            Self::Server(session) => session.list(space, prefix),
        }
    }
}

impl Writes for Writing<'_> {
    fn put(&mut self, space: Space, name: &[u8], sealed: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::File(file) => file.put(space, name, sealed),
            Self::Server(session) => session.put(space, name, sealed),
        }
    }

    fn remove(&mut self, space: Space, name: &[u8]) -> Result<bool, StoreError> {
        match self {
            Self::File(file) => file.remove(space, name),
            Self::Server(session) => session.remove(space, name),
        }
    }

    fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::File(file) => file.commit(),
            Self::Server(session) => session.commit(),
        }
    }
}
