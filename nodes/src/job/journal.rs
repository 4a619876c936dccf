//! What is written down of jobs, so that they are known after a restart, and of other requests.

use super::{JobId, JobSpec, JobState, ModeSpec, OutputStatus, ProgramKind, Sha256Hex};
use crate::{
    keys::{ErasedKey, KeyId},
    pki::ClientName,
    tables::{Erased, TableKey, TableName},
    upkeep::UpkeepReport,
};
use serde::{Deserialize, Serialize};
use std::{fmt, io};

/// Where the beginning and the end of each job are written down, and what else is asked of the node. Each returns when a process that is killed has not lost it.
pub trait Journal: fmt::Debug + Send + Sync {
    /// A job is taken on; it is not told to anybody before.
    ///
    /// # Errors
    /// Those of the system; the job is not taken on then.
    fn accepted(&self, job: &Accepted) -> io::Result<()>;

    /// The three nodes compute a job now. It need not be written down.
    fn running(&self, _job: JobId) {}

    /// A job has ended; it is not told to anybody before.
    ///
    /// # Errors
    /// Those of the system; nothing is released then.
    fn ended(&self, job: JobId, state: &JobState) -> io::Result<()>;

    /// Something else was asked for; it is not answered before.
    ///
    /// # Errors
    /// Those of the system; no answer is given then.
    fn asked(&self, request: &Asked) -> io::Result<()>;

    /// A table was erased because its time was over.
    ///
    /// # Errors
    /// Those of the system.
    fn erased(&self, table: &Erased) -> io::Result<()>;

    /// A key was erased because its time was over.
    ///
    /// # Errors
    /// Those of the system.
    fn erased_key(&self, key: &ErasedKey) -> io::Result<()>;

    /// The record of a key was damaged and no other node had the key, so that a rebuild has removed it.
    ///
    /// # Errors
    /// Those of the system.
    fn removed_key(&self, key: &KeyId) -> io::Result<()>;

    /// The nodes have compared their stores by themselves.
    ///
    /// # Errors
    /// Those of the system.
    fn compared(&self, report: &UpkeepReport) -> io::Result<()>;
}

/// A request and how it was answered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Asked {
    /// Who has asked, by its certificate.
    pub client: String,
    /// The method.
    pub method: String,
    /// What for, without parameters.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// The digest of what was stored, for a table: the same at all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Hex>,
    /// The rule of the node's policy that permits it, or why the policy does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// A job that was taken on.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Accepted {
    /// The job.
    pub job: JobId,
    /// Who has submitted it.
    pub owner: ClientName,
    /// The digest of its specification, on which the three nodes agree before they compute.
    pub digest: Sha256Hex,
    /// What is computed.
    pub program: ProgramKind,
    /// Against whom it is secure.
    pub mode: ModeSpec,
    /// What comes out, and who may fetch it.
    pub outputs: Vec<OutputStatus>,
    /// The tables it is computed of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableRef>,
    /// The rule of the node's policy that permits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The job that it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<JobId>,
    /// Its specification, if it can be run again by that alone: nothing has come with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Box<JobSpec>>,
}

/// On what grounds a job is taken on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grounds {
    /// What is computed.
    pub program: ProgramKind,
    /// Of which tables.
    pub tables: Vec<TableRef>,
    /// The rule of the node's policy that permits it.
    pub rule: String,
    /// The job that it repeats.
    pub repeats: Option<JobId>,
    /// Its specification, if it can be run again by that alone.
    pub spec: Option<Box<JobSpec>>,
}

/// What a node that starts finds of the jobs of the process before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Before {
    /// Those that may still be asked for, in the order in which they were accepted.
    pub jobs: Vec<JobBefore>,
    /// Names of others, which are not to be used again.
    pub used: Vec<JobId>,
}

/// A job of the process before this one.
#[derive(Clone, Debug, PartialEq)]
pub struct JobBefore {
    /// What was taken on.
    pub accepted: Accepted,
    /// When: milliseconds since 1970-01-01 UTC.
    pub accepted_unix_ms: u64,
    /// How it has ended, if it had, and when.
    pub end: Option<(JobState, u64)>,
    /// Who is done with it, as the log names clients.
    pub deleted: Vec<String>,
}

/// A table of a job.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TableRef {
    /// Whose it is.
    pub owner: ClientName,
    /// Its name.
    pub name: TableName,
    /// Its version.
    pub version: u32,
    /// The digest of its description, if the node has it.
    pub sha256: Option<Sha256Hex>,
}

impl TableRef {
    /// Of a table that the node has, or not.
    pub fn new(key: &TableKey, digest: Option<&[u8; 32]>) -> Self {
        let TableKey { owner, name, version } = key.clone();
        Self { owner, name, version, sha256: digest.copied().map(Sha256Hex) }
    }
}

/// For tests that restart nothing.
#[cfg(test)]
impl Journal for () {
    fn accepted(&self, _: &Accepted) -> io::Result<()> {
        Ok(())
    }

    fn ended(&self, _: JobId, _: &JobState) -> io::Result<()> {
        Ok(())
    }

    fn asked(&self, _: &Asked) -> io::Result<()> {
        Ok(())
    }

    fn erased(&self, _: &Erased) -> io::Result<()> {
        Ok(())
    }

    fn erased_key(&self, _: &ErasedKey) -> io::Result<()> {
        Ok(())
    }

    fn removed_key(&self, _: &KeyId) -> io::Result<()> {
        Ok(())
    }

    fn compared(&self, _: &UpkeepReport) -> io::Result<()> {
        Ok(())
    }
}
