//! Tokens that have changed something, and the connections on which they have.

use super::TokenFault;
use crate::pki::ClientName;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Tokens that are remembered at the same time.
const MOST: usize = 1 << 16;

/// Those of one name: nobody takes the places of all.
const EACH: usize = MOST / 16;

/// What is remembered. A node that starts anew has forgotten it.
pub(super) struct Seen {
    most: usize,
    each: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By the numbers of tokens (`jti`), hashed.
    tokens: HashMap<[u8; 32], Used>,
    names: HashMap<ClientName, usize>,
    /// When those were last forgotten that are not valid any more.
    purged: u64,
}

struct Used {
    connection: u64,
    until: u64,
    name: ClientName,
}

impl Default for Seen {
    fn default() -> Self {
        Self { most: MOST, each: EACH, inner: Mutex::default() }
    }
}

impl Seen {
    /// A change with a token of this number and name on a connection, at this time, of a token that is valid until that one.
    pub(super) fn check(
        &self,
        (number, name): (&str, &ClientName),
        connection: u64,
        (now, until): (u64, u64),
    ) -> Result<(), TokenFault> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let number = Sha256::digest(number).into();
        if let Some(used) = inner.tokens.get(&number) {
            return if used.connection == connection { Ok(()) } else { Err(TokenFault::Replayed) };
        }
        // All are looked through for that, so not for every request.
        if self.is_full(&inner, name) && inner.purged != now {
            inner.purge(now);
        }
        if self.is_full(&inner, name) {
            return Err(TokenFault::Crowded);
        }
        *inner.names.entry(name.clone()).or_default() += 1;
        inner.tokens.insert(number, Used { connection, until, name: name.clone() });
        Ok(())
    }

    fn is_full(&self, inner: &Inner, name: &ClientName) -> bool {
        inner.tokens.len() >= self.most || inner.names.get(name).is_some_and(|mine| *mine >= self.each)
    }
}

impl Inner {
    fn purge(&mut self, now: u64) {
        let Self { tokens, names, purged } = self;
        *purged = now;
        tokens.retain(|_, used| used.until > now);
        names.clear();
        for used in tokens.values() {
            *names.entry(used.name.clone()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_does_not_take_the_places_of_all() {
        let seen = Seen { most: 8, each: 2, ..Seen::default() };
        let [alice, bob] = ["alice", "bob"].map(|name| name.parse::<ClientName>().expect("a name"));
        let use_it = |number: &str, name, now| seen.check((number, name), 1, (now, now + 10));
        assert_eq!([use_it("1", &alice, 100), use_it("2", &alice, 101)], [Ok(()), Ok(())]);
        assert_eq!(use_it("3", &alice, 102), Err(TokenFault::Crowded));
        assert_eq!(use_it("4", &bob, 102), Ok(()));
        assert_eq!(use_it("1", &alice, 103), Ok(()), "what is known is known");
        // The first is not valid any more.
        assert_eq!(use_it("3", &alice, 110), Ok(()));
        assert_eq!(use_it("5", &alice, 110), Err(TokenFault::Crowded));
    }
}
