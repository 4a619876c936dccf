//! Requests to one node.

mod jobs;
mod keys;
mod tables;
mod together;

use crate::{
    Error,
    api::{Problem, ProblemKind},
    config::{Address, Cluster},
    pki::ClientAuthRef,
    status::NodeStatus,
    tls::{self, API_ALPN},
    upkeep::{Task, UpkeepReport, UpkeepSpec},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, header, header::HeaderValue};
use serde::de::DeserializeOwned;
use std::{convert::Infallible, time::Duration};
pub(super) use together::{all, together};
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// How long a connection may take, with its handshake.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a node that closed a connection is given to say why.
const REFUSAL: Duration = Duration::from_secs(1);

/// How long an answer may take that needs no work.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a body may take, either way.
const TRANSFER: Duration = Duration::from_mins(5);

/// How long the nodes may take with their stores, however large these are.
const UPKEEP: Duration = Duration::from_hours(24);

/// How long an answer may take for which the nodes compute together.
const TOGETHER: Duration = Duration::from_secs(45);

/// Requests that fail on the way are sent again this often.
const ATTEMPTS: u32 = 3;

/// How long an upload or download that was broken off is tried again without getting on, and the pause before each attempt.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const PAUSE: Duration = Duration::from_millis(300);

/// Answers that carry neither a share nor an output are this long at most.
const MAX_ANSWER: usize = 8 << 20;

/// One node as a client sees it.
pub(super) struct NodeClient {
    party: Party,
    name: String,
    address: Address,
    http: reqwest::Client,
    tls: rustls::ClientConfig,
}

impl NodeClient {
    pub(super) fn new(cluster: &Cluster, auth: ClientAuthRef<'_>, party: Party) -> Result<Self, Error> {
        let mut tls = tls::api_client(auth, cluster, party)?;
        tls.alpn_protocols = API_ALPN.map(<[u8]>::to_vec).to_vec();
        let mut http = reqwest::Client::builder();
        if let ClientAuthRef::Tokens(tokens) = auth {
            // A token changes something on one connection only: all requests go over one.
            tls.alpn_protocols.truncate(1);
            let headers = [(header::AUTHORIZATION, tokens.header(party)?)].into_iter().collect();
            http = http.http2_prior_knowledge().default_headers(headers);
        }
        let http = http
            .tls_backend_preconfigured(tls.clone())
            .https_only(true)
            // A node is what the cluster file says, reached directly.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .connect_timeout(CONNECT)
            .http2_initial_stream_window_size(4 << 20)
            .http2_initial_connection_window_size(16 << 20)
            .http2_keep_alive_interval(ANSWER)
            .http2_keep_alive_timeout(ANSWER)
            .user_agent(concat!("trefoil/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::Bug(format!("an HTTP client: {e}")))?;
        let entry = cluster.node(party);
        Ok(Self { party, name: entry.describe(&entry.api), address: entry.api.clone(), http, tls })
    }

    pub(super) fn party(&self) -> Party {
        self.party
    }

    /// The node as messages name it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn status(&self) -> Result<NodeStatus, Error> {
        let request = || self.http.get(self.url("status")).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// A request under `/v1/` whose body may be sent more than once, and whose answer is JSON.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, &[Bytes])>,
    ) -> Result<T, Error> {
        self.json(self.answer(self.send(method, path, body).await?).await?).await
    }

    /// The same for an answer that says no more than that it is done.
    pub(super) async fn done(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, &[Bytes])>,
    ) -> Result<(), Error> {
        self.answer(self.send(method, path, body).await?).await.map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, &[Bytes])>,
    ) -> Result<Response, Error> {
        let url = self.url(path);
        let request = || {
            let request = self.http.request(method.clone(), &url).timeout(TOGETHER);
            let Some((media_type, parts)) = body else { return request };
            with_body(request, media_type, parts)
        };
        self.persist(request).await
    }

    /// Sends a request that the caller has put together: a path without the slash before it, headers and a body.
    pub(super) async fn pass(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&'static str, HeaderValue)],
        body: &Bytes,
    ) -> Result<Response, Error> {
        let url = format!("https://{}/{path}", self.address);
        let request = || {
            let request = self.http.request(method.clone(), &url).timeout(TOGETHER).body(body.clone());
            headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
        };
        self.persist(request).await
    }

    /// What the nodes do with their stores together, sent once: a session has its name once.
    pub(super) async fn upkeep(&self, task: Task, spec: &UpkeepSpec) -> Result<UpkeepReport, Error> {
        let request = self.http.post(self.url(&format!("upkeep/{task}"))).timeout(UPKEEP).json(spec);
        let sent = request.send().await;
        let response = sent.map_err(|e| Error::Unreachable {
            node: self.name.clone(),
            cause: tls::explain(&e).unwrap_or_else(|| describe(&e)),
        })?;
        self.json(self.answer(response).await?).await
    }

    /// The body of an answer, good or bad.
    pub(super) async fn answer_of(&self, response: Response) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.body(response, MAX_ANSWER).await
    }

    /// What is not there is gone.
    async fn gone(&self, response: Response) -> Result<(), Error> {
        match response.status() {
            StatusCode::NOT_FOUND => Ok(()),
            _ => self.answer(response).await.map(drop),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}/v1/{path}", self.address)
    }

    /// Sends a request; if it fails on the way, sends it again. All requests of this API may be repeated.
    async fn persist(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, Error> {
        let mut attempt = 1;
        loop {
            let e = match request().send().await {
                Ok(response) => return Ok(response),
                Err(e) => e,
            };
            // A handshake refused once is refused again; a timeout has taken long enough.
            let explained = tls::explain(&e);
            if attempt == ATTEMPTS || e.is_timeout() || explained.is_some() {
                let cause = match explained {
                    Some(cause) => cause,
                    None => self.refusal().await.unwrap_or_else(|| describe(&e)),
                };
                return Err(Error::Unreachable { node: self.name.clone(), cause });
            }
            tokio::time::sleep(Duration::from_millis(100) * attempt).await;
            attempt += 1;
        }
    }

    /// Whether the node refuses our certificate, and why.
    async fn refusal(&self) -> Option<String> {
        tokio::time::timeout(REFUSAL, tls::refusal(&self.address, self.tls.clone())).await.ok().flatten()
    }

    /// A good answer, or what the problem document says.
    async fn answer(&self, response: Response) -> Result<Response, Error> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(response, MAX_ANSWER).await?;
        let problem = serde_json::from_slice::<Problem>(&body)
            .map_err(|_| self.nonsense(&format!("status {status} without a problem document")))?;
        Err(Error::Refused { node: self.name.clone(), problem: Box::new(problem) })
    }

    async fn json<T: DeserializeOwned>(&self, response: Response) -> Result<T, Error> {
        let body = self.body(response, MAX_ANSWER).await?;
        serde_json::from_slice(&body).map_err(|e| self.nonsense(&format!("an answer that cannot be read ({e})")))
    }

    /// Reads a body of so many bytes at most, into memory that is wiped.
    async fn body(&self, response: Response, most: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
        let announced = response.content_length().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let mut body = Zeroizing::new(Vec::with_capacity(announced.min(most)));
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|e| Error::Unreachable { node: self.name.clone(), cause: describe(&e) })?;
            if body.len() + chunk.len() > most {
                return Err(self.nonsense(&format!("an answer of more than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    pub(super) fn nonsense(&self, what: &str) -> Error {
        let cause = format!("it sent {what}; install the same version of Trefoil on all machines");
        Error::Unreachable { node: self.name.clone(), cause }
    }
}

/// A request with a body in parts, of which nothing is copied.
fn with_body(request: RequestBuilder, media_type: &'static str, parts: &[Bytes]) -> RequestBuilder {
    let length: usize = parts.iter().map(Bytes::len).sum();
    let parts = stream::iter(parts.to_vec()).map(Ok::<_, Infallible>);
    let request = request.header(header::CONTENT_TYPE, media_type).header(header::CONTENT_LENGTH, length);
    request.body(Body::wrap_stream(parts))
}

/// The cause at the bottom, which is the one people understand.
fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time; check that it runs and that no firewall is between".to_owned();
    }
    let mut bottom: &dyn std::error::Error = error;
    while let Some(cause) = bottom.source() {
        bottom = cause;
    }
    format!("{bottom}; check that the node runs and that the cluster file has its address")
}

/// Whether a node that refused may take the same job a moment later.
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(error, Error::Refused { problem, .. }
        if matches!(problem.kind(), Some(ProblemKind::Busy | ProblemKind::Share | ProblemKind::Uploading)))
}
