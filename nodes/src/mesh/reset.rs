//! How peers learn at once that a node was restarted: stateless resets (RFC 9000, section 10.3).
//!
//! A node that was killed has said nothing to its peers, and those that have dialled it hold the connection until `idle_deadline` is over. When it is back and gets a packet of that connection, it answers with a token that it has
//! named when the connection was made. It has forgotten the connection, so tokens and identifiers of connections come from its private key, which it still has. A node whose key was renewed meanwhile has other tokens, and its
//! peers wait for the deadline as before.

use aws_lc_rs::hmac;
use hkdf::Hkdf;
use quinn::EndpointConfig;
use quinn_proto::HashedConnectionIdGenerator;
use sha2::Sha256;
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

/// What the reset tokens of a node are made from. Who has it can end the node's connections, and no more.
#[derive(Clone)]
pub struct ResetKey {
    tokens: Arc<hmac::Key>,
    /// Tells identifiers that this node has given from others. No secret depends on it.
    identifiers: u64,
}

impl ResetKey {
    /// That of the node with this private key, in DER.
    pub fn of(private_key: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 40]);
        Hkdf::<Sha256>::new(None, private_key)
            .expand(b"trefoil/v1/quic-reset", key.as_mut())
            .unwrap_or_else(|_| unreachable!("40 bytes are within HKDF's bounds"));
        let (tokens, identifiers) = key.split_at(32);
        Self {
            tokens: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, tokens)),
            identifiers: identifiers.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
        }
    }

    pub(super) fn set(&self, endpoint: &mut EndpointConfig) {
        let identifiers = self.identifiers;
        endpoint.reset_key(self.tokens.clone());
        endpoint.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(identifiers)));
    }
}

impl fmt::Debug for ResetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResetKey")
    }
}
