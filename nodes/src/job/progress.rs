//! How far a job is, for those who follow it.
//!
//! What is told depends on the public sizes of a job alone: bytes are counted where they leave, and how many there are says nothing of what is in them.

use super::{Failure, JobCost, JobState};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use trefoil_engine::{
    Error, Party,
    transport::{BoxFuture, Link, Path, SessionId, Transport},
};

/// Where a job stands at one node: an event of `GET /v1/jobs/{id}/events`.
///
/// A client of another version may read this, so unknown fields are ignored.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum JobEvent {
    /// Its body is still arriving.
    Receiving,
    /// The node has it, and waits for the two others or for its turn.
    Accepted,
    /// It waits for its turn: told by the node that grants turns.
    Queued {
        /// So many turns are before it.
        before: u64,
    },
    /// The three nodes compute.
    Running {
        /// Payload bytes that this node has sent to its peers so far.
        bytes_sent: u64,
        /// How much of all that is: from 0 to 1, and never less than before; `None` if it is not known beforehand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<f64>,
    },
    /// Outputs can be fetched.
    Done {
        /// What it cost this node.
        cost: JobCost,
    },
    /// It will never have an output.
    Failed {
        /// Why.
        failure: Failure,
    },
}

impl JobEvent {
    /// Of a state, with what is known beyond it.
    pub fn new(state: JobState, before: Option<usize>, (bytes_sent, progress): (u64, Option<f64>)) -> Self {
        match (state, before) {
            (JobState::Receiving, _) => Self::Receiving,
            (JobState::Accepted, None) => Self::Accepted,
            (JobState::Accepted, Some(before)) => Self::Queued { before: before as u64 },
            (JobState::Running, _) => Self::Running { bytes_sent, progress },
            (JobState::Done { cost }, _) => Self::Done { cost },
            (JobState::Failed { failure }, _) => Self::Failed { failure },
        }
    }

    /// By which a client that connects again says what it has heard: the same for the same event.
    pub fn id(&self) -> String {
        match self {
            Self::Receiving => "receiving".to_owned(),
            Self::Accepted => "accepted".to_owned(),
            Self::Queued { before } => format!("queued-{before}"),
            Self::Running { bytes_sent, .. } => format!("running-{bytes_sent}"),
            Self::Done { .. } => "done".to_owned(),
            Self::Failed { .. } => "failed".to_owned(),
        }
    }

    /// Whether none follows.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. })
    }
}

/// How many bytes a job is to send, once that is known.
#[derive(Debug, Default)]
pub(super) struct Progress(OnceLock<u64>);

impl Progress {
    /// The first number stays.
    pub(super) fn expect(&self, bytes: Option<u64>) {
        if let Some(bytes) = bytes.filter(|bytes| *bytes > 0) {
            self.0.get_or_init(|| bytes);
        }
    }

    /// In steps of a thousandth. Checks of the malicious mode are not counted on, and a training may stop early, so it is not 1 before the end.
    pub(super) fn of(&self, sent: u64) -> Option<f64> {
        let all = u128::from(*self.0.get()?);
        let thousandths = (u128::from(sent) * 1000 / all).min(999);
        Some(thousandths as f64 / 1000.0)
    }
}

/// A network that counts what is sent.
pub(super) struct Counted {
    pub(super) net: Arc<dyn Transport>,
    pub(super) sent: Arc<AtomicU64>,
}

struct CountedLink {
    link: Box<dyn Link>,
    sent: Arc<AtomicU64>,
}

impl Transport for Counted {
    fn open(&self, session: SessionId, path: Path) -> BoxFuture<'_, Result<Box<dyn Link>, Error>> {
        Box::pin(async move {
            let link = self.net.open(session, path).await?;
            Ok(Box::new(CountedLink { link, sent: self.sent.clone() }) as Box<dyn Link>)
        })
    }
}

impl Link for CountedLink {
    fn send(&mut self, to: Party, frame: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        self.sent.fetch_add(frame.len() as u64, Relaxed);
        self.link.send(to, frame)
    }

    fn recv<'a>(&'a mut self, from: Party, into: &'a mut [u8]) -> BoxFuture<'a, Result<(), Error>> {
        self.link.recv(from, into)
    }

    fn exchange<'a>(
        &'a mut self,
        to: Party,
        frame: Bytes,
        from: Party,
        into: &'a mut [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.sent.fetch_add(frame.len() as u64, Relaxed);
        self.link.exchange(to, frame, from, into)
    }

    fn pause(&mut self) -> BoxFuture<'_, ()> {
        self.link.pause()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_rises_from_nothing_and_is_not_whole_before_the_end() {
        let progress = Progress::default();
        assert_eq!(progress.of(7), None, "nothing is known");
        progress.expect(None);
        progress.expect(Some(0));
        assert_eq!(progress.of(7), None);
        progress.expect(Some(2000));
        progress.expect(Some(1));
        let thousandths = |sent| (1000.0 * progress.of(sent).expect("known")).round().to_string();
        assert_eq!([0, 1, 2, 1000, 1999, 2000, u64::MAX].map(thousandths), ["0", "0", "1", "500", "999", "999", "999"]);
        let all: Vec<_> = (0..=3000).map(|sent| progress.of(sent)).collect();
        assert!(all.is_sorted(), "{all:?}");
    }
}
