//! The argument of every command that submits a job or foretells one.

use crate::job::ModeSpec;

/// The security mode, as typed.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ModeArgs {
    /// The security mode. All three nodes have to be given the same, which the nodes compare
    #[arg(long, value_enum, default_value_t)]
    pub mode: ModeSpec,
}
