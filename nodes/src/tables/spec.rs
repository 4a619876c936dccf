//! What a table is, publicly: its columns and who may use it for what.

use super::{ColumnName, TableName, UploadId};
use crate::{
    job::{JobSpec, ModeSpec, ProgramKind, ring},
    pki::ClientName,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{collections::HashSet, fmt};
use trefoil_circuits::program::{RingKind, Shape};

/// Whose table, and which.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TableKey {
    /// The client that has uploaded it.
    pub owner: ClientName,
    /// Its name, among those of its owner.
    pub name: TableName,
    /// Its version. Versions stand side by side.
    pub version: u32,
}

/// The public description of a table, the same at all three nodes. It is not changed: what is to be different is uploaded as a new version.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// Tells this upload from another of the same version.
    pub upload: UploadId,
    /// Rows.
    pub rows: u64,
    /// The columns, in their order.
    pub columns: Vec<ColumnSpec>,
    /// Who may use it for what. What is not permitted is refused, to its owner too.
    pub permits: Vec<Permit>,
}

/// One column of a table.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// Its name.
    pub name: ColumnName,
    /// What its entries are.
    #[serde(with = "ring")]
    pub ring: RingKind,
}

/// Jobs in which a table may be used: those of one of these programs, in one of these modes, submitted by one of these clients, with all their
/// outputs for some of these clients.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// The programs. A `circuit` is whatever the client that submits the job makes it, so to permit it is to permit everything.
    pub programs: Vec<ProgramKind>,
    /// The modes: malicious unless the JSON says otherwise.
    #[serde(default = "malicious")]
    pub modes: Vec<ModeSpec>,
    /// Who may submit such a job.
    pub requesters: Vec<ClientName>,
    /// Who may be named as the recipient of an output.
    pub recipients: Vec<ClientName>,
    /// The permits that an output may have that stays at the nodes as a table: each must be within one of these. Without any, no output may stay with permits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<Self>,
    /// The least count of customers that a job of `credit-counts` may tell.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub minimum: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn malicious() -> Vec<ModeSpec> {
    vec![ModeSpec::Malicious]
}

impl Permit {
    /// Whether a job of a client is one of these.
    pub fn covers(&self, job: &JobSpec, requester: &ClientName) -> bool {
        let recipients = job.recipients(requester);
        self.programs.contains(&job.program.kind())
            && self.modes.contains(&job.mode)
            && self.requesters.contains(requester)
            && recipients.iter().all(|name| self.recipients.contains(name))
            && job.kept().flat_map(|table| &table.permits).all(|permit| self.keep.iter().any(|k| permit.is_within(k)))
            && job.program.minimum().is_none_or(|minimum| minimum >= self.minimum)
    }

    /// Whether it permits nothing that another does not.
    pub fn is_within(&self, other: &Self) -> bool {
        self.programs.iter().all(|x| other.programs.contains(x))
            && self.modes.iter().all(|x| other.modes.contains(x))
            && self.requesters.iter().all(|x| other.requesters.contains(x))
            && self.recipients.iter().all(|x| other.recipients.contains(x))
            && self.minimum >= other.minimum
            && self.keep.iter().all(|permit| other.keep.iter().any(|k| permit.is_within(k)))
    }

    /// Names in it and in what it keeps, and permits.
    fn named(&self) -> usize {
        let keep: usize = self.keep.iter().map(Self::named).sum();
        1 + self.requesters.len() + self.recipients.len() + keep
    }
}

/// Columns of a table, and names in its permits, at most.
const MOST: usize = 4096;

/// Rows at most: what is left of 64 bits holds the size of every table.
const MAX_ROWS: u64 = 1 << 36;

impl TableSpec {
    /// Checks that it is one, and gives the bytes of one component of all columns.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn component_bytes(&self) -> Result<usize, String> {
        let names: HashSet<_> = self.columns.iter().map(|column| &column.name).collect();
        if self.columns.is_empty() || self.columns.len() > MOST || names.len() != self.columns.len() {
            return Err(format!("a table has 1 to {MOST} columns, each with a name of its own"));
        }
        let named: usize = self.permits.iter().map(Permit::named).sum();
        if named > MOST {
            return Err(format!("the permits of a table name {MOST} clients at most"));
        }
        if self.rows == 0 || self.rows > MAX_ROWS {
            return Err(format!("a table has 1 to {MAX_ROWS} rows"));
        }
        Ok((0..self.columns.len()).map(|k| self.shape(k).component_bytes()).sum())
    }

    /// The shape of column `k`; no entries if there is none.
    pub(super) fn shape(&self, k: usize) -> Shape {
        match self.columns.get(k) {
            Some(column) => Shape { ring: column.ring, len: usize::try_from(self.rows).unwrap_or(usize::MAX) },
            None => Shape::bits(0),
        }
    }

    /// The places of columns, by name; of all columns if none is named.
    ///
    /// # Errors
    /// The first name that none has.
    pub fn places(&self, names: &[ColumnName]) -> Result<Vec<usize>, ColumnName> {
        if names.is_empty() {
            return Ok((0..self.columns.len()).collect());
        }
        let place =
            |name: &ColumnName| self.columns.iter().position(|column| column.name == *name).ok_or_else(|| name.clone());
        names.iter().map(place).collect()
    }

    /// What comes first in the body of an upload: compact JSON with the fields in the order of their declaration.
    ///
    /// # Panics
    /// Never: numbers and strings always have a JSON form.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a description is numbers and strings")
    }

    /// The digest that nodes compare before they use the table.
    #[must_use]
    pub fn digest(&self, key: &TableKey) -> [u8; 32] {
        let mut h = Sha256::new();
        h.update(b"trefoil/v1/table");
        for name in [key.owner.as_str().to_owned(), key.name.to_string()] {
            // Names have at most 64 characters.
            h.update([name.len() as u8]);
            h.update(name);
        }
        h.update(key.version.to_le_bytes());
        h.update(self.canonical());
        h.finalize().into()
    }
}

impl fmt::Display for TableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table `{}` version {} of `{}`", self.name, self.version, self.owner)
    }
}
