//! Where the outputs of a job are until they are deleted.

use serde::{Deserialize, Serialize};

/// Where the outputs of a job are until they are deleted or their time is over.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetainSpec {
    /// On the nodes' disks, encrypted, before the job is said to be done: they outlive a restart.
    #[default]
    Store,
    /// In the nodes' memory: the end comes some milliseconds earlier, and a node that ends loses them.
    Memory,
}

impl RetainSpec {
    /// Whether nothing need be said.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "for serde")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::Store
    }
}
