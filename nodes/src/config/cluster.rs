//! `cluster.toml`: the public facts that all nodes and clients of a cluster agree on.

use super::{Address, ConfigError, Source};
use crate::pki::{CertificateFacts, Fingerprint};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, path::Path};
use toml::Spanned;
use trefoil_engine::Party;

/// The version of the form of `cluster.toml` that this program reads and writes.
pub const CLUSTER_FORMAT: u32 = 1;

/// Authorities that a cluster has at the same time, at most.
const MAX_AUTHORITIES: usize = 2;

const REMEDY: &str = "create a cluster with `trefoil cluster init --dir DIR` or name its file with --cluster";

/// `cluster.toml` as it is written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterFile {
    /// Version of this form: [`CLUSTER_FORMAT`].
    pub format: u32,
    /// Name of the cluster, drawn at random: 32 hexadecimal digits.
    pub cluster_id: ClusterId,
    /// Certificate of the cluster's authority, PEM; two while one authority takes over from another.
    pub ca_certificate: String,
    /// The three nodes, in any order.
    pub node: Vec<NodeEntry>,
}

/// One node of a cluster.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEntry {
    /// Which party the node is: 0, 1 or 2.
    pub party: u8,
    /// Where the other nodes reach it, QUIC over UDP.
    pub mesh: Address,
    /// Where clients reach it, HTTPS over TCP.
    pub api: Address,
    /// SHA-256 of the node's certificate in DER form, 64 hexadecimal digits.
    pub certificate_sha256: Fingerprint,
    /// The same of the certificate that is to take its place, while both are accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_certificate_sha256: Option<Fingerprint>,
}

/// The name of a cluster: 16 random bytes.
#[derive(Clone, Copy, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterId([u8; 16]);

/// SHA-256 over what a cluster file says, independent of its comments, order and layout.
///
/// Nodes compare [`Cluster::digest`] before they work together.
#[derive(Clone, Copy, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterDigest([u8; 32]);

/// A cluster as resolved from its file: complete and free of contradictions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cluster {
    id: ClusterId,
    authorities: Vec<CertificateDer<'static>>,
    nodes: [NodeEntry; 3],
}

/// As [`ClusterFile`], with the positions of what is checked after parsing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: Spanned<u32>,
    cluster_id: ClusterId,
    ca_certificate: Spanned<String>,
    node: Vec<Spanned<NodeEntry>>,
}

impl Cluster {
    /// Reads a cluster file.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and remedy.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let source = Source::read(path, REMEDY)?;
        Self::resolve(&source)
    }

    pub(crate) fn resolve(source: &Source) -> Result<Self, ConfigError> {
        let raw: Raw = source.parse()?;
        if *raw.format.get_ref() != CLUSTER_FORMAT {
            let message =
                format!("format {} is not known; this program reads format {CLUSTER_FORMAT}", raw.format.get_ref());
            return Err(source.at(&raw.format.span(), message));
        }
        let bad_authority = |e: String| source.at(&raw.ca_certificate.span(), format!("ca_certificate: {e}"));
        let authorities: Vec<_> = CertificateDer::pem_slice_iter(raw.ca_certificate.get_ref().as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|e| bad_authority(format!("no PEM certificate in it ({e})")))?;
        if !(1..=MAX_AUTHORITIES).contains(&authorities.len()) {
            let found = authorities.len();
            return Err(bad_authority(format!(
                "{found} PEM certificates in it; there is one, or two while one takes over"
            )));
        }
        for authority in &authorities {
            CertificateFacts::of(authority).map_err(|e| bad_authority(e.to_string()))?;
        }

        let mut nodes: [Option<NodeEntry>; 3] = [None, None, None];
        for entry in raw.node {
            let span = entry.span();
            let entry = entry.into_inner();
            if entry.mesh.port() == 0 || entry.api.port() == 0 {
                return Err(
                    source.at(&span, format!("node {}: port 0 cannot be reached; write a fixed port", entry.party))
                );
            }
            match nodes.get_mut(usize::from(entry.party)) {
                Some(slot @ None) => *slot = Some(entry),
                Some(_) => {
                    return Err(
                        source.at(&span, format!("party {} occurs twice; the parties are 0, 1 and 2", entry.party))
                    );
                }
                None => {
                    return Err(
                        source.at(&span, format!("party {} does not exist; the parties are 0, 1 and 2", entry.party))
                    );
                }
            }
        }
        let [Some(a), Some(b), Some(c)] = nodes else {
            let missing = nodes.iter().position(Option::is_none).unwrap_or_default();
            return Err(source.whole(format!("there is no [[node]] with party = {missing}; a cluster has three nodes")));
        };
        let nodes = [a, b, c];
        distinct(&nodes).map_err(|m| source.whole(m))?;
        Ok(Self { id: raw.cluster_id, authorities, nodes })
    }

    /// The cluster's name.
    pub fn id(&self) -> ClusterId {
        self.id
    }

    /// The certificates of the cluster's authority: one, or two while one takes over from another.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// A node's entry.
    pub fn node(&self, party: Party) -> &NodeEntry {
        &self.nodes[party.index()]
    }

    /// The party whose certificate this is, by its fingerprint alone.
    pub fn party_of(&self, certificate: &CertificateDer<'_>) -> Option<Party> {
        let print = Fingerprint::of(certificate);
        Party::ALL.into_iter().find(|p| self.node(*p).accepts(print))
    }

    /// The digest that nodes compare before they work together: of the cluster's name and the addresses of the parties.
    ///
    /// Certificates are not in it: each node enforces the pins and the authority of its own file, and while they are renewed the files differ.
    pub fn digest(&self) -> ClusterDigest {
        let places = self.nodes.iter().flat_map(|node| [node.mesh.to_string(), node.api.to_string()]);
        digest(b"trefoil/cluster/2", &self.id, places.map(String::into_bytes))
    }

    /// A digest of everything in the file but certificates that are to come: what version 1 of the mesh protocol compares.
    pub fn pinned_digest(&self) -> ClusterDigest {
        let node = |node: &NodeEntry| {
            let print = node.certificate_sha256.as_bytes().to_vec();
            [node.mesh.to_string().into_bytes(), node.api.to_string().into_bytes(), print]
        };
        let authority = self.authorities.first().map(|a| a.to_vec());
        digest(b"trefoil/cluster/1", &self.id, authority.into_iter().chain(self.nodes.iter().flat_map(node)))
    }
}

/// Every field is prefixed with its length, so that no two clusters give the same bytes.
fn digest(domain: &[u8], id: &ClusterId, fields: impl Iterator<Item = Vec<u8>>) -> ClusterDigest {
    let mut hash = Sha256::new();
    hash.update(domain);
    for field in [id.0.to_vec()].into_iter().chain(fields) {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    ClusterDigest(hash.finalize().into())
}

/// Two parties that share an address or a certificate would be one machine holding a whole secret.
fn distinct(nodes: &[NodeEntry; 3]) -> Result<(), String> {
    for (i, a) in nodes.iter().enumerate() {
        if a.next_certificate_sha256 == Some(a.certificate_sha256) {
            return Err(format!(
                "node {}: `next_certificate_sha256` is the present certificate; leave it out, or name the one to come",
                a.party
            ));
        }
        for b in &nodes[i + 1..] {
            let clash = [
                ("mesh", a.mesh == b.mesh),
                ("api", a.api == b.api),
                ("certificate_sha256", a.certificate_sha256 == b.certificate_sha256),
                ("next_certificate_sha256", a.pins().any(|print| b.accepts(print))),
            ];
            if let Some((key, _)) = clash.iter().find(|(_, same)| *same) {
                return Err(format!(
                    "nodes {} and {} have the same `{key}`; each node needs its own",
                    a.party, b.party
                ));
            }
        }
    }
    Ok(())
}

impl NodeEntry {
    /// The fingerprints of the certificates that are accepted of the node: of the present one, and of one that is to take its place.
    pub fn pins(&self) -> impl Iterator<Item = Fingerprint> {
        [self.certificate_sha256].into_iter().chain(self.next_certificate_sha256)
    }

    /// Whether a certificate with this fingerprint is the node's.
    pub fn accepts(&self, print: Fingerprint) -> bool {
        self.pins().any(|pin| pin == print)
    }

    /// The entry as messages name it: "P1 (node1.example:7750)", with the address of the given service.
    pub fn describe(&self, address: &Address) -> String {
        format!("P{} ({address})", self.party)
    }
}

impl ClusterId {
    /// A name of 16 random bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl ClusterDigest {
    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<String> for ClusterId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|e| format!("`{text}` is not a cluster id of 32 hexadecimal digits ({e})"))?;
        Ok(Self(bytes))
    }
}

impl From<ClusterId> for String {
    fn from(id: ClusterId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({self})")
    }
}

impl TryFrom<String> for ClusterDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(|e| format!("`{text}` is not a cluster digest ({e})"))?;
        Ok(Self(bytes))
    }
}

impl From<ClusterDigest> for String {
    fn from(digest: ClusterDigest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for ClusterDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ClusterDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterDigest({self})")
    }
}

#[cfg(test)]
mod tests;
