//! Running jobs: from an accepted job to its output or its failure.

use super::{
    CANCELLED, Failure, FailureKind, Flow, Input, Job, JobCost, JobId, Jobs, Keeping, Kept, LEFT, Outputs, Prepared,
    RunFault, Terms, Turns, agree::agree, progress::Counted, ranges::Ranges,
};
use crate::{
    executor::Tasks,
    tables::{Arriving, TableFault},
    trace::{self, step},
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinHandle};
use tracing::{Instrument as _, Span, debug, error, info, warn};
use trefoil_circuits::{credit::Number, program::OutputVector};
use trefoil_engine::{
    Error, LinkFault, Party, SessionKeys, Z64,
    transport::{BoxFuture, SessionId, Transport},
};
use zeroize::Zeroizing;

/// Jobs that a node declines at the same time, and tells the others of.
const DECLINING: usize = 64;

/// What becomes of a job whose session has ended well: its outputs, or why it has none.
type Verdict = Result<(Outputs, JobCost), Failure>;

/// What the three nodes have come to together: outputs and the tables that some become, or why there are none.
type Computed = Result<(Vec<OutputVector>, Kept, JobCost), Failure>;

/// The sessions of a node with its two peers.
pub trait Sessions: Send + Sync + 'static {
    /// Joins a session: waits, within a deadline, until both peers have joined it too, for a job with the same digest.
    ///
    /// Dropped, it gives the session up.
    ///
    /// # Errors
    /// [`Failure`] says which node is missing or disagrees.
    fn join(&self, session: SessionId, digest: [u8; 32]) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>>;

    /// As [`join`](Self::join), where a peer may well not come: nobody is warned of it, and it is not counted as a stall.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    fn meet(&self, session: SessionId, digest: [u8; 32]) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>> {
        self.join(session, digest)
    }
}

/// What the root strand of a session is made from.
#[derive(Debug)]
pub struct Seat {
    /// This party.
    pub me: Party,
    /// The session.
    pub session: SessionId,
    /// Its keys.
    pub keys: SessionKeys,
}

/// A session that all three nodes have joined. Dropped without [`end`](Self::end), it ends as failed.
pub trait Session: Send {
    /// This party's place in it, for the root strand: taken once.
    ///
    /// # Errors
    /// [`Error::Poisoned`] if it was taken before.
    fn seat(&mut self) -> Result<Seat, Error>;

    /// The links beside its strands.
    fn network(&self) -> Arc<dyn Transport>;

    /// Ends it: well, or by telling the peers why.
    fn end(self: Box<Self>, failure: Option<&Failure>);
}

/// Runs the jobs of one node.
pub struct Runner {
    jobs: Arc<Jobs>,
    sessions: Arc<dyn Sessions>,
    turns: Arc<Turns>,
    /// Places for jobs that are declined at the same time.
    declining: Arc<Semaphore>,
}

impl Runner {
    /// A runner that records what becomes of its jobs in `jobs`, and takes turns with all that `turns` are shared with.
    pub fn new(jobs: Arc<Jobs>, sessions: Arc<dyn Sessions>, turns: Arc<Turns>) -> Arc<Self> {
        let declining = Arc::new(Semaphore::new(DECLINING));
        Arc::new(Self { jobs, sessions, turns, declining })
    }

    /// How many turns are before a job in the queue, if it waits there: known to the coordinator alone.
    pub fn before(&self, job: &Job) -> Option<usize> {
        self.turns.before(job.id().session())
    }

    /// Starts a job as a task of its own, with its inputs and the tables that its outputs become. Whatever happens, what becomes of it is recorded.
    pub fn start(self: &Arc<Self>, job: Arc<Job>, prepared: Prepared, ends: (Vec<Input>, Kept)) -> JoinHandle<()> {
        let (this, span) = (self.clone(), trace::job(&job));
        let attended = async move {
            // In a task of its own, so that a panic is a failure of this job and of nothing else.
            let run = {
                let (this, job) = (this.clone(), job.clone());
                tokio::spawn(async move { this.attend(&job, prepared, ends).await }.in_current_span())
            };
            let end = run
                .await
                .unwrap_or_else(|e| Err(Failure::new(FailureKind::Internal, format!("{e}; please report this"))));
            this.record(&job, end).await;
            trace::ended(&Span::current(), &job.state());
        };
        tokio::spawn(attended.instrument(span))
    }

    /// Tells the other nodes that this one's policy does not permit a job, so that they do not wait for it and say why it has failed. In the background; with too many at a time they find out by waiting.
    pub fn decline(self: &Arc<Self>, id: JobId, digest: [u8; 32], why: &str) {
        let Ok(place) = self.declining.clone().try_acquire_owned() else { return };
        let (sessions, failure) = (self.sessions.clone(), Failure::new(FailureKind::Denied, format!("{DENIED}{why}")));
        tokio::spawn(async move {
            // Joining has a deadline of its own.
            match sessions.join(id.session(), digest).await {
                Ok(session) => session.end(Some(&failure)),
                Err(failure) => debug!(%id, "the others were not told that it is declined: {}", failure.cause),
            }
            drop(place);
        });
    }

    async fn record(&self, job: &Job, end: Verdict) {
        let (id, mode) = (job.id(), job.terms().mode);
        let end = self.jobs.keep(job, end).instrument(step("outputs")).await;
        match &end {
            Ok((_, cost)) => {
                info!(%id, %mode, "done: {} rounds, {} bytes sent, {:.3} s", cost.rounds, cost.bytes_sent, cost.seconds);
            }
            Err(failure) if failure.kind == FailureKind::Cancelled => info!(%id, %mode, "{}", failure.cause),
            Err(failure) => warn!(%id, %mode, "failed: {}", failure.cause),
        }
        self.jobs.conclude(job, end);
        // What failed, or was deleted meanwhile. If that fails, it is tried again.
        if let Err(error) = self.jobs.erase().await {
            error!("outputs that are not needed could not be removed from the store: {error}");
        }
    }

    /// Runs a job under its deadline and until somebody stops it.
    async fn attend(&self, job: &Job, prepared: Prepared, ends: (Vec<Input>, Kept)) -> Verdict {
        let (most, limit) = self.deadline(job);
        let deadline = job.admitted() + most;
        let late = || {
            Failure::new(FailureKind::Deadline, format!("not done within {most:?}; split the job, or raise {limit}"))
        };
        let join = self.sessions.join(job.id().session(), job.terms().digest).instrument(step("join"));
        let mut session = tokio::select! {
            reason = job.stopped() => return Err(reason),
            () = tokio::time::sleep_until(deadline.into()) => return Err(late()),
            joined = join => joined?,
        };
        let result = tokio::select! {
            reason = job.stopped() => Err(reason),
            () = tokio::time::sleep_until(deadline.into()) => Err(late()),
            result = self.compute(job, &mut *session, &prepared, ends) => result,
        };
        // What the three have come to together is no fault of the session: told to the peers as one, it would overtake the last frames.
        session.end(result.as_ref().err());
        let (outputs, kept, cost) = result??;
        // Nobody stops it any more: a job that has failed leaves no tables.
        store(job.terms(), kept, outputs).instrument(step("tables")).await.map(|outputs| (outputs, cost))
    }

    /// Within what time a job has to be done, and what says so.
    fn deadline(&self, job: &Job) -> (Duration, &'static str) {
        let most = self.jobs.limits().job_deadline;
        match job.terms().deadline.filter(|deadline| *deadline < most) {
            Some(deadline) => (deadline, "its deadline_seconds"),
            None => (most, "limits.job_deadline on every node"),
        }
    }

    /// The session has ended well if there is a verdict, whatever it is.
    async fn compute(
        &self,
        job: &Job,
        session: &mut dyn Session,
        prepared: &Prepared,
        (mut inputs, kept): (Vec<Input>, Kept),
    ) -> Result<Computed, Failure> {
        let me = self.turns.me();
        let failed = |error: Error| failure(me, &error);
        let net = session.network();
        let mut ranges = Ranges::new(job, &inputs, prepared.limits(), !kept.is_empty());
        let entries = ranges.entries(&mut inputs);
        let agreed = agree(me, job.id().session(), &*net, &entries).instrument(step("agree")).await.map_err(failed)?;
        let agreed = match agreed {
            Ok(agreed) => agreed,
            // All three have come to this, each by itself, and nobody waits for more of another.
            Err(failure) if failure.kind == FailureKind::Mismatch => return Ok(Err(failure)),
            Err(failure) => return Err(failure),
        };
        ranges.agreed(&mut inputs, &agreed).await.map_err(not_advanced)?;
        let names: Vec<String> = inputs.iter().enumerate().map(|(k, input)| name(k, input)).collect();
        let flow = Flow::Client(job.owner().clone());
        let turn = self.turns.wait(job.id().session(), &*net, (flow, prepared.strands())).instrument(step("turn"));
        let turn = turn.await.map_err(failed)?;
        job.expects(prepared.bytes());
        job.running();
        self.jobs.journal().running(job.id());
        let start = Instant::now();
        // Tables are copied only now, when there is a place for the job.
        let limited = inputs.into_iter().zip(ranges.limits()).map(|(input, limit)| Ok((input.vector()?, *limit)));
        let inputs = step("inputs").in_scope(|| limited.collect::<Result<_, _>>()).map_err(failed)?;
        // What proves is large and would lie in every future around it.
        let counted = Arc::new(Counted { net, sent: job.sent() });
        let work = Box::pin(prepared.run(session.seat().map_err(failed)?, counted, inputs, &Tasks));
        let (outputs, cost) = match work.instrument(step("compute")).await {
            Ok(done) => done,
            Err(RunFault::Protocol(error)) => return Err(failed(error)),
            Err(RunFault::Input { input, error }) => {
                let failure = failed(error);
                // Who goes away or cancels while inputs are compared says nothing of an input.
                let at = names.get(input).filter(|_| failure.kind == FailureKind::Misbehaved);
                return Err(match at {
                    Some(name) => failure.at(name),
                    None => failure,
                });
            }
            Err(RunFault::Beyond { input, limit }) => {
                turn.done().await.map_err(failed)?;
                let name = names.get(input).map_or("an input", String::as_str);
                let cause = format!(
                    "{name}: an entry is beyond {limit} in absolute value ({} as a number with 20 fractional bits), so that results could be wrong; nothing was computed: who has shared it must correct \
                     it and share it again",
                    Number::decode(Z64(limit))
                );
                return Ok(Err(Failure::new(FailureKind::Range, cause)));
            }
            Err(RunFault::Refused(kind, cause)) => {
                // All three have come to this, each by itself.
                turn.done().await.map_err(failed)?;
                return Ok(Err(Failure::new(kind, cause)));
            }
        };
        ranges.found();
        let cost = JobCost::new(cost, start.elapsed().as_secs_f64());
        turn.done().await.map_err(failed)?;
        Ok(Ok((outputs, kept, cost)))
    }
}

/// Makes tables of the outputs that stay here, of all or of none. What comes back are those that somebody may fetch.
async fn store(terms: &Terms, kept: Kept, outputs: Vec<OutputVector>) -> Result<Outputs, Failure> {
    let mut tables = Vec::with_capacity(kept.len());
    for Keeping { table, outputs: columns } in kept {
        let columns: Vec<_> = columns.iter().filter_map(|k| outputs.get(*k)).map(OutputVector::as_bytes).collect();
        let component = |c: usize| Zeroizing::new(columns.iter().map(|bytes| bytes[c]).collect::<Vec<_>>().concat());
        let components = [component(0), component(1)];
        let key = table.key().clone();
        let table = table.of_bytes(components[0].len()).map_err(|bytes| {
            Failure::new(FailureKind::Internal, format!("{bytes} bytes are no rows of {key}; please report this"))
        })?;
        tables.push((table, components));
    }
    Arriving::store_all(tables).await.map_err(|fault| match fault {
        TableFault::Deleted(key) => {
            let cause = format!("{key} was deleted while the job computed it; submit the job again");
            Failure::new(FailureKind::Cancelled, cause)
        }
        fault => {
            // Clients are not told of files of the node.
            error!("outputs that were to stay: {fault}");
            let cause = "the outputs could not be stored; the node's operator finds the cause in its log: submit the job again when that is mended";
            Failure::new(FailureKind::Internal, cause)
        }
    })?;
    let fetched = |k: usize| terms.outputs.get(k).is_some_and(|output| !output.recipients.is_empty());
    Ok(Outputs::new(outputs.into_iter().enumerate().map(|(k, output)| fetched(k).then_some(output)).collect()))
}

/// Why new shares of a table, which all three nodes have, are not in use here.
fn not_advanced(fault: TableFault) -> Failure {
    match fault {
        TableFault::Renewed(key) => Failure::new(
            FailureKind::Mismatch,
            format!("the shares of {key} were made anew meanwhile; submit the job again"),
        ),
        fault => {
            error!("new shares of a table could not be put in use: {fault}");
            Failure::new(
                FailureKind::Internal,
                "the node could not put new shares of a table in use; its operator finds the cause in its log: submit the job again when that is mended",
            )
        }
    }
}

/// An input as messages name it.
fn name(k: usize, input: &Input) -> String {
    match input.table() {
        Some(table) => format!("input {k}, {table}"),
        None => format!("input {k}"),
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("turns", &self.turns).finish_non_exhaustive()
    }
}

/// What a node begins with that tells the others that its policy does not permit a job.
const DENIED: &str = "its policy does not permit the job: ";

/// How a session reads that a peer has ended because of its policy or its client; `None` if it has said another cause.
pub(crate) fn ended_by(peer: Party, cause: &str) -> Option<Failure> {
    let said = told(cause);
    if said.starts_with(DENIED) {
        return Some(denied(peer, cause));
    }
    let cancelled = |cause| Some(Failure::new(FailureKind::Cancelled, cause));
    // In no other words: they are shown as this node's.
    if said == CANCELLED || said == LEFT {
        return cancelled(format!("{said}, at {peer}"));
    }
    let at_another =
        Party::ALL.iter().any(|at| [CANCELLED, LEFT].iter().any(|known| said == format!("{known}, at {at}")));
    if at_another { cancelled(said.to_owned()) } else { None }
}

/// What a node has said, without the words of another that has passed it on: "P0 reports of P2: ...".
fn told(cause: &str) -> &str {
    let passed_on = cause.split_once(" reports of ").filter(|(who, _)| who.len() == 2);
    passed_on.and_then(|(_, said)| said.split_once(": ")).map_or(cause, |(_, said)| said)
}

fn denied(peer: Party, cause: &str) -> Failure {
    Failure::new(FailureKind::Denied, format!("{peer} takes no part: {cause}")).blaming(peer)
}

/// What a failed protocol step means for the job.
pub(crate) fn failure(me: Party, error: &Error) -> Failure {
    let again = "submit the job again";
    match error {
        Error::Peer { peer, fault } => Failure::new(
            FailureKind::Misbehaved,
            format!("{peer} misbehaved: {fault}; find out what runs there before anything is submitted again"),
        )
        .blaming(*peer),
        Error::Link { peer, cause: LinkFault::Ended(cause) } => ended_by(*peer, cause).unwrap_or_else(|| {
            Failure::new(FailureKind::Link, format!("the session ended at {peer}: {cause}; {again}")).blaming(*peer)
        }),
        Error::Link { peer, cause: LinkFault::Rejected(cause) } => Failure::new(
            FailureKind::Misbehaved,
            format!(
                "a check failed at {peer}, which says: {cause}; {} or {} deviated from the protocol, unless the client's shares were at fault; nothing is released: find out what runs there before anything is submitted again",
                me.next(),
                me.prev()
            ),
        )
        // This node knows that it has followed the protocol, and nothing of the word of another.
        .suspecting(me.peers()),
        Error::Link { peer, cause } => Failure::new(
            FailureKind::Link,
            format!("the link to {peer} failed: {cause}; {again} when `trefoil doctor` finds {peer} well"),
        )
        .blaming(*peer),
        Error::Abort { suspects, .. } => Failure::new(FailureKind::Misbehaved, error.to_string()).suspecting(*suspects),
        // The client may be the one: no node is suspected.
        Error::Input { .. } => Failure::new(FailureKind::Misbehaved, error.to_string()),
        Error::StreamExhausted => Failure::new(FailureKind::Deadline, error.to_string()),
        Error::Entropy(_) => Failure::new(FailureKind::Internal, error.to_string()),
        _ => Failure::new(FailureKind::Internal, format!("{error}; please report this")),
    }
}

#[cfg(test)]
mod tests;
