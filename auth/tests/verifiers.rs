//! Ceremonies with a split key, looked at by the verifiers that relying parties use: python-fido2, `py_webauthn` and @simplewebauthn/server.
//!
//! `verifiers/run` installs them from their registries into the target directory, once. If it cannot, the test fails and says so.

use std::{path::Path, process::Command};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};
use trefoil_auth::{rsa::*, webauthn::*};

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
    });
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verifiers");
    std::fs::create_dir_all(&directory).expect("the target directory is there");
    let file = directory.join("ceremonies.json");
    std::fs::write(&file, cases.to_string()).expect("it can be written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifiers/run");
    let output = Command::new(script).arg(&directory).arg(&file).output().expect("bash is there");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");

    for verifier in ["python-fido2", "py_webauthn", "@simplewebauthn/server"] {
        for ceremony in ["registration", "authentication"] {
            for name in cases[ceremony].as_object().expect("responses").keys() {
                let expected = if name == "good" { "accepted" } else { "refused" };
                let line = format!("{verifier} {ceremony} {name} {expected}");
                assert!(said.lines().any(|said| said == line), "not said: {line}\n{said}{errors}");
            }
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
