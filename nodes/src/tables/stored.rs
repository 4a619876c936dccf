//! One table at a node.

use super::{
    ColumnSpec, Customers, Expiry, Permit, TableKey, TableName, TableSpec, accounts::Held, archive::Copy,
    proven::Proven,
};
use crate::{
    job::{JobSpec, ModeSpec, Sha256Hex},
    pki::ClientName,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};
use trefoil_circuits::program::{InputVector, RingKind, Shape};
use zeroize::Zeroizing;

/// One table as the nodes describe it to its owner and to those who may use it.
///
/// A client of another version may read this, so unknown fields are ignored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TableStatus {
    /// Whose it is.
    pub owner: ClientName,
    /// Its name.
    pub name: TableName,
    /// Its version.
    pub version: u32,
    /// The digest that nodes compare before they use it.
    pub sha256: Sha256Hex,
    /// Its rows.
    pub rows: u64,
    /// Its columns.
    pub columns: Vec<ColumnSpec>,
    /// Who may use it for what.
    pub permits: Vec<Permit>,
    /// From when on it may not be used, if it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expiry>,
}

/// This node's share of a table. Wiped when the last job that uses it has taken its part.
pub struct StoredTable {
    key: TableKey,
    copy: Copy,
    digest: [u8; 32],
    body: Body,
    uses: Mutex<Uses>,
    proven: Proven,
    _held: Held,
}

/// What does not change of a table.
pub(super) struct Body {
    pub(super) spec: TableSpec,
    /// `own` and `next` of all columns, one after the other.
    pub(super) components: [Zeroizing<Vec<u8>>; 2],
    /// Of each row of these it tells something.
    pub(super) origins: Vec<Origin>,
    /// Whose customers it tells of.
    pub(super) owners: Vec<ClientName>,
}

/// What came of counting a job against a permit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Spending {
    /// The permit has no bound.
    Unbounded,
    /// There is one job less.
    Counted,
    /// There was none left.
    UsedUp,
}

/// Jobs of each client under each permit that bounds them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Uses(BTreeMap<usize, BTreeMap<ClientName, u32>>);

/// A table, of each row of which another one tells something: the customers that were scored, for their scores.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Whose it is.
    pub owner: ClientName,
    /// The digest of its description.
    pub digest: Sha256Hex,
}

impl Uses {
    fn of(&self, permit: usize, requester: &ClientName) -> u32 {
        self.0.get(&permit).and_then(|clients| clients.get(requester)).copied().unwrap_or_default()
    }
}

impl StoredTable {
    pub(super) fn new((key, copy): (TableKey, Copy), body: Body, uses: Uses, held: Held) -> Self {
        let digest = body.spec.digest(&key);
        Self { key, copy, digest, body, uses: Mutex::new(uses), proven: Proven::default(), _held: held }
    }

    /// Whose it is, and which.
    pub fn key(&self) -> &TableKey {
        &self.key
    }

    /// Which copy of it its parts on the disk are of.
    pub(super) fn copy(&self) -> Copy {
        self.copy
    }

    /// Its public description.
    pub fn spec(&self) -> &TableSpec {
        &self.body.spec
    }

    /// The digest of the description.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Of which tables each of its rows tells something: itself, and what it was made of row by row.
    pub fn tells_of(&self) -> Vec<Origin> {
        let own = Origin { owner: self.key.owner.clone(), digest: Sha256Hex(self.digest) };
        std::iter::once(own).chain(self.body.origins.iter().cloned()).collect()
    }

    /// Whose customers it tells of: its owner's, unless it was made of tables of others row by row.
    pub fn owners(&self) -> &[ClientName] {
        &self.body.owners
    }

    /// Which of its permits covers a job of a client about these customers: one that is not used up, if there is one.
    pub fn permit(&self, job: &JobSpec, requester: &ClientName, customers: &Customers<'_>) -> Option<usize> {
        let permits = self.body.spec.permits.iter().enumerate();
        let covering: Vec<usize> =
            permits.filter(|(_, permit)| permit.covers(job, requester, customers)).map(|(k, _)| k).collect();
        covering.iter().find(|k| self.is_left(**k, requester)).or_else(|| covering.first()).copied()
    }

    /// Whether a client may submit another job under a permit.
    pub fn is_left(&self, permit: usize, requester: &ClientName) -> bool {
        self.bound(permit).is_none_or(|times| self.lock().of(permit, requester) < times)
    }

    /// Counts a job of a client under a permit.
    pub fn spend(&self, permit: usize, requester: &ClientName) -> Spending {
        let Some(times) = self.bound(permit) else { return Spending::Unbounded };
        let mut uses = self.lock();
        let used = uses.0.entry(permit).or_default().entry(requester.clone()).or_default();
        if *used < times {
            *used += 1;
            Spending::Counted
        } else {
            Spending::UsedUp
        }
    }

    /// How many jobs a permit bounds.
    fn bound(&self, permit: usize) -> Option<u32> {
        self.body.spec.permits.get(permit).map(|permit| permit.times).filter(|times| *times > 0)
    }

    /// How often its permits have been used.
    pub(super) fn uses(&self) -> Uses {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `own` or `next` of all columns.
    pub(super) fn component(&self, k: usize) -> &[u8] {
        &self.body.components[k]
    }

    /// What its rows tell of beside itself.
    pub(super) fn origins(&self) -> &[Origin] {
        &self.body.origins
    }

    /// What its owner and those who may use it are told.
    pub fn status(&self) -> TableStatus {
        let TableKey { owner, name, version } = self.key.clone();
        let TableSpec { rows, columns, permits, expires, .. } = self.body.spec.clone();
        TableStatus { owner, name, version, sha256: Sha256Hex(self.digest), rows, columns, permits, expires }
    }

    /// Columns as one input, one after the other, each from an element of its own on. The columns are over the ring of the shape, and have together as many
    /// elements: [`fits`](Self::fits).
    ///
    /// # Errors
    /// [`trefoil_engine::Error::Shape`] if not.
    pub fn input(&self, places: &[usize], shape: Shape) -> Result<InputVector, trefoil_engine::Error> {
        let [own, next] = self.body.components.each_ref().map(|component| {
            let part = |k: &usize| component.get(self.range(*k)).unwrap_or_default();
            places.iter().map(part).collect::<Vec<_>>()
        });
        InputVector::from_parts(shape, &own, &next)
    }

    /// Whether columns make an input of a shape.
    pub fn fits(&self, places: &[usize], shape: Shape) -> bool {
        let shapes = || places.iter().map(|k| self.body.spec.shape(*k));
        shapes().all(|column| column.ring == shape.ring)
            && shapes().map(Shape::elements).sum::<usize>() == shape.elements()
            // Bits of several columns have gaps between them, so that they are taken for what they are by their words.
            && (places.len() > 1 || shape.ring != RingKind::Bits || shapes().all(|column| column == shape))
    }

    /// Whether jobs as secure as those of a mode have found the entries of columns to be within a limit.
    pub fn is_within(&self, places: &[usize], limit: u64, mode: ModeSpec) -> bool {
        self.proven.holds(places, limit, mode)
    }

    /// A job of a mode has found the entries of columns to be within a limit.
    pub fn found_within(&self, places: &[usize], limit: u64, mode: ModeSpec) {
        self.proven.record(places, limit, mode);
    }

    fn range(&self, place: usize) -> std::ops::Range<usize> {
        let start = (0..place).map(|k| self.body.spec.shape(k).component_bytes()).sum();
        start..start + self.body.spec.shape(place).component_bytes()
    }
}

impl fmt::Debug for StoredTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredTable({}, {} rows)", self.key, self.body.spec.rows)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} rows)", self.spec.rows)
    }
}
