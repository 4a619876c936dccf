//! Connections of clients: accepting, the TLS handshake, time limits, the end.

use super::{
    Caller, NoRoute, Problem,
    activity::{Activity, Busy, IDLE},
    linger::Lingering,
    newcomers::{Newcomer, Newcomers},
    peer::{NoPlace, Peer, Standing, Unknown},
};
use crate::{
    Error,
    config::Cluster,
    job::Limits,
    metrics::{ApiMetrics, Refusal},
    oidc::{Access, TokenFault, Tokens},
    pki::{CertificateFault, Role},
    places::Places,
    ration::Ration,
    tls,
};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, StatusCode, header},
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
    fmt,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, info, warn};

/// What is under way when a connection is to be closed may take this much longer.
const GRACE: Duration = Duration::from_mins(5);

/// The same when the node stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Requests of one connection at the same time.
const STREAMS: u32 = 64;

/// Lines a minute of the log for each reason why somebody was not let in; the others are counted.
const REFUSALS: u32 = 20;

/// Lines a minute of the log for strange requests of one client; the others are counted.
const STRANGE: u32 = 10;

/// How often it is looked whether there is something to be told of those that were counted.
const TELL: Duration = Duration::from_secs(5);

/// Characters of a path in a line of the log.
const PATH: usize = 120;

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
    /// Connections with a certificate.
    certified: Places<Role>,
    /// Those without one on which a token was taken, which keep nobody out who has one.
    vouched: Places<Role>,
    /// Those of which it is not known yet who is there, which keep nobody out at all.
    newcomers: Arc<Newcomers>,
    /// The number of the next connection.
    next: AtomicU64,
    metrics: Option<ApiMetrics>,
    refusals: Ration<Refusal>,
    strange: Ration<String>,
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
            certified: Places::new(connections),
            vouched: Places::new(connections),
            newcomers: Newcomers::new(connections),
            next: AtomicU64::new(0),
            metrics: None,
            refusals: Ration::new(REFUSALS),
            strange: Ration::new(STRANGE),
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
        let (mut open, mut tell) = (JoinSet::new(), tokio::time::interval(TELL));
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = listener.accept() => accepted,
                Some(_) = open.join_next() => continue,
                _ = tell.tick() => {
                    tell_of_more(shared.refusals.over(), shared.strange.over());
                    continue;
                }
            };
            match accepted {
                Ok((stream, address)) => {
                    let newcomer = shared.newcomers.admit(address.ip());
                    open.spawn(shared.clone().serve((stream, address), newcomer, stop.clone()));
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
        tell_of_more(shared.refusals.end(), shared.strange.end());
    }
}

impl Shared {
    /// Somebody is not let in: in the metrics, and in the log as long as there are few.
    fn refuse(&self, address: SocketAddr, (refusal, cause): (Refusal, impl fmt::Display)) {
        if let Some(metrics) = &self.metrics {
            metrics.refused(refusal);
        }
        if self.refusals.take(&refusal) {
            info!("refused a client at {address}: {cause}");
        }
    }

    /// A request of a client that is out of form, as those are with which somebody tries what a node falls for.
    fn strange(&self, who: &str, what: impl fmt::Display) {
        if self.strange.take(&who.to_owned()) {
            info!("{who}: {what}");
        }
    }

    async fn serve(
        self: Arc<Self>,
        (stream, address): (TcpStream, SocketAddr),
        mut newcomer: Newcomer,
        mut stop: watch::Receiver<bool>,
    ) {
        // A small answer must not wait for the acknowledgement of the one before; without the option it only takes longer.
        let _ = stream.set_nodelay(true);
        let mut door = self.door.0.subscribe();
        let admission = door.borrow_and_update().clone();
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(self.timeout, admission.acceptor.accept(stream)) => accepted,
            () = newcomer.displaced() => return self.refuse(address, (Refusal::Crowded, CROWDED)),
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let stream = match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => {
                let cause = tls::explain(&e).unwrap_or_else(|| e.to_string());
                return self.refuse(address, (Refusal::Tls, cause));
            }
            Err(_) => {
                let cause = format_args!("no TLS handshake within limits.client_timeout ({:?})", self.timeout);
                return self.refuse(address, (Refusal::Slow, cause));
            }
        };
        let caller = match self.caller(&stream, &admission.cluster) {
            Ok(caller) => caller,
            Err(fault) => return self.refuse(address, (Refusal::Tls, fault)),
        };
        let place = match &caller {
            Some(caller) => match self.certified.try_take(&caller.role).map_err(NoPlace::from) {
                Ok(place) => Some(place),
                Err(fault) => return self.refuse(address, (fault.into(), format_args!("{}: {fault}", caller.role))),
            },
            None => None,
        };
        let newcomer = place.is_none().then_some(newcomer);
        let _open = self.metrics.as_ref().map(ApiMetrics::connected);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let standing = if place.is_some() { Standing::Known } else { Standing::Unknown };
        let standing = watch::Sender::new(standing);
        let peer = Arc::new(Peer { caller, address, number, place: Mutex::new(place), standing });
        self.converse(stream, (peer, newcomer), End { stop, door }).await;
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
    async fn identify(&self, peer: &Peer, method: &Method, headers: &HeaderMap) -> Result<Caller, Unknown> {
        if let Some(caller) = &peer.caller {
            return Ok(caller.clone());
        }
        let Some(tokens) = &self.tokens else {
            return Err(TokenFault::Missing { issuer: "the cluster's authority".to_owned() }.into());
        };
        let looks = matches!(*method, Method::GET | Method::HEAD);
        let access = if looks { Access::Look } else { Access::Change(peer.number) };
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = match (values.next(), values.next()) {
            (_, Some(_)) => return Err(TokenFault::Malformed("there are two headers Authorization".to_owned()).into()),
            (value, None) => value.and_then(|value| value.to_str().ok()),
        };
        let vouched = tokens.caller(value).await?;
        let caller = Caller { role: Role::Client(vouched.name.clone()) };
        peer.is_known_as(&caller, &self.vouched, || tokens.used(&vouched, access))?;
        Ok(caller)
    }

    async fn converse(
        self: Arc<Self>,
        stream: TlsStream<TcpStream>,
        (peer, mut newcomer): (Arc<Peer>, Option<Newcomer>),
        End { mut stop, mut door }: End,
    ) {
        let activity = Arc::new(Activity::default());
        let (address, mut standing) = (peer.address, peer.standing.subscribe());
        let who = peer.caller.as_ref().map(|caller| caller.role.to_string());
        let router = TowerToHyperService::new(self.router.clone());
        let ends = Arc::<Notify>::default();
        let service = {
            let (activity, shared, peer, ends) = (activity.clone(), self.clone(), peer, ends.clone());
            service_fn(move |mut request: Request<Incoming>| {
                let (busy, ends) = (Activity::begin(&activity), ends.clone());
                let (shared, router, peer) = (shared.clone(), router.clone(), peer.clone());
                async move {
                    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                    let caller = shared.identify(&peer, &method, request.headers()).await;
                    match caller {
                        Ok(caller) => {
                            let who = caller.role.to_string();
                            request.extensions_mut().insert(caller);
                            let busy = Arc::new(busy);
                            request.extensions_mut().insert(Connection { ends, _busy: Some(busy.clone()) });
                            let answer = router.call(request.map(|body| Body::new(Lingering::new(body)))).await;
                            if let Ok(response) = &answer {
                                let (status, path) = (response.status(), short(&path));
                                debug!("{who}: {method} {path}: {status}");
                                if is_strange(status) || response.extensions().get::<NoRoute>().is_some() {
                                    shared.strange(&who, format_args!("{method} {path}: {status}"));
                                }
                            }
                            drop(busy);
                            answer
                        }
                        Err(fault) => {
                            shared.refuse(peer.address, (fault.refusal(), &fault));
                            // What is still arriving is taken, so that the refusal is.
                            drop(Lingering::new(request.into_body()));
                            Activity::refused(busy);
                            peer.standing.send_if_modified(|standing| {
                                let first = *standing == Standing::Unknown;
                                if first {
                                    *standing = Standing::Refused;
                                }
                                first
                            });
                            Ok(Problem::from(fault).into_response())
                        }
                    }
                }
            })
        };
        let builder = self.builder();
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let (mut end, introduced) = (None, Instant::now() + self.timeout);
        loop {
            let idle = || if newcomer.is_some() { introduced } else { activity.idle_until() };
            let deadline = end.unwrap_or_else(idle);
            tokio::select! {
                ended = &mut connection => {
                    if let Err(e) = ended {
                        debug!("a connection ended: {e}");
                        if let (Some(who), true) = (&who, is_out_of_form(&*e)) {
                            self.strange(who, format_args!("the connection ended, since a request is no HTTP: {e}"));
                        }
                    }
                    return;
                }
                () = displaced(&mut newcomer) => return self.refuse(address, (Refusal::Crowded, CROWDED)),
                // The sender is in the service of the connection.
                _ = standing.changed() => match *standing.borrow_and_update() {
                    Standing::Unknown => {}
                    Standing::Known => {
                        newcomer = None;
                        // Its time may have been over while its token was looked at.
                        end = end.map(|_| Instant::now() + GRACE);
                    }
                    // The answer is under way. Whoever has another token comes back with it.
                    Standing::Refused => {
                        connection.as_mut().graceful_shutdown();
                        end = end.or(Some(Instant::now() + self.timeout));
                    }
                },
                () = ends.notified() => return,
                () = tokio::time::sleep_until(deadline.into()) => {
                    if end.is_some() {
                        return;
                    }
                    if newcomer.is_some() {
                        connection.as_mut().graceful_shutdown();
                        end = Some(Instant::now() + self.timeout);
                    } else if activity.idle_until() <= Instant::now() {
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

/// What was not told one by one.
fn tell_of_more(refusals: Vec<(Refusal, u64)>, strange: Vec<(String, u64)>) {
    for (refusal, more) in refusals {
        info!("refused {more} more clients for the reason `{}` since the last line of them", refusal.name());
    }
    for (who, more) in strange {
        info!("{who}: {more} more requests that are out of form since the last line of them");
    }
}

/// Why a newcomer had to leave.
const CROWDED: &str = "it had not said who it is, and others came; the node has places for a quarter of limits.connections such connections from one address, and limits.connections in all";

/// Returns when another has the place of the newcomer; never for one who is known.
async fn displaced(newcomer: &mut Option<Newcomer>) {
    match newcomer {
        Some(newcomer) => newcomer.displaced().await,
        None => std::future::pending().await,
    }
}

/// Answers to requests as no client of ours sends them.
fn is_strange(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 405 | 408 | 411 | 413 | 414 | 415 | 422 | 431)
}

/// Whether a connection ended by what came on it.
fn is_out_of_form(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(|e| e.is_parse() || e.is_parse_too_large())
}

fn short(path: &str) -> &str {
    path.split_at_checked(PATH).map_or(path, |(short, _)| short)
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
