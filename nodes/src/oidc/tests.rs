//! Tokens of an issuer of our own, and those that intruders make.

use super::*;
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tempfile::TempDir;
use trefoil_engine::Party;

const ISSUER: &str = "https://login.example.org";
const AUDIENCE: &str = "trefoil-P1";

/// An issuer with a key of each kind, whose set is in a file.
struct Issuer {
    dir: TempDir,
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

impl Issuer {
    fn new() -> Self {
        let issuer = Self {
            dir: tempfile::tempdir().expect("a directory"),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
            ed25519: Ed25519KeyPair::generate().expect("a key"),
        };
        issuer.publish("");
        issuer
    }

    /// Writes the set; names of keys get this at their end.
    fn publish(&self, end: &str) {
        let point = self.p256.public_key().as_ref();
        let set = json!({"keys": [
            {"kty": "RSA", "kid": format!("rsa{end}"), "use": "sig", "n": text(self.modulus()), "e": "AQAB"},
            {"kty": "EC", "crv": "P-256", "kid": format!("p256{end}"), "x": text(&point[1..33]), "y": text(&point[33..])},
            {"kty": "OKP", "crv": "Ed25519", "kid": format!("ed{end}"), "x": text(self.ed25519.public_key()), "alg": "EdDSA"},
            {"kty": "RSA", "kid": "other-use", "use": "enc", "n": text(self.modulus()), "e": "AQAB"},
            {"kty": "oct", "kid": "secret", "k": text("secret")},
        ]});
        fs::write(self.file(), set.to_string()).expect("written");
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("jwks.json")
    }

    fn modulus(&self) -> Vec<u8> {
        // RSAPublicKey in DER: two headers of four bytes, a zero, and 256 bytes of the modulus.
        self.rsa.public_key().as_ref()[9..265].to_vec()
    }

    fn tokens(&self) -> Tokens {
        let file = OidcFile {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            jwks: self.file().to_str().expect("UTF-8").to_owned(),
            jwks_ca: None,
            name_claim: "sub".to_owned(),
            max_lifetime: Duration::from_mins(15),
        };
        Tokens::new(file.resolve(Party::P1, Path::to_owned).expect("good"))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match header["alg"].as_str() {
            Some("RS256") => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("signed");
                signature
            }
            Some("ES256") => self.p256.sign(&random, signed.as_bytes()).expect("signed").as_ref().to_vec(),
            Some("EdDSA") => self.ed25519.sign(signed.as_bytes()).as_ref().to_vec(),
            _ => Vec::new(),
        };
        format!("{signed}.{}", text(signature))
    }

    fn es256(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "kid": "p256"}), claims)
    }
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now_unix_s(), "exp": now_unix_s() + 300, "jti": "1"})
}

fn with(changes: &[(&str, Value)]) -> Value {
    let mut claims = claims();
    for (claim, value) in changes {
        claims[*claim] = value.clone();
    }
    claims
}

async fn call(tokens: &Tokens, token: &str) -> Result<String, String> {
    let caller = tokens.caller(Some(&format!("Bearer {token}"))).await;
    caller.map(|vouched| vouched.name.to_string()).map_err(|e| e.to_string())
}

#[tokio::test]
async fn a_token_of_each_algorithm_gives_a_name_that_no_certificate_has() {
    let issuer = Issuer::new();
    let tokens = issuer.tokens();
    for (algorithm, key) in [("RS256", "rsa"), ("ES256", "p256"), ("EdDSA", "ed")] {
        let token = issuer.sign(&json!({"alg": algorithm, "kid": key, "typ": "JWT"}), &claims());
        assert_eq!(call(&tokens, &token).await, Ok("oidc:alice".to_owned()), "{algorithm}");
    }
    let good = issuer.es256(&claims());
    for header in [None, Some(good.as_str()), Some("Basic YTpi"), Some("Bearer "), Some("Bearer")] {
        let refused = tokens.caller(header).await.expect_err("no token").to_string();
        assert!(refused.contains("Authorization: Bearer") && refused.contains(ISSUER), "{refused}");
    }
    // One audience in a list is the same, and so are clocks that differ a little.
    let late =
        with(&[("aud", json!([AUDIENCE])), ("exp", json!(now_unix_s() - 30)), ("nbf", json!(now_unix_s() + 30))]);
    assert!(call(&tokens, &issuer.es256(&late)).await.is_ok());
}

#[tokio::test]
async fn what_the_issuer_has_not_signed_is_refused() {
    let issuer = Issuer::new();
    let tokens = issuer.tokens();
    let header = |algorithm: &str, key: &str| json!({"alg": algorithm, "kid": key});
    // The key that everybody knows, taken for a secret.
    let signed = format!("{}.{}", text(header("HS256", "rsa").to_string()), text(claims().to_string()));
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &issuer.modulus());
    let confused = format!("{signed}.{}", text(aws_lc_rs::hmac::sign(&secret, signed.as_bytes())));
    let good = issuer.es256(&claims());
    let (start, signature) = good.rsplit_once('.').expect("three parts");
    let (head, _) = start.split_once('.').expect("three parts");
    let mallory = text(with(&[("sub", json!("mallory"))]).to_string());
    for (token, why) in [
        (issuer.sign(&header("none", "p256"), &claims()), "algorithm is `none`"),
        (issuer.sign(&header("None", "p256"), &claims()), "algorithm is `None`"),
        (confused, "algorithm is `HS256`"),
        (issuer.sign(&header("HS256", "secret"), &claims()), "no key `secret`"),
        (issuer.sign(&header("RS256", "other-use"), &claims()), "no key `other-use`"),
        (issuer.sign(&header("ES256", "p257"), &claims()), "no key `p257`"),
        (issuer.sign(&header("ES256", "rsa"), &claims()), "algorithm is `ES256`"),
        (issuer.sign(&json!({"alg": "ES256"}), &claims()), "names no key"),
        (issuer.sign(&json!({"alg": "ES256", "kid": "p256", "crit": ["x"]}), &claims()), "has `crit`"),
        (Issuer::new().es256(&claims()), "signature is not right"),
        (format!("{head}.{mallory}.{signature}"), "signature is not right"),
        (format!("{start}."), "signature is not right"),
        (start.to_owned(), "one dot"),
        ("x".to_owned(), "no dots"),
        (format!("{start}.{signature}="), "not base64url"),
        ("a".repeat(MAX_TOKEN + 1), "too long"),
        (issuer.es256(&json!(["sub"])), "no JSON object"),
    ] {
        let refused = call(&tokens, &token).await.expect_err(why);
        assert!(refused.contains(why), "{refused}, not {why}");
    }
}

#[tokio::test]
async fn what_is_signed_for_others_or_for_too_long_is_refused() {
    let issuer = Issuer::new();
    let tokens = issuer.tokens();
    for (changes, why) in [
        (vec![("iss", json!("https://other.example.org"))], "claim iss"),
        (vec![("aud", json!("trefoil-P0"))], "claim aud"),
        (vec![("aud", json!([AUDIENCE, "trefoil-P0"]))], "and that alone"),
        (vec![("aud", json!([AUDIENCE, 7]))], "and that alone"),
        (vec![("aud", Value::Null)], "claim aud"),
        (vec![("exp", json!(now_unix_s() - 61))], "claim exp: is past"),
        (vec![("exp", json!("soon"))], "claim exp: is no time"),
        (vec![("exp", json!(now_unix_s() + 901))], "more than 15m after iat"),
        (vec![("exp", json!(1e300))], "claim exp: is no time"),
        (vec![("iat", Value::Null)], "claim iat"),
        (vec![("iat", json!(now_unix_s() + 90)), ("exp", json!(now_unix_s() + 100))], "claim iat: is in the future"),
        (vec![("nbf", json!(now_unix_s() + 90))], "claim nbf"),
        (vec![("nbf", json!("x"))], "claim nbf"),
        (vec![("sub", json!("alice@example.org"))], "claim sub: is no name"),
        (vec![("sub", json!("oidc:alice"))], "claim sub: is no name"),
        (vec![("sub", json!("x".repeat(60)))], "claim sub: is no name"),
        (vec![("sub", json!(7))], "claim sub: is no text"),
    ] {
        let refused = call(&tokens, &issuer.es256(&with(&changes))).await.expect_err(why);
        assert!(refused.contains(why), "{refused}, not {why}");
    }
}

#[tokio::test]
async fn a_token_changes_something_on_one_connection_only() {
    let issuer = Issuer::new();
    let tokens = issuer.tokens();
    let change = async |token: &str, connection| {
        let vouched = tokens.caller(Some(&format!("bearer {token}"))).await?;
        tokens.used(&vouched, Access::Change(connection))
    };
    let token = issuer.es256(&claims());
    for _ in 0..2 {
        change(&token, 1).await.expect("the first connection");
    }
    assert_eq!(change(&token, 2).await, Err(TokenFault::Replayed));
    assert!(call(&tokens, &token).await.is_ok(), "it looks");
    // The number counts, not the text.
    let again = issuer.sign(&json!({"alg": "RS256", "kid": "rsa"}), &claims());
    assert_eq!(change(&again, 2).await, Err(TokenFault::Replayed));
    change(&issuer.es256(&with(&[("jti", json!("2"))])), 2).await.expect("another token");
    let none = change(&issuer.es256(&with(&[("jti", Value::Null)])), 2).await.expect_err("no number").to_string();
    assert!(none.contains("claim jti"), "{none}");
}

#[tokio::test]
async fn keys_are_asked_for_again_and_not_for_every_token() {
    let issuer = Issuer::new();
    let tokens = issuer.tokens();
    let token = issuer.es256(&claims());
    assert!(call(&tokens, &token).await.is_ok());
    issuer.publish("-new");
    let new = issuer.sign(&json!({"alg": "ES256", "kid": "p256-new"}), &claims());
    // It was a moment ago that they were read.
    assert!(call(&tokens, &new).await.expect_err("not yet").contains("no key `p256-new`"));
    assert!(call(&tokens, &token).await.is_ok());
    let none = issuer.tokens();
    fs::write(issuer.file(), "{}").expect("written");
    assert!(call(&none, &token).await.expect_err("no keys").contains("cannot be read now"));
    fs::write(issuer.file(), "x".repeat(1 << 17)).expect("written");
    assert!(call(&issuer.tokens(), &token).await.expect_err("too large").contains("cannot be read now"));
}

#[test]
fn the_configuration_keeps_nodes_apart() {
    let file = OidcFile {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks: "jwks.json".to_owned(),
        jwks_ca: None,
        name_claim: "sub".to_owned(),
        max_lifetime: Duration::from_mins(15),
    };
    let resolve = |file: OidcFile, party| file.resolve(party, |path| Path::new("/etc").join(path));
    let good = resolve(file.clone(), Party::P1).expect("good");
    assert_eq!(good.jwks, JwkSource::File("/etc/jwks.json".into()));
    assert!(resolve(file.clone(), Party::P2).expect_err("of P1").contains("end in P2"));
    for (jwks, why) in [("https://a.example/jwks", "oidc.jwks_ca"), ("http://a.example/jwks", "begins with https://")] {
        let refused = resolve(OidcFile { jwks: jwks.to_owned(), ..file.clone() }, Party::P1).expect_err(jwks);
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn keys_of_one_name_are_told_apart_by_their_algorithms() {
    let (x, y) = (text([1; 32]), text([2; 32]));
    let p256 = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y});
    let ed25519 = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x});
    let read = |keys: &[&serde_json::Value]| JwkSet::read(json!({"keys": keys}).to_string().as_bytes());
    read(&[&p256, &ed25519]).expect("each is for another algorithm");
    assert!(read(&[&p256, &ed25519, &p256]).expect_err("which one?").contains("two keys for ES256"));
}
