//! The connections to one peer: the one that new sessions take, and earlier ones until their sessions are over.
//!
//! **Renewal.** When certificates or pins have changed on either end, the connection is made anew under the new ones. `prev` dials, as
//! always, but only when `next` has said so on the old connection: from then on `next` knows that a call replaces a connection that
//! lives, and not one of a process that is gone. New sessions take the new connection at once. Those that run stay on the old one;
//! when an end has none left on it, it says so, and when both have, it is closed, at the latest after `retire_deadline`. A
//! connection that cannot be made anew, because the peer has not got the new pin yet, stays, and is tried again.

use super::{
    credentials::Current,
    heartbeat::{self, Heard, Heartbeat},
    registry::Registry,
    totals::LinkTotals,
    versions::{RENEWS, Versions},
    wire::{Notice, Opening, PREAMBLE, notice, read_preamble},
};
use quinn::{Connection, ConnectionError, RecvStream, VarInt};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use trefoil_engine::Party;

/// The time a new stream has to say what it is for.
const PREAMBLE_TIME: Duration = Duration::from_secs(10);
/// Notices of a peer that may wait to be looked at; an honest one sends three.
const NOTICES: usize = 4;
/// The application error code of a connection whose node shuts down.
pub(super) const SHUT_DOWN: VarInt = VarInt::from_u32(0);
/// The application error code of a stream that is not wanted.
pub(super) const REFUSED: VarInt = VarInt::from_u32(1);
/// The application error code of a connection that its peer has replaced by a newer one.
const REPLACED: VarInt = VarInt::from_u32(3);
/// What is said when it is closed although a session was left on it.
const OVERDUE: &[u8] =
    b"certificates were renewed, and the session took longer than transport.retire_deadline after that";

/// Which end of its connection this node is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// It calls `next`.
    Dials,
    /// It is called by `prev`.
    Answers,
}

/// One peer, and the connections to it.
pub(super) struct Slot {
    pub(super) peer: Party,
    pub(super) side: Side,
    pub(super) credentials: watch::Receiver<Arc<Current>>,
    pub(super) registry: Arc<Registry>,
    pub(super) retire: Duration,
    pub(super) keep_alive: Duration,
    pub(super) state: State,
}

/// What changes of it.
#[derive(Default)]
pub(super) struct State {
    present: watch::Sender<Option<Live>>,
    /// The connection that is to be dialled anew.
    wanted: watch::Sender<Option<usize>>,
    trouble: Mutex<Trouble>,
    heard: Arc<Heard>,
    links: Mutex<Links>,
}

/// All connections to a peer since the node started, each in one of the two.
#[derive(Default)]
struct Links {
    /// Those that have ended.
    past: LinkTotals,
    open: Vec<Connection>,
}

/// A connection, for as long as somebody uses it.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: Connection,
    /// The version of the protocol that both ends have taken.
    pub(super) version: u16,
    /// Whether it is agreed that another takes its place.
    renewing: Arc<AtomicBool>,
    /// Gone with the last who uses it.
    _hold: mpsc::Sender<Infallible>,
}

/// What goes wrong with a peer while it is not connected.
#[derive(Default)]
struct Trouble {
    last: Option<String>,
    /// It has said that it shuts down, so nobody needs to be warned.
    announced: bool,
}

impl Slot {
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Live>> {
        self.state.present.subscribe()
    }

    pub(super) fn present(&self) -> Option<Live> {
        self.state.present.borrow().clone()
    }

    /// What the peer has said last of itself, unless it speaks a version without heartbeats.
    pub(super) fn heartbeat(&self) -> Option<Heartbeat> {
        let told = self.present().is_none_or(|live| live.version >= Versions::HEARTBEATS);
        self.state.heard.last().filter(|_| told)
    }

    /// What the peer has said of itself last, which may be long ago, and what it says from now on.
    pub(super) fn heard(&self) -> watch::Receiver<Option<Heartbeat>> {
        self.state.heard.subscribe()
    }

    /// What went over all connections to the peer since the node started.
    pub(super) fn totals(&self) -> LinkTotals {
        let links = self.links();
        links.open.iter().fold(links.past, LinkTotals::and)
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.state.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn connected(&self) -> Live {
        let mut present = self.subscribe();
        loop {
            if let Some(live) = present.borrow_and_update().clone() {
                return live;
            }
            if present.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns when the peer has to be dialled: it is not connected, or the connection is to be made anew. Cancel safe.
    pub(super) async fn to_be_dialled(&self) {
        let (mut present, mut wanted) = (self.subscribe(), self.state.wanted.subscribe());
        loop {
            let here = present.borrow_and_update().as_ref().map(|live| live.connection.stable_id());
            if here.is_none() || *wanted.borrow_and_update() == here {
                return;
            }
            // Both senders are in this slot.
            tokio::select! {
                _ = present.changed() => {}
                _ = wanted.changed() => {}
            }
        }
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.trouble().last.clone()
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call came to nothing. While the peer is connected, it was somebody else's.
    pub(super) fn refused(&self, cause: String) {
        if self.state.present.borrow().is_some() {
            tracing::info!(peer = %self.peer, %cause, "a call was refused");
        } else {
            self.failed(cause);
        }
    }

    pub(super) fn failed(&self, cause: String) {
        let connected = self.state.present.borrow().is_some();
        let mut trouble = self.trouble();
        if trouble.last.as_ref() != Some(&cause) {
            if connected {
                tracing::warn!(peer = %self.peer, %cause, "the connection to a peer cannot be made anew with the present certificates; the old one stays");
            } else if trouble.announced {
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

    /// Has new sessions take a connection, made under credentials of some generation. What is returned serves it until it ends.
    pub(super) fn serve(self: Arc<Self>, connection: Connection, generation: u64) -> impl Future<Output = ()> + Send {
        let version =
            protocol(&connection).and_then(|name| Versions::of_label(&name)).unwrap_or(Versions::SPOKEN.lowest);
        tracing::info!(peer = %self.peer, address = %connection.remote_address(), version, "connected");
        *self.trouble() = Trouble::default();
        self.links().open.push(connection.clone());
        let (hold, released) = mpsc::channel(1);
        let renewing = Arc::new(AtomicBool::new(false));
        let live = Live { connection: connection.clone(), version, renewing: renewing.clone(), _hold: hold };
        if let Some(old) = self.state.present.send_replace(Some(live))
            && !old.renewing.load(Ordering::Acquire)
        {
            // A peer that has restarted is faster than the death of its old connection.
            old.connection.close(REPLACED, b"replaced by a newer connection");
        }
        if version >= Versions::HEARTBEATS {
            let cluster = self.credentials.borrow().digest(version);
            tokio::spawn(heartbeat::tell(connection.clone(), cluster, self.keep_alive));
        }
        async move {
            let reason = self.attend(&connection, Age { version, generation }, &renewing, released).await;
            self.left(&connection, &reason);
        }
    }

    fn left(&self, connection: &Connection, reason: &ConnectionError) {
        {
            let mut links = self.links();
            links.past = links.past.and(connection);
            links.open.retain(|open| open.stable_id() != connection.stable_id());
        }
        let gone = self.state.present.send_if_modified(|current| {
            let mine = current.as_ref().is_some_and(|c| c.connection.stable_id() == connection.stable_id());
            if mine {
                *current = None;
            }
            mine
        });
        if gone {
            self.ended(reason);
        }
    }

    async fn attend(
        &self,
        connection: &Connection,
        age: Age,
        renewing: &AtomicBool,
        mut released: mpsc::Receiver<Infallible>,
    ) -> ConnectionError {
        let (tell, mut notices) = mpsc::channel(NOTICES);
        let (mut credentials, mut present) = (self.credentials.clone(), self.subscribe());
        let id = connection.stable_id();
        let (mut asked, mut told, mut heard) = (age.version < RENEWS, false, false);
        // From when it may be closed with sessions on it: another has taken its place, or the peer's certificate is not accepted any more.
        let (mut replaced, mut unlisted) = (None, None);
        let mut seen = age.generation;
        loop {
            tokio::select! {
                arrived = connection.accept_uni() => match arrived {
                    Ok(stream) => {
                        let heard = (age.version >= Versions::HEARTBEATS).then(|| self.state.heard.clone());
                        tokio::spawn(sort(self.peer, stream, self.registry.clone(), tell.clone(), heard));
                    }
                    Err(e) => return e,
                },
                Some(heard_now) = notices.recv() => match heard_now {
                    Notice::Retired => heard = true,
                    Notice::Renew if age.version < RENEWS => {}
                    Notice::Renew => {
                        renewing.store(true, Ordering::Release);
                        match self.side {
                            Side::Dials => drop(self.state.wanted.send_replace(Some(id))),
                            Side::Answers if asked => {}
                            Side::Answers => say(connection, Notice::Renew),
                        }
                        asked = true;
                    }
                },
                Ok(_) = credentials.wait_for(|c| c.generation > seen) => {
                    let current = self.credentials.borrow().clone();
                    seen = current.generation;
                    let listed = current.accepts(self.peer, certificate(connection));
                    unlisted = (!listed).then(|| Instant::now() + self.retire);
                    if !asked {
                        asked = true;
                        if self.side == Side::Answers {
                            renewing.store(true, Ordering::Release);
                        }
                        say(connection, Notice::Renew);
                    }
                }
                _ = present.wait_for(|p| p.as_ref().is_none_or(|p| p.connection.stable_id() != id)), if replaced.is_none() => {
                    replaced = Some(Instant::now() + self.retire);
                }
                _ = released.recv(), if !told => {
                    told = true;
                    say(connection, Notice::Retired);
                }
                () = until([replaced, unlisted]) => connection.close(REPLACED, OVERDUE),
            }
            if told && heard {
                connection.close(REPLACED, b"a newer connection has taken its place");
            }
        }
    }
}

/// Returns at the earlier of two moments, if there is one. Cancel safe.
async fn until(moments: [Option<Instant>; 2]) {
    match moments.into_iter().flatten().min() {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Of when a connection is.
#[derive(Clone, Copy)]
struct Age {
    version: u16,
    generation: u64,
}

/// Sends a notice, in the background. If the connection ends before, it is not needed any more.
fn say(connection: &Connection, what: Notice) {
    let connection = connection.clone();
    tokio::spawn(async move {
        if let Ok(mut out) = connection.open_uni().await
            && out.write_all(&notice(what)).await.is_ok()
        {
            let _ = out.finish();
        }
    });
}

/// Reads what a stream is for and hands it to its session, or to what hears of the peer.
async fn sort(
    peer: Party,
    mut stream: RecvStream,
    registry: Arc<Registry>,
    notices: mpsc::Sender<Notice>,
    heard: Option<Arc<Heard>>,
) {
    let mut preamble = [0; PREAMBLE];
    let refused = match tokio::time::timeout(PREAMBLE_TIME, stream.read_exact(&mut preamble)).await {
        Err(_) => Some("it did not say what it is for".to_owned()),
        Ok(Err(e)) => Some(e.to_string()),
        Ok(Ok(())) => match read_preamble(&preamble) {
            Err(fault) => Some(fault.to_string()),
            Ok(Opening::Notice(notice)) => {
                // More than an honest peer sends are dropped.
                let _ = notices.try_send(notice);
                return;
            }
            Ok(Opening::Heartbeats) => match heard {
                Some(heard) => {
                    // The stream lasts as long as the connection, whose notices end with this.
                    drop(notices);
                    return heard.listen(stream).await;
                }
                None => Some("the version of the connection has no heartbeats".to_owned()),
            },
            Ok(Opening::Stream(name)) => match registry.arrived(peer, name, stream) {
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
pub(super) fn certificate(connection: &Connection) -> Option<[u8; 32]> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    identity.first().map(|der| Sha256::digest(der.as_ref()).into())
}

/// The ALPN name that was taken.
pub(super) fn protocol(connection: &Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?.protocol
}
