//! What a node tells the client about a job: the body of `GET /v1/jobs/{id}`.

use super::{JobId, ModeSpec, OutputTerms, ProgramKind, ring};
use crate::{pki::ClientName, seal::OutputKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use trefoil_circuits::program::{RingKind, Shape};
use trefoil_engine::{Cost, Party};

/// The state of one job on one node.
///
/// A client of another version may read this, so unknown fields are ignored.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct JobStatus {
    /// The job.
    pub id: JobId,
    /// Who has submitted it.
    pub owner: ClientName,
    /// Against whom its computation is secure.
    pub mode: ModeSpec,
    /// Its outputs.
    pub outputs: Vec<OutputStatus>,
    /// Where it stands.
    #[serde(flatten)]
    pub state: JobState,
    /// While it runs, how much of it is done: from 0 to 1, and never less than before. It follows from the public sizes alone. `None` if what the program takes is not known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
}

/// One job of a client's list.
///
/// A client of another version may read this, so unknown fields are ignored.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct JobEntry {
    /// The job.
    #[serde(flatten)]
    pub status: JobStatus,
    /// What is computed, once the job is accepted.
    pub program: Option<ProgramKind>,
    /// When it was submitted to this node: milliseconds since 1970-01-01 UTC.
    pub submitted_unix_ms: u64,
    /// When it ended here, if it has.
    pub ended_unix_ms: Option<u64>,
}

/// One output of a job.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OutputStatus {
    /// What it consists of.
    #[serde(with = "ring")]
    pub ring: RingKind,
    /// Entries: bits, or integers.
    pub len: usize,
    /// Who may fetch it.
    pub recipients: Vec<ClientName>,
    /// To which keys it is sealed for them, as far as they have any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<ClientName, OutputKey>,
}

impl OutputStatus {
    /// As the job's terms say.
    pub fn of(terms: &OutputTerms) -> Self {
        let OutputTerms { shape, recipients, keys } = terms;
        Self { ring: shape.ring, len: shape.len, recipients: recipients.clone(), keys: keys.clone() }
    }

    /// Its shape.
    pub fn shape(&self) -> Shape {
        Shape { ring: self.ring, len: self.len }
    }
}

impl From<OutputStatus> for OutputTerms {
    fn from(status: OutputStatus) -> Self {
        Self { shape: status.shape(), recipients: status.recipients, keys: status.keys }
    }
}

/// Where a job stands on one node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum JobState {
    /// Its body is still arriving.
    Receiving,
    /// The node has it and waits for the two others, or for its turn.
    Accepted,
    /// The three nodes compute.
    Running,
    /// This node's output shares can be fetched.
    Done {
        /// What it cost this node.
        cost: JobCost,
    },
    /// It will never have an output.
    Failed {
        /// Why.
        failure: Failure,
    },
}

impl JobState {
    /// Whether nothing more will happen.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. })
    }

    /// Whether it has failed by an interruption.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Failed { failure } if failure.is_interruption())
    }
}

/// What a job has cost one node.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct JobCost {
    /// Rounds of communication, one after the other.
    pub rounds: u64,
    /// Payload bytes this node sent to its peers.
    pub bytes_sent: u64,
    /// Ring elements reshared: outputs of products and bilinear gates.
    pub products: u64,
    /// Seconds from the start of the computation to its end; waiting for other nodes or for a turn is not in it.
    pub seconds: f64,
}

impl JobCost {
    /// The engine's counters and the time taken.
    pub fn new(cost: Cost, seconds: f64) -> Self {
        Self { rounds: cost.rounds, bytes_sent: cost.bytes_sent, products: cost.products, seconds }
    }
}

/// Why a job failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// Who has to act.
    pub kind: FailureKind,
    /// What happened and what to do about it.
    pub cause: String,
    /// The node at which it went wrong, as far as this node can tell: 0, 1 or 2.
    pub blamed: Option<u8>,
    /// After a failed check: the nodes of which one has deviated, as far as this node can tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<u8>,
}

impl Failure {
    /// A failure that points at no node.
    pub fn new(kind: FailureKind, cause: impl Into<String>) -> Self {
        Self { kind, cause: cause.into(), blamed: None, suspects: Vec::new() }
    }

    /// Whether a node ended or was not reached, which may be otherwise the next time.
    pub fn is_interruption(&self) -> bool {
        matches!(self.kind, FailureKind::Missing | FailureKind::Link | FailureKind::Stopped)
    }

    /// Says what it concerns.
    #[must_use]
    pub fn at(mut self, what: impl std::fmt::Display) -> Self {
        self.cause = format!("{what}: {}", self.cause);
        self
    }

    /// Names the node at which it went wrong.
    #[must_use]
    pub fn blaming(mut self, party: Party) -> Self {
        self.blamed = Some(party.index() as u8);
        self
    }

    /// Names the nodes of which one has deviated.
    #[must_use]
    pub fn suspecting(mut self, parties: impl IntoIterator<Item = Party>) -> Self {
        self.suspects = parties.into_iter().map(|p| p.index() as u8).collect();
        self.suspects.sort_unstable();
        self
    }
}

/// Failures, sorted by who must act.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A node did not take part in time: it is down, unreachable, or did not get the job. Submit again when it is back.
    Missing,
    /// A link between nodes failed or stalled. Submit again.
    Link,
    /// A node sent what no honest node sends, or a check failed. Find out why before anything is submitted again.
    Misbehaved,
    /// The nodes were given different jobs under one name, or hold different tables. The client has to act, or the owner of the table.
    Mismatch,
    /// The policy of a node does not permit it. The client has to ask for something else, or that node's operator.
    Denied,
    /// The client cancelled it, here or at another node.
    Cancelled,
    /// A number left the range within which results are right. Nothing is released; the client has to ask for something else.
    Range,
    /// The tables have too few customers in common, or one of them a customer twice. Nothing is kept; the owners of the tables have to act.
    Data,
    /// It took longer than a job may. Ask for less, or raise the limit.
    Deadline,
    /// The node stopped.
    Stopped,
    /// The node broke one of its own rules. Please report it.
    Internal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_flat_and_named() {
        let id = JobId::from([0xab; 16]);
        let [owner, bob] = ["alice", "bob"].map(|name| name.parse::<ClientName>().unwrap());
        let outputs = vec![OutputStatus { ring: RingKind::Bits, len: 7, recipients: vec![bob], keys: BTreeMap::new() }];
        let cost = JobCost { rounds: 80, bytes_sent: 10, products: 3, seconds: 0.5 };
        let failure = Failure::new(FailureKind::Missing, "why").blaming(Party::P2);
        let hex = "ab".repeat(16);
        let check = Failure::new(FailureKind::Misbehaved, "why").suspecting([Party::P2, Party::P1]);
        for (state, text) in [
            (
                JobState::Failed { failure: check },
                format!(
                    r#"{{"id":"{hex}","owner":"alice","mode":"malicious","outputs":[{{"ring":"bits","len":7,"recipients":["bob"]}}],"state":"failed","failure":{{"kind":"misbehaved","cause":"why","blamed":null,"suspects":[1,2]}}}}"#
                ),
            ),
            (
                JobState::Accepted,
                format!(
                    r#"{{"id":"{hex}","owner":"alice","mode":"malicious","outputs":[{{"ring":"bits","len":7,"recipients":["bob"]}}],"state":"accepted"}}"#
                ),
            ),
            (
                JobState::Done { cost },
                format!(
                    r#"{{"id":"{hex}","owner":"alice","mode":"malicious","outputs":[{{"ring":"bits","len":7,"recipients":["bob"]}}],"state":"done","cost":{{"rounds":80,"bytes_sent":10,"products":3,"seconds":0.5}}}}"#
                ),
            ),
            (
                JobState::Failed { failure },
                format!(
                    r#"{{"id":"{hex}","owner":"alice","mode":"malicious","outputs":[{{"ring":"bits","len":7,"recipients":["bob"]}}],"state":"failed","failure":{{"kind":"missing","cause":"why","blamed":2}}}}"#
                ),
            ),
        ] {
            let status = JobStatus {
                id,
                owner: owner.clone(),
                mode: ModeSpec::Malicious,
                outputs: outputs.clone(),
                state,
                progress: None,
            };
            assert_eq!(serde_json::to_string(&status).unwrap(), text);
            assert_eq!(serde_json::from_str::<JobStatus>(&text).unwrap(), status);
        }
    }
}
