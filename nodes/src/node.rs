//! A node: the mesh, the jobs and the API, put together.

mod renewal;
mod sessions;

use crate::{
    Error,
    api::{Api, Door, KeysApi, Server, auth_router},
    audit::{AuditWhose, Keeper},
    auth::{Auth, AuthConfig, Bounds},
    config::{Address, NodeConfig},
    job::{Jobs, Runner, Sessions, Turns},
    keys::{Keys, KeysConfig},
    mesh::{Mesh, MeshConfig, MeshError, Versions},
    pki::Fingerprint,
    seal::SealKey,
    status::{NodeStatus, PeerStatus, SocketBuffers},
    store::{Store, Whose},
    tables::TableStore,
    tls,
};
use renewal::Presented;
pub use renewal::Reloaded;
use sessions::MeshSessions;
use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tracing::info;

/// How often ended jobs are looked through for those whose time is over.
const SWEEP: Duration = Duration::from_secs(5);

/// How long jobs have to end when the node stops.
const STOP: Duration = Duration::from_secs(3);

/// A node that serves. Dropping it ends everything at once; [`stop`](Self::stop) tells clients and peers.
pub struct Node {
    mesh: Arc<Mesh>,
    jobs: Arc<Jobs>,
    store: Store,
    audit: Option<Keeper>,
    keys: Arc<Keys>,
    presented: Arc<watch::Sender<Presented>>,
    door: Door,
    addresses: (SocketAddr, SocketAddr),
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    sweeper: JoinHandle<()>,
}

impl Node {
    /// Opens both sockets and serves. Returns at once, whether or not the other nodes are there.
    ///
    /// # Errors
    /// [`Error::System`] if a socket cannot be opened, [`Error::Certificate`] if the identity cannot be used, [`Error::Store`] if
    /// the node's records cannot be.
    pub async fn start(config: NodeConfig) -> Result<Self, Error> {
        let mesh = Arc::new(Mesh::start(MeshConfig::of_node(&config)?).map_err(cannot_start)?);
        // Those who wait for their turn hear of it well before they would take the coordinator for dead.
        let heartbeat = config.transport.stall_deadline / 4;
        let turns = Arc::new(Turns::new(config.party, config.limits.strands(config.threads), heartbeat));
        let NodeConfig { party, cluster, identity, store, audit, listen, limits, .. } = config;
        let store = Store::open(&store, Whose { cluster: cluster.id(), party }).await?;
        let whose = AuditWhose { cluster: cluster.id(), party };
        let (audit, before) =
            Keeper::open(audit, whose, store.clone(), [limits.retention, limits.job_deadline]).await?;
        let jobs = Jobs::new(limits.clone(), audit.log().clone());
        jobs.recover(before).map_err(Error::system("write the audit log"))?;
        let sessions: Arc<dyn Sessions> = Arc::new(MeshSessions::new(mesh.clone()));
        let runner = Runner::new(jobs.clone(), sessions.clone(), turns.clone());
        let presented = Arc::new(watch::Sender::new(Presented::of(&cluster, &identity)));
        let status = {
            let (mesh, presented) = (mesh.clone(), presented.clone());
            move || {
                let Presented { pinned, definition, accepts, certificate, .. } = presented.borrow().clone();
                NodeStatus {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    protocol: Versions::label(mesh.versions().highest),
                    protocols: Some(mesh.versions()),
                    party: party.index() as u8,
                    cluster_digest: pinned,
                    definition_digest: Some(definition),
                    accepts: Some(accepts),
                    time_unix_ms: now_unix_ms(),
                    peers: peers(&mesh),
                    socket_buffers: buffers(&mesh),
                    certificate,
                }
            }
        };
        let listener = bind(&listen.api).await?;
        let api = Arc::new(Api {
            jobs: jobs.clone(),
            runner,
            tables: TableStore::open(limits.clone(), store.clone()).await?,
            seal: SealKey::generate(party).map_err(|e| Error::Bug(e.to_string()))?,
            status: Box::new(status),
        });
        let keys = KeysConfig {
            cluster: cluster.id(),
            identity: &identity,
            store: store.clone(),
            sessions: Box::new(MeshSessions::new(mesh.clone())),
            signatures: limits.key_signatures,
            client_keys: limits.client_keys,
        };
        let keys = Keys::new(party, keys).map_err(|e| Error::Bug(e.to_string()))?;
        let keys_api = Arc::new(KeysApi { keys: keys.clone(), limits: limits.clone() });
        let tls = tls::api_server(&identity, &cluster)?;
        let notary = keys.notary().clone();
        let bounds = Bounds {
            templates: limits.client_templates,
            credentials: limits.client_credentials,
            sessions: limits.waiting_jobs,
        };
        let auth = AuthConfig { store: store.clone(), parts: Box::new(keys.clone()), sessions, turns, notary, bounds };
        let auth = Auth::new(auth);
        let more = keys_api.router().merge(auth_router(auth, limits.clone()));
        let server = Server::new(listener, tls, cluster, api.router(more), &limits);
        let door = server.door();
        let mesh_address = mesh.local_addr().map_err(Error::system("read the address of the mesh socket"))?;
        let addresses = (mesh_address, server.address()?);
        let (stop, stopped) = watch::channel(false);
        let sweeper = tokio::spawn(sweep(jobs.clone()));
        let server = tokio::spawn(server.run(stopped));
        info!("{party} listens for nodes on {} and for clients on {}", addresses.0, addresses.1);
        Ok(Self { mesh, jobs, store, audit: Some(audit), keys, presented, door, addresses, stop, server, sweeper })
    }

    /// The addresses the mesh socket and the API are bound to.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        self.addresses
    }

    /// What the node keeps through restarts.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The signing keys that live here.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Returns when both other nodes are connected. Cancel safe.
    pub async fn connected(&self) {
        self.mesh.connected().await;
    }

    /// What the operator can do if the system grants smaller socket buffers than were asked for.
    pub fn remedy(&self) -> Option<String> {
        self.mesh.buffers().remedy()
    }

    /// Ends the jobs, tells the peers and the clients, and closes the sockets. Takes a few seconds at most.
    pub async fn stop(mut self) {
        self.jobs.stop();
        let end = Instant::now() + STOP;
        // The jobs end by themselves now; peers learn the reason from their sessions.
        while self.jobs.load().0 > 0 && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.stop.send_replace(true);
        // The server ends its connections within a limit of its own.
        let _ = (&mut self.server).await;
        if let Some(audit) = self.audit.take() {
            audit.stop().await;
        }
        self.mesh.close().await;
    }

    /// Serves until `until` resolves, then stops.
    pub async fn run(self, until: impl Future<Output = ()>) {
        until.await;
        self.stop().await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.sweeper.abort();
        self.server.abort();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("mesh", &self.mesh).field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

async fn sweep(jobs: Arc<Jobs>) {
    let mut interval = tokio::time::interval(SWEEP);
    loop {
        interval.tick().await;
        jobs.sweep(Instant::now());
    }
}

async fn bind(address: &Address) -> Result<TcpListener, Error> {
    let action = || format!("listen for clients on {address} (free the port or change listen.api in node.toml)");
    TcpListener::bind((address.host(), address.port())).await.map_err(Error::system(action()))
}

fn cannot_start(error: MeshError) -> Error {
    match error {
        MeshError::Listen { address, cause } => Error::System {
            action: format!("listen for nodes on {address} (free the port or change listen.mesh in node.toml)"),
            source: cause,
        },
        other => Error::Bug(other.to_string()),
    }
}

fn peers(mesh: &Mesh) -> Vec<PeerStatus> {
    let status = mesh.status().into_iter().map(|peer| PeerStatus {
        party: peer.peer.index() as u8,
        connected: peer.connected,
        rtt_us: peer.rtt.and_then(|rtt| rtt.as_micros().try_into().ok()),
        mtu: peer.mtu,
        protocol: peer.version,
        certificate_sha256: peer.certificate.map(Fingerprint::new),
        last_error: peer.last_error,
    });
    status.collect()
}

fn buffers(mesh: &Mesh) -> SocketBuffers {
    let buffers = mesh.buffers();
    SocketBuffers { requested: buffers.requested as u64, granted: buffers.granted as u64 }
}

/// Zero for a clock before 1970: the doctor will find that it is wrong.
fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
