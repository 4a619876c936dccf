//! The handlers of `/v1/tables`.

use super::{Api, Caller, Problem, ProblemKind, audited::Stored, jobs::announced_as, jobs::client};
use crate::{
    job::{BodyFault, Intake, Sha256Hex, read_spec},
    tables::{
        Arrival, Arriving, Provenance, Resumed, StoredTable, TABLE_MEDIA_TYPE, TableFault, TableKey, TableRefusal,
        TableSpec, TableStatus, UploadId, UploadStatus,
    },
};
use axum::{
    Extension, Json,
    body::BodyDataStream,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header, request::Parts},
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

/// The parameters of a deletion, and of the rest of an upload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfUpload {
    upload: Option<UploadId>,
}

/// `PUT /v1/tables/{name}/{version}`: stores this node's share of a table; with `Content-Range` and `?upload=ID`, from the rest of a body that was broken off.
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    query: Result<Query<OfUpload>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (key, Query(OfUpload { upload })) = (key(&caller, path)?, query.map_err(|e| bad_upload(&e))?);
    let (Parts { headers, .. }, body) = request.into_parts();
    let limits = api.jobs.limits();
    let length = announced_as(&headers, TABLE_MEDIA_TYPE)?;
    if let Some(at) = rest_of(&headers, upload, length)? {
        limits.check_table(at.length).map_err(|e| ProblemKind::TooLarge.because(e.to_string()))?;
        let Resumed { arriving, components } = match api.tables.resume(&key, at).await? {
            Arrival::Resumed(resumed) => *resumed,
            Arrival::New(_) => return Err(ProblemKind::Internal.because("an upload began twice; please report this")),
            Arrival::Known(table) => return Ok(stored(StatusCode::OK, &table)),
        };
        return receive(arriving, components, Intake::new(body.into_data_stream(), length, limits)).await;
    }
    limits.check_table(length).map_err(|e| ProblemKind::TooLarge.because(e.to_string()))?;
    let read = read_spec(body.into_data_stream(), length, limits).await;
    let (spec, rest): (TableSpec, Intake<_>) = read.map_err(|fault| match fault {
        BodyFault::Spec(_) => ProblemKind::InvalidTable.because(fault.to_string()),
        other => other.into(),
    })?;
    let component = spec.component_bytes().map_err(|e| ProblemKind::InvalidTable.because(e))?;
    let bytes = 2 * component as u64;
    rest.check_left(bytes)?;
    let mut arriving = match api.tables.begin(&key, spec, bytes)? {
        Arrival::New(arriving) => arriving,
        Arrival::Resumed(_) => {
            return Err(ProblemKind::Internal.because("an upload goes on unasked; please report this"));
        }
        Arrival::Known(table) => return Ok(stored(StatusCode::OK, &table)),
    };
    arriving.keep_what_comes(length - bytes);
    let components = [(); 2].map(|()| Zeroizing::new(vec![0; component]));
    receive(*arriving, components, rest).await
}

/// Reads what has not come yet of a table, and stores it. What is worth it is on the disk before more is read; if the body breaks off, that stays for a while.
async fn receive(
    mut arriving: Arriving,
    mut components: [Zeroizing<Vec<u8>>; 2],
    mut rest: Intake<BodyDataStream>,
) -> Result<Response, Problem> {
    let mut read = arriving.read_before();
    while let Some((c, part)) = arriving.next(read) {
        read += part.len();
        rest.fill(&mut components[c][part]).await?;
        arriving.save(&components, read).await?;
    }
    rest.end().await?;
    let table = arriving.of_provenance(Provenance::Uploaded).store(components).await?;
    tracing::info!("stored {}", table.key());
    Ok(stored(StatusCode::CREATED, &table))
}

/// `GET /v1/tables/{name}/{version}/upload`: how far an upload of the caller has come that was broken off.
pub(super) async fn unfinished(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
) -> Result<Response, Problem> {
    let key = key(&caller, path)?;
    let none = || ProblemKind::NotFound.because(format!("this node has no unfinished upload of {key}; send it whole"));
    let status = api.tables.unfinished(&key)?.ok_or_else(none)?;
    Ok(answer(StatusCode::OK, &status))
}

/// Of which upload a body is the rest, and from which byte on. `None` if it is a whole one.
fn rest_of(headers: &HeaderMap, upload: Option<UploadId>, length: u64) -> Result<Option<UploadStatus>, Problem> {
    let bad = |cause: &str| {
        ProblemKind::BadRequest.because(format!(
            "{cause}; the rest of an upload is sent with Content-Range: bytes FIRST-LAST/ALL up to the last byte, and ?upload=ID"
        ))
    };
    let (range, upload) = match (headers.get(header::CONTENT_RANGE), upload) {
        (None, None) => return Ok(None),
        (Some(range), Some(upload)) => (range, upload),
        _ => return Err(bad("one of Content-Range and upload is missing")),
    };
    let numbers = || {
        let (range, all) = range.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, all.parse::<u64>().ok()?))
    };
    let (offset, last, all) = numbers().ok_or_else(|| bad("Content-Range cannot be read"))?;
    let ends = last.checked_add(1) == Some(all) && all.checked_sub(offset) == Some(length);
    if ends && offset > 0 {
        Ok(Some(UploadStatus { upload, offset, length: all }))
    } else {
        Err(bad("Content-Range does not fit Content-Length"))
    }
}

fn bad_upload(rejected: &QueryRejection) -> Problem {
    ProblemKind::BadRequest
        .because(format!("{rejected}; the only parameter is upload, 32 lower-case hexadecimal digits"))
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
    let Query(OfUpload { upload }) = query.map_err(|e| bad_upload(&e))?;
    let key = key(&caller, path)?;
    if api.tables.delete(&key, upload).await? {
        tracing::info!("deleted {key}");
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ProblemKind::NotFound.because(format!("this node has no {key}; GET /v1/tables lists your tables")))
    }
}

pub(super) fn key(caller: &Caller, (name, version): (String, String)) -> Result<TableKey, Problem> {
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
            TableRefusal::Taken(_) | TableRefusal::Elsewhere(..) => ProblemKind::Conflict,
            TableRefusal::Unbegun(_) => ProblemKind::NotFound,
            TableRefusal::Uploading(_) | TableRefusal::Leaving(_) => ProblemKind::Uploading,
            TableRefusal::Over(..) => ProblemKind::InvalidTable,
            TableRefusal::Full { .. } => ProblemKind::Full,
        };
        kind.because(refusal.to_string())
    }
}

impl From<TableFault> for Problem {
    fn from(fault: TableFault) -> Self {
        match fault {
            TableFault::Store(error) => error.into(),
            TableFault::Refused(refusal) => refusal.into(),
            TableFault::Deleted(_) | TableFault::Renewed(_) => ProblemKind::Conflict.because(fault.to_string()),
            TableFault::Leaving(_) => ProblemKind::Uploading.because(fault.to_string()),
            TableFault::Ended(_) | TableFault::Memory => ProblemKind::Internal.because(fault.to_string()),
        }
    }
}
