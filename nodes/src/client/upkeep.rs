//! Upkeep of the three nodes' stores, which an operator asks for.

use super::{Client, node::all};
use crate::{
    Error,
    upkeep::{Task, UpkeepReport, UpkeepSpec},
};

impl Client {
    /// Has the three nodes do something with their stores together, and waits until they have: minutes where they are large.
    ///
    /// Not cancel safe: the nodes go on to the end.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names the node and the remedy. It can be asked for again, in a session of another name.
    pub async fn upkeep(&self, task: Task, spec: &UpkeepSpec) -> Result<[UpkeepReport; 3], Error> {
        let [a, b, c] = all(&self.nodes, |node| node.upkeep(task, spec)).await;
        // Where one has a cause of its own, the others say no more than that it has ended.
        match (a, b, c) {
            (Ok(a), Ok(b), Ok(c)) => Ok([a, b, c]),
            (a, b, c) => Err([a.err(), b.err(), c.err()]
                .into_iter()
                .flatten()
                .max_by_key(weight)
                .unwrap_or_else(|| Error::Bug("three answers".to_owned()))),
        }
    }
}

/// How much an error tells: a refusal that concerns the request more than a session that has ended.
fn weight(error: &Error) -> u8 {
    match error {
        Error::Refused { problem, .. } if problem.kind() != Some(crate::api::ProblemKind::Together) => 3,
        Error::Unreachable { .. } => 2,
        _ => 1,
    }
}
