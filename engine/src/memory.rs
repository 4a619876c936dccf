//! Memory that held shares: wiped when it is given back, and used again while it is in the cache.
//!
//! A strand allocates vectors of a few sizes over and over. A vector given back here is wiped at once, so one taken
//! from here is zero without being written a second time. What is not taken again stays with its thread, up to 128 MiB,
//! until [`trim`] is called: a server does that every few seconds.

use crate::ring::Ring;
use bytemuck::Pod;
use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Shorter vectors are left to the allocator.
const LEAST_WORDS: usize = 256;
/// What a thread keeps at most, in words: 128 MiB, what a dozen strands record between two checks and use during one.
const KEPT_WORDS: usize = 128 << 17;
/// Memory that was not used for this long is not in use any more.
const UNUSED: Duration = Duration::from_secs(5);

/// How often the caches were looked through.
static ROUND: AtomicU64 = AtomicU64::new(0);
/// When they were the last time.
static TRIMMED: Mutex<Option<Instant>> = Mutex::new(None);
/// Of all threads that have one.
static CACHES: Mutex<Vec<Weak<Mutex<Cache>>>> = Mutex::new(Vec::new());

thread_local! {
    static CACHE: Arc<Mutex<Cache>> = {
        let cache = Arc::default();
        let mut caches = held(&CACHES);
        // Of threads that have ended.
        caches.retain(|cache| cache.strong_count() > 0);
        caches.push(Arc::downgrade(&cache));
        cache
    };
}

/// What one thread has given back and not taken again.
#[derive(Default)]
struct Cache {
    free: VecDeque<Unused>,
    words: usize,
}

/// A vector of zeros, and the round in which it was given back.
struct Unused {
    zeros: Vec<u64>,
    since: u64,
}

impl Cache {
    fn take(&mut self, len: usize) -> Option<Vec<u64>> {
        let at = self.free.iter().rposition(|v| v.zeros.len() == len)?;
        self.words -= len;
        Some(self.free.swap_remove_back(at)?.zeros)
    }

    fn keep(&mut self, zeros: Vec<u64>, since: u64) {
        if zeros.len() > KEPT_WORDS {
            return;
        }
        // Sizes that nobody asks for any more must not take the place of those in use: what is further back goes first.
        while self.words + zeros.len() > KEPT_WORDS
            && let Some(oldest) = self.free.pop_front()
        {
            self.words -= oldest.zeros.len();
        }
        self.words += zeros.len();
        self.free.push_back(Unused { zeros, since });
    }

    /// Takes out what was given back before this round.
    fn given_back_before(&mut self, round: u64) -> Vec<Unused> {
        if self.free.iter().all(|v| v.since >= round) {
            return Vec::new();
        }
        let (gone, stay) = self.free.drain(..).partition::<Vec<_>, _>(|v| v.since < round);
        self.free = stay.into();
        self.words -= gone.iter().map(|v| v.zeros.len()).sum::<usize>();
        gone
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the memory back to the allocator that was in the caches at the call before and was not used since; says how many bytes that is.
///
/// For processes that live long: what a burst of large jobs has left behind would otherwise stay, up to 128 MiB for each
/// thread that ran them. Call it every few seconds, from a thread that may wait for the system; a call within five seconds
/// of the one before does nothing. A protocol that needs such memory again has the allocator's.
pub fn trim() -> usize {
    {
        let (mut trimmed, now) = (held(&TRIMMED), Instant::now());
        if trimmed.is_some_and(|trimmed| now.duration_since(trimmed) < UNUSED) {
            return 0;
        }
        *trimmed = Some(now);
    }
    let round = ROUND.fetch_add(1, Ordering::Relaxed);
    let caches: Vec<_> = held(&CACHES).iter().filter_map(Weak::upgrade).collect();
    // Freed when the cache is no longer locked: that may take the system a while.
    let gone = |cache: Arc<Mutex<Cache>>| held(&cache).given_back_before(round);
    caches.into_iter().flat_map(gone).map(|v| size_of_val(v.zeros.as_slice())).sum()
}

/// `len` zeros.
pub(crate) fn zeros<T: Pod>(len: usize) -> Vec<T> {
    if size_of::<T>() == size_of::<u64>() && len >= LEAST_WORDS {
        let found = CACHE.try_with(|cache| held(cache).take(len));
        if let Ok(Some(v)) = found
            && let Ok(v) = bytemuck::allocation::try_cast_vec(v)
        {
            return v;
        }
    }
    vec![T::zeroed(); len]
}

/// Overwrites memory that held a component, in a way the compiler must keep.
pub(crate) fn wipe<T: Pod>(v: &mut [T]) {
    v.fill(T::zeroed());
    zeroize::optimization_barrier(v);
}

/// Wipes a vector and keeps its memory for [`zeros`], within bounds.
pub(crate) fn retire<T: Pod>(mut v: Vec<T>) {
    wipe(&mut v);
    if v.len() < LEAST_WORDS || v.len() != v.capacity() {
        return;
    }
    if let Ok(v) = bytemuck::allocation::try_cast_vec::<T, u64>(v) {
        // While the thread ends, the memory goes back to the allocator.
        let _ = CACHE.try_with(|cache| held(cache).keep(v, ROUND.load(Ordering::Relaxed)));
    }
}

/// A frame with a copy of `elements`, wiped when the transport has let go of it.
pub(crate) fn frame<R: Ring>(elements: &[R]) -> Bytes {
    struct Frame<R: Ring>(Vec<R>);
    impl<R: Ring> AsRef<[u8]> for Frame<R> {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    impl<R: Ring> Drop for Frame<R> {
        fn drop(&mut self) {
            retire(std::mem::take(&mut self.0));
        }
    }
    let mut copy = zeros::<R>(elements.len());
    copy.copy_from_slice(elements);
    Bytes::from_owner(Frame(copy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Lanes, Z16};

    /// One test at a time looks at what all threads share.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn memory_comes_back_zero_and_within_bounds() {
        let _alone = held(&ALONE);
        let mut v = zeros::<Lanes>(1000);
        v.fill(Lanes::ONES);
        let at = v.as_ptr();
        retire(v);
        let again = zeros::<Lanes>(1000);
        assert_eq!(again.as_ptr(), at, "the same memory");
        assert!(again.iter().all(|w| *w == Lanes(0)));
        (0..100).for_each(|_| retire(vec![Lanes::ONES; KEPT_WORDS / 10]));
        CACHE.with(|cache| assert!(held(cache).words <= KEPT_WORDS));
        retire(vec![Z16(1); 1001]);
        assert_eq!(zeros::<Z16>(1001), vec![Z16(0); 1001]);
    }

    #[test]
    fn what_is_not_used_any_more_is_given_back_and_what_is_in_use_stays() {
        let mut cache = Cache::default();
        cache.keep(vec![0; 3000], 7);
        cache.keep(vec![0; 5000], 7);
        assert!(cache.given_back_before(7).is_empty(), "since the look before");
        let used = cache.take(3000).expect("it is there");
        cache.keep(used, 8);
        let gone = cache.given_back_before(8);
        assert_eq!(gone.iter().map(|v| v.zeros.len()).collect::<Vec<_>>(), [5000]);
        assert_eq!((cache.words, cache.free.len()), (3000, 1));
        assert!(cache.take(5000).is_none());
        assert_eq!(cache.given_back_before(9).len(), 1);
        assert_eq!((cache.words, cache.free.len()), (0, 0));
    }

    #[test]
    fn all_threads_are_looked_at_until_they_end_and_not_too_often() {
        let _alone = held(&ALONE);
        let (hand, ready) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            retire(vec![Lanes::ONES; 5000]);
            hand.send(CACHE.with(Arc::downgrade)).expect("the test waits");
            ended.recv().expect_err("the test is over");
        });
        let cache = ready.recv().expect("the other thread has given back");
        let listed = || held(&CACHES).iter().any(|listed| listed.ptr_eq(&cache));
        assert!(listed());
        // As if it had been there at the look before.
        let kept = cache.upgrade().expect("the thread is there");
        ROUND.fetch_add(1, Ordering::Relaxed);
        assert!(trim() >= 5000 * size_of::<u64>());
        assert_eq!(held(&kept).words, 0);
        held(&kept).keep(vec![0; 5000], 0);
        // As if it had just been.
        *held(&TRIMMED) = Some(Instant::now() + Duration::from_hours(1));
        assert_eq!(trim(), 0, "too early");
        assert_eq!(held(&kept).words, 5000);
        drop((kept, end));
        other.join().expect("ended");
        assert!(cache.upgrade().is_none(), "the memory went with the thread");
        std::thread::spawn(|| retire(vec![Lanes::ONES; 5000])).join().expect("ended");
        assert!(!listed());
    }
}
