//! The relying party against what the library makes, and against what has been changed in it.

use super::relying_party::{RelyingParty, Response};
use aws_lc_rs::{encoding::AsDer, rsa::KeyPair};
use serde_json::{Value, json};
use trefoil_auth::{rsa::*, webauthn::*};

const ORIGIN: &str = "http://localhost:8080";

/// A device with all its nodes.
struct Device {
    whole: Split,
    counter: SignatureCounter,
    client: Client,
}

impl Device {
    fn new() -> Self {
        let pair = KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).expect("PKCS#8");
        let mut rng = randomness().expect("the system's");
        let whole = PrivateKey::from_pkcs8_der(der.as_ref()).expect("a key").split(&mut rng);
        let client = Client::page(Origin::parse(ORIGIN, Hosts::AndLocalhost).expect("an origin"));
        Self { whole, counter: SignatureCounter::default(), client }
    }

    fn sign(&self, message: &Message) -> Vec<u8> {
        let mut rng = randomness().expect("the system's");
        let part = DeviceSigner::new(&self.whole.device).sign(message, &mut rng).expect("a ceremony");
        let replies = [0, 1].map(|k| NodeSigner::new(&self.whole.nodes[k]).sign(message, &mut rng).expect("of it"));
        combine(self.whole.device.public(), message, Some(&part), &replies).expect("all are right").signature
    }

    fn register(&mut self, options: &Value) -> (Credential, Value) {
        let options = CreationOptions::from_json(&options.to_string()).expect("options");
        let new = NewCredential {
            id: CredentialId::new(&[7; 32]).expect("32 bytes"),
            public: self.whole.device.public().clone(),
            backup: Backup::NotEligible,
            count: self.counter.advance().expect("the first"),
        };
        let registration = Registration::begin(&options, &self.client, new, &[], None).expect("all is met");
        let (credential, response) = registration.finish().expect("without attestation");
        (credential, read(&response.to_json().expect("JSON")))
    }

    fn log_in(&mut self, options: &Value, credential: &Credential) -> Value {
        let options = RequestOptions::from_json(&options.to_string()).expect("options");
        let matched = Match::opened(ClientData::get(&options, &self.client).expect("a challenge").hash(), Bit::One);
        let count = self.counter.advance().expect("the next");
        let assertion =
            Assertion::begin(&options, &self.client, credential, count, Some(&matched)).expect("all is met");
        let signature = self.sign(&assertion.message().expect("complete"));
        read(&assertion.finish(&signature).expect("it verifies").to_json().expect("JSON"))
    }
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn response(value: &Value) -> Response {
    serde_json::from_value(value.clone()).expect("a response")
}

/// The response with one bit of a member's bytes flipped, counted from its end.
fn flipped(value: &Value, member: &str, from_end: usize, mask: u8) -> Response {
    let mut changed = value.clone();
    let mut bytes: Bytes = serde_json::from_value(changed["response"][member].clone()).expect("bytes");
    let at = bytes.0.len() - 1 - from_end;
    bytes.0[at] ^= mask;
    changed["response"][member] = json!(bytes);
    response(&changed)
}

#[test]
fn what_was_changed_or_is_told_twice_is_refused() {
    let (mut device, mut party) = (Device::new(), RelyingParty::new("localhost", ORIGIN));
    let options = party.register("alice").expect("a new account");
    let (credential, registration) = device.register(&options);
    assert!(!party.registers(|handle| handle == [1]));
    assert!(party.registers(|handle| json!(Bytes(handle.to_vec())) == options["user"]["id"]));
    party.registered(&response(&registration)).expect("a registration");
    assert!(party.registered(&response(&registration)).is_err(), "the challenge is used up");
    assert!(party.register("alice").is_err(), "the name is taken");
    assert!(party.login("bob").is_err());

    let options = party.login("alice").expect("an account");
    let login = device.log_in(&options, &credential);
    party.logged_in(&response(&login)).expect("a login");
    assert!(party.logged_in(&response(&login)).is_err(), "a replay");

    // Each change is refused, and with a challenge of its own: the first refusal would use it up.
    for (member, from_end, mask) in [
        ("signature", 100, 1),
        ("authenticatorData", 0, 1),
        ("authenticatorData", 4, 4),
        ("authenticatorData", 4, 1),
        ("authenticatorData", 20, 1),
        ("clientDataJSON", 30, 1),
    ] {
        let options = party.login("alice").expect("an account");
        let login = device.log_in(&options, &credential);
        assert!(party.logged_in(&flipped(&login, member, from_end, mask)).is_err(), "{member} {from_end}");
    }

    // A copy of the device is behind.
    let counted = device.counter.last();
    device.counter = SignatureCounter::stored(0);
    let options = party.login("alice").expect("an account");
    let login = device.log_in(&options, &credential);
    assert!(party.logged_in(&response(&login)).expect_err("an old counter").contains("counter"));
    device.counter = SignatureCounter::stored(counted);
    let options = party.login("alice").expect("an account");
    let login = device.log_in(&options, &credential);
    party.logged_in(&response(&login)).expect("nothing of that has done harm");
}
