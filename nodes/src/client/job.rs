//! A submitted job: waiting for it, fetching its output, deleting it.

use super::{Client, node::all};
use crate::{
    Error,
    job::{FailureKind, JobCost, JobId, JobState, Shape},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use sha2::{Digest, Sha256};
use std::{fmt, time::Duration};
use trefoil_engine::{
    Lanes, Party,
    client::{OutputShare, reconstruct},
};
use zeroize::Zeroizing;

/// What a job has come to.
pub struct Outcome {
    /// The output, put together from the three nodes' shares. Wiped on drop.
    pub output: Zeroizing<Vec<Lanes>>,
    /// What it cost each node.
    pub costs: [JobCost; 3],
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outcome[{}]", self.output.len())
    }
}

/// A job that all three nodes have.
///
/// Dropped without [`delete`](Self::delete), it is deleted in the background, as long as the runtime lives.
#[derive(Debug)]
pub struct JobHandle {
    client: Client,
    id: JobId,
    shape: Shape,
    deleted: bool,
}

/// When one node reports a failure, so long the others are waited for: theirs may be the better explanation.
const SECOND_OPINION: Duration = Duration::from_secs(3);

impl JobHandle {
    pub(super) fn new(client: Client, id: JobId, shape: Shape) -> Self {
        Self { client, id, shape, deleted: false }
    }

    /// Its name.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Waits until it is done at all three nodes. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Job`] with the cause that tells most, if it failed; [`Error::Unreachable`] or [`Error::Refused`].
    pub async fn wait(&self) -> Result<[JobCost; 3], Error> {
        let mut waiting: FuturesUnordered<_> =
            Party::ALL.into_iter().map(|p| async move { (p, self.wait_at(p).await) }).collect();
        let mut costs = [None; 3];
        let mut errors = Vec::new();
        loop {
            let next = if errors.is_empty() {
                waiting.next().await
            } else {
                tokio::time::timeout(SECOND_OPINION, waiting.next()).await.unwrap_or(None)
            };
            match next {
                Some((p, Ok(cost))) => costs[p.index()] = Some(cost),
                Some((_, Err(e))) => errors.push(e),
                None => break,
            }
        }
        match (errors.into_iter().min_by_key(rank), costs) {
            (None, [Some(a), Some(b), Some(c)]) => Ok([a, b, c]),
            (Some(e), _) => Err(e),
            (None, _) => Err(Error::Bug("a node gave neither a cost nor a cause".to_owned())),
        }
    }

    /// Fetches the output shares, compares the doubly held components and puts the output together. Cancel safe.
    ///
    /// Each node sends one component in full and the digest of the other, which is the first component of the next node.
    ///
    /// # Errors
    /// [`Error::Integrity`] if two copies of a component differ: it names the two nodes; [`Error::Unreachable`] or
    /// [`Error::Refused`].
    pub async fn output(&self) -> Result<Zeroizing<Vec<Lanes>>, Error> {
        let length = self.shape.output_bytes();
        let [a, b, c] = all(&self.client.nodes, |node| node.output(self.id, length)).await;
        let fetched = [a?, b?, c?];
        let mut shares = Vec::with_capacity(3);
        for p in Party::ALL {
            let ((own, digest), (next, _)) = (&fetched[p.index()], &fetched[p.next().index()]);
            if Sha256::digest(next.as_slice()).as_slice() != digest {
                return Err(self.contradiction(p));
            }
            shares.push(OutputShare::from_bytes(p, self.shape.output_words, own, next)?);
        }
        let shares: [_; 3] = shares.try_into().map_err(|_| Error::Bug("three parties, three shares".to_owned()))?;
        Ok(Zeroizing::new(reconstruct(&shares)?))
    }

    /// Cancels it if it has not ended, and makes the nodes forget it. A node that does not answer forgets it in its own time.
    pub async fn delete(mut self) {
        self.deleted = true;
        delete(&self.client, self.id).await;
    }

    /// Waits for its end and fetches its output. Cancel safe.
    ///
    /// # Errors
    /// As [`wait`](Self::wait) and [`output`](Self::output).
    pub async fn outcome(&self) -> Result<Outcome, Error> {
        let costs = self.wait().await?;
        Ok(Outcome { output: self.output().await?, costs })
    }

    async fn wait_at(&self, party: Party) -> Result<JobCost, Error> {
        let node = self.client.node(party);
        loop {
            match node.job_status(self.id).await?.state {
                JobState::Done { cost } => return Ok(cost),
                JobState::Failed { failure } => {
                    return Err(Error::Job { node: node.name().to_owned(), failure: Box::new(failure) });
                }
                JobState::Receiving | JobState::Accepted | JobState::Running => {}
            }
        }
    }

    fn contradiction(&self, party: Party) -> Error {
        let name = |p: Party| self.client.node(p).name().to_owned();
        Error::Integrity(format!(
            "{} and {} returned different copies of one component of the output; one of them deviated from the protocol. \
             Nothing was put together; find out which before anything is submitted again",
            name(party),
            name(party.next()),
        ))
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        if !self.deleted
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (client, id) = (self.client.clone(), self.id);
            runtime.spawn(async move { delete(&client, id).await });
        }
    }
}

async fn delete(client: &Client, id: JobId) {
    for (node, result) in client.nodes.iter().zip(all(&client.nodes, |node| node.delete(id)).await) {
        if let Err(e) = result {
            tracing::debug!("could not delete job {id} at {}: {e}", node.name());
        }
    }
}

/// Which of several causes tells most: the lowest.
fn rank(error: &Error) -> u8 {
    match error {
        Error::Integrity(_) => 0,
        Error::Job { failure, .. } => match (failure.kind, failure.blamed) {
            (FailureKind::Misbehaved, _) => 1,
            (FailureKind::Mismatch, _) => 2,
            (FailureKind::Internal | FailureKind::Deadline, _) => 3,
            (_, Some(_)) => 4,
            (FailureKind::Stopped, None) => 5,
            (_, None) => 7,
        },
        _ => 6,
    }
}
