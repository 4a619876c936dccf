//! What a table is, publicly: its columns and who may use it for what.

use super::{ColumnName, Customers, Expiry, TableName, UploadId};
use crate::{
    job::{JobSpec, ModeSpec, ProgramKind, ProgramSpec, ReportSpec, ring},
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
    /// From when on it may not be used: each node refuses it then, and erases it. What a job leaves at the nodes expires with the first of its tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expiry>,
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

/// The names of the columns that hold the low and the high word of customers' numbers. No program takes them but `credit-join`, and circuits.
pub const NUMBER_COLUMN_NAMES: [&str; 2] = ["key-low", "key-high"];

/// The name of a column of coefficients, or its beginning: `model`, `model-1`. Such columns are taken as the model of `credit-score` and as nothing else, but by circuits, and no others are taken as a model.
pub const MODEL_COLUMN_NAME: &str = "model";

impl ColumnSpec {
    /// Whether it holds the coefficients of a model.
    pub fn is_model(&self) -> bool {
        let rest = self.name.as_str().strip_prefix(MODEL_COLUMN_NAME);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// Whether it holds a part of customers' numbers.
    pub fn is_number(&self) -> bool {
        NUMBER_COLUMN_NAMES.contains(&self.name.as_str())
    }
}

/// Jobs in which a table may be used: those of one of these programs, in one of these modes, submitted by one of these clients, with all their
/// outputs for some of these clients. The default permits nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
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
    /// The least count of customers that a job of `credit-counts` may tell, the least rows of each table of a job of `moments`, and the least number of customers in common for a job of `credit-join`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub minimum: u64,
    /// Whose customers the job is about beside the owner's: those of each of these, and of no others. Of fewer, the sums and the model would be those of fewer customers than the owner meant; others
    /// could bring rows that single some out. Without names, the owner's alone, but in `credit-score` and `moments` any; a permit of a model is for any customers then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<ClientName>,
    /// What of scores may be told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tell: ScoreDetail,
    /// How many jobs each requester may submit under this permit, as each node counts them on its own; 0 if that is not bounded.
    #[serde(default, skip_serializing_if = "is_default")]
    pub times: u32,
}

/// What of the score of a customer may be told.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreDetail {
    /// One decision in each job, and no number
    #[default]
    Decision,
    /// Probabilities, logits and points too. Who receives as many of them as there are features, and one more, knows the model
    Number,
}

/// How large a permit is, with those that it keeps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PermitSize {
    pub(crate) permits: usize,
    names: usize,
    depth: usize,
}

pub(super) fn is_default<T: Default + PartialEq>(x: &T) -> bool {
    *x == T::default()
}

fn malicious() -> Vec<ModeSpec> {
    vec![ModeSpec::Malicious]
}

impl Permit {
    /// Whether a job of a client is one of these, if it is about these customers.
    pub fn covers(&self, job: &JobSpec, requester: &ClientName, customers: &Customers<'_>) -> bool {
        let program = job.program.kind();
        let may_stay = |permit: &Self| self.keep.iter().any(|kept| customers.may_stay(permit, kept, program));
        let recipients = job.recipients(requester);
        self.programs.contains(&program)
            && self.modes.contains(&job.mode)
            && self.requesters.contains(requester)
            && all_in(&recipients, &self.recipients)
            && customers.suit(self, program)
            && self.tells(job)
            && job.kept().flat_map(|table| &table.permits).all(may_stay)
    }

    /// Whether it permits nothing that another does not.
    pub fn is_within(&self, other: &Self) -> bool {
        all_in(&self.with, &other.with) && self.is_narrower(other) && all_in(&other.with, &self.with)
    }

    /// Whether it permits nothing that another does not, if both are about the same customers.
    pub(super) fn is_narrower(&self, other: &Self) -> bool {
        self.programs.iter().all(|x| other.programs.contains(x))
            && self.modes.iter().all(|x| other.modes.contains(x))
            && all_in(&self.requesters, &other.requesters)
            && all_in(&self.recipients, &other.recipients)
            && self.minimum >= other.minimum
            && self.tell <= other.tell
            && (other.times == 0 || (1..=other.times).contains(&self.times))
            && self.keep.iter().all(|permit| other.keep.iter().any(|k| permit.is_within(k)))
    }

    /// What both permit, and no more; `None` if that is nothing, as it is where they are for different customers.
    #[must_use]
    pub fn both(&self, other: &Self) -> Option<Self> {
        if !(all_in(&self.with, &other.with) && all_in(&other.with, &self.with)) {
            return None;
        }
        let permit = Self {
            programs: in_both(&self.programs, &other.programs),
            modes: in_both(&self.modes, &other.modes),
            requesters: in_both(&self.requesters, &other.requesters),
            recipients: in_both(&self.recipients, &other.recipients),
            keep: Self::all_of_both(&self.keep, &other.keep),
            minimum: self.minimum.max(other.minimum),
            with: self.with.clone(),
            tell: self.tell.min(other.tell),
            // Zero is no bound.
            times: [self.times, other.times].into_iter().filter(|times| *times > 0).min().unwrap_or(0),
        };
        let something = !permit.programs.is_empty() && !permit.modes.is_empty() && !permit.requesters.is_empty();
        something.then_some(permit)
    }

    /// What both of two lists permit: the permits of each pair, without those that are within others.
    #[must_use]
    pub fn all_of_both(one: &[Self], other: &[Self]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for permit in one.iter().flat_map(|one| other.iter().filter_map(|other| one.both(other))) {
            if !all.iter().any(|wider| permit.is_within(wider)) {
                all.retain(|narrower| !narrower.is_within(&permit));
                all.push(permit);
            }
        }
        all
    }

    /// Whether a job tells no more than it may.
    fn tells(&self, job: &JobSpec) -> bool {
        match &job.program {
            ProgramSpec::Moments(moments) => moments.rows.iter().all(|rows| *rows >= self.minimum),
            ProgramSpec::CreditScore(score) if self.tell == ScoreDetail::Decision => {
                // Decisions at many thresholds are a number.
                let told = score.reports.iter().enumerate().filter(|(k, _)| job.is_told(*k));
                told.clone().count() <= 1 && told.clone().all(|(_, r)| matches!(r, ReportSpec::Decision(_)))
            }
            program => program.minimum().is_none_or(|minimum| minimum >= self.minimum),
        }
    }

    /// Its size, with what it keeps.
    pub(crate) fn size(&self) -> PermitSize {
        let own = self.programs.len() + self.modes.len() + self.requesters.len();
        let own = PermitSize { permits: 1, names: own + self.recipients.len() + self.with.len(), depth: 1 };
        self.keep.iter().map(Self::size).fold(own, |sum, keep| PermitSize {
            permits: sum.permits + keep.permits,
            names: sum.names + keep.names,
            depth: sum.depth.max(keep.depth + 1),
        })
    }
}

/// Whether all of some are in a list: in time that their sum, not their product, bounds.
pub(super) fn all_in(some: &[ClientName], all: &[ClientName]) -> bool {
    if some.len().min(all.len()) < 8 {
        return some.iter().all(|x| all.contains(x));
    }
    let all: HashSet<&ClientName> = all.iter().collect();
    some.iter().all(|x| all.contains(x))
}

fn in_both<T: Clone + PartialEq>(one: &[T], other: &[T]) -> Vec<T> {
    one.iter().filter(|x| other.contains(x)).cloned().collect()
}

/// Columns of a table at most.
const MOST: usize = 4096;

/// Permits of a table, with those that they keep; how deep these may lie; and names in all of them. Every job over the table is compared with all.
const MOST_PERMITS: usize = 64;
const MOST_DEPTH: usize = 4;
const MOST_NAMES: usize = 1024;

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
        let sizes = || self.permits.iter().map(Permit::size);
        let (permits, names): (usize, usize) = (sizes().map(|s| s.permits).sum(), sizes().map(|s| s.names).sum());
        if permits > MOST_PERMITS || names > MOST_NAMES || sizes().any(|size| size.depth > MOST_DEPTH) {
            return Err(format!(
                "a table has {MOST_PERMITS} permits at most, with those that they keep, {MOST_DEPTH} deep, which name {MOST_NAMES} clients, programs and modes"
            ));
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

    /// Those of all columns.
    pub(super) fn shapes(&self) -> Vec<Shape> {
        (0..self.columns.len()).map(|k| self.shape(k)).collect()
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
