//! What the page sends to a node, passed on as it is.

use super::{Site, problem};
use crate::{
    client::Passed,
    seal::{MAX_SEALED_BYTES, SEALED_MEDIA_TYPE, SEALED_TYPE},
};
use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use std::sync::Arc;
use trefoil_auth::webauthn;
use trefoil_engine::Party;

/// The longest body that is passed on.
pub(super) const MOST_BYTES: usize = MAX_SEALED_BYTES as usize;

/// The one request without a body.
const SEAL_KEY: &str = "v1/seal-key";

/// Passes a request on to a node, and its answer back.
pub(super) async fn pass_on(
    State(site): State<Arc<Site>>,
    Path((party, path)): Path<(usize, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(party) = Party::from_index(party) else {
        return (StatusCode::NOT_FOUND, problem("there are the nodes 0, 1 and 2")).into_response();
    };
    let reads = method != Method::PUT;
    let permitted = if reads { path == SEAL_KEY } else { is_sealed(&headers) && site.permits(&path) };
    if !permitted {
        let detail =
            "this is not passed on: a page sends sealed keys and templates while it registers, and sealed logins";
        return (StatusCode::FORBIDDEN, problem(detail)).into_response();
    }
    let passed = ["content-type", SEALED_TYPE];
    let headers = passed.into_iter().filter_map(|name| Some((name, headers.get(name)?.clone()))).collect();
    let target = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    match site.client.pass_on(party, (method, &target), headers, body).await {
        Ok(Passed { status, content_type, body }) => {
            let kind = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
            (status, [(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, problem(&error.to_string())).into_response(),
    }
}

impl Site {
    /// Whether a page may have this done. A login is for the nodes to judge; keys and templates are those of who registers just now.
    fn permits(&self, path: &str) -> bool {
        let registers = |name: &str| self.relying_party().registers(|handle| name_of(handle) == name);
        match path.split('/').collect::<Vec<_>>()[..] {
            ["v1", "auth", "logins", id] => id.bytes().all(|digit| digit.is_ascii_hexdigit()),
            ["v1", "keys", name] | ["v1", "auth", "users", name, "templates", "eye"] => registers(name),
            _ => false,
        }
    }
}

/// The name of a user's templates and key at the nodes.
pub(super) fn name_of(handle: &[u8]) -> String {
    hex::encode(&handle[..handle.len().min(16)])
}

/// The same, by the handle as options have it.
pub(super) fn name(handle: &str) -> Option<String> {
    let bytes: webauthn::Bytes = serde_json::from_value(handle.into()).ok()?;
    Some(name_of(&bytes.0))
}

fn is_sealed(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value == SEALED_MEDIA_TYPE)
}
