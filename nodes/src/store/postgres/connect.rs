//! A connection that is this node's alone, and whose writes last.

use super::{super::Location, StoreError, fault::of_server, settings::Postgres};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};
use std::sync::Arc;
use trefoil_engine::Party;

/// A connection as the server names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct SessionId {
    pid: i32,
    began: String,
}

/// What a session keeps to. Milliseconds where there is no unit; what takes longer fails, and the store is opened again.
/// A server that no longer hears of the node's machine gives up its session, and the lock with it, within a minute.
const SETTINGS: [(&str, &str); 9] = [
    ("synchronous_commit", "on"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("tcp_keepalives_idle", "15"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "4"),
    ("tcp_user_timeout", "30s"),
    ("client_min_messages", "warning"),
];

/// Connects, and sets what a session keeps to.
pub(super) async fn connect(settings: &Arc<Postgres>, party: Option<Party>) -> Result<PgConnection, StoreError> {
    let place = Location::Postgres(settings.clone());
    let options = settings.options(party)?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(|e| of_server(&place, e))?;
    let set = async {
        let set = "SELECT set_config($1, $2, false)";
        for (name, value) in SETTINGS.into_iter().chain([("search_path", settings.schema.as_str())]) {
            sqlx::query(set).bind(name).bind(value).execute(&mut connection).await?;
        }
        Ok(())
    };
    set.await.map_err(|e| of_server(&place, e))?;
    Ok(connection)
}

/// Takes the lock of the schema, which lasts as long as the connection. The session that this process had before is ended first: the server may not know yet that its connection is gone.
pub(super) async fn lock(
    connection: &mut PgConnection,
    settings: &Arc<Postgres>,
    before: Option<&SessionId>,
) -> Result<SessionId, StoreError> {
    let place = Location::Postgres(settings.clone());
    let locked = async {
        if let Some(SessionId { pid, began }) = before {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE pid = $1 AND backend_start::text = $2 AND usename = current_user";
            sqlx::query(end).bind(pid).bind(began).execute(&mut *connection).await?;
        }
        // Waits for as long as `lock_timeout` says: a node that has just ended may still have it.
        sqlx::query("SELECT pg_advisory_lock($1)").bind(lock_of(&settings.schema)).execute(&mut *connection).await?;
        let own = "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        let (pid, began): (i32, String) = sqlx::query_as(own).fetch_one(&mut *connection).await?;
        Ok(SessionId { pid, began })
    };
    let session = locked.await.map_err(|e| of_server(&place, e))?;
    durable(connection, &place).await?;
    Ok(session)
}

/// Refuses a server whose answers do not say that a write will last.
async fn durable(connection: &mut PgConnection, place: &Location) -> Result<(), StoreError> {
    for (setting, expected) in
        [("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on"), ("transaction_read_only", "off")]
    {
        let is: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut *connection)
            .await
            .map_err(|e| of_server(place, e))?;
        if is != expected {
            return Err(StoreError::Server {
                place: place.clone(),
                cause: format!("its server has {setting} = {is}, and what is written there does not last"),
                remedy: "set fsync = on and full_page_writes = on in postgresql.conf, name a primary, and start the node again",
            });
        }
    }
    Ok(())
}

/// One lock for each schema of a database.
fn lock_of(schema: &str) -> i64 {
    let digest = Sha256::new().chain_update(b"trefoil/store/").chain_update(schema).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}
