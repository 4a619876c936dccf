//! The handlers of `/v1/keys`.

use super::{
    Caller, Problem, ProblemKind,
    jobs::{announced_as, client},
    json::Form,
    links::Links,
};
use crate::{
    job::{BodyFault, Limits, MAX_SPEC_BYTES, read_spec},
    keys::{
        Enrolment, ExchangeId, IssueRequest, KEY_MEDIA_TYPE, KeyFault, KeyId, KeySpec, Keys, RecoverySpec, SignRequest,
    },
    pki::ClientName,
    receipt::Nonce,
};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{FromRequestParts, Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing,
};
use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};
use std::{fmt, sync::Arc};
use trefoil_auth::{
    Error as AuthError,
    rsa::{NodeKey, RecoveryPart},
};
use zeroize::Zeroizing;

/// The longest share or part of one: a share of a key of 4,096 bits, with components of a device's share.
const MAX_SHARE: u64 = 8 << 10;

/// The longest request for a signature or a share.
const MAX_REQUEST: usize = 1 << 10;

/// A request for a signature.
const SIGN: Form =
    Form { most: MAX_REQUEST, remedy: "send {\"hash\": \"SHA-256\", \"digest\": \"HEXADECIMAL\"} as application/json" };

/// A request with a claim in it.
const CLAIM: Form = Form {
    most: MAX_REQUEST,
    remedy: "send {\"claim\": \"64 hexadecimal digits\"} as application/json, and for a share \"role\": \"device\" or \"recovery\"",
};

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

/// Of which enrolment, and by which request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfEnrolment {
    enrolment: Option<ExchangeId>,
    nonce: Option<Nonce>,
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
            .route("/v1/keys/{name}/sign", routing::post(sign))
            .route("/v1/keys/{name}/refresh", routing::post(refresh))
            .route("/v1/keys/{name}/settle", routing::post(settle))
            .route("/v1/keys/{name}/recovery", routing::put(recover))
            .route("/v1/keys/{name}/recovery/share", routing::post(issue))
            .route("/v1/keys/{name}/recovery/done", routing::post(issued))
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
    Extension(links): Extension<Links>,
    step: StepOf,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Problem> {
    if step.id.owner != step.caller {
        return Err(ProblemKind::BadRequest.because("a key is enrolled by its owner; leave the parameter owner out"));
    }
    if let Err(down) = links.are_up()
        && api.keys.get(&step.caller, &step.id).await.is_err()
    {
        return Err(down);
    }
    let (spec, share): (KeySpec, _) = secret(&api, &headers, body).await?;
    let share = NodeKey::decode(&share).map_err(|e| ProblemKind::InvalidKey.because(e.to_string()))?;
    let (status, new) = api.keys.enrol(step.id, Enrolment { spec, share }, step.exchange).await?;
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
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Problem> {
    let request: SignRequest = SIGN.read_typed((&headers, body), &api.limits).await?;
    let id = key(&caller, of(query)?, &name)?;
    Ok(answer(StatusCode::OK, &api.keys.sign_document(client(&caller)?, &id, &request).await?))
}

/// `POST /v1/keys/{name}/refresh?exchange=ID`: new shares at all three nodes.
async fn refresh(
    State(api): State<Arc<KeysApi>>,
    Extension(links): Extension<Links>,
    step: StepOf,
) -> Result<Response, Problem> {
    links.are_up()?;
    Ok(answer(StatusCode::OK, &api.keys.refresh(&step.caller, step.id, step.exchange).await?))
}

/// `POST /v1/keys/{name}/settle?exchange=ID`: the end of a step that was interrupted.
async fn settle(State(api): State<Arc<KeysApi>>, step: StepOf) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &api.keys.settle(&step.caller, step.id, step.exchange).await?))
}

/// `PUT /v1/keys/{name}/recovery?exchange=ID`: this node's part of the recovery share; new shares at all three nodes, and of the device.
async fn recover(
    State(api): State<Arc<KeysApi>>,
    Extension(links): Extension<Links>,
    step: StepOf,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Problem> {
    links.are_up()?;
    let (spec, part): (RecoverySpec, _) = secret(&api, &headers, body).await?;
    let part = RecoveryPart::decode(&part).map_err(|e| ProblemKind::InvalidKey.because(e.to_string()))?;
    let status = api.keys.recover(&step.caller, (step.id, step.exchange), (spec, part)).await?;
    Ok(answer(StatusCode::OK, &status))
}

/// `POST /v1/keys/{name}/recovery/share`: this node's components of a share that a recovery has made.
async fn issue(
    State(api): State<Arc<KeysApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Problem> {
    let request: IssueRequest = CLAIM.read_typed((&headers, body), &api.limits).await?;
    let issued = api.keys.issue(client(&caller)?, &key(&caller, None, &name)?, &request).await?;
    let kind = HeaderValue::from_static("application/octet-stream");
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store")), (header::CONTENT_TYPE, kind)];
    Ok((headers, Body::from(Bytes::from_owner(issued))).into_response())
}

/// `POST /v1/keys/{name}/recovery/done`: the new shares are where they belong.
async fn issued(
    State(api): State<Arc<KeysApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Problem> {
    let spec: RecoverySpec = CLAIM.read_typed((&headers, body), &api.limits).await?;
    Ok(answer(StatusCode::OK, &api.keys.issued(client(&caller)?, key(&caller, None, &name)?, spec).await?))
}

/// `DELETE /v1/keys/{name}?enrolment=ID&nonce=ID`: erases this node's shares.
async fn delete(
    State(api): State<Arc<KeysApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    query: Result<Query<OfEnrolment>, QueryRejection>,
) -> Result<Response, Problem> {
    let bad = |e| {
        ProblemKind::BadRequest
            .because(format!("{e}; the parameters are enrolment and nonce, 32 lower-case hexadecimal digits each"))
    };
    let Query(OfEnrolment { enrolment, nonce }) = query.map_err(bad)?;
    let id = key(&caller, None, &name)?;
    Ok(answer(StatusCode::OK, &api.keys.delete(client(&caller)?, id, (enrolment, nonce)).await?))
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

/// Which step, with which key, and who asks for it.
struct StepOf {
    caller: ClientName,
    id: KeyId,
    exchange: ExchangeId,
}

impl<S: Send + Sync> FromRequestParts<S> for StepOf {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Extension(caller) = Extension::<Caller>::from_request_parts(parts, state).await.map_err(unplaced)?;
        let Path(name) = Path::<String>::from_request_parts(parts, state).await.map_err(unplaced)?;
        let query = Query::<OfExchange>::from_request_parts(parts, state).await;
        let Query(OfExchange { exchange, owner }) = query.map_err(|e| {
            let form =
                "exchange, 32 lower-case hexadecimal digits that all three nodes are sent, and owner, a client's name";
            ProblemKind::BadRequest.because(format!("{e}; the parameters are {form}"))
        })?;
        Ok(Self { caller: client(&caller)?.clone(), id: key(&caller, owner, &name)?, exchange })
    }
}

/// The routes give every handler what it takes.
#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unplaced(fault: impl fmt::Display) -> Problem {
    ProblemKind::Internal.because(format!("{fault}; please report this"))
}

/// What is said of a share, and the share.
async fn secret<T: DeserializeOwned>(
    api: &KeysApi,
    headers: &HeaderMap,
    body: Body,
) -> Result<(T, Zeroizing<Vec<u8>>), Problem> {
    let length = announced_as(headers, KEY_MEDIA_TYPE)?;
    let most = MAX_SPEC_BYTES as u64 + MAX_SHARE;
    if length > most {
        return Err(ProblemKind::TooLarge.because(format!("a share and what is said of it have {most} bytes at most")));
    }
    let read = read_spec(body.into_data_stream(), length, &api.limits).await;
    let (spec, mut rest): (T, _) = read.map_err(|fault| match fault {
        BodyFault::Spec(_) => ProblemKind::InvalidKey.because(fault.to_string()),
        other => other.into(),
    })?;
    let mut share = Zeroizing::new(vec![0; usize::try_from(rest.left().min(most)).unwrap_or(0)]);
    rest.fill(&mut share).await?;
    rest.end().await?;
    Ok((spec, share))
}

fn answer(status: StatusCode, body: &impl serde::Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}

impl From<KeyFault> for Problem {
    fn from(fault: KeyFault) -> Self {
        if let KeyFault::Withheld(_) = fault {
            return ProblemKind::of_another(fault.to_string());
        }
        let kind = match &fault {
            KeyFault::Missing(_) | KeyFault::Withheld(_) => ProblemKind::NotFound,
            KeyFault::Taken(..) => ProblemKind::Conflict,
            KeyFault::Invalid(_)
            | KeyFault::Over(..)
            | KeyFault::Use(_)
            | KeyFault::NotIssuing(_)
            | KeyFault::Issuing(_)
            | KeyFault::Recovered
            | KeyFault::Key(
                AuthError::Shares { .. }
                | AuthError::Purpose
                | AuthError::Recovery
                | AuthError::Malformed { .. }
                | AuthError::Foreign { .. }
                | AuthError::Key { .. }
                | AuthError::Length { .. },
            ) => ProblemKind::InvalidKey,
            KeyFault::Key(AuthError::State { .. }) | KeyFault::Together(_) => ProblemKind::Together,
            KeyFault::Limit(_) => ProblemKind::Full,
            KeyFault::Rate { .. } => ProblemKind::Rate,
            KeyFault::Crowded(_) | KeyFault::UnderWay(_) => ProblemKind::Busy,
            KeyFault::Store(error) => return error.into(),
            KeyFault::Key(_) | KeyFault::Bug(_) => ProblemKind::Internal,
        };
        kind.because(fault.to_string())
    }
}
