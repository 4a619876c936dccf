//! How peers learn at once that a node was restarted: stateless resets (RFC 9000, section 10.3).
//!
//! A node that was killed has said nothing to its peers, and those that have dialled it hold the connection until `idle_deadline` is over. When it is back and gets a packet of that connection, it answers with a token that it has
//! named when the connection was made. It has forgotten the connection, so tokens and identifiers of connections come from its private key, which it still has. A node whose key was renewed meanwhile has other tokens, and its
//! peers wait for the deadline as before.

use aws_lc_rs::hmac;
use hkdf::Hkdf;
use quinn::EndpointConfig;
use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid, RandomConnectionIdGenerator};
use sha2::Sha256;
use std::{fmt, sync::Arc, time::Duration};
use zeroize::Zeroizing;

/// What the reset tokens of a node are made from. Who has it can end the node's connections, and no more.
#[derive(Clone)]
pub struct ResetKey {
    tokens: Arc<hmac::Key>,
    /// Tells identifiers that this node has given from others, so that it does not answer to any packet.
    identifiers: Arc<hmac::Key>,
}

impl ResetKey {
    /// That of the node with this private key, in DER.
    pub fn of(private_key: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 64]);
        Hkdf::<Sha256>::new(None, private_key)
            .expand(b"trefoil/v1/quic-reset", key.as_mut())
            .unwrap_or_else(|_| unreachable!("64 bytes are within HKDF's bounds"));
        let (tokens, identifiers) = key.split_at(32);
        let key = |bytes| Arc::new(hmac::Key::new(hmac::HMAC_SHA256, bytes));
        Self { tokens: key(tokens), identifiers: key(identifiers) }
    }

    pub(super) fn set(&self, endpoint: &mut EndpointConfig) {
        let identifiers = self.identifiers.clone();
        endpoint.reset_key(self.tokens.clone());
        endpoint.cid_generator(move || Box::new(Identifiers(identifiers.clone())));
    }
}

/// Random bytes of an identifier: so many that none is given twice as long as a node has its key, since whoever was told its token before could end the connection (RFC 9000, section 10.3.2).
const RANDOM: usize = 12;

/// Bytes of an identifier that tell that this node has given it.
const TAG: usize = 4;

/// Gives connections their identifiers.
struct Identifiers(Arc<hmac::Key>);

impl Identifiers {
    fn tag(&self, random: &[u8]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        tag.copy_from_slice(&hmac::sign(&self.0, random).as_ref()[..TAG]);
        tag
    }
}

impl ConnectionIdGenerator for Identifiers {
    fn generate_cid(&mut self) -> ConnectionId {
        let random = RandomConnectionIdGenerator::new(RANDOM).generate_cid();
        ConnectionId::new(&[&random[..], &self.tag(&random)].concat())
    }

    fn validate(&self, cid: &ConnectionId) -> Result<(), InvalidCid> {
        match cid.split_at_checked(RANDOM) {
            Some((random, tag)) if *tag == self.tag(random) => Ok(()),
            _ => Err(InvalidCid),
        }
    }

    fn cid_len(&self) -> usize {
        RANDOM + TAG
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

impl fmt::Debug for ResetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResetKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_identifier_is_given_twice_and_own_ones_are_known() {
        let of = |key: &[u8]| Identifiers(ResetKey::of(key).identifiers);
        let (mut given, restarted, other) = (of(b"one"), of(b"one"), of(b"other"));
        // Of 3 random bytes some would be the same: 2 of 100 times none.
        let some: Vec<ConnectionId> = (0..12_000).map(|_| given.generate_cid()).collect();
        assert_eq!(some.iter().map(|cid| cid.to_vec()).collect::<HashSet<_>>().len(), some.len());
        for cid in &some[..100] {
            assert!(cid.len() == given.cid_len() && restarted.validate(cid).is_ok() && other.validate(cid).is_err());
        }
        for strange in [&[][..], &[0; 3], &[0; 8], &[0; 16], &[0; 20]] {
            assert!(given.validate(&ConnectionId::new(strange)).is_err());
        }
    }
}
