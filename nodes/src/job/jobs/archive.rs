//! Jobs that are done, in the node's store, for a node that starts again.
//!
//! Such a job is a record, which says what it was and how its outputs are described, and the entries of its outputs in parts. Large outputs are written first; the record is written last, with small
//! outputs in the same transaction: a job is done once its record is there. Jobs that end at the same time share a transaction, since each waits for the disk.

use super::Outputs;
use crate::{
    job::{Accepted, JobCost, JobId, Sha256Hex},
    store::{Components, Parts, Space, Store, StoreError, Tables, Transaction, Value, WriteTransaction},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Semaphore, oneshot};

/// The version of the form of a record.
const FORMAT: u8 = 1;

/// Outputs of so many bytes are written with their record.
const SMALL: u64 = 256 << 10;

/// The jobs of a node that are done, as far as they are in its store.
#[derive(Debug)]
pub struct OutputStore {
    store: Store,
    parts: Parts,
    waiting: Mutex<Vec<Waiting>>,
    turn: Semaphore,
}

/// A job that is done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DoneJob {
    format: u8,
    /// What was taken on.
    pub accepted: Accepted,
    /// When: milliseconds since 1970-01-01 UTC.
    pub accepted_unix_ms: u64,
    /// When it was done.
    pub ended_unix_ms: u64,
    /// What it cost this node.
    pub cost: JobCost,
    outputs: Vec<Option<Described>>,
}

/// An output without its entries.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Described {
    /// Bytes of the component `own`.
    bytes: u64,
    /// The digest of the component `next`.
    next: Sha256Hex,
}

/// A job whose record is to be written in the next transaction.
#[derive(Debug)]
struct Waiting {
    record: DoneJob,
    /// Those that are written with it.
    small: Option<Arc<Outputs>>,
    told: oneshot::Sender<bool>,
}

/// A job could not be written; the cause is in the node's log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NotWritten;

/// The component of one output.
struct Own(Arc<Outputs>, usize);

impl DoneJob {
    pub(super) fn new(accepted: Accepted, times: [u64; 2], cost: JobCost, outputs: &Outputs) -> Self {
        let [accepted_unix_ms, ended_unix_ms] = times;
        let described = |k| {
            let (own, next) = outputs.get(k)?;
            Some(Described { bytes: own.len() as u64, next: Sha256Hex(*next) })
        };
        let outputs = (0..outputs.len()).map(described).collect();
        Self { format: FORMAT, accepted, accepted_unix_ms, ended_unix_ms, cost, outputs }
    }

    /// Bytes of its outputs in the store.
    pub(super) fn bytes(&self) -> u64 {
        self.outputs.iter().flatten().map(|output| output.bytes).sum()
    }
}

impl OutputStore {
    /// Those of a node's store. What was not written to its end is removed.
    ///
    /// # Errors
    /// [`StoreError`], of the disk or of damaged records.
    pub async fn open(store: Store) -> Result<(Arc<Self>, Vec<DoneJob>), StoreError> {
        let parts = Parts::new(store.clone(), Space::OutputParts);
        let of = store.clone();
        let found = store.read(move |records| {
            let names = records.list(Space::Outputs, b"")?;
            let found = names.into_iter().filter_map(|name| record(&of, records, &name).transpose());
            found.collect::<Result<Vec<_>, StoreError>>()
        });
        let found = found.await?;
        let whole: BTreeSet<_> = found.iter().map(|record| record.accepted.job).map(bytes).collect();
        let rest = parts.remove_rest(|prefix| prefix.first_chunk().is_some_and(|job| whole.contains(job))).await?;
        if rest > 0 {
            tracing::info!("{rest} parts of outputs of jobs that were not done were removed");
        }
        let this = Self { store, parts, waiting: Mutex::default(), turn: Semaphore::new(1) };
        Ok((Arc::new(this), found))
    }

    /// Writes a job that is done. When this returns, it is on the disk.
    ///
    /// Not cancel safe: what is dropped, or fails, may leave something of it, to be removed.
    pub(super) async fn write(self: &Arc<Self>, record: DoneJob, outputs: Arc<Outputs>) -> Result<(), NotWritten> {
        let mut small = Some(outputs);
        if record.bytes() > SMALL
            && let Some(outputs) = small.take()
        {
            for k in (0..outputs.len()).filter(|k| outputs.get(*k).is_some()) {
                let own = Arc::new(Own(outputs.clone(), k));
                self.parts.write(&prefix(record.accepted.job, k), (&own, 0)).await.map_err(|e| not_written(&e))?;
            }
        }
        let (told, written) = oneshot::channel();
        self.waiting().push(Waiting { record, small, told });
        let this = self.clone();
        // In a task of its own: it writes for others as well.
        tokio::spawn(async move { this.write_waiting().await });
        if written.await == Ok(true) { Ok(()) } else { Err(NotWritten) }
    }

    /// Writes all that wait, in one transaction.
    async fn write_waiting(&self) {
        let _turn = self.turn.acquire().await;
        let some = mem::take(&mut *self.waiting());
        if some.is_empty() {
            return;
        }
        let (jobs, told): (Vec<_>, Vec<_>) = some.into_iter().map(|w| ((w.record, w.small), w.told)).unzip();
        let parts = self.parts.clone();
        let write = self.store.write(move |records| {
            jobs.into_iter().try_for_each(|(record, small)| put(records, &parts, &record, small))
        });
        let written = write.await.map_err(|e| not_written(&e)).is_ok();
        for told in told {
            // Whoever does not wait any more needs no answer.
            let _ = told.send(written);
        }
    }

    /// One output of a job; `None` if the store has none.
    pub(super) async fn read(&self, job: JobId, k: usize) -> Result<Option<Outputs>, StoreError> {
        let (store, parts) = (self.store.clone(), self.parts.clone());
        let read = self.store.read(move |records| {
            let Some(record) = record(&store, records, &bytes(job))? else { return Ok(None) };
            let Some(Some(Described { bytes, next })) = record.outputs.get(k).copied() else { return Ok(None) };
            let own = parts.read(records, &prefix(job, k), (0, usize::try_from(bytes).unwrap_or(usize::MAX)))?;
            let own = own.map_err(|fault| store.damaged(format!("output {k} of job {job} {fault}")))?;
            Ok(Some(Outputs::read(k, own, next.0)))
        });
        read.await
    }

    /// Removes jobs with their outputs, all or none; some may not be there.
    pub(super) async fn remove(&self, jobs: Vec<JobId>) -> Result<(), StoreError> {
        let parts = self.parts.clone();
        let remove = self.store.write(move |records| {
            jobs.into_iter().try_for_each(|job| {
                records.remove(Space::Outputs, &bytes(job))?;
                parts.remove(records, &bytes(job))
            })
        });
        remove.await
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_written(error: &StoreError) -> NotWritten {
    // Clients are not told of files of the node.
    tracing::error!("the outputs of a job: {error}");
    NotWritten
}

fn put(
    records: &mut WriteTransaction<'_>,
    parts: &Parts,
    record: &DoneJob,
    small: Option<Arc<Outputs>>,
) -> Result<(), StoreError> {
    let job = record.accepted.job;
    if let Some(outputs) = small {
        for k in (0..outputs.len()).filter(|k| outputs.get(*k).is_some()) {
            parts.put(records, &prefix(job, k), &Own(outputs.clone(), k))?;
        }
    }
    let text = serde_json::to_vec(record).map(Value::new).map_err(|e| StoreError::Bug(e.to_string()))?;
    records.put(Space::Outputs, &bytes(job), &text)
}

fn record<T: Tables>(store: &Store, records: &Transaction<'_, T>, name: &[u8]) -> Result<Option<DoneJob>, StoreError> {
    let Some(text) = records.get(Space::Outputs, name)? else { return Ok(None) };
    let damaged = |what: &str| store.damaged(format!("the record of job {} {what}", hex::encode(name)));
    let record: DoneJob = serde_json::from_slice(&text).map_err(|e| damaged(&format!("cannot be read: {e}")))?;
    match record.format {
        FORMAT if bytes(record.accepted.job) == *name => Ok(Some(record)),
        FORMAT => Err(damaged("is of another job")),
        _ => Err(damaged("is of another version")),
    }
}

/// The name of a job's record, and the beginning of those of its parts.
fn bytes(job: JobId) -> [u8; 16] {
    job.session().0
}

fn prefix(job: JobId, output: usize) -> Vec<u8> {
    [&bytes(job)[..], &(output as u32).to_be_bytes()].concat()
}

impl Components for Own {
    fn count(&self) -> usize {
        1
    }

    fn component(&self, _: usize) -> &[u8] {
        self.0.get(self.1).map_or(&[], |(own, _)| own)
    }
}
