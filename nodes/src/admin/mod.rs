//! The admin listener: what the machine's own operators and monitoring ask a node, on a loopback address, without TLS.
//!
//! | request | answer |
//! |---|---|
//! | `GET /metrics` | [`Metrics`], as [`METRICS_TYPE`] |
//! | `GET /livez` | 200 while the node runs |
//! | `GET /readyz` | 200, or 503 and a line for each thing that is missing |
//! | `GET /log-filter` | the filter of the log |
//! | `PUT /log-filter` | changes it until the next start; 400 and why if it is none |
//!
//! Everybody who may use the machine may ask. Nothing here is secret, and no log is at any level.

mod ask;
mod filter;
mod listener;

pub use ask::ask;
pub use filter::{FilterFault, LogFilter};
pub use listener::Admin;
pub(crate) use listener::not_loopback;

use crate::{
    metrics::{METRICS_TYPE, Metrics},
    status::NodeStatus,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing,
};
use std::{fmt, net::IpAddr, sync::Arc};

/// Bytes of a filter at most.
const MAX_FILTER: usize = 4096;

/// Said by a node whose process has a log of its own.
const NO_FILTER: &str = "the log of this process is not the node's to filter\n";

/// What the handlers work on.
pub struct AdminApi {
    /// What the node counts.
    pub metrics: Arc<Metrics>,
    /// What it says of itself.
    pub status: Arc<dyn Fn() -> NodeStatus + Send + Sync>,
    /// The filter of its log, if it can be changed.
    pub filter: Option<LogFilter>,
}

impl AdminApi {
    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/metrics", routing::get(metrics))
            .route("/livez", routing::get(async || "alive\n"))
            .route("/readyz", routing::get(ready))
            .route("/log-filter", routing::get(filter).put(set_filter))
            .fallback(async || {
                (StatusCode::NOT_FOUND, "there are /metrics, /livez, /readyz and /log-filter; clients use listen.api\n")
            })
            .layer(DefaultBodyLimit::max(MAX_FILTER))
            .layer(middleware::from_fn(meant))
            .with_state(Arc::new(self))
    }
}

/// Whether this listener is meant. A page whose name leads to a loopback address, since its owner says so, may not read what is here.
async fn meant(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(is_own) || (host.is_none() && !request.headers().contains_key(header::HOST)) {
        return next.run(request).await;
    }
    let detail = "ask by the address of the listener, listen.admin in node.toml, or as localhost\n";
    (StatusCode::FORBIDDEN, detail).into_response()
}

fn is_own(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| {
        let host = authority.host();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        host.eq_ignore_ascii_case("localhost")
            || address.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
    })
}

async fn metrics(State(admin): State<Arc<AdminApi>>) -> Response {
    match admin.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(e) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("metrics as text: {e}; please report this\n")).into_response()
        }
    }
}

async fn ready(State(admin): State<Arc<AdminApi>>) -> Response {
    let missing = (admin.status)().unready;
    if missing.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n").into_response()
}

async fn filter(State(admin): State<Arc<AdminApi>>) -> Response {
    match &admin.filter {
        Some(filter) => (filter.text() + "\n").into_response(),
        None => (StatusCode::NOT_FOUND, NO_FILTER).into_response(),
    }
}

async fn set_filter(State(admin): State<Arc<AdminApi>>, headers: HeaderMap, text: String) -> Response {
    // A page in a browser on this machine is nobody who may.
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "pages may not change the filter; use curl\n").into_response();
    }
    let Some(filter) = &admin.filter else { return (StatusCode::NOT_FOUND, NO_FILTER).into_response() };
    match filter.set(text.trim()) {
        Ok(()) => format!("{}\n", text.trim()).into_response(),
        Err(e) => (StatusCode::BAD_REQUEST, format!("{e}\n")).into_response(),
    }
}

impl fmt::Debug for AdminApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminApi").field("filter", &self.filter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
