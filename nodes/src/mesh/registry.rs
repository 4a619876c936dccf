//! Streams that have arrived, until the session they belong to takes them.

use super::{
    slot::REFUSED,
    wire::{RunId, StreamName},
};
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

/// How often streams that have waited too long are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// The streams of all sessions.
///
/// A peer can be ahead: its client was faster. Its control streams wait here, bounded in number and time; the bytes stay in
/// the stream's own window, unread. One too many takes the place of the peer's oldest, which is the likeliest to have been given up: so a client
/// that submits to one node alone cannot keep the others from hearing of sessions that it begins later. A hello that was refused is said again when this node has joined.
/// Strands are named by the run, which no peer can know before this node has confirmed it: a strand of an unknown run is left over from an earlier one, or made up.
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

#[derive(Default)]
struct Entry {
    joined: bool,
    controls: HashMap<Party, Slot>,
}

enum Slot {
    /// Since when it waits.
    Arrived(RecvStream, Instant),
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
    /// `patience` is how long control streams of an unknown session are kept. At most half of a peer's `streams` wait here: the other half is for the
    /// sessions that run.
    pub(super) fn new(patience: Duration, streams: u32) -> Self {
        Self { open: Mutex::default(), patience, most_ahead: (streams / 2).max(1) as usize }
    }

    /// Refuses what has waited too long, until nobody else has the registry.
    pub(super) async fn watch(registry: Weak<Self>) {
        let mut interval = tokio::time::interval(SWEEP);
        loop {
            interval.tick().await;
            let Some(registry) = registry.upgrade() else { return };
            let expired = registry.lock().expired(registry.patience);
            for mut stream in expired {
                let _ = stream.stop(REFUSED);
            }
        }
    }

    /// Takes part in a session. `None` if this node already does.
    pub(super) fn join(self: &Arc<Self>, session: SessionId) -> Option<Membership> {
        let mut open = self.lock();
        let entry = open.sessions.entry(session).or_default();
        let repeated = std::mem::replace(&mut entry.joined, true);
        (!repeated).then(|| Membership { registry: self.clone(), session, run: None })
    }

    /// A stream has arrived. It, or another that cannot be kept beside it, is returned, to be refused.
    pub(super) fn arrived(&self, from: Party, name: StreamName, stream: RecvStream) -> Option<RecvStream> {
        let mut open = self.lock();
        match name {
            StreamName::Strand(run, path) => match open.runs.get_mut(&run) {
                Some(strands) => deliver(strands.entry((from, path)), stream),
                None => Some(stream),
            },
            StreamName::Control(session) => {
                let entry = open.sessions.entry(session).or_default();
                if let Some(Slot::Arrived(waiting, since)) = entry.controls.get_mut(&from) {
                    // What the peer began before under this id it has given up.
                    *since = Instant::now();
                    return Some(std::mem::replace(waiting, stream));
                }
                let joined = entry.joined;
                let refused = deliver(entry.controls.entry(from), stream);
                if joined { refused } else { open.one_too_many(from, self.most_ahead) }
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
    /// The oldest control stream of a peer that is more sessions ahead than it may be.
    fn one_too_many(&mut self, from: Party, most: usize) -> Option<RecvStream> {
        let ahead = self.sessions.iter().filter(|(_, entry)| !entry.joined);
        let since = ahead.filter_map(|(session, entry)| match entry.controls.get(&from) {
            Some(Slot::Arrived(_, since)) => Some((*since, *session)),
            _ => None,
        });
        let (mut count, mut oldest) = (0, None);
        for (since, session) in since {
            count += 1;
            oldest = oldest.filter(|(first, _)| *first <= since).or(Some((since, session)));
        }
        let (_, session) = oldest.filter(|_| count > most)?;
        let entry = self.sessions.get_mut(&session)?;
        let slot = entry.controls.remove(&from);
        if entry.controls.is_empty() {
            self.sessions.remove(&session);
        }
        match slot {
            Some(Slot::Arrived(stream, _)) => Some(stream),
            _ => None,
        }
    }

    /// The control streams that have waited for longer than this.
    fn expired(&mut self, patience: Duration) -> Vec<RecvStream> {
        let mut expired = Vec::new();
        self.sessions.retain(|_, entry| {
            if entry.joined {
                return true;
            }
            let is_over =
                |_: &Party, slot: &mut Slot| matches!(slot, Slot::Arrived(_, since) if since.elapsed() >= patience);
            expired.extend(entry.controls.extract_if(is_over).filter_map(|(_, slot)| match slot {
                Slot::Arrived(stream, _) => Some(stream),
                _ => None,
            }));
            !entry.controls.is_empty()
        });
        expired
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
            place.insert(Slot::Arrived(stream, Instant::now()));
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
            Slot::Arrived(stream, _) => drop(tx.send(stream)),
            earlier => {
                place.insert(earlier);
                return None;
            }
        },
    }
    Some(rx)
}
