//! The handlers of `/v1/auth`.

mod tokens;

use super::{
    Caller, Problem, ProblemKind,
    jobs::{announced_as, client},
    json::Form,
    links::Links,
};
use crate::{
    auth::{
        AUTH_MEDIA_TYPE, Answer, Auth, AuthFault, CredentialSpec, CredentialStatus, EnrolSpec, Found, LoginSpec,
        RefreshSpec, SearchSpec, TemplateKind, TemplateName, TemplateStatus, UserName, UserStatus,
    },
    job::{FailureKind, Intake, JobId, Limits, MAX_SPEC_BYTES, NotAJobId, read_spec},
    keys::KeyFault,
    pki::ClientName,
    receipt::Nonce,
};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing,
};
use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, str::FromStr, sync::Arc};
use tracing::info;
use trefoil_circuits::program::InputVector;
use zeroize::Zeroizing;

/// A description that comes without shares.
const SPEC: Form = Form { most: MAX_SPEC_BYTES, remedy: "write it as docs/api.md says" };

/// Seconds by which the counter of a device may be behind that has just logged in.
const MOMENT: u32 = 60;

/// What the handlers work on.
#[derive(Debug)]
pub(super) struct AuthApi {
    auth: Arc<Auth>,
    limits: Limits,
}

/// By which request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRequest {
    nonce: Option<Nonce>,
}

/// The routes, to be merged with those of [`Api`](super::Api), which runs all that changes something in tasks of their own.
pub fn auth_router(auth: Arc<Auth>, limits: Limits) -> Router {
    Router::new()
        .route("/v1/auth/users", routing::get(users))
        .route("/v1/auth/users/{user}", routing::delete(delete_user))
        .route("/v1/auth/users/{user}/refresh", routing::post(refresh))
        .route("/v1/auth/users/{user}/templates/{name}", routing::put(enrol).delete(delete_template))
        .route("/v1/auth/credentials", routing::get(credentials))
        .route("/v1/auth/credentials/{id}", routing::put(put_credential).delete(delete_credential))
        .route("/v1/auth/logins/{id}", routing::put(login))
        .route("/v1/auth/searches/{id}", routing::put(search))
        .route("/v1/auth/issuers", routing::get(tokens::issuers))
        .route(
            "/v1/auth/issuers/{name}",
            routing::put(tokens::put_issuer).get(tokens::issuer).delete(tokens::delete_issuer),
        )
        .route("/v1/auth/tokens/{id}", routing::put(tokens::token))
        .route("/v1/auth/jwks", routing::get(tokens::jwks))
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::new(AuthApi { auth, limits }))
}

/// `PUT /v1/auth/users/{user}/templates/{name}`: enrols a template with the other nodes.
async fn enrol(
    State(api): State<Arc<AuthApi>>,
    (Extension(caller), Extension(links)): (Extension<Caller>, Extension<Links>),
    Path((user, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (owner, user, name): (_, UserName, TemplateName) = (client(&caller)?.clone(), parse(&user)?, parse(&name)?);
    links.are_up()?;
    let (spec, rest): (EnrolSpec, _) = read(&api, &headers, body).await?;
    let sent = vector(rest, Some(spec.matching.kind)).await?.ok_or_else(missing)?;
    let told = format!("{user}/{name} of {owner}");
    let done = api.auth.enrol(&owner, (user, name), spec, sent).await?;
    info!("enrolled the template {told}");
    Ok(answer(StatusCode::CREATED, &done))
}

/// `POST /v1/auth/users/{user}/refresh`: replaces the shares of all templates of a user, with the other nodes.
async fn refresh(
    State(api): State<Arc<AuthApi>>,
    (Extension(caller), Extension(links)): (Extension<Caller>, Extension<Links>),
    Path(user): Path<String>,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Problem> {
    let (owner, user): (_, UserName) = (client(&caller)?.clone(), parse(&user)?);
    links.are_up()?;
    let spec: RefreshSpec = SPEC.read((&headers, body), &api.limits).await?;
    let templates: Vec<TemplateStatus> = api.auth.refresh(&owner, user, spec).await?;
    Ok(answer(StatusCode::OK, &templates))
}

/// `GET /v1/auth/users`: the caller's users.
async fn users(State(api): State<Arc<AuthApi>>, Extension(caller): Extension<Caller>) -> Result<Response, Problem> {
    let users: Vec<UserStatus> = api.auth.list(client(&caller)?).await?;
    Ok(answer(StatusCode::OK, &users))
}

/// `DELETE /v1/auth/users/{user}/templates/{name}`: erases a template.
async fn delete_template(
    State(api): State<Arc<AuthApi>>,
    Extension(caller): Extension<Caller>,
    Path((user, name)): Path<(String, String)>,
    query: Result<Query<OfRequest>, QueryRejection>,
) -> Result<Response, Problem> {
    let of = (parse(&user)?, Some(parse(&name)?));
    Ok(answer(StatusCode::OK, &api.auth.delete(client(&caller)?, of, nonce(query)?).await?))
}

/// `DELETE /v1/auth/users/{user}`: erases all templates of a user.
async fn delete_user(
    State(api): State<Arc<AuthApi>>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
    query: Result<Query<OfRequest>, QueryRejection>,
) -> Result<Response, Problem> {
    let of = (parse(&user)?, None);
    Ok(answer(StatusCode::OK, &api.auth.delete(client(&caller)?, of, nonce(query)?).await?))
}

/// `PUT /v1/auth/credentials/{id}`: stores a credential.
async fn put_credential(
    State(api): State<Arc<AuthApi>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    (headers, body): (HeaderMap, Body),
) -> Result<StatusCode, Problem> {
    let (owner, id) = (client(&caller)?, credential_id(&id)?);
    let spec: CredentialSpec = SPEC.read((&headers, body), &api.limits).await?;
    let new = api.auth.put_credential(owner, &id, spec).await?;
    Ok(if new { StatusCode::CREATED } else { StatusCode::OK })
}

/// `GET /v1/auth/credentials`: the caller's credentials.
async fn credentials(
    State(api): State<Arc<AuthApi>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let all: Vec<CredentialStatus> = api.auth.credentials(client(&caller)?).await?;
    Ok(answer(StatusCode::OK, &all))
}

/// `DELETE /v1/auth/credentials/{id}`: forgets a credential.
async fn delete_credential(
    State(api): State<Arc<AuthApi>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<OfRequest>, QueryRejection>,
) -> Result<Response, Problem> {
    let (owner, id) = (client(&caller)?, credential_id(&id)?);
    Ok(answer(StatusCode::OK, &api.auth.delete_credential(owner, &id, nonce(query)?).await?))
}

/// `PUT /v1/auth/logins/{id}`: a login with the other nodes. The answer comes when it has ended.
async fn login(
    State(api): State<Arc<AuthApi>>,
    (Extension(caller), Extension(links)): (Extension<Caller>, Extension<Links>),
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (caller, id) = of_session(&caller, &id)?;
    let (spec, rest): (LoginSpec, _) = read(&api, &headers, body).await?;
    if spec.probe.is_some() {
        // Without one, two nodes are enough.
        links.are_up()?;
    }
    let probe = vector(rest, spec.probe).await?;
    let parts: Answer = api.auth.login(&caller, id, spec, probe).await?;
    Ok(answer(StatusCode::OK, &parts))
}

/// `PUT /v1/auth/searches/{id}`: who of the caller's users a probe is of, with the other nodes.
async fn search(
    State(api): State<Arc<AuthApi>>,
    (Extension(caller), Extension(links)): (Extension<Caller>, Extension<Links>),
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (owner, id) = of_session(&caller, &id)?;
    links.are_up()?;
    let (spec, rest): (SearchSpec, _) = read(&api, &headers, body).await?;
    let probe = vector(rest, Some(spec.probe)).await?.ok_or_else(missing)?;
    let found: Found = api.auth.identify(&owner, id, spec, probe).await?;
    Ok(answer(StatusCode::OK, &found))
}

/// Who asks for a session, and which it is to be.
fn of_session(caller: &Caller, id: &str) -> Result<(ClientName, JobId), Problem> {
    let caller = client(caller)?.clone();
    let id = id.parse().map_err(|e: NotAJobId| ProblemKind::BadRequest.because(e.to_string()))?;
    Ok((caller, id))
}

async fn read<T: DeserializeOwned>(
    api: &AuthApi,
    headers: &HeaderMap,
    body: Body,
) -> Result<(T, Intake<axum::body::BodyDataStream>), Problem> {
    let limits = &api.limits;
    let length = announced_as(headers, AUTH_MEDIA_TYPE)?;
    limits.check_body(length).map_err(|e| ProblemKind::TooLarge.because(e.to_string()))?;
    Ok(read_spec(body.into_data_stream(), length, limits).await?)
}

/// The shares that follow a specification.
pub(crate) async fn vector<S, E>(
    mut rest: Intake<S>,
    kind: Option<TemplateKind>,
) -> Result<Option<InputVector>, Problem>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: fmt::Display,
{
    let Some(kind) = kind else {
        rest.check_left(0)?;
        rest.end().await?;
        return Ok(None);
    };
    let shape = kind.sent().map_err(AuthFault::from)?;
    rest.check_left(2 * shape.component_bytes() as u64)?;
    let mut components = [(); 2].map(|()| Zeroizing::new(vec![0; shape.component_bytes()]));
    for component in &mut components {
        rest.fill(component).await?;
    }
    rest.end().await?;
    let [own, next] = components;
    Ok(Some(InputVector::from_bytes(shape, &own, &next).map_err(AuthFault::from)?))
}

fn parse<T: FromStr<Err = String>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|e| ProblemKind::BadRequest.because(e))
}

/// The id of a credential as it is written in paths: base64url without padding.
fn credential_id(text: &str) -> Result<Vec<u8>, Problem> {
    let quoted = serde_json::Value::String(text.to_owned());
    let id: trefoil_auth::webauthn::Bytes = serde_json::from_value(quoted)
        .map_err(|e| ProblemKind::BadRequest.because(format!("the credential's id: {e}")))?;
    Ok(id.0)
}

fn nonce(query: Result<Query<OfRequest>, QueryRejection>) -> Result<Option<Nonce>, Problem> {
    let form = "the only parameter is nonce, 32 lower-case hexadecimal digits";
    let bad = |e| ProblemKind::BadRequest.because(format!("{e}; {form}"));
    query.map(|Query(OfRequest { nonce })| nonce).map_err(bad)
}

fn missing() -> Problem {
    ProblemKind::Internal.because("a template has shares and they were not read; please report this")
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

impl From<AuthFault> for Problem {
    fn from(fault: AuthFault) -> Self {
        let fault = match fault {
            AuthFault::Key(fault) => return fault.into(),
            AuthFault::Store(fault) => return KeyFault::Store(fault).into(),
            AuthFault::Withheld(_) => return ProblemKind::of_another(fault.to_string()),
            other => other,
        };
        let kind = match &fault {
            AuthFault::Absent(_) | AuthFault::Withheld(_) => ProblemKind::NotFound,
            AuthFault::Invalid(_) | AuthFault::Matching(_) => ProblemKind::BadRequest,
            AuthFault::Limit(_) => ProblemKind::Full,
            AuthFault::Rule(trefoil_auth::Error::Counter { .. }) => ProblemKind::Counter,
            AuthFault::Rule(_)
            | AuthFault::Expired
            | AuthFault::Ahead { .. }
            | AuthFault::Clock { .. }
            | AuthFault::NoTemplate
            | AuthFault::SemiHonest => ProblemKind::InvalidLogin,
            AuthFault::Taken(_) | AuthFault::Known(..) | AuthFault::Replayed | AuthFault::Changed => {
                ProblemKind::Conflict
            }
            AuthFault::UnderWay | AuthFault::Searching | AuthFault::Crowded(_) => ProblemKind::Busy,
            AuthFault::Rate { .. } => ProblemKind::Rate,
            AuthFault::Locked { .. } => ProblemKind::Locked,
            AuthFault::NoMatch => ProblemKind::NoMatch,
            AuthFault::Failed(failure) if failure.kind == FailureKind::Missing => ProblemKind::Unready,
            AuthFault::Failed(_) | AuthFault::Unsettled(_) => ProblemKind::Failed,
            AuthFault::Engine(_)
            | AuthFault::Record(_)
            | AuthFault::Receipt(_)
            | AuthFault::Key(_)
            | AuthFault::Store(_) => {
                tracing::error!("{fault}");
                ProblemKind::Internal
            }
        };
        if let AuthFault::Rule(trefoil_auth::Error::Counter { last, proposed }) = &fault
            && last.saturating_sub(*proposed) < MOMENT
        {
            // The counter of our devices is the time.
            return kind.because(format!(
                "{fault}. If this is its device, it has logged in a moment ago: begin the login anew in a second"
            ));
        }
        kind.because(fault.to_string())
    }
}
