//! Memory that held shares: wiped when it is given back, and used again while it is in the cache.
//!
//! A strand allocates vectors of a few sizes over and over. A vector given back here is wiped at once, so one taken
//! from here is zero without being written a second time.

use crate::ring::Ring;
use bytemuck::Pod;
use bytes::Bytes;
use std::{cell::RefCell, collections::VecDeque};

/// Shorter vectors are left to the allocator.
const LEAST_WORDS: usize = 256;
/// What a thread keeps at most, in words: 128 MiB, what a dozen strands record between two checks and use during one.
const KEPT_WORDS: usize = 128 << 17;

#[derive(Default)]
struct Kept {
    free: VecDeque<Vec<u64>>,
    words: usize,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// `len` zeros.
pub(crate) fn zeros<T: Pod>(len: usize) -> Vec<T> {
    if size_of::<T>() == size_of::<u64>() && len >= LEAST_WORDS {
        let found = KEPT.try_with(|kept| {
            let kept = &mut *kept.borrow_mut();
            let at = kept.free.iter().rposition(|v| v.len() == len)?;
            kept.words -= len;
            kept.free.swap_remove_back(at)
        });
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
        let _ = KEPT.try_with(|kept| {
            let kept = &mut *kept.borrow_mut();
            if v.len() > KEPT_WORDS {
                return;
            }
            // Sizes that nobody asks for any more must not take the place of those in use: the longest here goes first.
            while kept.words + v.len() > KEPT_WORDS
                && let Some(oldest) = kept.free.pop_front()
            {
                kept.words -= oldest.len();
            }
            kept.words += v.len();
            kept.free.push_back(v);
        });
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
        KEPT.with(|k| assert!(k.borrow().words <= KEPT_WORDS));
        retire(vec![Z16(1); 1001]);
        assert_eq!(zeros::<Z16>(1001), vec![Z16(0); 1001]);
    }
}
