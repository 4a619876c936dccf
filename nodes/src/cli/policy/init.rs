//! `trefoil policy init`: policies for nodes that have none.

use crate::{
    Error,
    audit::AuditWhose,
    cli::{Exit, OutputArgs},
    cluster_files::ClusterFiles,
    config::{Cluster, NodeConfig, POLICY},
    pki::{create_private, create_public},
    policy::{PolicySigner, default_policy, signature_path},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use trefoil_engine::Party;

/// What `trefoil policy init` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct InitArgs {
    /// The directory of the cluster, with cluster.toml and the directories of nodes as `trefoil cluster init` writes them
    #[arg(long)]
    dir: PathBuf,
    /// The private key of the operator; drawn and written if there is none [default: `policy.key` in DIR]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
For each directory of a node that is there (node-0, node-1, node-2) and whose node.toml names no policy: writes policy.toml and
its signature, and adds `policy` and `policy_key` to node.toml. What is there stays as it is. Start the nodes again after it.

Examples:
  trefoil policy init --dir prod
  trefoil policy init --dir prod --key /media/operator/policy.key";

/// Runs it.
///
/// # Errors
/// [`Error::Usage`] if there is no node without a policy, [`Error::Config`] or [`Error::System`] for files.
pub(super) fn run(args: &InitArgs) -> Result<Exit, Error> {
    let files = ClusterFiles::at(&args.dir);
    let cluster = Cluster::load(&files.cluster())?;
    let mut without = Vec::new();
    for party in Party::ALL {
        let path = files.node(party);
        if path.exists() && NodeConfig::load(&path)?.policy.is_none() {
            let policy = files.policy(party);
            for path in [&policy, &signature_path(&policy)] {
                if path.symlink_metadata().is_ok() {
                    let message = format!(
                        "{} exists, and node.toml does not name it; name it there or remove it",
                        path.display()
                    );
                    return Err(Error::Usage(message));
                }
            }
            without.push(party);
        }
    }
    if without.is_empty() {
        let message = format!("{} has no node whose node.toml is without a policy", args.dir.display());
        return Err(Error::Usage(message));
    }
    let key = args.key.clone().unwrap_or_else(|| files.policy_key());
    let signer = if key.exists() {
        PolicySigner::load(&key)?
    } else {
        let signer = PolicySigner::generate()?;
        create_private(&key, signer.pem().as_bytes())?;
        signer
    };
    for party in &without {
        let text = default_policy(AuditWhose { cluster: cluster.id(), party: *party });
        create_public(&files.policy(*party), text.as_bytes())?;
        create_public(&signature_path(&files.policy(*party)), signer.sign(&text)?.as_bytes())?;
        name(&files.node(*party), &signer)?;
    }
    let names: Vec<_> = without.iter().map(ToString::to_string).collect();
    let text = format!(
        "wrote a policy for {}, which permits what clients could do until now, signed with {}: keep the key off the nodes, and start the nodes again",
        names.join(", "),
        key.display()
    );
    let parties: Vec<_> = without.iter().map(|party| party.index()).collect();
    args.output.resolve().print(&serde_json::json!({ "parties": parties, "key": key }), text)?;
    Ok(Exit::Ok)
}

/// Names the policy in a node's file, before its first table: whole, or not at all.
fn name(path: &Path, signer: &PolicySigner) -> Result<(), Error> {
    let failed = |what: &str| Error::system(format!("{what} {}", path.display()));
    let text = fs::read_to_string(path).map_err(failed("read"))?;
    let table = text.lines().position(|line| line.trim_start().starts_with('[')).unwrap_or(usize::MAX);
    let named = format!("policy = \"{POLICY}\"\npolicy_key = \"{}\"\n", signer.public());
    let (before, after): (Vec<_>, Vec<_>) = text.lines().enumerate().partition(|(at, _)| *at < table);
    let joined = |lines: Vec<(usize, &str)>| lines.into_iter().flat_map(|(_, line)| [line, "\n"]).collect::<String>();
    let new = path.with_extension("toml.new");
    fs::write(&new, format!("{}{named}\n{}", joined(before), joined(after))).map_err(failed("write"))?;
    fs::rename(&new, path).map_err(failed("write"))?;
    NodeConfig::load(path).map(drop)
}
