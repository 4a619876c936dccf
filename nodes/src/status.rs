//! What a node reports about itself: the body of `GET /v1/status`.

use crate::config::ClusterDigest;
use serde::{Deserialize, Serialize};

/// The state of one node, as it sees it.
///
/// A client of another version may read this, so unknown fields are ignored and new ones are optional.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NodeStatus {
    /// The version of the node's software.
    pub version: String,
    /// The version of the mesh protocol it speaks, as its ALPN label.
    pub protocol: String,
    /// Its party: 0, 1 or 2.
    pub party: u8,
    /// Digest of the cluster file it runs with; equal on all nodes of a working cluster.
    pub cluster_digest: ClusterDigest,
    /// Its clock when it answered, in milliseconds since 1970-01-01 UTC.
    pub time_unix_ms: u64,
    /// The links to the two other nodes.
    pub peers: Vec<PeerStatus>,
    /// The buffers of its mesh socket.
    pub socket_buffers: SocketBuffers,
    /// Its own certificate.
    pub certificate: CertificateStatus,
}

/// One mesh link as the reporting node sees it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PeerStatus {
    /// The node at the other end: 0, 1 or 2.
    pub party: u8,
    /// Whether the link is up now.
    pub connected: bool,
    /// Smoothed round-trip time in microseconds; absent while the link is down.
    pub rtt_us: Option<u64>,
    /// Largest UDP payload in bytes the path has been found to carry; absent while the link is down.
    pub mtu: Option<u16>,
    /// Why the link is down or last went down.
    pub last_error: Option<String>,
}

/// What the system granted for the buffers of the mesh socket, in bytes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SocketBuffers {
    /// What the configuration asks for, each way.
    pub requested: u64,
    /// The smaller of the granted receive and send buffers.
    pub granted: u64,
}

/// Facts about a certificate.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CertificateStatus {
    /// When it expires, in seconds since 1970-01-01 UTC.
    pub not_after: i64,
}
