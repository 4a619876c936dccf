//! Where the records of a store are.

use super::{Postgres, StoreError, postgres};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the records of a store are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Location {
    /// A file of this machine.
    File(PathBuf),
    /// A schema of a PostgreSQL server.
    Postgres(Arc<Postgres>),
}

impl Location {
    /// The file, if the records are in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// Whether there are records.
    pub(super) fn is_there(&self) -> Result<bool, StoreError> {
        match self {
            Self::File(path) => Ok(path.exists()),
            Self::Postgres(settings) => postgres::is_there(settings),
        }
    }

    /// How to give a node another one.
    pub(super) fn named_by(&self) -> &'static str {
        match self {
            Self::File(_) => "`store` in node.toml",
            Self::Postgres(_) => "`schema` of [store_postgres] in node.toml",
        }
    }

    /// How to begin without the records that are there.
    pub(super) fn begun_anew(&self) -> &'static str {
        match self {
            Self::File(_) => "move the file away",
            Self::Postgres(_) => "name another `schema` of [store_postgres] in node.toml",
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(settings) => settings.fmt(f),
        }
    }
}
