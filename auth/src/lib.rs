//! Authentication on Trefoil: signatures under keys that exist nowhere whole, and the ceremonies they are made for.
//!
//! | module | what it has |
//! |---|---|
//! | [`rsa`] | RSA signatures whose private exponent is split between a device and the three nodes |
//! | [`webauthn`] | `WebAuthn` registrations and assertions with such keys, and the rules of what is signed |
//! | [`token`] | signed tokens that say whom the nodes have recognised, and how they are checked |
//! | [`scripts`] | the device's part for pages |
//!
//! The crate computes; it opens no socket and no file. What a node stores and what it sends are types here, with
//! `encode` and `decode` functions of a versioned binary form; `trefoil-nodes` moves them.
//!
//! Secrets are types with private fields that are erased when dropped, print as their name alone, and leave their type
//! only through functions that say so.
#![forbid(unsafe_code)]

mod error;
pub mod rsa;
pub mod scripts;
pub mod token;
pub mod webauthn;

pub use error::Error;
