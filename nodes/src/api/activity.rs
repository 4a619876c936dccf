//! How long a connection is idle.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A connection without a request is closed after this time.
pub(super) const IDLE: Duration = Duration::from_mins(1);

/// When a connection last did something.
pub(super) struct Activity(Mutex<(u32, Instant)>);

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }
}

/// A request under way.
pub(super) struct Busy(Arc<Activity>, Instant);

impl Activity {
    pub(super) fn begin(this: &Arc<Self>) -> Busy {
        let (_, last) = this.change(|(requests, last)| (requests + 1, last));
        Busy(this.clone(), last)
    }

    /// When the connection has been without a request for too long, if none comes before.
    pub(super) fn idle_until(&self) -> Instant {
        let (requests, last) = self.change(|now| now);
        if requests == 0 { last + IDLE } else { Instant::now() + IDLE }
    }

    /// A request that was refused before anybody knew whose it is, and does not keep the connection open.
    pub(super) fn refused(busy: Busy) {
        let last = busy.1;
        let activity = busy.0.clone();
        drop(busy);
        activity.change(|(requests, _)| (requests, last));
    }

    fn change(&self, f: impl FnOnce((u32, Instant)) -> (u32, Instant)) -> (u32, Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = f(*state);
        *state
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(|(requests, _)| (requests - 1, Instant::now()));
    }
}
