//! Authenticator data (Level 3, section 6.1) and the COSE form of keys.

use super::{
    Backup, Count, CredentialId, RS256, RpId,
    attestation::{byte_string, length},
    verification::Uv,
};
use crate::{
    Error,
    rsa::{EXPONENT, PublicKey},
};

/// Flags.
const UP: u8 = 1;
const UV: u8 = 1 << 2;
const BE: u8 = 1 << 3;
const BS: u8 = 1 << 4;
const AT: u8 = 1 << 6;
const ED: u8 = 1 << 7;

/// The model of authenticator: none is claimed.
const AAGUID: [u8; 16] = [0; 16];

/// `{1: 3, 3: -257, -1: `: a key of type RSA for RS256, and then n.
const COSE_HEAD: [u8; 8] = [0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20];
/// `-2: `, and then e.
const COSE_E: u8 = 0x21;
const _: () = assert!(RS256 == -1 - 0x0100);

/// Authenticator data, as it is signed. Its bytes are made from typed parts, or read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthenticatorData {
    bytes: Vec<u8>,
}

/// The credential that the authenticator data of a registration attests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AttestedCredential {
    /// The model of authenticator; zeros if none is claimed.
    pub aaguid: [u8; 16],
    /// The credential's id.
    pub id: CredentialId,
    /// Its key.
    pub public: PublicKey,
}

impl AuthenticatorData {
    /// That of an assertion.
    pub(super) fn assertion(rp_id: &RpId, uv: Uv, backup: Backup, count: &Count) -> Self {
        let flags = match uv {
            Uv::Set => UP | UV,
            Uv::Unset => UP,
        } | match backup {
            Backup::NotEligible => 0,
            Backup::Eligible => BE,
            Backup::BackedUp => BE | BS,
        };
        let bytes = [&rp_id.hash()[..], &[flags], &count.get().to_be_bytes()].concat();
        Self { bytes }
    }

    /// That of a registration: the same, and the credential.
    pub(super) fn attesting(mut self, id: &CredentialId, public: &PublicKey) -> Self {
        if let Some(flags) = self.bytes.get_mut(FLAGS) {
            *flags |= AT;
        }
        self.bytes.extend(AAGUID);
        // An id has 1,023 bytes at most.
        self.bytes.extend((id.as_bytes().len() as u16).to_be_bytes());
        self.bytes.extend(id.as_bytes());
        self.bytes.extend(cose(&public.modulus()));
        self
    }

    /// From bytes that somebody else made, to look into them.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if they are shorter or longer than their flags say, BS is set without BE, or the key is not one of [`PublicKey`] in
    /// COSE's canonical form for RS256.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let data = Self { bytes: bytes.into() };
        if bytes.len() < FIXED {
            return Err(malformed("it is shorter than its fixed fields, 37 bytes"));
        }
        if data.has(BS) && !data.has(BE) {
            return Err(malformed("it is backed up (BS) but cannot be (BE)"));
        }
        let rest = match data.parse_attested()? {
            Some((_, rest)) => rest,
            None => bytes.get(FIXED..).unwrap_or_default(),
        };
        // Extensions are a CBOR map. Nothing here has any, so they are not looked into.
        match (data.has(ED), rest.first()) {
            (false, None) | (true, Some(0xa0..=0xbb)) => Ok(data),
            (false, Some(_)) => Err(malformed("bytes follow that its flags do not announce")),
            (true, _) => Err(malformed("its flags announce extensions (ED), and no map follows")),
        }
    }

    /// The bytes that are signed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the relying party's id.
    pub fn rp_id_hash(&self) -> [u8; 32] {
        self.bytes.first_chunk().copied().unwrap_or_default()
    }

    /// Whether the user was present (UP).
    pub fn user_present(&self) -> bool {
        self.has(UP)
    }

    /// Whether the user was verified (UV).
    pub fn user_verified(&self) -> bool {
        self.has(UV)
    }

    /// Whether the credential outlives its device (BE, BS).
    pub fn backup(&self) -> Backup {
        match (self.has(BE), self.has(BS)) {
            (false, _) => Backup::NotEligible,
            (true, false) => Backup::Eligible,
            (true, true) => Backup::BackedUp,
        }
    }

    /// The signature counter.
    pub fn sign_count(&self) -> u32 {
        let count = self.bytes.get(FLAGS + 1..FIXED).and_then(|bytes| bytes.first_chunk().copied());
        u32::from_be_bytes(count.unwrap_or_default())
    }

    /// The credential, if there is one (AT).
    ///
    /// # Errors
    ///
    /// As [`Self::decode`]; never for data that was decoded or made here.
    pub fn attested(&self) -> Result<Option<AttestedCredential>, Error> {
        Ok(self.parse_attested()?.map(|(credential, _)| credential))
    }

    fn has(&self, flag: u8) -> bool {
        self.bytes.get(FLAGS).is_some_and(|flags| flags & flag != 0)
    }

    fn parse_attested(&self) -> Result<Option<(AttestedCredential, &[u8])>, Error> {
        if !self.has(AT) {
            return Ok(None);
        }
        let short = || malformed("it ends within the credential that its flags announce (AT)");
        let rest = self.bytes.get(FIXED..).ok_or_else(short)?;
        let (aaguid, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (id, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or_else(short)?;
        let (public, rest) = read_cose(rest)?;
        Ok(Some((AttestedCredential { aaguid: *aaguid, id: CredentialId::new(id)?, public }, rest)))
    }
}

/// The COSE form of an RS256 key (RFC 8230, section 4; RFC 8812).
pub(super) fn cose(modulus: &[u8]) -> Vec<u8> {
    let mut bytes = COSE_HEAD.to_vec();
    byte_string(&mut bytes, modulus);
    bytes.push(COSE_E);
    byte_string(&mut bytes, &EXPONENT);
    bytes
}

/// Reads the exact bytes that [`cose`] writes, and returns what follows.
pub(super) fn read_cose(bytes: &[u8]) -> Result<(PublicKey, &[u8]), Error> {
    let wrong = || malformed("its key is not an RS256 key with e = 65537 in canonical CBOR");
    let rest = bytes.strip_prefix(&COSE_HEAD).ok_or_else(wrong)?;
    for size in [256, 384, 512] {
        let mut head = Vec::new();
        length(&mut head, 0x40, size);
        let Some((modulus, rest)) = rest.strip_prefix(&head[..]).and_then(|rest| rest.split_at_checked(size)) else {
            continue;
        };
        let mut tail = vec![COSE_E];
        byte_string(&mut tail, &EXPONENT);
        let rest = rest.strip_prefix(&tail[..]).ok_or_else(wrong)?;
        return Ok((PublicKey::from_modulus(modulus)?, rest));
    }
    Err(wrong())
}

/// Where the flags are.
const FLAGS: usize = 32;
/// Hash of the relying party's id, flags, counter.
const FIXED: usize = FLAGS + 1 + 4;

fn malformed(fault: &'static str) -> Error {
    Error::Malformed { what: "authenticator data", fault }
}
