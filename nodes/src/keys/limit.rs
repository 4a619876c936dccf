//! How often one client may have something done, as one key sign: a bucket that fills at a steady rate.

use super::KeyId;
use crate::pki::ClientName;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The most buckets that are kept. Those that are full are forgotten first: they say nothing.
const MOST: usize = 4096;

/// A bound on how often something is done in a second, kept by this node on its own for each client and key, or whatever else it is counted by.
#[derive(Debug)]
pub struct Rate<K = (ClientName, KeyId)> {
    per_second: u32,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl<K: Clone + Eq + Hash> Rate<K> {
    /// So many a second, and as many at once after a second of rest.
    pub fn new(per_second: u32) -> Self {
        Self { per_second, buckets: Mutex::default() }
    }

    /// How many a second.
    pub fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Takes one.
    ///
    /// # Errors
    /// How long until there is one.
    pub fn take(&self, of: &K, now: Instant) -> Result<(), Duration> {
        let rate = f64::from(self.per_second);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |bucket: &Bucket| bucket.tokens + rate * now.duration_since(bucket.filled).as_secs_f64() >= rate;
        if buckets.len() >= MOST {
            buckets.retain(|_, bucket| !full(bucket));
        }
        let bucket = buckets.entry(of.clone()).or_insert(Bucket { tokens: rate, filled: now });
        let grown = rate * now.duration_since(bucket.filled).as_secs_f64();
        *bucket = Bucket { tokens: (bucket.tokens + grown).min(rate), filled: now };
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - bucket.tokens) / rate))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_for_each_client_and_key_alone() {
        let rate = Rate::new(4);
        let [alice, bob] = ["alice", "bob"].map(|name| name.parse::<ClientName>().expect("a name"));
        let [one, two] = ["one", "two"].map(|name| KeyId { owner: alice.clone(), name: name.parse().expect("a name") });
        let of = |client: &ClientName, key: &KeyId| (client.clone(), key.clone());
        let start = Instant::now();
        for _ in 0..4 {
            assert_eq!(rate.take(&of(&alice, &one), start), Ok(()));
        }
        assert_eq!(rate.take(&of(&alice, &one), start), Err(Duration::from_millis(250)));
        assert_eq!(rate.take(&of(&bob, &one), start), Ok(()));
        assert_eq!(rate.take(&of(&alice, &two), start), Ok(()));
        let later = start + Duration::from_millis(250);
        assert_eq!(rate.take(&of(&alice, &one), later), Ok(()));
        assert!(rate.take(&of(&alice, &one), later).is_err());
        // No more than a second's worth is saved up.
        let much_later = start + Duration::from_hours(1);
        assert_eq!((0..9).filter(|_| rate.take(&of(&alice, &one), much_later).is_ok()).count(), 4);
    }
}
