//! The jobs a node knows: who owns them, where they stand, what they hold.

mod job;
mod room;

pub use job::{Job, Outputs};
pub use room::Room;

use super::{Accepted, Failure, FailureKind, Grounds, JobCost, JobId, JobState, Journal, Limits, Terms};
use crate::pki::ClientName;
use room::Accounts;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// All jobs of one node. Every operation is short and synchronous.
pub struct Jobs {
    limits: Limits,
    journal: Arc<dyn Journal>,
    accounts: Arc<Accounts>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    jobs: HashMap<JobId, Arc<Job>>,
    /// Ended jobs still in `jobs`, the oldest first; those deleted since are skipped.
    ended: VecDeque<(Instant, JobId)>,
    used: Used,
    stopping: bool,
}

/// Names of jobs that are gone: never taken again while they are remembered.
#[derive(Default)]
struct Used {
    names: HashSet<JobId>,
    order: VecDeque<JobId>,
}

/// Why a job of the process before this one has no outputs.
const INTERRUPTED: &str =
    "the node ended while the job was under way, and was started again; submit the job again under a new id";
const OUTPUTS_GONE: &str = "the node was started again after the job was done, and outputs do not outlive it; submit the job again under a new id, and fetch its outputs when it is done";

/// Why a job that was done has no outputs.
const UNWRITTEN: &str = "its end could not be written into the node's audit log, so nothing is released (tables that it keeps are there); the node's operator finds the cause in the node's log: submit the job again when that is mended";

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

/// Why a submission was not admitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The name stands for something else, or did.
    #[error("this job id is taken by another job or was used before; draw a new random id")]
    Taken,
    /// The client is sending the same job on another connection.
    #[error("this job is being uploaded on another connection; wait for that one, or ask again when it has ended")]
    Uploading,
    /// Too many jobs are waiting.
    #[error("the node has as many waiting jobs as it takes; come back later, or raise limits.waiting_jobs")]
    Busy,
    /// Too many bytes are held.
    #[error(
        "the jobs of this node hold as many bytes as it allows; delete jobs whose outputs were fetched, come back later, or raise limits.held_bytes"
    )]
    Full,
    /// The node is about to stop.
    #[error("the node is stopping; come back when it has been restarted")]
    Stopping,
}

impl Jobs {
    /// No jobs yet; what becomes of those that come is written down in `journal`.
    pub fn new(limits: Limits, journal: Arc<dyn Journal>) -> Arc<Self> {
        Arc::new(Self { limits, journal, accounts: Arc::default(), inner: Mutex::default() })
    }

    /// Jobs of the process before this one, as the journal has them: what has not failed has now, as its outputs are gone. In the order in which they were accepted.
    ///
    /// # Errors
    /// Those of the journal, which is told of the jobs that were interrupted.
    pub fn recover(&self, jobs: Vec<(Accepted, Option<JobState>)>) -> io::Result<()> {
        let mut inner = self.lock();
        for (accepted, end) in jobs {
            let failure = match &end {
                Some(JobState::Failed { failure }) => failure.clone(),
                Some(_) => Failure::new(FailureKind::Stopped, OUTPUTS_GONE),
                None => Failure::new(FailureKind::Stopped, INTERRUPTED),
            };
            let id = accepted.job;
            let state = JobState::Failed { failure };
            if end.is_none() {
                self.journal.ended(id, &state)?;
            }
            inner.jobs.insert(id, Arc::new(Job::recovered(accepted, state)));
            inner.ended.push_back((Instant::now(), id));
        }
        Ok(())
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
        self.sweep(Instant::now());
        let mut inner = self.lock();
        if inner.stopping {
            return Err(Refusal::Stopping);
        }
        if let Some(job) = inner.jobs.get(&id) {
            return if job.owner() != owner || *job.terms() != terms || !job.is_visible_to(owner) {
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
        let room = self.accounts.reserve(&self.limits, bytes)?;
        let job = Arc::new(Job::new(id, owner.clone(), terms, room));
        inner.jobs.insert(id, job.clone());
        Ok(Admission::New(Upload { jobs: self.clone(), job: Some(job) }))
    }

    /// A job, if it is there and this client has submitted it or is to receive an output of it.
    pub fn get(&self, id: JobId, client: &ClientName) -> Option<Arc<Job>> {
        self.sweep(Instant::now());
        self.lock().jobs.get(&id).filter(|job| job.is_visible_to(client)).cloned()
    }

    /// A client needs a job no longer. Its submitter cancels it with that if it has not ended. It is forgotten when all whom it concerns are done with it; a
    /// job without outputs when its submitter is. False if it is not there or does not concern this client.
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

    /// Records how a job ended: what it has become can be asked for until the retention time is over. Where that cannot be written down, nothing is released.
    pub fn finish(&self, job: &Job, end: Result<(Outputs, JobCost), Failure>) {
        let state = match &end {
            Ok((_, cost)) => JobState::Done { cost: *cost },
            Err(failure) => JobState::Failed { failure: failure.clone() },
        };
        let end = match self.journal.ended(job.id(), &state) {
            Ok(()) => end,
            Err(error) => {
                tracing::error!(id = %job.id(), "the end of a job cannot be written into the audit log: {error}");
                end.and(Err(Failure::new(FailureKind::Internal, UNWRITTEN)))
            }
        };
        let mut inner = self.lock();
        job.end(end);
        // A job deleted meanwhile is not there any more.
        if inner.jobs.contains_key(&job.id()) {
            inner.ended.push_back((Instant::now(), job.id()));
        }
    }

    /// Forgets ended jobs whose time is over or that are too many.
    pub fn sweep(&self, now: Instant) {
        let mut inner = self.lock();
        let most = self.limits.finished_jobs as usize;
        while let Some(&(ended, id)) = inner.ended.front() {
            if inner.ended.len() <= most && now.saturating_duration_since(ended) < self.limits.retention {
                break;
            }
            inner.ended.pop_front();
            if inner.jobs.contains_key(&id) {
                inner.forget(id);
            }
        }
    }

    /// Admits no job any more. Those that are there go on.
    pub fn drain(&self) {
        self.lock().stopping = true;
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
    Failure::new(FailureKind::Cancelled, "cancelled by the client")
}

impl Inner {
    fn forget(&mut self, id: JobId) {
        self.jobs.remove(&id);
        self.ended.retain(|(_, ended)| *ended != id);
        if self.used.names.insert(id) {
            self.used.order.push_back(id);
        }
        if self.used.order.len() > USED_NAMES
            && let Some(oldest) = self.used.order.pop_front()
        {
            self.used.names.remove(&oldest);
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
