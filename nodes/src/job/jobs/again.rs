//! Jobs that were interrupted, run again under another name.
//!
//! A node keeps the public specification of a job that nothing has come with, and nothing else: whoever submits it again is asked for all that a new job is asked for, and the nodes draw all randomness anew.

use super::{Job, Jobs};
use crate::{
    job::{JobId, JobSpec, JobState, ModelSpec, ProgramSpec, Sizes},
    pki::ClientName,
};
use std::sync::Arc;

/// A longer specification is not kept for this.
const MAX_KEPT: usize = 16 << 10;

/// Why a job is not run again.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RepeatFault {
    /// The client has submitted none of this name.
    #[error("this node has no job {0} that you have submitted")]
    Unknown(JobId),
    /// It goes on.
    #[error("the job has not ended; wait for its end, or cancel it")]
    Unfinished,
    /// There is no need to.
    #[error(
        "the job is done at this node; fetch its outputs. If another node has not done it, submit it again with the command that submitted it"
    )]
    Done,
    /// It would fail again, or should not be tried.
    #[error("the job was not interrupted, but has failed by itself: {0}")]
    Failed(String),
    /// What it was computed of is not there.
    #[error(
        "inputs, a circuit or a model came with the job, or its specification is long, and the node keeps nothing of it; submit the job again, with its inputs, with the command that submitted it"
    )]
    Gone,
    /// The specification is another one.
    #[error("the specification is not that of the job that is to be repeated; leave out repeats, or send the same")]
    Other,
}

impl JobSpec {
    /// Whether this is all that it takes to run the job again: nothing comes with it.
    pub(crate) fn can_run_again(&self) -> bool {
        // The coefficients of a model have no place in a log that is never erased.
        let model = matches!(&self.program, ProgramSpec::CreditScore(score) if score.model != ModelSpec::Shared);
        let nothing = |sizes: Sizes| sizes.attachment_bytes == 0 && sizes.uploads.is_empty();
        !model && self.sizes().is_ok_and(nothing) && self.canonical().len() <= MAX_KEPT
    }
}

impl Jobs {
    /// The specification of a job of this client that was interrupted.
    ///
    /// # Errors
    /// [`RepeatFault`].
    pub fn spec_of(&self, id: JobId, client: &ClientName) -> Result<JobSpec, RepeatFault> {
        self.interrupted(id, client)?.spec().map(|spec| *spec).ok_or(RepeatFault::Gone)
    }

    /// Checks that a new job with this digest repeats one of the same client that was interrupted.
    ///
    /// # Errors
    /// [`RepeatFault`].
    pub fn may_repeat(&self, id: JobId, client: &ClientName, digest: [u8; 32]) -> Result<(), RepeatFault> {
        if self.interrupted(id, client)?.terms().digest == digest { Ok(()) } else { Err(RepeatFault::Other) }
    }

    fn interrupted(&self, id: JobId, client: &ClientName) -> Result<Arc<Job>, RepeatFault> {
        // Recipients see it, and cannot know what its submitter wants.
        let job = self.get(id, client).filter(|job| job.owner() == client).ok_or(RepeatFault::Unknown(id))?;
        match job.state() {
            state if state.is_interrupted() => Ok(job),
            JobState::Done { .. } => Err(RepeatFault::Done),
            JobState::Failed { failure } => Err(RepeatFault::Failed(failure.cause)),
            JobState::Receiving | JobState::Accepted | JobState::Running => Err(RepeatFault::Unfinished),
        }
    }
}
