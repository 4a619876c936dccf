//! `trefoil doctor`: whether a cluster works, and what to do if it does not.

use super::{ClusterArgs, Exit, OutputArgs, Target, block_on};
use crate::{
    Error,
    config::{Cluster, NodeConfig},
    doctor::{Finding, Level, Setting, diagnose, exit, local, probe, unusable, works},
    pki::ClientAuthRef,
};
use serde::Serialize;
use std::{fmt, path::PathBuf, time::SystemTime};

const EXAMPLES: &str = "\
Examples:
  trefoil doctor --cluster demo/cluster.toml
  trefoil doctor --cluster cluster.toml --identity alice.crt --json
  trefoil doctor --config /etc/trefoil/node/node.toml

With --config it also looks at the machine that it runs on: the node's keys, store, disk, limits and admin listener. Run it there, as the
user of the node.

Exits with 0 if the cluster works, warnings or not; with 2 if the node's configuration or a key cannot be used, with 4 if its disk
or store cannot be, and with 3 if the cluster cannot run jobs for another reason.";

/// What `trefoil doctor` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    #[command(flatten)]
    target: Option<ClusterArgs>,
    /// The configuration of a node of this machine, in place of --cluster: asks the cluster as that node, and looks at the machine too
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cluster", "identity", "token"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Asks every node and prints what was found.
///
/// # Errors
/// Those of [`ClusterArgs::resolve`]; an unreachable node is a finding and no error.
pub fn run(args: &DoctorArgs) -> Result<Exit, Error> {
    let findings = match (&args.target, &args.config) {
        (Some(target), _) => {
            let Target { cluster, identity } = target.resolve()?;
            block_on(ask(&cluster, (&identity).into(), identity.not_after()))?
        }
        (None, Some(file)) => match NodeConfig::load(file) {
            Ok(config) => block_on(async {
                let mut findings = local(&config, file).await;
                let identity = &config.identity;
                findings.extend(ask(&config.cluster, identity.into(), Some(identity.facts().not_after)).await?);
                Ok(findings)
            })?,
            Err(error) => vec![unusable(&error)],
        },
        (None, None) => {
            let text = "name the cluster with --cluster FILE, or a node of this machine with --config FILE";
            return Err(Error::Usage(text.to_owned()));
        }
    };
    let report = Report { works: works(&findings), findings };
    args.output.resolve().print(&report, &report)?;
    Ok(exit(&report.findings))
}

async fn ask(
    cluster: &Cluster,
    auth: ClientAuthRef<'_>,
    identity_not_after: Option<i64>,
) -> Result<Vec<Finding>, Error> {
    let probes = probe(cluster, auth).await?;
    let setting = Setting { cluster, version: env!("CARGO_PKG_VERSION"), identity_not_after, now: SystemTime::now() };
    Ok(diagnose(&setting, &probes))
}

/// The result; as JSON, and as a table.
#[derive(Serialize)]
struct Report {
    works: bool,
    findings: Vec<Finding>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let level = match finding.level {
                Level::Ok => "ok",
                Level::Warning => "WARNING",
                Level::Error => "ERROR",
            };
            writeln!(f, "{level:<8} {:<7} {:<9} {}", finding.place, finding.check, finding.found)?;
            if let Some(remedy) = &finding.remedy {
                writeln!(f, "{:<27}-> {remedy}", "")?;
            }
        }
        let count = |level| self.findings.iter().filter(|f| f.level == level).count();
        let warnings = count(Level::Warning);
        match (self.works, warnings) {
            (true, 0) => write!(f, "the cluster works"),
            (true, n) => write!(f, "the cluster works; warnings: {n}"),
            (false, n) => write!(f, "the cluster cannot run jobs; errors: {}, warnings: {n}", count(Level::Error)),
        }
    }
}
