use super::*;
use crate::{Error, rsa::Message};

/// The whole of an assertion that Windows Hello made comes out the same from the same inputs, and its signature is accepted.
#[test]
fn an_assertion_is_that_of_another_authenticator_byte_by_byte() {
    let vector = &vectors()["assertion"];
    let response = &vector["response"];
    let text = |name: &str| vector[name].as_str().expect("text");
    let client = page(text("origin"));
    let options = request("");
    let options = RequestOptions { challenge: Bytes(bytes(&vector["challenge"])), ..options };
    let credential = Credential {
        id: CredentialId::new(&bytes(&response["id"])).expect("32 bytes"),
        rp_id: RpId::of(Some(text("rpId")), &client.origin).expect("its own"),
        user: bytes(&response["response"]["userHandle"]),
        ..credential(0, Discoverable::Yes)
    };
    let client_data = ClientData::get(&options, &client).expect("a challenge");
    assert_eq!(client_data.as_json().as_bytes(), bytes(&response["response"]["clientDataJSON"]));
    let matched = Match::opened(client_data.hash(), Bit::One);
    let begin = || Assertion::begin(&options, &client, &credential, count(), Some(&matched)).expect("all is met");

    let signature = bytes(&response["response"]["signature"]);
    let made = begin().finish(&signature).expect("it verifies");
    let made: serde_json::Value = serde_json::from_str(&made.to_json().expect("JSON")).expect("JSON");
    assert_eq!(made["response"], response["response"]);
    for member in ["id", "rawId", "type", "clientExtensionResults"] {
        assert_eq!(made[member], response[member], "{member}");
    }
    let mut wrong = signature;
    wrong[100] ^= 1;
    assert_eq!(begin().finish(&wrong), Err(Error::Signature));
}

#[test]
fn a_key_is_written_as_another_authenticator_wrote_it() {
    for vector in [&vectors()["assertion"], &vectors()["attested"]] {
        let key = bytes(&vector["publicKey"]);
        let (public, rest) = data::read_cose(&key).expect("canonical");
        assert!(rest.is_empty());
        assert_eq!(data::cose(&public.modulus()), key);
    }
}

#[test]
fn authenticator_data_of_a_registration_are_read_and_written() {
    let vector = &vectors()["attested"];
    let encoded = bytes(&vector["authenticatorData"]);
    let read = AuthenticatorData::decode(&encoded).expect("of another authenticator");
    let attested = read.attested().expect("complete").expect("AT");
    assert_eq!(attested.aaguid.to_vec(), bytes(&vector["aaguid"]));
    assert_eq!(attested.id.as_bytes(), bytes(&vector["credentialId"]));
    assert_eq!((read.user_present(), read.user_verified(), read.backup()), (true, false, Backup::NotEligible));
    assert_eq!(read.sign_count(), u32::from_be_bytes(*encoded[33..].first_chunk().expect("4 bytes")));

    // The same is made but for the model of authenticator, which is not claimed.
    let rp_id = RpId::of(None, &page("http://localhost").origin).expect("its own");
    let count = SignatureCounter::default().take(read.sign_count()).expect("above 0");
    let made = AuthenticatorData::assertion(&rp_id, verification::Uv::Unset, Backup::NotEligible, &count)
        .attesting(&attested.id, &attested.public);
    let mut expected = encoded.clone();
    expected[37..53].fill(0);
    assert_eq!(made.as_bytes(), expected);

    for length in 0..encoded.len() {
        let error = AuthenticatorData::decode(&encoded[..length]).expect_err("cut");
        assert!(matches!(error, Error::Malformed { .. }), "{length}: {error}");
    }
    let longer = [&encoded[..], &[0]].concat();
    assert!(AuthenticatorData::decode(&longer).is_err(), "bytes follow");
    let mut extended = [&encoded[..], &[0xa0]].concat();
    extended[32] |= 0x80;
    assert!(AuthenticatorData::decode(&extended).is_ok(), "ED and an empty map");
    extended[32] |= 0x10;
    assert!(AuthenticatorData::decode(&extended).is_err(), "BS without BE");
}

#[test]
fn flags_say_what_they_stand_for() {
    let rp_id = RpId::of(None, &page("https://example.org").origin).expect("its own");
    for (uv, verified) in [(verification::Uv::Set, 4), (verification::Uv::Unset, 0)] {
        for (backup, flags) in [(Backup::NotEligible, 0), (Backup::Eligible, 8), (Backup::BackedUp, 24)] {
            let data = AuthenticatorData::assertion(&rp_id, uv, backup, &count());
            assert_eq!(data.as_bytes()[32], 1 | verified | flags);
            assert_eq!(AuthenticatorData::decode(data.as_bytes()), Ok(data.clone()));
            assert_eq!((data.backup(), data.user_verified(), data.sign_count()), (backup, verified == 4, 1));
            assert_eq!(data.rp_id_hash(), rp_id.hash());
            assert_eq!(data.attested(), Ok(None));
            let attesting = data.attesting(&new().id, &new().public);
            assert_eq!(attesting.as_bytes()[32], 0x41 | verified | flags);
        }
    }
}

/// Section 5.8.1.1, `CCDToString`: quote and backslash escaped, control characters as `\u00xx`, everything else as it is.
#[test]
fn client_data_strings_have_one_form() {
    let mut json = String::new();
    client::push(&mut json, "a\"\\\n\u{0}\u{1f} \u{7f}\u{2028}é/😀");
    assert_eq!(json, "\"a\\\"\\\\\\u000a\\u0000\\u001f \u{7f}\u{2028}é/😀\"");
    let read: String = serde_json::from_str(&json).expect("JSON");
    assert_eq!(read, "a\"\\\n\u{0}\u{1f} \u{7f}\u{2028}é/😀");
}

#[test]
fn client_data_have_their_members_in_order() {
    let origin = Origin::parse("https://login.example.org:8443", Hosts::Public).expect("an origin");
    let top = Origin::parse("https://shop.example.com", Hosts::Public).expect("an origin");
    let plain = ClientData::create(&creation(""), &Client::page(origin.clone())).expect("a challenge");
    let head = r#"{"type":"webauthn.create","challenge":"AAECAwQFBgcICQoLDA0ODw","origin":"https://login.example.org:8443","crossOrigin":"#;
    assert_eq!(plain.as_json(), format!("{head}false}}"));
    let embedded = Client { origin, embedding: Embedding::CrossOrigin(top) };
    let embedded = ClientData::create(&creation(""), &embedded).expect("a challenge");
    assert_eq!(embedded.as_json(), format!("{head}true,\"topOrigin\":\"https://shop.example.com\"}}"));
    assert_ne!(plain.hash(), embedded.hash());
}

/// The maps of section 8.7 and 8.2, written out.
#[test]
fn attestation_objects_are_canonical() {
    let rp_id = RpId::of(None, &page("https://example.org").origin).expect("its own");
    let data = AuthenticatorData::assertion(&rp_id, verification::Uv::Unset, Backup::NotEligible, &count());
    let authenticator = hex::encode(data.as_bytes());
    let (fmt, statement, auth_data) = ("63666d74", "6761747453746d74", "686175746844617461");
    let none = format!("a3{fmt}646e6f6e65{statement}a0{auth_data}5825{authenticator}");
    assert_eq!(hex::encode(attestation::none(&data)), none);
    let signature = [0xab; 256];
    let packed = format!(
        "a3{fmt}667061636b6564{statement}a263616c6739010063736967590100{}{auth_data}5825{authenticator}",
        hex::encode(signature)
    );
    assert_eq!(hex::encode(attestation::packed(&data, &signature)), packed);
    for (length, head) in [(0, "40"), (23, "57"), (24, "5818"), (255, "58ff"), (256, "590100")] {
        let mut written = Vec::new();
        attestation::length(&mut written, 0x40, length);
        assert_eq!(hex::encode(written), head, "{length}");
    }
}

#[test]
fn what_is_signed_is_the_message_of_both_parts() {
    let client = page("https://example.org");
    let options = creation(r#", "attestation": "direct""#);
    let registration = Registration::begin(&options, &client, new(), &[], None).expect("all is met");
    let rp_id = RpId::of(None, &client.origin).expect("its own");
    let data = AuthenticatorData::assertion(&rp_id, verification::Uv::Unset, Backup::NotEligible, &count())
        .attesting(&new().id, &new().public);
    let hash = ClientData::create(&options, &client).expect("a challenge").hash();
    assert_eq!(registration.message(), Message::webauthn(data.as_bytes(), &hash));
    assert_eq!(registration.finish_attested(&[1; 256]).map(|_| ()), Err(Error::Signature));
}
