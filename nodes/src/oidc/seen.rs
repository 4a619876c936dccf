//! Tokens that have changed something, and the connections on which they have.

use super::TokenFault;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Tokens that are remembered at the same time.
const MOST: usize = 1 << 16;

/// Numbers of tokens (`jti`), hashed; the connection of each, and until when it is valid. A node that starts anew has forgotten them.
#[derive(Default)]
pub(super) struct Seen(Mutex<HashMap<[u8; 32], (u64, u64)>>);

impl Seen {
    /// A change with a token on a connection, at this time, of a token that is valid until that one.
    pub(super) fn check(&self, number: &str, connection: u64, (now, until): (u64, u64)) -> Result<(), TokenFault> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = Sha256::digest(number).into();
        if let Some((its, _)) = seen.get(&number) {
            return if *its == connection { Ok(()) } else { Err(TokenFault::Replayed) };
        }
        if seen.len() >= MOST {
            seen.retain(|_, (_, until)| *until > now);
        }
        if seen.len() >= MOST {
            return Err(TokenFault::Crowded);
        }
        seen.insert(number, (connection, until));
        Ok(())
    }
}
