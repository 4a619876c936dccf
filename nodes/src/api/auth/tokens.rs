//! The handlers of issuers and tokens.

use super::{AuthApi, SPEC, answer, missing, of_session, parse, read, vector};
use crate::{
    api::{Caller, Problem, ProblemKind, jobs::client, links::Links},
    auth::{Answer, AuthFault, IssuerName, IssuerSpec, IssuerStatus, TokenSpec},
    pki::{ClientName, Role},
};
use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::sync::Arc;
use tracing::info;

/// How long public keys may be kept: a new key is known that much later.
const KEPT: &str = "public, max-age=300";

/// Whose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    owner: Option<ClientName>,
}

/// `PUT /v1/auth/issuers/{name}`: stores an issuer.
pub(super) async fn put_issuer(
    State(api): State<Arc<AuthApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    (headers, body): (HeaderMap, Body),
) -> Result<StatusCode, Problem> {
    let (owner, name): (_, IssuerName) = (client(&caller)?, parse(&name)?);
    let spec: IssuerSpec = SPEC.read((&headers, body), &api.limits).await?;
    let new = api.auth.put_issuer(owner, &name, spec).await?;
    Ok(if new { StatusCode::CREATED } else { StatusCode::OK })
}

/// `GET /v1/auth/issuers`: the caller's issuers.
pub(super) async fn issuers(
    State(api): State<Arc<AuthApi>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let all: Vec<IssuerStatus> = api.auth.issuers(client(&caller)?).await?;
    Ok(answer(StatusCode::OK, &all))
}

/// `GET /v1/auth/issuers/{name}?owner=NAME`: an issuer that the caller may ask.
pub(super) async fn issuer(
    State(api): State<Arc<AuthApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    query: Result<Query<Of>, QueryRejection>,
) -> Result<Response, Problem> {
    let caller = client(&caller)?;
    let owner = of(query)?.unwrap_or_else(|| caller.clone());
    Ok(answer(StatusCode::OK, &api.auth.issuer(caller, &owner, parse(&name)?).await?))
}

/// `DELETE /v1/auth/issuers/{name}`: forgets an issuer.
pub(super) async fn delete_issuer(
    State(api): State<Arc<AuthApi>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let (owner, name) = (client(&caller)?, parse(&name)?);
    if api.auth.delete_issuer(owner, &name).await? {
        info!("{owner} has deleted the issuer {name}");
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(AuthFault::Absent("issuer").into())
    }
}

/// `GET /v1/auth/jwks?owner=NAME`: the public keys of an owner's issuers, for anybody who reaches the node.
pub(super) async fn jwks(
    State(api): State<Arc<AuthApi>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<Of>, QueryRejection>,
) -> Result<Response, Problem> {
    let owner = match (of(query)?, &caller.role) {
        (Some(owner), _) => owner,
        (None, Role::Client(name)) => name.clone(),
        (None, _) => return Err(ProblemKind::BadRequest.because("name the owner of the issuers: ?owner=NAME")),
    };
    let keys = api.auth.jwks(&owner).await?;
    Ok(([(header::CACHE_CONTROL, KEPT)], Json(keys)).into_response())
}

/// `PUT /v1/auth/tokens/{id}`: a token, with the other nodes. The answer comes when the session has ended.
pub(super) async fn token(
    State(api): State<Arc<AuthApi>>,
    (Extension(caller), Extension(links)): (Extension<Caller>, Extension<Links>),
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    links.are_up()?;
    let (caller, id) = of_session(&caller, &id)?;
    let (spec, rest): (TokenSpec, _) = read(&api, &headers, body).await?;
    let probe = vector(rest, Some(spec.probe)).await?.ok_or_else(missing)?;
    let parts: Answer = api.auth.token(&caller, id, spec, probe).await?;
    Ok(answer(StatusCode::OK, &parts))
}

fn of(query: Result<Query<Of>, QueryRejection>) -> Result<Option<ClientName>, Problem> {
    let bad = |e| ProblemKind::BadRequest.because(format!("{e}; the only parameter is owner, a client's name"));
    query.map(|Query(Of { owner })| owner).map_err(bad)
}
