//! What a node reports about itself: the body of `GET /v1/status`.

use crate::{
    config::{Cluster, ClusterDigest},
    mesh::Versions,
    pki::Fingerprint,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The state of one node, as it sees it.
///
/// A client of another version may read this, so unknown fields are ignored and new ones are optional.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NodeStatus {
    /// The version of the node's software.
    pub version: String,
    /// The highest version of the mesh protocol it speaks, as its ALPN label.
    pub protocol: String,
    /// All versions of it; absent in release 0.1, which speaks one.
    #[serde(default)]
    pub protocols: Option<Versions>,
    /// Its party: 0, 1 or 2.
    pub party: u8,
    /// Digest of the cluster file it runs with, certificates and all: [`Cluster::pinned_digest`]. Equal on all nodes unless certificates are being
    /// renewed.
    pub cluster_digest: ClusterDigest,
    /// Digest of what must be equal on all nodes of a working cluster: [`Cluster::digest`]; absent in release 0.1, where that is
    /// [`cluster_digest`](Self::cluster_digest).
    #[serde(default)]
    pub definition_digest: Option<ClusterDigest>,
    /// The certificates that it accepts of each node, in party order; absent in release 0.1.
    #[serde(default)]
    pub accepts: Option<Vec<Vec<Fingerprint>>>,
    /// Its clock when it answered, in milliseconds since 1970-01-01 UTC.
    pub time_unix_ms: u64,
    /// The links to the two other nodes.
    pub peers: Vec<PeerStatus>,
    /// The buffers of its mesh socket.
    pub socket_buffers: SocketBuffers,
    /// Its own certificate.
    pub certificate: CertificateStatus,
    /// Whether it is to stop, lets its jobs end and takes no new ones.
    #[serde(default)]
    pub draining: bool,
    /// What it lacks to be ready, a sentence each. Nothing if it is.
    #[serde(default)]
    pub unready: Vec<String>,
    /// When the nodes last compared their stores; absent in a release that does not say.
    #[serde(default)]
    pub compared: Option<ComparisonStatus>,
}

/// When a node has compared its store with those of the others: milliseconds since 1970-01-01 UTC, 0 for never.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ComparisonStatus {
    /// The last time.
    pub last_unix_ms: u64,
    /// The last time that all shares did fit.
    pub good_unix_ms: u64,
    /// What did not fit the last time.
    pub findings: u64,
}

impl NodeStatus {
    /// Whether the node belongs to this cluster, whatever certificates it accepts.
    pub fn is_of(&self, cluster: &Cluster) -> bool {
        match self.definition_digest {
            Some(digest) => digest == cluster.digest(),
            None => self.cluster_digest == cluster.pinned_digest(),
        }
    }

    /// The versions of the mesh protocol that it speaks; `None` if what it says cannot be understood.
    pub fn spoken(&self) -> Option<Versions> {
        let only = || Versions::of_label(self.protocol.as_bytes()).map(|v| Versions { lowest: v, highest: v });
        self.protocols.or_else(only)
    }
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
    /// The version of the mesh protocol on the link; absent while it is down.
    #[serde(default)]
    pub protocol: Option<u16>,
    /// The certificate that the node at the other end has shown; absent while the link is down.
    #[serde(default)]
    pub certificate_sha256: Option<Fingerprint>,
    /// Why the link is down or last went down.
    pub last_error: Option<String>,
    /// How long ago the peer has last said that it runs, in milliseconds.
    #[serde(default)]
    pub heartbeat_ms: Option<u64>,
    /// Whether it said then that it has the same cluster file.
    #[serde(default)]
    pub same_cluster: Option<bool>,
    /// Its clock then against that of the reporting node, in milliseconds; off by the time that a message takes.
    #[serde(default)]
    pub clock_ms: Option<i64>,
}

impl PeerStatus {
    /// What the link lacks for jobs, if anything. `bound` is how old a heartbeat may be.
    pub fn lacks(&self, bound: Duration) -> Option<String> {
        let peer = format!("P{}", self.party);
        if !self.connected {
            let why = self.last_error.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
            return Some(format!("no link to {peer}{why}"));
        }
        // The link of an older node ends when it is silent for long, and that is all that is known of it.
        if self.protocol.is_some_and(|version| version < Versions::HEARTBEATS) {
            return None;
        }
        let Some(age) = self.heartbeat_ms.map(Duration::from_millis) else {
            return Some(format!("no heartbeat of {peer} yet"));
        };
        if self.same_cluster == Some(false) {
            return Some(format!("{peer} has another cluster file; give all three nodes the same cluster.toml"));
        }
        (age > bound).then(|| format!("no heartbeat of {peer} for {:.1} s", age.as_secs_f64()))
    }
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
    /// Its SHA-256; absent in release 0.1.
    #[serde(default)]
    pub sha256: Option<Fingerprint>,
}
