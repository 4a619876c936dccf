//! The files of the page, and the headers that keep it to itself.

use super::Site;
use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing,
};
use std::sync::Arc;
use trefoil_auth::scripts;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, type and text of the page's own files.
const FILES: [(&str, &str, &str); 4] = [
    ("/", HTML, include_str!("site/index.html")),
    ("/page.css", CSS, include_str!("site/page.css")),
    ("/page.js", SCRIPT, include_str!("site/page.js")),
    ("/device.js", SCRIPT, include_str!("site/device.js")),
];

/// What every answer says: nothing from elsewhere runs, nobody frames the page, nothing is kept.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

pub(super) fn routes() -> Router<Arc<Site>> {
    let scripts = scripts::ALL.map(|(name, text)| (format!("/{name}"), SCRIPT, text));
    let files = FILES.map(|(path, kind, text)| (path.to_owned(), kind, text)).into_iter().chain(scripts);
    files.fold(Router::new(), |router, (path, kind, text)| {
        router.route(&path, routing::get(async move || ([(header::CONTENT_TYPE, kind)], text).into_response()))
    })
}

pub(super) fn protected(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
