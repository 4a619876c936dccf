//! Certificates and the cluster file, read again while the node runs.

use super::Node;
use crate::{
    Error,
    config::{Cluster, ClusterDigest, ClusterId, NodeConfig},
    mesh::Credentials,
    pki::{Fingerprint, Identity, Role},
    status::CertificateStatus,
    tls,
};
use trefoil_engine::Party;

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reloaded {
    /// The node presents another certificate, or accepts other ones.
    Renewed,
    /// The files say what they said before.
    Unchanged,
}

/// As whom the node presents itself, and whom it accepts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Presented {
    whose: (ClusterId, Role),
    pub(super) pinned: ClusterDigest,
    pub(super) definition: ClusterDigest,
    authorities: Vec<Fingerprint>,
    pub(super) accepts: Vec<Vec<Fingerprint>>,
    pub(super) certificate: CertificateStatus,
}

impl Presented {
    pub(super) fn of(cluster: &Cluster, identity: &Identity) -> Self {
        let sha256 = Some(Fingerprint::of(identity.certificate()));
        Self {
            whose: (cluster.id(), identity.role().clone()),
            pinned: cluster.pinned_digest(),
            definition: cluster.digest(),
            authorities: cluster.authorities().iter().map(Fingerprint::of).collect(),
            accepts: Party::ALL.map(|p| cluster.node(p).pins().collect()).to_vec(),
            certificate: CertificateStatus { not_after: identity.facts().not_after, sha256 },
        }
    }
}

impl Node {
    /// Takes over certificate, key, pins and authority of a configuration that was read again. Jobs and sessions go on, and so do
    /// requests that are being answered; connections are made anew. The other settings stay as they are until the node is started again.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is the configuration of another node or cluster, or addresses have changed; [`Error::Certificate`] or [`Error::Bug`] if
    /// the identity cannot be used. Then nothing has changed.
    pub fn reload(&self, config: &NodeConfig) -> Result<Reloaded, Error> {
        let NodeConfig { cluster, identity, .. } = config;
        let next = Presented::of(cluster, identity);
        let now = self.presented.borrow().clone();
        if next.whose != now.whose {
            return Err(Error::Usage(
                "node.toml is now that of another node or cluster; stop this node and start that one".to_owned(),
            ));
        }
        if next.definition != now.definition {
            return Err(Error::Usage(
                "cluster.toml has other addresses than the node was started with; they are taken over by a restart alone".to_owned(),
            ));
        }
        if next == now {
            return Ok(Reloaded::Unchanged);
        }
        let (door, expect) = &self.door;
        // What can fail comes first.
        let (api, mesh) = (tls::api_server(identity, cluster, *expect)?, Credentials::of_node(config)?);
        self.keys.notary().renew(identity)?;
        self.mesh.renew(mesh).map_err(|e| Error::Bug(e.to_string()))?;
        door.renew(api, cluster.clone());
        self.presented.send_replace(next);
        Ok(Reloaded::Renewed)
    }
}
