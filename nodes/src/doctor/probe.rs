//! Asking the nodes.

use crate::{Error, client::Client, config::Cluster, pki::ClientAuthRef, status::NodeStatus};
use futures_util::future::join_all;
use std::time::{Duration, Instant, SystemTime};
use trefoil_engine::Party;

/// How long one node may take for all that it is asked.
const DEADLINE: Duration = Duration::from_secs(5);

/// A node's answer.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What it says of itself.
    pub status: NodeStatus,
    /// When the request left, by our clock.
    pub sent: SystemTime,
    /// From then until the answer was complete, over a connection already open.
    pub round_trip: Duration,
}

/// Asks each node for its status, all at the same time; for a node that does not answer, the reason.
///
/// Cancel safe.
///
/// # Errors
/// [`Error::Certificate`] if our own identity cannot be used.
pub async fn probe(cluster: &Cluster, auth: ClientAuthRef<'_>) -> Result<[Result<Probe, String>; 3], Error> {
    let client = Client::new(cluster, auth)?;
    let asked = Party::ALL.map(async |party| {
        let answer = tokio::time::timeout(DEADLINE, ask(&client, party)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {DEADLINE:?}")))
    });
    join_all(asked).await.try_into().map_err(|_| Error::Bug("three nodes give three answers".to_owned()))
}

/// Asks twice: the first time opens the connection, the second is what is measured.
async fn ask(client: &Client, party: Party) -> Result<Probe, String> {
    // The place names the node already.
    let cause = |error| match error {
        Error::Unreachable { cause, .. } => cause,
        other => other.to_string(),
    };
    client.node_status(party).await.map_err(cause)?;
    let (sent, started) = (SystemTime::now(), Instant::now());
    let status = client.node_status(party).await.map_err(cause)?;
    Ok(Probe { status, sent, round_trip: started.elapsed() })
}
