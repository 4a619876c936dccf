//! What is asked of a policy.

use super::Action;
use crate::{
    job::{InputSpec, JobSpec, ModeSpec, ProgramKind},
    pki::ClientName,
    tables::TableName,
};

/// Whether a client may do something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Question {
    /// Have a job computed.
    Job(JobQuestion),
    /// Do something else.
    Action {
        /// What.
        action: Action,
        /// Who asks.
        requester: ClientName,
    },
}

/// What a policy sees of a job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobQuestion {
    /// What is computed.
    pub program: ProgramKind,
    /// Against whom it is secure.
    pub mode: ModeSpec,
    /// Who asks.
    pub requester: ClientName,
    /// Of what: each once.
    pub data: Vec<DataSet>,
    /// For whom, over all outputs: each once.
    pub recipients: Vec<Recipient>,
}

/// Where an input comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DataSet {
    /// With the job.
    Upload,
    /// From a table, whatever its version.
    Table {
        /// Whose.
        owner: ClientName,
        /// Its name.
        name: TableName,
    },
}

/// Who has an output.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Recipient {
    /// The nodes: it stays there as a table of shares.
    Nodes,
    /// A client that may fetch it.
    Client(ClientName),
}

impl JobQuestion {
    /// That of a job which this client submits.
    #[must_use]
    pub fn of(spec: &JobSpec, requester: &ClientName) -> Self {
        let source = |input: &InputSpec| match input {
            InputSpec::Upload => DataSet::Upload,
            InputSpec::Table(table) => DataSet::Table { owner: table.owner.clone(), name: table.name.clone() },
        };
        let mut data: Vec<DataSet> = Vec::new();
        for set in spec.inputs.iter().map(source) {
            if !data.contains(&set) {
                data.push(set);
            }
        }
        if spec.inputs.is_empty() {
            data.push(DataSet::Upload);
        }
        let clients = spec.recipients(requester).into_iter().map(Recipient::Client);
        let mut recipients: Vec<Recipient> = Vec::new();
        for recipient in clients.chain(spec.kept().map(|_| Recipient::Nodes)) {
            if !recipients.contains(&recipient) {
                recipients.push(recipient);
            }
        }
        let requester = requester.clone();
        Self { program: spec.program.kind(), mode: spec.mode, requester, data, recipients }
    }
}

impl Question {
    /// Who asks.
    #[must_use]
    pub fn requester(&self) -> &ClientName {
        match self {
            Self::Job(job) => &job.requester,
            Self::Action { requester, .. } => requester,
        }
    }
}
