//! What can go wrong with a store.

use super::Location;
use crate::cli::Exit;
use std::io;
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
        "{place} is sealed under the key {id}, which is not among the keys of this node; restore the store's key that it was written with. Without it nothing in the store can be read: \
         to begin with an empty one, {}",
        place.begun_anew()
    )]
    WrongKey {
        /// Where it is.
        place: Location,
        /// The key's name.
        id: String,
    },
    /// The file is of another node or of another cluster. The operator acts.
    #[error(
        "{place} is the store of another node; name this node's own with {}, or {} to begin with an empty one",
        place.named_by(), place.begun_anew()
    )]
    Foreign {
        /// Where it is.
        place: Location,
    },
    /// The file is of a version that this program does not know. The operator acts.
    #[error("{place} is of format {format}, and this program reads another; run the version of trefoil that wrote it")]
    Format {
        /// Where it is.
        place: Location,
        /// Its format.
        format: u8,
    },
    /// The file is not as this node wrote it. The operator acts.
    #[error(
        "{place} is damaged or was changed: {what}; check the disk, and restore a backup, or {} to begin with an empty one",
        place.begun_anew()
    )]
    Damaged {
        /// Where it is.
        place: Location,
        /// What is wrong with it.
        what: String,
    },
    /// A record is not as this node wrote it, and the others may be. The operator acts.
    #[error(
        "{place} is damaged or was changed: {what}; check the disk. A node that runs is given its signing keys again by `trefoil store rebuild`; for all else restore a backup, or {}, and rebuild it",
        place.begun_anew()
    )]
    Record {
        /// Where the store is.
        place: Location,
        /// Which record, and what is wrong with it.
        what: String,
    },
    /// Another process has the file open. The operator acts.
    #[error("{place} is open in another process; end the other node that runs on it, or give each its own with {}", place.named_by())]
    Busy {
        /// Where it is.
        place: Location,
    },
    /// The disk is full. The operator acts; the node goes on when there is room.
    #[error(
        "no room for {place}: {source}; nothing was changed, make room on the disk or raise the quota and try again"
    )]
    Full {
        /// Where it is.
        place: Location,
        /// What the system answered.
        source: io::Error,
    },
    /// The system refused the file. The operator acts.
    #[error(
        "cannot use {place}: {source}; the user that the node runs as has to be able to read and write it: look at its owner, mode, attributes (`lsattr`) and mount"
    )]
    System {
        /// Where it is.
        place: Location,
        /// What the system answered.
        source: io::Error,
    },
    /// Others may write the file, and with it put an older one in its place. The operator acts.
    #[error("{place} can be written by every user (mode {mode:04o}); take that away: chmod 600")]
    Exposed {
        /// Where it is.
        place: Location,
        /// The mode of the file.
        mode: u32,
    },
    /// The password of the role cannot be used. The operator acts.
    #[error("cannot read the password of [store_postgres] {from}: {cause}")]
    Password {
        /// Where it was looked for.
        from: String,
        /// Why it cannot be used.
        cause: String,
    },
    /// The database server refused, or does not answer. The operator acts; the node goes on when it does.
    #[error("cannot use {place}: {cause}; {remedy}")]
    Server {
        /// Where it is.
        place: Location,
        /// What it answered.
        cause: String,
        /// What the operator can do.
        remedy: &'static str,
    },
    /// Another request has just tried to open the store again, and failed.
    #[error("{0}")]
    Again(String),
    /// Too many uses wait for a disk or a server that does not get on. The operator acts; the node goes on when it does.
    #[error(
        "{place} has not got on for half a minute with those who wait for it, and nothing was changed; find out why its disk or server is slow, and ask again"
    )]
    Crowded {
        /// Where it is.
        place: Location,
    },
    /// The environment says what only the configuration is to say. The operator acts.
    #[error(
        "the environment variable {0} would change whom the node trusts as its database server, or what it sends to it; unset it for the node (`UnsetEnvironment={0}` in a systemd unit), and write into [store_postgres] what is meant: `ca`, `password_file`"
    )]
    Variable(&'static str),
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
            Self::Key { .. }
            | Self::Password { .. }
            | Self::Variable(_)
            | Self::WrongKey { .. }
            | Self::Foreign { .. }
            | Self::Format { .. }
            | Self::Exposed { .. } => Exit::Usage,
            Self::Damaged { .. }
            | Self::Record { .. }
            | Self::Busy { .. }
            | Self::Full { .. }
            | Self::System { .. }
            | Self::Server { .. }
            | Self::Crowded { .. }
            | Self::Again(_) => Exit::System,
            Self::Stopping | Self::Bug(_) => Exit::Failed,
        }
    }

    pub(super) fn of_database(place: &Location, error: redb::Error) -> Self {
        let place = place.clone();
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::Busy { place },
            redb::Error::Corrupted(what) => Self::Damaged { place, what },
            redb::Error::UpgradeRequired(format) => Self::Format { place, format },
            redb::Error::Io(source) => match source.kind() {
                // A file that is shorter than it says, or does not begin as one.
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                    Self::Damaged { place, what: source.to_string() }
                }
                _ => Self::of_system(&place, source),
            },
            redb::Error::PreviousIo => {
                let source = io::Error::other("the disk failed before; the file is opened again at the next use");
                Self::System { place, source }
            }
            other => Self::Bug(other.to_string()),
        }
    }

    pub(super) fn of_system(place: &Location, source: io::Error) -> Self {
        let place = place.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { place, source }
            }
            _ => Self::System { place, source },
        }
    }

    pub(super) fn of_task(place: &Location, ended: &JoinError) -> Self {
        if ended.is_panic() {
            Self::Damaged { place: place.clone(), what: "reading it has failed (the log has the place)".to_owned() }
        } else {
            Self::Stopping
        }
    }
}
