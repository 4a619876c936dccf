//! What a node lacks to be ready, and what it says of itself.

use super::renewal::Presented;
use crate::{
    audit::AuditLog,
    clock::now_unix_ms,
    config::ClusterDigest,
    mesh::{self, Mesh, Versions},
    pki::Fingerprint,
    status::{NodeStatus, PeerStatus, SocketBuffers},
    store::{Space, Store, Value},
    upkeep::Comparisons,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;
use trefoil_engine::Party;

/// How often it is tried whether the store takes a record.
const TRY: Duration = Duration::from_secs(10);

/// How long that may take. A disk that takes longer holds up every step that has to be on it.
const TRY_WITHIN: Duration = Duration::from_secs(5);

/// The name of the record.
const TRIED: &[u8] = b"tried";

/// What is asked to say how a node is.
pub(super) struct Health {
    pub(super) party: Party,
    pub(super) presented: Arc<watch::Sender<Presented>>,
    pub(super) mesh: Arc<Mesh>,
    /// How old a heartbeat may be.
    pub(super) bound: Duration,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) store: Arc<StoreHealth>,
    pub(super) audit: Arc<AuditLog>,
    pub(super) comparisons: Arc<Comparisons>,
}

impl Health {
    pub(super) fn status(&self) -> NodeStatus {
        let Presented { pinned, definition, accepts, certificate, .. } = self.presented.borrow().clone();
        let peers: Vec<_> = self.mesh.status().iter().map(|status| peer(status, definition)).collect();
        let versions = self.mesh.versions();
        let draining = self.draining.load(Relaxed);
        let stopping = draining.then(|| "the node is about to stop".to_owned());
        let unready = stopping
            .into_iter()
            .chain(self.store.lacks())
            .chain(self.audit_lacks())
            .chain(peers.iter().filter_map(|p| p.lacks(self.bound)));
        let unready = unready.collect();
        let buffers = self.mesh.buffers();
        NodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: Versions::label(versions.highest),
            protocols: Some(versions),
            party: self.party.index() as u8,
            cluster_digest: pinned,
            definition_digest: Some(definition),
            accepts: Some(accepts),
            time_unix_ms: now_unix_ms(),
            peers,
            socket_buffers: SocketBuffers { requested: buffers.requested as u64, granted: buffers.granted as u64 },
            certificate,
            draining,
            unready,
            compared: Some(self.comparisons.status()),
        }
    }
}

impl Health {
    fn audit_lacks(&self) -> Option<String> {
        // Files of the node are for its log.
        self.audit.fault().map(|_| "the audit log cannot be written; the log says why".to_owned())
    }
}

fn peer(peer: &mesh::PeerStatus, definition: ClusterDigest) -> PeerStatus {
    let heartbeat = peer.heartbeat;
    PeerStatus {
        party: peer.peer.index() as u8,
        connected: peer.connected,
        rtt_us: peer.rtt.and_then(|rtt| rtt.as_micros().try_into().ok()),
        mtu: peer.mtu,
        protocol: peer.version,
        certificate_sha256: peer.certificate.map(Fingerprint::new),
        last_error: peer.last_error.clone(),
        heartbeat_ms: heartbeat.and_then(|h| h.at.elapsed().as_millis().try_into().ok()),
        same_cluster: heartbeat.map(|h| h.cluster == *definition.as_bytes()),
        clock_ms: heartbeat.map(|h| h.clock_ms),
    }
}

/// Whether the store takes records, as it was found last.
pub(super) struct StoreHealth {
    found: Mutex<Found>,
}

struct Found {
    at: Instant,
    fault: Option<String>,
}

impl StoreHealth {
    /// Of a store that has just been opened and written to.
    pub(super) fn new() -> Self {
        Self { found: Mutex::new(Found { at: Instant::now(), fault: None }) }
    }

    /// Tries the store now and again. Never returns.
    pub(super) async fn keep_trying(self: Arc<Self>, store: Store) {
        let mut interval = tokio::time::interval(TRY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let tried = store.put(Space::Audit, TRIED, Value::new(now_unix_ms().to_le_bytes().to_vec())).await;
            let fault = tried.err().map(|error| {
                tracing::error!("the store does not take records: {error}");
                // Files of the node are for its log.
                "the store does not take records; the log says why".to_owned()
            });
            *self.found() = Found { at: Instant::now(), fault };
        }
    }

    fn lacks(&self) -> Option<String> {
        let found = self.found();
        let late = found.at.elapsed().saturating_sub(TRY);
        let slow = || format!("the store has not taken a record for {:.0} s; look at its disk", late.as_secs_f64());
        found.fault.clone().or_else(|| (late > TRY_WITHIN).then(slow))
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
