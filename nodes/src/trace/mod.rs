//! Spans of what a node does: requests, jobs and their steps, upkeep.
//!
//! They are for an OpenTelemetry collector alone, where `node.toml` names one ([`Telemetry`]), and never part of the log. Where there is none, none is made.
//! They say what the log says, and less of it: no span has the name of a client, a user or a table. There is none for a round or a gate, so that their number does not grow with a job.

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod collector;
#[cfg(feature = "otlp")]
mod otlp;
mod telemetry;

#[cfg(not(feature = "otlp"))]
pub use absent::Traces;
#[cfg(feature = "otlp")]
pub use otlp::Traces;
pub use telemetry::Telemetry;

use crate::{
    job::{Job, JobId, JobState},
    metrics::{method, outcome, program},
    upkeep::Task,
};
use axum::{
    Router,
    extract::{MatchedPath, Request},
    middleware::{self, Next},
    response::Response,
};
use tracing::{Instrument as _, Span, field::Empty, info_span};

/// The target of all spans.
const TARGET: &str = "trefoil_nodes::span";

/// A router with a span for each request, by the pattern of its route. It is the child of the client's own if the request has a `traceparent` (W3C Trace Context).
pub fn requests(router: Router) -> Router {
    router.layer(middleware::from_fn(traced))
}

async fn traced(request: Request, next: Next) -> Response {
    let span = self::request(&request);
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", i64::from(response.status().as_u16()));
    if response.status().is_server_error() {
        failed(&span);
    }
    response
}

/// The span of a request.
pub(crate) fn request(request: &Request) -> Span {
    let method = method(request.method());
    let route = request.extensions().get().map_or("none", MatchedPath::as_str);
    let span = info_span!(
        target: TARGET,
        "request",
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
    );
    #[cfg(feature = "otlp")]
    otlp::continue_of(&span, request.headers());
    span
}

/// The span of a job that has been accepted, until its end.
pub(crate) fn job(job: &Job) -> Span {
    info_span!(
        target: TARGET,
        "job",
        otel.status_code = Empty,
        job.id = %job.id(),
        job.program = job.entry().program.map_or("none", program),
        job.mode = %job.terms().mode,
        job.outcome = Empty,
        job.rounds = Empty,
        job.bytes_sent = Empty,
    )
}

/// What became of a job, in its span.
pub(crate) fn ended(span: &Span, state: &JobState) {
    if span.is_disabled() {
        return;
    }
    span.record("job.outcome", outcome(state));
    match state {
        JobState::Done { cost } => {
            span.record("job.rounds", i64::try_from(cost.rounds).unwrap_or(i64::MAX));
            span.record("job.bytes_sent", i64::try_from(cost.bytes_sent).unwrap_or(i64::MAX));
        }
        _ => failed(span),
    }
}

/// The span of a step of a job.
pub(crate) fn step(name: &'static str) -> Span {
    info_span!(target: TARGET, "step", otel.name = name)
}

/// The span of an upkeep of the stores.
pub(crate) fn upkeep(task: Task, session: JobId) -> Span {
    info_span!(target: TARGET, "upkeep", otel.status_code = Empty, upkeep.task = %task, upkeep.session = %session)
}

/// What a span is of has failed.
pub(crate) fn failed(span: &Span) {
    span.record("otel.status_code", "ERROR");
}

#[cfg(all(test, feature = "otlp"))]
pub(crate) mod tests;
