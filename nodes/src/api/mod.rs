//! The API for clients: HTTPS with a client certificate, HTTP/1.1 and HTTP/2.
//!
//! | request | answer |
//! |---|---|
//! | `PUT /v1/jobs/{id}` | submits a job; see [`job::encode_head`](crate::job::encode_head) for the body. 202 and [`JobStatus`](crate::job::JobStatus); 200 if the client has submitted this job before, whose body is then not read again |
//! | `GET /v1/jobs/{id}?wait=SECONDS` | [`JobStatus`](crate::job::JobStatus), at once or when the job has ended, at the latest after `wait` and one minute |
//! | `GET /v1/jobs/{id}/outputs/{k}` | this node's share of an output: the component `own`, then 32 bytes, the SHA-256 of the component `next` |
//! | `DELETE /v1/jobs/{id}` | 204; the caller is done with the job; its submitter cancels it if it has not ended |
//! | `GET /v1/jobs/{id}/events` | where the job stands, as it changes: a stream of [`JobEvent`](crate::job::JobEvent) |
//! | `GET /v1/jobs/{id}/spec` | the [`JobSpec`](crate::job::JobSpec) of a job of the caller that was interrupted and can be run again |
//! | `PUT /v1/jobs/{id}?repeats=ID` | submits a job of the caller again that was interrupted |
//! | `GET /v1/jobs?limit=N` | the caller's jobs, a list of [`JobEntry`](crate::job::JobEntry), the newest first |
//! | `PUT /v1/tables/{name}/{version}` | stores this node's share of a table: [`TableSpec`](crate::tables::TableSpec) as JSON with its length before it, then `own` and `next` of all columns. 201 and [`TableStatus`](crate::tables::TableStatus); 200 if this upload is complete |
//! | `PUT /v1/tables/{name}/{version}?upload=ID` | with `Content-Range`, the rest of the body of an upload that was broken off |
//! | `GET /v1/tables/{name}/{version}/upload` | how far it is: [`UploadStatus`](crate::tables::UploadStatus) |
//! | `GET /v1/tables/{name}/{version}?from=ROW&mark=HEX` | this node's share of a table that the caller has uploaded, as an Arrow IPC stream of record batches ([`ShareHeader`](crate::tables::ShareHeader)) |
//! | `GET /v1/tables` | the caller's tables, a list of [`TableStatus`](crate::tables::TableStatus) |
//! | `DELETE /v1/tables/{name}/{version}?upload=ID` | 204; forgets the table; with `upload`, only if it is of that upload |
//! | `PUT /v1/keys/{name}?exchange=ID` | this node's share of a signing key, kept if the three nodes find that theirs fit; see [`KeySpec`](crate::keys::KeySpec). 201 and [`KeyStatus`](crate::keys::KeyStatus); 200 if this enrolment is complete |
//! | `GET /v1/keys`, `GET /v1/keys/{name}?owner=NAME` | the caller's keys, or one that it may use: [`KeyStatus`](crate::keys::KeyStatus) |
//! | `POST /v1/keys/{name}/sign?owner=NAME` | this node's part of a signature: [`SignRequest`](crate::keys::SignRequest) to [`Partials`](crate::keys::Partials) |
//! | `POST /v1/keys/{name}/refresh?exchange=ID` | new shares at all three nodes; [`KeyStatus`](crate::keys::KeyStatus) |
//! | `POST /v1/keys/{name}/settle?exchange=ID&owner=NAME` | ends a step that was interrupted; [`KeyStatus`](crate::keys::KeyStatus) |
//! | `DELETE /v1/keys/{name}?enrolment=ID&nonce=ID` | erases this node's shares; a signed [`Receipt`](crate::receipt::Receipt) of a [`Deletion`](crate::keys::Deletion) |
//! | `GET /v1/seal-key` | [`SealPublic`](crate::seal::SealPublic): a body of any request may be [sealed](crate::seal) to it |
//! | `PUT /v1/auth/users/{user}/templates/{name}` | enrols a template: [`EnrolSpec`](crate::auth::EnrolSpec) as JSON with its length before it, then `own` and `next`. 201 and [`TemplateStatus`](crate::auth::TemplateStatus), when all three nodes have it |
//! | `DELETE /v1/auth/users/{user}/templates/{name}?nonce=ID`, `DELETE /v1/auth/users/{user}?nonce=ID` | erases a template, or all of a user: a signed [`Receipt`](crate::receipt::Receipt) of an [`Erasure`](crate::auth::Erasure) |
//! | `POST /v1/auth/users/{user}/refresh` | replaces all shares of the user's templates: [`RefreshSpec`](crate::auth::RefreshSpec); a list of [`TemplateStatus`](crate::auth::TemplateStatus) |
//! | `GET /v1/auth/users` | the caller's users, a list of [`UserStatus`](crate::auth::UserStatus) |
//! | `PUT /v1/auth/credentials/{id}` | stores a credential: [`CredentialSpec`](crate::auth::CredentialSpec). 201; 200 if it was there |
//! | `GET /v1/auth/credentials` | the caller's credentials, a list of [`CredentialStatus`](crate::auth::CredentialStatus) |
//! | `DELETE /v1/auth/credentials/{id}?nonce=ID` | forgets a credential: a signed [`Receipt`](crate::receipt::Receipt) of an [`Erasure`](crate::auth::Erasure) |
//! | `PUT /v1/auth/searches/{id}` | who of the caller's users a probe is of: [`SearchSpec`](crate::auth::SearchSpec) as JSON with its length before it, then `own` and `next`. [`Found`](crate::auth::Found): the answer as this node's share |
//! | `PUT /v1/auth/logins/{id}` | a login: [`LoginSpec`](crate::auth::LoginSpec) as JSON with its length before it, then `own` and `next` of the probe if there is one. [`Answer`](crate::auth::Answer), when the nodes have matched and this one has signed |
//! | `PUT /v1/auth/issuers/{name}` | stores an issuer of tokens: [`IssuerSpec`](crate::auth::IssuerSpec). 201; 200 if it was there |
//! | `GET /v1/auth/issuers`, `GET /v1/auth/issuers/{name}?owner=NAME` | the caller's issuers, or one that it may ask: [`IssuerStatus`](crate::auth::IssuerStatus) |
//! | `DELETE /v1/auth/issuers/{name}` | 204; forgets an issuer |
//! | `PUT /v1/auth/tokens/{id}` | a token: [`TokenSpec`](crate::auth::TokenSpec) as JSON with its length before it, then `own` and `next` of the probe. [`Answer`](crate::auth::Answer), when the nodes have matched and this one has signed |
//! | `GET /v1/auth/jwks?owner=NAME` | the public keys of an owner's issuers, for anybody: a JWK Set (RFC 7517) |
//! | `POST /v1/upkeep/{compare,refresh,rebuild}` | for operators: what the three nodes do with their stores together; [`UpkeepSpec`](crate::upkeep::UpkeepSpec) to [`UpkeepReport`](crate::upkeep::UpkeepReport), when it is done |
//! | `GET /v1/status` | [`NodeStatus`] |
//! | `GET /livez` | 200 while the node runs |
//! | `GET /readyz` | 200 while the node can run jobs with both others; else 503, with what is missing |
//!
//! Everything else is a [`Problem`]. A job is there for the client that has submitted it and for those whom it names as recipients: for others it does not exist. A client is known
//! by the name in its certificate.

mod activity;
mod again;
mod audited;
mod auth;
mod downloads;
mod events;
mod jobs;
mod json;
mod keys;
mod linger;
mod links;
mod newcomers;
mod peer;
mod policed;
mod problem;
mod sealed;
mod server;
mod tables;
mod upkeep;

pub(crate) use audited::Held;
pub use auth::auth_router;
#[cfg(any(test, fuzzing))]
pub(crate) use auth::vector as read_shares;
pub use downloads::Downloads;
pub(crate) use jobs::OUTPUT_EPOCH;
pub use keys::KeysApi;
pub use problem::{PROBLEM_TYPE, Problem, ProblemKind};
pub use server::{Door, Server};
pub use upkeep::upkeep_router;

use crate::{
    job::{Jobs, Runner},
    pki::Role,
    policy::Enforcer,
    seal::SealKey,
    status::NodeStatus,
    tables::TableStore,
};
use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, State},
    middleware, routing,
};
use std::{fmt, sync::Arc};

/// Who is at the other end of a connection, by its certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The role the certificate names.
    pub role: Role,
}

/// There is nothing of this path, whoever asks; in the extensions of an answer.
#[derive(Clone, Copy, Debug)]
struct NoRoute;

/// What the handlers work on.
pub struct Api {
    /// The jobs of this node.
    pub jobs: Arc<Jobs>,
    /// Runs them.
    pub runner: Arc<Runner>,
    /// The tables of shares stored at this node.
    pub tables: Arc<TableStore>,
    /// Who may have what done.
    pub policy: Arc<Enforcer>,
    /// Bounds what clients download.
    pub downloads: Downloads,
    /// Opens bodies that are sealed to this node.
    pub seal: SealKey,
    /// Reports on the node, at this moment.
    pub status: Box<dyn Fn() -> NodeStatus + Send + Sync>,
}

impl Api {
    /// The routes, with more beside them. Every request must carry a [`Caller`] as an extension; [`Server`] sees to that.
    pub fn router(self: Arc<Self>, more: Router) -> Router {
        let job = routing::put(jobs::put).get(jobs::get).delete(jobs::delete);
        let table = routing::put(tables::put).get(downloads::get).head(downloads::head).delete(tables::delete);
        Router::new()
            .route("/v1/jobs", routing::get(jobs::list))
            .route("/v1/jobs/{id}", job)
            .route("/v1/jobs/{id}/outputs/{k}", routing::get(jobs::output))
            .route("/v1/jobs/{id}/events", routing::get(events::events))
            .route("/v1/jobs/{id}/spec", routing::get(again::spec))
            .route("/v1/tables", routing::get(tables::list))
            .route("/v1/tables/{name}/{version}", table)
            .route("/v1/tables/{name}/{version}/upload", routing::get(tables::unfinished))
            .route("/v1/status", routing::get(async |State(api): State<Arc<Self>>| Json((api.status)())))
            .route("/v1/seal-key", routing::get(sealed::key))
            .route("/livez", routing::get(async || "alive\n"))
            .route("/readyz", routing::get(ready))
            .merge(more.with_state(()))
            .fallback(async || {
                let problem = ProblemKind::NotFound
                    .because("this API has /v1/jobs, /v1/jobs/{id}, /v1/jobs/{id}/outputs/{k}, /v1/jobs/{id}/events, /v1/jobs/{id}/spec, /v1/tables, /v1/tables/{name}/{version}, /v1/tables/{name}/{version}/upload, /v1/keys, /v1/keys/{name}, /v1/auth (docs/api.md), /v1/upkeep, /v1/seal-key, /v1/status, /livez and /readyz");
                (Extension(NoRoute), problem)
            })
            .method_not_allowed_fallback(async || ProblemKind::Method.because("this resource has other methods"))
            .layer(middleware::from_fn_with_state(self.clone(), sealed::open))
            .layer(middleware::from_fn_with_state(self.clone(), policed::check))
            .layer(middleware::from_fn_with_state(self.clone(), audited::record))
            .layer(Extension(links::Links::of(&self)))
            // Bodies are read by a reader of our own, which knows how long each may be.
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

async fn ready(State(api): State<Arc<Api>>) -> Result<&'static str, Problem> {
    let missing = (api.status)().unready;
    if missing.is_empty() {
        Ok("ready\n")
    } else {
        let detail = format!("{}; run `trefoil doctor` to find out why", missing.join("; "));
        Err(ProblemKind::Unready.because(detail))
    }
}

#[cfg(test)]
mod tests;
