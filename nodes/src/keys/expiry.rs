//! Keys that are there until a moment that their owner has named.

use super::{ExchangeId, KeyFault, KeyId, KeyName, Keys, stored::Stored};
use crate::{job::Sha256Hex, pki::ClientName, store::Store, tables::Expiry};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// When keys expire, so that not all are looked at each time. A key may have been replaced since, and is looked at when its moment has come.
#[derive(Debug, Default)]
pub(super) struct Due {
    moments: Mutex<BTreeSet<(Expiry, KeyId)>>,
    /// Whether those are among them that were in the store at the start.
    read: tokio::sync::OnceCell<()>,
}

/// A key that was erased because its time was over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ErasedKey {
    /// Whose it was.
    pub owner: ClientName,
    /// Its name.
    pub name: KeyName,
    /// Which enrolment it was of.
    pub enrolment: ExchangeId,
    /// The digest of its public key.
    pub sha256: Sha256Hex,
    /// When it has expired.
    pub expired: Option<Expiry>,
}

impl Due {
    pub(super) fn note(&self, stored: &Stored) {
        if let Some(expires) = stored.spec.expires {
            self.lock().insert((expires, stored.id.clone()));
        }
    }

    /// It is not there any more.
    pub(super) fn forget(&self, stored: &Stored) {
        if let Some(expires) = stored.spec.expires {
            self.lock().remove(&(expires, stored.id.clone()));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    async fn read(&self, store: &Store) -> Result<(), KeyFault> {
        let note = |id, stored: Result<Stored, KeyFault>| match stored {
            Ok(stored) => self.note(&stored),
            Err(fault) => tracing::error!("when {id} expires is not known: {fault}"),
        };
        let all = || Stored::each(store, "", note);
        self.read.get_or_try_init(all).await?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(Expiry, KeyId)>> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    /// Erases the keys whose time is over. Gives what is gone; what cannot be erased now is the next time.
    ///
    /// # Errors
    /// [`KeyFault`] of the store, before anything was erased.
    pub async fn erase_expired(self: &Arc<Self>) -> Result<Vec<ErasedKey>, KeyFault> {
        self.due.read(&self.store).await?;
        let now = (self.clock)();
        let over: Vec<_> = self.due.lock().iter().take_while(|(at, _)| at.is_over(now)).cloned().collect();
        let mut gone = Vec::new();
        for (at, id) in over {
            match self.erase(&id).await {
                Ok(stored) => {
                    self.due.lock().remove(&(at, id));
                    gone.extend(stored.map(|stored| ErasedKey::of(&stored)));
                }
                // Whoever works with it ends soon, since nothing is done with it any more.
                Err(KeyFault::UnderWay(_)) => {}
                Err(fault) => tracing::error!("{id} has expired and cannot be erased: {fault}"),
            }
        }
        Ok(gone)
    }

    /// Erases a key if its time is over.
    async fn erase(&self, id: &KeyId) -> Result<Option<Stored>, KeyFault> {
        let _step = self.step_now(id)?;
        let (id, now) = (id.clone(), (self.clock)());
        let write = self.store.write(move |records| {
            let stored = Stored::read(records, &id)?.filter(|stored| stored.spec.is_over(now));
            if let Some(stored) = &stored {
                stored.remove(records)?;
            }
            Ok::<_, KeyFault>(stored)
        });
        let gone = write.await?;
        if let Some(gone) = &gone {
            self.signers.forget(gone);
        }
        Ok(gone)
    }
}

impl ErasedKey {
    fn of(stored: &Stored) -> Self {
        let KeyId { owner, name } = stored.id.clone();
        let (enrolment, expired) = (stored.spec.enrolment, stored.spec.expires);
        Self { owner, name, enrolment, sha256: Sha256Hex(stored.public.id()), expired }
    }
}
