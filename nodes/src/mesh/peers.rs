//! The connections to the two peers: dialled, accepted, checked, and made again when they break.

use super::{
    blame::Line,
    credentials::Current,
    error::MeshError,
    heartbeat::Heartbeat,
    registry::Registry,
    slot::{Live, Side, Slot, State, certificate, protocol},
    totals::LinkTotals,
    versions::{TELL, TELL_TIME, Versions},
};
use crate::tls;
use quinn::{ConnectError, Connection, ConnectionError, Endpoint, Incoming, VarInt};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
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
/// The application error code of a connection to somebody else.
const NOT_LISTED: VarInt = VarInt::from_u32(2);
/// The application error code of a connection to a node with which there is no version in common; its reason is what the sender speaks.
const NO_VERSION: VarInt = VarInt::from_u32(4);

/// What the connections are made with.
pub(super) struct Setup {
    /// Where the nodes are, in party order.
    pub(super) nodes: [SocketAddr; 3],
    pub(super) credentials: watch::Receiver<Arc<Current>>,
    pub(super) versions: Versions,
    pub(super) registry: Arc<Registry>,
    pub(super) retire: Duration,
    /// How often peers are told that this node runs.
    pub(super) keep_alive: Duration,
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
    /// The version of the protocol that both ends have taken.
    pub version: Option<u16>,
    /// SHA-256 of the certificate that it has shown.
    pub certificate: Option<[u8; 32]>,
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

/// Why a call came to nothing.
enum Unanswered {
    /// This node shuts down.
    Closing,
    Failed(String),
}

impl Peers {
    pub(super) fn start(me: Party, endpoint: &Endpoint, setup: &Setup) -> Self {
        let slot = |(peer, side)| {
            Arc::new(Slot {
                peer,
                side,
                credentials: setup.credentials.clone(),
                registry: setup.registry.clone(),
                retire: setup.retire,
                keep_alive: setup.keep_alive,
                state: State::default(),
            })
        };
        let slots = [(me.next(), Side::Dials), (me.prev(), Side::Answers)].map(slot);
        let mut tasks = JoinSet::new();
        let (endpoint, versions) = (endpoint.clone(), setup.versions);
        let dialler = Dialler { endpoint: endpoint.clone(), versions, address: setup.nodes[me.next().index()] };
        tasks.spawn(dial(dialler, slots[0].clone()));
        let expected = Expected { address: setup.nodes[me.prev().index()].ip(), versions };
        tasks.spawn(accept(endpoint, expected, slots[1].clone()));
        Self { slots, _tasks: tasks }
    }

    /// Both connections, next first, waited for until `deadline`.
    pub(super) async fn connections(&self, deadline: Instant) -> Result<[Line; 2], MeshError> {
        let mut found = Vec::with_capacity(2);
        for slot in &self.slots {
            let present = slot.subscribe();
            let live = tokio::time::timeout_at(deadline, slot.connected()).await.map_err(|_| {
                let last = slot.last_error().unwrap_or_else(|| "it has not been seen".into());
                MeshError::Unreachable { peer: slot.peer, last }
            })?;
            found.push(Line { live, present, heard: slot.heard() });
        }
        let Ok(found) = found.try_into() else { unreachable!("there are two peers") };
        Ok(found)
    }

    /// The connections there are at the moment, next first.
    pub(super) fn present(&self) -> [Option<Live>; 2] {
        self.slots.each_ref().map(|slot| slot.present())
    }

    pub(super) async fn connected(&self) {
        for slot in &self.slots {
            slot.connected().await;
        }
    }

    pub(super) fn status(&self) -> [PeerStatus; 2] {
        self.slots.each_ref().map(|slot| {
            let live = slot.present();
            let stats = live.as_ref().map(|live| live.connection.stats());
            PeerStatus {
                version: live.as_ref().map(|live| live.version),
                certificate: live.as_ref().and_then(|live| certificate(&live.connection)),
                peer: slot.peer,
                connected: stats.is_some(),
                rtt: stats.map(|s| s.path.rtt),
                mtu: stats.map(|s| s.path.current_mtu),
                udp_bytes: stats.map(|s| [s.udp_tx.bytes, s.udp_rx.bytes]),
                last_error: slot.last_error(),
                heartbeat: slot.heartbeat(),
            }
        })
    }

    /// What went over the connections to each peer since the node started.
    pub(super) fn totals(&self) -> [(Party, LinkTotals); 2] {
        self.slots.each_ref().map(|slot| (slot.peer, slot.totals()))
    }
}

struct Dialler {
    endpoint: Endpoint,
    versions: Versions,
    address: SocketAddr,
}

impl Dialler {
    async fn connect(&self, peer: Party, current: &Current) -> Result<Connection, Unanswered> {
        let connecting = self.endpoint.connect_with(current.client.clone(), self.address, SERVER_NAME);
        let connecting = connecting.map_err(|e| match e {
            ConnectError::EndpointStopping => Unanswered::Closing,
            e => Unanswered::Failed(e.to_string()),
        })?;
        let connection = connecting.await.map_err(|e| match e {
            ConnectionError::LocallyClosed => Unanswered::Closing,
            e => Unanswered::Failed(explain(&e)),
        })?;
        if !current.accepts(peer, certificate(&connection)) {
            connection.close(NOT_LISTED, b"not the certificate of the cluster file");
            let cause = format!("{} shows another certificate than the cluster file lists for it", self.address);
            return Err(Unanswered::Failed(cause));
        }
        if protocol(&connection).is_some_and(|name| name == TELL) {
            let theirs = ask(&connection, self.versions).await;
            return Err(Unanswered::Failed(apart(self.versions, peer, theirs)));
        }
        Ok(connection)
    }
}

async fn dial(dialler: Dialler, slot: Arc<Slot>) {
    let [first, longest] = BACK_OFF;
    let mut pause = first;
    // Earlier connections, until their sessions are over, and the present one.
    let mut serving = JoinSet::new();
    loop {
        let current = slot.credentials.borrow().clone();
        match dialler.connect(slot.peer, &current).await {
            Ok(connection) => {
                pause = first;
                serving.spawn(slot.clone().serve(connection, current.generation));
                slot.to_be_dialled().await;
                while serving.try_join_next().is_some() {}
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

/// Tells the node that was called what is spoken here, and hears what is spoken there.
async fn ask(connection: &Connection, mine: Versions) -> Option<Versions> {
    let mut out = connection.open_uni().await.ok()?;
    out.write_all(&mine.to_bytes()).await.ok()?;
    out.finish().ok()?;
    match tokio::time::timeout(TELL_TIME, connection.closed()).await {
        Ok(ConnectionError::ApplicationClosed(close)) if close.error_code == NO_VERSION => {
            Some(Versions::from_bytes(close.reason[..].try_into().ok()?))
        }
        _ => None,
    }
}

/// The same for the node that was called.
async fn answer(connection: &Connection, mine: Versions) -> Option<Versions> {
    let read = async {
        let (mut stream, mut theirs) = (connection.accept_uni().await.ok()?, [0; 4]);
        stream.read_exact(&mut theirs).await.ok()?;
        Some(Versions::from_bytes(theirs))
    };
    let theirs = tokio::time::timeout(TELL_TIME, read).await.ok().flatten();
    connection.close(NO_VERSION, &mine.to_bytes());
    theirs
}

fn apart(mine: Versions, peer: Party, theirs: Option<Versions>) -> String {
    match theirs {
        Some(theirs) => mine.remedy(peer, theirs),
        None => format!("{peer} speaks no version of the mesh protocol that this node does, which are {mine}"),
    }
}

/// Where `prev` calls from, and what it may speak.
struct Expected {
    address: IpAddr,
    versions: Versions,
}

/// Serves calls. Who calls is known only after the handshake, so strangers cost one; a flood of them must not keep `prev` out:
/// calls from its address have places of their own, and under load a caller must first show that it receives at the address
/// it writes from (a QUIC retry), so that nobody takes those places in its name.
async fn accept(endpoint: Endpoint, expected: Expected, slot: Arc<Slot>) {
    let places = [(); 2].map(|()| Arc::new(Semaphore::new(MAX_HANDSHAKES)));
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
                calls.spawn(admit(incoming, place, expected.versions, slot.clone()));
            }
            Err(_) => incoming.refuse(),
        }
    }
}

async fn admit(incoming: Incoming, place: OwnedSemaphorePermit, versions: Versions, slot: Arc<Slot>) {
    let from = incoming.remote_address().ip();
    let current = slot.credentials.borrow().clone();
    let shaken = tokio::time::timeout(HANDSHAKE_TIME, incoming).await;
    drop(place);
    match shaken {
        Err(_) => slot.refused(format!("a caller from {from} did not finish its handshake")),
        Ok(Err(ConnectionError::LocallyClosed)) => {}
        Ok(Err(e)) => slot.refused(format!("a caller from {from} was refused: {}", explain(&e))),
        Ok(Ok(connection)) if !current.accepts(slot.peer, certificate(&connection)) => {
            connection.close(NOT_LISTED, b"not the certificate of the cluster file");
            slot.refused(format!(
                "a caller from {from} showed another certificate than the cluster file lists for {}",
                slot.peer
            ));
        }
        Ok(Ok(connection)) if protocol(&connection).is_some_and(|name| name == TELL) => {
            let theirs = answer(&connection, versions).await;
            slot.refused(apart(versions, slot.peer, theirs));
        }
        Ok(Ok(connection)) => slot.serve(connection, current.generation).await,
    }
}

fn explain(e: &ConnectionError) -> String {
    tls::explain_quic(e).unwrap_or_else(|| e.to_string())
}
