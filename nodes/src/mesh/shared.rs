//! What the strands of a session have in common: its connections, its end, and who waits for whom.

use super::{
    blame::Line,
    error::SessionFault,
    registry::Registry,
    traffic::Meter,
    wire::{PartySet, RunId},
};
use quinn::Connection;
use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
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
    /// Set once all three hellos are known.
    pub(super) run: OnceLock<RunId>,
    /// To next, then to prev.
    pub(super) lines: [Line; 2],
    pub(super) stall: Duration,
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

    /// Returns when a strand has waited too long. `awaited` says for whom at the moment. Cancel safe.
    ///
    /// After a quarter of the time the peers are told, so that one that waits for this node knows that the cause lies
    /// further on; they are told again when the waiting is over.
    pub(super) async fn stalled(&self, path: Path, awaited: impl Fn() -> Party + Send) -> SessionFault {
        let start = Instant::now();
        sleep_until(start + self.stall / 4).await;
        for quarter in 2..=4 {
            let awaited = awaited();
            tracing::warn!(session = %self.session, strand = %path, %awaited, waiting = ?start.elapsed(), "still waiting for a peer");
            let _told = LongWait::on(self, awaited);
            sleep_until(start + self.stall * quarter / 4).await;
            if quarter == 4 && self.lines.iter().any(Line::lost) {
                // Whoever is gone is the cause; that is being found out.
                sleep_until(Instant::now() + self.grace).await;
            }
        }
        let millis = u64::try_from(self.stall.as_millis()).unwrap_or(u64::MAX);
        SessionFault { blamed: self.culprit(awaited()), cause: LinkFault::Stalled(millis) }
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
