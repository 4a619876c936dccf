//! Credentials: what a ceremony has to know of a key.

use serde::{Deserialize, Serialize};

use super::{Bytes, RpId};
use crate::{
    Error,
    rsa::{CryptoRng, PublicKey},
};

/// Lengths that Level 3, section 6.5.1, allows.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=1023;

/// The id of a credential: 16 to 1,023 bytes.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct CredentialId(Bytes);

/// Whether a credential can be found without its id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Discoverable {
    /// Its relying party's id is enough.
    Yes,
    /// It is used where `allowCredentials` names it.
    No,
}

/// Whether a credential outlives its device (flags BE and BS). BE is fixed when the credential is registered, so that relying parties can rely on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backup {
    /// No: there is no recovery share.
    NotEligible,
    /// It can be recovered, and is not at the moment: the recovery share has not been handed out.
    Eligible,
    /// A recovery share is kept.
    BackedUp,
}

/// A credential as it is registered with a relying party. Nothing of it is secret but what [`Self::user`] says to the relying party.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// Whose it is.
    pub rp_id: RpId,
    /// The relying party's handle of the user: 1 to 64 bytes.
    pub user: Vec<u8>,
    /// Its public key.
    pub public: PublicKey,
    /// Whether it can be found without its id.
    pub discoverable: Discoverable,
    /// Whether it outlives its device.
    pub backup: Backup,
}

impl CredentialId {
    /// From bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if it is not of 16 to 1,023 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        if !LENGTHS.contains(&bytes.len()) {
            return Err(Error::Length { what: "the credential id", expected: "16 to 1023", got: bytes.len() });
        }
        Ok(Self(bytes.into()))
    }

    /// 32 random bytes.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = vec![0; 32];
        rng.fill_bytes(&mut bytes);
        Self(Bytes(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.0
    }

    pub(super) fn text(&self) -> String {
        self.0.to_base64url()
    }
}
