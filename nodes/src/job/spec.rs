//! What a job computes: public, agreed on by the client and the three nodes before anything runs.

mod credit;
mod digest;
mod join;
mod kept;
mod mode;
mod ports;
mod program;
mod retain;
mod rules;
mod sizes;
mod train;

pub use credit::{AucSpec, CountsSpec, ModelSpec, PooledSpec, ReasonsSpec, ReportSpec, ScoreSpec};
pub use digest::Sha256Hex;
pub use join::{JoinSpec, JoinedSpec, MAX_JOINED};
pub(super) use kept::making;
pub use kept::{KeptTable, Making};
pub use mode::ModeSpec;
pub use ports::{Port, Role};
pub use program::{AesCtrSpec, CircuitSpec, MomentsSpec, ProgramKind, ProgramSpec};
pub use retain::RetainSpec;
pub use sizes::Sizes;
pub use train::{MethodSpec, StopSpec, TrainSpec, Trainer};

use crate::{
    job::JobId,
    pki::ClientName,
    seal::OutputKey,
    tables::{ColumnName, TableName},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};
use trefoil_circuits::{credit::CreditError, program::Shape};

/// The public description of a job. All its sizes follow from it, never from a message.
///
/// ```
/// use trefoil_nodes::job::JobSpec;
/// let spec: JobSpec = serde_json::from_str(
///     r#"{"program": {"aes-ctr": {"key_bits": 128, "counter": "000102030405060708090a0b0c0d0e0f", "blocks": 1000}}}"#,
/// )?;
/// assert_eq!(spec.sizes()?.outputs[0].len, 128_000);
/// assert_eq!(spec.mode.name(), "malicious");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// What to compute.
    pub program: ProgramSpec,
    /// Against whom the computation is secure: malicious unless the JSON says otherwise.
    #[serde(default)]
    pub mode: ModeSpec,
    /// Where each input of the program comes from, in its order. Left out, all come with the job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputSpec>,
    /// Who learns each output of the program, in its order. Left out, the client that submits the job learns all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputSpec>,
    /// Where its outputs are until they are deleted: in the nodes' stores unless the JSON says otherwise.
    #[serde(default, skip_serializing_if = "RetainSpec::is_default")]
    pub retain: RetainSpec,
    /// Within how many seconds it has to be done at each node, waiting included. Left out, or beyond it, the limit of the node counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<NonZeroU32>,
}

/// Where an input comes from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputSpec {
    /// It comes with the job.
    Upload,
    /// Columns of a table that the nodes have stored.
    Table(TableInput),
}

/// Columns of a stored table, one after the other.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TableInput {
    /// The client that has stored it.
    pub owner: ClientName,
    /// Its name.
    pub name: TableName,
    /// Its version.
    pub version: u32,
    /// The columns, in the order in which the program takes them, all over one ring. Left out, all columns of the table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnName>,
}

/// Who learns an output, and whether it stays at the nodes as a table.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// The names of the clients that may fetch it, each once: at least one, unless it stays at the nodes. The client that submits the job is not among them unless named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<ClientName>,
    /// Keys of recipients, to which the nodes seal their shares of it: nobody on the way sees one. Others are given theirs as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<ClientName, OutputKey>,
    /// The table of shares that it becomes. Left out, it becomes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<KeptTable>,
}

/// What a node keeps of a specification while its job lives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Terms {
    /// The digest the nodes compare.
    pub digest: [u8; 32],
    /// Against whom the computation is secure.
    pub mode: ModeSpec,
    /// The outputs.
    pub outputs: Arc<[OutputTerms]>,
    /// Where they are until they are deleted.
    pub retain: RetainSpec,
    /// Within what time the job has to be done, if the client has said.
    pub deadline: Option<Duration>,
}

/// One output of a job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutputTerms {
    /// Its public shape.
    pub shape: Shape,
    /// Who may fetch it.
    pub recipients: Vec<ClientName>,
    /// To which keys it is sealed for them, as far as they have any.
    pub keys: BTreeMap<ClientName, OutputKey>,
}

/// A specification that contradicts itself. The client has to act.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpecFault {
    /// Sizes that no machine could hold.
    #[error("the sizes of this job overflow; ask for fewer blocks, instances, rows, inputs or outputs")]
    Oversized,
    /// Another number of inputs or outputs than the program has.
    #[error("the program has {expected} {what}, and the specification lists {got}; list each, or none for the default")]
    Count {
        /// "inputs" or "outputs".
        what: &'static str,
        /// What the program has.
        expected: usize,
        /// What is listed.
        got: usize,
    },
    /// An output for nobody, for too many, or twice for one.
    #[error(
        "output {0} names no recipient and no table, one recipient twice, or more than {MAX_RECIPIENTS}; name each once"
    )]
    Recipients(usize),
    /// A key of somebody who is no recipient.
    #[error(
        "output {0} names a key of `{1}`, who is none of its recipients; name the client there, or leave the key out"
    )]
    Keys(usize, ClientName),
    /// Two outputs would become one table, and do not fit together.
    #[error(
        "output {0} would become columns of the same table as another, which has other rows or permits; give each a name or version of its own, or the same rows and permits"
    )]
    SameTable(usize),
    /// The permits of a table that an output becomes.
    #[error("output {output} cannot become a table: {cause}")]
    Table {
        /// The output.
        output: usize,
        /// Why.
        cause: String,
    },
    /// The permits of the tables that outputs become.
    #[error("the tables that this job makes have more than 64 permits together; give fewer")]
    Permits,
    /// Something that comes with the job beside tables.
    #[error(
        "some customers, or their labels, come with the job and others from tables: rows of one's own beside those of others would tell of single ones; take all from tables, or send all with the job"
    )]
    Mixed,
    /// Scores of what comes with the job cannot stay.
    #[error(
        "scores of customers that come with the job cannot stay at the nodes; store the customers as a table first"
    )]
    KeptScores,
    /// Labels of other customers.
    #[error("input {0}: the labels are not of the table that brings the features; take them from the same table")]
    Labels(usize),
    /// A table on which nothing can be computed.
    #[error(
        "the pooled table has no row, no feature, more than 2^32 rows or more than 500 features; give the rows and columns of each input"
    )]
    Pooled,
    /// Sums of squares that could leave their range.
    #[error(
        "the squares of {rows} entries of up to {limit} can sum to 2^64 or more; declare a smaller limit, take a larger unit, or fewer rows"
    )]
    Squares {
        /// Rows of all tables.
        rows: u64,
        /// The largest entry.
        limit: u64,
    },
    /// Tables that cannot be joined.
    #[error(
        "a join is of 2 to 16 tables of 1 to 2^20 rows, with 1 to 500 columns together beside the customers' numbers, the labels of one of them and a minimum of at least 1; give the rows and columns of each table"
    )]
    Join,
    /// What is joined is for nobody.
    #[error("joined tables stay at the nodes as one table; name no recipients, and the same table for all outputs")]
    JoinedFor,
    /// A setting of a program of credit analysis.
    #[error(transparent)]
    Credit(#[from] CreditError),
}

/// Recipients of one output at most.
pub const MAX_RECIPIENTS: usize = 16;

impl JobSpec {
    /// A job whose inputs come with it and whose outputs go to the client that submits it.
    pub const fn new(program: ProgramSpec, mode: ModeSpec) -> Self {
        let (retain, deadline_seconds) = (RetainSpec::Store, None);
        Self { program, mode, inputs: Vec::new(), outputs: Vec::new(), retain, deadline_seconds }
    }

    /// The sizes of attachment, inputs and outputs.
    ///
    /// # Errors
    /// [`SpecFault`].
    pub fn sizes(&self) -> Result<Sizes, SpecFault> {
        let [inputs, outputs] = self.program.shapes()?;
        for (what, expected, got) in [("inputs", &inputs, self.inputs.len()), ("outputs", &outputs, self.outputs.len())]
        {
            if got != 0 && got != expected.len() {
                return Err(SpecFault::Count { what, expected: expected.len(), got });
            }
        }
        self.check_sources()?;
        for (k, output) in self.outputs.iter().enumerate() {
            let names = &output.recipients;
            let twice = || names.iter().enumerate().any(|(at, name)| names[..at].contains(name));
            if (names.is_empty() && output.table.is_none()) || names.len() > MAX_RECIPIENTS || twice() {
                return Err(SpecFault::Recipients(k));
            }
            if let Some(name) = output.keys.keys().find(|name| !names.contains(name)) {
                return Err(SpecFault::Keys(k, name.clone()));
            }
        }
        let made = making(self, &outputs, JobId::from([0; 16]))?;
        if matches!(self.program, ProgramSpec::CreditJoin(_)) {
            let kept = self.outputs.iter().all(|output| output.recipients.is_empty());
            if !kept || made.len() != 1 {
                return Err(SpecFault::JoinedFor);
            }
        }
        let sources = (0..inputs.len()).map(|k| self.inputs.get(k).unwrap_or(&InputSpec::Upload));
        let uploads = inputs.iter().zip(sources).filter(|(_, source)| matches!(source, InputSpec::Upload));
        let uploads = uploads.map(|(shape, _)| *shape).collect();
        Sizes::new(&self.program, [inputs, uploads, outputs])
    }

    /// All who may fetch an output, if this client submits the job. A name may be there several times.
    pub fn recipients(&self, client: &ClientName) -> Vec<ClientName> {
        if self.outputs.is_empty() {
            return vec![client.clone()];
        }
        self.outputs.iter().flat_map(|output| &output.recipients).cloned().collect()
    }

    /// The tables that outputs become.
    pub fn kept(&self) -> impl Iterator<Item = &KeptTable> {
        self.outputs.iter().filter_map(|output| output.table.as_ref())
    }

    /// The bytes that stand for the specification wherever two parties compare it: compact JSON with the fields in the order of
    /// their declaration. The same for every spelling a client may have sent.
    ///
    /// # Panics
    /// Never: numbers and strings always have a JSON form.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut spec = self.clone();
        if spec.inputs.iter().all(|input| *input == InputSpec::Upload) {
            spec.inputs.clear();
        }
        serde_json::to_vec(&spec).expect("a specification is numbers and strings")
    }

    /// The digest the nodes compare in the session's hello and bind the session's keys to.
    ///
    /// The client's name is part of it: were a second client to submit a job of the same name and specification to some
    /// of the nodes, its shares could otherwise be combined with the first client's.
    #[must_use]
    pub fn digest(&self, client: &ClientName) -> [u8; 32] {
        let mut h = Sha256::new();
        h.update(b"trefoil/v1/job");
        // A name has at most 64 characters.
        h.update([client.as_str().len() as u8]);
        h.update(client.as_str());
        h.update(self.canonical());
        h.finalize().into()
    }

    /// What a node keeps of it for a client.
    ///
    /// # Errors
    /// [`SpecFault`].
    pub fn terms(&self, client: &ClientName) -> Result<Terms, SpecFault> {
        let shapes = self.sizes()?.outputs.into_iter().enumerate();
        let outputs = shapes.map(|(k, shape)| {
            let recipients = self.outputs.get(k).map_or_else(|| vec![client.clone()], |o| o.recipients.clone());
            let keys = self.outputs.get(k).map_or_else(BTreeMap::new, |o| o.keys.clone());
            OutputTerms { shape, recipients, keys }
        });
        let deadline = self.deadline_seconds.map(|seconds| Duration::from_secs(seconds.get().into()));
        let (digest, outputs) = (self.digest(client), outputs.collect());
        Ok(Terms { digest, mode: self.mode, outputs, retain: self.retain, deadline })
    }
}

impl Terms {
    /// Bytes of the components that go out in full.
    pub fn fetched_bytes(&self) -> u64 {
        let fetched = self.outputs.iter().filter(|output| !output.recipients.is_empty());
        fetched.map(|output| output.shape.component_bytes() as u64).sum()
    }
}

impl OutputSpec {
    /// An output for these clients.
    pub const fn to(recipients: Vec<ClientName>) -> Self {
        Self { recipients, keys: BTreeMap::new(), table: None }
    }

    /// An output that nobody learns and that stays at the nodes.
    pub const fn kept(table: KeptTable) -> Self {
        Self { recipients: Vec::new(), keys: BTreeMap::new(), table: Some(table) }
    }
}

#[cfg(test)]
mod tests;
