//! A page to try logging in with: the device's part runs in it, and a small relying party behind it.
//!
//! The server of the page is a client of the cluster, as a bank's would be. It passes on what the page sends to each node, sealed to that node, so it sees no share of a key, a template or a
//! probe. It does serve the page: whoever controls it could serve another one, as everywhere on the web.
//!
//! | request | what it does |
//! |---|---|
//! | `GET /` and the scripts | the page |
//! | `POST /relying-party/{register, registered, login, logged-in}` | ceremonies with the relying party |
//! | `GET /nodes/{i}/v1/seal-key`, `PUT /nodes/{i}/v1/...` | passed on to a node: keys and templates of somebody who registers, and logins; sealed bodies alone |

mod gateway;
mod relying_party;
mod site;
#[cfg(test)]
mod tests;

use crate::{
    Error,
    auth::{Backing, CredentialSpec, Verification},
    client::Client,
    pki::ClientName,
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing,
};
use relying_party::{Refused, RelyingParty};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::net::TcpListener;
use trefoil_auth::webauthn::{Bytes, CredentialId};

/// The host of the page and the id of its relying party. Browsers take `localhost` for secure without TLS.
const HOST: &str = "localhost";

/// What a relying party's response has at most.
const MOST_JSON: usize = 64 << 10;

/// The page, bound to a port of this machine.
#[derive(Debug)]
pub struct Page {
    listener: TcpListener,
    /// The same port of the loopback address of IPv6, where there is one: browsers may try it first, and whoever had it would be this page.
    other: Option<TcpListener>,
    site: Arc<Site>,
}

#[derive(Debug)]
struct Site {
    client: Client,
    owner: ClientName,
    origin: String,
    relying_party: Mutex<RelyingParty>,
}

/// What a page asks the relying party.
#[derive(Debug, Deserialize)]
struct Asked {
    account: String,
}

impl Page {
    /// Binds a port of the loopback address, a free one for 0.
    ///
    /// # Errors
    /// [`Error::System`] if the port is taken; [`Error::Usage`] if the client has no name.
    pub async fn bind(client: Client, port: u16) -> Result<Self, Error> {
        let owner = client.name().cloned();
        let owner = owner.ok_or_else(|| Error::Usage("the page needs the identity of a client".to_owned()))?;
        let (listener, other) = listeners(port).await?;
        let port = listener.local_addr().map_err(Error::system("read the address of the page's socket"))?.port();
        let origin = format!("http://{HOST}:{port}");
        let relying_party = Mutex::new(RelyingParty::new(HOST, &origin));
        Ok(Self { listener, other, site: Arc::new(Site { client, owner, origin, relying_party }) })
    }

    /// Where a browser finds it.
    pub fn url(&self) -> &str {
        &self.site.origin
    }

    /// Serves it until dropped.
    ///
    /// # Errors
    /// [`Error::System`] if the socket fails.
    pub async fn serve(self) -> Result<(), Error> {
        let router = router(self.site);
        let serve =
            async |listener, router| axum::serve(listener, router).await.map_err(Error::system("serve the page"));
        match self.other {
            None => serve(self.listener, router).await,
            Some(other) => tokio::try_join!(serve(self.listener, router.clone()), serve(other, router)).map(drop),
        }
    }
}

/// How often another free port is tried.
const ATTEMPTS: u32 = 8;

/// Both loopback addresses at one port, or the one of IPv4 where there is no IPv6.
async fn listeners(port: u16) -> Result<(TcpListener, Option<TcpListener>), Error> {
    let failed = Error::system(format!("listen for browsers on port {port} (free it, or choose another with --page)"));
    let mut attempt = 1;
    loop {
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => listener,
            Err(e) => return Err(failed(e)),
        };
        let chosen = listener.local_addr().map_err(Error::system("read the address of the page's socket"))?.port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, chosen)).await {
            Err(e) if e.kind() == ErrorKind::AddrInUse && (port != 0 || attempt == ATTEMPTS) => return Err(failed(e)),
            Err(e) if e.kind() == ErrorKind::AddrInUse => attempt += 1,
            other => return Ok((listener, other.ok())),
        }
    }
}

fn router(site: Arc<Site>) -> Router {
    let node = routing::get(gateway::pass_on).put(gateway::pass_on);
    site::routes()
        .route("/relying-party/register", routing::post(register))
        .route("/relying-party/registered", routing::post(registered))
        .route("/relying-party/login", routing::post(login))
        .route("/relying-party/logged-in", routing::post(logged_in))
        .layer(DefaultBodyLimit::max(MOST_JSON))
        .route("/nodes/{party}/{*path}", node.layer(DefaultBodyLimit::max(gateway::MOST_BYTES)))
        .layer(middleware::from_fn_with_state(site.clone(), guard))
        .with_state(site)
}

/// Answers requests from this very page alone: another page that a browser has open could send some too, and one whose name was made to lead here could read the answers.
async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let is = |headers: &HeaderMap, name, due: &str| headers.get(name).is_some_and(|value| value == due);
    let host = site.origin.trim_start_matches("http://");
    if !is(request.headers(), header::HOST, host) {
        let refusal = problem(&format!("this page is at {}", site.origin));
        return (StatusCode::MISDIRECTED_REQUEST, refusal).into_response();
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && !is(request.headers(), header::ORIGIN, &site.origin) {
        return (StatusCode::FORBIDDEN, problem("this comes from another page")).into_response();
    }
    site::protected(next.run(request).await)
}

async fn register(State(site): State<Arc<Site>>, Json(asked): Json<Asked>) -> Result<Json<Value>, Refusal> {
    let options = site.relying_party().register(&asked.account)?;
    let name = options["user"]["id"].as_str().and_then(gateway::name);
    Ok(Json(json!({"name": name.ok_or("the account has no handle")?, "options": options})))
}

/// The relying party has verified the registration: from now on the nodes sign for the credential, on its terms.
async fn registered(
    State(site): State<Arc<Site>>,
    Json(response): Json<relying_party::Response>,
) -> Result<Json<Value>, Refusal> {
    let registered = site.relying_party().registered(&response)?;
    let name = gateway::name_of(&registered.handle);
    let spec = CredentialSpec {
        rp_id: HOST.to_owned(),
        handle: Bytes(registered.handle),
        user: name.parse().map_err(|_| "the account has no name at the nodes")?,
        key: name.parse().map_err(|_| "the account has no name at the nodes")?,
        verification: Verification::Required,
        discoverable: false,
        backup: Backing::None,
        devices: Vec::new(),
    };
    let id = CredentialId::new(&registered.credential).map_err(|error| Refusal(error.to_string()))?;
    match site.client.put_credential(&id, &spec).await {
        Ok(()) => Ok(Json(json!({"account": registered.account}))),
        Err(error) => {
            site.relying_party().forget(&registered.account);
            tracing::warn!("a registration failed: {error}");
            Err(Refusal(error.to_string()))
        }
    }
}

async fn login(State(site): State<Arc<Site>>, Json(asked): Json<Asked>) -> Result<Json<Value>, Refusal> {
    let options = site.relying_party().login(&asked.account)?;
    Ok(Json(json!({"owner": site.owner, "options": options})))
}

async fn logged_in(
    State(site): State<Arc<Site>>,
    Json(response): Json<relying_party::Response>,
) -> Result<Response, Refusal> {
    Ok(Json(site.relying_party().logged_in(&response)?).into_response())
}

impl Site {
    fn relying_party(&self) -> MutexGuard<'_, RelyingParty> {
        self.relying_party.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the relying party refuses, for the page to show.
struct Refusal(String);

impl From<Refused> for Refusal {
    fn from(why: Refused) -> Self {
        Self(why.to_owned())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, problem(&self.0)).into_response()
    }
}

fn problem(detail: &str) -> Json<Value> {
    Json(json!({"detail": detail}))
}
