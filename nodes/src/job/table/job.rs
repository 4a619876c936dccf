//! One job of the table.

use super::{Owner, Room};
use crate::job::{Failure, JobCost, JobId, JobState, JobStatus, Terms};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use trefoil_engine::{Lanes, client::OutputShare};

/// A job as its owner, the API and the runner share it.
pub struct Job {
    id: JobId,
    owner: Owner,
    terms: Terms,
    admitted: Instant,
    state: watch::Sender<JobState>,
    stop: watch::Sender<Option<Failure>>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    room: Option<Room>,
    output: Option<Arc<Output>>,
}

/// What a job has computed: this node's output share, wiped when the last reader is done with it.
#[derive(Debug)]
pub struct Output {
    share: OutputShare<Lanes>,
    next_digest: [u8; 32],
    /// Counted as held until then.
    room: Option<Room>,
}

impl Output {
    /// Wraps what the computation released. Hashes one component of it.
    pub fn new(share: OutputShare<Lanes>) -> Self {
        let [_, next] = share.as_bytes();
        let next_digest = Sha256::digest(next).into();
        Self { share, next_digest, room: None }
    }

    /// The share.
    pub fn share(&self) -> &OutputShare<Lanes> {
        &self.share
    }

    /// SHA-256 of the component `next`.
    pub fn next_digest(&self) -> &[u8; 32] {
        &self.next_digest
    }

    fn bytes(&self) -> u64 {
        2 * (self.share.len() * size_of::<Lanes>()) as u64
    }
}

impl Job {
    pub(super) fn new(id: JobId, owner: Owner, terms: Terms, room: Room) -> Self {
        let kept = Kept { room: Some(room), output: None };
        Self {
            id,
            owner,
            terms,
            admitted: Instant::now(),
            state: watch::Sender::new(JobState::Receiving),
            stop: watch::Sender::new(None),
            kept: Mutex::new(kept),
        }
    }

    /// Its name.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// The client it belongs to.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// What it was admitted as.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// When its upload began.
    pub fn admitted(&self) -> Instant {
        self.admitted
    }

    /// Where it stands.
    pub fn state(&self) -> JobState {
        self.state.borrow().clone()
    }

    /// The body of the answer to its owner.
    pub fn status(&self) -> JobStatus {
        JobStatus { id: self.id, mode: self.terms.mode, state: self.state() }
    }

    /// The state once the job has ended, or the one it has when the time is over. Cancel safe.
    pub async fn ended_within(&self, time: Duration) -> JobStatus {
        let mut state = self.state.subscribe();
        // Either outcome is answered with the state there is.
        let _ = tokio::time::timeout(time, state.wait_for(JobState::is_final)).await;
        self.status()
    }

    /// Its output, if it has one.
    pub fn output(&self) -> Option<Arc<Output>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).output.clone()
    }

    /// Resolves when somebody asks for the job to end, with the reason to record. Cancel safe.
    pub async fn stopped(&self) -> Failure {
        let mut stop = self.stop.subscribe();
        let reason = stop.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            // Never: the sender is a field of `self`.
            None => std::future::pending().await,
        }
    }

    /// The computation has begun.
    pub(in crate::job) fn running(&self) {
        self.advance(JobState::Running);
    }

    pub(super) fn accepted(&self) {
        self.advance(JobState::Accepted);
    }

    /// Asks for the job to end. The first reason stays; an ended job is left as it is.
    pub(super) fn stop(&self, reason: Failure) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(reason);
            first
        });
    }

    /// The upload will not be accepted. What it takes up is given back when it ends.
    pub(super) fn abandoned(&self, failure: Failure) {
        self.advance(JobState::Failed { failure });
    }

    /// Ends the job: its room shrinks to what the output takes.
    pub(super) fn end(&self, end: Result<(Output, JobCost), Failure>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = kept.room.take();
        let state = match end {
            Ok((mut output, cost)) => {
                if let Some(room) = &mut room {
                    room.ended(output.bytes());
                }
                output.room = room;
                kept.output = Some(Arc::new(output));
                JobState::Done { cost }
            }
            Err(failure) => JobState::Failed { failure },
        };
        drop(kept);
        self.advance(state);
    }

    /// States only go forward, and never from an end.
    fn advance(&self, to: JobState) {
        self.state.send_if_modified(|state| {
            let forward = rank(state) < rank(&to);
            if forward {
                *state = to;
            }
            forward
        });
    }
}

fn rank(state: &JobState) -> u8 {
    match state {
        JobState::Receiving => 0,
        JobState::Accepted => 1,
        JobState::Running => 2,
        JobState::Done { .. } | JobState::Failed { .. } => 3,
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}
