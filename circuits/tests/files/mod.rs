//! The files of `data/bristol` and what they compute.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use trefoil_circuits::bristol::Circuit;

/// A circuit file and its reference.
pub struct File {
    pub name: &'static str,
    reference: fn(&[bool]) -> Vec<bool>,
}

pub const FILES: [File; 4] = [
    File { name: "adder64.txt", reference: |x| word_bits(word(&x[..64]).wrapping_add(word(&x[64..]))) },
    File { name: "mult64.txt", reference: |x| word_bits(word(&x[..64]).wrapping_mul(word(&x[64..]))) },
    File { name: "aes_128.txt", reference: aes_128 },
    File { name: "sha256.txt", reference: sha_256 },
];

impl File {
    pub fn named(name: &str) -> &'static Self {
        FILES.iter().find(|file| file.name == name).unwrap()
    }

    pub fn circuit(&self) -> Circuit {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/bristol").join(self.name);
        Circuit::parse(std::fs::read(path).unwrap()).unwrap()
    }

    /// The output wires for given input wires.
    pub fn reference(&self, inputs: &[bool]) -> Vec<bool> {
        (self.reference)(inputs)
    }
}

/// Bits that depend on `seed` alone (`SplitMix64`).
pub fn random_bits(seed: u64, len: usize) -> Vec<bool> {
    let mut state = seed.wrapping_mul(0xd134_2543_de82_ef95);
    let mut word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    (0..len).map(|_| word() >> 63 == 1).collect()
}

fn word(bits: &[bool]) -> u64 {
    bits.iter().enumerate().map(|(i, &b)| u64::from(b) << i).sum()
}

fn word_bits(word: u64) -> Vec<bool> {
    (0..64).map(|i| word >> i & 1 == 1).collect()
}

/// A port as bytes: wire 0 is the lowest bit of the last byte.
fn bytes<const N: usize>(bits: &[bool]) -> [u8; N] {
    std::array::from_fn(|i| word(&bits[8 * (N - 1 - i)..][..8]) as u8)
}

fn byte_bits(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().rev().flat_map(|b| (0..8).map(move |i| b >> i & 1 == 1)).collect()
}

fn aes_128(inputs: &[bool]) -> Vec<bool> {
    let mut block = bytes::<16>(&inputs[128..]).into();
    aes::Aes128::new(&bytes::<16>(&inputs[..128]).into()).encrypt_block(&mut block);
    byte_bits(&block)
}

fn sha_256(inputs: &[bool]) -> Vec<bool> {
    let chained = bytes::<32>(&inputs[512..]);
    let mut state: [u32; 8] = std::array::from_fn(|i| u32::from_be_bytes([0, 1, 2, 3].map(|k| chained[4 * i + k])));
    sha2::block_api::compress256(&mut state, &[bytes(&inputs[..512])]);
    byte_bits(&state.map(u32::to_be_bytes).concat())
}
