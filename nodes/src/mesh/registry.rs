//! Streams that have arrived, until the session they belong to takes them.

use super::wire::StreamKind;
use quinn::RecvStream;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use trefoil_engine::{Party, transport::SessionId};

/// Sessions a peer may have begun that this node has not heard of from its client.
const MAX_AHEAD: usize = 1_024;

/// The streams of all sessions.
///
/// A peer can be ahead: its client was faster. What it opens waits here, bounded in number and time; the bytes stay in the
/// stream's own window, unread.
pub(super) struct Registry {
    sessions: Mutex<HashMap<SessionId, Entry>>,
    patience: Duration,
}

struct Entry {
    since: Instant,
    joined: bool,
    streams: HashMap<(Party, StreamKind), Slot>,
}

enum Slot {
    Arrived(RecvStream),
    Awaited(oneshot::Sender<RecvStream>),
    Taken,
}

impl Registry {
    /// `patience` is how long streams of an unknown session are kept.
    pub(super) fn new(patience: Duration) -> Self {
        Self { sessions: Mutex::default(), patience }
    }

    /// Marks a session as this node's own. `false` if it already is: an id is used once.
    pub(super) fn join(&self, session: SessionId) -> bool {
        let mut sessions = self.lock();
        let entry = sessions.entry(session).or_insert_with(Entry::new);
        !std::mem::replace(&mut entry.joined, true)
    }

    /// Forgets a session and whatever has arrived for it.
    pub(super) fn leave(&self, session: SessionId) {
        self.lock().remove(&session);
    }

    /// A stream has arrived. One that cannot be kept is returned, to be refused.
    pub(super) fn arrived(
        &self,
        from: Party,
        session: SessionId,
        kind: StreamKind,
        stream: RecvStream,
    ) -> Option<RecvStream> {
        let mut sessions = self.lock();
        if !sessions.contains_key(&session) {
            let patience = self.patience;
            sessions.retain(|_, e| e.joined || e.since.elapsed() < patience);
            // Before this node has joined, a peer has nothing to say but its hello.
            if kind != StreamKind::Control || sessions.values().filter(|e| !e.joined).count() >= MAX_AHEAD {
                return Some(stream);
            }
        }
        let entry = sessions.entry(session).or_insert_with(Entry::new);
        match entry.streams.remove(&(from, kind)) {
            None => {
                entry.streams.insert((from, kind), Slot::Arrived(stream));
                None
            }
            Some(Slot::Awaited(waiting)) => {
                entry.streams.insert((from, kind), Slot::Taken);
                waiting.send(stream).err()
            }
            // A second stream of one name: no honest peer opens it. The first stays.
            Some(slot) => {
                entry.streams.insert((from, kind), slot);
                Some(stream)
            }
        }
    }

    /// The stream of that name: at once if it has arrived, else when it does. `None` if it was taken before.
    pub(super) fn take(
        &self,
        from: Party,
        session: SessionId,
        kind: StreamKind,
    ) -> Option<oneshot::Receiver<RecvStream>> {
        let mut sessions = self.lock();
        let entry = sessions.entry(session).or_insert_with(Entry::new);
        let (tx, rx) = oneshot::channel();
        match entry.streams.insert((from, kind), Slot::Taken) {
            None => {
                entry.streams.insert((from, kind), Slot::Awaited(tx));
            }
            Some(Slot::Arrived(stream)) => drop(tx.send(stream)),
            Some(Slot::Awaited(_) | Slot::Taken) => return None,
        }
        Some(rx)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new() -> Self {
        Self { since: Instant::now(), joined: false, streams: HashMap::new() }
    }
}
