//! The handlers of `/v1/jobs`.

use super::{Api, Caller, Problem, ProblemKind};
use crate::{
    job::{
        Admission, BodyFault, Head, Job, JobId, JobState, MEDIA_TYPE, NotAJobId, Output, Owner, Payload, PrepareFault,
        Prepared, Refusal,
    },
    pki::Role,
};
use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use std::{convert::Infallible, sync::Arc, time::Duration};

/// The longest time a request for the state of a job waits for its end.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// The parameters of a request for the state of a job.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    #[serde(default)]
    wait: u64,
}

/// `PUT /v1/jobs/{id}`: submits a job with this node's share of its input.
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (id, owner) = (job_id(&id)?, owner(&caller)?);
    let limits = api.table.limits();
    let length = announced(&headers)?;
    let head = Head::read(body.into_data_stream(), length, limits).await?;
    let spec = head.spec.clone();
    let admission = api.table.admit(id, owner, spec.terms(&owner), head.shape.held_bytes())?;
    let upload = match admission {
        Admission::New(upload) => upload,
        Admission::Known(job) => return Ok(state(StatusCode::OK, &job)),
    };
    let Payload { attachment, input } = head.payload().await?;
    let limits = limits.clone();
    let prepared = tokio::task::spawn_blocking(move || Prepared::new(&spec, &attachment, &limits)).await;
    let prepared = prepared.map_err(|e| ProblemKind::Internal.because(format!("{e}; please report this")))??;
    let job = upload.accept().ok_or_else(|| ProblemKind::Conflict.because("the job was deleted while it arrived"))?;
    api.runner.start(job.clone(), prepared, input);
    Ok(state(StatusCode::ACCEPTED, &job))
}

/// `GET /v1/jobs/{id}?wait=SECONDS`: the state of a job, at once or when it has ended or the time is over.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    wait: Result<Query<Wait>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Wait { wait }) = wait.map_err(|e| {
        ProblemKind::BadRequest.because(format!("{e}; the only parameter is wait, a whole number of seconds"))
    })?;
    let job = find(&api, &caller, &id)?;
    job.ended_within(Duration::from_secs(wait).min(MAX_WAIT)).await;
    Ok(state(StatusCode::OK, &job))
}

/// `GET /v1/jobs/{id}/output`: the component `own` of this node's output share, then the SHA-256 of the component `next`.
///
/// The digest is as good as the component. The client has the same component in full from the next node, where it is `own`;
/// it compares the digest of that with what this node says. Were the two components different, the digests would be, or
/// somebody would have found a collision of SHA-256. So what passes is what would pass if both were sent and compared,
/// and a third of the bytes is saved.
pub(super) async fn output(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = find(&api, &caller, &id)?;
    match (job.state(), job.output()) {
        (JobState::Done { .. }, Some(output)) => {
            let digest = Bytes::copy_from_slice(output.next_digest());
            let own = Bytes::from_owner(Own(output));
            let length = HeaderValue::from(own.len() + digest.len());
            let body = Body::from_stream(stream::iter([own, digest].map(Ok::<_, Infallible>)));
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
                (header::CONTENT_LENGTH, length),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            Ok((headers, body).into_response())
        }
        (JobState::Failed { failure }, _) => Err(ProblemKind::Failed.because(failure.cause)),
        _ => Err(ProblemKind::Unfinished.because("wait for its end with GET /v1/jobs/{id}?wait=60, then ask again")),
    }
}

/// `DELETE /v1/jobs/{id}`: cancels a job that has not ended, and forgets it.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let (id, owner) = (job_id(&id)?, owner(&caller)?);
    if api.table.delete(id, &owner) { Ok(StatusCode::NO_CONTENT) } else { Err(missing(id)) }
}

/// The component that goes out in full, kept until the last byte is sent.
struct Own(Arc<Output>);

impl AsRef<[u8]> for Own {
    fn as_ref(&self) -> &[u8] {
        let [own, _] = self.0.share().as_bytes();
        own
    }
}

fn state(status: StatusCode, job: &Job) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(job.status())).into_response()
}

fn find(api: &Api, caller: &Caller, id: &str) -> Result<Arc<Job>, Problem> {
    let (id, owner) = (job_id(id)?, owner(caller)?);
    api.table.get(id, &owner).ok_or_else(|| missing(id))
}

fn missing(id: JobId) -> Problem {
    let detail = format!(
        "this node has no job {id} of yours; it was deleted, its time is over, or it was never submitted here; submit it again"
    );
    ProblemKind::NotFound.because(detail)
}

fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|e: NotAJobId| ProblemKind::BadRequest.because(e.to_string()))
}

/// Jobs are for clients. A node that could submit one would be a client who is also a party.
fn owner(caller: &Caller) -> Result<Owner, Problem> {
    match &caller.role {
        Role::Client(_) => Ok(*caller.fingerprint.as_bytes()),
        Role::Node(_) => {
            Err(ProblemKind::Forbidden
                .because(format!("{} submits no jobs; use the certificate of a client", caller.role)))
        }
    }
}

/// The announced length of a body of the right type.
fn announced(headers: &HeaderMap) -> Result<u64, Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(header::CONTENT_TYPE) != Some(MEDIA_TYPE) {
        return Err(ProblemKind::MediaType.because(format!("send Content-Type: {MEDIA_TYPE}")));
    }
    let length = text(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    length.ok_or_else(|| ProblemKind::LengthRequired.because("send Content-Length; a body without it is not read"))
}

impl From<BodyFault> for Problem {
    fn from(fault: BodyFault) -> Self {
        let kind = match fault {
            BodyFault::TooLarge(_) => ProblemKind::TooLarge,
            BodyFault::Spec(_) => ProblemKind::InvalidJob,
            BodyFault::Slow(_) => ProblemKind::Slow,
            BodyFault::Length { .. } | BodyFault::Truncated { .. } | BodyFault::Overlong | BodyFault::Connection(_) => {
                ProblemKind::BadRequest
            }
        };
        kind.because(fault.to_string())
    }
}

impl From<PrepareFault> for Problem {
    fn from(fault: PrepareFault) -> Self {
        let kind = match fault {
            PrepareFault::TooLarge(_) => ProblemKind::TooLarge,
            PrepareFault::Digest { .. } | PrepareFault::Circuit(_) | PrepareFault::Wires { .. } => {
                ProblemKind::InvalidJob
            }
        };
        kind.because(fault.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Taken => ProblemKind::Conflict,
            Refusal::Uploading => ProblemKind::Uploading,
            Refusal::Busy | Refusal::Full => ProblemKind::Busy,
            Refusal::Stopping => ProblemKind::Unready,
        };
        kind.because(refusal.to_string())
    }
}
