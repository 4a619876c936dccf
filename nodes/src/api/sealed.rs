//! Requests whose body is sealed to this node: opened before any handler sees them.

use super::{Api, Problem, ProblemKind, jobs::announced_as};
use crate::{
    job::Intake,
    seal::{Envelope, MAX_SEALED_BYTES, SEALED_MEDIA_TYPE, SEALED_TYPE, SealFault, SealPublic},
};
use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use std::sync::Arc;
use zeroize::Zeroizing;

/// `GET /v1/seal-key`: the key to seal bodies to.
pub(super) async fn key(State(api): State<Arc<Api>>) -> ([(header::HeaderName, &'static str); 1], Json<SealPublic>) {
    ([(header::CACHE_CONTROL, "no-store")], Json(api.seal.public()))
}

/// Opens the body of a request if it is sealed, and hands on what is inside as if it had been sent so.
pub(super) async fn open(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if request.headers().get(header::CONTENT_TYPE).is_none_or(|value| value != SEALED_MEDIA_TYPE) {
        return next.run(request).await;
    }
    match opened(&api, request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn opened(api: &Api, request: Request) -> Result<Request, Problem> {
    let (mut parts, body) = request.into_parts();
    let length = announced_as(&parts.headers, SEALED_MEDIA_TYPE)?;
    if length > MAX_SEALED_BYTES {
        let detail = format!(
            "a sealed body has at most {MAX_SEALED_BYTES} bytes, and {length} were announced; send large bodies to the nodes directly"
        );
        return Err(ProblemKind::TooLarge.because(detail));
    }
    let mut sealed = vec![0; length as usize];
    let mut intake = Intake::new(body.into_data_stream(), length, api.jobs.limits());
    intake.fill(&mut sealed).await?;
    intake.end().await?;
    let inside = sealed_type(&parts.headers)?;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let media_type = inside.to_str().unwrap_or_default();
    let envelope = Envelope { to: api.seal.party(), method: parts.method.as_str(), path: target, media_type };
    let body = api.seal.open(&envelope, &sealed)?;
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    parts.headers.insert(header::CONTENT_TYPE, inside);
    Ok(Request::from_parts(parts, Body::from(Bytes::from_owner(Opened(body)))))
}

fn sealed_type(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let inside = headers.get(SEALED_TYPE).filter(|value| value.to_str().is_ok_and(|text| text != SEALED_MEDIA_TYPE));
    inside.cloned().ok_or_else(|| {
        ProblemKind::MediaType.because(format!("send the media type of what is sealed in the header {SEALED_TYPE}"))
    })
}

/// What was inside, erased when the last handler is done with it.
struct Opened(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Opened {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<SealFault> for Problem {
    fn from(fault: SealFault) -> Self {
        ProblemKind::BadRequest.because(fault.to_string())
    }
}
