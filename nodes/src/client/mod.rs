//! What a client does: split the input, submit it to the three nodes, wait, fetch, compare, put together.
//!
//! ```no_run
//! use trefoil_nodes::{Error, cli::ClusterArgs, client::{Client, Plain}, job::JobSpec};
//!
//! # use trefoil_engine::Lanes;
//! # async fn run(args: ClusterArgs, spec: JobSpec, key: [Lanes; 2]) -> Result<(), Error> {
//! let target = args.resolve()?;
//! let client = Client::connect(&target.cluster, &target.identity).await?;
//! let outcome = client.run(&spec, Default::default(), &[Plain::Bits(&key)]).await?;
//! println!("{} words after {} rounds", outcome.bits(0)?.len(), outcome.costs[0].rounds);
//! # Ok(()) }
//! ```

mod auth;
pub mod credit;
mod ctr;
pub(crate) mod events;
mod fetch;
mod job;
mod jobs;
mod keys;
mod node;
mod passing;
mod plain;
mod tables;
mod upkeep;
mod upload;

pub use auth::{Device, Identified, Issuer, Login, Page, Probe};
pub use ctr::{AesKey, Ctr, CtrReport};
pub use fetch::{TableBatch, TableFetch};
pub use job::{JobHandle, Outcome};
pub use keys::{KeyReport, KeyTerms, Signature, SigningKey};
pub(crate) use passing::Passed;
pub use plain::{Plain, PlainVector};
pub use tables::NewTable;

use crate::{
    Error,
    config::{Cluster, ClusterDigest},
    job::{JobId, JobSpec},
    pki::{ClientAuthRef, ClientName, Role},
    seal::RecipientKey,
    status::NodeStatus,
};
use bytes::Bytes;
use node::NodeClient;
use std::{fmt, sync::Arc, time::Duration};
use trefoil_engine::Party;

/// A client of one cluster. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    nodes: Arc<[NodeClient; 3]>,
    digest: ClusterDigest,
    name: Option<ClientName>,
    patience: Duration,
    output_key: Option<Arc<RecipientKey>>,
}

/// How long a client comes back to busy nodes before it gives up.
const PATIENCE: Duration = Duration::from_mins(2);

impl Client {
    /// A client that has not called any node yet.
    ///
    /// # Errors
    /// [`Error::Certificate`] if the identity cannot be used.
    pub fn new<'a>(cluster: &Cluster, auth: impl Into<ClientAuthRef<'a>>) -> Result<Self, Error> {
        let auth = auth.into();
        let node = |party| NodeClient::new(cluster, auth, party);
        let nodes = Arc::new([node(Party::P0)?, node(Party::P1)?, node(Party::P2)?]);
        let name = match auth.role() {
            Role::Client(name) => Some(name.clone()),
            Role::Node(_) => None,
        };
        Ok(Self { nodes, digest: cluster.digest(), name, patience: PATIENCE, output_key: None })
    }

    /// The same, which opens outputs that are sealed to this key.
    #[must_use]
    pub fn opening_with(mut self, key: RecipientKey) -> Self {
        self.output_key = Some(Arc::new(key));
        self
    }

    /// A client that has called all three nodes and found them to be of one cluster, and connected to each other.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::Refused`] names the first node that is not, and the remedy.
    pub async fn connect<'a>(cluster: &Cluster, auth: impl Into<ClientAuthRef<'a>>) -> Result<Self, Error> {
        let client = Self::new(cluster, auth)?;
        for (node, status) in client.nodes.iter().zip(client.status().await) {
            let status = status?;
            let down = |cause: String| Error::Unreachable { node: node.name().to_owned(), cause };
            if !status.is_of(cluster) {
                let cause = "it runs with another cluster file; copy one cluster.toml to all nodes and here";
                return Err(down(cause.to_owned()));
            }
            if let Some(peer) = status.peers.iter().find(|peer| !peer.connected) {
                let why = peer.last_error.as_deref().unwrap_or("it has not answered yet");
                return Err(down(format!("it has no link to P{}: {why}; run `trefoil doctor`", peer.party)));
            }
        }
        Ok(client)
    }

    /// Asks the three nodes for their status, in party order.
    ///
    /// Cancel safe.
    pub async fn status(&self) -> [Result<NodeStatus, Error>; 3] {
        let [a, b, c] = &*self.nodes;
        let (a, b, c) = tokio::join!(a.status(), b.status(), c.status());
        [a, b, c]
    }

    /// Asks one node for its status.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::Refused`], with the remedy.
    pub async fn node_status(&self, party: Party) -> Result<NodeStatus, Error> {
        self.nodes[party.index()].status().await
    }

    /// The name in the certificate, if it is a client's, or in the tokens.
    pub fn name(&self) -> Option<&ClientName> {
        self.name.as_ref()
    }

    /// Splits the inputs that come with the job, in their order, and submits it to the three nodes. While a node is busy, comes back for two minutes. Where one is not ready, as without a link to another, it is waited for three seconds until all three are, and the job submitted once more.
    ///
    /// If a node refuses, the job is deleted at the others. Cancelled, it may leave a job at some nodes, which fails there
    /// when the others do not come.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names the node and the remedy; [`Error::Usage`] if the inputs are not
    /// what the specification says.
    pub async fn submit(&self, spec: &JobSpec, attachment: Bytes, inputs: &[Plain<'_>]) -> Result<JobHandle, Error> {
        upload::submit(self, (spec, None), attachment, inputs).await
    }

    /// A job that this client or another has submitted, and of which this one may fetch outputs. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Integrity`] if the nodes describe it differently; [`Error::Refused`] or [`Error::Unreachable`].
    pub async fn job(&self, id: JobId) -> Result<JobHandle, Error> {
        JobHandle::found(self.clone(), id).await
    }

    /// Submits a job, waits for its end, fetches its outputs for this client and deletes it. Outputs for others stay until these have
    /// fetched them, and one that was interrupted stays if it can be [run again](Self::rerun).
    ///
    /// Cancelled, it deletes the job in the background.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), [`JobHandle::wait`] and [`JobHandle::output`].
    pub async fn run(&self, spec: &JobSpec, attachment: Bytes, inputs: &[Plain<'_>]) -> Result<Outcome, Error> {
        let job = self.submit(spec, attachment, inputs).await?;
        let outcome = job.outcome().await;
        job.conclude(spec, &outcome).await;
        outcome
    }

    fn node(&self, party: Party) -> &NodeClient {
        &self.nodes[party.index()]
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("cluster", &self.digest).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
