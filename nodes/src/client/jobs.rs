//! The jobs of a client, as the three nodes have them.

use super::{
    Client, JobHandle,
    node::{NodeClient, all},
    upload,
};
use crate::{
    Error,
    job::{JobEntry, JobEvent, JobId, JobStatus},
};
use bytes::Bytes;
use std::time::Duration;
use trefoil_engine::Party;

/// How long a stream of events that broke off is waited for before it is opened again.
const AGAIN: Duration = Duration::from_secs(1);

/// How often in a row it may break off without an event.
const ATTEMPTS: u32 = 5;

impl Client {
    /// The jobs that this client has submitted or may fetch outputs of, at each node, the newest first; so many at most, and no more than 1,000. Cancel safe.
    pub async fn jobs(&self, most: usize) -> [Result<Vec<JobEntry>, Error>; 3] {
        all(&self.nodes, |node| node.jobs(most)).await
    }

    /// Where a job stands at each node. Cancel safe.
    pub async fn job_states(&self, id: JobId) -> [Result<JobStatus, Error>; 3] {
        all(&self.nodes, |node| node.job_status(id, Duration::ZERO)).await
    }

    /// Tells the nodes that this client is done with a job; if it has submitted it, and it has not ended, cancels it. What each has answered: one that knows no such job is content. Cancel safe.
    pub async fn delete_job(&self, id: JobId) -> [Result<(), Error>; 3] {
        all(&self.nodes, |node| node.delete(id)).await
    }

    /// Runs a job of this client again that was interrupted and of which nothing had come with it: under a new name, with new randomness, and asked for as any other. Not cancel safe: it may leave the new job at some nodes.
    ///
    /// # Errors
    /// [`Error::Refused`] if a node has no such job of this client, or it is done, goes on, has failed by itself, or needs what came with it; [`Error::Integrity`] if the nodes have different specifications of it; those of [`submit`](Self::submit).
    pub async fn rerun(&self, id: JobId) -> Result<JobHandle, Error> {
        let [a, b, c] = all(&self.nodes, |node| node.job_spec(id)).await;
        let [spec, b, c] = [a?, b?, c?];
        for (node, other) in self.nodes[1..].iter().zip([b, c]) {
            if other.canonical() != spec.canonical() {
                return Err(Error::Integrity(format!(
                    "{} and {} have different specifications of job {id}; submit it again with the command that submitted it",
                    self.nodes[0].name(),
                    node.name()
                )));
            }
        }
        upload::submit(self, (&spec, Some(id)), Bytes::new(), &[]).await
    }

    /// Calls `each` with what becomes of a job at one node until it has ended there, and gives the last event. A stream that breaks off is opened again. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Refused`] if the node has no such job for this client, [`Error::Unreachable`].
    pub async fn follow(&self, id: JobId, party: Party, mut each: impl FnMut(&JobEvent)) -> Result<JobEvent, Error> {
        let node: &NodeClient = self.node(party);
        let (mut last, mut left) = (None, ATTEMPTS);
        loop {
            let before = last.clone();
            let end = node.events(id, &mut last, &mut each).await;
            left = if last == before { left - 1 } else { ATTEMPTS };
            match end {
                Ok(Some(event)) => return Ok(event),
                Err(error @ Error::Refused { .. }) => return Err(error),
                Err(error) if left == 0 => return Err(error),
                Ok(None) if left == 0 => return Err(node.nonsense("streams that ended without an event")),
                Ok(None) | Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }
}
