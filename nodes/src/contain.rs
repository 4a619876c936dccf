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

/// From here on panics that are [contained](contain) are not printed: whoever reads what is damaged says so.
pub fn keep_contained_panics_quiet() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !CONTAINED.get() {
            before(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn what_is_contained_is_not_told_and_all_else_is() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (before, heard, here) = (panic::take_hook(), told.clone(), std::thread::current().id());
        panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == here {
                heard.lock().expect("no panic").push(info.payload_as_str().unwrap_or_default().to_owned());
            } else {
                before(info);
            }
        }));
        keep_contained_panics_quiet();
        assert_eq!(contain(|| 7), Some(7));
        assert_eq!(contain(|| contain(|| panic!("of the library")).is_none()), Some(true));
        assert!(contain(|| panic!("of the library")).is_none());
        catch_unwind(|| panic!("our own")).expect_err("it panics");
        assert_eq!(*told.lock().expect("no panic"), ["our own"]);
    }
}
