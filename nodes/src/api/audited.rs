//! Requests that are written into the audit log before they are answered.

use super::{Api, Caller, Problem, ProblemKind};
use crate::job::{Asked, Sha256Hex};
use axum::{
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{io, sync::Arc};

/// Characters of a path that are written down at most: as many as any of ours has, and more.
const PATH: usize = 512;

/// The digest of what was stored, in the extensions of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored(pub(super) Sha256Hex);

/// Writes down what changes something, hands out an output or was refused for who asks. A job that is accepted has an entry of its own.
///
/// An answer that cannot be written down is not given; what was done stays done, and the request can be repeated.
pub(super) async fn record(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let client = request.extensions().get::<Caller>().map(|caller| caller.role.to_string());
    let response = next.run(request).await;
    let status = response.status();
    if !is_told(&method, &path, status) {
        return response;
    }
    let asked = Asked {
        client: client.unwrap_or_default(),
        method: method.to_string(),
        path: path.chars().take(PATH).collect(),
        status: status.as_u16(),
        sha256: response.extensions().get::<Stored>().map(|stored| stored.0),
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
    let denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    match *method {
        Method::GET | Method::HEAD => denied || status.is_success() && is_output(path),
        Method::PUT if is_job(path) => !status.is_success(),
        _ => true,
    }
}

fn is_job(path: &str) -> bool {
    path.strip_prefix("/v1/jobs/").is_some_and(|id| !id.contains('/'))
}

fn is_output(path: &str) -> bool {
    path.strip_prefix("/v1/jobs/").is_some_and(|rest| rest.contains("/outputs/"))
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
        ] {
            assert!(told(&method, path, status), "{method} {path} {status}");
        }
        for (method, path, status) in [
            (Method::PUT, "/v1/jobs/00", 202),
            (Method::PUT, "/v1/jobs/00", 200),
            (Method::GET, "/v1/jobs/00", 200),
            (Method::GET, "/v1/jobs/00/outputs/0", 404),
            (Method::GET, "/readyz", 503),
        ] {
            assert!(!told(&method, path, status), "{method} {path} {status}");
        }
    }
}
