//! Tokens and keys of an issuer as functions of bytes, for the fuzzers.

use super::{Access, Claims, JwkSet, JwkSource, Jws, OidcConfig, Tokens, bearer, jwks::PublicKey};
use std::{path::PathBuf, sync::LazyLock, time::Duration};

/// A set of keys, the header of a request, or claims that are signed. The first byte says which.
pub(crate) fn read_any(bytes: &[u8]) {
    static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
        Tokens::new(OidcConfig {
            issuer: "https://login.example.org".to_owned(),
            audience: "trefoil-P1".to_owned(),
            jwks: JwkSource::File(PathBuf::from("none")),
            name_claim: "sub".to_owned(),
            max_lifetime: Duration::from_mins(15),
        })
    });
    let Some((kind, text)) = bytes.split_first() else { return };
    match kind {
        b'a' => {
            if let Ok(set) = JwkSet::read(text) {
                let forged = |key: &PublicKey| [64, 256, 512].iter().any(|n| key.verifies(text, &vec![1; *n]));
                assert!(!set.all().any(forged), "nobody has signed it");
            }
        }
        b'b' => {
            let token = std::str::from_utf8(text).ok().and_then(bearer);
            let Some(Ok(jws)) = token.map(Jws::read) else { return };
            let key = PublicKey::Ed25519(vec![7; 32]);
            assert!(jws.verify(&[key]).is_err(), "nobody has signed it");
            assert!(!super::short(jws.key_id()).contains(char::is_control));
        }
        _ => {
            if let Some(claims) = Claims::read(text) {
                let vouched = TOKENS.check(&claims, 1_800_000_000);
                let _ = vouched.and_then(|vouched| TOKENS.used(&vouched, Access::Change(1)));
            }
        }
    }
}
