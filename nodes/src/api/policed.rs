//! Requests that the node's policy has to permit, decided before their bodies are read as far as that is possible.

use super::{Api, Caller, Problem, ProblemKind, audited::Decided};
use crate::{
    pki::{ClientName, Role},
    policy::{Action, Denial, Enforcer, Unpermitted},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// The route of jobs, of which more is known when their specification is read.
const JOB: &str = "/v1/jobs/{id}";

/// Routes at which nothing is changed that a rule is for.
const OPEN: [&str; 6] = [JOB, "/v1/jobs/{id}/outputs/{k}", "/v1/status", "/v1/seal-key", "/livez", "/readyz"];

/// Refuses what no rule allows. To look at one's own things, and to be done with a job, needs no rule; to fetch a table does.
pub(super) async fn check(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let looks = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let name = match request.extensions().get() {
        Some(Caller { role: Role::Client(name) }) => name,
        // No rule is for a node: it changes nothing at another, whatever a handler would let it.
        Some(Caller { role: Role::Node(_) }) if !looks => {
            return ProblemKind::Forbidden
                .because("a node asks another for nothing; use the certificate of a client")
                .into_response();
        }
        _ => return next.run(request).await,
    };
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let permitted = match route {
        Some(route) if !looks => permitted(&api.policy, (request.method(), route), name),
        Some(route) => match Action::of_look(route) {
            Some(action) => api.policy.permits(action, name).map(|grant| Some(grant.rule)),
            None => return next.run(request).await,
        },
        None => return next.run(request).await,
    };
    match permitted {
        Ok(None) => next.run(request).await,
        Ok(Some(rule)) => {
            let mut response = next.run(request).await;
            response.extensions_mut().insert(Decided(rule));
            response
        }
        Err(denial) => problem(&api.policy, &denial).into_response(),
    }
}

/// The rule that permits a request; none for what is decided later, or does nothing.
fn permitted(policy: &Enforcer, (method, route): (&Method, &str), name: &ClientName) -> Result<Option<String>, Denial> {
    match Action::of_route(route) {
        Some(action) => policy.permits(action, name).map(|grant| Some(grant.rule)),
        None if route == JOB && *method == Method::PUT => policy.may_submit(name).map(|()| None),
        None if OPEN.contains(&route) => Ok(None),
        // What nobody has thought of is not permitted either.
        None => Err(Denial::Nothing { nearest: None }),
    }
}

fn problem(policy: &Enforcer, denial: &Denial) -> Problem {
    let detail = match policy.policy() {
        Some(policy) => {
            format!(
                "policy {} of {}: {denial}; ask for what it permits, or its operator to change it",
                policy.serial, policy.whose.party
            )
        }
        None => denial.to_string(),
    };
    ProblemKind::Policy.because(detail)
}

impl Unpermitted {
    /// As the client is told.
    pub(super) fn into_problem(self, policy: &Enforcer) -> Problem {
        match self {
            Self::Denied(denial) => problem(policy, &denial),
            Self::Store(error) => error.into(),
        }
    }
}
