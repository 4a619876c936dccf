//! A submitted job: waiting for it, fetching its output, deleting it.

use super::{
    Client,
    node::{NodeClient, all},
    plain::{Contradiction, Fetched, PlainVector},
};
use crate::{
    Error,
    api::ProblemKind,
    job::{FailureKind, JobCost, JobId, JobSpec, JobState, JobStatus, OutputTerms},
    pki::ClientName,
    seal::{RecipientKey, ShareOf},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::{sync::Arc, time::Duration};
use trefoil_engine::{Lanes, Party, Z64};

/// What a job has come to.
#[derive(Debug)]
pub struct Outcome {
    /// Its outputs, put together from the three nodes' shares; `None` for those that are for others.
    pub outputs: Vec<Option<PlainVector>>,
    /// What it cost each node.
    pub costs: [JobCost; 3],
}

impl Outcome {
    /// Output `k`, which consists of bits.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none for this client, or it consists of something else.
    pub fn bits(&self, k: usize) -> Result<&[Lanes], Error> {
        self.output(k)?.bits()
    }

    /// Output `k`, which consists of integers.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none for this client, or it consists of something else.
    pub fn z64(&self, k: usize) -> Result<&[Z64], Error> {
        self.output(k)?.z64()
    }

    fn output(&self, k: usize) -> Result<&PlainVector, Error> {
        let output = self.outputs.get(k).and_then(Option::as_ref);
        output.ok_or_else(|| Error::Usage(format!("output {k} of the job is not for this client")))
    }
}

/// A job that all three nodes have.
///
/// Dropped by the client that has submitted it, without [`delete`](Self::delete), it is deleted in the background, as long as the runtime lives.
#[derive(Debug)]
pub struct JobHandle {
    client: Client,
    id: JobId,
    outputs: Arc<[OutputTerms]>,
    drop: OnDrop,
}

/// What becomes of the job when its handle is dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum OnDrop {
    Delete,
    Leave,
}

/// How long the state of a job is waited for at a node before it is asked for again.
const POLL: Duration = Duration::from_secs(20);

/// When one node reports a failure, so long the others are waited for: theirs may be the better explanation.
pub(super) const SECOND_OPINION: Duration = Duration::from_secs(3);

impl JobHandle {
    pub(super) fn new(client: Client, id: JobId, outputs: Arc<[OutputTerms]>) -> Self {
        Self { client, id, outputs, drop: OnDrop::Delete }
    }

    /// A job that somebody else may have submitted, as the three nodes describe it.
    pub(super) async fn found(client: Client, id: JobId) -> Result<Self, Error> {
        let [a, b, c] = all(&client.nodes, |node| node.job_status(id, Duration::ZERO)).await;
        let all = [a?, b?, c?];
        let same = |other: &JobStatus| {
            (&all[0].owner, all[0].mode, &all[0].outputs) == (&other.owner, other.mode, &other.outputs)
        };
        if let Some(k) = all.iter().position(|other| !same(other)) {
            let [first, other] = [&client.nodes[0], &client.nodes[k]].map(NodeClient::name);
            return Err(Error::Integrity(format!(
                "{first} and {other} describe job {id} differently; ask its submitter for another"
            )));
        }
        let [JobStatus { outputs, .. }, ..] = all;
        let outputs = outputs.into_iter().map(OutputTerms::from).collect();
        Ok(Self { client, id, outputs, drop: OnDrop::Leave })
    }

    /// Its outputs, and for whom they are.
    pub fn outputs(&self) -> &[OutputTerms] {
        &self.outputs
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

    /// Fetches the shares of output `k`, compares the doubly held components and puts the output together. Cancel safe.
    ///
    /// Each node sends one component in full and the digest of the other, which is the first component of the next node.
    ///
    /// # Errors
    /// [`Error::Integrity`] if two copies of a component differ: it names the two nodes; [`Error::Unreachable`] or
    /// [`Error::Refused`], which it is too if the output is for others.
    pub async fn output(&self, k: usize) -> Result<PlainVector, Error> {
        let shape = self.outputs.get(k).map(|output| output.shape);
        let shape =
            shape.ok_or_else(|| Error::Usage(format!("the job has {} outputs, no output {k}", self.outputs.len())))?;
        let length = shape.component_bytes();
        let sealed = self.sealed_to_own(k)?;
        let [a, b, c] = all(&self.client.nodes, |node| self.share(node, (k, length), sealed, None)).await;
        let mut shares = [a?, b?, c?];
        let epochs = shares.each_ref().map(|(_, epoch)| *epoch);
        let newest = epochs.into_iter().max().unwrap_or(0);
        if epochs != [newest; 3] {
            // They are being made anew: whoever has new ones in use knows that the others have them too.
            let again = all(&self.client.nodes, |node| self.share(node, (k, length), sealed, Some(newest))).await;
            if let Some(alone) = alone(epochs, &again) {
                let name = self.client.node(alone).name();
                return Err(Error::Integrity(format!(
                    "{name} says that its shares are of epoch {newest}, which neither of the other nodes has: it deviates from the protocol, or shares were made anew once more meanwhile. Fetch the output again; if that says the same, find out what runs there"
                )));
            }
            let [a, b, c] = again;
            shares = [a?, b?, c?];
        }
        PlainVector::of(shape, &shares.map(|(fetched, _)| fetched)).map_err(|contradiction| match contradiction {
            Contradiction::Between(p) => self.contradiction(p),
            Contradiction::Engine(e) => e.into(),
        })
    }

    /// A node's share of output `k`, of so many bytes, and its epoch.
    async fn share(
        &self,
        node: &NodeClient,
        (k, length): (usize, usize),
        sealed: Option<(&RecipientKey, &ClientName)>,
        epoch: Option<u64>,
    ) -> Result<(Fetched, u64), Error> {
        match sealed {
            Some((key, recipient)) => {
                let of = ShareOf { from: node.party(), job: self.id, output: k, recipient };
                node.sealed_output(of, (length, key), epoch).await
            }
            None => node.output((self.id, k), length, epoch).await,
        }
    }

    /// The key that an output is sealed to for this client, if it is.
    fn sealed_to_own(&self, k: usize) -> Result<Option<(&RecipientKey, &ClientName)>, Error> {
        let Some(name) = self.client.name() else { return Ok(None) };
        let Some(public) = self.outputs.get(k).and_then(|output| output.keys.get(name)) else { return Ok(None) };
        match self.client.output_key.as_deref().filter(|key| key.public() == *public) {
            Some(key) => Ok(Some((key, name))),
            None => Err(Error::Usage(format!(
                "output {k} is sealed to a key of {name} that was not given; give the private key of {public:?}"
            ))),
        }
    }

    /// Tells the nodes that this client needs it no longer. From the client that has submitted it, cancels it if it has not ended. A node that does not
    /// answer forgets it in its own time.
    pub async fn delete(mut self) {
        self.drop = OnDrop::Leave;
        delete(&self.client, self.id).await;
    }

    /// Leaves the job with the nodes, and gives its name.
    pub fn leave(mut self) -> JobId {
        self.drop = OnDrop::Leave;
        self.id
    }

    /// Deletes it after its end, unless it was interrupted and can be [run again](Client::rerun).
    pub(super) async fn conclude(self, spec: &JobSpec, outcome: &Result<Outcome, Error>) {
        match outcome {
            Err(Error::Job { failure, .. }) if failure.is_interruption() && spec.can_run_again() => {
                tracing::warn!("the job was interrupted; `trefoil job rerun {}` has it run again", self.leave());
            }
            _ => self.delete().await,
        }
    }

    /// Waits for its end and fetches those of its outputs that are for this client. Cancel safe.
    ///
    /// # Errors
    /// As [`wait`](Self::wait) and [`output`](Self::output).
    pub async fn outcome(&self) -> Result<Outcome, Error> {
        let costs = self.wait().await?;
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for (k, output) in self.outputs.iter().enumerate() {
            let mine = output.recipients.iter().any(|name| Some(name) == self.client.name());
            outputs.push(if mine { Some(self.output(k).await?) } else { None });
        }
        Ok(Outcome { outputs, costs })
    }

    async fn wait_at(&self, party: Party) -> Result<JobCost, Error> {
        let node = self.client.node(party);
        loop {
            match node.job_status(self.id, POLL).await?.state {
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

/// The node that has named an epoch which both others lack.
fn alone<T>(epochs: [u64; 3], again: &[Result<T, Error>; 3]) -> Option<Party> {
    let newest = epochs.into_iter().max()?;
    let mut of_newest = Party::ALL.into_iter().filter(|party| epochs[party.index()] == newest);
    let named = of_newest.next().filter(|_| of_newest.next().is_none())?;
    let lacks = |party: Party| matches!(&again[party.index()], Err(Error::Refused { problem, .. }) if problem.kind() == Some(ProblemKind::Conflict));
    named.peers().into_iter().all(lacks).then_some(named)
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        if self.drop == OnDrop::Delete
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
            (FailureKind::Mismatch | FailureKind::Range | FailureKind::Data, _) => 2,
            (FailureKind::Internal | FailureKind::Deadline, _) => 3,
            (_, Some(_)) => 4,
            (FailureKind::Stopped, None) => 5,
            (_, None) => 7,
        },
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_an_epoch_that_nobody_else_has_is_named() {
        let lacks = || {
            let problem = Box::new(ProblemKind::Conflict.because("no shares of that epoch"));
            Err::<(), _>(Error::Refused { node: "a node".to_owned(), problem })
        };
        assert_eq!(alone([u64::MAX, 0, 0], &[Ok(()), lacks(), lacks()]), Some(Party::P0));
        assert_eq!(alone([0, 0, 7], &[lacks(), lacks(), lacks()]), Some(Party::P2));
        assert_eq!(alone([0, 1, 0], &[Ok(()), Ok(()), lacks()]), None, "one has it");
        assert_eq!(alone([1, 1, 0], &[Ok(()), Ok(()), lacks()]), None, "two have named it");
    }
}
