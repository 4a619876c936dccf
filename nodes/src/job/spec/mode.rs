//! The security mode of a job.

use serde::{Deserialize, Serialize};
use std::fmt;
use trefoil_engine::{Malicious, Mode, SemiHonest};

/// The security mode of a job.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ModeSpec {
    /// One party may try to learn from what it sees, but follows the protocol
    SemiHonest,
    /// One party may deviate in any way: it learns nothing, and nothing wrong is released
    #[default]
    Malicious,
}

impl ModeSpec {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::SemiHonest, Self::Malicious];

    /// The name on the command line and in result rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SemiHonest => SemiHonest::NAME,
            Self::Malicious => Malicious::NAME,
        }
    }
}

impl fmt::Display for ModeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
