//! The cluster's own certificate authority.

use super::{ClientName, Fingerprint, Role};
use crate::Error;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::CertificateDer;
use std::{fmt, net::IpAddr};
use time::{Duration, OffsetDateTime};
use trefoil_engine::Party;
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
    certificate: Certificate,
}

impl Authority {
    /// Draws a new key and signs the authority's own certificate with it.
    ///
    /// # Errors
    /// [`Error::Bug`] if the cryptographic library refuses.
    pub fn create(cluster_id: &str, lifetime: Lifetime) -> Result<Self, Error> {
        let mut params = parameters(&format!("Trefoil cluster {cluster_id}"), lifetime);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = new_key()?;
        let certificate = params.self_signed(&key).map_err(refused)?;
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The authority's certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.certificate.der()
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
