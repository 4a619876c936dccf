//! A node: the mesh, the jobs and the API, put together.

mod drain;
mod health;
mod renewal;
mod sessions;
mod sweep;

use crate::{
    Error,
    admin::{Admin, AdminApi, LogFilter},
    api::{Api, Door, Downloads, KeysApi, Server, auth_router, upkeep_router},
    audit::{AuditWhose, Keeper},
    auth::{Auth, AuthConfig, Bounds},
    clock::now_unix_ms,
    config::{Address, ClusterId, Listen, NodeConfig},
    job::{Before, Clock, Jobs, Limits, OutputStore, Records, Runner, Sessions, Turns},
    keys::{Keys, KeysConfig},
    mesh::{Mesh, MeshConfig, MeshError},
    metrics::{Metrics, Observed, Readings, StoreMetrics},
    oidc::Tokens,
    pki::Identity,
    policy::{self, Enforcer, PolicyFiles},
    seal::SealKey,
    status::NodeStatus,
    store::{Location, Store, StoreConfig, Whose},
    tables::TableStore,
    tls, trace,
    upkeep::{Comparisons, Upkeep, UpkeepConfig},
};
use axum::Router;
use drain::Drain;
use health::{Health, StoreHealth};
use renewal::Presented;
pub use renewal::Reloaded;
use sessions::MeshSessions;
use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use sweep::Sweep;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tracing::{error, info, warn};
use trefoil_engine::Party;

/// How long jobs have to end when the node stops.
const STOP: Duration = Duration::from_secs(3);

/// A node that serves. Dropping it ends everything at once; [`stop`](Self::stop) tells clients and peers.
pub struct Node {
    mesh: Arc<Mesh>,
    jobs: Arc<Jobs>,
    store: Store,
    audit: Option<Keeper>,
    /// With where it is read from, and whose it has to be.
    policy: (Arc<Enforcer>, Option<PolicyFiles>, AuditWhose),
    keys: Arc<Keys>,
    presented: Arc<watch::Sender<Presented>>,
    /// With whom else it lets in than the cluster's own.
    door: (Door, tls::Expect),
    addresses: (SocketAddr, SocketAddr),
    admin: Option<SocketAddr>,
    drain: (Drain, Duration),
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Opens both sockets and serves. Returns at once, whether or not the other nodes are there.
    ///
    /// # Errors
    /// [`Error::System`] if a socket cannot be opened, [`Error::Certificate`] if the identity cannot be used, [`Error::Store`] if
    /// the node's records cannot be.
    pub async fn start(config: NodeConfig) -> Result<Self, Error> {
        Self::start_with(config, None).await
    }

    /// As [`start`](Self::start), with the filter of the process' log for the admin listener to change.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(config: NodeConfig, filter: Option<LogFilter>) -> Result<Self, Error> {
        let admin = admin(&config.listen).await?;
        let metrics = Metrics::new();
        // A connection counts as silent after `idle_deadline`; a machine may be busy for a while.
        let bound = 2 * config.transport.idle_deadline;
        let mesh = Arc::new(Mesh::start(MeshConfig::of_node(&config)?).map_err(cannot_start)?);
        // Those who wait for their turn hear of it well before they would take the coordinator for dead.
        let heartbeat = config.transport.stall_deadline / 4;
        let turns = Arc::new(Turns::new(config.party, config.limits.strands(config.threads), heartbeat));
        let every = config.upkeep.compare;
        let NodeConfig { party, cluster, identity, store, audit, policy: policy_files, oidc, listen, limits, .. } =
            config;
        let place = store.place.clone();
        let store = opened((&store, &audit), Whose { cluster: cluster.id(), party }, metrics.store.clone()).await?;
        let comparisons = Comparisons::open(store.clone()).await?;
        let whose = AuditWhose { cluster: cluster.id(), party };
        let (audit, before) =
            Keeper::open(audit, whose, store.clone(), [limits.retention, limits.job_deadline]).await?;
        let journal = Observed::new(audit.log().clone(), metrics.jobs.clone());
        let jobs = recovered(limits.clone(), &store, (journal, before)).await?;
        let policy = Arc::new(enforcer(policy_files.as_ref(), whose, (&store, &audit)).await?);
        let sessions: Arc<dyn Sessions> = Arc::new(MeshSessions::new(mesh.clone()));
        let runner = Runner::new(jobs.clone(), sessions.clone(), turns.clone());
        let (drain, store_health) = (Drain::new(), Arc::new(StoreHealth::new()));
        let presented = Arc::new(watch::Sender::new(Presented::of(&cluster, &identity)));
        let health = Health {
            party,
            presented: presented.clone(),
            mesh: mesh.clone(),
            bound,
            draining: drain.begun.clone(),
            store: store_health.clone(),
            audit: audit.log().clone(),
            comparisons: comparisons.clone(),
        };
        let status: Arc<dyn Fn() -> NodeStatus + Send + Sync> = Arc::new(move || health.status());
        let listener = bind(&listen.api).await?;
        let tables = TableStore::open(limits.clone(), store.clone()).await?;
        let api = Arc::new(Api {
            jobs: jobs.clone(),
            runner,
            tables: tables.clone(),
            policy: policy.clone(),
            downloads: Downloads::default(),
            seal: SealKey::generate(party).map_err(|e| Error::Bug(e.to_string()))?,
            status: {
                let status = status.clone();
                Box::new(move || status())
            },
        });
        let keys = signing_keys((party, cluster.id(), &identity), &store, mesh.clone(), &limits)?;
        let expect = if oidc.is_some() { tls::Expect::AnyoneOrToken } else { tls::Expect::Anyone };
        let tls = (tls::api_server(&identity, &cluster, expect)?, oidc.map(Tokens::new));
        let of = (&store, &tables, &jobs, comparisons);
        let (more, keeping) = services(party, &limits, &keys, of, (sessions, turns));
        let router = trace::requests(metrics.api.count(drain.guard(api.router(more))));
        let server = Server::new(listener, tls, cluster, router, &limits).counting(metrics.api.clone());
        let door = (server.door(), expect);
        let mesh_address = mesh.local_addr().map_err(Error::system("read the address of the mesh socket"))?;
        let addresses = (mesh_address, server.address()?);
        let (stop, stopped) = watch::channel(false);
        let admin_address = admin.as_ref().map(Admin::address).transpose()?;
        // From here on nothing fails, so that no task is left behind.
        let comparing = keeping.compare_regularly((every, whose.cluster), drain.begun.clone());
        let sweep = Sweep { jobs: jobs.clone(), tables, keys: keys.clone() };
        let mut tasks = vec![
            tokio::spawn(store_health.keep_trying(store.clone())),
            tokio::spawn(sweep.run()),
            tokio::spawn(comparing),
        ];
        let readings = Readings {
            mesh: mesh.clone(),
            jobs: jobs.clone(),
            audit: audit.log().clone(),
            store: place,
            status: status.clone(),
        };
        let metrics = Arc::new(metrics.reading(readings));
        if let (Some(admin), Some(address)) = (admin, admin_address) {
            info!("{party} listens for its operator on http://{address}");
            tasks.push(tokio::spawn(admin.serve(AdminApi { metrics, status, filter }.router())));
        }
        let server = tokio::spawn(server.run(stopped));
        info!("{party} listens for nodes on {} and for clients on {}", addresses.0, addresses.1);
        let (audit, drain, admin) = (Some(audit), (drain, limits.drain), admin_address);
        let policy = (policy, policy_files, whose);
        Ok(Self {
            mesh,
            jobs,
            store,
            audit,
            policy,
            keys,
            presented,
            door,
            addresses,
            admin,
            drain,
            stop,
            server,
            tasks,
        })
    }

    /// Reads the policy again and acts by it from now on. Gives its serial number, or `None` if the node was started without one; the old one stays in force if the new one is refused.
    ///
    /// # Errors
    /// As [`policy::load`].
    pub async fn reload_policy(&self) -> Result<Option<u64>, Error> {
        let (enforcer, files, whose) = &self.policy;
        let (Some(files), Some(audit)) = (files, &self.audit) else { return Ok(None) };
        let policy = policy::load(files, *whose, &self.store, audit.log()).await?;
        let serial = policy.serial;
        enforcer.replace(policy);
        Ok(Some(serial))
    }

    /// The addresses the mesh socket and the API are bound to.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        self.addresses
    }

    /// The address the admin listener is bound to, if there is one.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
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

    /// Takes no new jobs any more and is not ready, and returns when those that are there have ended and their outputs were fetched, or after `limits.drain`. Cancel safe: jobs stay refused.
    pub async fn drain(&self) {
        let (drain, within) = &self.drain;
        let left = drain.wait(&self.jobs, *within).await;
        if left > 0 {
            warn!("{left} jobs and steps have not ended within limits.drain ({within:?}) and are stopped");
        }
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
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // Whoever starts the node again finds its store free.
            let _ = task.await;
        }
        if let Some(audit) = self.audit.take() {
            audit.stop().await;
        }
        self.mesh.close().await;
    }

    /// Serves until `until` resolves, then stops at once.
    pub async fn run(self, until: impl Future<Output = ()>) {
        until.await;
        self.stop().await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.server.abort();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("mesh", &self.mesh).field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

/// The listener for the operator, if there is to be one.
async fn admin(listen: &Listen) -> Result<Option<Admin>, Error> {
    match &listen.admin {
        Some(address) => Admin::bind(address).await.map(Some),
        None => Ok(None),
    }
}

async fn opened((config, audit): (&StoreConfig, &Path), whose: Whose, metrics: StoreMetrics) -> Result<Store, Error> {
    tell_of_new(&config.place, audit);
    let store = Store::open(config, whose).await?;
    store.observed_by(metrics);
    Ok(store)
}

/// An operator who has mounted the wrong disk is told before the node serves without what it had.
fn tell_of_new(store: &Location, audit: &Path) {
    // An empty file is made a store of as well.
    if store.file().is_some_and(|file| file.metadata().map_or(true, |file| file.len() == 0)) {
        if audit.exists() {
            error!(
                "{store} is not there, and an audit log is: a new, empty store was made. If this node had one, stop it and put that back, or mount the right disk; if it is lost, have the others rebuild it (`trefoil store rebuild`)"
            );
        } else {
            info!("a new, empty store was made: {store}");
        }
    }
}

/// The jobs, with those of the process before.
async fn recovered(limits: Limits, store: &Store, (journal, before): (Observed, Before)) -> Result<Arc<Jobs>, Error> {
    let (outputs, done) = OutputStore::open(store.clone()).await?;
    let clock: Clock = Arc::new(now_unix_ms);
    let jobs = Jobs::with(limits, Records { journal: Arc::new(journal), outputs: Some(outputs), clock });
    jobs.recover(before, done).map_err(Error::system("write the audit log"))?;
    jobs.erase().await?;
    Ok(jobs)
}

/// What holds the node to its policy, or to nothing being permitted.
async fn enforcer(
    files: Option<&PolicyFiles>,
    whose: AuditWhose,
    (store, audit): (&Store, &Keeper),
) -> Result<Enforcer, Error> {
    let policy = if let Some(files) = files {
        Some(policy::load(files, whose, store, audit.log()).await?)
    } else {
        warn!(
            "there is no policy, so no job is permitted, nor anything else: `trefoil policy init` writes one, and names it in node.toml"
        );
        None
    };
    Ok(Enforcer::new(policy, store.clone()))
}

fn signing_keys(
    (party, cluster, identity): (Party, ClusterId, &Identity),
    store: &Store,
    mesh: Arc<Mesh>,
    limits: &Limits,
) -> Result<Arc<Keys>, Error> {
    let keys = KeysConfig {
        cluster,
        identity,
        store: store.clone(),
        sessions: Box::new(MeshSessions::new(mesh)),
        signatures: limits.key_signatures,
        client_keys: limits.client_keys,
        clock: Arc::new(SystemTime::now),
    };
    Keys::new(party, keys).map_err(|e| Error::Bug(e.to_string()))
}

/// The API of keys, of authentication and of upkeep, and the last of these.
fn services(
    party: Party,
    limits: &Limits,
    keys: &Arc<Keys>,
    (store, tables, jobs, comparisons): (&Store, &Arc<TableStore>, &Arc<Jobs>, Arc<Comparisons>),
    (sessions, turns): (Arc<dyn Sessions>, Arc<Turns>),
) -> (Router, Arc<Upkeep>) {
    let bounds = Bounds {
        templates: limits.client_templates,
        credentials: limits.client_credentials,
        sessions: limits.waiting_jobs,
    };
    let auth = Auth::new(AuthConfig {
        store: store.clone(),
        parts: Box::new(keys.clone()),
        sessions: sessions.clone(),
        turns,
        notary: keys.notary().clone(),
        bounds,
    });
    let upkeep = Upkeep::new(UpkeepConfig {
        me: party,
        store: store.clone(),
        tables: tables.clone(),
        jobs: jobs.clone(),
        keys: keys.clone(),
        auth: auth.clone(),
        sessions,
        comparisons,
    });
    let keys = Arc::new(KeysApi { keys: keys.clone(), limits: limits.clone() });
    let router =
        keys.router().merge(auth_router(auth, limits.clone())).merge(upkeep_router(upkeep.clone(), limits.clone()));
    (router, upkeep)
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
