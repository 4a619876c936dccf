//! Whose certificate is accepted where.

use crate::{
    Error,
    config::Cluster,
    pki::{CertificateFacts, CertificateFault, Fingerprint, Role},
};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::{fmt, sync::Arc, time::Duration};
use trefoil_engine::Party;

/// Who may be at the other end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// One of the two other nodes.
    PeerOf(Party),
    /// This node.
    Node(Party),
    /// Any node or client of the cluster.
    Anyone,
    /// Any of these, or somebody without a certificate, who shows a token later.
    AnyoneOrToken,
}

impl Expect {
    /// Checks role and fingerprint of a certificate whose issuer and validity are checked elsewhere.
    ///
    /// # Errors
    /// [`CertificateFault`] if the role is missing or another one, or the cluster file pins another
    /// certificate for that node.
    pub fn check(self, certificate: &CertificateDer<'_>, cluster: &Cluster) -> Result<Role, CertificateFault> {
        let got = CertificateFacts::of(certificate)?.role()?;
        let accepted = match (self, &got) {
            (Self::Anyone | Self::AnyoneOrToken, _) => true,
            (Self::PeerOf(me), Role::Node(party)) => *party != me,
            (Self::Node(expected), Role::Node(party)) => *party == expected,
            (Self::PeerOf(_) | Self::Node(_), Role::Client(_)) => false,
        };
        if !accepted {
            return Err(CertificateFault::WrongRole { expected: self.describe(), got });
        }
        if let Role::Node(party) = got {
            let (entry, got) = (cluster.node(party), Fingerprint::of(certificate));
            if !entry.accepts(got) {
                let pinned = entry.pins().map(|pin| pin.to_string()).collect::<Vec<_>>().join(" and ");
                return Err(CertificateFault::WrongFingerprint { party, pinned, got });
            }
        }
        Ok(got)
    }

    fn describe(self) -> String {
        match self {
            Self::PeerOf(me) => format!("node {} or {}", me.next(), me.prev()),
            Self::Node(party) => format!("node {party}"),
            Self::Anyone | Self::AnyoneOrToken => "a node or a client".to_owned(),
        }
    }
}

/// Checks the certificate of the other end: issuer, validity, role, pinned fingerprint.
#[derive(Debug)]
pub struct Verifier {
    cluster: Cluster,
    expect: Expect,
    roots: RootCertStore,
    clients: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// A verifier for one kind of connection of a cluster.
    ///
    /// # Errors
    /// [`Error::Bug`] if an authority's certificate, which the cluster file was checked for, is refused.
    pub fn new(cluster: &Cluster, expect: Expect, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let refused = |e: String| Error::Bug(format!("the authority of the cluster file is refused: {e}"));
        let mut roots = RootCertStore::empty();
        for authority in cluster.authorities() {
            roots.add(authority.clone()).map_err(|e| refused(e.to_string()))?;
        }
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider.clone())
            .build()
            .map_err(|e| refused(e.to_string()))?;
        Ok(Self { cluster: cluster.clone(), expect, roots, clients, provider })
    }

    /// The cryptography the verifier was made for.
    pub fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// Checks a chain at a point in time as if its owner had opened a connection to us.
    ///
    /// # Errors
    /// What is wrong with the first certificate of the chain.
    pub fn check(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), CertificateFault> {
        let missing = || CertificateFault::Unreadable { what: "certificate", cause: "none was presented".to_owned() };
        let (first, rest) = chain.split_first().ok_or_else(missing)?;
        let facts = CertificateFacts::of(first)?;
        let foreign = |e: rustls::Error| CertificateFault::ForeignAuthority {
            subject: facts.subject.clone(),
            cause: e.to_string(),
        };
        if let Err(e) = self.clients.verify_client_cert(first, rest, now) {
            // A foreign certificate is foreign even if it has also expired, so the time is held against it last.
            let valid = |s: i64| UnixTime::since_unix_epoch(Duration::from_secs(s.try_into().unwrap_or(0)));
            self.clients.verify_client_cert(first, rest, valid(facts.not_after)).map_err(foreign)?;
            facts.check_time(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))?;
            return Err(foreign(e));
        }
        self.expect.check(first, &self.cluster).map(drop)
    }

    /// Role and fingerprint, as the error of a handshake.
    fn check_role(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let other =
            |fault| rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Told(fault)))));
        self.expect.check(certificate, &self.cluster).map(drop).map_err(other)
    }
}

/// A fault as the TLS library carries it. QUIC passes on no more than its form for debugging, which has to say what happened all the same.
struct Told(CertificateFault);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Told {}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.expect != Expect::AnyoneOrToken
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.clients.verify_client_cert(end_entity, intermediates, now)?;
        self.check_role(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        self.check_role(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ClientCertVerifier::verify_tls12_signature(self, message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ClientCertVerifier::verify_tls13_signature(self, message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ClientCertVerifier::supported_verify_schemes(self)
    }
}
