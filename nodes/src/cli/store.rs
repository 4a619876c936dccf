//! `trefoil store`: what is done with the records of a node that does not run, and with those of all three together.

mod upkeep;

use super::{Exit, OutputArgs};
use crate::{
    Error,
    config::NodeConfig,
    store::{Rekeyed, Whose, rekey},
    upkeep::Task,
};
use std::path::PathBuf;

/// The subcommands of `trefoil store`.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum StoreCommand {
    /// Write a node's records anew under a new key, and forget the old one
    Rekey(RekeyArgs),
    /// Have the nodes compare the shares that two of them hold, without showing them to anybody
    Compare(upkeep::TogetherArgs),
    /// Have the nodes make all shares anew, so that those taken from one of them before are of no use
    Refresh(upkeep::TogetherArgs),
    /// Have two nodes give the third, which has lost its store, its shares again
    Rebuild(upkeep::RebuildArgs),
}

const EXAMPLES: &str = "\
`compare`, `refresh` and `rebuild` are for a client that the policies of all three nodes permit `upkeep`: `operator` in new clusters.

For `rekey`, stop the node first: the other two go on with what two nodes can do. There has to be room for the store twice, in a file and in PostgreSQL.

Draws a new key, puts it before the old one in the key file, writes all records anew under it, and removes the old key
from the file. Where it is broken off, run it again. Nothing of shares that were refreshed or deleted is in the new store;
copies of the old one (backups, and the archived write-ahead log of PostgreSQL), and the old key, are yours to destroy.

Where the key is in the environment or in a systemd credential, put the new line before the old one there yourself, run
this, and remove the old line.

Examples:
  trefoil store rekey --config /etc/trefoil/node.toml";

/// What `trefoil store rekey` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RekeyArgs {
    /// The node's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs a subcommand.
///
/// # Errors
/// Those of [`NodeConfig::load`]; [`Error::Store`] if the store cannot be opened or written; as [`Client::upkeep`](crate::client::Client::upkeep).
pub fn run(command: &StoreCommand) -> Result<Exit, Error> {
    match command {
        StoreCommand::Rekey(args) => rekey_store(args),
        StoreCommand::Compare(args) => upkeep::together(Task::Compare, args),
        StoreCommand::Refresh(args) => upkeep::together(Task::Refresh, args),
        StoreCommand::Rebuild(args) => upkeep::rebuild(args),
    }
}

fn rekey_store(args: &RekeyArgs) -> Result<Exit, Error> {
    let config = NodeConfig::load(&args.config)?;
    let (store, whose) = (config.store, Whose { cluster: config.cluster.id(), party: config.party });
    let rekeyed = rekey(&store, whose)?;
    let Rekeyed { records, new_key } = rekeyed;
    let text = if new_key {
        format!(
            "{records} records are under a new key, which is in {}: start the node, and destroy copies of the old key and of the old store",
            store.key.display()
        )
    } else {
        format!(
            "{records} records are under the first of the keys that were given: remove the others from where they came from, and start the node"
        )
    };
    args.output.resolve().print(&rekeyed, text)?;
    Ok(Exit::Ok)
}
