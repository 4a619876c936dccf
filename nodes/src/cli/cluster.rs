//! `trefoil cluster`: the files of a cluster.

mod renewal;

use super::{Exit, OutputArgs};
use crate::{
    Error,
    cluster_files::{ClusterFiles, ClusterPlan, NodeSettings, default_hosts},
    config::{Address, Cluster, Listen},
    pki::{ClientName, Lifetime},
};
use serde::Serialize;
use std::{net::IpAddr, path::PathBuf};
use trefoil_engine::Party;

/// The subcommands of `trefoil cluster`.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum ClusterCommand {
    /// Create certificates and configuration for three nodes and one client
    ///
    /// Writes under DIR: `cluster.toml` (public; every machine gets a copy), `node-0`, `node-1` and `node-2`
    /// (each for its own machine: `node.toml`, `node.crt`, `node.key`, `policy.toml` with its signature), `client.crt` and `client.key` (for whoever
    /// submits jobs), and `ca.crt` and `ca.key` (the cluster's authority) and `policy.key` (which signs the policies of the nodes); keep both keys off the nodes. Nothing that
    /// exists is ever overwritten.
    Init(InitArgs),
    /// Create a further client identity with the authority's key
    ///
    /// Writes NAME.crt and NAME.key beside the cluster file. The name stands for the client: jobs and tables belong to it, and outputs are
    /// released to it. It must be given to one client alone, so leave NAME.crt, which is public, where it is: while it is there the name is not given
    /// again. With --renew, issues a new certificate and key to a client that has one.
    Client(ClientArgs),
    /// Issue a new certificate and key to a node, or make a new authority
    ///
    /// Writes `node-N/node.crt.next` and `node.key.next` under DIR, and announces the certificate in `cluster.toml`: nodes and clients that have this file accept
    /// the old and the new certificate. docs/operations/certificates.md has all steps.
    Renew(renewal::RenewArgs),
    /// Have a node take over the certificate that was issued to it
    ///
    /// Puts `node.crt.next` and `node.key.next` in the place of the present files, which stay as `node.crt.old` and `node.key.old`. The node reads them when it gets SIGHUP.
    Switch(renewal::SwitchArgs),
    /// End a renewal: accept the new certificates alone
    ///
    /// In each cluster file the announced certificates take the place of the present ones.
    Settle(renewal::SettleArgs),
}

const EXAMPLES: &str = "\
Examples:
  trefoil cluster init --dir demo
  trefoil cluster init --dir prod --hosts a.example,b.example,c.example --days 90
  trefoil cluster init --dir lab --hosts 10.0.0.1,10.0.0.2,10.0.0.3 --json
  trefoil cluster client --dir prod --name alice
  trefoil cluster renew --dir prod --node 1
  trefoil cluster switch --config /etc/trefoil/node.toml
  trefoil cluster settle --dir prod";

/// What `trefoil cluster init` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct InitArgs {
    /// Where to write the files; created if absent
    #[arg(long)]
    dir: PathBuf,
    /// The hosts of node 0, 1 and 2, names or addresses [default: three nodes on 127.0.0.1]
    #[arg(long, value_delimiter = ',', value_name = "A,B,C")]
    hosts: Vec<String>,
    /// Days for which the certificates are valid
    #[arg(long, default_value_t = Lifetime::DEFAULT_DAYS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// UDP port of the mesh; nodes on the same host get this and the next two
    #[arg(long, default_value_t = 7750, value_parser = clap::value_parser!(u16).range(1..=65_533))]
    mesh_port: u16,
    /// TCP port of the client API; nodes on the same host get this and the next two
    #[arg(long, default_value_t = 7760, value_parser = clap::value_parser!(u16).range(1..=65_533))]
    api_port: u16,
    /// TCP port of the admin listener on 127.0.0.1, without TLS; nodes on the same host get this and the next two
    #[arg(long, default_value_t = 7770, value_parser = clap::value_parser!(u16).range(1..=65_533))]
    admin_port: u16,
    #[command(flatten)]
    output: OutputArgs,
}

/// What `trefoil cluster client` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = CLIENT_EXAMPLES)]
pub struct ClientArgs {
    /// The directory of the cluster, with cluster.toml, ca.crt and ca.key
    #[arg(long)]
    dir: PathBuf,
    /// The client's name: letters, digits, `.`, `_` and `-`
    #[arg(long)]
    name: String,
    /// Issue a new certificate and key to a client that has one; the old pair stays as NAME.crt.old and NAME.key.old
    #[arg(long)]
    renew: bool,
    /// Days for which the certificate is valid
    #[arg(long, default_value_t = Lifetime::DEFAULT_DAYS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    #[command(flatten)]
    output: OutputArgs,
}

const CLIENT_EXAMPLES: &str = "\
Examples:
  trefoil cluster client --dir prod --name alice --days 90
  trefoil cluster client --dir prod --name alice --renew
  trefoil doctor --cluster prod/cluster.toml --identity prod/alice.crt";

/// Runs a subcommand of `trefoil cluster`.
///
/// # Errors
/// [`Error::Usage`] for hosts that are not three or files that exist, [`Error::System`] if files cannot
/// be written.
pub fn run(command: ClusterCommand) -> Result<Exit, Error> {
    match command {
        ClusterCommand::Init(args) => {
            let output = args.output.resolve();
            let files = args.resolve()?.create()?;
            output.print(&Created::of(&files, args.days)?, next_steps(&files))?;
        }
        ClusterCommand::Client(args) => {
            let output = args.output.resolve();
            let name: ClientName = args.name.parse().map_err(|e| Error::Usage(format!("--name: {e}")))?;
            let (files, lifetime) = (ClusterFiles::at(&args.dir), Lifetime::days(args.days));
            let identity =
                if args.renew { files.renew_client(&name, lifetime)? } else { files.add_client(&name, lifetime)? };
            let text = format!("created {}; use it with --identity", identity.display());
            output.print(&serde_json::json!({ "identity": identity, "valid_days": args.days }), text)?;
        }
        ClusterCommand::Renew(args) => renewal::renew(&args)?,
        ClusterCommand::Switch(args) => renewal::switch(&args)?,
        ClusterCommand::Settle(args) => renewal::settle(&args)?,
    }
    Ok(Exit::Ok)
}

impl InitArgs {
    fn resolve(&self) -> Result<ClusterPlan, Error> {
        let hosts: [String; 3] = if self.hosts.is_empty() {
            default_hosts()
        } else {
            let hosts: Vec<_> = self.hosts.iter().map(|h| bare(h.trim()).to_owned()).collect();
            <[String; 3]>::try_from(hosts).map_err(|given| {
                Error::Usage(format!("--hosts names {} hosts; a cluster has three nodes: --hosts A,B,C", given.len()))
            })?
        };
        let shared = hosts[0] == hosts[1] || hosts[1] == hosts[2] || hosts[0] == hosts[2];
        let port = |base: u16, party: Party| if shared { base + party.index() as u16 } else { base };
        let address = |host: &str, port| Address::new(host, port).map_err(|e| Error::Usage(format!("--hosts: {e}")));
        let mut nodes = Vec::with_capacity(3);
        for (party, host) in Party::ALL.into_iter().zip(&hosts) {
            let public = Listen {
                mesh: address(host, port(self.mesh_port, party))?,
                api: address(host, port(self.api_port, party))?,
                admin: None,
            };
            let any = any_interface(host);
            let listen = Listen {
                mesh: address(any, public.mesh.port())?,
                api: address(any, public.api.port())?,
                admin: Some(address("127.0.0.1", port(self.admin_port, party))?),
            };
            nodes.push((public, listen));
        }
        let nodes = nodes.try_into().map_err(|_| Error::Bug("three hosts make three nodes".to_owned()))?;
        Ok(ClusterPlan { dir: self.dir.clone(), nodes, days: self.days, settings: NodeSettings::default() })
    }
}

/// A host without the brackets that IPv6 addresses wear in URLs.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
}

/// Where a node listens: loopback stays loopback, everything else may sit behind address translation.
fn any_interface(host: &str) -> &str {
    match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => host,
        Ok(IpAddr::V6(_)) => "::",
        _ if host == "localhost" => "127.0.0.1",
        _ => "0.0.0.0",
    }
}

/// The result as JSON.
#[derive(Serialize)]
struct Created {
    cluster: PathBuf,
    nodes: [PathBuf; 3],
    identity: PathBuf,
    cluster_digest: String,
    valid_days: u32,
}

impl Created {
    fn of(files: &ClusterFiles, valid_days: u32) -> Result<Self, Error> {
        Ok(Self {
            cluster: files.cluster(),
            nodes: Party::ALL.map(|p| files.node(p)),
            identity: files.identity(),
            cluster_digest: Cluster::load(&files.cluster())?.digest().to_string(),
            valid_days,
        })
    }
}

fn next_steps(files: &ClusterFiles) -> String {
    let dir = files.dir().display();
    let start = Party::ALL.map(|p| format!("  trefoil node --config {}", files.node(p).display())).join("\n");
    format!(
        "created the cluster {cluster}\n\nTo run it, copy cluster.toml and one node directory to each machine, side by side as \
         they are here, then start on machine 0, 1 and 2:\n{start}\n\nClients need cluster.toml, client.crt and client.key. \
         Keep {dir}/ca.key and {dir}/policy.key off the nodes, and delete the copies of node keys that have moved.\nCheck the cluster with:\n  \
         trefoil doctor --cluster {cluster}",
        cluster = files.cluster().display(),
    )
}
