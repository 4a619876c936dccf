//! Ceremonies and tokens with a split key, looked at by the verifiers that relying parties use: python-fido2, `py_webauthn` and @simplewebauthn/server, and for tokens `PyJWT` and jose.
//!
//! `verifiers/run` installs them from their registries into the target directory, once. If it cannot, the test fails and says so.

use std::{
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};
use trefoil_auth::{rsa::*, token::*, webauthn::*};

const ORIGIN: &str = "https://login.example.org";
const RP_ID: &str = "example.org";
const CHALLENGE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

#[test]
#[ignore = "installs the verifiers from PyPI and npm: `cargo test -p trefoil-auth --test verifiers -- --ignored`"]
fn verifiers_accept_what_a_split_key_signs_and_nothing_that_was_changed() {
    let (registration, authentication) = ceremonies();
    let cases = json!({
        "origin": ORIGIN, "rpId": RP_ID, "challenge": CHALLENGE,
        "registration": with_changes(&registration, "attestationObject"),
        "authentication": with_changes(&authentication, "authenticatorData"),
        "token": tokens(),
    });
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verifiers");
    std::fs::create_dir_all(&directory).expect("the target directory is there");
    let file = directory.join("ceremonies.json");
    std::fs::write(&file, cases.to_string()).expect("it can be written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifiers/run");
    let output = Command::new(script).arg(&directory).arg(&file).output().expect("bash is there");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");

    let verdict = |verifier: &str, what: &str, name: &str| {
        let expected = if name == "good" { "accepted" } else { "refused" };
        let line = format!("{verifier} {what} {name} {expected}");
        assert!(said.lines().any(|said| said == line), "not said: {line}\n{said}{errors}");
    };
    for verifier in ["python-fido2", "py_webauthn", "@simplewebauthn/server"] {
        for ceremony in ["registration", "authentication"] {
            for name in cases[ceremony].as_object().expect("responses").keys() {
                verdict(verifier, ceremony, name);
            }
        }
    }
    for verifier in ["PyJWT", "jose"] {
        for name in cases["token"]["tokens"].as_object().expect("tokens").keys() {
            verdict(verifier, "token", name);
        }
    }
}

/// A registration with packed attestation and a login, both signed by the device and two nodes.
fn ceremonies() -> (Value, Value) {
    let mut rng = randomness().expect("the system's");
    let Split { device, nodes, .. } =
        PrivateKey::generate(KeySize::Rsa2048, &mut rng).expect("primes are found").split(&mut rng);
    let public = device.public().clone();
    let (mut device, mut first, mut second) =
        (DeviceSigner::new(&device), NodeSigner::new(&nodes[0]), NodeSigner::new(&nodes[2]));
    let mut sign = |message: &Message| {
        let part = device.sign(message, &mut rng).expect("a ceremony");
        let replies = [first.sign(message, &mut rng).expect("of it"), second.sign(message, &mut rng).expect("of it")];
        combine(&public, message, Some(&part), &replies).expect("all are right").signature
    };
    let client = Client::page(Origin::parse(ORIGIN, Hosts::Public).expect("an origin"));
    let mut counter = SignatureCounter::default();

    let options = CreationOptions::from_json(
        &json!({
            "rp": {"id": RP_ID, "name": "Example"}, "user": {"id": "CQkJCQ", "name": "a", "displayName": "A"}, "challenge": CHALLENGE,
            "pubKeyCredParams": [{"type": "public-key", "alg": -257}], "attestation": "direct",
            "authenticatorSelection": {"residentKey": "required", "userVerification": "required"},
        })
        .to_string(),
    )
    .expect("options");
    let matched = Match::opened(ClientData::create(&options, &client).expect("a challenge").hash(), Bit::One);
    let new = NewCredential {
        id: CredentialId::new(&[0xc1; 32]).expect("32 bytes"),
        public: public.clone(),
        backup: Backup::NotEligible,
        count: counter.advance().expect("the first"),
    };
    let registration = Registration::begin(&options, &client, new, &[], Some(&matched)).expect("all is met");
    let signature = sign(&registration.message().expect("complete"));
    let (credential, registered) = registration.finish_attested(&signature).expect("it verifies");

    let options = RequestOptions::from_json(
        &json!({"challenge": CHALLENGE, "rpId": RP_ID, "userVerification": "required"}).to_string(),
    )
    .expect("options");
    let matched = Match::opened(ClientData::get(&options, &client).expect("a challenge").hash(), Bit::One);
    let count = counter.advance().expect("the second");
    let assertion = Assertion::begin(&options, &client, &credential, count, Some(&matched)).expect("all is met");
    let signature = sign(&assertion.message().expect("complete"));
    let response = assertion.finish(&signature).expect("it verifies");
    let read = |json: String| serde_json::from_str(&json).expect("JSON");
    (read(registered.to_json().expect("JSON")), read(response.to_json().expect("JSON")))
}

/// Tokens that two nodes have signed, the keys, and what a relying party asks for. All but `good` are to be refused.
fn tokens() -> Value {
    let mut rng = randomness().expect("the system's");
    let key = PrivateKey::generate(KeySize::Rsa2048, &mut rng).expect("primes are found");
    let (public, nodes) = (key.public().clone(), key.split_among_nodes(&mut rng));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let (issuer, audience, nonce) = ("https://login.example.org", "shop", "n-0S6_WzA2Mj");
    let mut issue = |issuer, audience, nonce, issued| {
        let request = Request { audience, nonce, id: "5f0a" };
        let claims = Claims::new(issuer, "u-1041", request, Times { issued, lifetime: 300 }).expect("claims");
        let token = Token::begin(&claims, &public, &Match::opened(claims.ceremony(), Bit::One)).expect("all is met");
        let message = token.message();
        let parts = [&nodes[0], &nodes[2]].map(|node| NodeSigner::new(node).sign(&message, &mut rng).expect("a part"));
        token.finish(&combine(&public, &message, None, &parts).expect("all are right").signature).expect("it verifies")
    };
    let good = issue(issuer, audience, nonce, now);
    let mut tokens = Map::new();
    tokens.insert("issuer".into(), issue("https://login.example.com", audience, nonce, now).into());
    tokens.insert("audience".into(), issue(issuer, "portal", nonce, now).into());
    tokens.insert("nonce".into(), issue(issuer, audience, "n-0S6_WzA2Mk", now).into());
    tokens.insert("expired".into(), issue(issuer, audience, nonce, now - 3000).into());
    let parts: Vec<&str> = good.split('.').collect();
    let text = |part: &str| String::from_utf8(Base64UrlUnpadded::decode_vec(part).expect("base64url")).expect("JSON");
    let encode = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    for (name, from, to) in [
        ("user", "u-1041", "u-1042"),
        ("time", "\"exp\":1", "\"exp\":2"),
        ("method", "[\"bio\"]", "[\"pwd\"]"),
        ("number", "5f0a", "5f0b"),
    ] {
        let claims = text(parts[1]);
        assert!(claims.contains(from), "{name} is there");
        let changed = format!("{}.{}.{}", parts[0], encode(&claims.replacen(from, to, 1)), parts[2]);
        tokens.insert(name.into(), changed.into());
    }
    let unsigned = encode(&text(parts[0]).replacen("RS256", "none", 1));
    tokens.insert("unsigned".into(), format!("{unsigned}.{}.", parts[1]).into());
    let renamed = encode(&text(parts[0]).replacen("\"kid\":\"", "\"kid\":\"x", 1));
    tokens.insert("key".into(), format!("{renamed}.{}.{}", parts[1], parts[2]).into());
    let mut signature = Base64UrlUnpadded::decode_vec(parts[2]).expect("base64url");
    signature[100] ^= 1;
    let changed = format!("{}.{}.{}", parts[0], parts[1], Base64UrlUnpadded::encode_string(&signature));
    tokens.insert("signature".into(), changed.into());
    tokens.insert("good".into(), good.into());
    let keys = Jwks { keys: vec![Jwk::of(&public)] };
    json!({"issuer": issuer, "audience": audience, "nonce": nonce, "keys": keys, "tokens": tokens})
}

/// `good`, and it with each field changed that is signed or that a verifier compares. `data` names the member that has the authenticator data.
fn with_changes(good: &Value, data: &str) -> Value {
    let mut cases = Map::from_iter([("good".to_string(), good.clone())]);
    let text = String::from_utf8(bytes(&good["response"]["clientDataJSON"])).expect("JSON");
    for (name, from, to) in [
        ("type", "\"webauthn.", "\"webauthn_"),
        ("challenge", "AAECAw", "AAECBA"),
        ("origin", "https://login.", "https://logim."),
        ("crossOrigin", "false", "true"),
        ("clientData", "}", ",\"more\":1}"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{name} is there");
        cases.insert(name.into(), replaced(good, "clientDataJSON", changed.as_bytes()));
    }
    let whole = bytes(&good["response"][data]);
    let own = bytes(&good["response"]["authenticatorData"]);
    let start = whole.len() - own.len();
    let mut fields = vec![("rpIdHash", 0), ("userPresent", 32), ("signCount", 36)];
    if own.len() > 37 {
        let key = 37 + 16 + 2 + 32;
        fields.extend([("aaguid", 37), ("credentialId", 55), ("keyAlgorithm", key + 6), ("modulus", key + 50)]);
        fields.push(("exponent", own.len() - 1));
    }
    for (name, at) in fields {
        cases.insert(name.into(), flipped(good, data, start + at, 1));
    }
    cases.insert("userVerified".into(), flipped(good, data, start + 32, 4));
    cases.insert("backup".into(), flipped(good, data, start + 32, 24));
    if data == "attestationObject" {
        let sig = whole.windows(6).position(|window| window == *b"\x63sig\x59\x01").expect("a signature") + 7;
        cases.insert("signature".into(), flipped(good, data, sig + 100, 1));
        cases.insert("statementAlgorithm".into(), flipped(good, data, sig - 8, 1));
    } else {
        cases.insert("signature".into(), flipped(good, "signature", 100, 1));
    }
    Value::Object(cases)
}

fn flipped(response: &Value, member: &str, at: usize, mask: u8) -> Value {
    let mut changed = bytes(&response["response"][member]);
    changed[at] ^= mask;
    replaced(response, member, &changed)
}

fn replaced(response: &Value, member: &str, bytes: &[u8]) -> Value {
    let mut changed = response.clone();
    changed["response"][member] = Base64UrlUnpadded::encode_string(bytes).into();
    changed
}

fn bytes(value: &Value) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(value.as_str().expect("text")).expect("base64url")
}
