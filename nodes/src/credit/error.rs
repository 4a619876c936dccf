//! Why a table cannot be used.

use super::{Faults, Place};
use crate::config::ConfigError;
use std::{io, path::PathBuf};
use trefoil_circuits::credit::reference::DataError;

/// Why a table of customers, or its schema, cannot be used. Its owner acts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The schema is malformed or contradicts itself.
    #[error(transparent)]
    Schema(#[from] ConfigError),
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The file as a whole is not what it should be.
    #[error("{path}: {message}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause and the remedy.
        message: String,
    },
    /// The file ends or breaks at a place after which nothing can be read.
    #[error("{path}, {place}: {message}", path = path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where.
        place: Place,
        /// The cause and the remedy.
        message: String,
    },
    /// Rows do not fit the schema. None was accepted.
    #[error("{path}: {faults}", path = path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// What is wrong with which rows.
        faults: Box<Faults>,
    },
    /// Features, moments or another schema do not fit together.
    #[error("{0}")]
    Mismatch(String),
    /// Numbers from which nothing can be computed.
    #[error(transparent)]
    Numbers(#[from] DataError),
}
