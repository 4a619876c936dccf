//! One job.

use super::{Outputs, Released, Room};
use crate::{
    job::{
        Accepted, Failure, Grounds, JobBefore, JobCost, JobEntry, JobId, JobSpec, JobState, JobStatus, OutputStatus,
        OutputTerms, RetainSpec, Sha256Hex, Terms, progress::Progress,
    },
    pki::{ClientName, Role},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// A job as the clients it concerns, the API and the runner share it.
pub struct Job {
    id: JobId,
    owner: ClientName,
    terms: Terms,
    admitted: Instant,
    submitted_unix_ms: u64,
    /// What was written down when it was accepted.
    accepted: OnceLock<Accepted>,
    state: watch::Sender<JobState>,
    stop: watch::Sender<Option<Failure>>,
    kept: Mutex<Kept>,
    pub(super) loaded: tokio::sync::Mutex<Loaded>,
    sent: Arc<AtomicU64>,
    progress: Progress,
}

#[derive(Default)]
struct Kept {
    room: Option<Room>,
    outputs: Option<Arc<Outputs>>,
    /// What it takes up in the node's store, if something of it may be there.
    stored: Option<Room>,
    ended_unix_ms: Option<u64>,
    /// Those who need the job no longer.
    dismissed: Vec<ClientName>,
    /// By which it can be run again, until it has ended in a way that is its own.
    spec: Option<Box<JobSpec>>,
}

/// Outputs that are read from the store now, or being handed out: which of them, and shares of which epoch were asked for.
pub(super) type Loaded = BTreeMap<(usize, Option<u64>), Weak<Outputs>>;

impl Job {
    pub(super) fn new(id: JobId, owner: ClientName, terms: Terms, (room, submitted_unix_ms): (Room, u64)) -> Self {
        let kept = Kept { room: Some(room), ..Kept::default() };
        Self {
            id,
            owner,
            terms,
            admitted: Instant::now(),
            submitted_unix_ms,
            accepted: OnceLock::new(),
            state: watch::Sender::new(JobState::Receiving),
            stop: watch::Sender::new(None),
            kept: Mutex::new(kept),
            loaded: tokio::sync::Mutex::default(),
            sent: Arc::default(),
            progress: Progress::default(),
        }
    }

    /// A job of the process before this one, which has ended, and what it takes up in the store.
    pub(super) fn recovered(before: JobBefore, state: JobState, ended_unix_ms: u64, stored: Option<Room>) -> Self {
        let JobBefore { mut accepted, accepted_unix_ms, deleted, .. } = before;
        let spec = accepted.spec.take().filter(|_| state.is_interrupted());
        let outputs = accepted.outputs.iter().cloned().map(OutputTerms::from).collect();
        let terms = Terms {
            digest: accepted.digest.0,
            mode: accepted.mode,
            outputs,
            retain: RetainSpec::default(),
            deadline: None,
        };
        let kept = Kept { stored, ended_unix_ms: Some(ended_unix_ms), spec, ..Kept::default() };
        let job = Self {
            id: accepted.job,
            owner: accepted.owner.clone(),
            terms,
            admitted: Instant::now(),
            submitted_unix_ms: accepted_unix_ms,
            accepted: OnceLock::from(accepted),
            state: watch::Sender::new(state),
            stop: watch::Sender::new(None),
            kept: Mutex::new(kept),
            loaded: tokio::sync::Mutex::default(),
            sent: Arc::default(),
            progress: Progress::default(),
        };
        let dismissed = job.concerns().filter(|name| deleted.contains(&Role::Client((*name).clone()).to_string()));
        let dismissed = dismissed.cloned().collect();
        job.kept().dismissed = dismissed;
        job
    }

    /// What is written down when it is accepted.
    pub(super) fn accepted_as(&self, grounds: Grounds) -> Accepted {
        let Grounds { program, tables, rule, repeats, spec } = grounds;
        let accepted = self.accepted.get_or_init(|| {
            let Terms { digest, mode, outputs, .. } = &self.terms;
            let outputs = outputs.iter().map(OutputStatus::of).collect();
            let (job, owner, digest) = (self.id, self.owner.clone(), Sha256Hex(*digest));
            let rule = Some(rule);
            Accepted { job, owner, digest, program, mode: *mode, outputs, tables, rule, repeats, spec: None }
        });
        self.kept().spec.clone_from(&spec);
        Accepted { spec, ..accepted.clone() }
    }

    /// The specification of a job that was interrupted, if it can be run again by that alone.
    pub(super) fn spec(&self) -> Option<Box<JobSpec>> {
        self.kept().spec.clone()
    }

    /// What was written down when it was accepted, but for the specification, and when it was submitted.
    pub(super) fn accepted_at(&self) -> Option<(&Accepted, u64)> {
        Some((self.accepted.get()?, self.submitted_unix_ms))
    }

    /// When it was submitted: milliseconds since 1970-01-01 UTC.
    pub(super) fn submitted_unix_ms(&self) -> u64 {
        self.submitted_unix_ms
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

    /// Whether nobody needs it any more: after its submitter, those who may fetch an output if it has any.
    pub(super) fn is_dismissed(&self) -> bool {
        let kept = self.kept();
        let done = matches!(&*self.state.borrow(), JobState::Done { .. });
        kept.dismissed.contains(&self.owner) && (!done || self.concerns().all(|name| kept.dismissed.contains(name)))
    }

    /// Whether all whom it concerns have said that they need it no longer.
    pub(super) fn is_dismissed_by_all(&self) -> bool {
        let kept = self.kept();
        self.concerns().all(|name| kept.dismissed.contains(name))
    }

    /// Who needs it no longer, as the log names them.
    pub(super) fn dismissed_by(&self) -> Vec<String> {
        self.kept().dismissed.iter().map(|name| Role::Client(name.clone()).to_string()).collect()
    }

    pub(super) fn concerns(&self) -> impl Iterator<Item = &ClientName> {
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
        let (owner, state) = (self.owner.clone(), self.state());
        let progress = self.progress().filter(|_| state == JobState::Running);
        JobStatus { id: self.id, owner, mode: self.terms.mode, outputs, state, progress }
    }

    /// The same in a list.
    pub fn entry(&self) -> JobEntry {
        let (program, ended_unix_ms) = (self.accepted.get().map(|a| a.program), self.kept().ended_unix_ms);
        JobEntry { status: self.status(), program, submitted_unix_ms: self.submitted_unix_ms, ended_unix_ms }
    }

    /// Where it stands, for those who follow it.
    pub fn watch(&self) -> watch::Receiver<JobState> {
        self.state.subscribe()
    }

    /// Payload bytes that this node has sent for it so far.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// How much of what it is to send that is, from 0 to 1, as far as that was known beforehand.
    pub fn progress(&self) -> Option<f64> {
        self.progress.of(self.bytes_sent())
    }

    /// So many bytes it is to send, as far as that is known.
    pub(in crate::job) fn expects(&self, bytes: Option<u64>) {
        self.progress.expect(bytes);
    }

    /// Where they are counted.
    pub(in crate::job) fn sent(&self) -> Arc<AtomicU64> {
        self.sent.clone()
    }

    /// The state once the job has ended, or the one it has when the time is over. Cancel safe.
    pub async fn ended_within(&self, time: Duration) -> JobStatus {
        let mut state = self.state.subscribe();
        // Either outcome is answered with the state there is.
        let _ = tokio::time::timeout(time, state.wait_for(JobState::is_final)).await;
        self.status()
    }

    /// Its outputs, if they are in memory.
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
    pub(crate) fn running(&self) {
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

    /// Something of it may be in the node's store from now on.
    pub(super) fn storing(&self) {
        let mut kept = self.kept();
        kept.stored = kept.room.as_mut().map(Room::split_stored);
    }

    /// Whether its outputs are in the node's store.
    pub(super) fn is_stored(&self) -> bool {
        self.kept().stored.is_some()
    }

    /// What it takes up in the store, which is to be removed.
    pub(super) fn leave_store(&self) -> Option<Room> {
        self.kept().stored.take()
    }

    /// Ends the job: its room shrinks to what the outputs take.
    pub(super) fn end(&self, end: Result<(Released, JobCost), Failure>, now_unix_ms: u64) {
        let mut kept = self.kept();
        let mut room = kept.room.take();
        kept.ended_unix_ms = Some(now_unix_ms);
        let state = match end {
            Ok((released, cost)) => {
                if let Released::Memory(mut outputs) = released {
                    if let Some(room) = &mut room {
                        room.ended(outputs.bytes());
                    }
                    outputs.room = room;
                    kept.outputs = Some(Arc::new(outputs));
                }
                JobState::Done { cost }
            }
            Err(failure) => JobState::Failed { failure },
        };
        kept.spec.take_if(|_| !state.is_interrupted());
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
