//! Who is named when a session fails.
//!
//! What a node sees first is often a consequence: the peer it waits for may itself wait for a third that is dead, and a machine
//! too busy to answer in time loses links to nodes that live. Causes are therefore preferred to consequences, in this order:
//!
//! 1. **A message no honest node sends** names its sender, at once: the frame came over that peer's own connection.
//! 2. **A peer that says that it shuts down** is named, at once.
//! 3. **A lost link** names the peer at its other end. If that peer calls again, or the other link is lost too, it is not yet
//!    clear who is gone: whoever has not come back within `idle_deadline` is named, and the link's end if that tells nothing, or
//!    as soon as the third is heard to run [`DOUBT`] after the loss was seen or later. A heartbeat that is heard earlier may be
//!    of before the third died; in version 1 of the protocol there is none. Otherwise the link's end counts after [`DOUBT`].
//! 4. **Silence on a link that lives** names the party at the end of the chain of those who say that they wait, after
//!    `stall_deadline`, which is at least twice `idle_deadline`: a dead link is found before, and while one is lost, the decision
//!    is left to rule 3.
//! 5. **A peer that gives up a strand** owes a reason on its control stream; it is named for itself if none comes.
//!
//! The first fault of a session is told to both peers, so that they need not find out by themselves. A fault heard is a claim
//! of the peer that tells it, and is shown as such, "P1 reports of P2: ...": a peer that lies can have the session ended, which
//! it can anyway, but the text says whose word it is. A node that is told while it still waits by the rules above takes over the
//! claim.

use super::{
    error::SessionFault,
    heartbeat::Heartbeat,
    shared::Shared,
    slot::{Live, SHUT_DOWN},
};
use quinn::{Connection, ConnectionError};
use std::time::{Duration, Instant};
use tokio::{
    sync::watch,
    time::{sleep, sleep_until, timeout},
};
use trefoil_engine::LinkFault;

/// Peers that died together with a link, or before it, are found dead within this time of it, and what they have said before is heard.
pub(super) const DOUBT: Duration = Duration::from_secs(1);

/// The connection to a peer as it was when the session began, the one there is now, and what the peer says of itself over any.
pub(super) struct Line {
    pub(super) live: Live,
    pub(super) present: watch::Receiver<Option<Live>>,
    pub(super) heard: watch::Receiver<Option<Heartbeat>>,
}

impl Line {
    pub(super) fn connection(&self) -> &Connection {
        &self.live.connection
    }

    pub(super) fn lost(&self) -> bool {
        self.connection().close_reason().is_some()
    }

    /// Whether this node closed it, for no newer one.
    fn given_up(&self) -> bool {
        matches!(self.connection().close_reason(), Some(ConnectionError::LocallyClosed)) && !self.is_back()
    }

    /// Whether there is a newer connection to the same peer.
    fn is_back(&self) -> bool {
        self.present.borrow().as_ref().is_some_and(|c| c.connection.stable_id() != self.connection().stable_id())
    }

    /// Returns when there is. Cancel safe.
    async fn back(&self) {
        let old = self.connection().stable_id();
        turned(&self.present, |c| c.as_ref().is_some_and(|c| c.connection.stable_id() != old)).await;
    }

    /// Returns when the peer was heard to run, then or later. Cancel safe.
    async fn runs_at(&self, moment: Instant) {
        // What is heard before is of no interest, and wakes nobody.
        sleep_until(moment.into()).await;
        turned(&self.heard, |said| said.is_some_and(|said| said.at >= moment)).await;
    }
}

/// Returns when a value is as it should be; never once the mesh, and with it the value's sender, is gone. Cancel safe.
async fn turned<T>(value: &watch::Receiver<T>, is: impl FnMut(&T) -> bool) {
    let reached = value.clone().wait_for(is).await.is_ok();
    if !reached {
        std::future::pending::<()>().await;
    }
}

impl Shared {
    /// The fault to record for one that this node has seen on a link: itself, its cause, or the one that was recorded meanwhile.
    /// Cancel safe.
    pub(super) async fn traced(&self, seen: SessionFault) -> SessionFault {
        let trace = async {
            if matches!(seen.cause, LinkFault::Lost(_)) {
                return self.lost(seen).await;
            }
            sleep(self.grace).await;
            seen
        };
        tokio::select! {
            biased;
            told = self.ended() => told,
            found = trace => found,
        }
    }

    async fn lost(&self, seen: SessionFault) -> SessionFault {
        let beyond_doubt = Instant::now() + DOUBT;
        let third = if seen.blamed == self.me.next() { self.me.prev() } else { self.me.next() };
        let [suspect, other] = [seen.blamed, third].map(|p| self.line(p));
        if let Some(ConnectionError::ApplicationClosed(close)) = suspect.connection().close_reason()
            && close.error_code == SHUT_DOWN
        {
            return seen;
        }
        let doubt = async {
            tokio::select! {
                _ = other.connection().closed() => {}
                () = suspect.back() => {}
            }
        };
        if timeout(DOUBT, doubt).await.is_err() {
            return seen;
        }
        if self.lines.iter().all(Line::given_up) {
            return SessionFault { blamed: self.me, cause: LinkFault::Ended("the node shuts down".into()) };
        }
        let cleared = async {
            tokio::select! {
                biased;
                () = async { let _ = tokio::join!(other.connection().closed(), suspect.back()); } => true,
                () = async { let _ = tokio::join!(other.connection().closed(), other.back()); } => false,
                () = other.runs_at(beyond_doubt) => false,
            }
        };
        match timeout(self.grace, cleared).await {
            Ok(true) if !other.is_back() => {
                SessionFault { blamed: third, cause: broken_off(&other.connection().closed().await) }
            }
            _ => seen,
        }
    }
}

/// What became of a connection.
pub(super) fn broken_off(reason: &ConnectionError) -> LinkFault {
    LinkFault::Lost(match reason {
        ConnectionError::TimedOut => "nothing was heard from it for longer than transport.idle_deadline".into(),
        ConnectionError::Reset => "it no longer knows of this connection: it was restarted, or heard nothing for longer than transport.idle_deadline; raise that in node.toml of all nodes if a machine is too busy to answer in time".into(),
        other => other.to_string(),
    })
}
