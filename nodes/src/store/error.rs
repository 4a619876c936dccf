//! What can go wrong with a store.

use crate::cli::Exit;
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::task::JoinError;

/// Why a record could not be read or written, or a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no key, or none that can be read. The operator acts.
    #[error("cannot read the store's key {from}: {cause}")]
    Key {
        /// Where it was looked for.
        from: String,
        /// Why it cannot be used, with the remedy.
        cause: String,
    },
    /// The records are under a key that is not there. The operator acts.
    #[error(
        "{path} is sealed under the key {id}, which is not among the keys of this node; restore the store's key that it was written with. Without it nothing in the store can be read: \
         to begin with an empty one, move the file away",
        path = path.display()
    )]
    WrongKey {
        /// The file.
        path: PathBuf,
        /// The key's name.
        id: String,
    },
    /// The file is of another node or of another cluster. The operator acts.
    #[error(
        "{path} is the store of another node; name this node's file with `store` in node.toml, or move the file away to begin with an empty one",
        path = path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is of a version that this program does not know. The operator acts.
    #[error("{path} is of format {format}, and this program reads another; run the version of trefoil that wrote it", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u8,
    },
    /// The file, or a record in it, is not as this node wrote it. The operator acts.
    #[error(
        "{path} is damaged or was changed: {what}; check the disk, and restore the file from a backup or move it away to begin with an empty one",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Another process has the file open. The operator acts.
    #[error("{path} is open in another process; end the other node that runs on this file, or give each its own with `store` in node.toml", path = path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full. The operator acts; the node goes on when there is room.
    #[error("no room for {path}: {source}; nothing was changed, make room on the disk or raise the quota and try again", path = path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The system refused the file. The operator acts.
    #[error("cannot use {path}: {source}", path = path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The node is ending.
    #[error("the node is ending; ask again when it is back")]
    Stopping,
    /// The program broke one of its own rules. Please report it.
    #[error("internal error of the store: {0}; please report this")]
    Bug(String),
}

impl StoreError {
    /// The exit code of a node that cannot go on for it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Key { .. } | Self::WrongKey { .. } | Self::Foreign { .. } | Self::Format { .. } => Exit::Usage,
            Self::Damaged { .. } | Self::Busy { .. } | Self::Full { .. } | Self::System { .. } => Exit::System,
            Self::Stopping | Self::Bug(_) => Exit::Failed,
        }
    }

    pub(super) fn of_database(path: &Path, error: redb::Error) -> Self {
        let path = path.to_owned();
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::Busy { path },
            redb::Error::Corrupted(what) => Self::Damaged { path, what },
            redb::Error::UpgradeRequired(format) => Self::Format { path, format },
            redb::Error::Io(source) => match source.kind() {
                // A file that is shorter than it says, or does not begin as one.
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                    Self::Damaged { path, what: source.to_string() }
                }
                _ => Self::of_system(&path, source),
            },
            redb::Error::PreviousIo => {
                let source = io::Error::other("the disk failed before; the file is opened again at the next use");
                Self::System { path, source }
            }
            other => Self::Bug(other.to_string()),
        }
    }

    pub(super) fn of_system(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { path, source }
            }
            _ => Self::System { path, source },
        }
    }

    pub(super) fn of_task(path: &Path, ended: &JoinError) -> Self {
        if ended.is_panic() {
            Self::Damaged { path: path.to_owned(), what: "reading it has failed (the log has the place)".to_owned() }
        } else {
            Self::Stopping
        }
    }
}
