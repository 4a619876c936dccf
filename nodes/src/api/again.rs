//! What a client needs to run a job again that was interrupted.

use super::{
    Api, Caller, Problem, ProblemKind,
    jobs::{client, job_id, missing},
};
use crate::job::{JobId, JobSpec, RepeatFault};
use axum::{
    Extension, Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::sync::Arc;

/// The parameters of a submission.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Repeat {
    repeats: Option<String>,
}

impl Repeat {
    /// The job that is to be repeated.
    pub(super) fn read(query: Result<Query<Self>, QueryRejection>) -> Result<Option<JobId>, Problem> {
        let Query(Self { repeats }) = query.map_err(|e| {
            ProblemKind::BadRequest.because(format!("{e}; the only parameter is repeats, the id of a job"))
        })?;
        repeats.as_deref().map(job_id).transpose()
    }
}

/// `GET /v1/jobs/{id}/spec`: the specification by which a job of the caller can be run again.
pub(super) async fn spec(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let spec: JobSpec = api.jobs.spec_of(job_id(&id)?, client(&caller)?)?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(spec)).into_response())
}

impl From<RepeatFault> for Problem {
    fn from(fault: RepeatFault) -> Self {
        match fault {
            RepeatFault::Unknown(id) => missing(id),
            RepeatFault::Unfinished
            | RepeatFault::Done
            | RepeatFault::Failed(_)
            | RepeatFault::Gone
            | RepeatFault::Other => ProblemKind::Conflict.because(fault.to_string()),
        }
    }
}
