//! Which server, and how a node makes itself known to it.

use super::super::StoreError;
use crate::pki;
use serde::{Deserialize, Serialize};
use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgSslMode},
};
use std::{
    env, fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// The environment variable that has the password of the role. It goes before all files.
pub const PASSWORD_VARIABLE: &str = "TREFOIL_STORE_PASSWORD";

/// The name of the password among the credentials of a systemd unit. It goes before the password file.
const CREDENTIAL: &str = "trefoil-store-password";

/// What the library would read from the environment beside what is set here.
const FOREIGN: [&str; 5] = ["PGPASSWORD", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGOPTIONS"];

const LONGEST_NAME: usize = 63;

/// `[store_postgres]` of `node.toml`: a schema of a PostgreSQL server, for one node alone. The password is never in it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// The server's name or address, or the directory of its Unix socket. Anything but a socket and a loopback address is reached by TLS.
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// The schema, of this node alone. It is made if there is none.
    #[serde(default = "schema")]
    pub schema: String,
    /// A file with the password, readable by the node alone; without one, and without environment and credential, none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The authorities that the server's certificate may be of, PEM, beside the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

fn port() -> u16 {
    5432
}

fn schema() -> String {
    "trefoil".to_owned()
}

impl Postgres {
    /// The same, with its files where they are.
    #[must_use]
    pub fn with_files(mut self, place: impl Fn(&Path) -> PathBuf) -> Self {
        self.password_file = self.password_file.map(|file| place(&file));
        self.ca = self.ca.map(|file| place(&file));
        self
    }

    /// Checks what is written.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&self) -> Result<(), String> {
        let named = [("host", &self.host), ("database", &self.database), ("user", &self.user)];
        if let Some((key, _)) = named.iter().find(|(_, value)| value.is_empty() || value.contains('\0')) {
            return Err(format!("[store_postgres] has an empty `{key}`"));
        }
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins = self.schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        if !begins || self.schema.len() > LONGEST_NAME || !self.schema.chars().all(good) || self.schema == "public" {
            return Err(format!(
                "`{}` is no schema for a node: 1 to {LONGEST_NAME} lower-case letters, digits and underscores, no digit first, and not `public`",
                self.schema
            ));
        }
        Ok(())
    }

    /// Whether what is sent stays on this machine.
    fn is_local(&self) -> bool {
        let address: Option<IpAddr> = self.host.parse().ok();
        self.host.starts_with('/') || self.host == "localhost" || address.is_some_and(|address| address.is_loopback())
    }

    /// What the library connects with. It prints the password: it is not to be logged.
    pub(super) fn options(self: &Arc<Self>, party: Option<Party>) -> Result<PgConnectOptions, StoreError> {
        unforeign(|variable| env::var_os(variable).is_some())?;
        let name = party.map_or_else(|| "trefoil".to_owned(), |party| format!("trefoil node {}", party.index()));
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.database)
            .username(&self.user)
            .application_name(&name)
            .disable_statement_logging();
        if self.host.starts_with('/') {
            options = options.socket(&self.host);
        }
        options = match (&self.ca, self.is_local()) {
            (None, true) => options.ssl_mode(PgSslMode::Disable),
            (None, false) => options.ssl_mode(PgSslMode::VerifyFull),
            (Some(ca), _) => options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(ca),
        };
        let password = self.password()?;
        Ok(match &password {
            Some(password) => options.password(password),
            None => options,
        })
    }

    /// From the environment, else from systemd, else from the file.
    fn password(&self) -> Result<Option<Zeroizing<String>>, StoreError> {
        let text = |bytes: Vec<u8>, from: String| {
            let bytes = Zeroizing::new(bytes);
            let text = std::str::from_utf8(&bytes).map(|text| text.trim_end_matches(['\r', '\n']));
            let cause = "it is not one line of text".to_owned();
            match text {
                Ok(text) if !text.is_empty() && !text.contains(['\n', '\0']) => {
                    Ok(Some(Zeroizing::new(text.to_owned())))
                }
                _ => Err(StoreError::Password { from, cause }),
            }
        };
        if let Some(value) = env::var_os(PASSWORD_VARIABLE) {
            return text(value.into_encoded_bytes(), format!("from the environment variable {PASSWORD_VARIABLE}"));
        }
        let credential = env::var_os("CREDENTIALS_DIRECTORY").map(|dir| Path::new(&dir).join(CREDENTIAL));
        let file = credential.filter(|path| path.exists()).or_else(|| self.password_file.clone());
        let Some(file) = file else { return Ok(None) };
        let from = format!("from {}", file.display());
        let read =
            pki::read_private(&file).map_err(|e| StoreError::Password { from: from.clone(), cause: e.to_string() })?;
        text(read.to_vec(), from)
    }
}

/// Nobody but `[store_postgres]` says whom the node trusts, and what it sends.
fn unforeign(is_set: impl Fn(&str) -> bool) -> Result<(), StoreError> {
    FOREIGN.into_iter().find(|variable| is_set(variable)).map_or(Ok(()), |variable| Err(StoreError::Variable(variable)))
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, database, schema, .. } = self;
        write!(f, "the schema {schema} of the database {database} at {host}, port {port},")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str) -> Postgres {
        toml::from_str(&format!("host = \"{host}\"\ndatabase = \"bank\"\nuser = \"node\"\n")).expect("settings")
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_and_its_server_verified() {
        for (host, local) in [
            ("/run/postgresql", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("localhost", true),
            ("localhost.example", false),
            ("10.0.0.1", false),
            ("db.bank.example", false),
        ] {
            let mode = Arc::new(at(host)).options(None).expect("options").get_ssl_mode();
            assert_eq!(matches!(mode, PgSslMode::Disable), local, "{host}");
            assert_eq!(matches!(mode, PgSslMode::VerifyFull), !local, "{host}");
            let with_ca = Postgres { ca: Some("ca.pem".into()), ..at(host) };
            let mode = Arc::new(with_ca).options(None).expect("options").get_ssl_mode();
            assert!(matches!(mode, PgSslMode::VerifyFull), "{host}");
        }
    }

    #[test]
    fn the_environment_does_not_say_whom_to_trust() {
        assert!(unforeign(|_| false).is_ok() && unforeign(|variable| variable == "PGHOST").is_ok());
        for variable in ["PGPASSWORD", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGOPTIONS"] {
            let error = unforeign(|other| other == variable).expect_err("set").to_string();
            assert!(error.contains(&format!("UnsetEnvironment={variable}")), "{error}");
        }
    }

    #[test]
    fn a_schema_is_a_plain_name_and_a_password_has_no_place_in_the_file() {
        for (schema, good) in [
            ("trefoil", true),
            ("_0", true),
            ("public", false),
            ("", false),
            ("1a", false),
            ("A", false),
            ("a\"b", false),
            ("a,b", false),
        ] {
            assert_eq!(Postgres { schema: schema.to_owned(), ..at("db") }.check().is_ok(), good, "{schema}");
        }
        let fault = Postgres { user: String::new(), ..at("db") }.check().expect_err("no user");
        assert!(fault.contains("`user`"), "{fault}");
        let text = "host = \"db\"\ndatabase = \"bank\"\nuser = \"node\"\npassword = \"hunter2\"\n";
        let fault = toml::from_str::<Postgres>(text).expect_err("a password").message().to_owned();
        assert!(fault.contains("unknown field `password`") && fault.contains("password_file"), "{fault}");
    }
}
