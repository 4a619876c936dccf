//! What can go wrong between nodes, sorted by who must act.

use std::net::SocketAddr;
use trefoil_engine::{Error, LinkFault, Party, transport::SessionId};

/// Why the mesh could not start, or a session could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// The socket could not be opened. This node's operator must act.
    #[error("cannot listen on {address}: {cause}; free the port or change `listen.mesh` in node.toml")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The TLS configuration does not fit QUIC.
    #[error("the TLS configuration cannot be used for QUIC: {0}; run `trefoil cluster init` for a fresh one")]
    Tls(String),
    /// There is no connection to a peer.
    #[error("no connection to {peer} ({last}); check that its node runs and that the network lets UDP through")]
    Unreachable {
        /// The peer.
        peer: Party,
        /// The last thing that was seen of it.
        last: String,
    },
    /// A peer did not join a session in time.
    #[error("{peer} did not join the session within {seconds} s; it may not have received the job, or be overloaded")]
    NotJoined {
        /// The peer.
        peer: Party,
        /// The deadline.
        seconds: u64,
    },
    /// A peer left a session before it had begun.
    #[error("{peer} gave up the session before it had begun; its own log says why")]
    GaveUp {
        /// The peer.
        peer: Party,
    },
    /// A peer belongs to another cluster, or has another version of the cluster file.
    #[error("{peer} has another cluster file; give all three nodes the same cluster.toml")]
    OtherCluster {
        /// The peer.
        peer: Party,
    },
    /// A peer holds the session under another version of the protocol: the third node was restarted with another one meanwhile.
    #[error(
        "{peer} began the session under another version of the mesh protocol, as it happens while a node is upgraded; submit the job again"
    )]
    OtherVersion {
        /// The peer.
        peer: Party,
    },
    /// A peer was given another job under the same id.
    #[error(
        "{peer} was given another job specification under this id; the client must submit the same to all three nodes"
    )]
    OtherJob {
        /// The peer.
        peer: Party,
    },
    /// The session ended on this or another node.
    #[error("the session was ended, naming {peer}: {cause}; look at that node, then submit the job again")]
    Ended {
        /// The party named as the cause.
        peer: Party,
        /// The cause.
        cause: String,
    },
    /// This node takes part in a session of this id already.
    #[error("session {0} is running already; every run needs an id of its own")]
    RepeatedSession(SessionId),
    /// The operating system refused to give randomness.
    #[error("the system's random source failed: {0}; let the process call getrandom, and submit the job again")]
    Entropy(String),
}

impl MeshError {
    /// The party named as the cause, if there is one.
    #[must_use]
    pub fn blamed(&self) -> Option<Party> {
        match self {
            Self::Unreachable { peer, .. }
            | Self::NotJoined { peer, .. }
            | Self::GaveUp { peer }
            | Self::OtherCluster { peer }
            | Self::OtherVersion { peer }
            | Self::OtherJob { peer }
            | Self::Ended { peer, .. } => Some(*peer),
            Self::Listen { .. } | Self::Tls(_) | Self::Entropy(_) | Self::RepeatedSession(_) => None,
        }
    }
}

/// The first fault of a session, as every party that sees it reports it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionFault {
    /// The party named as the cause.
    pub blamed: Party,
    /// What happened.
    pub cause: LinkFault,
}

impl SessionFault {
    /// How an error of a strand of `me` reads to the other parties of the session.
    pub(super) fn of(e: &Error, me: Party) -> Self {
        match e {
            Error::Link { peer, cause } => Self { blamed: *peer, cause: cause.clone() },
            Error::Peer { peer, fault } => Self { blamed: *peer, cause: LinkFault::Ended(fault.to_string()) },
            other => Self { blamed: me, cause: LinkFault::Ended(other.to_string()) },
        }
    }
}

impl From<SessionFault> for Error {
    fn from(f: SessionFault) -> Self {
        Self::Link { peer: f.blamed, cause: f.cause }
    }
}

impl From<SessionFault> for MeshError {
    fn from(f: SessionFault) -> Self {
        let cause = match f.cause {
            LinkFault::Ended(cause) | LinkFault::Rejected(cause) => cause,
            other => other.to_string(),
        };
        Self::Ended { peer: f.blamed, cause }
    }
}
