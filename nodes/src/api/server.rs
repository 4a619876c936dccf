//! Connections of clients: accepting, the TLS handshake, time limits, the end.

use super::{Caller, Problem, ProblemKind, linger::Lingering};
use crate::{
    Error,
    config::Cluster,
    job::Limits,
    metrics::{ApiMetrics, Refusal},
    oidc::{Access, TokenFault, Tokens},
    pki::{CertificateFault, Role},
    tls,
};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, header},
    response::IntoResponse as _,
};
use hyper::{
    Request,
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, info, warn};

/// A connection without a request is closed after this time.
const IDLE: Duration = Duration::from_mins(1);

/// What is under way when a connection is to be closed may take this much longer.
const GRACE: Duration = Duration::from_mins(5);

/// The same when the node stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Requests of one connection at the same time.
const STREAMS: u32 = 64;

/// Accepts clients and hands their requests to the API.
pub struct Server {
    listener: TcpListener,
    shared: Shared,
}

/// Lets clients in, and other ones once it is renewed.
#[derive(Clone)]
pub struct Door(Arc<watch::Sender<Arc<Admission>>>);

/// As whom the node answers, and whom it lets in.
struct Admission {
    acceptor: TlsAcceptor,
    cluster: Cluster,
}

impl Door {
    /// Answers with another certificate, and lets in whom another cluster file does, from now on. Connections that are open end when the requests on them
    /// are answered, so that clients come back through the new door.
    pub fn renew(&self, tls: rustls::ServerConfig, cluster: Cluster) {
        self.0.send_replace(Arc::new(Admission { acceptor: TlsAcceptor::from(Arc::new(tls)), cluster }));
    }
}

struct Shared {
    door: Door,
    router: Router,
    timeout: Duration,
    /// Checks tokens, where callers without a certificate are let in.
    tokens: Option<Tokens>,
    connections: Arc<Semaphore>,
    /// Connections without a certificate, which keep nobody out who has one either.
    strangers: Arc<Semaphore>,
    /// The number of the next connection.
    next: AtomicU64,
    /// Handshakes are counted apart, so that callers without a certificate keep nobody out who has one.
    handshakes: Arc<Semaphore>,
    metrics: Option<ApiMetrics>,
}

impl Server {
    /// Serves `router` on a bound socket.
    pub fn new(
        listener: TcpListener,
        (tls, tokens): (rustls::ServerConfig, Option<Tokens>),
        cluster: Cluster,
        router: Router,
        limits: &Limits,
    ) -> Self {
        let connections = limits.connections as usize;
        let admission = Admission { acceptor: TlsAcceptor::from(Arc::new(tls)), cluster };
        let shared = Shared {
            door: Door(Arc::new(watch::Sender::new(Arc::new(admission)))),
            router,
            timeout: limits.client_timeout,
            tokens,
            connections: Arc::new(Semaphore::new(connections)),
            strangers: Arc::new(Semaphore::new(connections)),
            next: AtomicU64::new(0),
            handshakes: Arc::new(Semaphore::new(connections)),
            metrics: None,
        };
        Self { listener, shared }
    }

    /// Counts those who come and those who are not let in.
    #[must_use]
    pub fn counting(mut self, metrics: ApiMetrics) -> Self {
        self.shared.metrics = Some(metrics);
        self
    }

    /// What lets clients in.
    pub fn door(&self) -> Door {
        self.shared.door.clone()
    }

    /// The address clients reach.
    ///
    /// # Errors
    /// [`Error::System`] if the system does not tell.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.listener.local_addr().map_err(Error::system("read the address of the API's socket"))
    }

    /// Serves until `stop` turns true or its sender is gone; then ends the connections.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let (listener, shared) = (self.listener, Arc::new(self.shared));
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = shared.accept(&listener) => accepted,
                Some(_) = open.join_next() => continue,
            };
            match accepted {
                Ok((stream, address, handshake)) => {
                    open.spawn(shared.clone().serve(stream, address, handshake, stop.clone()));
                }
                Err(e) => {
                    // Out of file descriptors, as a rule: connections have to end before another can begin.
                    warn!("cannot accept a client: {e}; raise the limit of open files if this stays");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        while open.join_next().await.is_some() {}
    }
}

impl Shared {
    async fn accept(&self, listener: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = self.handshakes.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, address) = listener.accept().await?;
        Ok((stream, address, permit))
    }

    fn refused(&self, refusal: Refusal) {
        if let Some(metrics) = &self.metrics {
            metrics.refused(refusal);
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        handshake: OwnedSemaphorePermit,
        mut stop: watch::Receiver<bool>,
    ) {
        // A small answer must not wait for the acknowledgement of the one before; without the option it only takes longer.
        let _ = stream.set_nodelay(true);
        let mut door = self.door.0.subscribe();
        let admission = door.borrow_and_update().clone();
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(self.timeout, admission.acceptor.accept(stream)) => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        drop(handshake);
        let stream = match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => {
                self.refused(Refusal::Tls);
                let cause = tls::explain(&e).unwrap_or_else(|| e.to_string());
                return info!("refused a client at {address}: {cause}");
            }
            Err(_) => {
                self.refused(Refusal::Slow);
                return info!("refused a client at {address}: no TLS handshake within {:?}", self.timeout);
            }
        };
        let caller = match self.caller(&stream, &admission.cluster) {
            Ok(caller) => caller,
            Err(fault) => return info!("refused a client at {address}: {fault}"),
        };
        let places = if caller.is_some() { &self.connections } else { &self.strangers };
        let Ok(_permit) = places.clone().try_acquire_owned() else {
            self.refused(Refusal::Full);
            return warn!("refused a client at {address}: there are as many connections as limits.connections allows");
        };
        let _open = self.metrics.as_ref().map(ApiMetrics::connected);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.converse(stream, Peer { caller, address, number }, End { stop, door }).await;
    }

    /// Who is there, by the certificate; nobody who is known yet if there is none and tokens are taken.
    fn caller(&self, stream: &TlsStream<TcpStream>, cluster: &Cluster) -> Result<Option<Caller>, CertificateFault> {
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        if chain.is_empty() && self.tokens.is_some() {
            return Ok(None);
        }
        let role = tls::peer_role(chain, cluster)?;
        Ok(Some(Caller { role }))
    }

    /// Who a request is from: whom the certificate names, else whom its token does.
    async fn identify(&self, peer: &Peer, method: &Method, headers: &HeaderMap) -> Result<Caller, TokenFault> {
        if let Some(caller) = &peer.caller {
            return Ok(caller.clone());
        }
        let Some(tokens) = &self.tokens else {
            return Err(TokenFault::Missing { issuer: "the cluster's authority".to_owned() });
        };
        let looks = matches!(*method, Method::GET | Method::HEAD);
        let access = if looks { Access::Look } else { Access::Change(peer.number) };
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = match (values.next(), values.next()) {
            (_, Some(_)) => return Err(TokenFault::Malformed("there are two headers Authorization".to_owned())),
            (value, None) => value.and_then(|value| value.to_str().ok()),
        };
        tokens.caller(value, access).await.map(|name| Caller { role: Role::Client(name) })
    }

    async fn converse(self: Arc<Self>, stream: TlsStream<TcpStream>, peer: Peer, End { mut stop, mut door }: End) {
        let activity = Arc::new(Activity::default());
        let router = TowerToHyperService::new(self.router.clone());
        let ends = Arc::<Notify>::default();
        let service = {
            let (activity, shared, peer, ends) = (activity.clone(), self.clone(), Arc::new(peer), ends.clone());
            service_fn(move |mut request: Request<Incoming>| {
                let busy = Arc::new(Activity::begin(&activity));
                let connection = Connection { ends: ends.clone(), _busy: Some(busy.clone()) };
                let (shared, router, peer) = (shared.clone(), router.clone(), peer.clone());
                async move {
                    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                    let caller = shared.identify(&peer, &method, request.headers()).await;
                    let answer = match caller {
                        Ok(caller) => {
                            let who = caller.role.to_string();
                            request.extensions_mut().insert(caller);
                            request.extensions_mut().insert(connection);
                            let answer = router.call(request.map(|body| Body::new(Lingering::new(body)))).await;
                            if let Ok(response) = &answer {
                                debug!("{who}: {method} {path}: {}", response.status());
                            }
                            answer
                        }
                        Err(fault) => {
                            info!("refused a request from {}: {fault}", peer.address);
                            // What is still arriving is taken, so that the refusal is.
                            drop(Lingering::new(request.into_body()));
                            Ok(Problem::from(fault).into_response())
                        }
                    };
                    drop(busy);
                    answer
                }
            })
        };
        let builder = self.builder();
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut end = None;
        loop {
            let deadline = end.unwrap_or_else(|| activity.idle_until());
            tokio::select! {
                ended = &mut connection => {
                    if let Err(e) = ended {
                        debug!("a connection ended: {e}");
                    }
                    return;
                }
                () = ends.notified() => return,
                () = tokio::time::sleep_until(deadline.into()) => {
                    if end.is_some() {
                        return;
                    }
                    if activity.idle_until() <= Instant::now() {
                        connection.as_mut().graceful_shutdown();
                        end = Some(Instant::now() + GRACE);
                    }
                }
                // The sender is in the server.
                _ = door.changed(), if end.is_none() => {
                    connection.as_mut().graceful_shutdown();
                    end = Some(Instant::now() + GRACE);
                }
                _ = stop.wait_for(|stop| *stop), if end.is_none_or(|end| end > Instant::now() + STOP_GRACE) => {
                    connection.as_mut().graceful_shutdown();
                    end = Some(Instant::now() + STOP_GRACE);
                }
            }
        }
    }

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.timeout).max_buf_size(64 << 10);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(16 << 10)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_send_buf_size(256 << 10)
            .keep_alive_interval(IDLE / 2)
            .keep_alive_timeout(self.timeout);
        builder
    }
}

/// The other end of a connection.
struct Peer {
    /// Whom its certificate names, if it has shown one.
    caller: Option<Caller>,
    address: SocketAddr,
    /// No other connection to this process has it.
    number: u64,
}

impl From<TokenFault> for Problem {
    fn from(fault: TokenFault) -> Self {
        let kind = match fault {
            TokenFault::Crowded | TokenFault::Keys => ProblemKind::Busy,
            _ => ProblemKind::Token,
        };
        kind.because(fault.to_string())
    }
}

/// What a connection ends by, besides its client.
struct End {
    stop: watch::Receiver<bool>,
    door: watch::Receiver<Arc<Admission>>,
}

/// The connection that a request came on, for an answer that takes long to send: as long as one of these is there it is not idle.
#[derive(Clone, Default)]
pub(super) struct Connection {
    ends: Arc<Notify>,
    _busy: Option<Arc<Busy>>,
}

impl Connection {
    /// Ends it, with all that is under way on it.
    pub(super) fn cut(&self) {
        self.ends.notify_one();
    }
}

/// When a connection last did something.
struct Activity(Mutex<(u32, Instant)>);

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }
}

/// A request under way.
struct Busy(Arc<Activity>);

impl Activity {
    fn begin(this: &Arc<Self>) -> Busy {
        this.change(|(requests, last)| (requests + 1, last));
        Busy(this.clone())
    }

    /// When the connection has been without a request for too long, if none comes before.
    fn idle_until(&self) -> Instant {
        let (requests, last) = self.change(|now| now);
        if requests == 0 { last + IDLE } else { Instant::now() + IDLE }
    }

    fn change(&self, f: impl FnOnce((u32, Instant)) -> (u32, Instant)) -> (u32, Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = f(*state);
        *state
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(|(requests, _)| (requests - 1, Instant::now()));
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}
