//! `trefoil job`: the jobs of a client, as the three nodes have them.

use super::{ClusterArgs, Exit, Output, OutputArgs, interruptible, line};
use crate::{
    Error,
    client::{Client, PlainVector},
    job::{JobEntry, JobEvent, JobId, JobState, JobStatus, ModeSpec, ProgramKind},
    pki::{ClientName, date},
};
use serde::Serialize;
use std::collections::BTreeMap;
use trefoil_engine::Party;

/// The subcommands of `trefoil job`.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum JobCommand {
    /// List the jobs that this client has submitted or may fetch outputs of, the newest first
    List(ListArgs),
    /// Say where a job stands at each node, and why it failed
    Show(OneArgs),
    /// Follow a job until it has ended at all three nodes
    Watch(OneArgs),
    /// Cancel a job, or say that its outputs are not needed any more
    Cancel(OneArgs),
    /// Fetch the outputs of a job that are for this client, and print them
    Outputs(OneArgs),
    /// Run a job again that was interrupted, under a new id
    Rerun(OneArgs),
}

const EXAMPLES: &str = "\
The outputs of a job stay at the nodes until its submitter and all recipients have deleted it (`trefoil job cancel`), or
its time is over (`limits.retention`); they outlive a restart, unless the job said that memory is enough. A job that was
under way when a node ended has failed and is not resumed. `trefoil job rerun` has it run again, under a new id and with new
randomness, if all its inputs are tables at the nodes. Nodes keep nothing of what came with a job: where inputs, a circuit or a
model did, submit it again with the command that submitted it.

Examples:
  trefoil job list --cluster demo/cluster.toml
  trefoil job watch --cluster demo/cluster.toml 00112233445566778899aabbccddeeff
  trefoil job rerun --cluster demo/cluster.toml 00112233445566778899aabbccddeeff
  trefoil job outputs --cluster demo/cluster.toml --identity demo/auditor.crt 00112233445566778899aabbccddeeff";

/// Arguments of `trefoil job list`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// So many at most
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of the commands about one job, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct OneArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The job: 32 hexadecimal digits, as `trefoil job list` prints them
    #[arg(value_name = "ID")]
    id: JobId,
    #[command(flatten)]
    output: OutputArgs,
}

/// A job as it stands at the three nodes.
#[derive(Debug, Serialize)]
struct Row {
    job: JobId,
    owner: ClientName,
    mode: ModeSpec,
    program: Option<ProgramKind>,
    submitted_unix_ms: Option<u64>,
    nodes: Vec<At>,
}

#[derive(Debug, Serialize)]
struct At {
    node: u8,
    #[serde(flatten)]
    state: JobState,
}

/// An output in the clear.
#[derive(Serialize)]
struct Shown<'a> {
    output: usize,
    #[serde(flatten)]
    values: Values<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Values<'a> {
    /// Integers in two's complement.
    Integers(&'a [i64]),
    /// Bytes in hexadecimal, the lowest bit of each first.
    Bits(&'a str),
}

/// Runs a subcommand.
///
/// # Errors
/// Those of the client; [`Error::Job`] if a job that is watched fails.
pub fn run(command: &JobCommand) -> Result<Exit, Error> {
    match command {
        JobCommand::List(args) => list(args),
        JobCommand::Show(args) => show(args),
        JobCommand::Watch(args) => watch(args),
        JobCommand::Cancel(args) => cancel(args),
        JobCommand::Outputs(args) => outputs(args),
        JobCommand::Rerun(args) => rerun(args),
    }
}

fn list(args: &ListArgs) -> Result<Exit, Error> {
    let target = args.cluster.resolve()?;
    let lists =
        interruptible(async { Ok(Client::new(&target.cluster, &target.identity)?.jobs(args.limit.into()).await) })?;
    let mut rows: BTreeMap<JobId, Row> = BTreeMap::new();
    for (node, entries) in answered(lists)? {
        for JobEntry { status, program, submitted_unix_ms, .. } in entries {
            let row = rows.entry(status.id).or_insert_with(|| Row::new(&status));
            row.program = row.program.or(program);
            row.submitted_unix_ms = row.submitted_unix_ms.max(Some(submitted_unix_ms));
            row.nodes.push(At { node, state: status.state });
        }
    }
    let output = args.output.resolve();
    if rows.is_empty() && output == Output::Text {
        line("no jobs: those of this client have been deleted, or their time is over")?;
    }
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.submitted_unix_ms));
    for row in rows.iter().take(args.limit.into()) {
        output.print(row, row.text())?;
    }
    Ok(Exit::Ok)
}

fn show(args: &OneArgs) -> Result<Exit, Error> {
    let target = args.cluster.resolve()?;
    let row = interruptible(async { states(&Client::new(&target.cluster, &target.identity)?, args.id).await })?;
    args.output.resolve().print(&row, row.lines())?;
    Ok(Exit::Ok)
}

fn watch(args: &OneArgs) -> Result<Exit, Error> {
    let target = args.cluster.resolve()?;
    let output = args.output.resolve();
    interruptible(async {
        let client = Client::new(&target.cluster, &target.identity)?;
        // The node that grants turns knows the place in the queue.
        let mut printed = Ok(());
        let print = |event: &JobEvent| {
            let written = output.print(event, told(event));
            if printed.is_ok() {
                printed = written;
            }
        };
        client.follow(args.id, Party::P0, print).await?;
        printed?;
        client.job(args.id).await?.wait().await
    })?;
    Ok(Exit::Ok)
}

fn cancel(args: &OneArgs) -> Result<Exit, Error> {
    let target = args.cluster.resolve()?;
    let [a, b, c] =
        interruptible(async { Ok(Client::new(&target.cluster, &target.identity)?.delete_job(args.id).await) })?;
    // All have been asked.
    a.and(b).and(c)?;
    let text = format!("job {} is not needed any more, and is cancelled if it had not ended", args.id);
    args.output.resolve().print(&serde_json::json!({ "job": args.id, "deleted": true }), text)?;
    Ok(Exit::Ok)
}

fn outputs(args: &OneArgs) -> Result<Exit, Error> {
    let target = args.cluster.resolve()?;
    let outcome = interruptible(async {
        let client = Client::new(&target.cluster, &target.identity)?;
        client.job(args.id).await?.outcome().await
    })?;
    let output = args.output.resolve();
    let mine: Vec<_> =
        outcome.outputs.iter().enumerate().filter_map(|(k, values)| Some((k, values.as_ref()?))).collect();
    if mine.is_empty() {
        return Err(Error::Usage(format!(
            "no output of job {} is for this client; `trefoil job show` lists them",
            args.id
        )));
    }
    for (k, values) in mine {
        print(output, k, values)?;
    }
    Ok(Exit::Ok)
}

fn rerun(args: &OneArgs) -> Result<Exit, Error> {
    let target = args.cluster.resolve()?;
    let job =
        interruptible(async { Ok(Client::new(&target.cluster, &target.identity)?.rerun(args.id).await?.leave()) })?;
    let text = format!("job {} is run again as {job}; `trefoil job watch` follows it", args.id);
    args.output.resolve().print(&serde_json::json!({ "job": job, "repeats": args.id }), text)?;
    Ok(Exit::Ok)
}

fn print(output: Output, k: usize, values: &PlainVector) -> Result<(), Error> {
    match values {
        PlainVector::Bits(words) => {
            let bytes = zeroize::Zeroizing::new(words.iter().flat_map(|word| word.0.to_le_bytes()).collect::<Vec<_>>());
            let text = zeroize::Zeroizing::new(hex::encode(&*bytes));
            output.print(&Shown { output: k, values: Values::Bits(&text) }, format!("output {k}: {}", *text))
        }
        PlainVector::Z64(numbers) => integers(output, k, numbers.iter().map(|x| x.0.cast_signed()).collect()),
        PlainVector::Z16(numbers) => integers(output, k, numbers.iter().map(|x| x.0.cast_signed().into()).collect()),
    }
}

fn integers(output: Output, k: usize, numbers: Vec<i64>) -> Result<(), Error> {
    let numbers = zeroize::Zeroizing::new(numbers);
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    output.print(&Shown { output: k, values: Values::Integers(&numbers) }, format!("output {k}: {}", texts.join(" ")))
}

/// The answers of the nodes that gave one. Of the others the user is warned; if none did, the first error is returned.
fn answered<T>(answers: [Result<T, Error>; 3]) -> Result<Vec<(u8, T)>, Error> {
    let (mut good, mut first) = (Vec::new(), None);
    for (node, answer) in (0..).zip(answers) {
        match answer {
            Ok(answer) => good.push((node, answer)),
            Err(error) => {
                tracing::warn!("{error}");
                first = first.or(Some(error));
            }
        }
    }
    match first {
        Some(error) if good.is_empty() => Err(error),
        _ => Ok(good),
    }
}

async fn states(client: &Client, id: JobId) -> Result<Row, Error> {
    let mut row: Option<Row> = None;
    for (node, status) in answered(client.job_states(id).await)? {
        let row = row.get_or_insert_with(|| Row::new(&status));
        row.nodes.push(At { node, state: status.state });
    }
    row.ok_or_else(|| Error::Bug("no answer and no error".to_owned()))
}

impl Row {
    fn new(status: &JobStatus) -> Self {
        let JobStatus { id, owner, mode, .. } = status;
        Self { job: *id, owner: owner.clone(), mode: *mode, program: None, submitted_unix_ms: None, nodes: Vec::new() }
    }

    /// One line.
    fn text(&self) -> String {
        let program = self.program.map_or_else(|| "job".to_owned(), name);
        let at = self.submitted_unix_ms.map_or_else(String::new, |ms| format!(", {}", date((ms / 1000).cast_signed())));
        let first = self.nodes.first().map(|at| state(&at.state));
        let same = self.nodes.len() == 3 && self.nodes.iter().all(|at| Some(state(&at.state)) == first);
        let stands = match first {
            Some(first) if same => first.to_owned(),
            _ => {
                self.nodes.iter().map(|at| format!("P{} {}", at.node, state(&at.state))).collect::<Vec<_>>().join(", ")
            }
        };
        let cause = self.nodes.iter().find_map(|at| match &at.state {
            JobState::Failed { failure } => Some(format!(" ({})", failure.cause)),
            _ => None,
        });
        format!("{} {program} ({}) of {}{at}: {stands}{}", self.job, self.mode, self.owner, cause.unwrap_or_default())
    }

    /// A line for each node.
    fn lines(&self) -> String {
        let head = format!("{} ({}) of {}", self.job, self.mode, self.owner);
        let nodes = self.nodes.iter().map(|At { node, state: stands }| match stands {
            JobState::Done { cost } => {
                format!(
                    "P{node}: done in {:.3} s, {} rounds, {} bytes sent",
                    cost.seconds, cost.rounds, cost.bytes_sent
                )
            }
            JobState::Failed { failure } => format!("P{node}: failed: {}", failure.cause),
            other => format!("P{node}: {}", state(other)),
        });
        [head].into_iter().chain(nodes).collect::<Vec<_>>().join("\n")
    }
}

fn state(state: &JobState) -> &'static str {
    match state {
        JobState::Receiving => "receiving",
        JobState::Accepted => "accepted",
        JobState::Running => "running",
        JobState::Done { .. } => "done",
        JobState::Failed { .. } => "failed",
    }
}

fn told(event: &JobEvent) -> String {
    match event {
        JobEvent::Receiving => "the input is arriving".to_owned(),
        JobEvent::Accepted => "accepted, waiting for the other nodes or for its turn".to_owned(),
        JobEvent::Queued { before } => format!("in the queue, {before} before it"),
        JobEvent::Running { bytes_sent, progress } => {
            let part = progress.map_or_else(String::new, |part| format!("{:.1} % done, ", part * 100.0));
            format!("running, {part}{} sent by P0", indicatif::HumanBytes(*bytes_sent))
        }
        JobEvent::Done { cost } => format!("done in {:.3} s, {} rounds", cost.seconds, cost.rounds),
        JobEvent::Failed { failure } => format!("failed: {}", failure.cause),
    }
}

/// As specifications write it.
fn name(program: ProgramKind) -> String {
    let text = serde_json::to_value(program).ok();
    text.as_ref().and_then(|text| text.as_str()).unwrap_or("job").to_owned()
}
