//! The page's scripts, run by node: the keys they split are the crate's, so are the signatures they make, and what they seal.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use trefoil_auth::rsa::*;
use trefoil_engine::Party;

/// Has node run a task.
fn script(task: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/device/run.mjs");
    let started = Command::new("node").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut node = started.expect("node runs; install the package nodejs, version 20 or later");
    node.stdin.take().expect("piped").write_all(task.to_string().as_bytes()).expect("it reads");
    let output = node.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{task}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("text")).expect("hexadecimal digits")
}

#[test]
#[ignore = "needs node: `cargo test -p trefoil-auth --test device -- --ignored`"]
fn a_key_split_in_a_page_is_one_of_this_crate() {
    let mut rng = randomness().expect("the system's");
    let split = script(&json!({"task": "split"}));
    let device = DeviceKey::decode(&bytes(&split["device"])).expect("a device's");
    let recovery = RecoveryKey::decode(&bytes(&split["recovery"])).expect("the recovery's");
    let nodes: Vec<NodeKey> = (0..3).map(|k| NodeKey::decode(&bytes(&split["nodes"][k])).expect("a node's")).collect();
    let public = device.public().clone();

    // As at enrolment: the copies are equal and the shares sign.
    let unconfirmed = || {
        let of = |(k, party)| {
            let key = NodeKey::decode(&bytes(&split["nodes"][k])).expect("a node's");
            Unconfirmed::enrolled(key, party, 1).expect("a first share")
        };
        Party::ALL.into_iter().enumerate().map(of).collect::<Vec<_>>()
    };
    let sent: Vec<Confirmation> = unconfirmed().iter().map(Unconfirmed::confirmation).collect();
    for (k, share) in unconfirmed().into_iter().enumerate() {
        let others = [sent[(k + 1) % 3].clone(), sent[(k + 2) % 3].clone()];
        share.confirm(&others).expect("they fit");
    }

    let (data, hash) = ([7; 37], [9; 32]);
    let message = Message::webauthn(&data, &hash).expect("long enough");
    let alone = sign_without_nodes(&device, &recovery, &message, &mut rng).expect("2 u + v");
    assert!(public.verifies(&message, &alone));

    let signed = script(
        &json!({"task": "sign", "device": split["device"], "data": hex::encode(data), "hash": hex::encode(hash)}),
    );
    assert_eq!(bytes(&signed["encoded"]), message.encode(256).expect("room"));
    let mut parts: Vec<NodePartials> =
        nodes.iter().map(|key| NodeSigner::new(key).sign(&message, &mut rng).expect("a ceremony")).collect();
    let part = DeviceSigner::new(&device).sign(&message, &mut rng).expect("a ceremony");
    let expected = combine(&public, &message, Some(&part), &parts).expect("all are right").signature;
    let combined = |parts: Value| {
        script(&json!({"task": "combine", "device": split["device"], "encoded": signed["encoded"],
            "part": signed["part"], "partials": parts}))
    };
    let encoded = |part: &NodePartials| Value::from(hex::encode(part.encode(&public)));
    let all: Vec<Value> = parts.iter().map(encoded).collect();
    assert_eq!(bytes(&combined(json!(all))["signature"]), expected);
    assert_eq!(bytes(&combined(json!([all[0], null, all[2]]))["signature"]), expected, "two suffice");
    assert!(combined(json!([all[0], null, null]))["error"].is_string(), "one does not");
    // A liar does not stop the signature.
    parts[1] =
        NodeSigner::new(&nodes[1]).sign(&Message::webauthn(&data, &[8; 32]).expect("other"), &mut rng).expect("one");
    let lied: Vec<Value> = parts.iter().map(encoded).collect();
    assert_eq!(bytes(&combined(json!(lied))["signature"]), expected);
}

/// RFC 9180, appendix A.3.1, the first encryption.
#[test]
#[ignore = "needs node: `cargo test -p trefoil-auth --test device -- --ignored`"]
fn pages_seal_as_the_rfc_does() {
    let ephemeral = "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4";
    let point = hex::decode(ephemeral).expect("digits");
    let private = hex::decode("4995788ef4b9d6132b249ce59a77281493eb39af373d236a1fe415cb0c2d7beb").expect("digits");
    let text = Base64UrlUnpadded::encode_string;
    let ciphertext = "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434";
    let sealed = script(&json!({
        "task": "seal",
        "point": "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a826a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0",
        "info": "4f6465206f6e2061204772656369616e2055726e",
        "bound": hex::encode("Count-0"),
        "body": hex::encode("Beauty is truth, truth beauty"),
        "ephemeral": {"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]), "d": text(&private)},
    }));
    assert_eq!(sealed["sealed"], format!("{ephemeral}{ciphertext}"));
}
