//! The handler of `/v1/upkeep`.

use super::{Caller, Problem, ProblemKind, jobs::client, json::Form};
use crate::{
    job::Limits,
    upkeep::{Task, Upkeep, UpkeepFault, UpkeepReport, UpkeepSpec},
};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Path, State},
    http::HeaderMap,
    routing,
};
use std::sync::Arc;

/// A request.
const REQUEST: Form = Form {
    most: 1 << 10,
    remedy: "send {\"session\": \"32 lower-case hexadecimal digits, the same to all three nodes\"} as application/json, and for a rebuild \"node\": 0, 1 or 2",
};

/// The routes. Every request must carry a [`Caller`] as an extension.
pub fn upkeep_router(upkeep: Arc<Upkeep>, limits: Limits) -> Router {
    Router::new()
        .route("/v1/upkeep/{task}", routing::post(post))
        .method_not_allowed_fallback(async || ProblemKind::Method.because("this resource has other methods"))
        .with_state((upkeep, limits))
}

/// `POST /v1/upkeep/{task}`: this node's part, when the others take theirs.
async fn post(
    State((upkeep, limits)): State<(Arc<Upkeep>, Limits)>,
    Extension(caller): Extension<Caller>,
    Path(task): Path<String>,
    (headers, body): (HeaderMap, Body),
) -> Result<Json<UpkeepReport>, Problem> {
    let task = Task::ALL.into_iter().find(|known| known.name() == task).ok_or_else(|| {
        ProblemKind::NotFound.because("there are /v1/upkeep/compare, /v1/upkeep/refresh and /v1/upkeep/rebuild")
    })?;
    let spec: UpkeepSpec = REQUEST.read_typed((&headers, body), &limits).await?;
    // Nodes ask each other for nothing.
    client(&caller)?;
    Ok(Json(upkeep.run(task, spec).await?))
}

impl From<UpkeepFault> for Problem {
    fn from(fault: UpkeepFault) -> Self {
        let kind = match &fault {
            UpkeepFault::Invalid(_) => ProblemKind::BadRequest,
            UpkeepFault::UnderWay => ProblemKind::Busy,
            UpkeepFault::Together(_) => ProblemKind::Together,
        };
        kind.because(fault.to_string())
    }
}
