//! The shares in use, with their blinding, between signatures.

use super::{KeyFault, stored::Stored};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use trefoil_auth::rsa::{Message, NodePartials, NodeSigner, randomness};

/// The most keys whose shares are kept ready. Blinding costs as much as several signatures to begin.
const MOST: usize = 256;

/// One key's shares of one epoch, for one signature at a time.
type Ready = Arc<Mutex<NodeSigner>>;

/// What signs. Keys are known by their digests, so another key of the same name is another one.
#[derive(Default)]
pub(super) struct Signers {
    ready: Mutex<HashMap<[u8; 32], HashMap<u64, Ready>>>,
    changes: AtomicU64,
}

impl Signers {
    /// How often records have changed: read it before a record, and pass it to [`sign`](Self::sign).
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Raises a message to the shares of an epoch. Blocking, for some milliseconds.
    pub(super) fn sign(
        &self,
        stored: &Stored,
        epoch: u64,
        message: &Message,
        changes: u64,
    ) -> Result<NodePartials, KeyFault> {
        let ready = self.ready(stored, epoch, changes)?;
        let mut rng = randomness()?;
        let mut signer = ready.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(signer.sign(message, &mut rng)?)
    }

    /// Erases the shares of a key whose record has changed, when the signatures under way are made.
    pub(super) fn forget(&self, stored: &Stored) {
        let mut all = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::AcqRel);
        all.remove(&digest(stored));
    }

    fn ready(&self, stored: &Stored, epoch: u64, changes: u64) -> Result<Ready, KeyFault> {
        let digest = digest(stored);
        let mut all = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = all.get(&digest).and_then(|epochs| epochs.get(&epoch)) {
            return Ok(ready.clone());
        }
        let here = stored.record.status().epoch();
        let key = stored.record.at(epoch).ok_or_else(|| {
            KeyFault::Invalid(format!("this node has no shares of epoch {epoch}; those in use are of epoch {here}"))
        })?;
        let ready = Arc::new(Mutex::new(NodeSigner::new(key)));
        // A record that was read before a change may have shares that are to be erased.
        if self.changes() == changes {
            if all.len() >= MOST && !all.contains_key(&digest) {
                // Any: they are made again when they are needed.
                let some = all.keys().next().copied();
                some.map(|some| all.remove(&some));
            }
            all.entry(digest).or_default().insert(epoch, ready.clone());
        }
        Ok(ready)
    }
}

fn digest(stored: &Stored) -> [u8; 32] {
    stored.spec.digest(&stored.id, &stored.public)
}
