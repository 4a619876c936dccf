//! What the tables of a node take up, and its bounds.

use super::{Expiry, TableKey};
use crate::{job::Limits, pki::ClientName};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Why a table is not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TableRefusal {
    /// There is another of that version.
    #[error("{0} is there already; delete it, or upload a new version")]
    Taken(TableKey),
    /// It is arriving on another connection.
    #[error("{0} is being uploaded on another connection; wait for that one, or ask again when it has ended")]
    Uploading(TableKey),
    /// It is being deleted.
    #[error("{0} is being deleted; ask again when that is done")]
    Leaving(TableKey),
    /// Its time is over already.
    #[error(
        "{0} would have expired at {1}, and this node's clock is beyond that; name a later moment, or see that clocks are right"
    )]
    Over(TableKey, Expiry),
    /// There is no such upload to go on with.
    #[error("this node has no beginning of that upload of {0}; send it whole")]
    Unbegun(TableKey),
    /// Other bytes come next.
    #[error(
        "this node has {1} bytes of that upload of {0}, and those from there on come next; GET its path with `/upload` tells how far it is"
    )]
    Elsewhere(TableKey, u64),
    /// There are too many tables, or they hold too many bytes.
    #[error(
        "{what} of the tables would be {got}, and this node takes {limit}; delete tables, or raise limits.{key} on every node"
    )]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// What it would be with this one.
        got: u64,
        /// What the node takes.
        limit: u64,
        /// The limit.
        key: &'static str,
    },
}

/// What the tables of each client take up.
#[derive(Default)]
pub(super) struct Accounts(Mutex<HashMap<ClientName, Mine>>);

#[derive(Clone, Copy, Default)]
struct Mine {
    tables: u64,
    bytes: u64,
}

impl Accounts {
    pub(super) fn reserve(
        this: &Arc<Self>,
        limits: &Limits,
        owner: &ClientName,
        bytes: u64,
    ) -> Result<Held, TableRefusal> {
        let totals = this.lock();
        let all: u64 = totals.values().map(|mine| mine.bytes).sum();
        let mine = totals.get(owner).copied().unwrap_or_default();
        for (what, got, limit, key) in [
            ("the number", mine.tables + 1, u64::from(limits.client_tables), "client_tables"),
            ("the bytes", mine.bytes.saturating_add(bytes), limits.client_table_bytes, "client_table_bytes"),
            ("the bytes of all clients", all.saturating_add(bytes), limits.all_table_bytes, "all_table_bytes"),
        ] {
            if got > limit {
                return Err(TableRefusal::Full { what, got, limit, key });
            }
        }
        Ok(Self::held(this, totals, owner, bytes))
    }

    /// Counts a table, whatever the limits are.
    pub(super) fn hold(this: &Arc<Self>, owner: &ClientName, bytes: u64) -> Held {
        Self::held(this, this.lock(), owner, bytes)
    }

    fn held(
        this: &Arc<Self>,
        mut totals: MutexGuard<'_, HashMap<ClientName, Mine>>,
        owner: &ClientName,
        bytes: u64,
    ) -> Held {
        let mine = totals.entry(owner.clone()).or_default();
        *mine = Mine { tables: mine.tables + 1, bytes: mine.bytes + bytes };
        drop(totals);
        Held { accounts: this.clone(), owner: owner.clone(), bytes }
    }

    /// Tables, and bytes, of all clients.
    pub(super) fn load(&self) -> (u64, u64) {
        self.lock().values().fold((0, 0), |(tables, bytes), mine| (tables + mine.tables, bytes + mine.bytes))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientName, Mine>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one table takes up. Given back on drop, so it lives beside what it stands for.
pub(super) struct Held {
    accounts: Arc<Accounts>,
    owner: ClientName,
    bytes: u64,
}

impl Held {
    /// Gives back what is not needed of it.
    pub(super) fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        let mut totals = self.accounts.lock();
        if let Some(mine) = totals.get_mut(&self.owner) {
            mine.bytes -= self.bytes - bytes;
        }
        drop(totals);
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut totals = self.accounts.lock();
        if let Some(mine) = totals.get_mut(&self.owner) {
            mine.tables -= 1;
            mine.bytes -= self.bytes;
            if mine.tables == 0 {
                totals.remove(&self.owner);
            }
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({} bytes)", self.bytes)
    }
}
