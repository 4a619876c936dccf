//! Streams that have arrived, until the session they belong to takes them.

use super::wire::{RunId, StreamName};
use quinn::RecvStream;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use trefoil_engine::{
    Party,
    transport::{Path, SessionId},
};

/// Sessions each peer may have begun that this node has not heard of from its client.
const MAX_AHEAD: usize = 1_024;

/// The streams of all sessions.
///
/// A peer can be ahead: its client was faster. Its control streams wait here, bounded in number and time; the bytes stay in
/// the stream's own window, unread. Strands are named by the run, which no peer can know before this node has confirmed it:
/// a strand of an unknown run is left over from an earlier one, or made up.
pub(super) struct Registry {
    open: Mutex<Open>,
    patience: Duration,
}

#[derive(Default)]
struct Open {
    sessions: HashMap<SessionId, Entry>,
    runs: HashMap<RunId, HashMap<(Party, Path), Slot>>,
}

struct Entry {
    since: Instant,
    joined: bool,
    controls: HashMap<Party, Slot>,
}

enum Slot {
    Arrived(RecvStream),
    Awaited(oneshot::Sender<RecvStream>),
    Taken,
}

/// This node's part in a session. What has arrived for it is forgotten when this is dropped.
pub(super) struct Membership {
    registry: Arc<Registry>,
    session: SessionId,
    run: Option<RunId>,
}

/// Why a strand of a peer cannot be had.
pub(super) enum Unavailable {
    /// It was taken before.
    Taken,
    /// This node no longer takes part in the run.
    Over,
}

impl Registry {
    /// `patience` is how long control streams of an unknown session are kept.
    pub(super) fn new(patience: Duration) -> Self {
        Self { open: Mutex::default(), patience }
    }

    /// Takes part in a session. `None` if this node already does.
    pub(super) fn join(self: &Arc<Self>, session: SessionId) -> Option<Membership> {
        let mut open = self.lock();
        let entry = open.sessions.entry(session).or_insert_with(Entry::new);
        let repeated = std::mem::replace(&mut entry.joined, true);
        (!repeated).then(|| Membership { registry: self.clone(), session, run: None })
    }

    /// A stream has arrived. One that cannot be kept is returned, to be refused.
    pub(super) fn arrived(&self, from: Party, name: StreamName, stream: RecvStream) -> Option<RecvStream> {
        let mut open = self.lock();
        match name {
            StreamName::Strand(run, path) => match open.runs.get_mut(&run) {
                Some(strands) => deliver(strands.entry((from, path)), stream),
                None => Some(stream),
            },
            StreamName::Control(session) => {
                if !open.sessions.contains_key(&session) {
                    let patience = self.patience;
                    open.sessions.retain(|_, e| e.joined || e.since.elapsed() < patience);
                    let ahead = open.sessions.values().filter(|e| !e.joined && e.controls.contains_key(&from));
                    if ahead.count() >= MAX_AHEAD {
                        return Some(stream);
                    }
                }
                let entry = open.sessions.entry(session).or_insert_with(Entry::new);
                deliver(entry.controls.entry(from), stream)
            }
        }
    }

    /// A peer's control stream: at once if it has arrived, else when it does. `None` if it was taken before.
    pub(super) fn control(&self, session: SessionId, from: Party) -> Option<oneshot::Receiver<RecvStream>> {
        take(self.lock().sessions.get_mut(&session)?.controls.entry(from))
    }

    /// A peer's strand, likewise.
    pub(super) fn strand(
        &self,
        run: RunId,
        from: Party,
        path: Path,
    ) -> Result<oneshot::Receiver<RecvStream>, Unavailable> {
        let mut open = self.lock();
        let strands = open.runs.get_mut(&run).ok_or(Unavailable::Over)?;
        take(strands.entry((from, path))).ok_or(Unavailable::Taken)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Membership {
    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// From here on strands of this run are kept. Must come before the peers can open one.
    pub(super) fn begin(&mut self, run: RunId) {
        self.registry.lock().runs.insert(run, HashMap::new());
        self.run = Some(run);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        open.sessions.remove(&self.session);
        if let Some(run) = self.run {
            open.runs.remove(&run);
        }
    }
}

type Place<'a, K> = std::collections::hash_map::Entry<'a, K, Slot>;

fn deliver<K>(place: Place<'_, K>, stream: RecvStream) -> Option<RecvStream> {
    match place {
        Place::Vacant(place) => {
            place.insert(Slot::Arrived(stream));
            None
        }
        Place::Occupied(mut place) => match place.insert(Slot::Taken) {
            Slot::Awaited(waiting) => waiting.send(stream).err(),
            // A second stream of one name: no honest peer opens it. The first stays.
            earlier => {
                place.insert(earlier);
                Some(stream)
            }
        },
    }
}

fn take<K>(place: Place<'_, K>) -> Option<oneshot::Receiver<RecvStream>> {
    let (tx, rx) = oneshot::channel();
    match place {
        Place::Vacant(place) => {
            place.insert(Slot::Awaited(tx));
        }
        Place::Occupied(mut place) => match place.insert(Slot::Taken) {
            Slot::Arrived(stream) => drop(tx.send(stream)),
            earlier => {
                place.insert(earlier);
                return None;
            }
        },
    }
    Some(rx)
}

impl Entry {
    fn new() -> Self {
        Self { since: Instant::now(), joined: false, controls: HashMap::new() }
    }
}
