//! What clients say and hear of keys.

use super::KeyFault;
use crate::{
    Error,
    names::names,
    pki::ClientName,
    tables::{Expiry, UploadId},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fmt, time::SystemTime};
use trefoil_auth::rsa::{Hash, Message, NodeKey, PublicKey, Purpose};
use zeroize::Zeroizing;

/// The media type of an enrolment and of a recovery: the length of a [`KeySpec`] or [`RecoverySpec`](super::RecoverySpec) in 4 bytes, little-endian, the specification as JSON, and the
/// node's share of the key or its part of the recovery share.
pub const KEY_MEDIA_TYPE: &str = "application/vnd.trefoil.key";

/// The most clients that a key names as signers.
pub const MAX_SIGNERS: usize = 64;

names! {
    /// The name of a key: 1 to 64 of the letters, digits, `.`, `_` and `-`.
    KeyName is "a key name"
}

/// Which key.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct KeyId {
    /// Whose it is.
    pub owner: ClientName,
    /// Its name among the owner's.
    pub name: KeyName,
}

/// What tells one step with a key from another, the same at all three nodes. Written as 32 hexadecimal digits.
pub type ExchangeId = UploadId;

/// What the owner says of a key, the same to all three nodes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// Which enrolment it is: a repeated one is known by it.
    pub enrolment: ExchangeId,
    /// Who may have documents signed, beside the owner.
    #[serde(default)]
    pub signers: BTreeSet<ClientName>,
    /// What it is for, if that does not follow from the shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<KeyUse>,
    /// From when on nothing is done with it, and the nodes erase it; it stays until it is deleted if that is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expiry>,
}

/// A node's part of an enrolment.
#[derive(Debug)]
pub struct Enrolment {
    /// What the owner says of the key.
    pub spec: KeySpec,
    /// The node's share.
    pub share: NodeKey,
}

/// What a key is for. Of a key that signs one thing nobody gets a signature of another. It follows from the shares, unless the owner says that it is for tokens.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyUse {
    /// Documents; the three nodes have the whole key.
    Documents,
    /// Ceremonies of a device, which takes part in each signature.
    Device,
    /// Tokens of an [issuer](crate::auth::IssuerSpec); the three nodes have the whole key.
    Tokens,
}

/// A key as a node describes it to those who may use it.
///
/// A client of another version may read this, so unknown fields are ignored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyStatus {
    /// Whose it is.
    pub owner: ClientName,
    /// Its name.
    pub name: KeyName,
    /// Which enrolment it is of.
    pub enrolment: ExchangeId,
    /// Who may have documents signed, beside the owner.
    pub signers: BTreeSet<ClientName>,
    /// The public key: `SubjectPublicKeyInfo` in DER, hexadecimal.
    pub public: String,
    /// What it is for; `None` before there are shares in use.
    pub usage: Option<KeyUse>,
    /// How often its shares were made, from 1; 0 before there are shares in use.
    pub epoch: u64,
    /// Whether a step was interrupted that the next one will settle.
    pub unsettled: bool,
    /// Whether the share of a recovered device waits to be handed out.
    #[serde(default)]
    pub issuing: bool,
    /// From when on nothing is done with it, and the nodes erase it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expiry>,
}

/// A hash function by the name that requests have for it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum HashName {
    /// SHA-256.
    #[serde(rename = "SHA-256")]
    Sha256,
    /// SHA-384.
    #[serde(rename = "SHA-384")]
    Sha384,
    /// SHA-512.
    #[serde(rename = "SHA-512")]
    Sha512,
}

/// What is to be signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SignRequest {
    /// The hash function.
    pub hash: HashName,
    /// The digest, hexadecimal.
    pub digest: String,
    /// The epoch of the shares to sign with; left out, that in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// A node's part of a signature.
///
/// A client of another version may read this, so unknown fields are ignored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Partials {
    /// The epoch of the shares it was made with.
    pub epoch: u64,
    /// Whether a step was interrupted that the next one will settle.
    pub unsettled: bool,
    /// The two partial signatures, hexadecimal, as [`trefoil_auth::rsa::NodePartials`] encodes them.
    pub partials: String,
}

/// The body of an enrolment or a recovery at one node: what is said of it, and the binary form of what is for this node alone.
///
/// # Errors
/// [`Error::Bug`] if the specification has no form as JSON, which does not happen.
pub fn encode_secret(spec: &impl Serialize, secret: Zeroizing<Vec<u8>>) -> Result<[Bytes; 2], Error> {
    let text = secret_json(spec)?;
    let mut head = Zeroizing::new(Vec::with_capacity(4 + text.len()));
    head.extend_from_slice(&(text.len() as u32).to_le_bytes());
    head.extend_from_slice(&text);
    Ok([Bytes::from_owner(head), Bytes::from_owner(secret)])
}

/// JSON that may have a secret in it.
pub(crate) fn secret_json(what: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Longer than any with a secret, so that it is not moved, and no copy is left behind.
    let mut text = Zeroizing::new(Vec::with_capacity(1 << 10));
    serde_json::to_writer(&mut *text, what).map_err(|e| Error::Bug(format!("a request as JSON: {e}")))?;
    Ok(text)
}

impl KeyId {
    /// As the store names it.
    pub(super) fn record(&self) -> Vec<u8> {
        format!("{}/{}", self.owner, self.name).into_bytes()
    }

    /// For everybody but its owner a key does not exist.
    pub(super) fn owned_by(&self, caller: &ClientName) -> Result<(), KeyFault> {
        if *caller == self.owner { Ok(()) } else { Err(KeyFault::Withheld(self.clone())) }
    }

    pub(super) fn of_record(record: &[u8]) -> Option<Self> {
        let (owner, name) = std::str::from_utf8(record).ok()?.split_once('/')?;
        Some(Self { owner: owner.parse().ok()?, name: name.parse().ok()? })
    }
}

impl KeySpec {
    /// Checks what its form alone does not.
    ///
    /// # Errors
    /// A text for the client.
    pub fn check(&self) -> Result<(), String> {
        if self.signers.len() > MAX_SIGNERS {
            return Err(format!("a key names {MAX_SIGNERS} signers at most, and this one {}", self.signers.len()));
        }
        if self.usage == Some(KeyUse::Tokens) && !self.signers.is_empty() {
            return Err("a key for tokens has no signers; the issuer names who may ask for tokens".to_owned());
        }
        Ok(())
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|at| at.is_over(now))
    }

    /// What a key of such shares is for.
    pub(super) fn usage_of(&self, has_device: bool) -> KeyUse {
        self.usage.unwrap_or(if has_device { KeyUse::Device } else { KeyUse::Documents })
    }

    /// Whether the shares are what the owner says that the key is for.
    pub(super) fn check_share(&self, share: &NodeKey) -> Result<(), String> {
        let device = self.usage_of(share.has_device()) == KeyUse::Device;
        if device == share.has_device() {
            return Ok(());
        }
        Err("the shares are not of a key for this use: a device takes part in its ceremonies, and in nothing else"
            .to_owned())
    }

    /// What a key is bound to, beside its public key: every byte of it is the same at all nodes.
    pub(super) fn digest(&self, id: &KeyId, public: &PublicKey) -> [u8; 32] {
        let mut digest = match self.usage {
            None => Sha256::new_with_prefix(b"trefoil key v1\0"),
            Some(usage) => Sha256::new_with_prefix(b"trefoil key for v1\0").chain_update([usage as u8]),
        };
        digest.update(format!("{}\n{}\n{}\n{}\n", id.owner, id.name, self.enrolment, self.signers.len()));
        for signer in &self.signers {
            digest.update(format!("{signer}\n"));
        }
        if let Some(expires) = self.expires {
            digest.update(format!("expires {expires}\n"));
        }
        digest.update(public.id());
        digest.finalize().into()
    }
}

impl KeyUse {
    /// Whether such a key signs such messages. Documents are digests of anything, so a key for documents is held to nothing but that it signs no tokens.
    pub(super) fn signs(self, purpose: Purpose) -> bool {
        match self {
            Self::Tokens => purpose == Purpose::Token,
            Self::Documents | Self::Device => purpose != Purpose::Token,
        }
    }
}

impl SignRequest {
    /// The message, made by whoever signs.
    ///
    /// # Errors
    /// A text for the client.
    pub fn message(&self) -> Result<Message, String> {
        let digest = hex::decode(&self.digest).map_err(|e| format!("the digest is not hexadecimal ({e})"))?;
        Message::digest(self.hash.into(), &digest).map_err(|e| e.to_string())
    }
}

impl From<HashName> for Hash {
    fn from(name: HashName) -> Self {
        match name {
            HashName::Sha256 => Self::Sha256,
            HashName::Sha384 => Self::Sha384,
            HashName::Sha512 => Self::Sha512,
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key `{}` of {}", self.name, self.owner)
    }
}

/// A public key from the form in which a status has it.
pub(crate) fn public_from_hex(text: &str) -> Option<PublicKey> {
    PublicKey::from_spki(&hex::decode(text).ok()?).ok()
}
