//! Panics of libraries that read what others have written: contained, and not told as faults of this program.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Takes a step of a library that may panic on damaged input. `None` if it does.
pub(crate) fn contain<T>(step: impl FnOnce() -> T) -> Option<T> {
    let before = CONTAINED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(step));
    CONTAINED.set(before);
    done.ok()
}

/// From here on panics of libraries that are [contained](contain) are not printed: whoever reads what is damaged says so. The log has their places at level debug, and
/// not their words, which may be of the data.
pub fn keep_contained_panics_quiet() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // Our own are faults wherever they are.
        match info.location().filter(|at| CONTAINED.get() && !at.file().contains("nodes/src/")) {
            Some(at) => tracing::debug!("contained a panic at {at}"),
            None => before(info),
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        thread,
    };

    /// Panics in a library.
    fn theirs() {
        drop(bytes::Bytes::new().slice(1..2));
    }

    fn ours() {
        panic!("of our own");
    }

    #[test]
    fn what_is_contained_is_not_told_and_our_own_faults_are() {
        let told: Arc<[AtomicUsize; 2]> = Arc::default();
        let (before, heard, here) = (panic::take_hook(), told.clone(), thread::current().id());
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() != here {
                return before(info);
            }
            heard[usize::from(info.payload_as_str() == Some("of our own"))].fetch_add(1, SeqCst);
        }));
        keep_contained_panics_quiet();
        let contained = [contain(theirs), contain(|| contain(theirs).expect("it panics")), contain(ours)];
        let quiet = CONTAINED.get();
        let loud = [catch_unwind(theirs).is_err(), catch_unwind(ours).is_err()];
        // From here on failures of this test are told again.
        drop(panic::take_hook());
        assert_eq!((contained, quiet, loud), ([None; 3], false, [true; 2]));
        assert_eq!(contain(|| 7), Some(7));
        // `expect` above is our own too.
        assert_eq!([told[0].load(SeqCst), told[1].load(SeqCst)], [2, 2]);
    }
}
