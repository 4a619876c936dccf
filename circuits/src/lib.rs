//! Circuits composed of the verbs of `trefoil-engine`, each beside its reference on plain values.
//!
//! Nothing here can name a link: a circuit sees strands, shares and local maps only.
#![forbid(unsafe_code)]

pub mod aes;
pub mod arith;
pub mod boolean;
pub mod bristol;
pub mod credit;
pub mod gates;
pub mod matching;
pub mod plan;
pub mod program;
