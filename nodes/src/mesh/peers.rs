//! The connections to the two peers: dialled, accepted, checked, and made again when they break.

use super::{
    blame::Line,
    error::MeshError,
    heartbeat::{self, Heard, Heartbeat},
    registry::Registry,
    totals::LinkTotals,
    wire::{PREAMBLE, StreamName, read_preamble},
};
use crate::tls;
use quinn::{ConnectError, Connection, ConnectionError, Endpoint, Incoming, RecvStream, VarInt};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::Instant,
};
use trefoil_engine::Party;

/// TLS wants a name; who answers is settled by the certificate's fingerprint.
const SERVER_NAME: &str = "node.trefoil";
/// The first and the longest pause before dialling again.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];
/// Handshakes under way at once with callers from the address of `prev`, and likewise with callers from elsewhere.
const MAX_HANDSHAKES: usize = 16;
/// The time a caller has for its handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// The time a new stream has to say what it is for.
const PREAMBLE_TIME: Duration = Duration::from_secs(10);
/// The application error code of a connection whose node shuts down.
pub(super) const SHUT_DOWN: VarInt = VarInt::from_u32(0);
/// The application error code of a connection that its peer has replaced by a newer one.
const REPLACED: VarInt = VarInt::from_u32(3);
/// The application error code of a stream that is not wanted.
const REFUSED: VarInt = VarInt::from_u32(1);
/// The application error code of a connection to somebody else.
const NOT_LISTED: VarInt = VarInt::from_u32(2);

/// Where the nodes are and who they are, in party order.
pub(super) struct Addresses {
    pub(super) nodes: [SocketAddr; 3],
    pub(super) fingerprints: [[u8; 32]; 3],
    /// The digest of the cluster file, and how often peers are told of it.
    pub(super) heartbeat: ([u8; 32], Duration),
}

/// What is known of one peer.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// The peer.
    pub peer: Party,
    /// Whether it is connected.
    pub connected: bool,
    /// The smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// The UDP payload the path carries, in bytes, as found so far.
    pub mtu: Option<u16>,
    /// Bytes of UDP payload sent and received over the present connection, by all sessions.
    pub udp_bytes: Option<[u64; 2]>,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
    /// What it said last of itself.
    pub heartbeat: Option<Heartbeat>,
}

/// The two connections, kept up by background tasks that end with this value.
pub(super) struct Peers {
    slots: [Arc<Slot>; 2],
    _tasks: JoinSet<()>,
}

struct Slot {
    peer: Party,
    connection: watch::Sender<Option<Connection>>,
    trouble: Mutex<Trouble>,
    heard: Arc<Heard>,
    heartbeat: ([u8; 32], Duration),
    /// Of the connections before the present one. Held while that changes, so that none counts twice.
    past: Mutex<LinkTotals>,
}

/// What goes wrong with a peer while it is not connected.
#[derive(Default)]
struct Trouble {
    last: Option<String>,
    /// It has said that it shuts down, so nobody needs to be warned.
    announced: bool,
}

/// Why a call came to nothing.
enum Unanswered {
    /// This node shuts down.
    Closing,
    Failed(String),
}

impl Peers {
    pub(super) fn start(
        me: Party,
        endpoint: &Endpoint,
        client: quinn::ClientConfig,
        addresses: &Addresses,
        registry: &Arc<Registry>,
    ) -> Self {
        let slots = me.peers().map(|peer| {
            Arc::new(Slot {
                peer,
                connection: watch::Sender::default(),
                trouble: Mutex::default(),
                heard: Arc::default(),
                heartbeat: addresses.heartbeat,
                past: Mutex::default(),
            })
        });
        let mut tasks = JoinSet::new();
        let dialler = Dialler {
            endpoint: endpoint.clone(),
            client,
            address: addresses.nodes[me.next().index()],
            fingerprint: addresses.fingerprints[me.next().index()],
        };
        tasks.spawn(dial(dialler, slots[0].clone(), registry.clone()));
        let prev = me.prev().index();
        let expected = Expected { address: addresses.nodes[prev].ip(), fingerprint: addresses.fingerprints[prev] };
        tasks.spawn(accept(endpoint.clone(), expected, slots[1].clone(), registry.clone()));
        Self { slots, _tasks: tasks }
    }

    /// Both connections, next first, waited for until `deadline`.
    pub(super) async fn connections(&self, deadline: Instant) -> Result<[Line; 2], MeshError> {
        let mut found = Vec::with_capacity(2);
        for slot in &self.slots {
            let present = slot.connection.subscribe();
            let connection = tokio::time::timeout_at(deadline, slot.connected()).await.map_err(|_| {
                let last = slot.last_error().unwrap_or_else(|| "it has not been seen".into());
                MeshError::Unreachable { peer: slot.peer, last }
            })?;
            found.push(Line { connection, present });
        }
        let Ok(found) = found.try_into() else { unreachable!("there are two peers") };
        Ok(found)
    }

    /// The connections there are at the moment, next first.
    pub(super) fn present(&self) -> [Option<Connection>; 2] {
        self.slots.each_ref().map(|slot| slot.connection.borrow().clone())
    }

    pub(super) async fn connected(&self) {
        for slot in &self.slots {
            slot.connected().await;
        }
    }

    pub(super) fn status(&self) -> [PeerStatus; 2] {
        self.slots.each_ref().map(|slot| {
            let stats = slot.connection.borrow().as_ref().map(Connection::stats);
            PeerStatus {
                peer: slot.peer,
                connected: stats.is_some(),
                rtt: stats.map(|s| s.path.rtt),
                mtu: stats.map(|s| s.path.current_mtu),
                udp_bytes: stats.map(|s| [s.udp_tx.bytes, s.udp_rx.bytes]),
                last_error: slot.last_error(),
                heartbeat: slot.heard.last(),
            }
        })
    }

    /// What went over the connections to each peer since the node started.
    pub(super) fn totals(&self) -> [(Party, LinkTotals); 2] {
        self.slots.each_ref().map(|slot| {
            let past = slot.past.lock().unwrap_or_else(PoisonError::into_inner);
            (slot.peer, slot.connection.borrow().as_ref().map_or(*past, |present| past.and(present)))
        })
    }
}

impl Slot {
    async fn connected(&self) -> Connection {
        let mut connection = self.connection.subscribe();
        loop {
            if let Some(c) = connection.borrow_and_update().clone() {
                return c;
            }
            if connection.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn last_error(&self) -> Option<String> {
        self.trouble().last.clone()
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call came to nothing. While the peer is connected, it was somebody else's.
    fn refused(&self, cause: String) {
        if self.connection.borrow().is_some() {
            tracing::debug!(peer = %self.peer, %cause, "a call was refused");
        } else {
            self.failed(cause);
        }
    }

    fn failed(&self, cause: String) {
        let mut trouble = self.trouble();
        if trouble.last.as_ref() != Some(&cause) {
            if trouble.announced {
                tracing::debug!(peer = %self.peer, %cause, "a peer that has shut down is not back yet");
            } else {
                tracing::warn!(peer = %self.peer, %cause, "no connection to a peer");
            }
            trouble.last = Some(cause);
        }
    }

    /// The connection has ended.
    fn ended(&self, reason: &ConnectionError) {
        match reason {
            ConnectionError::LocallyClosed => tracing::debug!(peer = %self.peer, "disconnected by this node"),
            ConnectionError::ApplicationClosed(close) if close.error_code == SHUT_DOWN => {
                tracing::info!(peer = %self.peer, "the peer has shut down");
                *self.trouble() = Trouble { last: Some("it has shut down".into()), announced: true };
            }
            other => self.failed(other.to_string()),
        }
    }

    /// Serves a connection until it ends.
    async fn serve(&self, connection: Connection, registry: &Arc<Registry>) {
        tracing::info!(peer = %self.peer, address = %connection.remote_address(), "connected");
        *self.trouble() = Trouble::default();
        // A peer that has restarted is faster than the death of its old connection.
        if let Some(old) = self.replace(connection.clone()) {
            old.close(REPLACED, b"replaced by a newer connection");
        }
        let (cluster, interval) = self.heartbeat;
        tokio::spawn(heartbeat::tell(connection.clone(), cluster, interval));
        let reason = loop {
            match connection.accept_uni().await {
                Ok(stream) => {
                    tokio::spawn(sort(self.peer, stream, registry.clone(), self.heard.clone()));
                }
                Err(e) => break e,
            }
        };
        if self.remove(&connection) {
            self.ended(&reason);
        }
    }

    /// The connection before, if there is one.
    fn replace(&self, connection: Connection) -> Option<Connection> {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.connection.send_replace(Some(connection));
        *past = old.as_ref().map_or(*past, |old| past.and(old));
        old
    }

    /// Whether this was the present connection.
    fn remove(&self, connection: &Connection) -> bool {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = self.connection.send_if_modified(|current| {
            let mine = current.as_ref().is_some_and(|c| c.stable_id() == connection.stable_id());
            if mine {
                *current = None;
            }
            mine
        });
        if gone {
            *past = past.and(connection);
        }
        gone
    }
}

struct Dialler {
    endpoint: Endpoint,
    client: quinn::ClientConfig,
    address: SocketAddr,
    fingerprint: [u8; 32],
}

impl Dialler {
    async fn connect(&self) -> Result<Connection, Unanswered> {
        let connecting = self.endpoint.connect_with(self.client.clone(), self.address, SERVER_NAME);
        let connecting = connecting.map_err(|e| match e {
            ConnectError::EndpointStopping => Unanswered::Closing,
            e => Unanswered::Failed(e.to_string()),
        })?;
        let connection = connecting.await.map_err(|e| match e {
            ConnectionError::LocallyClosed => Unanswered::Closing,
            e => Unanswered::Failed(explain(&e)),
        })?;
        if certificate(&connection) == Some(self.fingerprint) {
            return Ok(connection);
        }
        connection.close(NOT_LISTED, b"not the certificate of the cluster file");
        let cause = format!("{} shows another certificate than the cluster file lists for it", self.address);
        Err(Unanswered::Failed(cause))
    }
}

async fn dial(dialler: Dialler, slot: Arc<Slot>, registry: Arc<Registry>) {
    let [first, longest] = BACK_OFF;
    let mut pause = first;
    loop {
        match dialler.connect().await {
            Ok(connection) => {
                pause = first;
                slot.serve(connection, &registry).await;
            }
            Err(Unanswered::Closing) => break,
            Err(Unanswered::Failed(cause)) => {
                slot.failed(cause);
                pause = (2 * pause).min(longest);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Where and as whom `prev` calls.
struct Expected {
    address: IpAddr,
    fingerprint: [u8; 32],
}

/// Serves calls. Who calls is known only after the handshake, so strangers cost one; a flood of them must not keep `prev` out:
/// calls from its address have places of their own, and under load a caller must first show that it receives at the address
/// it writes from (a QUIC retry), so that nobody takes those places in its name.
async fn accept(endpoint: Endpoint, expected: Expected, slot: Arc<Slot>, registry: Arc<Registry>) {
    let places = [(); 2].map(|()| Arc::new(Semaphore::new(MAX_HANDSHAKES)));
    let expected = Arc::new(expected);
    let mut calls = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        while calls.try_join_next().is_some() {}
        let places = &places[usize::from(incoming.remote_address().ip() == expected.address)];
        if places.available_permits() <= MAX_HANDSHAKES / 2 && incoming.may_retry() {
            // Fails only for a caller that has been asked before.
            let _ = incoming.retry();
            continue;
        }
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                calls.spawn(admit(incoming, place, expected.clone(), slot.clone(), registry.clone()));
            }
            Err(_) => incoming.refuse(),
        }
    }
}

async fn admit(
    incoming: Incoming,
    place: OwnedSemaphorePermit,
    expected: Arc<Expected>,
    slot: Arc<Slot>,
    registry: Arc<Registry>,
) {
    let from = incoming.remote_address().ip();
    let shaken = tokio::time::timeout(HANDSHAKE_TIME, incoming).await;
    drop(place);
    match shaken {
        Err(_) => slot.refused(format!("a caller from {from} did not finish its handshake")),
        Ok(Err(ConnectionError::LocallyClosed)) => {}
        Ok(Err(e)) => slot.refused(format!("a caller from {from} was refused: {}", explain(&e))),
        Ok(Ok(connection)) if certificate(&connection) == Some(expected.fingerprint) => {
            slot.serve(connection, &registry).await;
        }
        Ok(Ok(connection)) => {
            connection.close(NOT_LISTED, b"not the certificate of the cluster file");
            slot.refused(format!(
                "a caller from {from} showed another certificate than the cluster file lists for {}",
                slot.peer
            ));
        }
    }
}

/// Reads what a stream is for and hands it to its session.
async fn sort(peer: Party, mut stream: RecvStream, registry: Arc<Registry>, heard: Arc<Heard>) {
    let mut preamble = [0; PREAMBLE];
    let refused = match tokio::time::timeout(PREAMBLE_TIME, stream.read_exact(&mut preamble)).await {
        Err(_) => Some("it did not say what it is for".to_owned()),
        Ok(Err(e)) => Some(e.to_string()),
        Ok(Ok(())) => match read_preamble(&preamble) {
            Err(fault) => Some(fault.to_string()),
            Ok(StreamName::Heartbeats) => return heard.listen(stream).await,
            Ok(name) => match registry.arrived(peer, name, stream) {
                None => return,
                Some(back) => {
                    stream = back;
                    Some("no session waits for it".to_owned())
                }
            },
        },
    };
    if let Some(cause) = refused {
        tracing::debug!(%peer, cause, "a stream was refused");
        let _ = stream.stop(REFUSED);
    }
}

/// SHA-256 of the certificate the other end has shown, and proved to own.
fn certificate(connection: &Connection) -> Option<[u8; 32]> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    identity.first().map(|der| Sha256::digest(der.as_ref()).into())
}

fn explain(e: &ConnectionError) -> String {
    tls::explain_quic(e).unwrap_or_else(|| e.to_string())
}
