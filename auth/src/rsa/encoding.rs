//! EMSA-PKCS1-v1_5 (RFC 8017, section 9.2) of messages that the signer hashes or checks itself.

use std::fmt;

use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::Error;

/// Flags, counter and hash of the relying party's id: what every `authenticatorData` has at least.
const LEAST_AUTHENTICATOR_DATA: usize = 37;
/// Bytes of `FF` in an encoded message.
const LEAST_PADDING: usize = 8;

/// The hash function of a signature.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The length of a digest, in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The DER form of `DigestInfo` up to the digest (RFC 8017, section 9.2, note 1).
    const fn prefix(self) -> [u8; 19] {
        let (total, last) = match self {
            Self::Sha256 => (0x31, 0x01),
            Self::Sha384 => (0x41, 0x02),
            Self::Sha512 => (0x51, 0x03),
        };
        let digest = self.bytes() as u8;
        // SEQUENCE { SEQUENCE { OID 2.16.840.1.101.3.4.2.x, NULL }, OCTET STRING }
        [
            0x30, total, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last, 0x05, 0x00,
            0x04, digest,
        ]
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA-{}", 8 * self.bytes())
    }
}

/// What is signed: a hash function and a digest, made from typed inputs.
///
/// A signer is handed the inputs and makes this itself. There is no way to get one from an integer, so nobody can have a
/// number raised to a share that is not a padded digest.
///
/// ```compile_fail,E0451
/// # use trefoil_auth::rsa::{Hash, Message, Purpose};
/// let any_number = Message { purpose: Purpose::Document, hash: Hash::Sha256, digest: vec![2] };
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    purpose: Purpose,
    hash: Hash,
    digest: Vec<u8>,
}

/// What a message is from. Keys with a device sign ceremonies alone: else whoever has a document signed could pass the digest of an assertion,
/// with flags that the nodes would not have set. Who keeps a key for tokens holds it to those for the same reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// A `WebAuthn` assertion or attestation, which the signer has hashed itself.
    Ceremony,
    /// A document, or the digest of one.
    Document,
    /// A signed token, which the signer has put together and hashed itself.
    Token,
}

impl Message {
    /// What a `WebAuthn` assertion or packed attestation signs with RS256:
    /// the SHA-256 digest of `authenticatorData || clientDataHash`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `authenticator_data` is shorter than its fixed fields, 37 bytes.
    pub fn webauthn(authenticator_data: &[u8], client_data_hash: &[u8; 32]) -> Result<Self, Error> {
        if authenticator_data.len() < LEAST_AUTHENTICATOR_DATA {
            return Err(Error::Length {
                what: "authenticatorData",
                expected: "37 or more",
                got: authenticator_data.len(),
            });
        }
        let digest = Sha256::new().chain_update(authenticator_data).chain_update(client_data_hash).finalize();
        Ok(Self { purpose: Purpose::Ceremony, hash: Hash::Sha256, digest: digest.to_vec() })
    }

    /// What a signed token signs with RS256 (RFC 7515, section 5.1): the SHA-256 digest of its signing input.
    pub(crate) fn token(signing_input: &str) -> Self {
        Self { purpose: Purpose::Token, hash: Hash::Sha256, digest: Sha256::digest(signing_input).to_vec() }
    }

    /// A digest that was computed elsewhere, of a file for example. Only keys of the nodes alone sign it.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `digest` is not as long as the digests of `hash`.
    pub fn digest(hash: Hash, digest: &[u8]) -> Result<Self, Error> {
        if digest.len() != hash.bytes() {
            let expected = match hash {
                Hash::Sha256 => "32 for SHA-256",
                Hash::Sha384 => "48 for SHA-384",
                Hash::Sha512 => "64 for SHA-512",
            };
            return Err(Error::Length { what: "the digest", expected, got: digest.len() });
        }
        Ok(Self { purpose: Purpose::Document, hash, digest: digest.to_vec() })
    }

    /// The digest of `bytes`. Only keys of the nodes alone sign it.
    pub fn of(hash: Hash, bytes: &[u8]) -> Self {
        let digest = match hash {
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
            Hash::Sha384 => Sha384::digest(bytes).to_vec(),
            Hash::Sha512 => Sha512::digest(bytes).to_vec(),
        };
        Self { purpose: Purpose::Document, hash, digest }
    }

    /// What it is from.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The hash function.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The encoded message of `bytes` bytes, big-endian: `00 01 FF..FF 00 DigestInfo`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `bytes`, the length of a modulus, leaves less than the 8 bytes of padding that RFC 8017 demands.
    pub fn encode(&self, bytes: usize) -> Result<Vec<u8>, Error> {
        let prefix = self.hash.prefix();
        let padding = bytes
            .checked_sub(prefix.len() + self.digest.len() + 3)
            .filter(|&padding| padding >= LEAST_PADDING)
            .ok_or(Error::Length { what: "the modulus", expected: "11 or more above DigestInfo", got: bytes })?;
        let mut encoded = Vec::with_capacity(bytes);
        encoded.extend([0, 1]);
        encoded.resize(2 + padding, 0xff);
        encoded.push(0);
        encoded.extend(prefix);
        encoded.extend(&self.digest);
        Ok(encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hash, Message, Purpose};
    use crate::Error;

    /// `DigestInfo` as RFC 8017 has it, in the notes of section 9.2.
    const RFC_8017: [(Hash, &str); 3] = [
        (Hash::Sha256, "3031300d060960864801650304020105000420"),
        (Hash::Sha384, "3041300d060960864801650304020205000430"),
        (Hash::Sha512, "3051300d060960864801650304020305000440"),
    ];
    /// FIPS 180 examples: digests of "abc".
    const ABC: [&str; 3] = [
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ];

    #[test]
    fn the_encoding_is_that_of_rfc_8017() {
        for ((hash, prefix), digest) in RFC_8017.into_iter().zip(ABC) {
            for bytes in [128, 256, 384, 512] {
                let padding = "ff".repeat(bytes - 3 - 19 - hash.bytes());
                let expected = format!("0001{padding}00{prefix}{digest}");
                let encoded = Message::of(hash, b"abc").encode(bytes).expect("long enough");
                assert_eq!(hex::encode(encoded), expected, "{hash}, {bytes} bytes");
            }
        }
    }

    #[test]
    fn a_modulus_has_room_for_the_padding() {
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let least = 11 + 19 + hash.bytes();
            let message = Message::of(hash, b"abc");
            assert_eq!(message.encode(least).expect("exactly").len(), least);
            for bytes in [0, 1, least - 1] {
                assert!(matches!(message.encode(bytes), Err(Error::Length { got, .. }) if got == bytes));
            }
        }
    }

    #[test]
    fn webauthn_signs_the_digest_of_authenticator_data_and_client_data_hash() {
        let (data, hash) = ([7; 37], [9; 32]);
        let signed = Message::webauthn(&data, &hash).expect("long enough");
        let document = Message::of(Hash::Sha256, &[&data[..], &hash].concat());
        assert_eq!(signed.encode(256), document.encode(256));
        assert_eq!((signed.purpose(), document.purpose()), (Purpose::Ceremony, Purpose::Document));
        let short = Message::webauthn(&data[1..], &hash).expect_err("36 bytes");
        assert_eq!(short, Error::Length { what: "authenticatorData", expected: "37 or more", got: 36 });
    }

    #[test]
    fn a_digest_has_the_length_of_its_hash_function() {
        for (hash, digest) in [Hash::Sha256, Hash::Sha384, Hash::Sha512].into_iter().zip(ABC) {
            let digest = hex::decode(digest).expect("hexadecimal");
            assert_eq!(Message::digest(hash, &digest), Ok(Message::of(hash, b"abc")));
            for wrong in [&digest[1..], &[&digest[..], &[0]].concat(), &[]] {
                let error = Message::digest(hash, wrong).expect_err("wrong length");
                assert!(matches!(error, Error::Length { got, .. } if got == wrong.len()), "{error}");
            }
        }
    }
}
