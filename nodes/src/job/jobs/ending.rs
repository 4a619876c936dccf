//! The end of a job: its outputs are written down, then the end, and then it is told; later they are handed out, and erased.

use super::{
    Job, Jobs, Outputs, Refusal, Released,
    archive::{DoneJob, NotWritten},
};
use crate::{
    job::{Failure, FailureKind, JobCost, JobId, JobState},
    store::StoreError,
};
use std::{
    mem,
    sync::{Arc, Weak},
};

/// Why an output cannot be handed out now.
#[derive(Debug, thiserror::Error)]
pub enum FetchFault {
    /// There is no room for it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node's store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a job that was done has no outputs.
const UNWRITTEN: &str = "its end could not be written into the node's audit log, so nothing is released (tables that it keeps are there); the node's operator finds the cause in the node's log: submit the job again when that is mended";

const UNSTORED: &str = "its outputs could not be written to the node's store, so nothing is released (tables that it keeps are there); the node's operator finds the cause in the node's log: submit the job again when that is mended, or with \"retain\": \"memory\"";

impl Jobs {
    /// Writes the outputs of a job that is done to the node's store, where they are to outlive the process. If that fails, so has the job.
    ///
    /// Not cancel safe: end the job if this is dropped.
    ///
    /// # Errors
    /// The failure of the job.
    pub async fn keep(
        &self,
        job: &Job,
        end: Result<(Outputs, JobCost), Failure>,
    ) -> Result<(Released, JobCost), Failure> {
        let (outputs, cost) = end?;
        let Some(store) = self.outputs.as_ref().filter(|_| self.is_to_store(job.terms())) else {
            return Ok((Released::Memory(outputs), cost));
        };
        let accepted = job.accepted_at();
        let (accepted, at) = accepted.ok_or_else(|| {
            Failure::new(FailureKind::Internal, "a job ran that was not accepted; please report this")
        })?;
        let record = DoneJob::new(accepted.clone(), [at, (self.clock)()], cost, &outputs);
        job.storing();
        match store.write(record, Arc::new(outputs)).await {
            Ok(()) => Ok((Released::Store, cost)),
            Err(NotWritten) => Err(Failure::new(FailureKind::Internal, UNSTORED)),
        }
    }

    /// Records how a job ended: what it has become can be asked for until the retention time is over. Where that cannot be written down, nothing is released.
    pub fn conclude(&self, job: &Job, end: Result<(Released, JobCost), Failure>) {
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
        let (failed, now) = (end.is_err(), (self.clock)());
        let mut inner = self.lock();
        job.end(end, now);
        // A job deleted meanwhile is not there any more.
        let there = inner.jobs.contains_key(&job.id());
        if there {
            inner.ended.push_back((now, job.id()));
        }
        if failed || !there {
            inner.leaving.extend(job.leave_store().map(|room| (job.id(), Some(room))));
        }
    }

    /// The outputs of a job that is done, or at least output `k`, from where they are: shares of an epoch, or those in use. `None` if it has none.
    ///
    /// # Errors
    /// [`FetchFault`].
    pub async fn outputs(&self, job: &Job, k: usize, epoch: Option<u64>) -> Result<Option<Arc<Outputs>>, FetchFault> {
        let Some(store) = self.outputs.as_ref().filter(|_| job.is_stored()) else {
            return Ok(job.outputs().filter(|outputs| epoch.is_none_or(|epoch| epoch == outputs.epoch())));
        };
        // Who asks for one output at the same time is handed one copy of it.
        let mut loaded = job.loaded.lock().await;
        if let Some(outputs) = loaded.get(&(k, epoch)).and_then(Weak::upgrade) {
            return Ok(Some(outputs));
        }
        let bytes = job.terms().outputs.get(k).map_or(0, |output| output.shape.component_bytes() as u64);
        let room = self.accounts.load_room(&self.limits, job.owner(), bytes)?;
        let Some(mut outputs) = store.read(job.id(), k, epoch).await? else { return Ok(None) };
        outputs.room = Some(room);
        let outputs = Arc::new(outputs);
        // Those of no named epoch are those in use, and are forgotten when others are: prepared ones are not mistaken for them.
        loaded.retain(|_, outputs| outputs.strong_count() > 0);
        loaded.insert((k, epoch), Arc::downgrade(&outputs));
        Ok(Some(outputs))
    }

    /// Removes from the store what is not needed any more. What cannot be removed now is with the next call.
    ///
    /// # Errors
    /// [`StoreError`], of the disk.
    pub async fn erase(&self) -> Result<(), StoreError> {
        let Some(store) = &self.outputs else { return Ok(()) };
        let _erasing = self.erasing.lock().await;
        let ids: Vec<JobId> = self.lock().leaving.iter().map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        store.remove(ids.clone()).await?;
        let gone = {
            let mut inner = self.lock();
            let (gone, left): (Vec<_>, _) =
                mem::take(&mut inner.leaving).into_iter().partition(|(id, _)| ids.contains(id));
            inner.leaving = left;
            gone
        };
        drop(gone);
        Ok(())
    }
}
