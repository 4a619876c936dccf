//! The handlers of `/v1/tables`.

use super::{Api, Caller, Problem, ProblemKind, audited::Stored, jobs::announced_as, jobs::client};
use crate::{
    job::{BodyFault, Intake, Sha256Hex, read_spec},
    tables::{
        Arrival, StoredTable, TABLE_MEDIA_TYPE, TableFault, TableKey, TableRefusal, TableSpec, TableStatus, UploadId,
    },
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
use zeroize::Zeroizing;

/// The parameters of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    #[serde(default)]
    permitted: bool,
}

/// The parameters of a deletion.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfUpload {
    upload: Option<UploadId>,
}

/// `PUT /v1/tables/{name}/{version}`: stores this node's share of a table.
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = key(&caller, path)?;
    let limits = api.jobs.limits();
    let length = announced_as(&headers, TABLE_MEDIA_TYPE)?;
    limits.check_table(length).map_err(|e| ProblemKind::TooLarge.because(e.to_string()))?;
    let read = read_spec(body.into_data_stream(), length, limits).await;
    let (spec, mut rest): (TableSpec, Intake<_>) = read.map_err(|fault| match fault {
        BodyFault::Spec(_) => ProblemKind::InvalidTable.because(fault.to_string()),
        other => other.into(),
    })?;
    let component = spec.component_bytes().map_err(|e| ProblemKind::InvalidTable.because(e))?;
    let bytes = 2 * component as u64;
    rest.check_left(bytes)?;
    let arriving = match api.tables.begin(&key, spec, bytes)? {
        Arrival::New(arriving) => arriving,
        Arrival::Known(table) => return Ok(stored(StatusCode::OK, &table)),
    };
    let mut components = [(); 2].map(|()| Zeroizing::new(vec![0; component]));
    for component in &mut components {
        rest.fill(component).await?;
    }
    rest.end().await?;
    let table = arriving.store(components).await?;
    tracing::info!("stored {key}");
    Ok(stored(StatusCode::CREATED, &table))
}

/// `GET /v1/tables`: the caller's tables; with `?permitted=true`, those of others that it may use.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<Of>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Of { permitted }) = query
        .map_err(|e| ProblemKind::BadRequest.because(format!("{e}; the only parameter is permitted, true or false")))?;
    let name = client(&caller)?;
    let tables = if permitted { api.tables.permitted(name) } else { api.tables.list(name) };
    let tables: Vec<TableStatus> = tables.into_iter().map(|table| table.status()).collect();
    Ok(answer(StatusCode::OK, &tables))
}

/// `DELETE /v1/tables/{name}/{version}?upload=ID`: forgets a table of the caller; with `upload`, only if it is of that upload.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    query: Result<Query<OfUpload>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(OfUpload { upload }) = query.map_err(|e| {
        ProblemKind::BadRequest.because(format!("{e}; the only parameter is upload, 32 lower-case hexadecimal digits"))
    })?;
    let key = key(&caller, path)?;
    if api.tables.delete(&key, upload).await? {
        tracing::info!("deleted {key}");
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ProblemKind::NotFound.because(format!("this node has no {key}; GET /v1/tables lists your tables")))
    }
}

fn key(caller: &Caller, (name, version): (String, String)) -> Result<TableKey, Problem> {
    let owner = client(caller)?.clone();
    let name = name.parse().map_err(|e: String| ProblemKind::BadRequest.because(e))?;
    let bad = || {
        ProblemKind::BadRequest.because(format!("`{version}` is not a version; it is a number from 0 to {}", u32::MAX))
    };
    // One table has one URL: no signs, no leading zeros.
    let number: u32 = version.parse().map_err(|_| bad())?;
    if number.to_string() == version { Ok(TableKey { owner, name, version: number }) } else { Err(bad()) }
}

/// The answer, with what is written down of it.
fn stored(status: StatusCode, table: &StoredTable) -> Response {
    let mut response = answer(status, &table.status());
    let TableKey { name, version, .. } = table.key();
    let (path, sha256) = (format!("/v1/tables/{name}/{version}"), Sha256Hex(*table.digest()));
    response.extensions_mut().insert(Stored { path, sha256 });
    response
}

fn answer(status: StatusCode, body: &impl serde::Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

impl From<TableRefusal> for Problem {
    fn from(refusal: TableRefusal) -> Self {
        let kind = match refusal {
            TableRefusal::Taken(_) => ProblemKind::Conflict,
            TableRefusal::Uploading(_) | TableRefusal::Leaving(_) => ProblemKind::Uploading,
            TableRefusal::Full { .. } => ProblemKind::Full,
        };
        kind.because(refusal.to_string())
    }
}

impl From<TableFault> for Problem {
    fn from(fault: TableFault) -> Self {
        match fault {
            TableFault::Store(error) => error.into(),
            TableFault::Deleted(_) | TableFault::Renewed(_) => ProblemKind::Conflict.because(fault.to_string()),
            TableFault::Refused(refusal) => (*refusal).into(),
            TableFault::Leaving(_) => ProblemKind::Uploading.because(fault.to_string()),
            TableFault::Ended(_) | TableFault::Memory => ProblemKind::Internal.because(fault.to_string()),
        }
    }
}
