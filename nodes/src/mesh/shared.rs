//! What the strands of a session have in common: its connections, its end, and who waits for whom.

use super::{
    blame::Line,
    error::SessionFault,
    registry::Registry,
    totals::{Step, Totals},
    traffic::Meter,
    wire::{PartySet, RunId},
};
use quinn::Connection;
use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use trefoil_engine::{
    LinkFault, Party,
    transport::{Path, SessionId},
};

pub(super) struct Shared {
    pub(super) me: Party,
    pub(super) session: SessionId,
    pub(super) registry: Arc<Registry>,
    pub(super) meter: Meter,
    pub(super) totals: Arc<Totals>,
    /// Set once all three hellos are known.
    pub(super) run: OnceLock<RunId>,
    /// To next, then to prev.
    pub(super) lines: [Line; 2],
    pub(super) stall: Duration,
    /// How long a strand waits before it is said for whom, and then twice as long, and so on.
    pub(super) stall_warning: Duration,
    /// How often that was said of what is being waited for now.
    pub(super) warned: AtomicU32,
    /// How long the cause of a fault is looked for that may be a consequence.
    pub(super) grace: Duration,
    pub(super) state: watch::Sender<State>,
    /// For whom strands of each party have been waiting for long, as it says itself.
    pub(super) claims: Mutex<[PartySet; 3]>,
}

/// Where a session stands. The control streams pass changes on to the peers.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) fault: Option<SessionFault>,
    pub(super) finished: bool,
    /// The strands of this node that have been waiting for long, by the party they wait for.
    waiting: [u32; 3],
}

impl State {
    pub(super) fn waiting(&self) -> PartySet {
        Party::ALL.into_iter().filter(|p| self.waiting[p.index()] > 0).collect()
    }
}

impl Shared {
    pub(super) fn line(&self, peer: Party) -> &Line {
        &self.lines[usize::from(peer != self.me.next())]
    }

    pub(super) fn connection(&self, peer: Party) -> &Connection {
        self.line(peer).connection()
    }

    /// Records the first fault of the session, which is then told to the peers.
    ///
    /// # Errors
    /// The earlier fault, if there was one.
    pub(super) fn fail(&self, fault: SessionFault) -> Result<(), SessionFault> {
        let mut earlier = None;
        self.state.send_if_modified(|s| {
            earlier.clone_from(&s.fault);
            if s.fault.is_none() && !s.finished {
                if fault.blamed == self.me {
                    tracing::info!(session = %self.session, cause = %fault.cause, "this node ends the session");
                } else {
                    tracing::warn!(session = %self.session, blamed = %fault.blamed, cause = %fault.cause, "the session ends");
                }
                s.fault = Some(fault);
                return true;
            }
            false
        });
        earlier.map_or(Ok(()), Err)
    }

    /// Returns when the session has ended by a fault. Cancel safe.
    pub(super) async fn ended(&self) -> SessionFault {
        let mut state = self.state.subscribe();
        loop {
            if let Some(fault) = state.borrow_and_update().fault.clone() {
                return fault;
            }
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns when a strand has waited too long. `awaited` says for what at the moment. Cancel safe.
    ///
    /// After a quarter of the time the peers are told, so that one that waits for this node knows that the cause lies
    /// further on; they are told again when the waiting is over. The log is told after `stall_warning`, and at intervals that double.
    pub(super) async fn stalled(&self, path: Path, awaited: impl Fn() -> Awaited + Send) -> SessionFault {
        let start = Instant::now();
        let (mut quarter, mut _told) = (1, None);
        let (mut warning, mut warnings, mut warned) = (self.stall_warning, 0, None);
        loop {
            let due = self.stall * quarter / 4;
            sleep_until(start + due.min(warning)).await;
            let awaited = awaited();
            if warning <= due {
                (warning, warnings) = (warning.saturating_mul(2), warnings + 1);
                warned.get_or_insert(Warned(self));
                self.warn(path, &awaited, (warnings, start.elapsed()));
                continue;
            }
            if quarter == 4 {
                break;
            }
            quarter += 1;
            _told = Some(LongWait::on(self, awaited.peer));
        }
        if self.lines.iter().any(Line::lost) {
            // Whoever is gone is the cause; that is being found out.
            sleep_until(Instant::now() + self.grace).await;
        }
        let millis = u64::try_from(self.stall.as_millis()).unwrap_or(u64::MAX);
        SessionFault { blamed: self.culprit(awaited().peer), cause: LinkFault::Stalled(millis) }
    }

    /// Says what a strand waits for, once for all strands that wait.
    fn warn(&self, path: Path, awaited: &Awaited, (warnings, waiting): (u32, Duration)) {
        if self.warned.fetch_max(warnings, Relaxed) >= warnings {
            return;
        }
        let step = Step::of(path);
        if warnings == 1 {
            self.totals.stalled(awaited.peer, step);
        }
        let Awaited { peer, frame, bytes, received } = awaited;
        tracing::warn!(
            session = %self.session, step = step.name(), strand = %path, awaited = %peer, frame, bytes, received, ?waiting,
            "still waiting for a peer"
        );
    }

    /// The party at the end of the chain of those who wait, as far as they say so. A diagnosis, not a proof: a party that
    /// deviates can claim what it likes.
    fn culprit(&self, awaited: Party) -> Party {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let third = if awaited == self.me.next() { self.me.prev() } else { self.me.next() };
        let points_on = claims[awaited.index()].contains(third) && claims[third.index()].is_empty();
        if points_on { third } else { awaited }
    }
}

/// What a strand waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    pub(super) peer: Party,
    /// The number of the frame among those from this peer on this strand: the round.
    pub(super) frame: u32,
    /// How long the frame is, and how much of it has come.
    pub(super) bytes: usize,
    pub(super) received: usize,
}

/// A strand has been said to wait. When it goes on, the next wait is told anew.
struct Warned<'a>(&'a Shared);

impl Drop for Warned<'_> {
    fn drop(&mut self) {
        self.0.warned.store(0, Relaxed);
    }
}

/// A strand's waiting for long, from when the peers are told until it is over.
struct LongWait<'a> {
    shared: &'a Shared,
    awaited: Party,
}

impl<'a> LongWait<'a> {
    fn on(shared: &'a Shared, awaited: Party) -> Self {
        shared.state.send_if_modified(|s| {
            s.waiting[awaited.index()] += 1;
            s.waiting[awaited.index()] == 1
        });
        Self { shared, awaited }
    }
}

impl Drop for LongWait<'_> {
    fn drop(&mut self) {
        self.shared.state.send_if_modified(|s| {
            s.waiting[self.awaited.index()] -= 1;
            s.waiting[self.awaited.index()] == 0
        });
    }
}
