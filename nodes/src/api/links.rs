//! Requests that take all three nodes are refused while this one has no link to both others: it would only wait for them.

use super::{Api, Problem, ProblemKind};
use std::sync::Arc;

/// Whether the node has links to both others, at this moment.
#[derive(Clone)]
pub(super) struct Links(Arc<Api>);

impl Links {
    pub(super) fn of(api: &Arc<Api>) -> Self {
        Self(api.clone())
    }

    /// # Errors
    /// [`ProblemKind::Unready`], with the link that is down.
    pub(super) fn are_up(&self) -> Result<(), Problem> {
        let status = (self.0.status)();
        let Some(down) = status.peers.iter().find(|peer| !peer.connected) else { return Ok(()) };
        let why = down.last_error.as_deref().unwrap_or("it has not answered yet");
        Err(ProblemKind::Unready.because(format!(
            "P{} has no link to P{}: {why}; come back when it has, `trefoil doctor` says what is missing",
            status.party, down.party
        )))
    }
}
