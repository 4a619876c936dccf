//! Tokens and keys, against what the standards print, and against another implementation of RSA.

use super::*;
use crate::{
    rsa::{Hash, KeySize, NodeKey, NodeSigner, PrivateKey, combine, randomness},
    webauthn::Bit,
};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use std::sync::LazyLock;

const NOW: u64 = 1_800_000_000;
const EXPECTED: Expected<'_> =
    Expected { issuer: "https://login.example.org", audience: "shop", nonce: "n-0S6_WzA2Mj", now: NOW + 10 };

/// Making keys takes time.
static KEY: LazyLock<(PublicKey, [NodeKey; 3])> = LazyLock::new(|| {
    let mut rng = randomness().expect("randomness");
    let key = PrivateKey::generate(KeySize::Rsa2048, &mut rng).expect("a key");
    (key.public().clone(), key.split_among_nodes(&mut rng))
});

fn claims() -> Claims {
    let request = Request { audience: EXPECTED.audience, nonce: EXPECTED.nonce, id: "5f0a" };
    Claims::new(EXPECTED.issuer, "u-1041", request, Times { issued: NOW, lifetime: 300 }).expect("claims")
}

fn sign(message: &Message) -> Vec<u8> {
    let mut rng = randomness().expect("randomness");
    let (public, nodes) = &*KEY;
    let parts = [&nodes[1], &nodes[2]].map(|node| NodeSigner::new(node).sign(message, &mut rng).expect("a part"));
    combine(public, message, None, &parts).expect("a signature").signature
}

fn token() -> String {
    let (claims, public) = (claims(), &KEY.0);
    let token = Token::begin(&claims, public, &Match::opened(claims.ceremony(), Bit::One)).expect("allowed");
    let signature = sign(&token.message());
    token.finish(&signature).expect("it verifies")
}

fn keys() -> Jwks {
    Jwks { keys: vec![Jwk::of(&KEY.0)] }
}

/// Signed by the right key, whatever it says.
fn forged(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| Bytes(part.to_string().into_bytes()).to_base64url());
    let input = format!("{header}.{claims}");
    let signature = sign(&Message::of(Hash::Sha256, input.as_bytes()));
    format!("{input}.{}", Bytes(signature).to_base64url())
}

#[test]
fn the_thumbprint_is_that_of_rfc_7638() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let n = Base64UrlUnpadded::decode_vec(n).expect("base64url");
    let key = Jwk::of(&PublicKey::from_modulus(&n).expect("a modulus"));
    assert_eq!(key.kid, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let written = serde_json::to_value(&key).expect("JSON");
    assert_eq!((&written["kty"], &written["use"], &written["e"]), (&json!("RSA"), &json!("sig"), &json!("AQAB")));
    let read: Jwk = serde_json::from_value(written).expect("what was written");
    assert_eq!(read.public().expect("a key").modulus(), n);
    let renamed = Jwk { kid: "1".to_owned(), ..read.clone() };
    let other = Jwk { e: Bytes(vec![3]), ..read };
    assert!(renamed.public().is_err() && other.public().is_err());
}

#[test]
fn a_token_is_what_another_implementation_verifies() {
    let token = token();
    assert_eq!(verify(&token, &keys(), EXPECTED).expect("good"), claims());
    let (input, signature) = token.rsplit_once('.').expect("three parts");
    let modulus = KEY.0.modulus();
    let key = RsaPublicKeyComponents { n: modulus.as_slice(), e: [1, 0, 1].as_slice() };
    let signature = Base64UrlUnpadded::decode_vec(signature).expect("base64url");
    key.verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &signature).expect("RS256");
    let (header, claims) = input.split_once('.').expect("two parts");
    let [header, claims] = [header, claims].map(|part| read::<Value>(part).expect("JSON"));
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": Jwk::of(&KEY.0).kid}));
    let due = json!({"iss": "https://login.example.org", "sub": "u-1041", "aud": "shop", "iat": NOW, "exp": NOW + 300, "auth_time": NOW,
        "nonce": "n-0S6_WzA2Mj", "jti": "5f0a", "amr": ["bio"]});
    assert_eq!(claims, due);
}

#[test]
fn what_is_not_for_this_login_is_refused() {
    let token = token();
    let refused = |token: &str, expected| {
        assert!(matches!(verify(token, &keys(), expected), Err(Error::Token { .. })), "{token}");
    };
    refused(&token, Expected { issuer: "https://login.example.com", ..EXPECTED });
    refused(&token, Expected { audience: "other", ..EXPECTED });
    refused(&token, Expected { nonce: "n-0S6_WzA2Mk", ..EXPECTED });
    refused(&token, Expected { now: NOW + 300, ..EXPECTED });
    refused(&token, Expected { now: NOW - CLOCKS_APART - 1, ..EXPECTED });
    assert!(verify(&token, &Jwks::default(), EXPECTED).is_err());
    for at in 0..token.len() {
        // The last character of each part has bits that are not used: they have to be zero.
        let changed = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        refused(&format!("{}{changed}{}", &token[..at], &token[at + 1..]), EXPECTED);
    }
    for other in ["", "..", &token[1..], &format!("{token}."), &format!("{token}="), &format!("{token}\n")] {
        refused(other, EXPECTED);
    }
}

/// The key that signs would be right: what it says is not.
#[test]
fn other_headers_and_claims_are_refused_however_they_are_signed() {
    let (header, good) = (
        json!({"alg": "RS256", "typ": "JWT", "kid": Jwk::of(&KEY.0).kid}),
        serde_json::to_value(claims()).expect("JSON"),
    );
    verify(&forged(&header, &good), &keys(), EXPECTED).expect("the same as a token");
    for (member, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("typ", json!("at+jwt")),
        ("kid", json!("1")),
        ("crit", json!(["b64"])),
    ] {
        let mut header = header.clone();
        header[member] = value;
        assert!(verify(&forged(&header, &good), &keys(), EXPECTED).is_err(), "{header}");
    }
    for (member, value) in [
        ("exp", json!(NOW + LONGEST_LIFETIME + 1)),
        ("exp", json!(NOW)),
        ("exp", json!("soon")),
        ("auth_time", json!(NOW - 1)),
        ("amr", json!(["pwd"])),
        ("amr", json!([])),
        ("sub", json!("")),
        ("aud", json!(["shop", "other"])),
        ("nbf", json!(NOW)),
    ] {
        let mut claims = good.clone();
        claims[member] = value;
        assert!(verify(&forged(&header, &claims), &keys(), EXPECTED).is_err(), "{claims}");
    }
}

#[test]
fn nothing_is_signed_without_a_match_for_this_very_request() {
    let (claims, public) = (claims(), &KEY.0);
    let zero = Token::begin(&claims, public, &Match::opened(claims.ceremony(), Bit::Zero));
    assert!(matches!(zero, Err(Error::Verification { .. })));
    for other in [
        Claims { aud: "other".to_owned(), ..claims.clone() },
        Claims { sub: "u-1042".to_owned(), ..claims.clone() },
        Claims { nonce: "n-0S6_WzA2Mk".to_owned(), ..claims.clone() },
        Claims { iss: "https://login.example.com".to_owned(), ..claims.clone() },
    ] {
        let foreign = Token::begin(&claims, public, &Match::opened(other.ceremony(), Bit::One));
        assert!(matches!(foreign, Err(Error::Foreign { .. })));
    }
    for issuer in [
        "http://login.example.org",
        "https://login",
        "https://login.example.org/?a=b",
        "https://a@login.example.org",
        "",
    ] {
        assert!(check_issuer(issuer).is_err(), "{issuer}");
    }
    check_issuer("https://login.example.org:8443/bank/1").expect("an address");
    for nonce in ["short", "with space", "", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", &"n".repeat(256)] {
        let request = Request { audience: "shop", nonce, id: "5f0a" };
        assert!(Claims::new(EXPECTED.issuer, "u", request, Times { issued: NOW, lifetime: 300 }).is_err(), "{nonce}");
    }
}

/// A key with a device signs ceremonies alone.
#[test]
fn a_key_of_a_device_signs_no_token() {
    let mut rng = randomness().expect("randomness");
    let nodes = PrivateKey::generate(KeySize::Rsa1024, &mut rng).expect("a key").split(&mut rng).nodes;
    let signed = NodeSigner::new(&nodes[0]).sign(&Message::token("a.b"), &mut rng);
    assert!(matches!(signed, Err(Error::Purpose)));
}
