//! Jobs at one node.

use super::{ANSWER, NodeClient, TRANSFER, describe, with_body};
use crate::{
    Error,
    api::OUTPUT_EPOCH,
    client::{
        events::{Lines, Said},
        plain::Fetched,
    },
    job::{JobEntry, JobEvent, JobId, JobSpec, JobStatus, MEDIA_TYPE},
    seal::{RecipientKey, SEALED_OUTPUT_TYPE, ShareOf, sealed_output_bytes},
};
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::{Response, header};
use std::time::Duration;

/// How long a stream of events may last.
const STREAM: Duration = Duration::from_mins(10);

impl NodeClient {
    /// Submits one share, of a job that may repeat another. The parts can be sent more than once: the node takes the job once.
    pub(in crate::client) async fn put(
        &self,
        (id, repeats): (JobId, Option<JobId>),
        parts: &[Bytes],
    ) -> Result<JobStatus, Error> {
        let url = repeats.map_or_else(|| self.job(id), |old| format!("{}?repeats={old}", self.job(id)));
        let request = || with_body(self.http.put(&url).timeout(TRANSFER), MEDIA_TYPE, parts);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// The state of a job, as soon as it has ended or some time has passed.
    pub(in crate::client) async fn job_status(&self, id: JobId, wait: Duration) -> Result<JobStatus, Error> {
        let url = format!("{}?wait={}", self.job(id), wait.as_secs());
        let request = || self.http.get(&url).timeout(wait + ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// The specification by which a job can be run again.
    pub(in crate::client) async fn job_spec(&self, id: JobId) -> Result<JobSpec, Error> {
        let url = format!("{}/spec", self.job(id));
        let request = || self.http.get(&url).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// The caller's jobs.
    pub(in crate::client) async fn jobs(&self, most: usize) -> Result<Vec<JobEntry>, Error> {
        let url = self.url(&format!("jobs?limit={most}"));
        let request = || self.http.get(&url).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// Reads events of a job until it has ended, or the stream has: the last event then, or `None`. `last` is the name of the last one that was heard.
    pub(in crate::client) async fn events(
        &self,
        id: JobId,
        last: &mut Option<String>,
        each: &mut impl FnMut(&JobEvent),
    ) -> Result<Option<JobEvent>, Error> {
        let url = format!("{}/events", self.job(id));
        let request = || {
            let request = self.http.get(&url).timeout(STREAM);
            last.iter().fold(request, |request, last| request.header("last-event-id", last))
        };
        let response = self.answer(self.persist(request).await?).await?;
        let mut chunks = response.bytes_stream();
        let mut lines = Lines::default();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|e| Error::Unreachable { node: self.name.clone(), cause: describe(&e) })?;
            if !lines.push(&chunk) {
                return Err(self.nonsense("an event without an end"));
            }
            while let Some(line) = lines.next() {
                let said = Said::read(line);
                match said.map_err(|e| self.nonsense(&format!("an event that cannot be read ({e})")))? {
                    Some(Said::Name(name)) => *last = Some(name),
                    Some(Said::Event(event)) => {
                        each(&event);
                        if event.is_final() {
                            return Ok(Some(*event));
                        }
                    }
                    None => {}
                }
            }
        }
        Ok(None)
    }

    /// An output of a job: `own` of so many bytes, and the digest of `next`; and the epoch of these shares, which may be asked for.
    pub(in crate::client) async fn output(
        &self,
        (id, k): (JobId, usize),
        length: usize,
        epoch: Option<u64>,
    ) -> Result<(Fetched, u64), Error> {
        let (response, epoch) = self.output_of((id, k), epoch).await?;
        let mut own = self.body(response, length + 32).await?;
        match own.split_last_chunk() {
            Some((rest, digest)) if rest.len() == length => {
                let digest = *digest;
                own.truncate(length);
                Ok(((own, digest), epoch))
            }
            _ => Err(self.nonsense(&format!("an output of {} bytes where {} are due", own.len(), length + 32))),
        }
    }

    /// The same of an output that is sealed to a key of this client.
    pub(in crate::client) async fn sealed_output(
        &self,
        of: ShareOf<'_>,
        (length, key): (usize, &RecipientKey),
        epoch: Option<u64>,
    ) -> Result<(Fetched, u64), Error> {
        let (response, epoch) = self.output_of((of.job, of.output), epoch).await?;
        if response.headers().get(header::CONTENT_TYPE).is_none_or(|value| value != SEALED_OUTPUT_TYPE) {
            return Err(self.nonsense("an output that is not sealed"));
        }
        let sealed = self.body(response, sealed_output_bytes(length + 32)).await?;
        let mut own =
            key.open(&of, length + 32, &sealed).map_err(|e| self.nonsense(&format!("what is no output ({e})")))?;
        match own.split_last_chunk() {
            Some((_, digest)) => {
                let digest = *digest;
                own.truncate(length);
                Ok(((own, digest), epoch))
            }
            None => Err(self.nonsense("an output without a digest")),
        }
    }

    async fn output_of(&self, (id, k): (JobId, usize), epoch: Option<u64>) -> Result<(Response, u64), Error> {
        let mut url = format!("{}/outputs/{k}", self.job(id));
        if let Some(epoch) = epoch {
            url = format!("{url}?epoch={epoch}");
        }
        let response = self.answer(self.persist(|| self.http.get(&url).timeout(TRANSFER)).await?).await?;
        // A node of the version before makes none anew.
        let epoch = response.headers().get(OUTPUT_EPOCH).map_or(Some(0), |epoch| epoch.to_str().ok()?.parse().ok());
        let epoch = epoch.ok_or_else(|| self.nonsense("an output of an epoch that is no number"))?;
        Ok((response, epoch))
    }

    pub(in crate::client) async fn delete(&self, id: JobId) -> Result<(), Error> {
        self.gone(self.persist(|| self.http.delete(self.job(id)).timeout(ANSWER)).await?).await
    }

    fn job(&self, id: JobId) -> String {
        self.url(&format!("jobs/{id}"))
    }
}
