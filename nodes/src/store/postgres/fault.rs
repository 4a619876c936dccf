//! What the server's refusals mean for the operator.

use super::super::{Location, StoreError};
use std::io;

const IS_IT_THERE: &str = "see that the server runs and that its host and port are those of [store_postgres] in node.toml; the node goes on when it is back";
const BY_TLS: &str =
    "the server needs `ssl = on` and a certificate for its `host` of [store_postgres] by an authority in `ca`";
const SEE_LOG: &str = "see the log of the server; the node tries again at the next use";

/// From an error of the library.
pub(super) fn of_server(place: &Location, error: sqlx::Error) -> StoreError {
    let server = |cause: String, remedy| StoreError::Server { place: place.clone(), cause, remedy };
    match error {
        sqlx::Error::Io(e) if matches!(e.get_ref(), Some(cause) if cause.is::<rustls::Error>()) => {
            server(format!("no connection by TLS ({e})"), BY_TLS)
        }
        sqlx::Error::Io(e) => server(format!("the connection has failed ({e})"), IS_IT_THERE),
        sqlx::Error::Tls(e) => server(format!("no connection by TLS ({e})"), BY_TLS),
        sqlx::Error::Database(e) => {
            let (code, message) = (e.code().unwrap_or_default().into_owned(), e.message().to_owned());
            of_code(place, &code, message)
        }
        other => server(other.to_string(), SEE_LOG),
    }
}

/// The server has not answered in time.
pub(super) fn silent(place: &Location, what: &str) -> StoreError {
    StoreError::Server { place: place.clone(), cause: what.to_owned(), remedy: SEE_LOG }
}

fn of_code(place: &Location, code: &str, message: String) -> StoreError {
    let remedy = match code {
        "55P03" => return StoreError::Busy { place: place.clone() },
        "53100" => {
            let source = io::Error::new(io::ErrorKind::StorageFull, message);
            return StoreError::Full { place: place.clone(), source };
        }
        "XX001" | "XX002" => return StoreError::Damaged { place: place.clone(), what: message },
        "28P01" | "28000" => {
            "see `user` of [store_postgres] in node.toml, its password (`password_file`, TREFOIL_STORE_PASSWORD or the credential trefoil-store-password) and pg_hba.conf of the server"
        }
        "3D000" => "make the database: createdb --owner USER DATABASE",
        "42501" => {
            "give the role a schema of its own: CREATE SCHEMA name AUTHORIZATION user, with the names of [store_postgres] in node.toml"
        }
        "53300" => "raise max_connections of the server, or end others' connections; a node needs one",
        "25006" => "this server takes no writes: name the primary in [store_postgres] of node.toml",
        _ if code.starts_with("57P") || code.starts_with("08") => IS_IT_THERE,
        _ => SEE_LOG,
    };
    StoreError::Server { place: place.clone(), cause: format!("{message} (SQLSTATE {code})"), remedy }
}
