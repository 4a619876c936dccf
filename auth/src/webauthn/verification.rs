//! User verification: what matching opened, for which ceremony.

use super::UserVerification;
use crate::Error;

/// The bit that matching opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bit {
    /// The probe does not match the template.
    Zero,
    /// It does.
    One,
}

/// The match bit that was opened in the session of one ceremony, which is named by the hash of its client data: challenge, origin and type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Match {
    ceremony: [u8; 32],
    bit: Bit,
}

/// Whether the flag UV is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Uv {
    Set,
    Unset,
}

impl Match {
    /// What a node opened, itself, while it served the ceremony of `client_data_hash`.
    pub fn opened(client_data_hash: [u8; 32], bit: Bit) -> Self {
        Self { ceremony: client_data_hash, bit }
    }
}

/// UV is set if and only if this ceremony's match bit opened to 1. A probe that does not match ends the ceremony, whatever the relying party asks
/// for: else a wrong biometric would still give a signature.
pub(crate) fn verify(required: UserVerification, matched: Option<&Match>, ceremony: &[u8; 32]) -> Result<Uv, Error> {
    match matched {
        Some(matched) if matched.ceremony != *ceremony => Err(Error::Foreign { what: "match", of: "ceremony" }),
        Some(matched) if matched.bit == Bit::Zero => {
            Err(Error::Verification { fault: "the biometric does not match", remedy: "take another probe" })
        }
        Some(_) => Ok(Uv::Set),
        None if required == UserVerification::Required => Err(Error::Verification {
            fault: "the relying party requires user verification and nothing was matched",
            remedy: "share a probe",
        }),
        None => Ok(Uv::Unset),
    }
}
