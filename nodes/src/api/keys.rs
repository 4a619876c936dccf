//! The handlers of `/v1/keys`.

use super::{
    Caller, Problem, ProblemKind,
    jobs::{announced_as, client},
};
use crate::{
    job::{BodyFault, Limits, MAX_SPEC_BYTES, read_spec},
    keys::{Enrolment, ExchangeId, KEY_MEDIA_TYPE, KeyFault, KeyId, KeySpec, Keys, SignRequest},
    pki::ClientName,
};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing,
};
use serde::Deserialize;
use std::{fmt, sync::Arc};
use trefoil_auth::{Error as AuthError, rsa::NodeKey};
use zeroize::Zeroizing;

/// The longest share: one of a key of 4,096 bits, with components of a device's share.
const MAX_SHARE: u64 = 8 << 10;

/// The longest request for a signature.
const MAX_REQUEST: usize = 1 << 10;

/// What the handlers of `/v1/keys` work on.
pub struct KeysApi {
    /// The keys of this node.
    pub keys: Arc<Keys>,
    /// What it takes.
    pub limits: Limits,
}

/// Whose key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Of {
    owner: Option<ClientName>,
}

/// Of which enrolment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfEnrolment {
    enrolment: Option<ExchangeId>,
}

/// Which step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfExchange {
    exchange: ExchangeId,
    owner: Option<ClientName>,
}

impl KeysApi {
    /// The routes. Every request must carry a [`Caller`] as an extension.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/v1/keys", routing::get(list))
            .route("/v1/keys/{name}", routing::put(put).get(get).delete(delete))
            .route("/v1/keys/{name}/sign", routing::post(sign).layer(DefaultBodyLimit::max(MAX_REQUEST)))
            .route("/v1/keys/{name}/refresh", routing::post(refresh))
            .route("/v1/keys/{name}/settle", routing::post(settle))
            .method_not_allowed_fallback(async || ProblemKind::Method.because("this resource has other methods"))
            .with_state(self)
    }
}

impl fmt::Debug for KeysApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeysApi").field(&self.keys).finish()
    }
}

/// `PUT /v1/keys/{name}?exchange=ID`: this node's share of a key of the caller.
async fn put(
    State(api): State<Arc<KeysApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    query: Result<Query<OfExchange>, QueryRejection>,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Problem> {
    let OfExchange { exchange, owner } = step(query)?;
    let id = key(&caller, owner, &name)?;
    if id.owner != *client(&caller)? {
        return Err(ProblemKind::BadRequest.because("a key is enrolled by its owner; leave the parameter owner out"));
    }
    let length = announced_as(&headers, KEY_MEDIA_TYPE)?;
    let most = MAX_SPEC_BYTES as u64 + MAX_SHARE;
    if length > most {
        return Err(ProblemKind::TooLarge.because(format!("an enrolment has {most} bytes at most")));
    }
    let read = read_spec(body.into_data_stream(), length, &api.limits).await;
    let (spec, mut rest): (KeySpec, _) = read.map_err(|fault| match fault {
        BodyFault::Spec(_) => ProblemKind::InvalidKey.because(fault.to_string()),
        other => other.into(),
    })?;
    let mut share = Zeroizing::new(vec![0; usize::try_from(rest.left().min(most)).unwrap_or(0)]);
    rest.fill(&mut share).await?;
    rest.end().await?;
    let share = NodeKey::decode(&share).map_err(|e| ProblemKind::InvalidKey.because(e.to_string()))?;
    let (status, new) = api.keys.enrol(id, Enrolment { spec, share }, exchange).await?;
    Ok(answer(if new { StatusCode::CREATED } else { StatusCode::OK }, &status))
}

/// `GET /v1/keys`: the caller's keys.
async fn list(State(api): State<Arc<KeysApi>>, Extension(caller): Extension<Caller>) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &api.keys.list(client(&caller)?).await?))
}

/// `GET /v1/keys/{name}?owner=NAME`: a key that the caller may use.
async fn get(
    State(api): State<Arc<KeysApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    query: Result<Query<Of>, QueryRejection>,
) -> Result<Response, Problem> {
    let id = key(&caller, of(query)?, &name)?;
    Ok(answer(StatusCode::OK, &api.keys.get(client(&caller)?, &id).await?))
}

/// `POST /v1/keys/{name}/sign?owner=NAME`: this node's part of a signature.
async fn sign(
    State(api): State<Arc<KeysApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    query: Result<Query<Of>, QueryRejection>,
    request: Result<Json<SignRequest>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = request.map_err(|e| {
        ProblemKind::BadRequest
            .because(format!("{e}; send {{\"hash\": \"SHA-256\", \"digest\": \"HEXADECIMAL\"}} as application/json"))
    })?;
    let id = key(&caller, of(query)?, &name)?;
    Ok(answer(StatusCode::OK, &api.keys.sign_document(client(&caller)?, &id, &request).await?))
}

/// `POST /v1/keys/{name}/refresh?exchange=ID`: new shares at all three nodes.
async fn refresh(
    State(api): State<Arc<KeysApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    query: Result<Query<OfExchange>, QueryRejection>,
) -> Result<Response, Problem> {
    let OfExchange { exchange, owner } = step(query)?;
    let id = key(&caller, owner, &name)?;
    Ok(answer(StatusCode::OK, &api.keys.refresh(client(&caller)?, id, exchange).await?))
}

/// `POST /v1/keys/{name}/settle?exchange=ID`: the end of a step that was interrupted.
async fn settle(
    State(api): State<Arc<KeysApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    query: Result<Query<OfExchange>, QueryRejection>,
) -> Result<Response, Problem> {
    let OfExchange { exchange, owner } = step(query)?;
    let id = key(&caller, owner, &name)?;
    Ok(answer(StatusCode::OK, &api.keys.settle(client(&caller)?, id, exchange).await?))
}

/// `DELETE /v1/keys/{name}?enrolment=ID`: erases this node's shares.
async fn delete(
    State(api): State<Arc<KeysApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    query: Result<Query<OfEnrolment>, QueryRejection>,
) -> Result<Response, Problem> {
    let bad = |e| {
        ProblemKind::BadRequest
            .because(format!("{e}; the only parameter is enrolment, 32 lower-case hexadecimal digits"))
    };
    let Query(OfEnrolment { enrolment }) = query.map_err(bad)?;
    let id = key(&caller, None, &name)?;
    Ok(answer(StatusCode::OK, &api.keys.delete(client(&caller)?, id, enrolment).await?))
}

fn key(caller: &Caller, owner: Option<ClientName>, name: &str) -> Result<KeyId, Problem> {
    let caller = client(caller)?;
    let name = name.parse().map_err(|e: String| ProblemKind::BadRequest.because(e))?;
    Ok(KeyId { owner: owner.unwrap_or_else(|| caller.clone()), name })
}

fn of(query: Result<Query<Of>, QueryRejection>) -> Result<Option<ClientName>, Problem> {
    let bad = |e| ProblemKind::BadRequest.because(format!("{e}; the only parameter is owner, a client's name"));
    query.map(|Query(Of { owner })| owner).map_err(bad)
}

fn step(query: Result<Query<OfExchange>, QueryRejection>) -> Result<OfExchange, Problem> {
    let bad = |e| {
        let form =
            "exchange, 32 lower-case hexadecimal digits that all three nodes are sent, and owner, a client's name";
        ProblemKind::BadRequest.because(format!("{e}; the parameters are {form}"))
    };
    query.map(|Query(step)| step).map_err(bad)
}

fn answer(status: StatusCode, body: &impl serde::Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}

impl From<KeyFault> for Problem {
    fn from(fault: KeyFault) -> Self {
        let kind = match &fault {
            KeyFault::Missing(_) => ProblemKind::NotFound,
            KeyFault::Taken(..) => ProblemKind::Conflict,
            KeyFault::Invalid(_)
            | KeyFault::Use(_)
            | KeyFault::Key(
                AuthError::Shares { .. }
                | AuthError::Purpose
                | AuthError::Foreign { .. }
                | AuthError::Key { .. }
                | AuthError::Length { .. },
            ) => ProblemKind::InvalidKey,
            KeyFault::Key(AuthError::State { .. }) | KeyFault::Together(_) => ProblemKind::Together,
            KeyFault::Limit(_) => ProblemKind::Full,
            KeyFault::Rate { .. } => ProblemKind::Rate,
            KeyFault::Busy(_) => ProblemKind::Busy,
            KeyFault::Store(error) => {
                // The client is not told of files of the node.
                tracing::error!("{error}");
                return ProblemKind::Storage.because("the store of the node failed; its operator finds the cause in its log, and the next attempt settles what was begun");
            }
            KeyFault::Key(_) | KeyFault::Bug(_) => ProblemKind::Internal,
        };
        kind.because(fault.to_string())
    }
}
