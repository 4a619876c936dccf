//! Which cluster a command talks to, and as whom.

use crate::{
    Error,
    config::Cluster,
    oidc::TokenSet,
    pki::{CertificateFault, ClientAuth, ClientName, Identity, Role},
    tls,
};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// The client that every cluster begins with.
pub(super) const FIRST_CLIENT: &str = "client";

/// The options that name a cluster, to flatten into a command's arguments.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterArgs {
    /// The cluster file
    #[arg(long, value_name = "FILE")]
    pub cluster: PathBuf,
    /// The client certificate NAME.crt, with its key NAME.key beside it [default: `client.crt` beside the cluster file]
    #[arg(long, value_name = "NAME.crt")]
    pub identity: Option<PathBuf>,
    /// In place of a certificate, tokens of an issuer that the nodes take tokens of: a file with a line `P0 = TOKEN` for each of P0, P1 and P2, which only its owner can read; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    pub token: Option<TokenArg>,
}

/// The file that `--token` names. It is read once, as standard input and pipes can be.
#[derive(Clone, Debug)]
pub struct TokenArg {
    path: PathBuf,
    read: Arc<OnceLock<Arc<TokenSet>>>,
}

impl From<OsString> for TokenArg {
    fn from(path: OsString) -> Self {
        Self { path: path.into(), read: Arc::default() }
    }
}

impl TokenArg {
    fn tokens(&self) -> Result<Arc<TokenSet>, Error> {
        if let Some(tokens) = self.read.get() {
            return Ok(tokens.clone());
        }
        let tokens = Arc::new(TokenSet::read(&self.path)?);
        Ok(self.read.get_or_init(|| tokens).clone())
    }
}

/// A cluster and what to show when its nodes are called.
#[derive(Debug)]
pub struct Target {
    /// The cluster.
    pub cluster: Cluster,
    /// Our own certificate and key, or tokens.
    pub identity: ClientAuth,
}

impl ClusterArgs {
    /// Reads both files and checks that the cluster will accept the identity.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Certificate`] or [`Error::System`], each with its file and remedy.
    pub fn resolve(&self) -> Result<Target, Error> {
        let cluster = Cluster::load(&self.cluster)?;
        if let Some(token) = &self.token {
            return Ok(Target { cluster, identity: ClientAuth::Tokens(token.tokens()?) });
        }
        let identity = self.identity()?;
        let fault = |fault| Error::Certificate { path: identity.path().to_owned(), fault };
        if let Role::Node(_) = identity.role() {
            let (expected, got) = ("a client".to_owned(), identity.role().clone());
            return Err(fault(CertificateFault::WrongRole { expected, got }));
        }
        tls::check_identity(&identity, &cluster).map_err(fault)?;
        Ok(Target { cluster, identity: ClientAuth::Certificate(identity) })
    }

    /// Reads the certificate, and says what to do if there is none.
    fn identity(&self) -> Result<Identity, Error> {
        let path = self.identity_path();
        Identity::named(&path).map_err(|e| match e {
            Error::System { action, source } if source.kind() == ErrorKind::NotFound => {
                let there: Vec<_> = self.clients().iter().map(|name| format!("{name}.crt")).collect();
                let there = if there.is_empty() {
                    String::new()
                } else {
                    format!("; beside {} are {}", self.cluster.display(), there.join(", "))
                };
                Error::Usage(format!(
                    "cannot {action}: {source}; --identity names NAME.crt, beside which NAME.key lies, as `trefoil cluster client --name NAME` writes them{there}"
                ))
            }
            other => other,
        })
    }

    /// The name that the file of the certificate has, which is that of the client if nobody has renamed it; or that of the tokens.
    pub(super) fn own_name(&self) -> Option<ClientName> {
        if let Some(token) = &self.token {
            return match token.tokens().ok()?.role() {
                Role::Client(name) => Some(name.clone()),
                Role::Node(_) => None,
            };
        }
        self.identity_path().file_stem()?.to_str()?.parse().ok()
    }

    /// The clients whose certificates lie beside the cluster file; none if that cannot be seen.
    pub(super) fn clients(&self) -> BTreeSet<ClientName> {
        let directory = self.cluster.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let files = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        let certificates = files.filter(|path| path.extension().is_some_and(|extension| extension == "crt"));
        let names = certificates.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned));
        // The authority, and the client that every cluster begins with.
        let others = names.filter(|name| !["ca", FIRST_CLIENT].contains(&name.as_str()));
        others.filter_map(|name| name.parse().ok()).collect()
    }

    fn identity_path(&self) -> PathBuf {
        let beside = || self.cluster.parent().unwrap_or(Path::new("")).join("client.crt");
        self.identity.clone().unwrap_or_else(beside)
    }
}
