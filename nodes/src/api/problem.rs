//! Errors of the API as problem documents (RFC 9457).

use super::audited::Decided;
use crate::store::StoreError;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

/// The media type of a problem document.
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// The body of every answer that is not a success.
///
/// A client of another version may read this, so unknown fields are ignored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// Which problem: `urn:trefoil:problem:` and the name of a [`ProblemKind`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The problem in a few words, always the same for one kind.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// What happened this time, and what to do about it.
    pub detail: String,
    /// Whether there is something, and it is somebody else's: the client is not told, and the audit log is.
    #[serde(skip)]
    pub(crate) of_another: bool,
}

/// Something of somebody else was asked for, in the extensions of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfAnother;

/// The problems the API knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProblemKind {
    /// A header, a parameter or the form of the body is wrong.
    BadRequest,
    /// No such resource, or one that belongs to another client.
    NotFound,
    /// The resource has no such method.
    Method,
    /// There is neither a certificate nor a token that is taken.
    Token,
    /// The certificate is not a client's.
    Forbidden,
    /// No length was announced.
    LengthRequired,
    /// The body has another media type.
    MediaType,
    /// A limit of this node that waiting does not lift.
    TooLarge,
    /// The specification or its attachment is not valid.
    InvalidJob,
    /// The description of a table is not valid.
    InvalidTable,
    /// The share of a key, or what is asked of the key, is not valid.
    InvalidKey,
    /// More is asked in a short time than the node does.
    Rate,
    /// The three nodes could not take a step together.
    Together,
    /// The node's store takes nothing now.
    Storage,
    /// The owner of a table has not permitted the job, or there is no such table.
    Denied,
    /// The policy of the node does not permit it.
    Policy,
    /// The tables take up as much as they may.
    Full,
    /// The name is taken.
    Conflict,
    /// The same job or table is arriving on another connection.
    Uploading,
    /// The body came too slowly.
    Slow,
    /// A limit of this node for one client, which the jobs of this one use up now.
    Share,
    /// A limit of this node that other jobs use up now.
    Busy,
    /// The node is stopping or does not reach the other nodes.
    Unready,
    /// There is no output yet.
    Unfinished,
    /// There will never be an output.
    Failed,
    /// The probe does not match.
    NoMatch,
    /// The user may not try now.
    Locked,
    /// A number was signed before.
    Counter,
    /// The rules of a ceremony do not hold.
    InvalidLogin,
    /// The node broke one of its own rules.
    Internal,
}

const PREFIX: &str = "urn:trefoil:problem:";

impl ProblemKind {
    const ALL: [Self; 30] = [
        Self::BadRequest,
        Self::NotFound,
        Self::Method,
        Self::Token,
        Self::Forbidden,
        Self::LengthRequired,
        Self::MediaType,
        Self::TooLarge,
        Self::InvalidJob,
        Self::InvalidTable,
        Self::InvalidKey,
        Self::Rate,
        Self::Together,
        Self::Storage,
        Self::Denied,
        Self::Policy,
        Self::Full,
        Self::Conflict,
        Self::Uploading,
        Self::Slow,
        Self::Share,
        Self::Busy,
        Self::Unready,
        Self::Unfinished,
        Self::Failed,
        Self::NoMatch,
        Self::Locked,
        Self::Counter,
        Self::InvalidLogin,
        Self::Internal,
    ];

    /// Name, status and title.
    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::BadRequest => ("bad-request", StatusCode::BAD_REQUEST, "The request is malformed"),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is nothing here"),
            Self::Method => ("method", StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed here"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "The certificate is not a client's"),
            Self::Token => ("token", StatusCode::UNAUTHORIZED, "The caller is not known"),
            Self::LengthRequired => ("length-required", StatusCode::LENGTH_REQUIRED, "The length must be announced"),
            Self::MediaType => ("media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The media type is another"),
            Self::TooLarge => ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large for this node"),
            Self::InvalidJob => ("invalid-job", StatusCode::UNPROCESSABLE_ENTITY, "The job is not valid"),
            Self::InvalidTable => ("invalid-table", StatusCode::UNPROCESSABLE_ENTITY, "The table is not valid"),
            Self::InvalidKey => ("invalid-key", StatusCode::UNPROCESSABLE_ENTITY, "The key does not allow this"),
            Self::Rate => ("rate", StatusCode::TOO_MANY_REQUESTS, "Too much is asked in a short time"),
            Self::Together => ("together", StatusCode::BAD_GATEWAY, "The nodes could not do it together"),
            Self::Storage => ("storage", StatusCode::INSUFFICIENT_STORAGE, "The node cannot store anything"),
            Self::Denied => ("denied", StatusCode::FORBIDDEN, "The table may not be used for this"),
            Self::Policy => ("policy", StatusCode::FORBIDDEN, "The policy of the node does not permit it"),
            Self::Full => ("full", StatusCode::INSUFFICIENT_STORAGE, "There is no room for it"),
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "The name is taken"),
            Self::Uploading => ("uploading", StatusCode::CONFLICT, "It is being uploaded"),
            Self::Slow => ("slow", StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time"),
            Self::Share => ("share", StatusCode::TOO_MANY_REQUESTS, "You have as much under way as one client may"),
            Self::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE, "The node is busy"),
            Self::Unready => ("unready", StatusCode::SERVICE_UNAVAILABLE, "The node cannot run jobs now"),
            Self::Unfinished => ("unfinished", StatusCode::CONFLICT, "The job has not ended yet"),
            Self::Failed => ("failed", StatusCode::CONFLICT, "The job has failed"),
            Self::NoMatch => ("no-match", StatusCode::FORBIDDEN, "The probe does not match"),
            Self::Locked => ("locked", StatusCode::TOO_MANY_REQUESTS, "The user is locked"),
            Self::Counter => ("counter", StatusCode::CONFLICT, "The signature counter is not above the last one"),
            Self::InvalidLogin => ("invalid-login", StatusCode::UNPROCESSABLE_ENTITY, "The ceremony is not allowed"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The node broke one of its own rules"),
        }
    }

    /// Its name: the end of [`Problem::kind`].
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// A problem of this kind.
    pub fn because(self, detail: impl Into<String>) -> Problem {
        let (name, status, title) = self.row();
        Problem {
            kind: format!("{PREFIX}{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            of_another: false,
        }
    }

    /// Nothing is here for the client, since it is somebody else's. The answer is the same as if there was nothing.
    pub(crate) fn of_another(detail: impl Into<String>) -> Problem {
        Problem { of_another: true, ..Self::NotFound.because(detail) }
    }
}

impl Problem {
    /// Its kind, if this version knows it.
    pub fn kind(&self) -> Option<ProblemKind> {
        let name = self.kind.strip_prefix(PREFIX)?;
        ProblemKind::ALL.into_iter().find(|kind| kind.row().0 == name)
    }
}

/// How soon a client may come back to a busy node, in seconds.
const RETRY_AFTER: &str = "1";

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let decided = (self.kind() == Some(ProblemKind::Policy)).then(|| Decided(self.detail.clone()));
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (kind, of_another) = (self.kind(), self.of_another);
        let soon = status == StatusCode::SERVICE_UNAVAILABLE || kind == Some(ProblemKind::Share);
        let mut response = (status, Json(self)).into_response();
        if let Some(kind) = kind {
            // For those who count.
            response.extensions_mut().insert(kind);
        }
        if of_another {
            response.extensions_mut().insert(OfAnother);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        if soon {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(decided) = decided {
            response.extensions_mut().insert(decided);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        // The client is not told of files of the node.
        tracing::error!("{error}");
        ProblemKind::Storage.because("the store of the node failed; its operator finds the cause in its log, and the next attempt settles what was begun")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_their_names() {
        for kind in ProblemKind::ALL {
            let problem = kind.because("why");
            let text = serde_json::to_string(&problem).expect("strings and a number");
            let read: Problem = serde_json::from_str(&text).expect("what was written");
            assert_eq!(read.kind(), Some(kind));
        }
        let unknown = Problem { kind: "about:blank".into(), ..ProblemKind::Busy.because("") };
        assert_eq!(unknown.kind(), None);
    }

    #[test]
    fn a_busy_node_says_when_to_come_back() {
        let response = ProblemKind::Busy.because("full").into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], RETRY_AFTER);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_TYPE);
        assert_eq!(ProblemKind::Share.because("yours").into_response().headers()[header::RETRY_AFTER], RETRY_AFTER);
        assert!(!ProblemKind::TooLarge.because("").into_response().headers().contains_key(header::RETRY_AFTER));
    }
}
