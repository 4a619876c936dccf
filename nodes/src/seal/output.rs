//! Outputs sealed to their recipients, with HPKE: who passes one on, or ends the TLS connection before the recipient, cannot read the share.
//!
//! The suite is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM in base mode. The key is in the job's specification, on which the three nodes agree before they compute: who is between recipient and node cannot put another in its place. What is sealed is bound to
//! node, job, output and recipient, and goes in chunks, so that no node holds an output twice. Their number follows from the size of the output: what is cut off is missed.

use super::SealFault;
use crate::{
    job::{JobId, lower_hex},
    pki::ClientName,
};
use aws_lc_rs::agreement::{PrivateKey, X25519};
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_128 as SUITE,
    hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey, HpkeSealer},
};
use serde::{Deserialize, Serialize};
use std::fmt;
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// The media type of a sealed output: the ephemeral public key of 32 bytes, then the ciphertexts of its chunks.
pub const SEALED_OUTPUT_TYPE: &str = "application/vnd.trefoil.sealed-output";

/// Bytes that are sealed together. The last chunk may have fewer.
pub const CHUNK: usize = 1 << 16;

/// What each chunk is longer by.
const TAG: usize = 16;

/// The ephemeral public key.
const ENCAPSULATED: usize = 32;

/// A recipient's public key, X25519: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct OutputKey([u8; 32]);

/// A recipient's key pair.
pub struct RecipientKey {
    private: Zeroizing<[u8; 32]>,
    public: OutputKey,
}

/// What a sealed share is of.
#[derive(Clone, Copy, Debug)]
pub struct ShareOf<'a> {
    /// The node.
    pub from: Party,
    /// The job.
    pub job: JobId,
    /// The output.
    pub output: usize,
    /// Whom it is for.
    pub recipient: &'a ClientName,
}

impl ShareOf<'_> {
    /// Names have no spaces.
    fn info(&self) -> Vec<u8> {
        let Self { from, job, output, recipient } = self;
        format!("trefoil/v1/output {output} of {job} from {from} for {recipient}").into_bytes()
    }
}

/// The length of what so many bytes become.
#[must_use]
pub fn sealed_output_bytes(length: usize) -> usize {
    ENCAPSULATED + length + TAG * length.div_ceil(CHUNK)
}

impl OutputKey {
    /// Begins to seal: what goes before the chunks, and what seals each of them.
    ///
    /// # Errors
    /// [`SealFault::OutputKey`] for a key that nothing can be sealed to.
    pub fn begin(&self, of: &ShareOf<'_>) -> Result<(Vec<u8>, Box<dyn HpkeSealer>), SealFault> {
        let (key, sealer) =
            SUITE.setup_sealer(&of.info(), &HpkePublicKey(self.0.to_vec())).map_err(|_| SealFault::OutputKey)?;
        Ok((key.0, sealer))
    }
}

impl RecipientKey {
    /// Draws a pair.
    ///
    /// # Errors
    /// [`SealFault::Entropy`].
    pub fn generate() -> Result<Self, SealFault> {
        let mut private = Zeroizing::new([0; 32]);
        getrandom::fill(private.as_mut()).map_err(|_| SealFault::Entropy)?;
        Self::from_private(private)
    }

    /// The pair of a private key.
    ///
    /// # Errors
    /// [`SealFault::OutputKey`] if it is none.
    pub fn from_private(private: Zeroizing<[u8; 32]>) -> Result<Self, SealFault> {
        let key = PrivateKey::from_private_key(&X25519, private.as_ref()).map_err(|_| SealFault::OutputKey)?;
        let public = key.compute_public_key().map_err(|_| SealFault::OutputKey)?;
        let public = public.as_ref().try_into().map_err(|_| SealFault::OutputKey)?;
        Ok(Self { private, public: OutputKey(public) })
    }

    /// The private key, to be kept where nobody else can read it.
    #[must_use]
    pub fn private(&self) -> &Zeroizing<[u8; 32]> {
        &self.private
    }

    /// What jobs name.
    #[must_use]
    pub fn public(&self) -> OutputKey {
        self.public
    }

    /// Opens a share that has so many bytes.
    ///
    /// # Errors
    /// [`SealFault::Output`] if it is another, or was changed or cut off.
    pub fn open(&self, of: &ShareOf<'_>, length: usize, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        if sealed.len() != sealed_output_bytes(length) {
            return Err(SealFault::Output);
        }
        let (key, chunks) = sealed.split_at_checked(ENCAPSULATED).ok_or(SealFault::Output)?;
        let private = HpkePrivateKey::from(self.private.to_vec());
        let mut opener = SUITE
            .setup_opener(&EncapsulatedSecret(key.to_vec()), &of.info(), &private)
            .map_err(|_| SealFault::Output)?;
        let mut opened = Zeroizing::new(Vec::with_capacity(length));
        for chunk in chunks.chunks(CHUNK + TAG) {
            let chunk = opener.open(&[], chunk).map(Zeroizing::new).map_err(|_| SealFault::Output)?;
            opened.extend_from_slice(&chunk);
        }
        if opened.len() == length { Ok(opened) } else { Err(SealFault::Output) }
    }
}

impl TryFrom<String> for OutputKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let none = || "the key of a recipient is 64 lower-case hexadecimal digits, a public key of X25519".to_owned();
        let key = lower_hex(&text).ok_or_else(none)?;
        Ok(Self(key))
    }
}

impl From<OutputKey> for String {
    fn from(key: OutputKey) -> Self {
        hex::encode(key.0)
    }
}

impl fmt::Debug for OutputKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputKey({})", hex::encode(self.0))
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientKey({:?}, private key not shown)", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(key: OutputKey, of: &ShareOf<'_>, share: &[u8]) -> Vec<u8> {
        let (mut sealed, mut sealer) = key.begin(of).expect("a key");
        for chunk in share.chunks(CHUNK) {
            sealed.extend(sealer.seal(&[], chunk).expect("sealed"));
        }
        assert_eq!(sealed.len(), sealed_output_bytes(share.len()));
        sealed
    }

    #[test]
    fn a_share_opens_for_its_recipient_and_as_what_it_is_alone() {
        let (alice, bob) = ("alice".parse().expect("a name"), "bob".parse().expect("a name"));
        let of = ShareOf { from: Party::P1, job: JobId::from([1; 16]), output: 2, recipient: &alice };
        let key = RecipientKey::generate().expect("randomness");
        for length in [40, CHUNK - 1, CHUNK, CHUNK + 32] {
            let share: Vec<u8> = (0..length).map(|k| k as u8).collect();
            let sealed = sealed(key.public(), &of, &share);
            assert_eq!(**key.open(&of, length, &sealed).expect("as sealed"), *share);
            let again = RecipientKey::from_private(key.private().clone()).expect("a key");
            assert_eq!(again.public(), key.public());
            let other = RecipientKey::generate().expect("randomness");
            assert_eq!(other.open(&of, length, &sealed), Err(SealFault::Output), "another key");
            for wrong in [
                ShareOf { from: Party::P2, ..of },
                ShareOf { job: JobId::from([2; 16]), ..of },
                ShareOf { output: 1, ..of },
                ShareOf { recipient: &bob, ..of },
            ] {
                assert_eq!(key.open(&wrong, length, &sealed), Err(SealFault::Output), "{wrong:?}");
            }
            let mut changed = sealed.clone();
            changed[length / 2] ^= 1;
            assert_eq!(key.open(&of, length, &changed), Err(SealFault::Output), "changed");
            assert_eq!(key.open(&of, length, &sealed[..sealed.len() - 1]), Err(SealFault::Output), "cut off");
            if length > CHUNK {
                let whole = &sealed[..ENCAPSULATED + CHUNK + TAG];
                assert_eq!(key.open(&of, length, whole), Err(SealFault::Output), "a chunk cut off");
                assert_eq!(key.open(&of, CHUNK, &sealed), Err(SealFault::Output), "another size");
            }
        }
        let shown = format!("{key:?}");
        assert!(!shown.contains(&hex::encode(key.private().as_ref())), "{shown}");
    }

    #[test]
    fn keys_are_digits() {
        let key = RecipientKey::generate().expect("randomness").public();
        let text = serde_json::to_string(&key).expect("a text");
        assert_eq!(serde_json::from_str::<OutputKey>(&text).expect("what was written"), key);
        for bad in ["\"\"", "\"00\"", &text.to_uppercase(), &format!("\"{}\"", "0g".repeat(32))] {
            assert!(serde_json::from_str::<OutputKey>(bad).is_err(), "{bad}");
        }
        // A point of small order: nothing is sealed to it.
        let zero: OutputKey = "00".repeat(32).try_into().expect("digits");
        let name = "a".parse().expect("a name");
        let of = ShareOf { from: Party::P0, job: JobId::from([0; 16]), output: 0, recipient: &name };
        assert!(zero.begin(&of).is_err());
    }
}
