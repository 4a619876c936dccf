//! Requests to one node.

use super::{
    events::{Lines, Said},
    plain::Fetched,
};
use crate::{
    Error,
    api::{Problem, ProblemKind},
    config::{Address, Cluster},
    job::{JobEntry, JobEvent, JobId, JobStatus, MEDIA_TYPE},
    keys::{ExchangeId, KEY_MEDIA_TYPE, KeyName, KeyStatus, Partials, SignRequest, secret_json},
    pki::Identity,
    receipt::{Nonce, Receipt},
    seal::{RecipientKey, SEALED_OUTPUT_TYPE, ShareOf, sealed_output_bytes},
    status::NodeStatus,
    tables::{TABLE_MEDIA_TYPE, TableName, TableStatus, UploadId, UploadStatus},
    tls::{self, API_ALPN},
    upkeep::{Task, UpkeepReport, UpkeepSpec},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, header, header::HeaderValue};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    convert::Infallible,
    future::Future,
    time::{Duration, Instant},
};
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// How long a connection may take, with its handshake.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a node that closed a connection is given to say why.
const REFUSAL: Duration = Duration::from_secs(1);

/// How long an answer may take that needs no work.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a step may take that the nodes take together. They wait for each other.
const STEP: Duration = Duration::from_mins(1);

/// How long a body may take, either way.
const TRANSFER: Duration = Duration::from_mins(5);

/// How long the nodes may take with their stores, however large these are.
const UPKEEP: Duration = Duration::from_hours(24);

/// How long an answer may take for which the nodes compute together.
const TOGETHER: Duration = Duration::from_secs(45);

/// How long a stream of events may last.
const STREAM: Duration = Duration::from_mins(10);

/// Requests that fail on the way are sent again this often.
const ATTEMPTS: u32 = 3;

/// How long an upload that was broken off is tried again without getting on, and the pause before each attempt.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(300);

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
    pub(super) fn new(cluster: &Cluster, identity: &Identity, party: Party) -> Result<Self, Error> {
        let mut tls = tls::api_client(identity, cluster, party)?;
        tls.alpn_protocols = API_ALPN.map(<[u8]>::to_vec).to_vec();
        let http = reqwest::Client::builder()
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

    /// Submits one share. The parts can be sent more than once: the node takes the job once.
    pub(super) async fn put(&self, id: JobId, parts: &[Bytes]) -> Result<JobStatus, Error> {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let request = || {
            let parts = stream::iter(parts.to_vec()).map(Ok::<_, Infallible>);
            self.http
                .put(self.job(id))
                .timeout(TRANSFER)
                .header(header::CONTENT_TYPE, MEDIA_TYPE)
                .header(header::CONTENT_LENGTH, length)
                .body(Body::wrap_stream(parts))
        };
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// The state of a job, as soon as it has ended or some time has passed.
    pub(super) async fn job_status(&self, id: JobId, wait: Duration) -> Result<JobStatus, Error> {
        let url = format!("{}?wait={}", self.job(id), wait.as_secs());
        let request = || self.http.get(&url).timeout(wait + ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// The caller's jobs.
    pub(super) async fn jobs(&self, most: usize) -> Result<Vec<JobEntry>, Error> {
        let url = self.url(&format!("jobs?limit={most}"));
        let request = || self.http.get(&url).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// Reads events of a job until it has ended, or the stream has: the last event then, or `None`. `last` is the name of the last one that was heard.
    pub(super) async fn events(
        &self,
        id: JobId,
        last: &mut Option<String>,
        each: &mut impl FnMut(&JobEvent),
    ) -> Result<Option<JobEvent>, Error> {
        let url = format!("{}/events", self.job(id));
        let request = || {
            let request = self.http.get(&url).timeout(STREAM);
            last.iter().fold(request, |request, last| request.header("last-event-id", last))
        };
        let response = self.answer(self.persist(request).await?).await?;
        let mut chunks = response.bytes_stream();
        let mut lines = Lines::default();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|e| Error::Unreachable { node: self.name.clone(), cause: describe(&e) })?;
            if !lines.push(&chunk) {
                return Err(self.nonsense("an event without an end"));
            }
            while let Some(line) = lines.next() {
                let said = Said::read(line);
                match said.map_err(|e| self.nonsense(&format!("an event that cannot be read ({e})")))? {
                    Some(Said::Name(name)) => *last = Some(name),
                    Some(Said::Event(event)) => {
                        each(&event);
                        if event.is_final() {
                            return Ok(Some(*event));
                        }
                    }
                    None => {}
                }
            }
        }
        Ok(None)
    }

    /// An output of a job: `own` of so many bytes, and the digest of `next`.
    pub(super) async fn output(&self, id: JobId, k: usize, length: usize) -> Result<Fetched, Error> {
        let url = format!("{}/outputs/{k}", self.job(id));
        let response = self.answer(self.persist(|| self.http.get(&url).timeout(TRANSFER)).await?).await?;
        let mut own = self.body(response, length + 32).await?;
        match own.split_last_chunk() {
            Some((rest, digest)) if rest.len() == length => {
                let digest = *digest;
                own.truncate(length);
                Ok((own, digest))
            }
            _ => Err(self.nonsense(&format!("an output of {} bytes where {} are due", own.len(), length + 32))),
        }
    }

    /// The same of an output that is sealed to a key of this client.
    pub(super) async fn sealed_output(
        &self,
        of: ShareOf<'_>,
        length: usize,
        key: &RecipientKey,
    ) -> Result<Fetched, Error> {
        let url = format!("{}/outputs/{}", self.job(of.job), of.output);
        let response = self.answer(self.persist(|| self.http.get(&url).timeout(TRANSFER)).await?).await?;
        if response.headers().get(header::CONTENT_TYPE).is_none_or(|value| value != SEALED_OUTPUT_TYPE) {
            return Err(self.nonsense("an output that is not sealed"));
        }
        let sealed = self.body(response, sealed_output_bytes(length + 32)).await?;
        let mut own =
            key.open(&of, length + 32, &sealed).map_err(|e| self.nonsense(&format!("what is no output ({e})")))?;
        match own.split_last_chunk() {
            Some((_, digest)) => {
                let digest = *digest;
                own.truncate(length);
                Ok((own, digest))
            }
            None => Err(self.nonsense("an output without a digest")),
        }
    }

    /// Stores one share of a table. Where the connection breaks, it goes on with what the node does not have yet, as long as that becomes less.
    pub(super) async fn put_table(
        &self,
        (name, version, upload): (&TableName, u32, UploadId),
        parts: &[Bytes],
    ) -> Result<TableStatus, Error> {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let (mut offset, mut best, mut fresh, mut end) = (0, 0, 0, Instant::now() + PATIENCE);
        loop {
            let request = || {
                let rest = stream::iter(after(parts, offset)).map(Ok::<_, Infallible>);
                let mut url = self.table(name, version);
                if offset > 0 {
                    url = format!("{url}?upload={upload}");
                }
                let mut request = self.http.put(url).timeout(TRANSFER).header(header::CONTENT_TYPE, TABLE_MEDIA_TYPE);
                if offset > 0 {
                    let range = format!("bytes {offset}-{}/{length}", length - 1);
                    request = request.header(header::CONTENT_RANGE, range);
                }
                request.header(header::CONTENT_LENGTH, length - offset).body(Body::wrap_stream(rest))
            };
            let broken = match request().send().await {
                Ok(response) => match self.answer(response).await {
                    Ok(response) => return self.json(response).await,
                    Err(error) if is_broken(&error, offset) => error,
                    Err(error) => return Err(error),
                },
                // Nothing was sent: as any request.
                Err(e) if offset == 0 && best == 0 && (e.is_connect() || tls::explain(&e).is_some()) => {
                    return self.json(self.answer(self.persist(request).await?).await?).await;
                }
                Err(e) => Error::Unreachable { node: self.name.clone(), cause: describe(&e) },
            };
            offset = loop {
                match self.unfinished(name, version).await {
                    Ok(Some(status)) if status.upload == upload && status.length == length as u64 => {
                        break usize::try_from(status.offset).unwrap_or(0).min(length - 1);
                    }
                    // It has nothing of it, or had all and its answer was lost.
                    Ok(_) if fresh + 1 < ATTEMPTS => {
                        fresh += 1;
                        break 0;
                    }
                    // The node may not know yet that the connection is gone, or be about to start again.
                    Err(_) if Instant::now() < end => tokio::time::sleep(PAUSE).await,
                    Ok(_) | Err(_) => return Err(broken),
                }
            };
            if offset > best {
                (best, end) = (offset, Instant::now() + PATIENCE);
            } else if Instant::now() < end {
                tokio::time::sleep(PAUSE).await;
            } else {
                return Err(broken);
            }
        }
    }

    /// How far an upload has come that was broken off.
    async fn unfinished(&self, name: &TableName, version: u32) -> Result<Option<UploadStatus>, Error> {
        let request = || self.http.get(format!("{}/upload", self.table(name, version))).timeout(ANSWER);
        match self.answer(self.persist(request).await?).await {
            Ok(response) => self.json(response).await.map(Some),
            Err(Error::Refused { problem, .. }) if problem.kind() == Some(ProblemKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The client's own tables.
    pub(super) async fn tables(&self) -> Result<Vec<TableStatus>, Error> {
        let request = || self.http.get(self.url("tables")).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// The tables of others that the client may use.
    pub(super) async fn permitted_tables(&self) -> Result<Vec<TableStatus>, Error> {
        let request = || self.http.get(self.url("tables?permitted=true")).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// Forgets a table; if an upload is given, only if it is of that one.
    pub(super) async fn delete_table(
        &self,
        name: &TableName,
        version: u32,
        upload: Option<UploadId>,
    ) -> Result<(), Error> {
        let mut url = self.table(name, version);
        if let Some(upload) = upload {
            url = format!("{url}?upload={upload}");
        }
        self.gone(self.persist(|| self.http.delete(&url).timeout(ANSWER)).await?).await
    }

    /// Hands in one share of a key, or one part of a recovery share, for a step that the nodes take together. The parts can be sent more than once: the node takes an enrolment or a recovery once.
    pub(super) async fn put_key(&self, path: String, parts: &[Bytes]) -> Result<KeyStatus, Error> {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let url = self.url(&format!("keys/{path}"));
        let request = || {
            let parts = stream::iter(parts.to_vec()).map(Ok::<_, Infallible>);
            self.http
                .put(&url)
                .timeout(STEP)
                .header(header::CONTENT_TYPE, KEY_MEDIA_TYPE)
                .header(header::CONTENT_LENGTH, length)
                .body(Body::wrap_stream(parts))
        };
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// The client's own keys.
    pub(super) async fn keys(&self) -> Result<Vec<KeyStatus>, Error> {
        let request = || self.http.get(self.url("keys")).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// A key, by its place below `keys`.
    pub(super) async fn key(&self, path: &str) -> Result<KeyStatus, Error> {
        let request = || self.http.get(self.url(&format!("keys/{path}"))).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// A step that the nodes take together.
    pub(super) async fn key_step(&self, path: String) -> Result<KeyStatus, Error> {
        let request = || self.http.post(self.url(&format!("keys/{path}"))).timeout(STEP);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// Something that this node does with a key on its own, for whom has a secret.
    pub(super) async fn post_key(&self, path: &str, what: &impl Serialize) -> Result<KeyStatus, Error> {
        self.json(self.answer(self.post_secret(path, what).await?).await?).await
    }

    /// The node's components of a share that it hands out.
    pub(super) async fn issued_key(&self, path: &str, what: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.body(self.answer(self.post_secret(path, what).await?).await?, MAX_ANSWER).await
    }

    /// A request with a secret in it. The text is wiped when it is sent, or cannot be.
    async fn post_secret(&self, path: &str, what: &impl Serialize) -> Result<Response, Error> {
        let text = Bytes::from_owner(secret_json(what)?);
        let request = || {
            let request = self.http.post(self.url(&format!("keys/{path}"))).timeout(ANSWER);
            request.header(header::CONTENT_TYPE, "application/json").body(text.clone())
        };
        self.persist(request).await
    }

    async fn post(&self, path: &str, what: &impl Serialize) -> Result<Response, Error> {
        let request = || self.http.post(self.url(&format!("keys/{path}"))).timeout(ANSWER).json(what);
        self.persist(request).await
    }

    /// The node's part of a signature.
    pub(super) async fn sign(&self, path: &str, what: &SignRequest) -> Result<Partials, Error> {
        self.json(self.answer(self.post(path, what).await?).await?).await
    }

    /// Erases the node's share of a key; if an enrolment is given, only if it is of that one. Repeated with a nonce it gives the receipt again.
    pub(super) async fn delete_key(
        &self,
        name: &KeyName,
        (enrolment, nonce): (Option<ExchangeId>, Option<Nonce>),
    ) -> Result<Receipt, Error> {
        let mut url = self.url(&format!("keys/{name}"));
        let parameters = [("enrolment", enrolment), ("nonce", nonce)];
        for (k, (what, id)) in parameters.into_iter().filter_map(|(what, id)| Some((what, id?))).enumerate() {
            url = format!("{url}{}{what}={id}", if k == 0 { '?' } else { '&' });
        }
        let request = || self.http.delete(&url).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    pub(super) async fn delete(&self, id: JobId) -> Result<(), Error> {
        self.gone(self.persist(|| self.http.delete(self.job(id)).timeout(ANSWER)).await?).await
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
            let length: usize = parts.iter().map(Bytes::len).sum();
            let parts = stream::iter(parts.to_vec()).map(Ok::<_, Infallible>);
            let request = request.header(header::CONTENT_TYPE, media_type).header(header::CONTENT_LENGTH, length);
            request.body(Body::wrap_stream(parts))
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

    fn table(&self, name: &TableName, version: u32) -> String {
        self.url(&format!("tables/{name}/{version}"))
    }

    fn job(&self, id: JobId) -> String {
        self.url(&format!("jobs/{id}"))
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

/// Runs one request per node at the same time.
pub(super) async fn all<'a, T, F: Future<Output = T>>(
    nodes: &'a [NodeClient; 3],
    request: impl Fn(&'a NodeClient) -> F,
) -> [T; 3] {
    let [a, b, c] = nodes;
    let (a, b, c) = tokio::join!(request(a), request(b), request(c));
    [a, b, c]
}

/// What comes after so many bytes. Nothing is copied.
fn after(parts: &[Bytes], mut bytes: usize) -> Vec<Bytes> {
    let rest = parts.iter().map(|part| {
        let skipped = bytes.min(part.len());
        bytes -= skipped;
        part.slice(skipped..)
    });
    rest.filter(|part| !part.is_empty()).collect()
}

/// Whether an upload may be gone on with that a node has not taken: its body came too slowly, or the node is not where we thought.
fn is_broken(error: &Error, offset: usize) -> bool {
    let Error::Refused { problem, .. } = error else { return false };
    match problem.kind() {
        Some(ProblemKind::Slow) => true,
        Some(ProblemKind::NotFound | ProblemKind::Conflict | ProblemKind::Uploading) => offset > 0,
        _ => false,
    }
}

/// Whether a node that refused may take the same job a moment later.
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(error, Error::Refused { problem, .. }
        if matches!(problem.kind(), Some(ProblemKind::Busy | ProblemKind::Share | ProblemKind::Uploading)))
}
