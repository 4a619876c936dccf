//! Attestation objects (Level 3, section 6.5), in the canonical CBOR of CTAP2.

use super::AuthenticatorData;

/// How a registration is attested.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attestation {
    /// Not at all (section 8.7).
    None,
    /// By the credential's own key: `packed` without certificates (section 8.2).
    PackedSelf,
}

/// `{"fmt": "none", "attStmt": {}, "authData": data}`.
pub(super) fn none(data: &AuthenticatorData) -> Vec<u8> {
    let mut bytes = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData".to_vec();
    byte_string(&mut bytes, data.as_bytes());
    bytes
}

/// `{"fmt": "packed", "attStmt": {"alg": -257, "sig": signature}, "authData": data}`.
pub(super) fn packed(data: &AuthenticatorData, signature: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xa3\x63fmt\x66packed\x67attStmt\xa2\x63alg\x39\x01\x00\x63sig".to_vec();
    byte_string(&mut bytes, signature);
    bytes.extend(b"\x68authData");
    byte_string(&mut bytes, data.as_bytes());
    bytes
}

/// A byte string.
pub(super) fn byte_string(bytes: &mut Vec<u8>, content: &[u8]) {
    length(bytes, 0x40, content.len());
    bytes.extend(content);
}

/// The head of a major type with a length, in the shortest form. What is written here is shorter than 2^16 bytes: an id of 1,023, a key, a signature.
pub(super) fn length(bytes: &mut Vec<u8>, major: u8, length: usize) {
    match length {
        0..=23 => bytes.push(major | length as u8),
        24..=0xff => bytes.extend([major | 0x18, length as u8]),
        _ => {
            bytes.push(major | 0x19);
            bytes.extend((length as u16).to_be_bytes());
        }
    }
}
