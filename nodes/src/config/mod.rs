//! Configuration files: `cluster.toml`, the same on every machine and public, and one `node.toml` per node.
//!
//! Both are parsed into plain structs that refuse unknown keys, then resolved once into [`Cluster`]
//! and [`NodeConfig`]. Every error names the file, the line, the key and the remedy.

mod cluster;
mod field;
mod networks;
mod node;

pub use cluster::{CLUSTER_FORMAT, Cluster, ClusterDigest, ClusterFile, ClusterId, NodeEntry};
pub use field::{Address, nonzero, span, span_or_off};
pub use networks::network_profiles;
pub use node::{AUDIT, Listen, NODE_FORMAT, NodeConfig, NodeFile, POLICY, STORE, STORE_KEY};

use serde::de::DeserializeOwned;
use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

/// Largest configuration file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; {remedy}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
        /// How to get such a file.
        remedy: &'static str,
    },
    /// A key is unknown, missing or has a value of the wrong form.
    #[error("{path}, line {line}: {message}\n  {line} | {text}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it, and what is accepted.
        message: String,
        /// The line itself.
        text: String,
    },
    /// Keys that are well-formed one by one contradict each other.
    #[error("{path}: {message}", path = path.display())]
    Whole {
        /// The file.
        path: PathBuf,
        /// The contradiction and the remedy.
        message: String,
    },
}

/// A configuration file as text, with the means to point into it.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn read(path: &Path, remedy: &'static str) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source, remedy };
        if fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
            let message = format!("the file is larger than {MAX_BYTES} bytes; this is no configuration of Trefoil");
            return Err(ConfigError::Whole { path: path.to_owned(), message });
        }
        Ok(Self { path: path.to_owned(), text: fs::read_to_string(path).map_err(failed)? })
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(&self.text).map_err(|e| match e.span() {
            Some(span) => self.at(&span, e.message().to_owned()),
            None => self.whole(e.message().to_owned()),
        })
    }

    /// An error at a place in the file.
    pub(crate) fn at(&self, span: &Range<usize>, message: String) -> ConfigError {
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let text = self.text.lines().nth(line - 1).unwrap_or_default().trim().to_owned();
        ConfigError::Line { path: self.path.clone(), line, message, text }
    }

    /// An error of the file as a whole.
    pub(crate) fn whole(&self, message: String) -> ConfigError {
        ConfigError::Whole { path: self.path.clone(), message }
    }
}
