//! `trefoil cluster renew`, `switch` and `settle`: certificates that take the place of others.

use super::OutputArgs;
use crate::{
    Error,
    cluster_files::{self, ClusterFiles, Pending, Settle},
    pki::Lifetime,
};
use std::path::PathBuf;
use trefoil_engine::Party;

/// What `trefoil cluster renew` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = RENEW_EXAMPLES)]
pub struct RenewArgs {
    /// The directory of the cluster, with cluster.toml, ca.crt and ca.key
    #[arg(long)]
    dir: PathBuf,
    /// The node: 0, 1 or 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=2), required_unless_present = "authority")]
    node: Option<u8>,
    /// Make a new authority instead, from which all certificates are issued from then on
    #[arg(long, conflicts_with = "node")]
    authority: bool,
    /// Days for which the certificate is valid
    #[arg(long, default_value_t = Lifetime::DEFAULT_DAYS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// A copy of cluster.toml that is to be changed likewise; may be given several times
    #[arg(long, value_name = "FILE")]
    cluster: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

const RENEW_EXAMPLES: &str = "\
Examples:
  trefoil cluster renew --dir prod --node 1
  trefoil cluster renew --dir prod --node 1 --days 90 --cluster /etc/trefoil/cluster.toml
  trefoil cluster renew --dir prod --authority";

/// What `trefoil cluster switch` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = SWITCH_EXAMPLES)]
pub struct SwitchArgs {
    /// The node's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

const SWITCH_EXAMPLES: &str = "\
Examples:
  trefoil cluster switch --config /etc/trefoil/node.toml
  systemctl reload trefoil-node";

/// What `trefoil cluster settle` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = SETTLE_EXAMPLES)]
pub struct SettleArgs {
    /// The directory of the cluster, with cluster.toml
    #[arg(long, required_unless_present = "cluster")]
    dir: Option<PathBuf>,
    /// A copy of cluster.toml that is to be changed likewise; may be given several times
    #[arg(long, value_name = "FILE")]
    cluster: Vec<PathBuf>,
    /// Of two authorities accept the new one alone, and leave the certificates of nodes as they are
    #[arg(long)]
    authority: bool,
    /// Forget what was announced, instead
    #[arg(long)]
    withdraw: bool,
    #[command(flatten)]
    output: OutputArgs,
}

const SETTLE_EXAMPLES: &str = "\
Examples:
  trefoil cluster settle --dir prod
  trefoil cluster settle --cluster /etc/trefoil/cluster.toml
  trefoil cluster settle --dir prod --withdraw
  trefoil cluster settle --dir prod --authority";

pub(super) fn renew(args: &RenewArgs) -> Result<(), Error> {
    let files = ClusterFiles::at(&args.dir);
    let node = args.node.and_then(|node| Party::from_index(node.into()));
    let renewed = match node {
        Some(party) => files.renew_node(party, Lifetime::days(args.days), &args.cluster)?,
        None => files.renew_authority(Lifetime::authority(args.days), &args.cluster)?,
    };
    let (certificate, clusters) = (renewed.certificate.display(), shown(&renewed.clusters));
    let then = match node {
        Some(party) => format!(
            "1. Copy cluster.toml to every node and client, and send the nodes SIGHUP. `trefoil doctor` shows when all have it.\n\
             2. Bring both files to the machine of {party}, run `trefoil cluster switch --config node.toml` there, and send that node SIGHUP.\n\
             3. When `trefoil doctor` shows its next certificate: trefoil cluster settle --dir {dir}; copy cluster.toml again, and SIGHUP.",
            dir = args.dir.display()
        ),
        None => "1. Copy cluster.toml to every node and client, and send the nodes SIGHUP.\n\
                 2. Renew the certificates of all nodes and clients.\n\
                 3. When nobody shows one of the old authority any more: trefoil cluster settle --authority"
            .to_owned(),
    };
    let text = format!("created {certificate} and its key; it is accepted beside the old one in {clusters}\n\n{then}");
    let json = serde_json::json!({ "certificate": renewed.certificate, "clusters": renewed.clusters });
    args.output.resolve().print(&json, text)
}

pub(super) fn switch(args: &SwitchArgs) -> Result<(), Error> {
    let certificate = cluster_files::switch(&args.config)?;
    let text = format!("{} is the new certificate now; send the node SIGHUP", certificate.display());
    args.output.resolve().print(&serde_json::json!({ "certificate": certificate }), text)
}

pub(super) fn settle(args: &SettleArgs) -> Result<(), Error> {
    let own = args.dir.iter().map(|dir| ClusterFiles::at(dir).cluster());
    let clusters: Vec<_> = own.chain(args.cluster.iter().cloned()).collect();
    let how = if args.withdraw { Settle::Withdraw } else { Settle::Adopt };
    let what = if args.authority { Pending::Authority } else { Pending::Certificates };
    let changed = cluster_files::settle(&clusters, what, how)?;
    let text = format!("changed {}; copy it to every node and client, and send the nodes SIGHUP", shown(&changed));
    args.output.resolve().print(&serde_json::json!({ "clusters": changed }), text)
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
