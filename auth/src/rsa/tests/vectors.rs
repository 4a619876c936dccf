//! Verification, and with it the encoding, against the vectors of Wycheproof.

use crate::rsa::{Hash, Message, PublicKey};

const VECTORS: &str = include_str!("wycheproof.txt");

fn bytes(field: &str) -> Vec<u8> {
    if field == "-" { Vec::new() } else { hex::decode(field).expect("hexadecimal") }
}

#[test]
fn signatures_of_wycheproof_are_judged_as_it_does() {
    let mut key = None;
    let (mut valid, mut invalid) = (0, 0);
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        if let Some(modulus) = line.strip_prefix("key ") {
            key = Some(PublicKey::from_modulus(&bytes(modulus)).expect("a key"));
            continue;
        }
        let [result, hash, message, signature, comment] =
            line.splitn(5, ' ').collect::<Vec<_>>().try_into().expect("five fields");
        let hash = match hash {
            "SHA-256" => Hash::Sha256,
            "SHA-384" => Hash::Sha384,
            "SHA-512" => Hash::Sha512,
            other => panic!("{other}"),
        };
        let key = key.as_ref().expect("a key comes first");
        let verifies = key.verifies(&Message::of(hash, &bytes(message)), &bytes(signature));
        // "Acceptable" is an encoding without NULL, which RFC 8017 lets a verifier take, and this one does not.
        assert_eq!(verifies, result == "valid", "{comment}");
        if verifies { valid += 1 } else { invalid += 1 }
    }
    assert_eq!((valid, invalid), VALID_AND_INVALID);
}

const VALID_AND_INVALID: (u32, u32) = (35, 254);
