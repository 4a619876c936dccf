//! What can go wrong around a node, sorted by who must act.

use crate::{
    api::Problem,
    audit::LogFault,
    cli::Exit,
    config::ConfigError,
    credit::TableError,
    job::{Failure, FailureKind},
    pki::CertificateFault,
    store::StoreError,
};
use std::{io, path::PathBuf};

/// Why a command or a node could not do its work.
///
/// Every text names the cause and, where there is one, the remedy. [`Error::exit`] gives the exit
/// code of the `trefoil` program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line asks for something that cannot be done. The caller acts.
    #[error("{0}")]
    Usage(String),
    /// A configuration file is missing, malformed or contradicts itself. The operator acts.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A table of customers cannot be used. Its owner acts.
    #[error(transparent)]
    Table(#[from] TableError),
    /// One of our own certificates or keys cannot be used. The operator acts.
    #[error("{path}: {fault}", path = path.display())]
    Certificate {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The node's store cannot be used. The operator acts.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node's audit log was changed. The operator acts.
    #[error(
        "{0}; keep the whole directory for whoever finds out why (`trefoil audit verify` reads it), and move it away to begin a new one"
    )]
    Audit(#[from] LogFault),
    /// A key or a signature is not what it should be.
    #[error(transparent)]
    Auth(#[from] trefoil_auth::Error),
    /// The operating system refused a file, a socket or a process. The operator acts.
    #[error("cannot {action}: {source}")]
    System {
        /// What was attempted, as it follows "cannot".
        action: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A node did not answer, or the TLS handshake with it failed.
    #[error("cannot reach {node}: {cause}")]
    Unreachable {
        /// The node and its address.
        node: String,
        /// Why, with the remedy where it is known.
        cause: String,
    },
    /// A node refused a request.
    #[error("{node} refused: {title}: {detail}", title = problem.title, detail = problem.detail)]
    Refused {
        /// The node and its address.
        node: String,
        /// What it answered.
        problem: Box<Problem>,
    },
    /// A job failed.
    #[error("the job failed at {node}: {cause}", cause = failure.cause)]
    Job {
        /// The node that reported it, and its address.
        node: String,
        /// Why.
        failure: Box<Failure>,
    },
    /// Nodes contradict each other, so one of them deviated from the protocol. Nothing was put together.
    #[error("{0}")]
    Integrity(String),
    /// A table was not stored everywhere, and could not be deleted again everywhere. The client has to delete it.
    #[error(
        "{first}; and the table may be left at some nodes, delete that version when they are back, with `trefoil credit delete`{left}"
    )]
    Undone {
        /// Why it was not stored.
        first: Box<Error>,
        /// The nodes at which it may be left, and why.
        left: String,
    },
    /// The user ended the command.
    #[error("interrupted")]
    Interrupted,
    /// A rule of the protocol engine was broken.
    #[error(transparent)]
    Engine(#[from] trefoil_engine::Error),
    /// A node process that this program started ended, or never became ready.
    #[error("{0}")]
    Cluster(String),
    /// The program broke one of its own rules. Please report it.
    #[error("internal error: {0}; please report this")]
    Bug(String),
}

impl Error {
    /// A failure of the operating system, for use in `map_err`.
    pub fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action: action.into(), source }
    }

    /// The exit code that stands for this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_)
            | Self::Config(_)
            | Self::Table(_)
            | Self::Certificate { .. }
            | Self::Auth(trefoil_auth::Error::Key { .. } | trefoil_auth::Error::Length { .. }) => Exit::Usage,
            Self::System { .. } => Exit::System,
            Self::Store(error) => error.exit(),
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Integrity(_)
            | Self::Audit(_)
            | Self::Auth(trefoil_auth::Error::Broken { .. } | trefoil_auth::Error::Undecided { .. })
            | Self::Engine(trefoil_engine::Error::Peer { .. } | trefoil_engine::Error::Abort { .. }) => Exit::Integrity,
            Self::Undone { first, .. } => first.exit(),
            Self::Job { failure, .. } => match failure.kind {
                FailureKind::Misbehaved => Exit::Integrity,
                FailureKind::Missing | FailureKind::Link | FailureKind::Stopped => Exit::Unreachable,
                _ => Exit::Failed,
            },
            Self::Refused { .. }
            | Self::Interrupted
            | Self::Auth(_)
            | Self::Engine(_)
            | Self::Cluster(_)
            | Self::Bug(_) => Exit::Failed,
        }
    }
}
