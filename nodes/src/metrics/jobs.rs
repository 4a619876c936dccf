//! Jobs, as their journal is told of them.

use super::{Histograms, seconds, waits};
use crate::{
    job::{Accepted, Asked, FailureKind, JobId, JobState, Journal, ModeSpec, ProgramKind},
    keys::{ErasedKey, KeyId},
    tables::Erased,
    upkeep::UpkeepReport,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// What becomes of jobs. Clones count together.
#[derive(Clone, Debug)]
pub struct JobMetrics {
    accepted: Family<Work, Counter>,
    ended: Family<Ended, Counter>,
    now: Family<Now, Gauge>,
    wait: Histograms<Work>,
    duration: Histograms<Work>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Work {
    program: &'static str,
    mode: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Ended {
    program: &'static str,
    mode: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Now {
    program: &'static str,
    mode: &'static str,
    state: &'static str,
}

const PROGRAMS: [ProgramKind; 7] = [
    ProgramKind::AesCtr,
    ProgramKind::Circuit,
    ProgramKind::Moments,
    ProgramKind::CreditScore,
    ProgramKind::CreditTrain,
    ProgramKind::CreditCounts,
    ProgramKind::CreditJoin,
];

const MODES: [ModeSpec; 2] = [ModeSpec::SemiHonest, ModeSpec::Malicious];

const WAITING: &str = "waiting";
const RUNNING: &str = "running";

impl JobMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self {
            accepted: Family::default(),
            ended: Family::default(),
            now: Family::default(),
            wait: Family::new_with_constructor(waits),
            duration: Family::new_with_constructor(durations),
        };
        for (program, mode) in PROGRAMS.into_iter().flat_map(|p| MODES.map(|m| (program(p), m.name()))) {
            // A series that is there from the start is one whose growth can be seen.
            let outcome = kind(FailureKind::Misbehaved);
            this.ended.get_or_create(&Ended { program, mode, outcome }).inc_by(0);
        }
        registry.register("jobs_accepted", "Jobs that this node has taken on", this.accepted.clone());
        let help = "Jobs that have ended, by outcome: done, or the kind of failure";
        registry.register("jobs_ended", help, this.ended.clone());
        registry.register("jobs", "Jobs that wait or run now", this.now.clone());
        let help = "From taking a job on until the three nodes compute it";
        seconds(registry, ("job_wait", help), this.wait.clone());
        seconds(registry, ("job_duration", "From taking a job on until its end"), this.duration.clone());
        this
    }

    fn now(&self, work: &Work, state: &'static str) -> Gauge {
        self.now.get_or_create_owned(&Now { program: work.program, mode: work.mode, state })
    }
}

/// From ten milliseconds to an hour.
fn durations() -> Histogram {
    Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0])
}

/// A journal that counts what it is told.
#[derive(Debug)]
pub struct Observed {
    journal: Arc<dyn Journal>,
    metrics: JobMetrics,
    live: Mutex<HashMap<JobId, Live>>,
}

#[derive(Debug)]
struct Live {
    work: Work,
    since: Instant,
    state: &'static str,
}

impl Observed {
    /// What `journal` is told is counted.
    pub fn new(journal: Arc<dyn Journal>, metrics: JobMetrics) -> Self {
        Self { journal, metrics, live: Mutex::default() }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<JobId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for Observed {
    fn accepted(&self, job: &Accepted) -> io::Result<()> {
        self.journal.accepted(job)?;
        let work = Work { program: program(job.program), mode: job.mode.name() };
        self.metrics.accepted.get_or_create(&work).inc();
        self.metrics.now(&work, WAITING).inc();
        self.live().insert(job.job, Live { work, since: Instant::now(), state: WAITING });
        Ok(())
    }

    fn erased(&self, table: &Erased) -> io::Result<()> {
        self.journal.erased(table)
    }

    fn erased_key(&self, key: &ErasedKey) -> io::Result<()> {
        self.journal.erased_key(key)
    }

    fn removed_key(&self, key: &KeyId) -> io::Result<()> {
        self.journal.removed_key(key)
    }

    fn compared(&self, report: &UpkeepReport) -> io::Result<()> {
        self.journal.compared(report)
    }

    fn running(&self, job: JobId) {
        self.journal.running(job);
        if let Some(live) = self.live().get_mut(&job) {
            self.metrics.now(&live.work, live.state).dec();
            live.state = RUNNING;
            self.metrics.now(&live.work, RUNNING).inc();
            self.metrics.wait.get_or_create(&live.work).observe(live.since.elapsed().as_secs_f64());
        }
    }

    fn ended(&self, job: JobId, state: &JobState) -> io::Result<()> {
        let written = self.journal.ended(job, state);
        // A job of the process before this one was not counted here.
        if let Some(Live { work, since, state: was }) = self.live().remove(&job) {
            self.metrics.now(&work, was).dec();
            self.metrics.duration.get_or_create(&work).observe(since.elapsed().as_secs_f64());
            // Nothing is released then: see `Jobs::finish`.
            let outcome = if written.is_ok() { outcome(state) } else { kind(FailureKind::Internal) };
            let Work { program, mode } = work;
            self.metrics.ended.get_or_create(&Ended { program, mode, outcome }).inc();
        }
        written
    }

    fn asked(&self, request: &Asked) -> io::Result<()> {
        self.journal.asked(request)
    }
}

pub(crate) fn program(kind: ProgramKind) -> &'static str {
    match kind {
        ProgramKind::AesCtr => "aes-ctr",
        ProgramKind::Circuit => "circuit",
        ProgramKind::Moments => "moments",
        ProgramKind::CreditScore => "credit-score",
        ProgramKind::CreditTrain => "credit-train",
        ProgramKind::CreditCounts => "credit-counts",
        ProgramKind::CreditJoin => "credit-join",
    }
}

pub(crate) fn outcome(state: &JobState) -> &'static str {
    match state {
        JobState::Failed { failure } => kind(failure.kind),
        _ => "done",
    }
}

fn kind(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Missing => "missing",
        FailureKind::Link => "link",
        FailureKind::Misbehaved => "misbehaved",
        FailureKind::Mismatch => "mismatch",
        FailureKind::Cancelled => "cancelled",
        FailureKind::Denied => "denied",
        FailureKind::Range => "range",
        FailureKind::Data => "data",
        FailureKind::Deadline => "deadline",
        FailureKind::Stopped => "stopped",
        FailureKind::Internal => "internal",
    }
}
