//! Records in a schema of a PostgreSQL server.
//!
//! All of a node's transactions go over one connection, which has the lock of the schema for as long as it lives: who has lost the connection has lost the lock, and nothing is written until both are taken again.
//! Beside it the schema names its holder, a number that each process draws, and a transaction that finds another one there is refused: this holds also where something between node and server shares out connections.

mod connect;
mod fault;
mod session;
mod settings;

pub use session::Session;
pub use settings::{PASSWORD_VARIABLE, Postgres};

use super::{Location, StoreError, backend::Writes, identity, identity::About, seal::Sealer};
pub(super) use connect::SessionId;
use fault::{of_server, silent};
use session::Purpose;
use sqlx::{Connection as _, PgConnection};
use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, time::timeout};

/// How long a statement may take. The server gives up a moment earlier, and then says why.
const STATEMENT: Duration = Duration::from_secs(35);

/// How long it may take to connect and to have the lock.
const CONNECT: Duration = Duration::from_secs(25);

/// How long a transaction waits for those before it.
const TURN: Duration = Duration::from_mins(1);

/// A connection that was not used for so long may be gone without anybody having noticed.
const IDLE: Duration = Duration::from_secs(1);

/// How long it may take to find out.
const PROBE: Duration = Duration::from_secs(5);

/// The schema of a node, which this process has for itself.
pub(super) struct Server {
    place: Location,
    settings: Arc<Postgres>,
    session: SessionId,
    /// Drawn anew each time, and in the schema.
    holder: [u8; 16],
    /// `None` when it is lost.
    connection: Arc<tokio::sync::Mutex<Option<PgConnection>>>,
    used: Mutex<Instant>,
    /// Runs while somebody waits for the server. `None` when dropped.
    runtime: Option<Runtime>,
}

/// Whether the schema has the records of a node.
pub(super) fn is_there(settings: &Arc<Postgres>) -> Result<bool, StoreError> {
    let (place, runtime) = (Location::Postgres(settings.clone()), runtime()?);
    let found = async {
        let mut connection = connect::connect(settings, None).await?;
        session::has_records(&mut connection).await.map_err(|e| of_server(&place, e))
    };
    let found = runtime.block_on(async { timeout(CONNECT, found).await });
    found.unwrap_or_else(|_| Err(silent(&place, "its server has not answered in time")))
}

impl Server {
    /// Connects, takes the lock and checks that the schema is this node's; makes it if it is not there. Ends the session that this process had before. Blocks.
    pub(super) fn open(
        settings: &Arc<Postgres>,
        sealer: &Sealer,
        before: Option<&SessionId>,
    ) -> Result<Self, StoreError> {
        let (place, runtime) = (Location::Postgres(settings.clone()), runtime()?);
        let connected = async {
            let mut connection = connect::connect(settings, Some(sealer.whose().party)).await?;
            let session = connect::lock(&mut connection, settings, before).await?;
            Ok((connection, session))
        };
        let connected = runtime.block_on(async { timeout(CONNECT, connected).await });
        let (connection, session) =
            connected.unwrap_or_else(|_| Err(silent(&place, "its server has not answered in time")))?;
        let mut holder = [0; 16];
        getrandom::fill(&mut holder).map_err(|e| StoreError::of_system(&place, e.into()))?;
        let server = Self {
            place,
            settings: settings.clone(),
            session,
            holder,
            connection: Arc::new(tokio::sync::Mutex::new(Some(connection))),
            used: Mutex::new(Instant::now()),
            runtime: Some(runtime),
        };
        let mut opening = server.begin(Purpose::Open)?;
        opening.create()?;
        identity::identify(&mut opening, &server.place, sealer)?;
        About::put(&mut opening, "holder", &holder)?;
        opening.commit()?;
        Ok(server)
    }

    /// Closes the connection, and gives what the server calls it.
    pub(super) fn give_up(&self) -> SessionId {
        if let Ok(mut connection) = self.connection.try_lock() {
            connection.take();
        }
        self.session.clone()
    }

    pub(super) fn begin_read(&self) -> Result<Session<'_>, StoreError> {
        self.begin(Purpose::Read)
    }

    pub(super) fn begin_write(&self) -> Result<Session<'_>, StoreError> {
        self.begin(Purpose::Write)
    }

    fn begin(&self, purpose: Purpose) -> Result<Session<'_>, StoreError> {
        let turn = self.connection.clone().lock_owned();
        let turn = self.runtime()?.block_on(async { timeout(TURN, turn).await });
        let connection = turn.map_err(|_| silent(&self.place, "others have used its connection for a minute"))?;
        Session::begin(self, connection, purpose)
    }

    /// All in one transaction: the old table is there until it commits.
    pub(super) fn rewrite(&self, sealer: &Sealer) -> Result<u64, StoreError> {
        let mut session = self.begin(Purpose::Write)?;
        let records = session.rewrite(sealer)?;
        identity::put_check(&mut session, sealer)?;
        session.commit()?;
        Ok(records)
    }

    /// Whether the connection is there. Asks the server if it has not been used for a moment, so that a server that was started again is found before a transaction is begun.
    pub(super) fn is_alive(&self) -> bool {
        // Who uses it now finds out.
        let Ok(mut held) = self.connection.try_lock() else { return true };
        let idle = self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        let Some(connection) = held.as_mut() else { return false };
        let Ok(runtime) = self.runtime() else { return false };
        if idle < IDLE {
            return true;
        }
        let alive = matches!(runtime.block_on(async { timeout(PROBE, connection.ping()).await }), Ok(Ok(())));
        if !alive {
            held.take();
        }
        alive
    }

    /// Waits for a statement; `None` when its time is over.
    fn wait<T>(&self, statement: impl Future<Output = Result<T, sqlx::Error>>) -> Option<Result<T, sqlx::Error>> {
        let runtime = self.runtime.as_ref()?;
        let result = runtime.block_on(async { timeout(STATEMENT, statement).await }).ok();
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        result
    }

    fn runtime(&self) -> Result<&Runtime, StoreError> {
        self.runtime.as_ref().ok_or(StoreError::Stopping)
    }
}

/// One of its own: records are read and written from threads that may block, whatever runs the node.
fn runtime() -> Result<Runtime, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| StoreError::Bug(format!("no runtime for the connection to the database: {e}")))
}

impl Drop for Server {
    fn drop(&mut self) {
        // Closes the connection, and so gives up the lock; a runtime may not be waited for here.
        self.give_up();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.settings).finish()
    }
}

/// A connection past the lock.
#[cfg(test)]
pub(super) async fn connect_for_tests(settings: &Arc<Postgres>) -> Result<PgConnection, StoreError> {
    connect::connect(settings, None).await
}
