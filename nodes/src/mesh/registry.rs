//! Streams that have arrived, until the session they belong to takes them.

use super::wire::{RunId, StreamName};
use quinn::RecvStream;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use trefoil_engine::{
    Party,
    transport::{Path, SessionId},
};

/// How often is looked for what has waited too long.
const LOOK: Duration = Duration::from_secs(1);

/// The streams of all sessions.
///
/// A peer can be ahead: its client was faster. Its control streams wait here, bounded in number and time; the bytes stay in
/// the stream's own window, unread. One too many takes the place of the peer's oldest, which is the likeliest to have been given up: so a client
/// that submits to one node alone cannot keep the others from hearing of sessions that it begins later. Strands are named by the run, which no peer can know before this node has confirmed it:
/// a strand of an unknown run is left over from an earlier one, or made up.
pub(super) struct Registry {
    open: Mutex<Open>,
    patience: Duration,
    most_ahead: usize,
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
    /// `patience` is how long control streams of an unknown session are kept. They are half of the `streams` that a peer may have open at most: the
    /// other half is for the sessions that run.
    pub(super) fn new(patience: Duration, streams: u32) -> Self {
        Self { open: Mutex::default(), patience, most_ahead: (streams / 2).max(1) as usize }
    }

    /// Lets go of what has waited too long, until nobody else has the registry.
    pub(super) async fn watch(registry: Weak<Self>) {
        let mut interval = tokio::time::interval(LOOK);
        loop {
            interval.tick().await;
            let Some(registry) = registry.upgrade() else { return };
            let patience = registry.patience;
            registry.lock().sessions.retain(|_, e| e.joined || e.since.elapsed() < patience);
        }
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
                open.make_room(session, from, self.most_ahead);
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

    /// Whether anybody has joined a session or is ahead with it.
    #[cfg(test)]
    pub(super) fn knows(&self, session: SessionId) -> bool {
        self.lock().sessions.contains_key(&session)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Lets go of the oldest control stream of a peer that is as many sessions ahead as it may be, if it begins one more.
    fn make_room(&mut self, begun: SessionId, from: Party, most: usize) {
        if self.sessions.get(&begun).is_some_and(|e| e.joined || e.controls.contains_key(&from)) {
            return;
        }
        let ahead = || self.sessions.iter().filter(|(_, e)| !e.joined && e.controls.contains_key(&from));
        if ahead().count() < most {
            return;
        }
        let Some((&oldest, _)) = ahead().min_by_key(|(_, e)| e.since) else { return };
        if let Some(entry) = self.sessions.get_mut(&oldest) {
            entry.controls.remove(&from);
            if entry.controls.is_empty() {
                self.sessions.remove(&oldest);
            }
        }
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
