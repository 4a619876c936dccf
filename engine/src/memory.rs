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
};

/// Shorter vectors are left to the allocator.
const LEAST_WORDS: usize = 256;
/// What a thread keeps at most, in words: 128 MiB, what a dozen strands record between two checks and use during one.
const KEPT_WORDS: usize = 128 << 17;

/// Calls of [`trim`] so far.
static TRIMS: AtomicU64 = AtomicU64::new(0);
/// Of all threads that have one.
static CACHES: Mutex<Vec<Weak<Mutex<Cache>>>> = Mutex::new(Vec::new());

thread_local! {
    static CACHE: Arc<Mutex<Cache>> = {
        let cache = Arc::default();
        held(&CACHES).push(Arc::downgrade(&cache));
        cache
    };
}

/// What one thread has given back and not taken again.
#[derive(Default)]
struct Cache {
    free: VecDeque<Unused>,
    words: usize,
}

/// A vector of zeros, and how often [`trim`] had been called when it was given back.
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

    fn keep(&mut self, zeros: Vec<u64>) {
        if zeros.len() > KEPT_WORDS {
            return;
        }
        // Sizes that nobody asks for any more must not take the place of those in use: the longest here goes first.
        while self.words + zeros.len() > KEPT_WORDS
            && let Some(oldest) = self.free.pop_front()
        {
            self.words -= oldest.zeros.len();
        }
        self.words += zeros.len();
        self.free.push_back(Unused { zeros, since: TRIMS.load(Ordering::Relaxed) });
    }

    /// Takes out what was given back before so many calls of [`trim`].
    fn unused_since(&mut self, trims: u64) -> Vec<Unused> {
        let (gone, stay) = self.free.drain(..).partition::<Vec<_>, _>(|v| v.since < trims);
        self.free = stay.into();
        self.words -= gone.iter().map(|v| v.zeros.len()).sum::<usize>();
        gone
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives memory back to the allocator that no thread has used since the last call but one, and says how many bytes it was.
///
/// For processes that live long: what a burst of large jobs has left behind would otherwise stay, up to 128 MiB for each thread that ran them. Call it
/// every few seconds, from any thread; memory in use by a protocol that goes on stays where it is.
pub fn trim() -> usize {
    let before = TRIMS.fetch_add(1, Ordering::Relaxed);
    let caches: Vec<_> = {
        let mut caches = held(&CACHES);
        caches.retain(|cache| cache.strong_count() > 0);
        caches.iter().filter_map(Weak::upgrade).collect()
    };
    // Freed when the cache is no longer locked: that may take the system a while.
    let gone = |cache: Arc<Mutex<Cache>>| held(&cache).unused_since(before);
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
        let _ = CACHE.try_with(|cache| held(cache).keep(v));
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

    #[test]
    fn memory_comes_back_zero_and_within_bounds() {
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
        // No other test of this program calls for it.
        let (hand, ready) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            retire(vec![Lanes::ONES; 5000]);
            hand.send(()).expect("the test waits");
            ended.recv().expect_err("the test is over");
            CACHE.with(|cache| held(cache).words)
        });
        ready.recv().expect("the other thread has given back");
        retire(vec![Lanes::ONES; 3000]);
        let words = || CACHE.with(|cache| held(cache).words);
        trim();
        assert_eq!(words(), 3000, "it was in use since the call before");
        let used = zeros::<Lanes>(3000);
        retire(used);
        assert!(trim() >= 5000 * size_of::<u64>(), "the other thread's was not used between the two calls");
        assert_eq!(words(), 3000, "this one was");
        assert_eq!(trim() % 8, 0);
        assert_eq!(words(), 0);
        drop(end);
        assert_eq!(other.join().expect("ended"), 0);
    }
}
