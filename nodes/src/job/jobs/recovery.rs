//! The jobs of the process before this one, from the audit log and the store.

use super::{DoneJob, Inner, Job, Jobs};
use crate::job::{Before, Failure, FailureKind, JobBefore, JobId, JobState};
use std::{collections::HashMap, io, sync::Arc};

const INTERRUPTED: &str =
    "the node ended while the job was under way, and was started again; submit the job again under a new id";
const OUTPUTS_GONE: &str = "the job was done, and its outputs are not at this node any more: it was to keep them in memory and was started again, or its store was exchanged; submit the job again under a new id";

impl Jobs {
    /// Takes up the jobs of the process before this one: those that the log tells of, and those that are `done` in the store, of which the log may have lost the last second.
    ///
    /// What is in the store is done, with its outputs. What was under way has failed. The log is told of each end that it does not have. What nobody asks for any more is to be [erased](Self::erase).
    ///
    /// # Errors
    /// Those of the journal.
    pub fn recover(&self, before: Before, done: Vec<DoneJob>) -> io::Result<()> {
        let mut stored: HashMap<JobId, DoneJob> = done.into_iter().map(|done| (done.accepted.job, done)).collect();
        let mut inner = self.lock();
        before.used.into_iter().for_each(|id| inner.used.remember(id));
        for job in before.jobs {
            let done = stored.remove(&job.accepted.job);
            self.recover_one(&mut inner, job, done)?;
        }
        let mut rest: Vec<_> = stored.into_values().collect();
        rest.sort_by_key(|done| done.ended_unix_ms);
        for done in rest {
            let (id, now) = (done.accepted.job, (self.clock)());
            if inner.used.names.contains(&id) || self.is_over(done.ended_unix_ms, now) {
                inner.used.remember(id);
                inner.leaving.push((id, Some(self.accounts.hold_stored(&done.accepted.owner, done.bytes()))));
                continue;
            }
            self.journal.accepted(&done.accepted)?;
            let (accepted, accepted_unix_ms) = (done.accepted.clone(), done.accepted_unix_ms);
            let job = JobBefore { accepted, accepted_unix_ms, end: None, deleted: Vec::new() };
            self.recover_one(&mut inner, job, Some(done))?;
        }
        inner.ended.make_contiguous().sort_by_key(|(ended, _)| *ended);
        Ok(())
    }

    /// Whether a job that was done before this node has lost its store is to be taken back.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_take_back(&self, done: &DoneJob) -> Result<(), String> {
        self.is_missed(&self.lock(), done)
    }

    fn is_missed(&self, inner: &Inner, done: &DoneJob) -> Result<(), String> {
        let id = done.accepted.job;
        match inner.jobs.get(&id).map(|job| job.state()) {
            Some(state) if !is_without_outputs(&state) => {
                Err("this node has it already, or says that it has failed".to_owned())
            }
            None if inner.used.names.contains(&id) => Err("it was deleted here".to_owned()),
            _ if self.is_over(done.ended_unix_ms, (self.clock)()) => Err("its time is over".to_owned()),
            _ => Ok(()),
        }
    }

    /// A job is in the store again.
    ///
    /// # Errors
    /// As [`may_take_back`](Self::may_take_back).
    pub(super) fn taken_back(&self, done: DoneJob) -> Result<(), String> {
        let (mut inner, id) = (self.lock(), done.accepted.job);
        self.is_missed(&inner, &done)?;
        let failed = |error: io::Error| format!("the audit log cannot be written: {error}");
        let known = inner.jobs.remove(&id);
        inner.ended.retain(|(_, ended)| *ended != id);
        let (accepted, accepted_unix_ms) = (done.accepted.clone(), done.accepted_unix_ms);
        // The log has its end, if it knows the job.
        let end = known.as_ref().map(|_| (JobState::Done { cost: done.cost }, done.ended_unix_ms));
        let deleted = known.as_ref().map(|job| job.dismissed_by()).unwrap_or_default();
        if known.is_none() {
            self.journal.accepted(&accepted).map_err(failed)?;
        }
        let before = JobBefore { accepted, accepted_unix_ms, end, deleted };
        self.recover_one(&mut inner, before, Some(done)).map_err(failed)?;
        inner.ended.make_contiguous().sort_by_key(|(ended, _)| *ended);
        Ok(())
    }

    fn recover_one(&self, inner: &mut Inner, before: JobBefore, done: Option<DoneJob>) -> io::Result<()> {
        let id = before.accepted.job;
        let stopped = |cause: &str| JobState::Failed { failure: Failure::new(FailureKind::Stopped, cause) };
        let nobody = before.accepted.outputs.iter().all(|output| output.recipients.is_empty());
        let state = match (&before.end, &done) {
            (Some((failed @ JobState::Failed { .. }, _)), _) => failed.clone(),
            (_, Some(done)) => JobState::Done { cost: done.cost },
            (Some((done, _)), None) if nobody => done.clone(),
            (Some(_), None) => stopped(OUTPUTS_GONE),
            (None, None) => stopped(INTERRUPTED),
        };
        if before.end.is_none() {
            self.journal.ended(id, &state)?;
        }
        let in_log = before.end.as_ref().map(|(_, ended)| *ended);
        let ended = done.as_ref().map(|done| done.ended_unix_ms).or(in_log).unwrap_or_else(|| (self.clock)());
        let stored = done.map(|done| self.accounts.hold_stored(&before.accepted.owner, done.bytes()));
        let is_done = matches!(state, JobState::Done { .. });
        // What the two others may give back is not forgotten before all whom it concerns are done with it.
        let is_lost = is_without_outputs(&state);
        let job = Arc::new(Job::recovered(before, state, ended, stored));
        if !is_done {
            inner.leaving.extend(job.leave_store().map(|room| (id, Some(room))));
        }
        let is_over = if is_lost { job.is_dismissed_by_all() } else { job.is_dismissed() };
        if is_over {
            inner.leaving.extend(job.leave_store().map(|room| (id, Some(room))));
            inner.used.remember(id);
        } else {
            inner.jobs.insert(id, job);
            inner.ended.push_back((ended, id));
        }
        Ok(())
    }
}

/// Whether a job was done and its outputs are gone with the node's store.
fn is_without_outputs(state: &JobState) -> bool {
    matches!(state, JobState::Failed { failure } if failure.cause == OUTPUTS_GONE)
}
