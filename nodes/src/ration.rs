//! Lines and entries that strangers and clients could write without end: so many a minute, and then a number.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long those that are left out are counted before their number is told.
const SPAN: Duration = Duration::from_mins(1);

/// So many in a minute for each `K`.
#[derive(Debug)]
pub(crate) struct Ration<K> {
    most: u32,
    minutes: Mutex<HashMap<K, Minute>>,
}

#[derive(Debug)]
struct Minute {
    begun: Instant,
    told: u32,
    more: u64,
}

impl<K: Clone + Eq + Hash> Ration<K> {
    /// `most` in a minute are told.
    pub(crate) fn new(most: u32) -> Self {
        Self { most, minutes: Mutex::default() }
    }

    /// Whether this one is told; if not, it is counted.
    pub(crate) fn take(&self, who: &K) -> bool {
        self.take_at(who, Instant::now())
    }

    /// Those whose minute is over and of whom something was left out, and how often.
    pub(crate) fn over(&self) -> Vec<(K, u64)> {
        self.over_at(Instant::now())
    }

    /// All of whom something was left out, and how often. Their minutes are over.
    pub(crate) fn end(&self) -> Vec<(K, u64)> {
        let all = std::mem::take(&mut *self.lock());
        all.into_iter().filter(|(_, minute)| minute.more > 0).map(|(who, minute)| (who, minute.more)).collect()
    }

    /// Counts what was handed out and could not be told.
    pub(crate) fn put_back(&self, who: K, more: u64) {
        self.lock().entry(who).or_insert_with(|| Minute::begin(Instant::now())).more += more;
    }

    fn take_at(&self, who: &K, now: Instant) -> bool {
        let mut minutes = self.lock();
        if !minutes.contains_key(who) {
            minutes.insert(who.clone(), Minute::begin(now));
        }
        let Some(minute) = minutes.get_mut(who) else { return true };
        if minute.is_over(now) && minute.more == 0 {
            *minute = Minute::begin(now);
        }
        let told = minute.told < self.most && minute.more == 0;
        if told {
            minute.told += 1;
        } else {
            minute.more += 1;
        }
        told
    }

    fn over_at(&self, now: Instant) -> Vec<(K, u64)> {
        let mut over = Vec::new();
        self.lock().retain(|who, minute| {
            if !minute.is_over(now) {
                return true;
            }
            if minute.more > 0 {
                over.push((who.clone(), minute.more));
            }
            false
        });
        over
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Minute>> {
        self.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Minute {
    fn begin(begun: Instant) -> Self {
        Self { begun, told: 0, more: 0 }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) >= SPAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_a_minute_and_then_a_number() {
        let (ration, now) = (Ration::new(2), Instant::now());
        let told = |who, after| ration.take_at(&who, now + after);
        assert_eq!([0; 5].map(|_| told("mallory", Duration::ZERO)), [true, true, false, false, false]);
        assert!(told("owner", Duration::from_secs(30)), "each has minutes of its own");
        assert_eq!(ration.over_at(now + SPAN / 2), [], "it is told once a minute");
        // Whoever comes before the number is told is counted with it.
        assert!(!told("mallory", SPAN));
        assert_eq!(ration.over_at(now + SPAN), [("mallory", 4)]);
        assert_eq!(ration.over_at(now + SPAN), []);
        assert!(told("mallory", SPAN));
        // Nobody is remembered who does nothing.
        assert_eq!(ration.over_at(now + 3 * SPAN), []);
        assert!(ration.lock().is_empty());
    }

    #[test]
    fn nothing_is_lost_at_the_end() {
        let ration = Ration::new(1);
        assert_eq!([0; 3].map(|_| ration.take(&"mallory")), [true, false, false]);
        assert_eq!(ration.end(), [("mallory", 2)]);
        ration.put_back("mallory", 2);
        assert!(!ration.take(&"mallory"));
        assert_eq!(ration.end(), [("mallory", 3)]);
    }
}
