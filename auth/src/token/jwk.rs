//! Public keys as relying parties read them (RFC 7517, RFC 7638).

use crate::{
    Error,
    rsa::{EXPONENT, PublicKey},
    webauthn::Bytes,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A public key that verifies tokens.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Jwk {
    /// `RSA`.
    pub kty: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// `RS256`.
    pub alg: String,
    /// The thumbprint of the key with SHA-256 (RFC 7638).
    pub kid: String,
    /// The modulus, big-endian.
    pub n: Bytes,
    /// The public exponent, 65537.
    pub e: Bytes,
}

/// The keys of an issuer.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Jwks {
    /// In no particular order.
    pub keys: Vec<Jwk>,
}

impl Jwk {
    /// Of a key.
    pub fn of(public: &PublicKey) -> Self {
        let (n, e) = (Bytes(public.modulus()), Bytes(EXPONENT.to_vec()));
        let [kty, usage, alg] = ["RSA", "sig", super::ALGORITHM].map(str::to_owned);
        Self { kty, usage, alg, kid: thumbprint(&n, &e), n, e }
    }

    /// The key.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] if it is not one for RS256 that this library takes, or its `kid` is not its thumbprint.
    pub fn public(&self) -> Result<PublicKey, Error> {
        let public = PublicKey::from_modulus(&self.n.0)?;
        if *self == Self::of(&public) { Ok(public) } else { Err(Error::Key { fault: "its JWK is not one for RS256" }) }
    }
}

impl Jwks {
    /// The key of a thumbprint.
    pub(super) fn find(&self, kid: &str) -> Option<Result<PublicKey, Error>> {
        self.keys.iter().find(|key| key.kid == kid).map(Jwk::public)
    }
}

/// SHA-256 of the required members in the order of their names, without white space.
fn thumbprint(n: &Bytes, e: &Bytes) -> String {
    let members = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, e.to_base64url(), n.to_base64url());
    Bytes(Sha256::digest(members).to_vec()).to_base64url()
}
