//! Room for jobs: a place among the waiting jobs, and bytes.

use super::{Limits, Refusal};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What all jobs of a node take up together.
#[derive(Default)]
pub(super) struct Accounts(Mutex<Totals>);

#[derive(Default)]
struct Totals {
    live: u32,
    held: u64,
}

impl Accounts {
    pub(super) fn reserve(self: &Arc<Self>, limits: &Limits, bytes: u64) -> Result<Room, Refusal> {
        let mut totals = self.lock();
        if totals.live >= limits.waiting_jobs {
            return Err(Refusal::Busy);
        }
        let held = totals.held.checked_add(bytes).filter(|held| *held <= limits.held_bytes).ok_or(Refusal::Full)?;
        totals.live += 1;
        totals.held = held;
        Ok(Room { accounts: self.clone(), bytes, live: true })
    }

    pub(super) fn load(&self) -> (u32, u64) {
        let totals = self.lock();
        (totals.live, totals.held)
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one job takes up. Given back on drop, so it lives beside what it stands for.
pub struct Room {
    accounts: Arc<Accounts>,
    bytes: u64,
    live: bool,
}

impl Room {
    /// The job has ended and still holds `bytes`, no more than before.
    pub(super) fn ended(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        let mut totals = self.accounts.lock();
        totals.held -= self.bytes - bytes;
        totals.live -= u32::from(self.live);
        self.bytes = bytes;
        self.live = false;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.ended(0);
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Room({} bytes)", self.bytes)
    }
}
