//! The mesh of the three nodes: one mutually authenticated QUIC connection for each pair, sessions and strands as streams on it.
//!
//! A node dials its `next` and is dialled by its `prev`. Who a peer is follows from its certificate, which must be the one whose
//! fingerprint the cluster file lists for that party; nothing a peer writes is believed. The version of the protocol is chosen in the handshake: the
//! highest that both ends speak ([`Versions`]). Certificates and pins are replaced while sessions run ([`Mesh::renew`]).
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
mod credentials;
mod error;
mod heartbeat;
mod link;
mod peers;
mod registry;
mod reset;
mod session;
mod settings;
mod shared;
mod slot;
mod socket;
mod totals;
mod traffic;
mod versions;
mod wire;

pub use credentials::Credentials;
pub use error::{MeshError, SessionFault};
pub use heartbeat::Heartbeat;
pub use peers::PeerStatus;
pub use reset::ResetKey;
pub use session::Session;
pub use settings::TransportSettings;
pub use socket::SocketBuffers;
pub use totals::{FailedBy, LinkTotals, PeerTotals, Step};
pub use traffic::Traffic;
pub use versions::Versions;
pub use wire::ALPN;
#[cfg(any(test, fuzzing))]
pub(crate) use wire::read_any;

use crate::config::{Address, NodeConfig};
use control::decline;
use credentials::Current;
use peers::{Peers, Setup};
use quinn::Runtime as _;
use registry::Registry;
use session::{Awaited, Terms};
use slot::SHUT_DOWN;
use socket::Datagrams;
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use totals::Totals;
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
    /// As whom it takes part and whom it lets in.
    pub credentials: Credentials,
    /// The versions of the protocol that it speaks.
    pub versions: Versions,
    /// Tuning and deadlines.
    pub settings: TransportSettings,
    /// By which peers learn that the node was restarted.
    pub reset: ResetKey,
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
            credentials: Credentials::of_node(node)?,
            versions: Versions::SPOKEN.up_to(node.transport.protocol),
            settings: node.transport.clone(),
            reset: ResetKey::of(node.identity.key().secret_der()),
            stall_warning: node.limits.stall_warning,
        })
    }
}

/// A node's end of the mesh. Connects, and connects again, in the background until dropped.
pub struct Mesh {
    me: Party,
    versions: Versions,
    settings: TransportSettings,
    transport: Arc<quinn::TransportConfig>,
    credentials: watch::Sender<Arc<Current>>,
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
        let MeshConfig { me, listen, nodes, credentials, versions, settings, reset, stall_warning } = config;
        let refused = |cause| MeshError::Listen { address: listen, cause };
        let (socket, buffers) = socket::bind(listen, &settings).map_err(refused)?;
        let transport = Arc::new(settings.quinn(&nodes, buffers.granted));
        let (current, server) = Current::new(credentials, versions, &transport, 0)?;
        let runtime = Arc::new(quinn::TokioRuntime);
        let socket = runtime.wrap_udp_socket(socket).map_err(refused)?;
        let socket = Datagrams::new(socket, settings.mtu_among(&nodes));
        let mut tuned = settings.endpoint(&nodes);
        reset.set(&mut tuned);
        let endpoint = quinn::Endpoint::new_with_abstract_socket(tuned, Some(server), socket, runtime);
        let endpoint = endpoint.map_err(refused)?;
        let registry = Arc::new(Registry::new(settings.join_deadline, settings.streams));
        tokio::spawn(Registry::watch(Arc::downgrade(&registry)));
        let credentials = watch::Sender::new(Arc::new(current));
        let setup = Setup {
            nodes,
            credentials: credentials.subscribe(),
            versions,
            registry: registry.clone(),
            retire: settings.retire_deadline,
            keep_alive: settings.keep_alive,
        };
        let peers = Peers::start(me, &endpoint, &setup);
        Ok(Self {
            me,
            versions,
            settings,
            transport,
            credentials,
            registry,
            peers,
            endpoint,
            buffers,
            stall_warning,
            totals: Arc::default(),
        })
    }

    /// Takes part under other certificates, and lets other ones in, from now on. Sessions that run go on; the connections are made anew, and the old
    /// ones are closed when no session is left on them, at the latest after `retire_deadline`.
    ///
    /// # Errors
    /// [`MeshError::Tls`] if TLS cannot be used with them; then nothing has changed.
    pub fn renew(&self, credentials: Credentials) -> Result<(), MeshError> {
        let mut done = Ok(());
        self.credentials.send_if_modified(|current| {
            match Current::new(credentials, self.versions, &self.transport, current.generation + 1) {
                Ok((next, server)) => {
                    // Before anybody asks for calls under the new ones.
                    self.endpoint.set_server_config(Some(server));
                    *current = Arc::new(next);
                    true
                }
                Err(e) => {
                    done = Err(e);
                    false
                }
            }
        });
        done
    }

    /// The versions of the protocol that this node speaks.
    #[must_use]
    pub fn versions(&self) -> Versions {
        self.versions
    }

    /// Starts a session: waits until both peers join it with the same cluster and the same job.
    ///
    /// Dropping the future gives the session up on the peers too.
    ///
    /// # Errors
    /// [`MeshError::RepeatedSession`] for an id in use; the others if a peer is missing, late, or of another opinion.
    pub async fn session(&self, session: SessionId, job_digest: [u8; 32]) -> Result<Session, MeshError> {
        let started = self.begin(session, (job_digest, Awaited::Surely)).await;
        if let Err(error) = &started {
            self.totals.failed(FailedBy::of_start(error));
        }
        started
    }

    /// As [`session`](Self::session), where a peer may well not come: that it does not is neither told in the log nor counted.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    pub async fn chance_session(&self, session: SessionId, job_digest: [u8; 32]) -> Result<Session, MeshError> {
        self.begin(session, (job_digest, Awaited::Perhaps)).await
    }

    async fn begin(
        &self,
        session: SessionId,
        (job_digest, awaited): ([u8; 32], Awaited),
    ) -> Result<Session, MeshError> {
        let membership = self.registry.join(session).ok_or(MeshError::RepeatedSession(session))?;
        let (join, stall) = (self.settings.join_deadline, self.settings.stall());
        let grace = self.settings.idle_deadline;
        let begin = Instant::now();
        let current = self.credentials.borrow().clone();
        let terms = |version| Terms {
            session,
            current: current.clone(),
            version,
            job: job_digest,
            awaited,
            deadline: begin + join,
            join,
            stall,
            grace,
            stall_warning: self.stall_warning,
            totals: self.totals.clone(),
        };
        // Half the time, so that a peer that is connected learns in time who is not.
        match self.peers.connections(begin + join / 2).await {
            Ok(lines) => {
                let version = lines[0].live.version.min(lines[1].live.version);
                Session::start(self.me, terms(version), membership, lines).await
            }
            Err(missing) => {
                for live in self.peers.present().into_iter().flatten() {
                    let terms = terms(live.version);
                    let [hello, _] = &terms.hellos()?;
                    let told = decline(&live.connection, session, hello, &missing);
                    let _ = tokio::time::timeout_at(terms.deadline, told).await;
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
