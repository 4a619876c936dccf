//! How tables came to be at a node.

use serde::{Deserialize, Serialize};

/// Who has made a table. What a job computes is its requester's table, and is no more for its eyes than the permits of what it was made of say: nobody fetches it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provenance {
    /// A job; or it is not known, of tables that were stored before nodes wrote it down.
    #[default]
    Computed,
    /// Its owner, who has uploaded it and knows what it holds.
    Uploaded,
}
