//! A node: the mesh, the jobs and the API, put together.

mod sessions;

use crate::{
    Error,
    api::{Api, KeysApi, Server, auth_router},
    audit::{AuditWhose, Keeper},
    auth::{Auth, AuthConfig, Bounds},
    config::{Address, NodeConfig},
    job::{Jobs, Runner, Sessions, Turns},
    keys::{Keys, KeysConfig},
    mesh::{ALPN, Mesh, MeshConfig, MeshError},
    oidc::Tokens,
    policy::{self, Enforcer, PolicyFiles},
    receipt::Notary,
    seal::SealKey,
    status::{CertificateStatus, NodeStatus, PeerStatus, SocketBuffers},
    store::{Store, Whose},
    tables::TableStore,
    tls,
};
use sessions::MeshSessions;
use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tracing::{info, warn};

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
    policy: Arc<Enforcer>,
    policy_files: Option<PolicyFiles>,
    whose: AuditWhose,
    keys: Arc<Keys>,
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
        let NodeConfig { party, cluster, identity, store, audit, policy: policy_files, oidc, listen, limits, .. } =
            config;
        let store = Store::open(&store, Whose { cluster: cluster.id(), party }).await?;
        let whose = AuditWhose { cluster: cluster.id(), party };
        let (audit, before) =
            Keeper::open(audit, whose, store.clone(), [limits.retention, limits.job_deadline]).await?;
        let jobs = Jobs::new(limits.clone(), audit.log().clone());
        let policy = if let Some(files) = &policy_files {
            Some(policy::load(files, whose, &store, audit.log()).await?)
        } else {
            warn!(
                "there is no policy, so no job is permitted, nor anything else: `trefoil policy init` writes one, and names it in node.toml"
            );
            None
        };
        let policy = Arc::new(Enforcer::new(policy, store.clone()));
        jobs.recover(before).map_err(Error::system("write the audit log"))?;
        let sessions: Arc<dyn Sessions> = Arc::new(MeshSessions::new(mesh.clone()));
        let runner = Runner::new(jobs.clone(), sessions.clone(), turns.clone());
        let status = {
            let (mesh, cluster_digest) = (mesh.clone(), cluster.digest());
            let certificate = CertificateStatus { not_after: identity.facts().not_after };
            move || NodeStatus {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                protocol: String::from_utf8_lossy(ALPN).into_owned(),
                party: party.index() as u8,
                cluster_digest,
                time_unix_ms: now_unix_ms(),
                peers: peers(&mesh),
                socket_buffers: buffers(&mesh),
                certificate,
            }
        };
        let listener = bind(&listen.api).await?;
        let api = Arc::new(Api {
            jobs: jobs.clone(),
            runner,
            tables: TableStore::open(limits.clone(), store.clone()).await?,
            policy: policy.clone(),
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
        let expect = if oidc.is_some() { tls::Expect::AnyoneOrToken } else { tls::Expect::Anyone };
        let tls = (tls::api_server(&identity, &cluster, expect)?, oidc.map(Tokens::new));
        let notary = Notary::new(cluster.id(), party, &identity)?;
        let bounds = Bounds {
            templates: limits.client_templates,
            credentials: limits.client_credentials,
            sessions: limits.waiting_jobs,
        };
        let auth = AuthConfig { store: store.clone(), parts: Box::new(keys.clone()), sessions, turns, notary, bounds };
        let auth = Auth::new(auth);
        let more = keys_api.router().merge(auth_router(auth, limits.clone()));
        let server = Server::new(listener, tls, cluster, api.router(more), &limits);
        let mesh_address = mesh.local_addr().map_err(Error::system("read the address of the mesh socket"))?;
        let addresses = (mesh_address, server.address()?);
        let (stop, stopped) = watch::channel(false);
        let sweeper = tokio::spawn(sweep(jobs.clone()));
        let server = tokio::spawn(server.run(stopped));
        info!("{party} listens for nodes on {} and for clients on {}", addresses.0, addresses.1);
        let audit = Some(audit);
        Ok(Self { mesh, jobs, store, audit, policy, policy_files, whose, keys, addresses, stop, server, sweeper })
    }

    /// Reads the policy again and acts by it from now on. Gives its serial number; the old one stays in force if the new one is refused.
    ///
    /// # Errors
    /// [`Error::Usage`] if the node was started without one; as [`policy::load`].
    pub async fn reload_policy(&self) -> Result<u64, Error> {
        let none =
            || Error::Usage("node.toml names no policy; run `trefoil policy init` and start the node again".to_owned());
        let (Some(files), Some(audit)) = (&self.policy_files, &self.audit) else { return Err(none()) };
        let policy = policy::load(files, self.whose, &self.store, audit.log()).await?;
        let serial = policy.serial;
        self.policy.replace(policy);
        Ok(serial)
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
