//! Forms against vectors that other implementations made, and the rules.

mod forms;
mod rules;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::Value;

use super::*;
use crate::rsa::PublicKey;

/// What a platform authenticator with RSA keys made, from the tests of `py_webauthn`; the file says where it is from.
fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(value.as_str().expect("text")).expect("base64url")
}

/// The key of the vectors' assertion.
fn public() -> PublicKey {
    let key = bytes(&vectors()["assertion"]["publicKey"]);
    let (public, rest) = data::read_cose(&key).expect("canonical");
    assert!(rest.is_empty());
    public
}

fn page(origin: &str) -> Client {
    Client::page(Origin::parse(origin, Hosts::AndLocalhost).expect("an origin"))
}

/// A credential for example.org.
fn credential(id: u8, discoverable: Discoverable) -> Credential {
    Credential {
        id: CredentialId::new(&[id; 32]).expect("32 bytes"),
        rp_id: RpId::of(None, &page("https://example.org").origin).expect("its own"),
        user: vec![9; 16],
        public: public(),
        discoverable,
        backup: Backup::NotEligible,
    }
}

fn creation(members: &str) -> CreationOptions {
    let json = format!(
        r#"{{"rp": {{"name": "Example"}}, "user": {{"id": "CQkJ", "name": "a", "displayName": "A"}}, "challenge": "AAECAwQFBgcICQoLDA0ODw",
            "pubKeyCredParams": [{{"type": "public-key", "alg": -7}}, {{"type": "public-key", "alg": -257}}]{members}}}"#
    );
    CreationOptions::from_json(&json).expect("options")
}

fn request(members: &str) -> RequestOptions {
    RequestOptions::from_json(&format!(r#"{{"challenge": "AAECAwQFBgcICQoLDA0ODw"{members}}}"#)).expect("options")
}

fn count() -> Count {
    SignatureCounter::default().advance().expect("the first")
}

fn new() -> NewCredential {
    let id = CredentialId::new(&[1; 32]).expect("32 bytes");
    NewCredential { id, public: public(), backup: Backup::NotEligible, count: count() }
}
