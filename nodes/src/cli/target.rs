//! Which cluster a command talks to, and as whom.

use crate::{
    Error,
    config::Cluster,
    pki::{CertificateFault, Identity, Role},
    tls,
};
use std::path::{Path, PathBuf};

/// The options that name a cluster, to flatten into a command's arguments.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterArgs {
    /// The cluster file
    #[arg(long, value_name = "FILE")]
    pub cluster: PathBuf,
    /// The client certificate NAME.crt, with its key NAME.key beside it [default: `client.crt` beside the cluster file]
    #[arg(long, value_name = "NAME.crt")]
    pub identity: Option<PathBuf>,
}

/// A cluster and the identity with which to call its nodes.
#[derive(Debug)]
pub struct Target {
    /// The cluster.
    pub cluster: Cluster,
    /// Our own certificate and key.
    pub identity: Identity,
}

impl ClusterArgs {
    /// Reads both files and checks that the cluster will accept the identity.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Certificate`] or [`Error::System`], each with its file and remedy.
    pub fn resolve(&self) -> Result<Target, Error> {
        let cluster = Cluster::load(&self.cluster)?;
        let identity = Identity::named(&self.identity_path())?;
        let fault = |fault| Error::Certificate { path: identity.path().to_owned(), fault };
        if let Role::Node(_) = identity.role() {
            let (expected, got) = ("a client".to_owned(), identity.role().clone());
            return Err(fault(CertificateFault::WrongRole { expected, got }));
        }
        tls::check_identity(&identity, &cluster).map_err(fault)?;
        Ok(Target { cluster, identity })
    }

    fn identity_path(&self) -> PathBuf {
        let beside = || self.cluster.parent().unwrap_or(Path::new("")).join("client.crt");
        self.identity.clone().unwrap_or_else(beside)
    }
}
