//! The key with which an operator signs policies, and signatures.

use crate::{
    Error,
    config::Source,
    pki::{CertificateFault, read_private},
};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// What is signed is this and the bytes of the file.
const DOMAIN: &[u8] = b"trefoil policy v1\0";

/// The version of the form of a signature's file.
const FORMAT: u32 = 1;

const REMEDY: &str = "`trefoil policy sign` writes it beside the policy";

/// The public key of an operator, Ed25519: 64 hexadecimal digits.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyKey([u8; 32]);

/// The private key. Wiped from memory when dropped.
pub struct PolicySigner {
    pair: Ed25519KeyPair,
    pem: Zeroizing<String>,
}

/// A signature as it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SignatureFile {
    format: u32,
    signature: String,
}

/// Where the signature of a policy is: its name with `.sig` after it.
#[must_use]
pub fn signature_path(policy: &Path) -> PathBuf {
    let mut path = policy.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

impl PolicyKey {
    /// Checks the signature beside a policy.
    pub(super) fn verify(&self, policy: &Source) -> Result<(), Error> {
        let source = Source::read(&signature_path(&policy.path), REMEDY)?;
        let file: SignatureFile = source.parse()?;
        if file.format != FORMAT {
            return Err(source
                .whole(format!("format {} is not known; this program reads format {FORMAT}", file.format))
                .into());
        }
        let mut signature = [0; 64];
        hex::decode_to_slice(&file.signature, &mut signature)
            .map_err(|e| source.whole(format!("signature: {e}; {REMEDY}")))?;
        let signed = [DOMAIN, policy.text.as_bytes()].concat();
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        key.verify(&signed, &signature).map_err(|_| {
            let message = format!(
                "this is no signature of {} under policy_key {self}: the policy was changed, or signed with another key; {REMEDY}",
                policy.path.display()
            );
            source.whole(message).into()
        })
    }
}

impl PolicySigner {
    /// Draws a key.
    ///
    /// # Errors
    /// [`Error::Bug`] if the cryptographic library refuses.
    pub fn generate() -> Result<Self, Error> {
        let bug = |e: &dyn fmt::Display| Error::Bug(format!("a policy key: {e}"));
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|e| bug(&e))?;
        Self::from_pem(Zeroizing::new(key.serialize_pem())).map_err(|e| bug(&e))
    }

    /// Reads the file of a key, which nobody else may read.
    ///
    /// # Errors
    /// [`Error::System`] if it cannot be read, [`Error::Certificate`] if it is no such key.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let unreadable = |cause: String| {
            let fault = CertificateFault::Unreadable { what: "Ed25519 private key", cause };
            Error::Certificate { path: path.to_owned(), fault }
        };
        let bytes = read_private(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|e| unreadable(e.to_string()))?;
        Self::from_pem(Zeroizing::new(text.to_owned())).map_err(unreadable)
    }

    fn from_pem(pem: Zeroizing<String>) -> Result<Self, String> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|e| e.to_string())?;
        let pair = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|e| e.to_string())?;
        Ok(Self { pair, pem })
    }

    /// The key as PEM (PKCS #8).
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PolicyKey {
        let mut key = [0; 32];
        // A public key of Ed25519 has 32 bytes.
        key.copy_from_slice(self.pair.public_key().as_ref());
        PolicyKey(key)
    }

    /// The contents of the signature's file for a policy of this text.
    ///
    /// # Errors
    /// [`Error::Bug`] if there is no TOML form of it.
    pub fn sign(&self, policy: &str) -> Result<String, Error> {
        let signature = self.pair.sign(&[DOMAIN, policy.as_bytes()].concat());
        let file = SignatureFile { format: FORMAT, signature: hex::encode(signature) };
        let body = toml::to_string(&file).map_err(|e| Error::Bug(format!("a signature as TOML: {e}")))?;
        Ok(format!("# Trefoil: the signature of the policy beside it. `trefoil policy sign` writes it.\n{body}"))
    }
}

/// Writes the signature of a policy beside it, in place of an older one: whole, or not at all.
///
/// # Errors
/// [`Error::System`] if it cannot be written.
pub fn write_signature(policy: &Path, signature: &str) -> Result<PathBuf, Error> {
    let path = signature_path(policy);
    let failed = || Error::system(format!("write {}", path.display()));
    let mut new = path.clone().into_os_string();
    new.push(".new");
    fs::write(&new, signature).and_then(|()| fs::rename(&new, &path)).map_err(failed())?;
    Ok(path)
}

impl TryFrom<String> for PolicyKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut key = [0; 32];
        hex::decode_to_slice(&text, &mut key)
            .map_err(|e| format!("`{text}` is no policy key of 64 hexadecimal digits ({e})"))?;
        Ok(Self(key))
    }
}

impl From<PolicyKey> for String {
    fn from(key: PolicyKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyKey({self})")
    }
}

impl fmt::Debug for PolicySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicySigner({}, key not shown)", self.public())
    }
}
