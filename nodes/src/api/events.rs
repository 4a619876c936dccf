//! `GET /v1/jobs/{id}/events`: where a job stands, as it changes (server-sent events, `text/event-stream`).

use super::{
    Api, Caller, Problem,
    jobs::{client, find},
};
use crate::job::{Follower, Job, JobEvent, JobState};
use axum::{
    Extension,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How often a job is looked at for what is no change of its state: events come no closer to each other than that, but for changes of the state.
const TICK: Duration = Duration::from_millis(500);

/// A stream without an event has a comment so often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A stream ends after this time; the client comes back and says what it has heard.
const LONGEST: Duration = Duration::from_mins(5);

/// One client that follows one job.
struct Following {
    api: Arc<Api>,
    job: Arc<Job>,
    state: watch::Receiver<JobState>,
    told: Option<String>,
    is_over: bool,
    end: Instant,
    _place: Follower,
}

pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = find(&api, &caller, &id)?;
    let told = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let now = event(&api, &job);
    if now.is_final() && told.as_ref() == Some(&now.id()) {
        // Nothing follows: this keeps browsers from coming back.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let place = api.jobs.follow(client(&caller)?)?;
    let (state, end) = (job.watch(), Instant::now() + LONGEST);
    let following = Following { api, job, state, told, is_over: false, end, _place: place };
    let stream = stream::unfold(following, Following::next);
    let sse = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([(header::CACHE_CONTROL, "no-store")], sse).into_response())
}

fn event(api: &Api, job: &Job) -> JobEvent {
    JobEvent::new(job.state(), api.runner.before(job), (job.bytes_sent(), job.progress()))
}

impl Following {
    /// The next event, if there is one.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        while !self.is_over && Instant::now() < self.end {
            let event = event(&self.api, &self.job);
            let id = event.id();
            if self.told.as_ref() != Some(&id) {
                let text = serde_json::to_string(&event).unwrap_or_default();
                self.is_over = event.is_final();
                self.told = Some(id.clone());
                return Some((Ok(Event::default().id(id).event("state").data(text)), self));
            }
            // Either way the job is looked at again; a sender that is gone leaves the state as it is.
            let _ = tokio::time::timeout(TICK, self.state.changed()).await;
        }
        None
    }
}
