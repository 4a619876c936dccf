//! The handlers of `/v1/jobs`.

use super::{Api, Caller, Problem, ProblemKind, again::Repeat, links::Links};
use crate::{
    job::{
        Admission, BodyFault, FetchFault, Grounds, Head, Job, JobEntry, JobId, JobState, KeepFault, MEDIA_TYPE,
        NotAJobId, Outputs, Payload, PrepareFault, Prepared, Refusal, SourceFault, fill, keep, resolve, spend,
        tables_of,
    },
    pki::{ClientName, Role},
    policy::{Grant, JobQuestion, Unpermitted},
    seal::{CHUNK, OutputKey, SEALED_OUTPUT_TYPE, ShareOf, sealed_output_bytes},
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
use zeroize::Zeroizing;

/// The longest time a request for the state of a job waits for its end.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// The parameters of a request for the state of a job.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    #[serde(default)]
    wait: u64,
}

/// Jobs in a list unless the caller says otherwise, and at most.
const USUAL_LIST: usize = 100;
const MAX_LIST: usize = 1000;

/// The parameters of a request for a list of jobs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<usize>,
}

/// `PUT /v1/jobs/{id}`: submits a job with this node's shares of the inputs that come with it.
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    (Extension(caller), Extension(links)): (Extension<Caller>, Extension<Links>),
    Path(id): Path<String>,
    repeat: Result<Query<Repeat>, axum::extract::rejection::QueryRejection>,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Problem> {
    let (id, owner, repeats) = (job_id(&id)?, client(&caller)?, Repeat::read(repeat)?);
    let limits = api.jobs.limits();
    let length = announced_as(&headers, MEDIA_TYPE)?;
    let head = Head::read(body.into_data_stream(), length, limits).await?;
    let spec = head.spec.clone();
    let terms = spec.terms(owner).map_err(|e| ProblemKind::InvalidJob.because(e.to_string()))?;
    let digest = terms.digest;
    let admission = api.jobs.admit(id, owner, terms, head.sizes.held_bytes())?;
    let upload = match admission {
        Admission::New(upload) => upload,
        Admission::Known(job) => return Ok(state(StatusCode::OK, &job)),
    };
    links.are_up()?;
    if let Some(old) = repeats {
        api.jobs.may_repeat(old, owner, digest)?;
    }
    let again = spec.can_run_again().then(|| Box::new(spec.clone()));
    let question = JobQuestion::of(&spec, owner);
    let declined = |why: Unpermitted| {
        if let Unpermitted::Denied(denial) = &why {
            // The others hear it from this node, whatever the client tells them.
            api.runner.decline(id, digest, &denial.to_string());
        }
        why.into_problem(&api.policy)
    };
    api.policy.check(&question).await.map_err(declined)?;
    let sources = resolve(&spec, owner, &head.sizes.inputs, &api.tables)?;
    let kept = keep(&spec, owner, &head.sizes.outputs, &sources, (id, &api.tables))?;
    let Payload { attachment, inputs } = head.payload().await?;
    let (kind, limits) = (spec.program.kind(), limits.clone());
    let prepared = tokio::task::spawn_blocking(move || Prepared::new(&spec, &attachment, &limits)).await;
    let prepared = prepared.map_err(|e| ProblemKind::Internal.because(format!("{e}; please report this")))??;
    let inputs =
        fill(sources, inputs).map_err(|e| ProblemKind::Internal.because(format!("{e}; please report this")))?;
    // First what can be denied still: a permit is not spent on a job that the policy does not let run.
    let Grant { rule } = api.policy.take(&question).await.map_err(declined)?;
    let counted = spend(&inputs, owner)?;
    api.tables.keep_uses(counted).await?;
    let grounds = Grounds { program: kind, tables: tables_of(&inputs), rule, repeats, spec: again };
    let job = upload.accept(grounds).map_err(|e| super::audited::unwritten(&e))?;
    let job = job.ok_or_else(|| ProblemKind::Conflict.because("the job was deleted while it arrived"))?;
    api.runner.start(job.clone(), prepared, (inputs, kept));
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

/// `GET /v1/jobs?limit=N`: the jobs that the caller has submitted or may fetch outputs of, the newest first.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Page { limit }) =
        page.map_err(|e| ProblemKind::BadRequest.because(format!("{e}; the only parameter is limit, a whole number")))?;
    let jobs = api.jobs.list(client(&caller)?);
    let limit = limit.unwrap_or(USUAL_LIST).min(MAX_LIST);
    let entries: Vec<JobEntry> = jobs.iter().take(limit).map(|job| job.entry()).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(entries)).into_response())
}

/// `GET /v1/jobs/{id}/outputs/{k}`: the component `own` of this node's share of an output, then the SHA-256 of the component `next`; for the
/// recipients that the job names.
///
/// The digest is as good as the component. The client has the same component in full from the next node, where it is `own`;
/// it compares the digest of that with what this node says. Were the two components different, the digests would be, or
/// somebody would have found a collision of SHA-256. So what passes is what would pass if both were sent and compared,
/// and a third of the bytes is saved.
pub(super) async fn output(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path((id, output)): Path<(String, String)>,
    query: Result<Query<OfEpoch>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(OfEpoch { epoch }) = query
        .map_err(|e| ProblemKind::BadRequest.because(format!("{e}; the only parameter is epoch, a whole number")))?;
    let job = find(&api, &caller, &id)?;
    let name = client(&caller)?;
    let k = output.parse().ok().filter(|k: &usize| *k < job.terms().outputs.len());
    let none = || {
        format!(
            "job {id} has no output {output} for {name}; GET /v1/jobs/{{id}} lists its outputs and their recipients"
        )
    };
    let k = match k {
        Some(k) if job.is_for(k, name) => k,
        Some(_) => return Err(ProblemKind::of_another(none())),
        None => return Err(ProblemKind::NotFound.because(none())),
    };
    let outputs = match job.state() {
        JobState::Done { .. } => api.jobs.outputs(&job, k, epoch).await?,
        _ => None,
    };
    match (job.state(), outputs) {
        (JobState::Done { .. }, Some(outputs)) => {
            let (_, digest) = outputs.get(k).ok_or_else(|| {
                ProblemKind::Internal.because(format!("output {k} was promised and is not there; please report this"))
            })?;
            let epoch = (OUTPUT_EPOCH, HeaderValue::from(outputs.epoch()));
            if let Some(key) = job.terms().outputs.get(k).and_then(|output| output.keys.get(name)) {
                let of = ShareOf { from: api.seal.party(), job: job.id(), output: k, recipient: name };
                return Ok(([epoch], sealed_output(outputs, k, (key, &of))?).into_response());
            }
            let digest = Bytes::copy_from_slice(digest);
            let own = Bytes::from_owner(Own(outputs, k));
            let length = HeaderValue::from(own.len() + digest.len());
            let body = Body::from_stream(stream::iter([own, digest].map(Ok::<_, Infallible>)));
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
                (header::CONTENT_LENGTH, length),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                epoch,
            ];
            Ok((headers, body).into_response())
        }
        (JobState::Failed { failure }, _) => Err(ProblemKind::Failed.because(failure.cause)),
        (JobState::Done { .. }, None) if epoch.is_some() => Err(ProblemKind::Conflict.because(
            "this node has no shares of that epoch: they are being made anew; ask all three nodes again, without an epoch",
        )),
        // Between the question and the answer.
        (JobState::Done { .. }, None) => Err(missing(job.id())),
        _ => Err(ProblemKind::Unfinished.because("wait for its end with GET /v1/jobs/{id}?wait=60, then ask again")),
    }
}

/// How often the shares of an output were made anew, in the answer: those of the three nodes fit if it is the same.
pub(crate) const OUTPUT_EPOCH: header::HeaderName = header::HeaderName::from_static("trefoil-epoch");

/// Of which epoch shares are asked for: a node may have prepared what is in use at another already.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfEpoch {
    epoch: Option<u64>,
}

/// The share sealed to the recipient's key, chunk by chunk as it is sent.
fn sealed_output(outputs: Arc<Outputs>, k: usize, (key, of): (&OutputKey, &ShareOf<'_>)) -> Result<Response, Problem> {
    let (first, mut sealer) = key.begin(of).map_err(|e| ProblemKind::Failed.because(e.to_string()))?;
    let length = outputs.get(k).map_or(0, |(own, digest)| sealed_output_bytes(own.len() + digest.len()));
    let share = move |at: usize| -> Option<Zeroizing<Vec<u8>>> {
        let (own, digest) = outputs.get(k)?;
        let end = (at + CHUNK).min(own.len() + digest.len());
        let of_digest = at.max(own.len()) - own.len()..end.max(own.len()) - own.len();
        let chunk = [own.get(at.min(own.len())..end.min(own.len()))?, digest.get(of_digest)?].concat();
        Some(Zeroizing::new(chunk))
    };
    let chunks = (0..)
        .step_by(CHUNK)
        .map_while(move |at| share(at).filter(|chunk| !chunk.is_empty()))
        .map(move |chunk| sealer.seal(&[], &chunk).map(Bytes::from));
    let chunks = std::iter::once(Ok(Bytes::from(first))).chain(chunks);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(SEALED_OUTPUT_TYPE)),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(stream::iter(chunks))).into_response())
}

/// `DELETE /v1/jobs/{id}`: the caller is done with the job. From its submitter, cancels it if it has not ended.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let (id, client) = (job_id(&id)?, client(&caller)?);
    if !api.jobs.delete(id, client) {
        return Err(absent(&api, id, client));
    }
    api.jobs.erase().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The component that goes out in full, kept until the last byte is sent.
struct Own(Arc<Outputs>, usize);

impl AsRef<[u8]> for Own {
    fn as_ref(&self) -> &[u8] {
        self.0.get(self.1).map_or(&[], |(own, _)| own)
    }
}

fn state(status: StatusCode, job: &Job) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(job.status())).into_response()
}

pub(super) fn find(api: &Api, caller: &Caller, id: &str) -> Result<Arc<Job>, Problem> {
    let (id, client) = (job_id(id)?, client(caller)?);
    api.jobs.get(id, client).ok_or_else(|| absent(api, id, client))
}

/// There is no such job for a client, or none at all.
fn absent(api: &Api, id: JobId, client: &ClientName) -> Problem {
    if api.jobs.is_of_others(id, client) { ProblemKind::of_another(no_job(id)) } else { missing(id) }
}

pub(super) fn missing(id: JobId) -> Problem {
    ProblemKind::NotFound.because(no_job(id))
}

fn no_job(id: JobId) -> String {
    format!(
        "this node has no job {id} for you; it was deleted, its time is over, or it was never submitted here; submit it again, or ask who has"
    )
}

pub(super) fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|e: NotAJobId| ProblemKind::BadRequest.because(e.to_string()))
}

/// Jobs are for clients. A node that could submit one would be a client who is also a party.
pub(super) fn client(caller: &Caller) -> Result<&ClientName, Problem> {
    match &caller.role {
        Role::Client(name) => Ok(name),
        Role::Node(_) => Err(ProblemKind::Forbidden.because(format!(
            "{} submits no jobs and has no tables and keys; use the certificate of a client",
            caller.role
        ))),
    }
}

/// The announced length of a body of the right type.
pub(super) fn announced_as(headers: &HeaderMap, media_type: &str) -> Result<u64, Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(header::CONTENT_TYPE) != Some(media_type) {
        return Err(ProblemKind::MediaType.because(format!("send Content-Type: {media_type}")));
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
            PrepareFault::Digest { .. }
            | PrepareFault::Circuit(_)
            | PrepareFault::Wires { .. }
            | PrepareFault::Spec(_) => ProblemKind::InvalidJob,
        };
        kind.because(fault.to_string())
    }
}

impl From<SourceFault> for Problem {
    fn from(fault: SourceFault) -> Self {
        let kind = match fault {
            SourceFault::Denied { .. } | SourceFault::Spent { .. } | SourceFault::Expired { .. } => ProblemKind::Denied,
            SourceFault::Column { .. }
            | SourceFault::Model { .. }
            | SourceFault::Customers { .. }
            | SourceFault::Numbers { .. }
            | SourceFault::Shape { .. }
            | SourceFault::Twice { .. }
            | SourceFault::Labels { .. } => ProblemKind::InvalidJob,
        };
        kind.because(fault.to_string())
    }
}

impl From<KeepFault> for Problem {
    fn from(fault: KeepFault) -> Self {
        match fault {
            KeepFault::Spec(fault) => ProblemKind::InvalidJob.because(fault.to_string()),
            KeepFault::Table(refusal) => refusal.into(),
        }
    }
}

impl From<FetchFault> for Problem {
    fn from(fault: FetchFault) -> Self {
        match fault {
            FetchFault::Refused(refusal) => refusal.into(),
            FetchFault::Store(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Taken => ProblemKind::Conflict,
            Refusal::Uploading => ProblemKind::Uploading,
            Refusal::Share | Refusal::Following { .. } => ProblemKind::Share,
            Refusal::Busy | Refusal::Full => ProblemKind::Busy,
            Refusal::Stored { .. } => ProblemKind::Full,
            Refusal::Stopping => ProblemKind::Unready,
        };
        kind.because(refusal.to_string())
    }
}
