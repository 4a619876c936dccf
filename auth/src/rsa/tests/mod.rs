//! Tests of keys and signatures. Keys are of 1,024 bits where their length does not matter, from fixed seeds.

mod import;
mod order;
mod renewal;
mod secrets;
mod signing;
mod vectors;

use std::sync::OnceLock;

use chacha20::{ChaCha20Rng, rand_core::SeedableRng};

use super::{DevicePartial, DeviceSigner, KeySize, Message, NodePartials, NodeSigner, PrivateKey, PublicKey, Split};

/// A generator of fixed numbers.
fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// The same small key each time.
fn small(seed: u64) -> PrivateKey {
    PrivateKey::generate(KeySize::Rsa1024, &mut rng(seed)).expect("primes")
}

/// A small key that is split, once for all tests.
fn split() -> &'static Split {
    static SPLIT: OnceLock<Split> = OnceLock::new();
    SPLIT.get_or_init(|| small(1).split(&mut rng(2)))
}

/// What a device and the nodes sign for a text, which stands for the authenticator's data.
fn message(text: &str) -> Message {
    Message::webauthn(&padded(text.as_bytes()), &[7; 32]).expect("long enough")
}

/// The bytes whose digest [`message`] has.
fn signed_bytes(text: &str) -> Vec<u8> {
    [padded(text.as_bytes()), vec![7; 32]].concat()
}

fn padded(text: &[u8]) -> Vec<u8> {
    [text, &[b'.'; 37]].concat()
}

/// What device and nodes sign, honestly.
fn parts(split: &Split, message: &Message) -> (DevicePartial, [NodePartials; 3]) {
    let device = DeviceSigner::new(&split.device).sign(message, &mut rng(3)).expect("signed");
    let nodes = split.nodes.each_ref().map(|key| NodeSigner::new(key).sign(message, &mut rng(4)).expect("signed"));
    (device, nodes)
}

/// Whether the verifier of aws-lc accepts a signature with SHA-256.
fn aws_lc_accepts(public: &PublicKey, text: &[u8], signature: &[u8]) -> bool {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
    let components = RsaPublicKeyComponents { n: public.modulus(), e: super::EXPONENT.to_vec() };
    components.verify(&RSA_PKCS1_2048_8192_SHA256, text, signature).is_ok()
}
