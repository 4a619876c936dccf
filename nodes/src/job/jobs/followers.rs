//! Who follows jobs, and how many streams each client has.

use super::Refusal;
use crate::pki::ClientName;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Streams of events of one client at the same time.
const EACH: u32 = 16;

/// The streams of each client.
#[derive(Debug, Default)]
pub(super) struct Followers(Mutex<HashMap<ClientName, u32>>);

/// One stream. Given back on drop.
#[derive(Debug)]
pub struct Follower {
    all: Arc<Followers>,
    client: ClientName,
}

impl Followers {
    pub(super) fn admit(self: &Arc<Self>, client: &ClientName) -> Result<Follower, Refusal> {
        let mut all = self.lock();
        let mine = all.entry(client.clone()).or_default();
        if *mine >= EACH {
            return Err(Refusal::Following { most: EACH });
        }
        *mine += 1;
        Ok(Follower { all: self.clone(), client: client.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientName, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(mine) = all.get_mut(&self.client) {
            *mine -= 1;
            if *mine == 0 {
                all.remove(&self.client);
            }
        }
    }
}
