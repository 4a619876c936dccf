//! One job.

use super::Room;
use crate::{
    job::{
        Accepted, Failure, Grounds, JobCost, JobId, JobState, JobStatus, OutputStatus, OutputTerms, Sha256Hex, Terms,
    },
    pki::ClientName,
};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use trefoil_circuits::program::OutputVector;

/// A job as the clients it concerns, the API and the runner share it.
pub struct Job {
    id: JobId,
    owner: ClientName,
    terms: Terms,
    admitted: Instant,
    state: watch::Sender<JobState>,
    stop: watch::Sender<Option<Failure>>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    room: Option<Room>,
    outputs: Option<Arc<Outputs>>,
    /// Those who need the job no longer.
    dismissed: Vec<ClientName>,
}

/// What a job has computed: this node's output shares, wiped when the last reader is done with them.
#[derive(Debug)]
pub struct Outputs {
    vectors: Vec<Option<(OutputVector, [u8; 32])>>,
    /// Counted as held until then.
    room: Option<Room>,
}

impl Outputs {
    /// Wraps what the computation released, without what nobody fetches. Hashes one component of each output.
    pub fn new(vectors: Vec<Option<OutputVector>>) -> Self {
        let hashed = vectors.into_iter().map(|vector| {
            let vector = vector?;
            let digest = Sha256::digest(vector.as_bytes()[1]).into();
            Some((vector, digest))
        });
        Self { vectors: hashed.collect(), room: None }
    }

    /// The component `own` of an output, and the SHA-256 of its component `next`.
    pub fn get(&self, k: usize) -> Option<(&[u8], &[u8; 32])> {
        let (vector, digest) = self.vectors.get(k)?.as_ref()?;
        Some((vector.as_bytes()[0], digest))
    }

    /// Bytes that it takes up.
    pub(in crate::job) fn bytes(&self) -> u64 {
        let components = self.vectors.iter().flatten().flat_map(|(vector, _)| vector.as_bytes());
        components.map(|component| component.len() as u64).sum()
    }
}

impl Job {
    pub(super) fn new(id: JobId, owner: ClientName, terms: Terms, room: Room) -> Self {
        let kept = Kept { room: Some(room), ..Kept::default() };
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

    /// A job of the process before this one.
    pub(super) fn recovered(accepted: Accepted, state: JobState) -> Self {
        let Accepted { job, owner, digest, mode, outputs, .. } = accepted;
        let outputs = outputs.into_iter().map(OutputTerms::from).collect();
        Self {
            id: job,
            owner,
            terms: Terms { digest: digest.0, mode, outputs },
            admitted: Instant::now(),
            state: watch::Sender::new(state),
            stop: watch::Sender::new(None),
            kept: Mutex::default(),
        }
    }

    /// What is written down when it is accepted.
    pub(super) fn accepted_as(&self, grounds: Grounds) -> Accepted {
        let Terms { digest, mode, outputs } = &self.terms;
        let outputs = outputs.iter().map(OutputStatus::of).collect();
        let (job, owner, digest) = (self.id, self.owner.clone(), Sha256Hex(*digest));
        let Grounds { program, tables, rule } = grounds;
        Accepted { job, owner, digest, program, mode: *mode, outputs, tables, rule: Some(rule) }
    }

    /// Its name.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// The client that has submitted it.
    pub fn owner(&self) -> &ClientName {
        &self.owner
    }

    /// What it was admitted as.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Whether a client may fetch an output.
    pub fn is_for(&self, output: usize, client: &ClientName) -> bool {
        self.terms.outputs.get(output).is_some_and(|output| output.recipients.contains(client))
    }

    /// Whether a client has submitted it or is to receive an output of it, and needs it still.
    pub(super) fn is_visible_to(&self, client: &ClientName) -> bool {
        self.concerns().any(|name| name == client) && !self.kept().dismissed.contains(client)
    }

    /// A client needs it no longer. True if others do.
    pub(super) fn dismiss(&self, client: &ClientName) -> bool {
        let mut kept = self.kept();
        kept.dismissed.push(client.clone());
        self.concerns().any(|name| !kept.dismissed.contains(name))
    }

    fn concerns(&self) -> impl Iterator<Item = &ClientName> {
        self.terms.outputs.iter().flat_map(|output| &output.recipients).chain([&self.owner])
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When its upload began.
    pub fn admitted(&self) -> Instant {
        self.admitted
    }

    /// Where it stands.
    pub fn state(&self) -> JobState {
        self.state.borrow().clone()
    }

    /// The body of the answer to those whom it concerns.
    pub fn status(&self) -> JobStatus {
        let outputs = self.terms.outputs.iter().map(OutputStatus::of).collect();
        JobStatus { id: self.id, owner: self.owner.clone(), mode: self.terms.mode, outputs, state: self.state() }
    }

    /// The state once the job has ended, or the one it has when the time is over. Cancel safe.
    pub async fn ended_within(&self, time: Duration) -> JobStatus {
        let mut state = self.state.subscribe();
        // Either outcome is answered with the state there is.
        let _ = tokio::time::timeout(time, state.wait_for(JobState::is_final)).await;
        self.status()
    }

    /// Its outputs, if it has any.
    pub fn outputs(&self) -> Option<Arc<Outputs>> {
        self.kept().outputs.clone()
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

    /// Ends the job: its room shrinks to what the outputs take.
    pub(super) fn end(&self, end: Result<(Outputs, JobCost), Failure>) {
        let mut kept = self.kept();
        let mut room = kept.room.take();
        let state = match end {
            Ok((mut outputs, cost)) => {
                if let Some(room) = &mut room {
                    room.ended(outputs.bytes());
                }
                outputs.room = room;
                kept.outputs = Some(Arc::new(outputs));
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
