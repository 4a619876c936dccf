//! Requests of clients, and what came of logins and of steps with keys.

use super::{Histograms, seconds, waits};
use crate::api::ProblemKind;
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::{self, Next},
    response::Response,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// What clients ask. Clones count together.
#[derive(Clone, Debug)]
pub struct ApiMetrics {
    requests: Family<Answered, Counter>,
    durations: Histograms<Asked>,
    logins: Family<Login, Counter>,
    key_steps: Family<KeyStep, Counter>,
    refused: Family<Refused, Counter>,
    connections: Counter,
    open: Gauge,
    routes: Routes,
}

/// The routes that were asked for, so that each text is kept once. They are those of the router: no request makes a new one.
type Routes = Arc<Mutex<HashSet<Arc<str>>>>;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Asked {
    method: &'static str,
    route: Arc<str>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Answered {
    method: &'static str,
    route: Arc<str>,
    status: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Login {
    ceremony: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct KeyStep {
    step: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Refused {
    reason: &'static str,
}

/// The outcome of what was done.
const DONE: &str = "done";

const CEREMONIES: [((&str, &str), &str); 3] = [
    (("PUT", "/v1/auth/logins/{id}"), "login"),
    (("PUT", "/v1/auth/tokens/{id}"), "token"),
    (("PUT", "/v1/auth/searches/{id}"), "search"),
];

const KEY_STEPS: [((&str, &str), &str); 8] = [
    (("PUT", "/v1/keys/{name}"), "enrol"),
    (("DELETE", "/v1/keys/{name}"), "delete"),
    (("POST", "/v1/keys/{name}/sign"), "sign"),
    (("POST", "/v1/keys/{name}/refresh"), "refresh"),
    (("POST", "/v1/keys/{name}/settle"), "settle"),
    (("PUT", "/v1/keys/{name}/recovery"), "recovery"),
    (("POST", "/v1/keys/{name}/recovery/share"), "recovery-share"),
    (("POST", "/v1/keys/{name}/recovery/done"), "recovery-done"),
];

/// Why a client was not let in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Refusal {
    /// The TLS handshake failed: no certificate, or one of another cluster.
    Tls,
    /// There was no handshake in time.
    Slow,
    /// It had not said who it is when others came.
    Crowded,
    /// There is neither a certificate nor a token that is taken.
    Token,
    /// The client has its share of the connections.
    Share,
    /// There are as many connections as may be.
    Full,
}

/// A connection that is open.
#[derive(Debug)]
pub struct Open(Gauge);

impl ApiMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(waits),
            logins: Family::default(),
            key_steps: Family::default(),
            refused: Family::default(),
            connections: Counter::default(),
            open: Gauge::default(),
            routes: Arc::default(),
        };
        registry.register("api_requests", "Requests that were answered", this.requests.clone());
        let help = "From the head of a request to the head of its answer; requests that wait for a job included";
        seconds(registry, ("api_request_duration", help), this.durations.clone());
        let help = "Logins, tokens and searches by outcome: done, or the problem that was answered";
        registry.register("logins", help, this.logins.clone());
        let help = "Steps with signing keys by outcome: done, or the problem that was answered";
        registry.register("key_steps", help, this.key_steps.clone());
        let help = "Clients that were not let in: by TLS, slow in the handshake, displaced by others before they were known, without a good token, beyond a client's share, or beyond limits.connections";
        registry.register("api_refused", help, this.refused.clone());
        registry.register("api_connections", "Connections of clients that were let in", this.connections.clone());
        registry.register("api_open_connections", "Connections of clients now", this.open.clone());
        for refusal in Refusal::ALL {
            this.refused.get_or_create(&Refused { reason: refusal.name() }).inc_by(0);
        }
        for ceremony in CEREMONIES.map(|(_, ceremony)| ceremony) {
            this.logins.get_or_create(&Login { ceremony, outcome: DONE }).inc_by(0);
        }
        for step in KEY_STEPS.map(|(_, step)| step) {
            this.key_steps.get_or_create(&KeyStep { step, outcome: DONE }).inc_by(0);
        }
        this
    }

    /// A router whose requests are counted.
    pub fn count(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), counted))
    }

    /// A client was not let in.
    pub fn refused(&self, refusal: Refusal) {
        self.refused.get_or_create(&Refused { reason: refusal.name() }).inc();
    }

    /// A client was let in. It is gone when this is dropped.
    pub fn connected(&self) -> Open {
        self.connections.inc();
        self.open.inc();
        Open(self.open.clone())
    }

    fn route(&self, path: Option<&MatchedPath>) -> Arc<str> {
        let path = path.map_or("none", MatchedPath::as_str);
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(path) {
            return route.clone();
        }
        let route: Arc<str> = path.into();
        routes.insert(route.clone());
        route
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Refusal {
    const ALL: [Self; 6] = [Self::Tls, Self::Slow, Self::Crowded, Self::Token, Self::Share, Self::Full];

    /// Its name in the metrics and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Slow => "slow",
            Self::Crowded => "crowded",
            Self::Token => "token",
            Self::Share => "share",
            Self::Full => "full",
        }
    }
}

async fn counted(State(metrics): State<ApiMetrics>, request: Request, next: Next) -> Response {
    let (method, begin) = (method(request.method()), Instant::now());
    let route = metrics.route(request.extensions().get());
    let response = next.run(request).await;
    let (route, again) = (route.clone(), route);
    metrics.durations.get_or_create(&Asked { method, route }).observe(begin.elapsed().as_secs_f64());
    let status = response.status();
    // What a problem document is of; other refusals of the router have none.
    let problem = response.extensions().get::<ProblemKind>().map(|kind| kind.name());
    let outcome = if status.is_success() { DONE } else { problem.unwrap_or("other") };
    if let Some(ceremony) = named(&CEREMONIES, (method, &*again)) {
        metrics.logins.get_or_create(&Login { ceremony, outcome }).inc();
    } else if let Some(step) = named(&KEY_STEPS, (method, &*again)) {
        metrics.key_steps.get_or_create(&KeyStep { step, outcome }).inc();
    }
    metrics.requests.get_or_create(&Answered { method, route: again, status: status.as_u16() }).inc();
    response
}

pub(crate) fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}

fn named(table: &[((&str, &str), &'static str)], request: (&str, &str)) -> Option<&'static str> {
    table.iter().find(|(of, _)| *of == request).map(|(_, name)| *name)
}
