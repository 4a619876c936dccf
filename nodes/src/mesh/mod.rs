//! The mesh of the three nodes: one mutually authenticated QUIC connection for each pair, sessions and strands as streams on it.
//!
//! A node dials its `next` and is dialled by its `prev`. Who a peer is follows from its certificate, which must be the one whose
//! fingerprint the cluster file lists for that party; nothing a peer writes is believed. The protocol version is the
//! ALPN name, so another version fails in the handshake.
//!
//! **Memory.** What a peer sends ahead stays in receive windows: at most `connection_window` bytes for each of the two peers.
//! **Deadlock.** Each strand has one frame under way in each direction and reads while it sends; strands have windows of their own. As long
//! as the connection window holds one frame of every strand, no strand waits for another.
//! **Failure.** The first fault of a session is told to both peers on its control streams. A peer that is silent is noticed after
//! `idle_deadline`, one that is alive but does not move after `stall_deadline`.

mod error;
mod link;
mod peers;
mod registry;
mod session;
mod settings;
mod socket;
mod wire;

pub use error::{MeshError, SessionFault};
pub use peers::PeerStatus;
pub use session::Session;
pub use settings::TransportSettings;
pub use socket::SocketBuffers;
pub use wire::ALPN;

use crate::{
    config::{Address, NodeConfig},
    tls,
};
use peers::Peers;
use quinn::Runtime;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use registry::Registry;
use session::Terms;
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
};
use trefoil_engine::{Party, transport::SessionId};

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
}

impl Mesh {
    /// Opens the socket and starts to connect. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`MeshError::Listen`] or [`MeshError::Tls`].
    pub fn start(config: MeshConfig) -> Result<Self, MeshError> {
        let MeshConfig { me, listen, nodes, fingerprints, cluster_digest, mut server, mut client, settings } = config;
        server.alpn_protocols = vec![ALPN.to_vec()];
        client.alpn_protocols = vec![ALPN.to_vec()];
        let tls = |e: &dyn std::fmt::Display| MeshError::Tls(e.to_string());
        let (socket, buffers) =
            socket::bind(listen, &settings).map_err(|cause| MeshError::Listen { address: listen, cause })?;
        let transport = Arc::new(settings.quinn(&nodes, buffers.granted));
        let server = QuicServerConfig::try_from(server).map_err(|e| tls(&e))?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
        server.transport_config(transport.clone());
        let client = QuicClientConfig::try_from(client).map_err(|e| tls(&e))?;
        let mut client = quinn::ClientConfig::new(Arc::new(client));
        client.transport_config(transport);
        let runtime = Arc::new(quinn::TokioRuntime);
        let not_listening = |cause| MeshError::Listen { address: listen, cause };
        let socket = Runtime::wrap_udp_socket(&*runtime, socket).map_err(not_listening)?;
        let socket = socket::Datagrams::new(socket, settings.mtu_among(&nodes));
        let endpoint =
            quinn::Endpoint::new_with_abstract_socket(settings.endpoint(&nodes), Some(server), socket, runtime)
                .map_err(not_listening)?;
        let registry = Arc::new(Registry::new(settings.join_deadline));
        let peers = Peers::start(me, &endpoint, client, &peers::Addresses { nodes, fingerprints }, &registry);
        Ok(Self { me, cluster: cluster_digest, settings, registry, peers, endpoint, buffers })
    }

    /// Starts a session: waits until both peers join it with the same cluster and the same job.
    ///
    /// Dropping the future gives the session up on the peers too.
    ///
    /// # Errors
    /// [`MeshError::RepeatedSession`] for an id in use; the others if a peer is missing, late, or of another opinion.
    pub async fn session(&self, session: SessionId, job_digest: [u8; 32]) -> Result<Session, MeshError> {
        if !self.registry.join(session) {
            return Err(MeshError::RepeatedSession(session));
        }
        let leave = Leave { registry: &self.registry, session: Some(session) };
        let join = self.settings.join_deadline;
        let connections = self.peers.connections(join).await?;
        let terms =
            Terms { session, cluster: self.cluster, job: job_digest, join, stall: self.settings.stall_deadline };
        let started = Session::start(self.me, terms, self.registry.clone(), connections).await;
        leave.keep(started)
    }

    /// What is known of the peers: next, then prev.
    #[must_use]
    pub fn status(&self) -> [PeerStatus; 2] {
        self.peers.status()
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
        self.endpoint.close(0_u32.into(), b"the node is shutting down");
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), self.endpoint.wait_idle()).await;
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.endpoint.close(0_u32.into(), b"the node is shutting down");
    }
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mesh({})", self.me)
    }
}

/// Forgets a session that did not start, also when the future is dropped.
struct Leave<'a> {
    registry: &'a Registry,
    session: Option<SessionId>,
}

impl Leave<'_> {
    fn keep<T, E>(mut self, started: Result<T, E>) -> Result<T, E> {
        if started.is_ok() {
            self.session = None;
        }
        started
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.registry.leave(session);
        }
    }
}

#[cfg(test)]
mod tests;
