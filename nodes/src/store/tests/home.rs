//! Where the stores of a test are: in files, and in a server if there is one.

use super::{server, server::PostgresServer, *};
use std::sync::{
    MutexGuard, Weak,
    atomic::{AtomicU32, Ordering},
};

/// A kind of store. Each test of what all stores do goes through all kinds.
#[derive(Clone)]
pub(crate) struct Kind(Option<Arc<Mutex<PostgresServer>>>);

/// A place for a store, and its key.
pub(crate) struct Home {
    kind: Kind,
    schema: String,
    dir: TempDir,
}

impl Kind {
    /// Files, and schemas if there is a server.
    pub(crate) fn all() -> Vec<Self> {
        [Self::files()].into_iter().chain(Self::server()).collect()
    }

    /// Files.
    pub(crate) fn files() -> Self {
        Self(None)
    }

    /// Schemas, if there is a server. Tests that run at the same time share one.
    pub(crate) fn server() -> Option<Self> {
        static SHARED: Mutex<Weak<Mutex<PostgresServer>>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(Self(Some(server)));
        }
        let server = Arc::new(Mutex::new(PostgresServer::start()?));
        *shared = Arc::downgrade(&server);
        Some(Self(Some(server)))
    }

    /// Schemas of a server that no other test uses.
    pub(super) fn own_server() -> Option<Self> {
        PostgresServer::start().map(|server| Self(Some(Arc::new(Mutex::new(server)))))
    }

    /// A place that is empty.
    pub(crate) fn home(&self) -> Home {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        let schema = format!("node_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        Home { kind: self.clone(), schema, dir: tempfile::tempdir().expect("a directory") }
    }

    /// A place with a store of the first node.
    pub(crate) async fn temporary(&self) -> (Store, Home) {
        let home = self.home();
        let store = home.open().await.expect("a new store");
        (store, home)
    }
}

impl Home {
    pub(crate) fn config(&self) -> StoreConfig {
        let StoreConfig { place, key } = files(self.dir.path());
        let place = match &self.kind.0 {
            None => place,
            Some(_) => Location::Postgres(Arc::new(self.settings())),
        };
        StoreConfig { place, key }
    }

    /// The first node's store.
    pub(crate) async fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.config(), whose(Party::P0)).await
    }

    /// How the schema is reached.
    pub(super) fn settings(&self) -> Postgres {
        let host = self.running().host();
        let (database, user) = (server::DATABASE.to_owned(), server::ROLE.to_owned());
        Postgres { host, port: 5432, database, user, schema: self.schema.clone(), password_file: None, ca: None }
    }

    pub(super) fn running(&self) -> MutexGuard<'_, PostgresServer> {
        self.kind.0.as_ref().expect("a server").lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is in the file, or in the schema, under the store.
    pub(super) async fn below(&self, change: impl FnOnce(&mut Writing<'_>) + Send + 'static) {
        let config = self.config();
        let changed = tokio::task::spawn_blocking(move || {
            let sealer = Sealer::new(config.keys().expect("a key"), whose(Party::P0), config.place.clone());
            let backend = Backend::open(&config.place, &sealer).expect("nobody has it open");
            let mut below = backend.begin_write().expect("writable");
            change(&mut below);
            below.commit().expect("written");
        });
        changed.await.expect("no panic");
    }
}
