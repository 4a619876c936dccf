//! Replicated secret sharing among three parties.
#![forbid(unsafe_code)]
mod error;
mod party;
pub mod transport;
pub use error::{Error, LinkFault, PeerFault};
pub use party::Party;
