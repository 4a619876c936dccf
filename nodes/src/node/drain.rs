//! Stopping in order: nothing new is begun, what is under way ends.

use crate::{
    api::{Held, ProblemKind},
    job::Jobs,
};
use axum::{
    Router,
    extract::{Request, State},
    http::Method,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// How often it is looked whether anything is left.
const LOOK: Duration = Duration::from_millis(10);

/// How long clients have to fetch what their jobs have computed, after the last has ended.
const FETCH: Duration = Duration::from_secs(5);

/// What is under way besides jobs.
#[derive(Clone, Debug)]
pub(super) struct Drain {
    pub(super) begun: Arc<AtomicBool>,
    steps: Arc<AtomicUsize>,
}

impl Drain {
    pub(super) fn new() -> Self {
        Self { begun: Arc::default(), steps: Arc::default() }
    }

    /// A router that begins nothing new once the drain has begun. Jobs are refused where they are admitted: one that is there already is known again.
    pub(super) fn guard(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), guarded))
    }

    /// Lets jobs and other steps end, for so long at most. Says how many are left.
    pub(super) async fn wait(&self, jobs: &Jobs, within: Duration) -> usize {
        self.begun.store(true, SeqCst);
        let since = jobs.drain();
        let end = Instant::now() + within;
        let left = || jobs.load().0 as usize + self.steps.load(SeqCst);
        let busy = left() > 0;
        while left() > 0 && Instant::now() < end {
            tokio::time::sleep(LOOK).await;
        }
        // Outputs of jobs that do not have them stored are in memory, and clients of the others are about to ask.
        let fetch = end.min(Instant::now() + FETCH);
        while busy && jobs.done_since(since) > 0 && Instant::now() < fetch {
            tokio::time::sleep(LOOK).await;
        }
        left()
    }
}

/// A step under way.
struct Step(Arc<AtomicUsize>);

impl Drop for Step {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

async fn guarded(State(drain): State<Drain>, mut request: Request, next: Next) -> Response {
    if !begins(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    // Counted before it is looked, in one order for all: whoever waits for the count to fall sees it.
    drain.steps.fetch_add(1, SeqCst);
    // It ends with the work, also where the client has gone away before.
    let step = Arc::new(Step(drain.steps.clone()));
    request.extensions_mut().insert(Held::new(step.clone()));
    if drain.begun.load(SeqCst) {
        return ProblemKind::Unready
            .because("the node is about to stop; come back when it has been restarted")
            .into_response();
    }
    next.run(request).await
}

/// Whether a request begins something that the node does not do when it is about to stop.
fn begins(method: &Method, path: &str) -> bool {
    matches!(*method, Method::PUT | Method::POST) && !path.starts_with("/v1/jobs/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Limits;

    #[test]
    fn answers_can_be_fetched_and_nothing_is_begun() {
        for (method, path) in [
            (Method::PUT, "/v1/auth/logins/00"),
            (Method::POST, "/v1/keys/code/sign"),
            (Method::PUT, "/v1/tables/loans/1"),
        ] {
            assert!(begins(&method, path), "{method} {path}");
        }
        for (method, path) in [
            (Method::GET, "/v1/jobs/00/outputs/0"),
            (Method::DELETE, "/v1/jobs/00"),
            (Method::PUT, "/v1/jobs/00"),
            (Method::GET, "/readyz"),
        ] {
            assert!(!begins(&method, path), "{method} {path}");
        }
    }

    #[tokio::test]
    async fn what_does_not_end_in_time_is_counted() {
        let (drain, jobs) = (Drain::new(), Jobs::new(Limits::default(), Arc::new(())));
        assert_eq!(drain.wait(&jobs, Duration::from_mins(1)).await, 0, "nothing is waited for");
        let step = Drain::new();
        step.steps.fetch_add(1, SeqCst);
        assert_eq!(step.wait(&jobs, Duration::from_millis(20)).await, 1);
        let ends = async { drop(Step(step.steps.clone())) };
        let (left, ()) = tokio::join!(step.wait(&jobs, Duration::from_mins(1)), ends);
        assert_eq!(left, 0);
    }
}
