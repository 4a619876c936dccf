//! What an operator has the three nodes do with their stores together.

use crate::{
    Error,
    cli::{ClusterArgs, Exit, OutputArgs, block_on},
    client::Client,
    job::JobId,
    upkeep::{Task, Unwitnessed, UpkeepReport, UpkeepSpec},
};
use std::fmt::Write as _;

/// What `trefoil store compare` and `refresh` are given.
#[derive(Debug, clap::Args)]
#[command(after_help = TOGETHER)]
pub struct TogetherArgs {
    #[command(flatten)]
    target: ClusterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What `trefoil store rebuild` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = REBUILD)]
pub struct RebuildArgs {
    /// The node that has lost its store: 0, 1 or 2
    #[arg(long, value_name = "NODE", value_parser = clap::value_parser!(u8).range(0..3))]
    node: u8,
    /// What becomes of shares that the nodes never compared while this one had them: `refuse` leaves them out and names them
    #[arg(long, value_name = "WHAT", default_value = "refuse", value_parser = ["refuse", "accept"])]
    unwitnessed: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    target: ClusterArgs,
}

const TOGETHER: &str = "\
Nodes go on with jobs and logins meanwhile. What is broken off leaves the shares of before in use, or the new ones, at all
three: run it again. A comparison makes the nodes remember something of each other's shares, by which they find out later
who has changed one, and by which a node that has lost its store is rebuilt: run one after large uploads, and both from a
timer.

Examples:
  trefoil store compare --cluster cluster.toml --identity operator.crt
  trefoil store refresh --cluster cluster.toml --identity operator.crt --json";

const REBUILD: &str = "\
Start the node first, with its certificate and key (or new ones) and an empty store. The two others send it the shares
that it had, and neither learns more than it knew. What they send is checked against what the nodes remember of their last
`trefoil store compare`. Refresh the store afterwards, so that whoever finds the lost disk has nothing.

Examples:
  trefoil store rebuild --cluster cluster.toml --identity operator.crt --node 1
  trefoil store refresh --cluster cluster.toml --identity operator.crt";

/// Compares, or makes anew.
///
/// # Errors
/// As [`Client::upkeep`].
pub fn together(task: Task, args: &TogetherArgs) -> Result<Exit, Error> {
    run(task, (&args.target, &args.output), (None, Unwitnessed::Refuse))
}

/// Rebuilds a node.
///
/// # Errors
/// As [`Client::upkeep`].
pub fn rebuild(args: &RebuildArgs) -> Result<Exit, Error> {
    let unwitnessed = if args.unwitnessed == "accept" { Unwitnessed::Accept } else { Unwitnessed::Refuse };
    run(Task::Rebuild, (&args.target, &args.output), (Some(args.node), unwitnessed))
}

fn run(
    task: Task,
    (target, output): (&ClusterArgs, &OutputArgs),
    (node, unwitnessed): (Option<u8>, Unwitnessed),
) -> Result<Exit, Error> {
    let target = target.resolve()?;
    let spec = UpkeepSpec { session: JobId::random()?, node, unwitnessed };
    let reports = block_on(async {
        let client = Client::connect(&target.cluster, &target.identity).await?;
        client.upkeep(task, &spec).await
    })?;
    output.resolve().print(&reports, text(task, node, &reports))?;
    let findings = || reports.iter().flat_map(|report| &report.findings);
    let contradicted = findings().any(|finding| !finding.suspects.is_empty());
    Ok(match findings().count() {
        0 => Exit::Ok,
        _ if contradicted => Exit::Integrity,
        _ => Exit::Failed,
    })
}

fn text(task: Task, node: Option<u8>, reports: &[UpkeepReport; 3]) -> String {
    let UpkeepReport { tables, outputs, templates, keys, bytes, .. } = &reports[usize::from(node.unwrap_or(0)) % 3];
    let findings: usize = reports.iter().map(|report| report.findings.len()).sum();
    let mut text = match task {
        Task::Compare => format!(
            "compared {tables} tables, the outputs of {outputs} jobs and {templates} templates, of {bytes} bytes a component"
        ),
        Task::Refresh => format!(
            "{tables} tables, the outputs of {outputs} jobs, {templates} templates and {keys} keys have new shares; those of before are of no use"
        ),
        Task::Rebuild => {
            let then = if findings == 0 {
                "now run `trefoil store refresh`"
            } else {
                "what follows it does not have again: mend that, and run it again"
            };
            format!(
                "P{} was sent its shares of {tables} tables, the outputs of {outputs} jobs, {templates} templates and {keys} keys; {then}",
                node.unwrap_or(0)
            )
        }
    };
    if findings == 0 {
        text.push_str(if task == Task::Rebuild { "" } else { "; all shares fit" });
    }
    for report in reports {
        for finding in &report.findings {
            let _ = write!(text, "\nP{} says of {}: {}", report.node, finding.what, finding.cause);
        }
    }
    text
}
