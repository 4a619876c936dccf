//! What is written down.

use crate::{
    config::ClusterId,
    job::{Accepted, Asked, JobId, JobState, Sha256Hex},
    keys::{ErasedKey, KeyId},
    tables::Erased,
    upkeep::UpkeepReport,
};
use serde::{Deserialize, Serialize};

/// Something that a node has done or refused. Names and digests, and no secret.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The first entry of a file.
    Opened {
        /// The version of the form of the log.
        format: u32,
        /// The cluster.
        cluster: ClusterId,
        /// The node: 0, 1 or 2.
        party: u8,
        /// The link that the file begins with: the end of the one before it, zeros for the first.
        previous: Sha256Hex,
    },
    /// The node has started.
    Started {
        /// The version of its software.
        version: String,
    },
    /// The policy that the node acts by from here on.
    Policy {
        /// Its number.
        serial: u64,
        /// The digest of its file.
        sha256: Sha256Hex,
    },
    /// The node was stopped in order.
    Stopped,
    /// The log was found with so many bytes of an entry that was not written to its end, which were removed.
    Repaired {
        /// How many.
        bytes: u64,
    },
    /// The log was found without entries that the node's store says were there: this many were written in all. What was there is gone, or was moved away.
    Lost {
        /// How many entries there had been.
        entries: u64,
        /// The link after them.
        link: Sha256Hex,
    },
    /// A job was taken on.
    JobAccepted(Accepted),
    /// A job has ended: where it stands after that.
    JobEnded {
        /// The job.
        job: JobId,
        /// How.
        #[serde(flatten)]
        state: JobState,
    },
    /// A table was erased because its time was over.
    TableExpired(Erased),
    /// A key was erased because its time was over.
    KeyExpired(ErasedKey),
    /// The record of a key was damaged and no other node had the key, so that a rebuild of this node has removed it.
    KeyRemoved(KeyId),
    /// The nodes have compared their stores by themselves: what this one has found.
    StoreCompared(UpkeepReport),
    /// A request that changes something, hands out an output or was refused: all but those that have an entry of their own.
    Request(Asked),
    /// More requests of a client were refused in a minute than are written down one by one.
    Refusals {
        /// Who has asked, by its certificate.
        client: String,
        /// How many are not among the entries before.
        more: u64,
    },
    /// Entries can be written again.
    Resumed {
        /// How often that had failed since the node started. What was asked for then was refused.
        failures: u64,
    },
}
