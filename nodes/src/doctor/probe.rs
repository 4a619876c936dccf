//! Asking the nodes.

use crate::{Error, config::Cluster, pki::Identity, status::NodeStatus, tls};
use futures_util::future::join_all;
use std::time::{Duration, Instant, SystemTime};
use trefoil_engine::Party;

/// How long one node may take for all that it is asked.
const DEADLINE: Duration = Duration::from_secs(5);

/// Largest status that is read, in bytes.
const MAX_STATUS: usize = 64 << 10;

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

/// Asks each node for its status, at the same time; a node that does not answer gives the reason.
///
/// Cancel safe.
///
/// # Errors
/// [`Error::Certificate`] if our own identity cannot be used.
pub async fn probe(cluster: &Cluster, identity: &Identity) -> Result<[Result<Probe, String>; 3], Error> {
    let mut clients = Vec::with_capacity(3);
    for party in Party::ALL {
        let tls = tls::api_client(identity, cluster, party)?;
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build();
        let client = client.map_err(|e| Error::Bug(format!("the HTTP client cannot be made: {e}")))?;
        clients.push((client, format!("https://{}/v1/status", cluster.node(party).api)));
    }
    let asked = join_all(clients.iter().map(async |(client, url)| {
        tokio::time::timeout(DEADLINE, ask(client, url))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {DEADLINE:?}")))
    }));
    asked.await.try_into().map_err(|_| Error::Bug("three nodes give three answers".to_owned()))
}

/// Asks twice: the first time opens the connection, the second is what is measured.
async fn ask(client: &reqwest::Client, url: &str) -> Result<Probe, String> {
    once(client, url).await?;
    let (sent, started) = (SystemTime::now(), Instant::now());
    let status = once(client, url).await?;
    Ok(Probe { status, sent, round_trip: started.elapsed() })
}

async fn once(client: &reqwest::Client, url: &str) -> Result<NodeStatus, String> {
    let mut response = client.get(url).send().await.map_err(|e| cause(&e))?;
    if !response.status().is_success() {
        return Err(format!("it answers {} to GET /v1/status; is this a Trefoil node?", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| cause(&e))? {
        if body.len() + chunk.len() > MAX_STATUS {
            return Err(format!("its status is longer than {MAX_STATUS} bytes; is this a Trefoil node?"));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|e| format!("its status cannot be read ({e}); is it another version?"))
}

/// The cause in words: the TLS failure if there is one, else the innermost error.
fn cause(error: &reqwest::Error) -> String {
    if let Some(text) = tls::explain(error) {
        return text;
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}
