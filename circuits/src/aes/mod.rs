//! AES-128, -192 and -256 on shares: key expansion, encryption, decryption, counter mode (FIPS 197, SP 800-38A).
//!
//! The state of a batch of blocks is bit-sliced: 128 planes, one for bit `b` of byte `p`, in the order `16 b + p`, each of `w` words
//! whose lanes are the blocks. All S-boxes of a round are one vector of `16 w` words per bit, so an AES round is four rounds of
//! communication whatever the batch. `ShiftRows`, `MixColumns` and `AddRoundKey` are one local pass. The constant 0x63 of the S-box
//! is folded into the round keys.

mod boyar_peralta;
mod cipher;
mod keys;
pub mod reference;
mod sbox;
mod state;
mod tower;

pub use cipher::{ctr_keystream, decrypt, encrypt};
pub use keys::{DecryptionKeys, EncryptionKeys, KeySize, RoundKeys, expand_key};
pub use sbox::{SboxForm, sbox_layer};
pub use state::{State, counter_blocks};
