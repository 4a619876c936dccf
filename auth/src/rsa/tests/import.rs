//! Keys that OpenSSL made, signatures that OpenSSL verifies, keys that are refused.

use std::{fs, path::Path, process::Command, sync::OnceLock};

use pkcs8::der::{Decode, Encode, asn1::UintRef};

use super::{message, parts, rng, signed_bytes, small, split};
use crate::{
    Error,
    rsa::{DeviceSigner, Hash, KeySize, Message, NodeSigner, PrivateKey, PublicKey, combine},
};

/// A small key of OpenSSL's, once for all tests: PKCS#8 in PEM.
pub(super) fn small_pem() -> &'static str {
    static SMALL: OnceLock<String> = OnceLock::new();
    SMALL.get_or_init(|| {
        let arguments = "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:1024";
        let (success, pem) = openssl(Path::new("."), arguments);
        assert!(success, "openssl {arguments}");
        String::from_utf8(pem).expect("PEM is text")
    })
}

/// Runs OpenSSL's program, which these tests need, in `directory`; whether it succeeded and what it wrote.
fn openssl(directory: &Path, arguments: &str) -> (bool, Vec<u8>) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
    let output = output.expect("these tests run the program `openssl`: install it");
    (output.status.success(), output.stdout)
}

#[test]
fn keys_of_openssl_are_brought_in_and_openssl_verifies() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    fs::write(path.join("text"), signed_bytes("what the device and the nodes signed")).expect("written");
    let run = |arguments: &str| {
        let (success, output) = openssl(path, arguments);
        assert!(success, "openssl {arguments}");
        output
    };
    run("genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out pkcs8.pem");
    run("rsa -in pkcs8.pem -traditional -out pkcs1.pem");
    let der = run("pkcs8 -topk8 -nocrypt -in pkcs8.pem -outform DER");
    let pem = |name: &str| fs::read_to_string(path.join(name)).expect("written");
    let keys = [
        PrivateKey::from_pem(&pem("pkcs8.pem")).expect("PKCS#8"),
        PrivateKey::from_pem(&pem("pkcs1.pem")).expect("PKCS#1"),
        PrivateKey::from_pkcs8_der(&der).expect("DER"),
    ];
    let public = run("pkey -in pkcs8.pem -pubout -outform DER");
    for key in keys {
        assert_eq!(key.public().to_spki().expect("DER"), public);
        assert_eq!(&PublicKey::from_spki(&public).expect("DER"), key.public());
        let split = key.split(&mut rng(11));
        let message = message("what the device and the nodes signed");
        let (device, nodes) = parts(&split, &message);
        let signed = combine(split.device.public(), &message, Some(&device), &nodes[..2]).expect("signed");
        assert_eq!(signed.signature, run("dgst -sha256 -sign pkcs8.pem text"));
        fs::write(path.join("signature"), &signed.signature).expect("written");
        fs::write(path.join("public"), &public).expect("written");
        let verify = "dgst -sha256 -verify public -keyform DER -signature signature";
        assert!(openssl(path, &format!("{verify} text")).0);
        assert!(!openssl(path, &format!("{verify} pkcs8.pem")).0, "another file");
    }
    // Documents, by the nodes alone.
    let nodes = PrivateKey::from_pkcs8_der(&der).expect("DER").split_among_nodes(&mut rng(12));
    let text = fs::read(path.join("text")).expect("written");
    for (hash, name) in [(Hash::Sha256, "sha256"), (Hash::Sha384, "sha384"), (Hash::Sha512, "sha512")] {
        let message = Message::of(hash, &text);
        let parts = [&nodes[0], &nodes[1]].map(|key| NodeSigner::new(key).sign(&message, &mut rng(0)).expect("signed"));
        let signed = combine(nodes[0].public(), &message, None, &parts).expect("signed");
        assert_eq!(signed.signature, run(&format!("dgst -{name} -sign pkcs8.pem text")), "{hash}");
    }
}

#[test]
fn a_new_key_is_one_to_openssl() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    fs::write(path.join("text"), b"signed by nodes alone").expect("written");
    let key = PrivateKey::generate(KeySize::Rsa2048, &mut super::super::randomness().expect("random")).expect("primes");
    let nodes = key.split_among_nodes(&mut super::super::randomness().expect("random"));
    let public = nodes[0].public();
    fs::write(path.join("public"), public.to_spki().expect("DER")).expect("written");
    let message = Message::of(Hash::Sha256, b"signed by nodes alone");
    let parts = [&nodes[2], &nodes[0]].map(|key| NodeSigner::new(key).sign(&message, &mut rng(0)).expect("signed"));
    let signed = combine(public, &message, None, &parts).expect("signed");
    fs::write(path.join("signature"), &signed.signature).expect("written");
    assert!(openssl(path, "dgst -sha256 -verify public -keyform DER -signature signature text").0);
    let (success, shown) = openssl(path, "pkey -pubin -inform DER -in public -noout -text");
    let shown = String::from_utf8(shown).expect("text");
    assert!(success && shown.contains("2048 bit") && shown.contains("65537 (0x10001)"), "{shown}");
}

/// The small key with some of its numbers replaced, in DER.
fn altered(alter: impl for<'a> Fn(&mut pkcs1::RsaPrivateKeyRef<'a>, [UintRef<'a>; 4])) -> Vec<u8> {
    let (_, document) = pkcs8::SecretDocument::from_pem(small_pem()).expect("PEM");
    let info = pkcs8::PrivateKeyInfoRef::from_der(document.as_bytes()).expect("PKCS#8");
    let mut key = pkcs1::RsaPrivateKeyRef::from_der(info.private_key.as_bytes()).expect("PKCS#1");
    let more = |number: UintRef<'_>, by: u8| {
        let mut bytes = number.as_bytes().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= by;
        bytes
    };
    let numbers = [more(key.modulus, 2), more(key.private_exponent, 2), more(key.prime1, 6), vec![3]];
    alter(&mut key, numbers.each_ref().map(|bytes| UintRef::new(bytes).expect("a number")));
    key.to_der().expect("DER")
}

#[test]
fn keys_that_do_not_hold_together_are_refused() {
    assert!(PrivateKey::from_pkcs1_der(&altered(|_, _| ())).is_ok(), "the key itself");
    let wrong: [(Vec<u8>, &str); 7] = [
        (altered(|key, with| key.modulus = with[0]), "product"),
        (altered(|key, with| key.private_exponent = with[1]), "inverse"),
        (altered(|key, with| key.prime1 = with[2]), "composite"),
        (altered(|key, with| key.prime1 = with[3]), "half the size"),
        (altered(|key, with| key.public_exponent = with[3]), "65537"),
        (altered(|key, _| key.prime1 = key.prime2), "too close"),
        (altered(|key, with| key.modulus = with[3]), "2048"),
    ];
    for (der, why) in wrong {
        match PrivateKey::from_pkcs1_der(&der) {
            Err(Error::Key { fault }) => assert!(fault.contains(why), "{fault}, not {why}"),
            other => panic!("{other:?}, not {why}"),
        }
    }
    let pem = |label: &str| small_pem().replace("PRIVATE KEY", label);
    for (text, why) in [
        (String::new(), "no PEM"),
        (pem("ENCRYPTED PRIVATE KEY"), "encrypted"),
        (pem("EC PRIVATE KEY"), "something else"),
        (pem("RSA PRIVATE KEY"), "no RSAPrivateKey"),
    ] {
        match PrivateKey::from_pem(&text) {
            Err(Error::Key { fault }) => assert!(fault.contains(why), "{fault}, not {why}"),
            other => panic!("{other:?}, not {why}"),
        }
    }
}

#[test]
fn keys_on_curves_are_refused_by_their_algorithm() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    assert!(openssl(path, "genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out curve").0);
    let (success, der) = openssl(path, "pkcs8 -topk8 -nocrypt -in curve -outform DER");
    assert!(success);
    assert!(
        matches!(PrivateKey::from_pkcs8_der(&der), Err(Error::Key { fault }) if fault.contains("rsaEncryption")),
        "a key on a curve"
    );
}

#[test]
fn moduli_have_their_size_and_are_odd() {
    let modulus = small(1).public().modulus();
    assert!(PublicKey::from_modulus(&modulus).is_ok());
    let mut even = modulus.clone();
    even[127] ^= 1;
    let mut short = modulus.clone();
    short[0] = 0x7f;
    for wrong in [&even[..], &short, &modulus[1..], &[&[0], &modulus[..]].concat(), &[]] {
        assert!(matches!(PublicKey::from_modulus(wrong), Err(Error::Key { .. })));
    }
    let spki = split().device.public().to_spki().expect("DER");
    assert_eq!(&PublicKey::from_spki(&spki).expect("read"), split().device.public());
    assert!(PublicKey::from_spki(&spki[1..]).is_err());
}

#[test]
fn a_signature_is_checked_whole() {
    let split = split();
    let text = message("verify");
    let (device, nodes) = parts(split, &text);
    let public = split.device.public();
    let signed = combine(public, &text, Some(&device), &nodes).expect("signed");
    assert!(public.verifies(&text, &signed.signature));
    assert!(!public.verifies(&message("another"), &signed.signature));
    for place in 0..signed.signature.len() {
        let mut wrong = signed.signature.clone();
        wrong[place] ^= 1;
        assert!(!public.verifies(&text, &wrong));
    }
    assert!(!public.verifies(&text, &signed.signature[1..]));
    assert!(!public.verifies(&text, &[&[0], &signed.signature[..]].concat()));
    assert!(!public.verifies(&text, &[]));
    // The device's part alone is none, whatever it is taken for.
    let alone = DeviceSigner::new(&split.device).sign(&text, &mut rng(1)).expect("signed");
    assert!(!public.verifies(&text, &alone.value));
}
