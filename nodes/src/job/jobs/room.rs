//! Room for jobs: a place among the waiting jobs, bytes in memory, and bytes in the node's store.

use super::{Limits, Refusal};
use crate::pki::ClientName;
use std::{
    collections::HashMap,
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
    stored: u64,
    clients: HashMap<ClientName, Mine>,
}

/// What those of one client do.
#[derive(Clone, Copy, Default)]
struct Mine {
    live: u32,
    stored: u64,
}

/// Bytes that a job needs: in memory, and in the store when it is done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Need {
    pub(super) held: u64,
    pub(super) stored: u64,
}

impl Accounts {
    /// Room for a job that has not ended.
    pub(super) fn reserve(self: &Arc<Self>, limits: &Limits, owner: &ClientName, need: Need) -> Result<Room, Refusal> {
        let totals = self.lock();
        let mine = totals.clients.get(owner).copied().unwrap_or_default();
        if mine.live >= limits.client_waiting_jobs {
            return Err(Refusal::Share);
        }
        if totals.live >= limits.waiting_jobs {
            return Err(Refusal::Busy);
        }
        if !fits(totals.held, need.held, limits.held_bytes) {
            return Err(Refusal::Full);
        }
        if !fits(mine.stored, need.stored, limits.client_output_bytes) {
            return Err(Refusal::Stored { key: "client_output_bytes" });
        }
        if !fits(totals.stored, need.stored, limits.all_output_bytes) {
            return Err(Refusal::Stored { key: "all_output_bytes" });
        }
        Ok(self.take(totals, owner, (1, need)))
    }

    /// Room in memory for what is read from the store.
    pub(super) fn load_room(self: &Arc<Self>, limits: &Limits, owner: &ClientName, held: u64) -> Result<Room, Refusal> {
        let totals = self.lock();
        if !fits(totals.held, held, limits.held_bytes) {
            return Err(Refusal::Full);
        }
        Ok(self.take(totals, owner, (0, Need { held, stored: 0 })))
    }

    /// What is in the store already, whatever the limits are now.
    pub(super) fn hold_stored(self: &Arc<Self>, owner: &ClientName, stored: u64) -> Room {
        self.take(self.lock(), owner, (0, Need { held: 0, stored }))
    }

    fn take(
        self: &Arc<Self>,
        mut totals: MutexGuard<'_, Totals>,
        owner: &ClientName,
        (live, Need { held, stored }): (u32, Need),
    ) -> Room {
        totals.live += live;
        totals.held += held;
        totals.stored += stored;
        let mine = totals.clients.entry(owner.clone()).or_default();
        mine.live += live;
        mine.stored += stored;
        drop(totals);
        Room { accounts: self.clone(), owner: owner.clone(), live, held, stored }
    }

    /// Jobs that have not ended, and bytes in memory.
    pub(super) fn load(&self) -> (u32, u64) {
        let totals = self.lock();
        (totals.live, totals.held)
    }

    /// Bytes in the store, those set aside among them.
    pub(super) fn stored(&self) -> u64 {
        self.lock().stored
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fits(have: u64, more: u64, limit: u64) -> bool {
    have.checked_add(more).is_some_and(|sum| sum <= limit)
}

/// What one job takes up. Given back on drop, so it lives beside what it stands for.
pub struct Room {
    accounts: Arc<Accounts>,
    owner: ClientName,
    live: u32,
    held: u64,
    stored: u64,
}

impl Room {
    /// The job has ended and still holds `held` bytes in memory, no more than before.
    pub(super) fn ended(&mut self, held: u64) {
        self.keep(0, held, self.stored);
    }

    /// What the job takes up in the store, apart.
    pub(super) fn split_stored(&mut self) -> Self {
        let stored = std::mem::take(&mut self.stored);
        Self { accounts: self.accounts.clone(), owner: self.owner.clone(), live: 0, held: 0, stored }
    }

    fn keep(&mut self, live: u32, held: u64, stored: u64) {
        let (live, held, stored) = (live.min(self.live), held.min(self.held), stored.min(self.stored));
        let mut totals = self.accounts.lock();
        totals.live -= self.live - live;
        totals.held -= self.held - held;
        totals.stored -= self.stored - stored;
        if let Some(mine) = totals.clients.get_mut(&self.owner) {
            mine.live -= self.live - live;
            mine.stored -= self.stored - stored;
            if (mine.live, mine.stored) == (0, 0) {
                totals.clients.remove(&self.owner);
            }
        }
        drop(totals);
        (self.live, self.held, self.stored) = (live, held, stored);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.keep(0, 0, 0);
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Room({} bytes in memory, {} in the store)", self.held, self.stored)
    }
}
