//! The cluster's own certificate authority.

use super::{CertificateFault, ClientName, Fingerprint, Role};
use crate::Error;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{fmt, net::IpAddr};
use time::{Duration, OffsetDateTime};
use trefoil_engine::Party;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetime {
    /// First moment.
    pub not_before: OffsetDateTime,
    /// Last moment.
    pub not_after: OffsetDateTime,
}

impl Lifetime {
    /// Days for which node and client certificates are valid unless `--days` says otherwise.
    pub const DEFAULT_DAYS: u32 = 365;
    /// Days for which the authority is valid, unless its certificates outlast it.
    const AUTHORITY_DAYS: u32 = 3650;

    /// Valid from an hour ago, because clocks differ, for a number of days.
    pub fn days(days: u32) -> Self {
        let now = OffsetDateTime::now_utc();
        Self { not_before: now - Duration::hours(1), not_after: now + Duration::days(i64::from(days)) }
    }

    /// The lifetime of an authority that issues certificates for a number of days.
    pub fn authority(days: u32) -> Self {
        Self::days(days.max(Self::AUTHORITY_DAYS))
    }
}

/// A certificate with its private key, both as PEM.
pub struct Issued {
    /// The certificate, public.
    pub certificate_pem: String,
    /// The private key in PKCS #8; wiped from memory when dropped.
    pub key_pem: Zeroizing<String>,
    /// The fingerprint of the certificate.
    pub fingerprint: Fingerprint,
}

/// A certificate authority that signs for one cluster.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
}

impl Authority {
    /// Draws a new key and signs the authority's own certificate with it.
    ///
    /// # Errors
    /// [`Error::Bug`] if the cryptographic library refuses.
    pub fn create(cluster_id: &str, lifetime: Lifetime) -> Result<Self, Error> {
        let params = own_parameters(cluster_id, lifetime);
        let key = new_key()?;
        let certificate = params.self_signed(&key).map_err(refused)?;
        let (certificate, certificate_pem) = (certificate.der().clone(), certificate.pem());
        Ok(Self { issuer: Issuer::new(params, key), certificate, certificate_pem })
    }

    /// Takes up the authority of a cluster again, from its certificate and its private key, both as PEM.
    ///
    /// # Errors
    /// [`CertificateFault`] if the key cannot be read or is not that of the certificate.
    pub fn open(cluster_id: &str, certificate_pem: &str, key_pem: &[u8]) -> Result<Self, CertificateFault> {
        let unreadable = |what, cause: String| CertificateFault::Unreadable { what, cause };
        let key = std::str::from_utf8(key_pem).map_err(|e| e.to_string());
        let key = key.and_then(|pem| KeyPair::from_pem(pem).map_err(|e| e.to_string()));
        let key = key.map_err(|e| unreadable("private key", e))?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|e| unreadable("certificate", e.to_string()))?;
        let (_, x509) =
            X509Certificate::from_der(&certificate).map_err(|e| unreadable("certificate", e.to_string()))?;
        if x509.public_key().raw != key.subject_public_key_info() {
            return Err(CertificateFault::KeyMismatch);
        }
        // What an issuer passes on are its name and its key; both are those it had when it was created.
        let issuer = Issuer::new(own_parameters(cluster_id, Lifetime::days(1)), key);
        Ok(Self { issuer, certificate, certificate_pem: certificate_pem.to_owned() })
    }

    /// The authority's certificate as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's private key as PEM, wiped from memory when dropped.
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.issuer.key().serialize_pem())
    }

    /// Issues the certificate of a node for the hosts (names or addresses) it is reached under.
    ///
    /// # Errors
    /// [`Error::Usage`] if a host is neither a name nor an address.
    pub fn issue_node(&self, party: Party, hosts: &[&str], lifetime: Lifetime) -> Result<Issued, Error> {
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&Role::Node(party), hosts, &usages, lifetime)
    }

    /// Issues the certificate of a client.
    ///
    /// # Errors
    /// [`Error::Bug`] if the cryptographic library refuses.
    pub fn issue_client(&self, name: &ClientName, lifetime: Lifetime) -> Result<Issued, Error> {
        self.issue(&Role::Client(name.clone()), &[], &[ExtendedKeyUsagePurpose::ClientAuth], lifetime)
    }

    fn issue(
        &self,
        role: &Role,
        hosts: &[&str],
        usages: &[ExtendedKeyUsagePurpose],
        lifetime: Lifetime,
    ) -> Result<Issued, Error> {
        let mut params = parameters(&role.to_string(), lifetime);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        params.subject_alt_names = hosts.iter().map(|h| host_name(h)).collect::<Result<_, _>>()?;
        params.subject_alt_names.push(SanType::URI(role.uri().try_into().map_err(refused)?));
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(refused)?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
            fingerprint: Fingerprint::of(certificate.der()),
        })
    }
}

fn own_parameters(cluster_id: &str, lifetime: Lifetime) -> CertificateParams {
    let mut params = parameters(&format!("Trefoil cluster {cluster_id}"), lifetime);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn parameters(common_name: &str, lifetime: Lifetime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = lifetime.not_before;
    params.not_after = lifetime.not_after;
    params
}

fn new_key() -> Result<KeyPair, Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(refused)
}

fn host_name(host: &str) -> Result<SanType, Error> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let name = host.try_into().map_err(|e| Error::Usage(format!("`{host}` is not a host name or address: {e}")))?;
    Ok(SanType::DnsName(name))
}

fn refused(error: impl fmt::Display) -> Error {
    Error::Bug(format!("the certificate could not be made: {error}"))
}
