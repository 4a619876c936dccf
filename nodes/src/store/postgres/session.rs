//! Transactions on the one connection.

use super::{
    super::{Space, StoreError, Tables, backend::Writes, identity::About, seal::Sealer},
    Server,
    fault::{of_server, silent},
};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use std::{cell::RefCell, thread};
use tokio::sync::OwnedMutexGuard;

/// Longest name of a record, in bytes: what an index of the server takes.
const LONGEST_NAME: usize = 2048;

/// Records that are read at once when all are written anew.
const AT_ONCE: i64 = 16;

/// A transaction. Dropped, it changes nothing. After a failure of any of its statements its connection is given up, so that it cannot be committed.
pub struct Session<'a> {
    server: &'a Server,
    connection: RefCell<OwnedMutexGuard<Option<PgConnection>>>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    Ended,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    Read,
    Write,
    /// To become the holder of the schema.
    Open,
}

impl<'a> Session<'a> {
    pub(super) fn begin(
        server: &'a Server,
        connection: OwnedMutexGuard<Option<PgConnection>>,
        purpose: Purpose,
    ) -> Result<Self, StoreError> {
        let session = Self { server, connection: RefCell::new(connection), state: State::Open };
        session.run(async |connection| {
            let begin = match purpose {
                Purpose::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                Purpose::Write | Purpose::Open => "BEGIN ISOLATION LEVEL SERIALIZABLE",
            };
            sqlx::raw_sql(begin).execute(connection).await
        })?;
        // Whoever has become the holder since has the lock, which this connection then has not: no write of ours may come after one of theirs.
        let holder = match purpose {
            Purpose::Read => "SELECT value FROM about WHERE key = 'holder'",
            Purpose::Write => "SELECT value FROM about WHERE key = 'holder' FOR UPDATE",
            Purpose::Open => return Ok(session),
        };
        let holder = session.run(async |c| sqlx::query_scalar::<_, Vec<u8>>(holder).fetch_optional(c).await)?;
        if holder.as_deref() == Some(server.holder.as_slice()) {
            return Ok(session);
        }
        session.connection.borrow_mut().take();
        Err(StoreError::Busy { place: server.place.clone() })
    }

    /// Makes schema and tables if they are not there.
    pub(super) fn create(&self) -> Result<(), StoreError> {
        let schema = self.server.settings.schema.clone();
        self.run(async |c| {
            let there: bool =
                sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL").bind(&schema).fetch_one(&mut *c).await?;
            if !there {
                // A plain name: `Postgres::check`.
                let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""));
                sqlx::raw_sql(create).execute(&mut *c).await?;
            }
            if !has_records(&mut *c).await? {
                sqlx::raw_sql(
                    "CREATE TABLE about (key text COLLATE \"C\" PRIMARY KEY, value bytea NOT NULL); \
                     CREATE TABLE records (space text COLLATE \"C\", name bytea, value bytea NOT NULL, PRIMARY KEY (space, name)); \
                     ALTER TABLE records ALTER COLUMN value SET STORAGE EXTERNAL",
                )
                .execute(c)
                .await?;
            }
            Ok(())
        })
    }

    /// Writes all records into a new table under the first key of a sealer, and gives it the place of the old one.
    pub(super) fn rewrite(&self, sealer: &Sealer) -> Result<u64, StoreError> {
        self.run(async |c| {
            sqlx::raw_sql("CREATE TABLE records_rekeyed (LIKE records INCLUDING ALL)").execute(c).await
        })?;
        let (mut last, mut count) = ((String::new(), Vec::new()), 0);
        loop {
            let some: Vec<(String, Vec<u8>, Vec<u8>)> = self.run(async |c| {
                let next = "SELECT space, name, value FROM records WHERE (space, name) > ($1, $2) ORDER BY space, name LIMIT $3";
                sqlx::query_as(next).bind(&last.0).bind(&last.1).bind(AT_ONCE).fetch_all(c).await
            })?;
            let Some((space, name, _)) = some.last() else { break };
            last = (space.clone(), name.clone());
            for (space, name, sealed) in some {
                let sealed = sealer.reseal(&space, &name, &sealed)?;
                self.run(async |c| {
                    let put = "INSERT INTO records_rekeyed (space, name, value) VALUES ($1, $2, $3)";
                    sqlx::query(put).bind(&space).bind(&name).bind(&sealed).execute(c).await
                })?;
                count += 1;
            }
        }
        self.run(async |c| {
            sqlx::raw_sql("DROP TABLE records; ALTER TABLE records_rekeyed RENAME TO records").execute(c).await
        })?;
        Ok(count)
    }

    fn run<T>(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut held = self.connection.borrow_mut();
        let place = &self.server.place;
        let Some(connection) = held.as_mut() else { return Err(silent(place, "the connection was lost before")) };
        let result = match self.server.wait(statement(connection)) {
            Some(result) => result.map_err(|e| of_server(place, e)),
            None => Err(silent(place, "its server has not answered in time")),
        };
        if result.is_err() {
            // With the connection go the transaction and the lock.
            held.take();
        }
        result
    }
}

fn check(name: &[u8]) -> Result<(), StoreError> {
    if name.len() > LONGEST_NAME {
        return Err(StoreError::Bug(format!("a record has a name of {} bytes", name.len())));
    }
    Ok(())
}

/// Whether the schema has the tables of a node.
pub(super) async fn has_records(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass('records') IS NOT NULL").fetch_one(connection).await
}

impl Tables for Session<'_> {
    fn get(&self, space: Space, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.run(async |c| {
            let get = "SELECT value FROM records WHERE space = $1 AND name = $2";
            sqlx::query_scalar(get).bind(space.name()).bind(name).fetch_optional(c).await
        })
    }

    fn list(&self, space: Space, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        let list = match after(prefix) {
            Some(end) => self.run(async |c| {
                let list = "SELECT name FROM records WHERE space = $1 AND name >= $2 AND name < $3 ORDER BY name";
                sqlx::query(list).bind(space.name()).bind(prefix).bind(end).fetch_all(c).await
            }),
            None => self.run(async |c| {
                let list = "SELECT name FROM records WHERE space = $1 AND name >= $2 ORDER BY name";
                sqlx::query(list).bind(space.name()).bind(prefix).fetch_all(c).await
            }),
        };
        let name = |row: PgRow| row.try_get(0).map_err(|e| of_server(&self.server.place, e));
        list?.into_iter().map(name).collect()
    }
}

impl Writes for Session<'_> {
    fn put(&mut self, space: Space, name: &[u8], sealed: &[u8]) -> Result<(), StoreError> {
        check(name)?;
        let put = self.run(async |c| {
            let put = "INSERT INTO records (space, name, value) VALUES ($1, $2, $3) \
                       ON CONFLICT (space, name) DO UPDATE SET value = excluded.value";
            sqlx::query(put).bind(space.name()).bind(name).bind(sealed).execute(c).await
        });
        put.map(drop)
    }

    fn remove(&mut self, space: Space, name: &[u8]) -> Result<bool, StoreError> {
        let removed = self.run(async |c| {
            let remove = "DELETE FROM records WHERE space = $1 AND name = $2";
            sqlx::query(remove).bind(space.name()).bind(name).execute(c).await
        });
        Ok(removed?.rows_affected() > 0)
    }

    fn commit(mut self) -> Result<(), StoreError> {
        self.state = State::Ended;
        self.run(async |c| sqlx::raw_sql("COMMIT").execute(c).await).map(drop)
    }
}

impl About for Session<'_> {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.run(async |c| {
            sqlx::query_scalar("SELECT value FROM about WHERE key = $1").bind(key).fetch_optional(c).await
        })
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let put = self.run(async |c| {
            let put =
                "INSERT INTO about (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            sqlx::query(put).bind(key).bind(value).execute(c).await
        });
        put.map(drop)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.state == State::Ended {
            return;
        }
        if thread::panicking() {
            self.connection.borrow_mut().take();
        } else {
            // What fails gives up the connection.
            let _ = self.run(async |c| sqlx::raw_sql("ROLLBACK").execute(c).await);
        }
    }
}

/// The first name that does not begin with a prefix, after those that do. `None` if there is none.
fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
