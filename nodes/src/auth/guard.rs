//! How often a user may try, and what was asked for before: kept by every node on its own, through restarts.

use super::{
    Auth, AuthFault,
    gallery::UserKey,
    records::{read, written},
};
use crate::{
    clock::now_unix_ms,
    store::{Space, Value, WriteTransaction},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use trefoil_auth::webauthn::{Count, SignatureCounter};

/// Probes in a row that may fail before the user is locked for the first time.
pub(super) const FREE: u32 = 5;
/// The first lock; each failure after it doubles the time.
const FIRST_LOCK: Duration = Duration::from_secs(30);
const LONGEST_LOCK: Duration = Duration::from_hours(1);

/// What of one user, or of one owner, may be [left](Place::leave) and still wait for nodes while another begins: enough for who tries again and again while a node is lost, and little of a client's
/// places at a node. One more keeps the user until it has ended.
const MOST_LEFT: usize = 3;

/// Ceremonies of a user that are remembered, the newest ones.
const REMEMBERED: usize = 64;

/// How far ahead of a node's clock a signature counter may be, in seconds.
pub(super) const CLOCKS_APART: u64 = 60;

/// How a user stands.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lockout {
    /// Probes since the last match that have not matched, or of which this node does not know.
    pub failures: u32,
    /// Until when no login is taken, in milliseconds since 1970.
    pub locked_until_ms: u64,
    /// Hashes of the client data of the last ceremonies.
    recent: VecDeque<[u8; 32]>,
}

/// Those of whom something is under way: users who log in, owners who search.
#[derive(Debug)]
pub(super) struct Busy<K>(Arc<Mutex<HashMap<K, UnderWay>>>);

/// What is under way of one of them.
#[derive(Debug, Default)]
struct UnderWay {
    taken: bool,
    /// Nobody waits for these any more.
    left: usize,
}

/// It is under way until this is dropped.
pub(super) struct Place<K: Clone + Eq + Hash>(Busy<K>, K);

/// Nobody waits for it any more, and it has not ended until this is dropped.
pub(super) struct Left<K: Clone + Eq + Hash> {
    all: Busy<K>,
    key: K,
    _kept: Option<Place<K>>,
}

impl Lockout {
    /// Whether a ceremony may begin.
    fn check(&self, now_ms: u64, ceremony: &[u8; 32]) -> Result<(), AuthFault> {
        if now_ms < self.locked_until_ms {
            return Err(AuthFault::Locked { seconds: (self.locked_until_ms - now_ms).div_ceil(1000) });
        }
        if self.recent.contains(ceremony) { Err(AuthFault::Replayed) } else { Ok(()) }
    }

    /// A ceremony happens: it will not again.
    fn remember(&mut self, ceremony: [u8; 32]) {
        if !self.recent.contains(&ceremony) {
            self.recent.push_back(ceremony);
            if self.recent.len() > REMEMBERED {
                self.recent.pop_front();
            }
        }
    }

    /// After a match.
    fn forgiven(self) -> Self {
        Self { recent: self.recent, ..Self::default() }
    }

    /// A probe is about to be decided on. It counts as failed until it has matched.
    fn attempt(&mut self, now_ms: u64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FREE {
            let doubled = FIRST_LOCK.saturating_mul(1 << (self.failures - FREE).min(16)).min(LONGEST_LOCK);
            self.locked_until_ms = now_ms.saturating_add(u64::try_from(doubled.as_millis()).unwrap_or(u64::MAX));
        }
    }
}

/// Of two records of what is counted at two nodes one that permits as little as either; `None` if they count nothing, or other things. What no honest node has written by now, because it would
/// shut somebody out for good, is not taken from either.
pub(crate) fn stricter(one: &Value, other: &Value) -> Option<Value> {
    let now = now_unix_ms();
    let most = u32::try_from(now / 1000 + CLOCKS_APART).unwrap_or(u32::MAX);
    let count = |record: &Value| record.as_slice().try_into().ok().map(u32::from_be_bytes);
    if let (Some(x), Some(y)) = (count(one), count(other)) {
        let last = [x, y].into_iter().filter(|count: &u32| *count <= most).max()?;
        return Some(Value::new(last.to_be_bytes().to_vec()));
    }
    let [mut x, y] = [read::<Lockout>(one).ok()?, read::<Lockout>(other).ok()?];
    let longest = now.saturating_add(u64::try_from(LONGEST_LOCK.as_millis()).unwrap_or(u64::MAX));
    x.failures = x.failures.max(y.failures).min(FREE + 16);
    x.locked_until_ms = x.locked_until_ms.max(y.locked_until_ms).min(longest);
    y.recent.into_iter().for_each(|ceremony| x.remember(ceremony));
    written(&x).ok()
}

impl<K: Clone + Eq + Hash> Busy<K> {
    /// Takes the place of one of them, unless it is taken.
    pub(super) fn take(&self, key: &K) -> Result<Place<K>, AuthFault> {
        self.change(key, |under_way| {
            if std::mem::replace(&mut under_way.taken, true) {
                return Err(AuthFault::UnderWay);
            }
            Ok(Place(self.clone(), key.clone()))
        })
    }

    fn change<T>(&self, key: &K, change: impl FnOnce(&mut UnderWay) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = all.entry(key.clone()).or_default();
        let changed = change(under_way);
        if !under_way.taken && under_way.left == 0 {
            all.remove(key);
        }
        changed
    }
}

impl<K> Clone for Busy<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Default for Busy<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Clone + Eq + Hash> Place<K> {
    /// Nobody waits for it any more: another may begin at once, unless [`MOST_LEFT`] are left already.
    pub(super) fn leave(self) -> Left<K> {
        let (all, key) = (self.0.clone(), self.1.clone());
        let many = all.change(&key, |under_way| {
            under_way.left += 1;
            under_way.left > MOST_LEFT
        });
        Left { all, key, _kept: many.then_some(self) }
    }
}

impl<K: Clone + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        self.0.change(&self.1, |under_way| under_way.taken = false);
    }
}

impl<K: Clone + Eq + Hash> Drop for Left<K> {
    fn drop(&mut self) {
        self.all.change(&self.key, |under_way| under_way.left -= 1);
    }
}

impl Auth {
    /// How a user stands at this node.
    pub(super) async fn lockout(&self, key: &UserKey) -> Result<Lockout, AuthFault> {
        let record = self.store.get(Space::Counters, name(key)).await?;
        record.map_or_else(|| Ok(Lockout::default()), |record| read(&record))
    }

    /// Whether a ceremony may begin.
    pub(super) async fn admit(&self, key: &UserKey, ceremony: &[u8; 32]) -> Result<(), AuthFault> {
        self.lockout(key).await?.check(now_unix_ms(), ceremony)
    }

    /// A probe is about to be decided on. Written down before anybody learns the bit: a node or a client that goes away when it has learned it
    /// has used up a try all the same.
    pub(super) async fn attempt(&self, key: &UserKey, ceremony: [u8; 32]) -> Result<(), AuthFault> {
        let key = key.clone();
        let write = self.store.write(move |records| {
            let (mut lockout, now) = (of(records, &key)?, now_unix_ms());
            lockout.check(now, &ceremony)?;
            lockout.remember(ceremony);
            lockout.attempt(now);
            records.put(Space::Counters, &name(&key), &written(&lockout)?)?;
            Ok::<_, AuthFault>(())
        });
        write.await
    }

    /// Takes a number for a signature and forgets failures, if the probe has matched; without a probe, remembers the ceremony. Nothing that is signed under the number leaves before this is written down.
    pub(super) async fn count(
        &self,
        key: &UserKey,
        credential: &str,
        (ceremony, proposed, matched): ([u8; 32], u32, bool),
    ) -> Result<(), AuthFault> {
        let (key, counter) = (key.clone(), counter(key, credential));
        let write = self.store.write(move |records| {
            let now = now_unix_ms();
            let most = now / 1000 + CLOCKS_APART;
            if u64::from(proposed) > most {
                return Err(AuthFault::Ahead { proposed, most });
            }
            let mut lockout = of(records, &key)?;
            if matched {
                lockout = lockout.forgiven();
            } else {
                lockout.check(now, &ceremony)?;
                lockout.remember(ceremony);
            }
            let last = records.get(Space::Counters, &counter)?;
            let last = last.and_then(|last| last.as_slice().try_into().ok()).map_or(0, u32::from_be_bytes);
            let mut counts = SignatureCounter::stored(last);
            counts.take(proposed)?;
            records.put(Space::Counters, &counter, &counts.last().to_be_bytes())?;
            records.put(Space::Counters, &name(&key), &written(&lockout)?)?;
            Ok::<_, AuthFault>(())
        });
        write.await
    }

    /// Forgets failures: the probe has matched. Nothing that is signed leaves before this is written down.
    pub(super) async fn forgive(&self, key: &UserKey) -> Result<(), AuthFault> {
        let key = key.clone();
        let write = self.store.write(move |records| {
            let lockout = of(records, &key)?.forgiven();
            records.put(Space::Counters, &name(&key), &written(&lockout)?)?;
            Ok::<_, AuthFault>(())
        });
        write.await
    }

    /// The number that a login proposes, if it could be [taken](Self::count) now.
    pub(super) async fn countable(&self, key: &UserKey, credential: &str, proposed: u32) -> Result<Count, AuthFault> {
        let last = self.store.get(Space::Counters, counter(key, credential)).await?;
        let last = last.and_then(|last| last.as_slice().try_into().ok()).map_or(0, u32::from_be_bytes);
        let most = now_unix_ms() / 1000 + CLOCKS_APART;
        if u64::from(proposed) > most {
            return Err(AuthFault::Ahead { proposed, most });
        }
        Ok(SignatureCounter::stored(last).take(proposed)?)
    }
}

fn name(key: &UserKey) -> Vec<u8> {
    format!("user/{}/{}", key.owner, key.user).into_bytes()
}

fn counter(key: &UserKey, credential: &str) -> Vec<u8> {
    format!("credential/{}/{credential}", key.owner).into_bytes()
}

fn of(records: &WriteTransaction<'_>, key: &UserKey) -> Result<Lockout, AuthFault> {
    records.get(Space::Counters, &name(key))?.map_or_else(|| Ok(Lockout::default()), |record| read(&record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_records_neither_is_forgotten_and_nobody_is_shut_out_for_good() {
        let count = |count: u32| Value::new(count.to_be_bytes().to_vec());
        assert_eq!(stricter(&count(7), &count(9)), Some(count(9)));
        assert_eq!(stricter(&count(7), &count(u32::MAX)), Some(count(7)), "from a year to come");
        let mut locked = Lockout::default();
        (0..7).for_each(|_| locked.attempt(now_unix_ms()));
        locked.remember([3; 32]);
        let forever = Lockout { failures: u32::MAX, locked_until_ms: u64::MAX, ..Lockout::default() };
        for other in [Lockout::default(), forever] {
            let [one, other] = [&locked, &other].map(|lockout| written(lockout).unwrap_or_default());
            let both: Lockout = read(&stricter(&one, &other).unwrap_or_default()).unwrap_or_default();
            assert!(both.failures >= 7 && both.locked_until_ms >= locked.locked_until_ms, "{both:?}");
            assert!(both.locked_until_ms <= now_unix_ms() + 3_600_000 && both.recent.contains(&[3; 32]));
        }
        assert_eq!(stricter(&count(7), &Value::new(vec![0; 8])), None);
    }

    #[test]
    fn each_failure_after_the_free_ones_doubles_the_time() {
        let mut lockout = Lockout::default();
        let mut now = 1_000_000;
        for _ in 0..FREE - 1 {
            lockout.attempt(now);
            assert!(lockout.check(now, &[0; 32]).is_ok());
        }
        for seconds in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600] {
            lockout.attempt(now);
            assert!(matches!(lockout.check(now, &[0; 32]), Err(AuthFault::Locked { seconds: s }) if s == seconds));
            now += 1000 * seconds;
            assert!(lockout.check(now, &[0; 32]).is_ok());
        }
        lockout.failures = u32::MAX;
        lockout.attempt(now);
        assert_eq!(lockout.locked_until_ms, now + 3_600_000);
    }

    /// Whoever has the device and its certificate, and tries as often as the nodes let him.
    #[test]
    fn a_thousand_wrong_probes_take_weeks() {
        let (mut lockout, begun) = (Lockout::default(), 1_000_000);
        let mut now = begun;
        for k in 0..1000_u32 {
            if let Err(AuthFault::Locked { seconds }) = lockout.check(now, &[1; 32]) {
                now += 1000 * seconds;
            }
            lockout.check(now, &[1; 32]).unwrap_or_else(|e| panic!("probe {k}: {e}"));
            lockout.attempt(now);
        }
        assert_eq!(lockout.failures, 1000);
        let hours = (now - begun) / 3_600_000;
        assert!((980..1000).contains(&hours), "{hours} hours");

        // A thousand probes one second after the other: few are compared, whatever their challenges.
        let (mut lockout, mut compared) = (Lockout::default(), 0);
        for second in 0..1000_u32 {
            let challenge = [second.to_be_bytes(); 8].concat().try_into().unwrap_or([0; 32]);
            if lockout.check(begun + 1000 * u64::from(second), &challenge).is_ok() {
                compared += 1;
                lockout.remember(challenge);
                lockout.attempt(begun + 1000 * u64::from(second));
            }
        }
        assert_eq!(compared, FREE + 5, "after 30, 60, 120, 240 and 480 seconds");
    }

    #[test]
    fn a_ceremony_is_remembered_among_the_last() {
        let mut lockout = Lockout::default();
        for k in 0..=REMEMBERED as u8 {
            lockout.remember([k; 32]);
            assert!(matches!(lockout.check(0, &[k; 32]), Err(AuthFault::Replayed)));
        }
        assert!(lockout.check(0, &[0; 32]).is_ok());
        assert_eq!(lockout.recent.len(), REMEMBERED);
    }

    #[test]
    fn one_login_of_a_user_at_a_time() {
        let busy = Busy::default();
        let key = |user: &str| UserKey { owner: "bank".parse().unwrap(), user: user.parse().unwrap() };
        let place = busy.take(&key("alice")).unwrap_or_else(|_| panic!("free"));
        assert!(matches!(busy.take(&key("alice")), Err(AuthFault::UnderWay)));
        assert!(busy.take(&key("bob")).is_ok());
        drop(place);
        assert!(busy.take(&key("alice")).is_ok());
    }

    #[test]
    fn what_is_left_keeps_nobody_out_unless_it_is_much() {
        let busy = Busy::default();
        let take = || busy.take(&"alice").map_err(|fault| fault.to_string());
        let left: Vec<_> = (0..MOST_LEFT).map(|_| take().expect("free").leave()).collect();
        let next = take().expect("free");
        assert!(take().is_err());
        // One more keeps the place until it has ended.
        let more = next.leave();
        assert!(take().is_err());
        drop(more);
        drop(take().expect("free"));
        drop(left);
        assert!(take().is_ok() && busy.0.lock().is_ok_and(|all| all.is_empty()));
    }
}
