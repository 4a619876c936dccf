//! Bodies sealed to one node, with HPKE (RFC 9180): whoever passes them on, as a web server does for a page, cannot read them.
//!
//! The suite is DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM in base mode, which browsers can compute with what they have. A node draws its key when it starts and forgets it when it ends: what was
//! sealed to it before can then be opened by nobody. A sealed body is bound to the node, to the request and to the media type of what is inside. It is not bound to its sender:
//! the client's certificate says who that is, as for every request.

mod output;

pub use output::{CHUNK, OutputKey, RecipientKey, SEALED_OUTPUT_TYPE, ShareOf, sealed_output_bytes};

use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_P256_HKDF_SHA256_AES_128 as SUITE,
    hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey},
};
use serde::{Deserialize, Serialize};
use std::fmt;
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// The media type of a sealed body: the ephemeral public key of 65 bytes, then the ciphertext.
pub const SEALED_MEDIA_TYPE: &str = "application/vnd.trefoil.sealed";

/// The header with the media type of what is inside.
pub const SEALED_TYPE: &str = "sealed-type";

/// The name of the suite in [`SealPublic`].
pub const SEAL_SUITE: &str = "DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM";

/// The longest sealed body, in bytes: room for a probe or a key, not for a table.
pub const MAX_SEALED_BYTES: u64 = 1 << 17;

/// An ephemeral public key on P-256, uncompressed.
const ENCAPSULATED: usize = 65;

/// What a body is sealed to: it opens for this request at this node, and for nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The node.
    pub to: Party,
    /// The request's method.
    pub method: &'a str,
    /// The request's path, with its query if there is one.
    pub path: &'a str,
    /// The media type of what is inside.
    pub media_type: &'a str,
}

/// A node's public key, as `GET /v1/seal-key` tells it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SealPublic {
    /// The node.
    pub party: u8,
    /// [`SEAL_SUITE`].
    pub suite: String,
    /// The key, an uncompressed point, in hexadecimal digits.
    pub public: String,
}

/// A node's key pair. It lives as long as the process.
pub struct SealKey {
    party: Party,
    public: HpkePublicKey,
    private: HpkePrivateKey,
}

/// Why a body was not sealed or opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealFault {
    /// It does not open: damaged, for another node or request, or sealed before the node was started anew.
    #[error(
        "the sealed body does not open for this request; fetch /v1/seal-key again, which a node draws anew when it starts, and seal method, path and type as they are sent"
    )]
    Opening,
    /// The public key is none.
    #[error("the node's public key is not a point of P-256; fetch /v1/seal-key again")]
    Key,
    /// The key of a recipient is none.
    #[error("the recipient's key is no public key of X25519; name another in the job")]
    OutputKey,
    /// A sealed output does not open.
    #[error("the sealed output does not open with this key; is it that which the job names for you?")]
    Output,
    /// The system gives no randomness.
    #[error("no key could be drawn; the system's source of randomness fails")]
    Entropy,
}

impl SealKey {
    /// A fresh pair.
    ///
    /// # Errors
    /// [`SealFault::Entropy`].
    pub fn generate(party: Party) -> Result<Self, SealFault> {
        let (public, private) = SUITE.generate_key_pair().map_err(|_| SealFault::Entropy)?;
        Ok(Self { party, public, private })
    }

    /// Whose it is.
    pub fn party(&self) -> Party {
        self.party
    }

    /// What clients are told.
    pub fn public(&self) -> SealPublic {
        SealPublic {
            party: self.party.index() as u8,
            suite: SEAL_SUITE.to_owned(),
            public: hex::encode(&self.public.0),
        }
    }

    /// Opens a body that came with a request to this node.
    ///
    /// # Errors
    /// [`SealFault::Opening`].
    pub fn open(&self, envelope: &Envelope<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        let (key, ciphertext) = sealed.split_at_checked(ENCAPSULATED).ok_or(SealFault::Opening)?;
        let key = EncapsulatedSecret(key.to_vec());
        let opened = SUITE.open(&key, &info(self.party), &envelope.bound(), ciphertext, &self.private);
        opened.map(Zeroizing::new).map_err(|_| SealFault::Opening)
    }
}

impl SealPublic {
    /// Seals a body to the node.
    ///
    /// # Errors
    /// [`SealFault::Key`].
    pub fn seal(&self, envelope: &Envelope<'_>, body: &[u8]) -> Result<Vec<u8>, SealFault> {
        let public = HpkePublicKey(hex::decode(&self.public).map_err(|_| SealFault::Key)?);
        let sealed = SUITE.seal(&info(envelope.to), &envelope.bound(), body, &public);
        let (key, ciphertext) = sealed.map_err(|_| SealFault::Key)?;
        Ok([key.0, ciphertext].concat())
    }
}

impl Envelope<'_> {
    /// The additional data. None of its parts but the path has spaces, and a path in a request has none.
    fn bound(&self) -> Vec<u8> {
        format!("{} {} {}", self.method, self.path, self.media_type).into_bytes()
    }
}

fn info(party: Party) -> Vec<u8> {
    format!("trefoil/v1/sealed to {party}").into_bytes()
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey(of {})", self.party)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: Envelope<'static> =
        Envelope { to: Party::P1, method: "PUT", path: "/v1/auth/logins/00?a=1", media_type: "application/x" };

    #[test]
    fn a_body_opens_for_its_node_and_request_alone() {
        let key = SealKey::generate(Party::P1).expect("randomness");
        let sealed = key.public().seal(&LOGIN, b"a share").expect("a key");
        assert_eq!(**key.open(&LOGIN, &sealed).expect("as sealed"), *b"a share");
        assert!(!sealed.windows(7).any(|part| part == b"a share"));
        for other in [
            Envelope { method: "POST", ..LOGIN },
            Envelope { path: "/v1/auth/logins/00", ..LOGIN },
            Envelope { media_type: "application/y", ..LOGIN },
        ] {
            assert_eq!(key.open(&other, &sealed), Err(SealFault::Opening), "{other:?}");
        }
        let elsewhere = SealKey { party: Party::P2, ..SealKey::generate(Party::P2).expect("randomness") };
        assert_eq!(elsewhere.open(&LOGIN, &sealed), Err(SealFault::Opening), "another key");
        let renamed = SealKey { party: Party::P2, ..key };
        assert_eq!(renamed.open(&LOGIN, &sealed), Err(SealFault::Opening), "the key under another node's name");
    }

    #[test]
    fn nothing_that_was_changed_opens() {
        let key = SealKey::generate(Party::P1).expect("randomness");
        let sealed = key.public().seal(&LOGIN, &[7; 40]).expect("a key");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&LOGIN, &changed), Err(SealFault::Opening), "byte {at}");
            assert_eq!(key.open(&LOGIN, &sealed[..at]), Err(SealFault::Opening), "{at} bytes");
        }
        let nonsense = SealPublic { public: "04".repeat(65), ..key.public() };
        assert_eq!(nonsense.seal(&LOGIN, b"a share"), Err(SealFault::Key));
    }

    /// RFC 9180, appendix A.3.1, the first encryption.
    #[test]
    fn the_suite_is_that_of_the_rfc() {
        let bytes = |digits: &str| hex::decode(digits).expect("hexadecimal digits");
        let secret = bytes("f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2");
        let encapsulated = bytes(
            "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4",
        );
        let ciphertext =
            bytes("5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434");
        let opened = SUITE.open(
            &EncapsulatedSecret(encapsulated),
            &bytes("4f6465206f6e2061204772656369616e2055726e"),
            b"Count-0",
            &ciphertext,
            &HpkePrivateKey::from(secret),
        );
        assert_eq!(opened.expect("the vector opens"), b"Beauty is truth, truth beauty");
    }
}
