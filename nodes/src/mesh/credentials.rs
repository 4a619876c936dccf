//! As whom a node takes part in the mesh and whom it lets in: what can be renewed while it runs.

use super::{ALPN, MeshError, versions::Versions};
use crate::{config::NodeConfig, tls};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use std::sync::Arc;
use trefoil_engine::Party;

/// Calls that may wait to be looked at.
const MAX_INCOMING: usize = 256;

/// Certificates: this node's own, in the TLS configurations, and those it accepts.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// SHA-256 of the certificates that are accepted of each node, in party order.
    pub pins: [Vec<[u8; 32]>; 3],
    /// The digest of the cluster's definition, which all nodes must share.
    pub cluster_digest: [u8; 32],
    /// What version 1 of the protocol compares instead: a digest of the pins and the authority too.
    pub pinned_digest: [u8; 32],
    /// TLS towards a node that dials, asking for its certificate. The ALPN names are set by the mesh.
    pub server: rustls::ServerConfig,
    /// TLS towards a node that is dialled, showing this node's certificate. The ALPN names are set by the mesh.
    pub client: rustls::ClientConfig,
}

/// The credentials of this moment, fit for QUIC.
pub(super) struct Current {
    /// Counts renewals: a connection that was made under an earlier one is to be renewed.
    pub(super) generation: u64,
    pub(super) pins: [Vec<[u8; 32]>; 3],
    pub(super) client: quinn::ClientConfig,
    cluster_digest: [u8; 32],
    pinned_digest: [u8; 32],
}

impl Current {
    /// Prepares credentials, and what accepts calls under them.
    pub(super) fn new(
        credentials: Credentials,
        versions: Versions,
        transport: &Arc<quinn::TransportConfig>,
        generation: u64,
    ) -> Result<(Self, quinn::ServerConfig), MeshError> {
        let Credentials { pins, cluster_digest, pinned_digest, mut server, mut client } = credentials;
        (server.alpn_protocols, client.alpn_protocols) = (versions.offers(), versions.offers());
        let tls = |e: &dyn std::fmt::Display| MeshError::Tls(e.to_string());
        let server = QuicServerConfig::try_from(server).map_err(|e| tls(&e))?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
        server.transport_config(transport.clone()).max_incoming(MAX_INCOMING);
        let client = QuicClientConfig::try_from(client).map_err(|e| tls(&e))?;
        let mut client = quinn::ClientConfig::new(Arc::new(client));
        client.transport_config(transport.clone());
        Ok((Self { generation, pins, client, cluster_digest, pinned_digest }, server))
    }

    pub(super) fn accepts(&self, party: Party, certificate: Option<[u8; 32]>) -> bool {
        certificate.is_some_and(|c| self.pins[party.index()].contains(&c))
    }

    /// What nodes compare under a version.
    pub(super) fn digest(&self, version: u16) -> [u8; 32] {
        if version == 1 { self.pinned_digest } else { self.cluster_digest }
    }

    /// Whether this is what they compare under any version.
    pub(super) fn knows(&self, digest: &[u8; 32]) -> bool {
        [self.pinned_digest, self.cluster_digest].contains(digest)
    }
}

impl Credentials {
    /// Those of a configured node.
    ///
    /// # Errors
    /// [`crate::Error::Certificate`] if the node's identity cannot be used.
    pub fn of_node(node: &NodeConfig) -> Result<Self, crate::Error> {
        let NodeConfig { identity, cluster, party, .. } = node;
        Ok(Self {
            pins: Party::ALL.map(|p| cluster.node(p).pins().map(|print| *print.as_bytes()).collect()),
            cluster_digest: *cluster.digest().as_bytes(),
            pinned_digest: *cluster.pinned_digest().as_bytes(),
            server: tls::mesh_server(identity, cluster, *party, ALPN)?,
            client: tls::mesh_client(identity, cluster, party.next(), ALPN)?,
        })
    }
}
