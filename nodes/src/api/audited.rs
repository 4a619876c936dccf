//! Requests that are written into the audit log before they are answered.

use super::{Api, Caller, Problem, ProblemKind, problem::OfAnother};
use crate::{
    auth::apart,
    job::{Asked, Sha256Hex},
};
use axum::{
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{any::Any, io, sync::Arc};
use tracing::Instrument as _;

/// Characters of a path that are written down at most: as many as any of ours has, and more.
const PATH: usize = 512;

/// What lives as long as a request is being worked on, in its extensions.
#[derive(Clone)]
pub(crate) struct Held {
    _it: Arc<dyn Any + Send + Sync>,
}

impl Held {
    pub(crate) fn new(it: Arc<dyn Any + Send + Sync>) -> Self {
        Self { _it: it }
    }
}

/// What was stored or is handed out, in the extensions of an answer.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Its path, as it is written.
    pub(super) path: String,
    /// Its digest.
    pub(super) sha256: Sha256Hex,
}

/// What the policy says to a request, in the extensions of an answer.
#[derive(Clone, Debug)]
pub(super) struct Decided(pub(super) String);

/// Writes down what changes something, hands out an output or was refused for who asks, also where the answer is that there is nothing. A job that is accepted has an entry of its own.
///
/// An answer that cannot be written down is not given; what was done stays done, and the request can be repeated. Whoever goes away before the answer is written down all the same: what changes
/// something is done [in a task of its own](apart), in which it can be known that nobody waits any more.
pub(super) async fn record(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if request.uri().path().contains('%') {
        // One thing has one path, here and in the log.
        return ProblemKind::BadRequest
            .because("no path of this API has a percent sign; write its characters as they are")
            .into_response();
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return recorded(&api, request, next).await;
    }
    // The client may go away before the work has ended.
    let held = request.extensions().get::<Held>().cloned();
    let task = async move {
        let response = recorded(&api, request, next).await;
        drop(held);
        response
    };
    let done = apart(task.in_current_span()).await;
    done.unwrap_or_else(|e| ProblemKind::Internal.because(format!("{e}; please report this")).into_response())
}

async fn recorded(api: &Api, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let client = request.extensions().get::<Caller>().map(|caller| caller.role.to_string());
    let response = next.run(request).await;
    let status = response.status();
    let of_another = response.extensions().get::<OfAnother>().is_some();
    if !of_another && !is_told(&method, &path, status) {
        return response;
    }
    let stored = response.extensions().get::<Stored>();
    let asked = Asked {
        client: client.unwrap_or_default(),
        method: method.to_string(),
        path: stored.map_or(path, |stored| stored.path.clone()).chars().take(PATH).collect(),
        status: status.as_u16(),
        sha256: stored.map(|stored| stored.sha256),
        policy: response.extensions().get::<Decided>().map(|decided| decided.0.clone()),
    };
    match api.jobs.journal().asked(&asked) {
        Ok(()) => response,
        Err(error) => unwritten(&error).into_response(),
    }
}

/// What a client is told when the audit log cannot be written.
pub(super) fn unwritten(error: &io::Error) -> Problem {
    // The client is not told of files of the node.
    tracing::error!("cannot write the audit log: {error}; make room on its disk");
    ProblemKind::Storage.because(
        "the node cannot write its audit log; its operator finds the cause in its log: ask again when that is mended",
    )
}

fn is_told(method: &Method, path: &str, status: StatusCode) -> bool {
    let denied = matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS
    );
    let done = match *method {
        Method::GET | Method::HEAD => is_output(path) || is_download(path),
        Method::PUT => !is_job(path),
        _ => true,
    };
    denied || done && status.is_success()
}

fn is_job(path: &str) -> bool {
    path.strip_prefix("/v1/jobs/").is_some_and(|id| !id.contains('/'))
}

fn is_output(path: &str) -> bool {
    path.strip_prefix("/v1/jobs/").is_some_and(|rest| rest.contains("/outputs/"))
}

fn is_download(path: &str) -> bool {
    path.strip_prefix("/v1/tables/").is_some_and(|table| table.split('/').count() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_or_hands_it_out_or_is_refused_is_told() {
        let told = |method: &Method, path: &str, status: u16| {
            is_told(method, path, StatusCode::from_u16(status).expect("a status"))
        };
        for (method, path, status) in [
            (Method::PUT, "/v1/tables/loans/1", 201),
            (Method::PUT, "/v1/tables/loans/1", 409),
            (Method::DELETE, "/v1/tables/loans/1", 204),
            (Method::PUT, "/v1/jobs/00", 403),
            (Method::DELETE, "/v1/jobs/00", 204),
            (Method::POST, "/v1/keys/code/sign", 200),
            (Method::PUT, "/v1/auth/logins/00", 403),
            (Method::GET, "/v1/jobs/00/outputs/0", 200),
            (Method::GET, "/v1/tables", 403),
            (Method::GET, "/v1/tables/loans/1", 200),
            (Method::POST, "/v1/keys/code/sign", 429),
        ] {
            assert!(told(&method, path, status), "{method} {path} {status}");
        }
        for (method, path, status) in [
            (Method::PUT, "/v1/jobs/00", 202),
            (Method::PUT, "/v1/jobs/00", 200),
            (Method::GET, "/v1/jobs/00", 200),
            (Method::GET, "/v1/jobs/00/outputs/0", 404),
            (Method::GET, "/readyz", 503),
            (Method::GET, "/v1/tables", 200),
            (Method::GET, "/v1/tables/loans/1", 404),
            (Method::GET, "/v1/tables/loans/1/upload", 200),
            // Whoever has a certificate could fill the disk with these.
            (Method::DELETE, "/v1/nothing", 404),
            (Method::PUT, "/v1/tables/loans/1", 422),
        ] {
            assert!(!told(&method, path, status), "{method} {path} {status}");
        }
    }
}
