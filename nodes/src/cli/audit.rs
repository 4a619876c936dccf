//! `trefoil audit`: whether the logs of nodes are as they were written.

use super::{Exit, OutputArgs};
use crate::{
    Error,
    audit::{Finding, LogReport, compare, verify},
};
use serde::Serialize;
use std::{fmt, path::PathBuf};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The subcommands of `trefoil audit`.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum AuditCommand {
    /// Find out whether the logs of one, two or three nodes are whole, unaltered, and tell of the same jobs
    Verify(VerifyArgs),
}

const EXAMPLES: &str = "\
Examples:
  trefoil audit verify /var/lib/trefoil/audit
  trefoil audit verify node-0/audit node-1/audit node-2/audit --json

A log alone shows entries that were altered, or removed from between others. Whoever can write its files can also cut off
its end or write it anew: the node finds that when it starts, and the logs of the other nodes show it here.
Exits with 0 if all is well, and with 5 if a log was changed or logs contradict each other.";

/// What `trefoil audit verify` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// The directories of the logs, or single files of them; of three nodes at most
    #[arg(value_name = "PATH", required = true, num_args = 1..=3)]
    logs: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs a subcommand.
///
/// # Errors
/// [`Error::Audit`] for a log that was changed, [`Error::System`] for one that cannot be read.
pub fn run(command: &AuditCommand) -> Result<Exit, Error> {
    let AuditCommand::Verify(args) = command;
    let logs = args.logs.iter().map(|path| Ok((path.clone(), verify(path)?))).collect::<Result<Vec<_>, Error>>()?;
    let (paths, logs): (Vec<_>, Vec<_>) = logs.into_iter().unzip();
    let findings = compare(&logs);
    let exit = if findings.is_empty() { Exit::Ok } else { Exit::Integrity };
    let logs = paths.into_iter().zip(logs).map(|(path, log)| Log { path, log }).collect();
    let report = Report { whole: findings.is_empty(), logs, findings };
    args.output.resolve().print(&report, &report)?;
    Ok(exit)
}

/// The result; as JSON, and as lines.
#[derive(Serialize)]
struct Report {
    whole: bool,
    logs: Vec<Log>,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Log {
    path: PathBuf,
    #[serde(flatten)]
    log: LogReport,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Log { path, log } in &self.logs {
            let party = log.party.map_or_else(String::new, |party| format!(" P{party},"));
            write!(f, "{}:{party} {} entries", path.display(), log.entries)?;
            if log.first > 0 {
                write!(f, " from number {} on", log.first)?;
            }
            if let Some((from, to)) = log.time_unix_ms {
                write!(f, ", {} to {}", date(from), date(to))?;
            }
            writeln!(f, ", each follows the one before it; end {}", log.link)?;
            if log.torn > 0 {
                writeln!(
                    f,
                    "  {} bytes of a last entry that is not written to its end: the node was killed, or writes now",
                    log.torn
                )?;
            }
        }
        for finding in &self.findings {
            writeln!(f, "CONTRADICTION  {finding}")?;
        }
        match (self.whole, self.logs.len()) {
            (true, 1) => write!(f, "the log is whole"),
            (true, _) => write!(f, "the logs are whole, and tell of the same jobs and tables"),
            (false, _) => write!(
                f,
                "the logs contradict each other: find out which node's was changed before you trust any of them"
            ),
        }
    }
}

fn date(unix_ms: u64) -> String {
    let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).ok();
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| unix_ms.to_string())
}
