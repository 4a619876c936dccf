//! `trefoil doctor`: whether a cluster works, and what to do if it does not.

use super::{ClusterArgs, Exit, OutputArgs, block_on};
use crate::{
    Error,
    doctor::{Finding, Level, Setting, diagnose, probe, works},
};
use serde::Serialize;
use std::{fmt, time::SystemTime};

const EXAMPLES: &str = "\
Examples:
  trefoil doctor --cluster demo/cluster.toml
  trefoil doctor --cluster cluster.toml --identity alice.crt --json

Exits with 0 if the cluster works, warnings or not, and with 3 if it cannot run jobs.";

/// What `trefoil doctor` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    #[command(flatten)]
    target: ClusterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Asks every node and prints what was found.
///
/// # Errors
/// Those of [`ClusterArgs::resolve`]; an unreachable node is a finding and no error.
pub fn run(args: &DoctorArgs) -> Result<Exit, Error> {
    let target = args.target.resolve()?;
    let output = args.output.resolve();
    let probes = block_on(probe(&target.cluster, &target.identity))?;
    let setting = Setting {
        cluster: &target.cluster,
        version: env!("CARGO_PKG_VERSION"),
        identity_not_after: target.identity.facts().not_after,
        now: SystemTime::now(),
    };
    let findings = diagnose(&setting, &probes);
    let report = Report { works: works(&findings), findings };
    output.print(&report, &report)?;
    Ok(if report.works { Exit::Ok } else { Exit::Unreachable })
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
