//! The jobs a node knows: who owns them, where they stand, what they hold.

mod again;
mod archive;
mod ending;
mod followers;
mod job;
mod outputs;
mod recovery;
mod refusal;
mod renewal;
mod room;

pub use again::RepeatFault;
pub use archive::{DoneJob, OutputStore};
pub use ending::FetchFault;
pub use followers::Follower;
pub use job::Job;
pub use outputs::{Outputs, Released};
pub use refusal::Refusal;
pub(crate) use renewal::KeptOutputs;
pub use room::Room;

use super::{Failure, FailureKind, Grounds, JobId, JobState, Journal, Limits, RetainSpec, Terms};
use crate::{clock::now_unix_ms, pki::ClientName};
use followers::Followers;
use room::{Accounts, Need};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// All jobs of one node. Every operation is short and synchronous.
pub struct Jobs {
    limits: Limits,
    journal: Arc<dyn Journal>,
    /// Where outputs outlive the process.
    outputs: Option<Arc<OutputStore>>,
    clock: Clock,
    accounts: Arc<Accounts>,
    inner: Mutex<Inner>,
    followers: Arc<Followers>,
    /// Who removes what leaves the store.
    erasing: tokio::sync::Mutex<()>,
}

/// What time it is: milliseconds since 1970-01-01 UTC.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What is written down of jobs, where, and by which clock.
#[derive(Clone)]
pub struct Records {
    /// What becomes of them.
    pub journal: Arc<dyn Journal>,
    /// Their outputs; `None` keeps all in memory.
    pub outputs: Option<Arc<OutputStore>>,
    /// The clock.
    pub clock: Clock,
}

#[derive(Default)]
struct Inner {
    jobs: HashMap<JobId, Arc<Job>>,
    /// Ended jobs still in `jobs`, the oldest first, and when they ended; those deleted since are skipped.
    ended: VecDeque<(u64, JobId)>,
    used: Used,
    /// What is to be removed from the store, and the room that it takes up there until then.
    leaving: Vec<(JobId, Option<Room>)>,
    stopping: bool,
}

/// Names of jobs that are gone: never taken again while they are remembered.
#[derive(Default)]
struct Used {
    names: HashSet<JobId>,
    order: VecDeque<JobId>,
}

/// Why a job has ended that its client has deleted: told to the other nodes, which say the same.
pub(crate) const CANCELLED: &str = "cancelled by the client";

/// Why a session has ended for which nobody waited any more before it began: likewise.
pub(crate) const LEFT: &str = "cancelled by the client, which went away before all nodes had come";

/// Names remembered at most (two megabytes).
const USED_NAMES: usize = 1 << 16;

/// What came of a submission.
#[derive(Debug)]
pub enum Admission {
    /// A new job: its body may be read.
    New(Upload),
    /// The client has submitted this very job before.
    Known(Arc<Job>),
}

impl Jobs {
    /// No jobs yet; what becomes of those that come is written down in `journal`, and outputs are kept in memory.
    pub fn new(limits: Limits, journal: Arc<dyn Journal>) -> Arc<Self> {
        Self::with(limits, Records { journal, outputs: None, clock: Arc::new(now_unix_ms) })
    }

    /// No jobs yet, and where those that come are written down.
    pub fn with(limits: Limits, records: Records) -> Arc<Self> {
        let Records { journal, outputs, clock } = records;
        let (accounts, inner, erasing) = (Arc::default(), Mutex::default(), tokio::sync::Mutex::default());
        Arc::new(Self { limits, journal, outputs, clock, accounts, inner, followers: Arc::default(), erasing })
    }

    /// Where it is written down what becomes of them.
    pub fn journal(&self) -> &dyn Journal {
        &*self.journal
    }

    /// The limits that are kept.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Admits a job of which nothing but the specification is known yet, and sets `bytes` aside for it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit(
        self: &Arc<Self>,
        id: JobId,
        owner: &ClientName,
        terms: Terms,
        bytes: u64,
    ) -> Result<Admission, Refusal> {
        self.sweep();
        let mut inner = self.lock();
        if let Some(job) = inner.jobs.get(&id) {
            // Mode and outputs follow from the specification, of which this is the digest.
            let same = job.terms().digest == terms.digest;
            return if job.owner() != owner || !same || !job.is_visible_to(owner) {
                Err(Refusal::Taken)
            } else if job.state() == JobState::Receiving {
                Err(Refusal::Uploading)
            } else {
                Ok(Admission::Known(job.clone()))
            };
        }
        if inner.used.names.contains(&id) {
            return Err(Refusal::Taken);
        }
        // A job that is there is known again: a client that has not heard so would take it for refused, and delete it.
        if inner.stopping {
            return Err(Refusal::Stopping);
        }
        let stored = if self.is_to_store(&terms) { terms.fetched_bytes() } else { 0 };
        let room = self.accounts.reserve(&self.limits, owner, Need { held: bytes, stored })?;
        let job = Arc::new(Job::new(id, owner.clone(), terms, (room, (self.clock)())));
        inner.jobs.insert(id, job.clone());
        Ok(Admission::New(Upload { jobs: self.clone(), job: Some(job) }))
    }

    /// A job, if it is there and this client has submitted it or is to receive an output of it.
    pub fn get(&self, id: JobId, client: &ClientName) -> Option<Arc<Job>> {
        self.sweep();
        self.lock().jobs.get(&id).filter(|job| job.is_visible_to(client)).cloned()
    }

    /// Whether a job is there with which a client has nothing to do.
    pub fn is_of_others(&self, id: JobId, client: &ClientName) -> bool {
        self.lock().jobs.get(&id).is_some_and(|job| job.concerns().all(|name| name != client))
    }

    /// The jobs that a client has submitted or may fetch outputs of, the newest first.
    pub fn list(&self, client: &ClientName) -> Vec<Arc<Job>> {
        self.sweep();
        let mut jobs: Vec<_> = self.lock().jobs.values().filter(|job| job.is_visible_to(client)).cloned().collect();
        jobs.sort_by_key(|job| (std::cmp::Reverse(job.submitted_unix_ms()), job.id()));
        jobs
    }

    /// A place for a client that follows a job.
    ///
    /// # Errors
    /// [`Refusal::Following`].
    pub fn follow(&self, client: &ClientName) -> Result<Follower, Refusal> {
        self.followers.admit(client)
    }

    /// A client needs a job no longer. Its submitter cancels it with that if it has not ended. It is forgotten when all whom it concerns are done with it; a
    /// job without outputs when its submitter is. False if it is not there or does not concern this client. What is in the store goes with [`erase`](Self::erase).
    pub fn delete(&self, id: JobId, client: &ClientName) -> bool {
        let mut inner = self.lock();
        let Some(job) = inner.jobs.get(&id).filter(|job| job.is_visible_to(client)).cloned() else { return false };
        let others = job.dismiss(client);
        let done = matches!(job.state(), JobState::Done { .. });
        if others && (done || job.owner() != client) {
            return true;
        }
        let reason = cancelled();
        job.stop(reason.clone());
        if job.state() == JobState::Receiving {
            // Nobody runs it yet, so nobody else would tell those who wait for it. Its room is the upload's to give back.
            job.abandoned(reason);
        }
        inner.forget(id);
        true
    }

    /// Forgets ended jobs whose time is over, and of those that are too many the oldest of the client that has most. What is in the store goes with [`erase`](Self::erase).
    pub fn sweep(&self) {
        let now = (self.clock)();
        let mut inner = self.lock();
        while let Some(&(ended, id)) = inner.ended.front()
            && self.is_over(ended, now)
        {
            inner.ended.pop_front();
            inner.forget(id);
        }
        while inner.ended.len() > self.limits.finished_jobs as usize
            && let Some(id) = inner.least_wanted()
        {
            inner.forget(id);
        }
    }

    fn is_over(&self, ended: u64, now: u64) -> bool {
        u128::from(now.saturating_sub(ended)) >= self.limits.retention.as_millis()
    }

    fn is_to_store(&self, terms: &Terms) -> bool {
        self.outputs.is_some() && terms.retain == RetainSpec::Store
    }

    /// Admits no job any more. Those that are there go on. What comes back is the time, for [`done_since`](Self::done_since).
    pub fn drain(&self) -> u64 {
        self.lock().stopping = true;
        (self.clock)()
    }

    /// Jobs that have been done since a time, and whose outputs somebody may still want.
    pub fn done_since(&self, time: u64) -> usize {
        let inner = self.lock();
        let is_done = |id: &JobId| inner.jobs.get(id).is_some_and(|job| matches!(job.state(), JobState::Done { .. }));
        inner.ended.iter().filter(|(ended, id)| *ended >= time && is_done(id)).count()
    }

    /// Ends every job and admits none any more.
    pub fn stop(&self) {
        let mut inner = self.lock();
        inner.stopping = true;
        for job in inner.jobs.values() {
            job.stop(Failure::new(FailureKind::Stopped, "the node was stopped; submit the job again when it is back"));
        }
    }

    /// Jobs that have not ended, and bytes held for all jobs.
    pub fn load(&self) -> (u32, u64) {
        self.accounts.load()
    }

    /// Bytes in the node's store, those set aside among them.
    pub fn stored(&self) -> u64 {
        self.accounts.stored()
    }

    /// As [`conclude`](Self::conclude), with outputs in memory.
    #[cfg(test)]
    pub(crate) fn finish(&self, job: &Job, end: Result<(Outputs, super::JobCost), Failure>) {
        self.conclude(job, end.map(|(outputs, cost)| (Released::Memory(outputs), cost)));
    }

    /// A job, whoever it belongs to.
    #[cfg(test)]
    pub(crate) fn any(&self, id: JobId) -> Option<Arc<Job>> {
        self.lock().jobs.get(&id).cloned()
    }

    /// Names that are remembered as used.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.lock().used.names.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, CANCELLED)
}

impl Inner {
    fn forget(&mut self, id: JobId) {
        // One that is under way leaves the store when it ends.
        if let Some(job) = self.jobs.remove(&id).filter(|job| job.state().is_final()) {
            self.leaving.extend(job.leave_store().map(|room| (id, Some(room))));
        }
        self.ended.retain(|(_, ended)| *ended != id);
        self.used.remember(id);
    }

    /// Of the ended jobs the oldest of the client that has most of them.
    fn least_wanted(&self) -> Option<JobId> {
        let owner = |id: &JobId| self.jobs.get(id).map(|job| job.owner());
        let mut counts: HashMap<Option<&ClientName>, usize> = HashMap::new();
        self.ended.iter().for_each(|(_, id)| *counts.entry(owner(id)).or_default() += 1);
        let most = counts.values().copied().max()?;
        self.ended.iter().map(|(_, id)| *id).find(|id| counts.get(&owner(id)) == Some(&most))
    }
}

impl Used {
    fn remember(&mut self, id: JobId) {
        if self.names.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > USED_NAMES
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (live, held) = self.load();
        f.debug_struct("Jobs").field("live", &live).field("held", &held).finish_non_exhaustive()
    }
}

/// A job whose body is being read. Dropped before [`accept`](Self::accept), it leaves no trace.
#[derive(Debug)]
pub struct Upload {
    jobs: Arc<Jobs>,
    job: Option<Arc<Job>>,
}

impl Upload {
    /// The body is complete and good, and the job is permitted on these grounds. `None` if the client has deleted the job meanwhile.
    ///
    /// # Errors
    /// Those of the journal; there is no trace of the job.
    pub fn accept(mut self, grounds: Grounds) -> io::Result<Option<Arc<Job>>> {
        let Some(job) = &self.job else { return Ok(None) };
        self.jobs.journal.accepted(&job.accepted_as(grounds))?;
        let Some(job) = self.job.take() else { return Ok(None) };
        if self.jobs.lock().jobs.contains_key(&job.id()) {
            job.accepted();
            return Ok(Some(job));
        }
        self.jobs.journal.ended(job.id(), &JobState::Failed { failure: cancelled() })?;
        Ok(None)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            let mut inner = self.jobs.lock();
            // After a deletion the same name cannot have been given again, so what is there is this job.
            inner.jobs.remove(&job.id());
        }
    }
}

#[cfg(test)]
mod tests;
