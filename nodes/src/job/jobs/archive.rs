//! Jobs that are done, in the node's store, for a node that starts again.
//!
//! Such a job is a record, which says what it was and how its outputs are described, and the entries of both components of its outputs in parts: `own` is handed out, and with `next` the three nodes compare them, make them anew and rebuild them ([`renewal`](super::renewal)). Large outputs are written first; the record is written last, with small
//! outputs in the same transaction: a job is done once its record is there. Jobs that end at the same time share a transaction, since each waits for the disk.

use super::Outputs;
use crate::{
    job::{Accepted, JobCost, JobId, Sha256Hex},
    store::{Components, Parts, Space, Store, StoreError, Tables, Transaction, Value, WriteTransaction},
    tables::Epoch,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Semaphore, oneshot};

/// The version of the form of a record.
pub(super) const FORMAT: u8 = 2;

/// That of the version before, which wrote the component `own` alone. It is handed out.
const HALF: u8 = 1;

/// Outputs of so many bytes are written with their record.
const SMALL: u64 = 256 << 10;

/// The jobs of a node that are done, as far as they are in its store.
#[derive(Debug)]
pub struct OutputStore {
    pub(super) store: Store,
    pub(super) parts: Parts,
    /// Held while outputs are made anew.
    pub(super) changing: Arc<tokio::sync::Mutex<()>>,
    waiting: Mutex<Vec<Waiting>>,
    turn: Semaphore,
}

/// A job that is done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DoneJob {
    pub(super) format: u8,
    /// What was taken on.
    pub accepted: Accepted,
    /// When: milliseconds since 1970-01-01 UTC.
    pub accepted_unix_ms: u64,
    /// When it was done.
    pub ended_unix_ms: u64,
    /// What it cost this node.
    pub cost: JobCost,
    pub(super) outputs: Vec<Option<Described>>,
    /// Of the shares in use.
    #[serde(default, skip_serializing_if = "Epoch::is_first")]
    pub(super) epoch: Epoch,
    /// Of those that are prepared beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pending: Option<Prepared>,
}

/// New shares, which are there and not in use.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prepared {
    pub(super) epoch: Epoch,
    pub(super) outputs: Vec<Option<Described>>,
}

/// An output without its entries.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
    /// Bytes of a component.
    pub(super) bytes: u64,
    /// The digest of the component `next`.
    pub(super) next: Sha256Hex,
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

/// The components of one output.
struct Output(Arc<Outputs>, usize);

impl DoneJob {
    pub(super) fn new(accepted: Accepted, times: [u64; 2], cost: JobCost, outputs: &Outputs) -> Self {
        let [accepted_unix_ms, ended_unix_ms] = times;
        let described = |k| {
            let (own, next) = outputs.get(k)?;
            Some(Described { bytes: own.len() as u64, next: Sha256Hex(*next) })
        };
        let outputs = (0..outputs.len()).map(described).collect();
        let epoch = Epoch::default();
        Self { format: FORMAT, accepted, accepted_unix_ms, ended_unix_ms, cost, outputs, epoch, pending: None }
    }

    /// Whether the node has both components of its outputs.
    pub(super) fn is_whole(&self) -> bool {
        self.format == FORMAT
    }

    /// The outputs of an epoch, if they are in use or prepared; those in use if none is named.
    fn of_epoch(&self, wanted: Option<u64>) -> Option<(Epoch, &[Option<Described>])> {
        let prepared = self.pending.as_ref().map(|pending| (pending.epoch, &pending.outputs[..]));
        let all = [Some((self.epoch, &self.outputs[..])), prepared];
        all.into_iter().flatten().find(|(epoch, _)| wanted.is_none_or(|wanted| wanted == epoch.number))
    }

    /// Bytes of a component of its outputs in the store.
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
        let whole: BTreeSet<Vec<u8>> = found.iter().flat_map(DoneJob::prefixes).collect();
        let rest = parts.remove_rest(|prefix| whole.contains(prefix)).await?;
        if rest > 0 {
            tracing::info!("{rest} parts of outputs of jobs that were not done were removed");
        }
        let (changing, waiting, turn) = (Arc::default(), Mutex::default(), Semaphore::new(1));
        let this = Self { store, parts, changing, waiting, turn };
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
                let output = Arc::new(Output(outputs.clone(), k));
                let prefix = prefix(record.accepted.job, k, record.epoch);
                self.parts.write(&prefix, (&output, 0)).await.map_err(|e| not_written(&e))?;
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

    /// One output of a job, of an epoch or of that in use; `None` if the store has none.
    pub(super) async fn read(&self, job: JobId, k: usize, wanted: Option<u64>) -> Result<Option<Outputs>, StoreError> {
        let (store, parts) = (self.store.clone(), self.parts.clone());
        let read = self.store.read(move |records| {
            let Some(record) = record(&store, records, &bytes(job))? else { return Ok(None) };
            let Some((epoch, outputs)) = record.of_epoch(wanted) else { return Ok(None) };
            let Some(Some(Described { bytes, next })) = outputs.get(k).copied() else { return Ok(None) };
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            let own = parts.read(records, &prefix(job, k, epoch), (0, bytes))?;
            let own = own.map_err(|fault| store.damaged(format!("output {k} of job {job} {fault}")))?;
            Ok(Some(Outputs::read(k, own, (next.0, epoch.number))))
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
            parts.put(records, &prefix(job, k, record.epoch), &Output(outputs.clone(), k))?;
        }
    }
    put_record(records, record)
}

pub(super) fn put_record(records: &mut WriteTransaction<'_>, record: &DoneJob) -> Result<(), StoreError> {
    let text = serde_json::to_vec(record).map(Value::new).map_err(|e| StoreError::Bug(e.to_string()))?;
    records.put(Space::Outputs, &bytes(record.accepted.job), &text)
}

pub(super) fn record<T: Tables>(
    store: &Store,
    records: &Transaction<'_, T>,
    name: &[u8],
) -> Result<Option<DoneJob>, StoreError> {
    let Some(text) = records.get(Space::Outputs, name)? else { return Ok(None) };
    let damaged = |what: &str| store.damaged(format!("the record of job {} {what}", hex::encode(name)));
    let record: DoneJob = serde_json::from_slice(&text).map_err(|e| damaged(&format!("cannot be read: {e}")))?;
    match record.format {
        FORMAT | HALF if bytes(record.accepted.job) == *name => Ok(Some(record)),
        FORMAT | HALF => Err(damaged("is of another job")),
        _ => Err(damaged("is of another version")),
    }
}

/// The name of a job's record, and the beginning of those of its parts.
pub(super) fn bytes(job: JobId) -> [u8; 16] {
    job.session().0
}

/// New shares lie beside those in use, whose epoch is the one before.
pub(super) fn prefix(job: JobId, output: usize, epoch: Epoch) -> Vec<u8> {
    let place = output as u32 | u32::from(epoch.number % 2 == 1) << 31;
    [&bytes(job)[..], &place.to_be_bytes()].concat()
}

impl Components for Output {
    fn count(&self) -> usize {
        2
    }

    fn component(&self, c: usize) -> &[u8] {
        self.0.component(self.1, c)
    }
}
