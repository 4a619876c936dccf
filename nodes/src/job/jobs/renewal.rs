//! New shares of what jobs have computed and nobody has fetched, and those of a node that has lost its store.
//!
//! As with tables, new shares are written beside those in use, and put in use when all three nodes have theirs. The record of a job tells of both, so that each step is one transaction.

use super::{
    DoneJob, Jobs, OutputStore,
    archive::{Described, FORMAT, Prepared, bytes, prefix, put_record, record},
};
use crate::{
    job::{Accepted, JobId, Sha256Hex},
    store::{Components, Space, StoreError},
    tables::{Epoch, Seed, renewed},
};
use sha2::{Digest as _, Sha256};
use std::{future::Future, ops::Range, sync::Arc};
use trefoil_circuits::program::Shape;
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// Entries of an output at most, so that its length is a number.
const LONGEST: usize = 1 << 40;

/// Outputs of a job that a node keeps.
#[derive(Clone, Debug)]
pub(crate) struct KeptOutputs {
    pub(crate) job: JobId,
    /// Of its specification.
    pub(crate) sha256: Sha256Hex,
    pub(crate) epoch: Epoch,
    pub(crate) pending: Option<Epoch>,
    /// Whether both components are here; a node of the version before has written one.
    pub(crate) is_whole: bool,
}

/// The components of one output among those of a job.
struct Output(Arc<[Zeroizing<Vec<u8>>; 2]>, Range<usize>);

/// Outputs with their places, and how all are described.
type Split = (Vec<(usize, Arc<Output>)>, Vec<Option<Described>>);

impl DoneJob {
    /// The beginnings of the names of its parts.
    pub(super) fn prefixes(&self) -> Vec<Vec<u8>> {
        let epochs = [Some(self.epoch), self.pending.as_ref().map(|pending| pending.epoch)];
        let of = |epoch| (0..self.outputs.len()).map(move |k| prefix(self.accepted.job, k, epoch));
        epochs.into_iter().flatten().flat_map(of).collect()
    }

    /// The epoch of the shares in use.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether both nodes tell of the same job. What it cost, when it ended and by which rule it was permitted each of them says for itself, and what it repeats the client alone says.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let of = |done: &Self| Accepted { rule: None, repeats: None, ..done.accepted.clone() };
        let sizes =
            |done: &Self| done.outputs.iter().map(|output| output.map(|output| output.bytes)).collect::<Vec<_>>();
        of(self) == of(other) && self.epoch == other.epoch && sizes(self) == sizes(other)
    }

    /// With the earlier of the times that two nodes say, and not later than now: none of them alone has it kept for longer.
    ///
    /// # Errors
    /// If the times are further apart than a job may take.
    pub(crate) fn with_times_of(mut self, other: &Self, (now, apart): (u64, u64)) -> Result<Self, String> {
        for (mine, theirs) in
            [(&mut self.accepted_unix_ms, other.accepted_unix_ms), (&mut self.ended_unix_ms, other.ended_unix_ms)]
        {
            if mine.abs_diff(theirs) > apart {
                return Err(
                    "the two nodes say that it began or ended at times that are further apart than limits.job_deadline, so that one of them deviates or its clock is wrong; nothing was taken"
                        .to_owned(),
                );
            }
            *mine = (*mine).min(theirs).min(now);
        }
        Ok(self)
    }

    /// Bytes of a component of all outputs together.
    ///
    /// # Errors
    /// What is wrong with it, if another node has described it.
    pub(crate) fn component_bytes(&self) -> Result<usize, String> {
        if !self.is_whole() || self.outputs.len() != self.accepted.outputs.len() {
            return Err("it is described otherwise than its outputs".to_owned());
        }
        let mut all = 0_usize;
        for (output, described) in self.accepted.outputs.iter().zip(&self.outputs) {
            let Some(described) = described else { continue };
            let shape = Shape { ring: output.ring, len: output.len };
            if output.len > LONGEST || shape.component_bytes() as u64 != described.bytes {
                return Err("an output has another length than it should".to_owned());
            }
            all = all.checked_add(shape.component_bytes()).ok_or("its outputs are too long")?;
        }
        Ok(all)
    }

    /// The shapes of the outputs that are kept.
    fn shapes(&self) -> Vec<Shape> {
        let kept = self.accepted.outputs.iter().zip(&self.outputs).filter(|(_, described)| described.is_some());
        kept.map(|(output, _)| Shape { ring: output.ring, len: output.len }).collect()
    }

    /// Each kept output within components of all of them, and how it is described.
    fn split(&self, components: &Arc<[Zeroizing<Vec<u8>>; 2]>) -> Split {
        let (mut outputs, mut described, mut start) = (Vec::new(), Vec::with_capacity(self.outputs.len()), 0_usize);
        for (k, output) in self.outputs.iter().enumerate() {
            described.push(output.map(|Described { bytes, .. }| {
                let end = start.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX)).min(components[1].len());
                let next = Sha256Hex(Sha256::digest(&components[1][start.min(end)..end]).into());
                outputs.push((k, Arc::new(Output(components.clone(), start.min(end)..end))));
                start = end;
                Described { bytes, next }
            }));
        }
        (outputs, described)
    }

    /// What the streams of a seed are of: this job, and no table.
    fn label(&self) -> [u8; 32] {
        let hash = Sha256::new_with_prefix(b"trefoil/v1/refresh-outputs").chain_update(bytes(self.accepted.job));
        hash.chain_update(self.accepted.digest.0).finalize().into()
    }
}

impl OutputStore {
    /// What the node keeps, when no change of it is under way.
    async fn kept(&self) -> Result<Vec<KeptOutputs>, StoreError> {
        let _changing = self.changing.lock().await;
        let store = self.store.clone();
        let read = self.store.read(move |records| {
            let mut kept = Vec::new();
            for name in records.list(Space::Outputs, b"")? {
                let Some(done) = record(&store, records, &name)? else { continue };
                // A job whose outputs are tables, or go to nobody, has no shares here.
                if done.outputs.iter().any(Option::is_some) {
                    kept.push(KeptOutputs {
                        job: done.accepted.job,
                        sha256: done.accepted.digest,
                        epoch: done.epoch,
                        pending: done.pending.as_ref().map(|pending| pending.epoch),
                        is_whole: done.is_whole(),
                    });
                }
            }
            Ok::<_, StoreError>(kept)
        });
        read.await
    }

    /// A job with components of its outputs, one after the other, if its shares in use are of an epoch.
    async fn components<const N: usize>(
        &self,
        (job, epoch): (JobId, Epoch),
        which: [usize; N],
    ) -> Result<Option<(DoneJob, [Zeroizing<Vec<u8>>; N])>, StoreError> {
        let (store, parts) = (self.store.clone(), self.parts.clone());
        let read = self.store.read(move |records| {
            let done = record(&store, records, &bytes(job))?;
            let Some(done) = done.filter(|done| done.epoch == epoch && done.is_whole()) else { return Ok(None) };
            let mut all =
                [(); N].map(|()| Zeroizing::new(Vec::with_capacity(usize::try_from(done.bytes()).unwrap_or(0))));
            for (c, all) in which.into_iter().zip(&mut all) {
                for (k, output) in done.outputs.iter().enumerate() {
                    let Some(Described { bytes, .. }) = output else { continue };
                    let bytes = usize::try_from(*bytes).unwrap_or(usize::MAX);
                    let part = parts.read(records, &prefix(job, k, epoch), (c, bytes))?;
                    let part = part.map_err(|fault| store.damaged(format!("output {k} of job {job} {fault}")))?;
                    all.extend_from_slice(&part);
                }
            }
            Ok(Some((done, all)))
        });
        read.await
    }

    /// One change at a time, to its end whether or not somebody waits for it.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let changing = self.changing.clone().lock_owned().await;
        let task = tokio::spawn(async move {
            let done = work.await;
            drop(changing);
            done
        });
        task.await.unwrap_or_else(|ended| Err(StoreError::Bug(ended.to_string())))
    }

    /// Writes new shares beside those in use. False if these are not there any more.
    async fn prepare(
        self: &Arc<Self>,
        (job, old, new): (JobId, Epoch, Epoch),
        (seed, me): (Arc<Seed>, Party),
    ) -> Result<bool, StoreError> {
        let this = self.clone();
        let work = async move {
            let Some((done, components)) = this.components((job, old), [0, 1]).await? else { return Ok(false) };
            let components = Arc::new(components);
            let renewing = done.clone();
            let fresh = tokio::task::spawn_blocking(move || {
                Arc::new(renewed(&renewing.shapes(), (&renewing.label(), me), &seed, &components))
            });
            let fresh = fresh.await.map_err(|ended| StoreError::Bug(ended.to_string()))?;
            let (outputs, described) = done.split(&fresh);
            let (store, parts) = (this.store.clone(), this.parts.clone());
            let write = async {
                for (k, output) in &outputs {
                    this.parts.write(&prefix(job, *k, new), (output, 0)).await?;
                }
                let write = this.store.write(move |records| match record(&store, records, &bytes(job))? {
                    Some(mut done) if done.epoch == old => {
                        done.pending = Some(Prepared { epoch: new, outputs: described });
                        put_record(records, &done)?;
                        Ok::<_, StoreError>(true)
                    }
                    Some(_) => Ok(false),
                    // Deleted meanwhile: what is written goes with it.
                    None => parts.remove(records, &bytes(job)).map(|()| false),
                });
                write.await
            };
            match write.await {
                Ok(done) => Ok(done),
                Err(error) => Err(this.cleared(job, error).await),
            }
        };
        self.change(work).await
    }

    /// Puts the shares of an epoch in the place of those in use, which are erased. False if they are not there.
    async fn commit(self: &Arc<Self>, job: JobId, epoch: Epoch) -> Result<bool, StoreError> {
        let this = self.clone();
        let work = async move {
            let (store, parts) = (this.store.clone(), this.parts.clone());
            let write = this.store.write(move |records| {
                let Some(mut done) = record(&store, records, &bytes(job))? else { return Ok(false) };
                if done.epoch == epoch {
                    return Ok(true);
                }
                let Some(fresh) = done.pending.take_if(|pending| pending.epoch == epoch) else { return Ok(false) };
                for k in 0..done.outputs.len() {
                    parts.remove(records, &prefix(job, k, done.epoch))?;
                }
                (done.epoch, done.outputs) = (fresh.epoch, fresh.outputs);
                put_record(records, &done)?;
                Ok::<_, StoreError>(true)
            });
            write.await
        };
        self.change(work).await
    }

    /// Erases the shares that are prepared beside those in use, or were to be.
    async fn abandon(self: &Arc<Self>, job: JobId, epoch: Epoch) -> Result<(), StoreError> {
        let this = self.clone();
        let work = async move {
            let (store, parts) = (this.store.clone(), this.parts.clone());
            let write = this.store.write(move |records| {
                let Some(mut done) = record(&store, records, &bytes(job))?.filter(|done| done.epoch == epoch) else {
                    return Ok(());
                };
                let beside = Epoch { number: epoch.number.wrapping_add(1), ..epoch };
                for k in 0..done.outputs.len() {
                    parts.remove(records, &prefix(job, k, beside))?;
                }
                done.pending = None;
                put_record(records, &done)
            });
            write.await
        };
        self.change(work).await
    }

    /// Removes the parts of a job that its record does not tell of, after a step that broke off. What cannot be removed now is when the node starts.
    async fn cleared(&self, job: JobId, error: StoreError) -> StoreError {
        let (store, parts) = (self.store.clone(), self.parts.clone());
        let write = self.store.write(move |records| {
            let Some(done) = record(&store, records, &bytes(job))? else { return parts.remove(records, &bytes(job)) };
            if done.pending.is_none() {
                let beside = Epoch { number: done.epoch.number.wrapping_add(1), ..done.epoch };
                for k in 0..done.outputs.len() {
                    parts.remove(records, &prefix(job, k, beside))?;
                }
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = write.await {
            tracing::warn!("parts of outputs of job {job} that are not in use could not be removed: {error}");
        }
        error
    }

    /// Writes a job that was done before this node has lost its store, unless it is there.
    async fn put_back(
        self: &Arc<Self>,
        mut done: DoneJob,
        components: [Zeroizing<Vec<u8>>; 2],
    ) -> Result<DoneJob, StoreError> {
        let this = self.clone();
        let work = async move {
            let job = done.accepted.job;
            let (outputs, described) = done.split(&Arc::new(components));
            (done.format, done.outputs, done.pending, done.accepted.rule) = (FORMAT, described, None, None);
            let put = done.clone();
            let write = async {
                for (k, output) in &outputs {
                    this.parts.write(&prefix(job, *k, put.epoch), (output, 0)).await?;
                }
                this.store.write(move |records| put_record(records, &put)).await
            };
            match write.await {
                Ok(()) => Ok(done),
                Err(error) => Err(this.cleared(job, error).await),
            }
        };
        self.change(work).await
    }
}

impl Jobs {
    /// What this node keeps of jobs that are done.
    pub(crate) async fn kept(&self) -> Result<Vec<KeptOutputs>, StoreError> {
        match &self.outputs {
            Some(store) => store.kept().await,
            None => Ok(Vec::new()),
        }
    }

    /// A job that is done, with a component of its outputs, if its shares in use are of an epoch.
    pub(crate) async fn kept_component(
        &self,
        job: JobId,
        epoch: Epoch,
        c: usize,
    ) -> Result<Option<(DoneJob, Zeroizing<Vec<u8>>)>, StoreError> {
        let Some(store) = &self.outputs else { return Ok(None) };
        let found = store.components((job, epoch), [c]).await?;
        Ok(found.map(|(done, [component])| (done, component)))
    }

    /// Writes new shares of a job's outputs beside those of an epoch. False if these are not here any more.
    pub(crate) async fn prepare_outputs(
        &self,
        (job, old, new): (JobId, Epoch, Epoch),
        by: (Arc<Seed>, Party),
    ) -> Result<bool, StoreError> {
        match &self.outputs {
            Some(store) => store.prepare((job, old, new), by).await,
            None => Ok(false),
        }
    }

    /// Puts shares that all three nodes have prepared in use. False if they are not here any more.
    pub(crate) async fn commit_outputs(&self, job: JobId, epoch: Epoch) -> Result<bool, StoreError> {
        let Some(store) = &self.outputs else { return Ok(false) };
        let done = store.commit(job, epoch).await?;
        self.forget_loaded(job).await;
        Ok(done)
    }

    /// Erases shares that are prepared beside those of an epoch.
    pub(crate) async fn abandon_outputs(&self, job: JobId, epoch: Epoch) -> Result<(), StoreError> {
        let Some(store) = &self.outputs else { return Ok(()) };
        store.abandon(job, epoch).await?;
        self.forget_loaded(job).await;
        Ok(())
    }

    /// Who asks for outputs from now on gets what the store has.
    async fn forget_loaded(&self, job: JobId) {
        let held = self.lock().jobs.get(&job).cloned();
        if let Some(held) = held {
            held.loaded.lock().await.clear();
        }
    }

    /// Takes back a job that this node has lost with its store: its outputs can be fetched again.
    ///
    /// # Errors
    /// Why it is not taken, for the operator; nothing of it is left then.
    pub(crate) async fn take_back(&self, done: DoneJob, components: [Zeroizing<Vec<u8>>; 2]) -> Result<(), String> {
        let store = self.outputs.as_ref().ok_or("this node keeps outputs in memory alone")?;
        let job = done.accepted.job;
        self.may_take_back(&done)?;
        let failed = |error: StoreError| error.to_string();
        let done = store.put_back(done, components).await.map_err(failed)?;
        if let Err(cause) = self.taken_back(done) {
            store.remove(vec![job]).await.map_err(failed)?;
            return Err(cause);
        }
        Ok(())
    }
}

impl Components for Output {
    fn count(&self) -> usize {
        2
    }

    fn component(&self, c: usize) -> &[u8] {
        self.0.get(c).and_then(|component| component.get(self.1.clone())).unwrap_or_default()
    }
}
