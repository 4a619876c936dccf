//! The mesh of the three nodes: one mutually authenticated QUIC connection for each pair, sessions and strands as streams on it.
//!
//! A node dials its `next` and is dialled by its `prev`. Who a peer is follows from its certificate, which must be the one whose
//! fingerprint the cluster file lists for that party; nothing a peer writes is believed. The protocol version is the
//! ALPN name, so another version fails in the handshake.
//!
//! **Memory.** What a peer sends ahead stays in receive windows: at most `streams` times `stream_window` bytes for each of the two
//! peers, and an honest one is at most one frame ahead on each strand.
//! **Deadlock.** A strand reads while it sends, and has a window of its own. The window of the connection is that of all strands
//! together, so that no strand waits for another; data sent is acknowledged by the peer's QUIC whether or not its strand reads, so that the
//! send window does not tie them together either.
//! **Failure.** The first fault of a session is told to both peers on its control streams. A peer that is silent is noticed after
//! `idle_deadline`, one that is alive but does not move after `stall_deadline`. Who is named is decided in `blame`: a dead node before
//! those that wait for it, and what a peer says of another is shown as its word.

mod blame;
mod control;
mod error;
mod heartbeat;
mod link;
mod peers;
mod registry;
mod session;
mod settings;
mod shared;
mod socket;
mod totals;
mod traffic;
mod wire;

pub use error::{MeshError, SessionFault};
pub use heartbeat::Heartbeat;
pub use peers::PeerStatus;
pub use session::Session;
pub use settings::TransportSettings;
pub use socket::SocketBuffers;
pub use totals::{FailedBy, LinkTotals, PeerTotals, Step};
pub use traffic::Traffic;
pub use wire::ALPN;

use crate::{
    config::{Address, NodeConfig},
    tls,
};
use control::decline;
use peers::{Peers, SHUT_DOWN};
use quinn::{
    Runtime as _,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use registry::Registry;
use session::Terms;
use socket::Datagrams;
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use totals::Totals;
use trefoil_engine::{Party, transport::SessionId};

/// Calls that may wait to be looked at.
const MAX_INCOMING: usize = 256;

/// What a node must know to take its place in the mesh.
#[derive(Clone)]
pub struct MeshConfig {
    /// This node.
    pub me: Party,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the nodes are reached, in party order.
    pub nodes: [SocketAddr; 3],
    /// SHA-256 of each node's certificate, in party order.
    pub fingerprints: [[u8; 32]; 3],
    /// SHA-256 of the cluster's definition, which all nodes must share.
    pub cluster_digest: [u8; 32],
    /// TLS towards a node that dials, asking for its certificate. The ALPN name is set by the mesh.
    pub server: rustls::ServerConfig,
    /// TLS towards a node that is dialled, showing this node's certificate. The ALPN name is set by the mesh.
    pub client: rustls::ClientConfig,
    /// Tuning and deadlines.
    pub settings: TransportSettings,
    /// How long a session waits for a message before the log says for which.
    pub stall_warning: Duration,
}

impl MeshConfig {
    /// The place of a configured node: looks up the addresses of the cluster file and prepares TLS.
    ///
    /// # Errors
    /// [`crate::Error::System`] if a host name has no address, [`crate::Error::Certificate`] if the node's identity
    /// cannot be used.
    pub fn of_node(node: &NodeConfig) -> Result<Self, crate::Error> {
        let lookup = |address: &Address| {
            let found = (address.host(), address.port()).to_socket_addrs();
            let found = found.and_then(|mut all| all.next().ok_or_else(|| io::ErrorKind::NotFound.into()));
            found.map_err(crate::Error::system(format!("find the address of {address}")))
        };
        let entries = Party::ALL.map(|p| node.cluster.node(p));
        let mut nodes = [SocketAddr::from(([0; 4], 0)); 3];
        for (node, entry) in nodes.iter_mut().zip(entries) {
            *node = lookup(&entry.mesh)?;
        }
        Ok(Self {
            me: node.party,
            listen: lookup(&node.listen.mesh)?,
            nodes,
            fingerprints: entries.map(|e| *e.certificate_sha256.as_bytes()),
            cluster_digest: *node.cluster.digest().as_bytes(),
            server: tls::mesh_server(&node.identity, &node.cluster, node.party, ALPN)?,
            client: tls::mesh_client(&node.identity, &node.cluster, node.party.next(), ALPN)?,
            settings: node.transport.clone(),
            stall_warning: node.limits.stall_warning,
        })
    }
}

/// A node's end of the mesh. Connects, and connects again, in the background until dropped.
pub struct Mesh {
    me: Party,
    cluster: [u8; 32],
    settings: TransportSettings,
    registry: Arc<Registry>,
    peers: Peers,
    endpoint: quinn::Endpoint,
    buffers: SocketBuffers,
    stall_warning: Duration,
    totals: Arc<Totals>,
}

impl Mesh {
    /// Opens the socket and starts to connect. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`MeshError::Listen`] or [`MeshError::Tls`].
    pub fn start(config: MeshConfig) -> Result<Self, MeshError> {
        let MeshConfig { me, listen, nodes, fingerprints, cluster_digest, stall_warning, .. } = config;
        let (mut server, mut client, settings) = (config.server, config.client, config.settings);
        server.alpn_protocols = vec![ALPN.to_vec()];
        client.alpn_protocols = vec![ALPN.to_vec()];
        let tls = |e: &dyn std::fmt::Display| MeshError::Tls(e.to_string());
        let refused = |cause| MeshError::Listen { address: listen, cause };
        let (socket, buffers) = socket::bind(listen, &settings).map_err(refused)?;
        let transport = Arc::new(settings.quinn(&nodes, buffers.granted));
        let server = QuicServerConfig::try_from(server).map_err(|e| tls(&e))?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
        server.transport_config(transport.clone()).max_incoming(MAX_INCOMING);
        let client = QuicClientConfig::try_from(client).map_err(|e| tls(&e))?;
        let mut client = quinn::ClientConfig::new(Arc::new(client));
        client.transport_config(transport);
        let runtime = Arc::new(quinn::TokioRuntime);
        let socket = runtime.wrap_udp_socket(socket).map_err(refused)?;
        let socket = Datagrams::new(socket, settings.mtu_among(&nodes));
        let endpoint =
            quinn::Endpoint::new_with_abstract_socket(settings.endpoint(&nodes), Some(server), socket, runtime)
                .map_err(refused)?;
        let registry = Arc::new(Registry::new(settings.join_deadline));
        let addresses = peers::Addresses { nodes, fingerprints, heartbeat: (cluster_digest, settings.keep_alive) };
        let peers = Peers::start(me, &endpoint, client, &addresses, &registry);
        let (cluster, totals) = (cluster_digest, Arc::default());
        Ok(Self { me, cluster, settings, registry, peers, endpoint, buffers, stall_warning, totals })
    }

    /// Starts a session: waits until both peers join it with the same cluster and the same job.
    ///
    /// Dropping the future gives the session up on the peers too.
    ///
    /// # Errors
    /// [`MeshError::RepeatedSession`] for an id in use; the others if a peer is missing, late, or of another opinion.
    pub async fn session(&self, session: SessionId, job_digest: [u8; 32]) -> Result<Session, MeshError> {
        let started = self.begin(session, job_digest).await;
        if let Err(error) = &started {
            self.totals.failed(FailedBy::of_start(error));
        }
        started
    }

    async fn begin(&self, session: SessionId, job_digest: [u8; 32]) -> Result<Session, MeshError> {
        let membership = self.registry.join(session).ok_or(MeshError::RepeatedSession(session))?;
        let (join, stall) = (self.settings.join_deadline, self.settings.stall());
        let grace = self.settings.idle_deadline;
        let begin = Instant::now();
        let terms = Terms {
            session,
            cluster: self.cluster,
            job: job_digest,
            deadline: begin + join,
            join,
            stall,
            grace,
            stall_warning: self.stall_warning,
            totals: self.totals.clone(),
        };
        // Half the time, so that a peer that is connected learns in time who is not.
        match self.peers.connections(begin + join / 2).await {
            Ok(lines) => Session::start(self.me, terms, membership, lines).await,
            Err(missing) => {
                for (connection, hello) in self.peers.present().iter().zip(&terms.hellos()?) {
                    if let Some(connection) = connection {
                        let told = decline(connection, session, hello, &missing);
                        let _ = tokio::time::timeout_at(terms.deadline, told).await;
                    }
                }
                Err(missing)
            }
        }
    }

    /// What is known of the peers: next, then prev.
    #[must_use]
    pub fn status(&self) -> [PeerStatus; 2] {
        self.peers.status()
    }

    /// What went to and from the peers since the node started: next, then prev.
    #[must_use]
    pub fn totals(&self) -> [PeerTotals; 2] {
        self.peers.totals().map(|(peer, link)| self.totals.of(peer, link))
    }

    /// Sessions that all three nodes have joined since the node started.
    #[must_use]
    pub fn sessions_started(&self) -> u64 {
        self.totals.sessions_started()
    }

    /// Sessions that have failed in one way.
    #[must_use]
    pub fn sessions_failed(&self, by: FailedBy) -> u64 {
        self.totals.sessions_failed(by)
    }

    /// How often sessions have waited long for a peer.
    #[must_use]
    pub fn stalls(&self, peer: Party, step: Step) -> u64 {
        self.totals.stalls(peer, step)
    }

    /// Returns when both peers are connected. Cancel safe.
    pub async fn connected(&self) {
        self.peers.connected().await;
    }

    /// The socket's buffers, as asked for and as granted.
    #[must_use]
    pub fn buffers(&self) -> SocketBuffers {
        self.buffers
    }

    /// The address the socket listens on.
    ///
    /// # Errors
    /// What the system reports.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Closes all connections and waits, at most a second, until the peers have been told.
    pub async fn close(&self) {
        self.endpoint.close(SHUT_DOWN, b"the node is shutting down");
        let _ = tokio::time::timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.endpoint.close(SHUT_DOWN, b"the node is shutting down");
    }
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mesh({})", self.me)
    }
}

#[cfg(test)]
mod tests;
