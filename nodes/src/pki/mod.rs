//! Certificates: who speaks for whom.
//!
//! Every cluster has an authority of its own ([`Authority`]). It issues one certificate per node and one
//! per client, all ECDSA P-256. The role stands in the certificate as a URI among its alternative
//! names: `trefoil:node:P0` or `trefoil:client:NAME`. A node is further pinned by the SHA-256
//! fingerprint of its certificate in the cluster file, so that the authority alone cannot replace one.

mod authority;
mod client_auth;
mod facts;
mod files;
mod identity;

pub use authority::{Authority, Issued, Lifetime};
pub use client_auth::{ClientAuth, ClientAuthRef};
pub use facts::{CertificateFacts, ClientName, Fingerprint, Role};
pub use files::{create_directory, create_private, create_public, read_private, read_secret, replace_public};
pub use identity::Identity;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use trefoil_engine::Party;

/// What is wrong with a certificate or key, and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// The file or message holds no such object.
    #[error("no usable {what} in it ({cause}); it must be PEM as `trefoil cluster init` writes it")]
    Unreadable {
        /// "certificate" or "private key".
        what: &'static str,
        /// What the parser said.
        cause: String,
    },
    /// The validity has ended.
    #[error("the certificate of {subject} expired on {}; renew it with `trefoil cluster renew --node` or `trefoil cluster client --renew`", date(*.not_after))]
    Expired {
        /// Whose certificate.
        subject: String,
        /// When, in seconds since 1970-01-01 UTC.
        not_after: i64,
    },
    /// The validity has not begun.
    #[error(
        "the certificate of {subject} is not valid before {}; check the clock of this machine and of the one that \
         created the cluster",
        date(*.not_before)
    )]
    NotYetValid {
        /// Whose certificate.
        subject: String,
        /// When it begins, in seconds since 1970-01-01 UTC.
        not_before: i64,
    },
    /// Signed by somebody else than this cluster's authority.
    #[error(
        "the certificate of {subject} was not issued by this cluster's authority ({cause}); both ends must use files \
         of the same `trefoil cluster init`"
    )]
    ForeignAuthority {
        /// Whose certificate it claims to be.
        subject: String,
        /// What the verifier said.
        cause: String,
    },
    /// The certificate names no role of this program.
    #[error("the certificate names no role ({0}); use one issued by `trefoil cluster init`")]
    NoRole(String),
    /// A valid certificate of the wrong role.
    #[error(
        "the certificate is that of {got} where {expected} is required; name the files that `trefoil cluster init` made for it"
    )]
    WrongRole {
        /// The role required here.
        expected: String,
        /// The role the certificate names.
        got: Role,
    },
    /// A node certificate that the cluster file does not pin for that party.
    #[error(
        "the certificate of {party} has the SHA-256 fingerprint {got}, but the cluster file pins {pinned}; if the certificate was \
         renewed, copy the current cluster file to every machine, otherwise install the node's present certificate"
    )]
    WrongFingerprint {
        /// The party named in the certificate.
        party: Party,
        /// The fingerprints in the cluster file.
        pinned: String,
        /// The fingerprint of the certificate presented.
        got: Fingerprint,
    },
    /// The private key is not that of the certificate.
    #[error("the private key does not belong to the certificate; restore the pair that was issued together")]
    KeyMismatch,
    /// The private key can be read by everybody on this machine.
    #[error("the private key can be read by every user (mode {mode:04o}); run `chmod 600` on it")]
    Exposed {
        /// The permission bits.
        mode: u32,
    },
}

/// A point in time as people read it; the raw number if it is out of range.
pub(crate) fn date(unix_seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix_seconds)
        .ok()
        .and_then(|t| t.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("second {unix_seconds} of Unix time"))
}
