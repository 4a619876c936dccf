//! RSA signatures under a key that is split between a device and the three nodes.
//!
//! What is signed is a [`Message`]: its PKCS#1 v1.5 encoding is computed by whoever signs, from typed inputs. No node
//! ever raises a number to its share that somebody else chose.

mod encoding;

pub use encoding::{Hash, Message};
