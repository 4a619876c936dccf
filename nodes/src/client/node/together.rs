//! Requests to all three nodes at the same time.

use super::NodeClient;
use crate::{Error, api::ProblemKind, client::job::SECOND_OPINION};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::future::Future;

/// Runs one request per node at the same time.
pub(in crate::client) async fn all<'a, T, F: Future<Output = T>>(
    nodes: &'a [NodeClient; 3],
    request: impl Fn(&'a NodeClient) -> F,
) -> [T; 3] {
    let [a, b, c] = nodes;
    let (a, b, c) = tokio::join!(request(a), request(b), request(c));
    [a, b, c]
}

/// The same for what all three have to take part in: when one has failed, the others wait for it in vain, and are waited for no longer than [`SECOND_OPINION`].
///
/// Where they only see another signature counter they do not wait for each other, and the attempt after it must not meet this one.
pub(in crate::client) async fn together<'a, T, F: Future<Output = Result<T, Error>>>(
    nodes: &'a [NodeClient; 3],
    request: impl Fn(&'a NodeClient) -> F,
) -> [Result<T, Error>; 3] {
    let request = &request;
    let asked = nodes.iter().map(|node| async move { (node.party(), request(node).await) });
    let mut waiting: FuturesUnordered<_> = asked.collect();
    let (mut answers, mut end) = ([const { None }; 3], None);
    loop {
        let next = match end {
            Some(end) => tokio::time::timeout_at(end, waiting.next()).await.unwrap_or(None),
            None => waiting.next().await,
        };
        let Some((party, answer)) = next else { break };
        if answer.as_ref().is_err_and(|error| !is_counter(error)) {
            end = end.or_else(|| Some(tokio::time::Instant::now() + SECOND_OPINION));
        }
        answers[party.index()] = Some(answer);
    }
    let [a, b, c] = answers;
    let [of_a, of_b, of_c] = nodes;
    [a.unwrap_or_else(|| of_a.given_up()), b.unwrap_or_else(|| of_b.given_up()), c.unwrap_or_else(|| of_c.given_up())]
}

fn is_counter(error: &Error) -> bool {
    matches!(error, Error::Refused { problem, .. } if problem.kind() == Some(ProblemKind::Counter))
}

impl NodeClient {
    /// Another node has failed, and this one has not said what it makes of it.
    fn given_up<T>(&self) -> Result<T, Error> {
        let cause = format!("another node has failed, and it has not answered within {SECOND_OPINION:?} after that");
        Err(Error::Unreachable { node: self.name.clone(), cause })
    }
}
