//! Public keys: the modulus, its `SubjectPublicKeyInfo`, and verification.

use std::fmt;

use crypto_bigint::{BoxedUint, Odd};
use pkcs8::{
    der::{
        Decode, Encode,
        asn1::{BitStringRef, UintRef},
    },
    spki::SubjectPublicKeyInfoRef,
};
use sha2::{Digest, Sha256};

use super::{E, Message, modular::Modulus};
use crate::Error;

/// How long a modulus is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeySize {
    /// 1,024 bits: too short for use, and long enough to test what does not depend on it.
    #[cfg(test)]
    Rsa1024,
    /// 2,048 bits.
    Rsa2048,
    /// 3,072 bits.
    Rsa3072,
    /// 4,096 bits.
    Rsa4096,
}

impl KeySize {
    /// The length of the modulus, in bits.
    pub const fn bits(self) -> u32 {
        match self {
            #[cfg(test)]
            Self::Rsa1024 => 1024,
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }

    /// The length of the modulus and of a signature, in bytes.
    pub const fn bytes(self) -> usize {
        self.bits() as usize / 8
    }

    /// The size of a modulus of `bits` bits, if keys of it are used.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        match bits {
            #[cfg(test)]
            1024 => Some(Self::Rsa1024),
            2048 => Some(Self::Rsa2048),
            3072 => Some(Self::Rsa3072),
            4096 => Some(Self::Rsa4096),
            _ => None,
        }
    }
}

/// An RSA public key with e = 65537.
#[derive(Clone)]
pub struct PublicKey {
    size: KeySize,
    modulus: Modulus,
}

impl PublicKey {
    /// From a big-endian modulus, without leading zeros.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] if it is even, or not of 2,048, 3,072 or 4,096 bits.
    pub fn from_modulus(modulus: &[u8]) -> Result<Self, Error> {
        let wrong = Error::Key { fault: "the modulus is not an odd number of 2048, 3072 or 4096 bits" };
        let bits = modulus.len().checked_mul(8).and_then(|bits| u32::try_from(bits).ok()).ok_or(wrong.clone())?;
        let size = KeySize::from_bits(bits).ok_or(wrong.clone())?;
        if modulus.first().is_none_or(|first| first >> 7 == 0) {
            return Err(wrong);
        }
        let modulus = BoxedUint::from_be_slice(modulus, bits).map_err(|_| wrong.clone())?;
        let modulus = Option::<Odd<BoxedUint>>::from(modulus.into_odd()).ok_or(wrong)?;
        Ok(Self { size, modulus: Modulus::new(modulus) })
    }

    /// From the DER form of a `SubjectPublicKeyInfo` (RFC 5280) with the algorithm rsaEncryption.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] if it is something else, e is not 65537, or the modulus is not of an allowed size.
    pub fn from_spki(der: &[u8]) -> Result<Self, Error> {
        let spki = SubjectPublicKeyInfoRef::from_der(der)
            .map_err(|_| Error::Key { fault: "it is no SubjectPublicKeyInfo in DER" })?;
        if spki.algorithm != pkcs1::ALGORITHM_ID {
            return Err(Error::Key { fault: "its algorithm is not rsaEncryption" });
        }
        let bits = spki.subject_public_key.as_bytes().unwrap_or_default();
        let key = pkcs1::RsaPublicKeyRef::from_der(bits).map_err(|_| Error::Key { fault: "it is no RSAPublicKey" })?;
        if key.public_exponent.as_bytes() != EXPONENT {
            return Err(Error::Key { fault: "its public exponent is not 65537" });
        }
        Self::from_modulus(key.modulus.as_bytes())
    }

    /// The DER form of a `SubjectPublicKeyInfo` (RFC 5280), as OpenSSL reads it after `-inform DER -pubin`.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] if the encoder refuses, which no key that was made here brings about.
    pub fn to_spki(&self) -> Result<Vec<u8>, Error> {
        let encode = || {
            let modulus = self.modulus();
            let key =
                pkcs1::RsaPublicKeyRef { modulus: UintRef::new(&modulus)?, public_exponent: UintRef::new(&EXPONENT)? };
            let key = key.to_der()?;
            let subject_public_key = BitStringRef::from_bytes(&key)?;
            SubjectPublicKeyInfoRef { algorithm: pkcs1::ALGORITHM_ID, subject_public_key }.to_der()
        };
        encode().map_err(|_| Error::Key { fault: "it has no DER form" })
    }

    /// How long the modulus is.
    pub fn size(&self) -> KeySize {
        self.size
    }

    /// The modulus, big-endian.
    pub fn modulus(&self) -> Vec<u8> {
        self.modulus.value().to_be_bytes().into_vec()
    }

    /// The name of the key in messages: SHA-256 of the modulus.
    pub fn id(&self) -> [u8; 32] {
        Sha256::digest(self.modulus()).into()
    }

    /// Whether `signature` is the signature of `message` under this key (RFC 8017, section 8.2.2).
    pub fn verifies(&self, message: &Message, signature: &[u8]) -> bool {
        let Ok(encoded) = message.encode(self.size.bytes()) else { return false };
        self.modulus.residue(signature).is_some_and(|signature| signature.to_the_e().encode() == encoded)
    }

    pub(super) fn ring(&self) -> &Modulus {
        &self.modulus
    }
}

/// 65537, big-endian.
pub const EXPONENT: [u8; 3] = [1, 0, 1];
const _: () = assert!(E == 0x1_0001);

impl Eq for PublicKey {}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.modulus.value() == other.modulus.value()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} bits, ", self.size.bits())?;
        self.id().iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}
