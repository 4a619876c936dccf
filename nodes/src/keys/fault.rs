//! Why a node does not do something with a key.

use super::KeyId;
use crate::{job::Failure, places::Crowded, store::StoreError, tables::Expiry};

/// Why a step with a key was not taken, by who must act. Unless a text says otherwise nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// There is no such key, or the caller has nothing to do with it.
    #[error(
        "there is no {0} here for you; its owner lists keys with `trefoil rsa list`, and names those who may sign when the key is enrolled"
    )]
    Missing(KeyId),
    /// There is one, or may be, and it is somebody else's. The caller is told the same.
    #[error("{}", Self::Missing(.0.clone()))]
    Withheld(KeyId),
    /// There is another key of that name.
    #[error("{0} is there already{1}; choose another name, or delete that key first")]
    Taken(KeyId, &'static str),
    /// Its time is over.
    #[error(
        "{0} expires at {1}, which is over by this node's clock: nothing is done with it, and it is erased; enrol another with a later moment, or see that clocks are right"
    )]
    Over(KeyId, Expiry),
    /// The key is for something else.
    #[error(
        "{0} is not for this: a key for tokens signs nothing but tokens, and no other key signs any; use a key for each"
    )]
    Use(KeyId),
    /// The request is not one.
    #[error("{0}")]
    Invalid(String),
    /// The caller asks for more than the node takes.
    #[error("{0}")]
    Limit(String),
    /// The key asks for too much in a short time.
    #[error(
        "too much is asked of {key}: this node makes {rate} signatures a second for each client and key, and a recovery counts as one; wait {wait_ms} ms, or raise limits.key_signatures on every node"
    )]
    Rate {
        /// Which key.
        key: KeyId,
        /// How many a second.
        rate: u32,
        /// When the next one is made.
        wait_ms: u64,
    },
    /// The node takes as many steps as it may, in all or of this client.
    #[error(transparent)]
    Crowded(#[from] Crowded),
    /// Another step with the key, for which its owner alone waits.
    #[error("a step with {0} is under way; try again in a moment")]
    UnderWay(KeyId),
    /// A recovery share that was used already.
    #[error(
        "a device was recovered with this recovery share and has been handed its new share; go on with the files that the recovery has written, whose recovery share is the next one"
    )]
    Recovered,
    /// New shares are not made while one of a device waits.
    #[error(
        "a new share for the device of {0} waits to be handed out, and what the nodes hold of it would outlive a refresh; nothing was changed: end the recovery first, by `trefoil auth recover` with the recovery share that was used"
    )]
    Issuing(KeyId),
    /// Nothing waits to be handed out for this recovery share.
    #[error(
        "no new share of {0} waits for whoever has this recovery share; begin the recovery first, and use the recovery share that was issued last"
    )]
    NotIssuing(KeyId),
    /// A rule of the key.
    #[error(transparent)]
    Key(#[from] trefoil_auth::Error),
    /// The nodes could not take the step together.
    #[error("{}", .0.cause)]
    Together(Failure),
    /// The node's store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node broke one of its own rules.
    #[error("internal error: {0}; please report this")]
    Bug(String),
}

impl KeyFault {
    /// Whether it is of one record, which cannot be read: others can.
    pub(super) fn is_of_record(&self) -> bool {
        self.is_damage() || matches!(self, Self::Store(StoreError::WrongKey { .. } | StoreError::Format { .. }))
    }

    /// Whether a record is no more than what is left of one: another key of the store, or another version of the program, may read all others.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Store(StoreError::Record { .. }))
    }
}
