//! What a certificate says, read once: role, validity, fingerprint.

use super::CertificateFault;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use trefoil_engine::Party;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// SHA-256 over the DER form of a certificate; written as 64 hexadecimal digits.
#[derive(Clone, Copy, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// A fingerprint of 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// Reads 64 hexadecimal digits; colons between bytes, as `openssl` prints them, are allowed.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.replace(':', ""), &mut bytes)
            .map_err(|e| format!("`{text}` is not a SHA-256 fingerprint of 64 hexadecimal digits ({e})"))?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(f: Fingerprint) -> Self {
        f.to_string()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The name of a client: 1 to 64 of the letters, digits, `.`, `_` and `-`.
///
/// Or, of a client without a certificate, `oidc:` and what a token says, 64 characters together: no certificate has such a name.
///
/// It stands for the client wherever jobs and tables belong to somebody or are released to somebody: the cluster's authority gives one name to one client.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientName(String);

impl ClientName {
    /// What names begin with that a token gives, and none that a certificate does.
    pub const TOKEN_PREFIX: &'static str = "oidc:";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let own = text.strip_prefix(Self::TOKEN_PREFIX).unwrap_or(text);
        if !own.is_empty() && text.len() <= 64 && own.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("`{text}` is not a client name; use 1 to 64 of the letters, digits, `.`, `_` and `-`"))
        }
    }
}

impl TryFrom<String> for ClientName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ClientName> for String {
    fn from(name: ClientName) -> Self {
        name.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom a certificate speaks for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    /// A node of the cluster.
    Node(Party),
    /// Somebody who submits jobs.
    Client(ClientName),
}

impl Role {
    /// The URI that stands for the role in a certificate.
    pub fn uri(&self) -> String {
        match self {
            Self::Node(party) => format!("trefoil:node:{party}"),
            Self::Client(name) => format!("trefoil:client:{name}"),
        }
    }

    fn from_uri(uri: &str) -> Result<Self, String> {
        if let Some(party) = uri.strip_prefix("trefoil:node:") {
            let known = Party::ALL.into_iter().find(|p| p.to_string() == party);
            return known.map(Self::Node).ok_or_else(|| format!("unknown party in `{uri}`"));
        }
        match uri.strip_prefix("trefoil:client:") {
            // No certificate gives the name of a token.
            Some(name) if name.starts_with(ClientName::TOKEN_PREFIX) => Err(format!("the name of a token in `{uri}`")),
            Some(name) => name.parse().map(Self::Client),
            None => Err(format!("unknown role `{uri}`")),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(party) => write!(f, "node {party}"),
            Self::Client(name) => write!(f, "client `{name}`"),
        }
    }
}

/// What a certificate says about itself. Nothing here is verified: signatures are the business of
/// [`tls`](crate::tls).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFacts {
    /// The subject's common name, for messages only.
    pub subject: String,
    /// Start of the validity, in seconds since 1970-01-01 UTC.
    pub not_before: i64,
    /// End of the validity, in seconds since 1970-01-01 UTC.
    pub not_after: i64,
    uris: Vec<String>,
}

impl CertificateFacts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`CertificateFault::Unreadable`] if it is not X.509.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, CertificateFault> {
        let unreadable = |cause: String| CertificateFault::Unreadable { what: "certificate", cause };
        let (rest, x509) = X509Certificate::from_der(certificate).map_err(|e| unreadable(e.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable(format!("{} stray bytes after it", rest.len())));
        }
        let names = x509.subject_alternative_name().map_err(|e| unreadable(e.to_string()))?;
        let uri = |name: &GeneralName<'_>| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        };
        let common = x509.subject().iter_common_name().next().and_then(|n| n.as_str().ok());
        Ok(Self {
            subject: common.unwrap_or("an unnamed subject").to_owned(),
            not_before: x509.validity().not_before.timestamp(),
            not_after: x509.validity().not_after.timestamp(),
            uris: names.map(|n| n.value.general_names.iter().filter_map(uri).collect()).unwrap_or_default(),
        })
    }

    /// The role the certificate names.
    ///
    /// # Errors
    /// [`CertificateFault::NoRole`] unless exactly one URI of the form `trefoil:..` is there.
    pub fn role(&self) -> Result<Role, CertificateFault> {
        let mut uris = self.uris.iter().filter(|u| u.starts_with("trefoil:"));
        match (uris.next(), uris.next()) {
            (Some(uri), None) => Role::from_uri(uri).map_err(CertificateFault::NoRole),
            (None, _) => Err(CertificateFault::NoRole("no `trefoil:` URI".to_owned())),
            (Some(_), Some(_)) => Err(CertificateFault::NoRole("several `trefoil:` URIs".to_owned())),
        }
    }

    /// Checks the validity against a point in time, in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// [`CertificateFault::Expired`] or [`CertificateFault::NotYetValid`].
    pub fn check_time(&self, now: i64) -> Result<(), CertificateFault> {
        let subject = self.subject.clone();
        if now < self.not_before {
            return Err(CertificateFault::NotYetValid { subject, not_before: self.not_before });
        }
        if now > self.not_after {
            return Err(CertificateFault::Expired { subject, not_after: self.not_after });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_round_trip_through_their_uri() {
        let client: ClientName = "alice.v2".parse().expect("a name");
        for role in Party::ALL.map(Role::Node).into_iter().chain([Role::Client(client)]) {
            assert_eq!(Role::from_uri(&role.uri()), Ok(role));
        }
        for bad in [
            "trefoil:node:P3",
            "trefoil:node:",
            "trefoil:client:",
            "trefoil:client:a b",
            "trefoil:admin:x",
            "trefoil:client:oidc:x",
        ] {
            assert!(Role::from_uri(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fingerprints_round_trip_with_and_without_colons() {
        let print = Fingerprint(std::array::from_fn(|i| i as u8));
        assert_eq!(print.to_string().parse(), Ok(print));
        let colons =
            print.to_string().as_bytes().chunks(2).map(|c| String::from_utf8_lossy(c)).collect::<Vec<_>>().join(":");
        assert_eq!(colons.to_uppercase().parse(), Ok(print));
        assert!("abcd".parse::<Fingerprint>().is_err());
    }

    #[test]
    fn a_certificate_is_not_read_from_garbage() {
        let garbage = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
        assert!(matches!(CertificateFacts::of(&garbage), Err(CertificateFault::Unreadable { .. })));
    }
}
