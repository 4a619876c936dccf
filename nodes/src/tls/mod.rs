//! TLS 1.3 with certificates on both sides, for the mesh (QUIC) and for the client API (HTTPS).
//!
//! A certificate is accepted if it was issued by the cluster's authority, is valid now, names the role
//! required here, and, for a node, has the very fingerprint the cluster file pins for its party.
//! Which peer is at the other end follows from its certificate ([`peer_role`]), never from what it
//! writes. Host names are not compared: the pinned fingerprint already says more.
//!
//! Sessions are never resumed, so that every connection checks the certificates again.

mod explain;
mod refusal;
mod verify;

pub use explain::{Refused, explain, explain_alert, explain_quic};
pub use refusal::refusal;
pub use verify::{Expect, Verifier};

use crate::{
    Error,
    config::Cluster,
    pki::{CertificateFault, ClientAuthRef, Identity, Role},
};
use rustls::{
    ClientConfig, ServerConfig,
    client::Resumption,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{self, cipher_suite, kx_group},
    },
    pki_types::CertificateDer,
    server::NoServerSessionStorage,
    version::TLS13,
};
use std::sync::Arc;
use trefoil_engine::Party;

/// The application protocols of the client API, in order of preference.
pub const API_ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What a node's mesh socket requires of connections it accepts: any of the two other nodes.
///
/// # Errors
/// [`Error::Certificate`] if the identity cannot be used.
pub fn mesh_server(identity: &Identity, cluster: &Cluster, me: Party, alpn: &[u8]) -> Result<ServerConfig, Error> {
    let verifier = Verifier::new(cluster, Expect::PeerOf(me), mesh_provider())?;
    server(identity, verifier, &[alpn])
}

/// What a node requires of a mesh connection that it opens to `peer`.
///
/// # Errors
/// [`Error::Certificate`] if the identity cannot be used.
pub fn mesh_client(identity: &Identity, cluster: &Cluster, peer: Party, alpn: &[u8]) -> Result<ClientConfig, Error> {
    let verifier = Verifier::new(cluster, Expect::Node(peer), mesh_provider())?;
    client(identity, verifier, &[alpn])
}

/// What the API of a node requires of those who call it: as `expect` says, the certificate of any node or client of the cluster, or one of these or none.
///
/// # Errors
/// [`Error::Certificate`] if the identity cannot be used.
pub fn api_server(identity: &Identity, cluster: &Cluster, expect: Expect) -> Result<ServerConfig, Error> {
    let verifier = Verifier::new(cluster, expect, api_provider())?;
    server(identity, verifier, &API_ALPN)
}

/// What a client requires of the API of the node `party`. The application protocol is left to the
/// HTTP library.
///
/// # Errors
/// [`Error::Certificate`] if the identity cannot be used.
pub fn api_client<'a>(
    auth: impl Into<ClientAuthRef<'a>>,
    cluster: &Cluster,
    party: Party,
) -> Result<ClientConfig, Error> {
    let verifier = Verifier::new(cluster, Expect::Node(party), api_provider())?;
    match auth.into() {
        ClientAuthRef::Certificate(identity) => client(identity, verifier, &[]),
        ClientAuthRef::Tokens(_) => nobody(verifier),
    }
}

/// The role of the other end of an established connection, from the certificates it presented.
///
/// # Errors
/// [`CertificateFault`] if the certificate is not one this cluster accepts; the handshake has already
/// refused those.
pub fn peer_role(chain: &[CertificateDer<'_>], cluster: &Cluster) -> Result<Role, CertificateFault> {
    let missing = || CertificateFault::Unreadable { what: "certificate", cause: "none was presented".to_owned() };
    Expect::Anyone.check(chain.first().ok_or_else(missing)?, cluster)
}

/// Checks one of our own certificates as the other end will: issuer, validity, role and fingerprint.
///
/// # Errors
/// The fault that peers would find.
pub fn check_identity(identity: &Identity, cluster: &Cluster) -> Result<(), CertificateFault> {
    let verifier = Verifier::new(cluster, Expect::Anyone, api_provider())
        .map_err(|e| CertificateFault::Unreadable { what: "authority in the cluster file", cause: e.to_string() })?;
    verifier.check(identity.chain(), rustls::pki_types::UnixTime::now())
}

/// AES-128-GCM alone: QUIC starts with it, and it is the fastest suite where AES has instructions.
fn mesh_provider() -> Arc<CryptoProvider> {
    provider(vec![cipher_suite::TLS13_AES_128_GCM_SHA256])
}

fn api_provider() -> Arc<CryptoProvider> {
    provider(vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ])
}

/// Key exchange prefers the hybrid with ML-KEM: shares recorded today must stay secret for as long as
/// the values behind them matter.
fn provider(cipher_suites: Vec<rustls::SupportedCipherSuite>) -> Arc<CryptoProvider> {
    let kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1];
    Arc::new(CryptoProvider { cipher_suites, kx_groups, ..aws_lc_rs::default_provider() })
}

fn server(identity: &Identity, verifier: Verifier, alpn: &[&[u8]]) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(verifier.provider().clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable(identity))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(identity.chain().to_vec(), identity.key())
        .map_err(unusable(identity))?;
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(identity: &Identity, verifier: Verifier, alpn: &[&[u8]]) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(verifier.provider().clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable(identity))?
        .dangerous() // the verifier checks more than the default one, except host names; see the module
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(identity.chain().to_vec(), identity.key())
        .map_err(unusable(identity))?;
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// A client that shows no certificate.
fn nobody(verifier: Verifier) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(verifier.provider().clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| Error::Bug(format!("TLS 1.3: {e}")))?
        .dangerous() // as for those with a certificate
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn unusable(identity: &Identity) -> impl Fn(rustls::Error) -> Error {
    let path = identity.path().to_owned();
    move |e| Error::Certificate {
        path: path.clone(),
        fault: CertificateFault::Unreadable { what: "identity", cause: e.to_string() },
    }
}

#[cfg(test)]
mod tests;
