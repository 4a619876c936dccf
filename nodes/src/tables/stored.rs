//! One table at a node.

use super::{
    ColumnSpec, Customers, Epoch, Expiry, Permit, Provenance, TableFault, TableKey, TableName, TableSpec,
    accounts::Held,
    archive::{Archive, Copy},
    epoch::Content,
    proven::Proven,
    store::TableStore,
};
use crate::{
    job::{JobSpec, ModeSpec, Sha256Hex},
    pki::ClientName,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};
use trefoil_circuits::program::{InputVector, RingKind, Shape};

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
    /// How often its shares were made anew.
    #[serde(default)]
    pub epoch: u64,
    /// From when on it may not be used, if it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expiry>,
}

/// This node's share of a table. Wiped when the last job that uses it has taken its part.
pub struct StoredTable {
    key: TableKey,
    digest: [u8; 32],
    body: Body,
    shares: Mutex<Shares>,
    /// Held while its records change.
    changing: tokio::sync::Mutex<()>,
    /// Whether a change of its records has not ended well, so that the disk may have another thing.
    unsure: AtomicBool,
    /// Where it is kept.
    store: Weak<TableStore>,
    uses: Mutex<Uses>,
    proven: Proven,
    _held: Held,
}

/// The shares in use, and the epoch of those that are on the disk beside them until all three nodes have theirs.
struct Shares {
    content: Arc<Content>,
    pending: Option<Epoch>,
}

/// What does not change of a table.
pub(super) struct Body {
    pub(super) spec: TableSpec,
    /// Of each row of these it tells something.
    pub(super) origins: Vec<Origin>,
    /// Whose customers it tells of.
    pub(super) owners: Vec<ClientName>,
    /// Who has made it.
    pub(super) provenance: Provenance,
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

/// A table as the nodes tell each other of it, for one that has lost it: all but its shares.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TableRecord {
    /// Its description.
    pub spec: TableSpec,
    /// Of each row of these it tells something.
    pub origins: Vec<Origin>,
    /// Whose customers it tells of.
    pub owners: Vec<ClientName>,
    /// Who has made it.
    #[serde(default, skip_serializing_if = "super::spec::is_default")]
    pub provenance: Provenance,
    pub(super) uses: Uses,
}

impl TableRecord {
    /// Of a table that is here.
    pub fn of(table: &StoredTable) -> Self {
        let Body { spec, origins, owners, provenance } = &table.body;
        let (spec, origins, owners) = (spec.clone(), origins.clone(), owners.clone());
        Self { spec, origins, owners, provenance: *provenance, uses: table.uses() }
    }

    /// Whether both are of the same table. How often its permits were used each node counts on its own, and a node of the version before does not know who has made it.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.spec, &self.origins, &self.owners) == (&other.spec, &other.origins, &other.owners)
    }

    /// With as many uses as one of both has counted, and uploaded by its owner only if both say so.
    #[must_use]
    pub fn agreed(mut self, other: &Self) -> Self {
        if other.provenance != Provenance::Uploaded {
            self.provenance = other.provenance;
        }
        for (permit, clients) in &other.uses.0 {
            for (client, times) in clients {
                let used = self.uses.0.entry(*permit).or_default().entry(client.clone()).or_default();
                *used = (*used).max(*times);
            }
        }
        self
    }
}

impl Uses {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(&self, permit: usize, requester: &ClientName) -> u32 {
        self.0.get(&permit).and_then(|clients| clients.get(requester)).copied().unwrap_or_default()
    }
}

impl StoredTable {
    /// With the shares in use and the epoch of those that are prepared.
    pub(super) fn new(
        (key, body): (TableKey, Body),
        (content, pending): (Content, Option<Epoch>),
        (uses, held): (Uses, Held),
        store: Weak<TableStore>,
    ) -> Self {
        let (digest, shares) = (body.spec.digest(&key), Shares { content: Arc::new(content), pending });
        Self {
            key,
            digest,
            body,
            shares: Mutex::new(shares),
            changing: tokio::sync::Mutex::default(),
            unsure: AtomicBool::new(false),
            store,
            uses: Mutex::new(uses),
            proven: Proven::default(),
            _held: held,
        }
    }

    /// Whose it is, and which.
    pub fn key(&self) -> &TableKey {
        &self.key
    }

    /// Which copy of it its parts on the disk are of.
    pub(super) fn copy(&self) -> Copy {
        self.content().copy
    }

    /// The shares in use.
    pub fn content(&self) -> Arc<Content> {
        self.shares().content.clone()
    }

    /// The epoch of the shares that are prepared beside those in use.
    pub fn pending(&self) -> Option<Epoch> {
        self.shares().pending
    }

    /// Its records, which nobody else changes as long as this is held.
    pub(super) async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Writes new shares down beside those in use. When this returns they are on the disk. Dropped, it goes on to its end.
    ///
    /// # Errors
    /// [`TableFault`]; the shares in use are as they were.
    pub(super) async fn prepare(self: &Arc<Self>, content: Content) -> Result<(), TableFault> {
        self.change(move |table, archive| async move {
            let (epoch, content) = (content.epoch, Arc::new(content));
            let written = match archive.write_parts(table.key(), &content, 0).await {
                Ok(()) => archive.prepare(table.clone(), &content).await,
                Err(error) => Err(error.into()),
            };
            match &written {
                Ok(()) => table.shares().pending = Some(epoch),
                // What came of the record is not known; parts and record go together.
                Err(_) => archive.unprepare(table.key(), content.copy).await?,
            }
            written
        })
        .await
    }

    /// Puts the shares of an epoch that are prepared in the place of those in use, which are erased. All three nodes have prepared them. Dropped, it goes on to its end.
    ///
    /// # Errors
    /// [`TableFault`]; what is in use is as it was, and can be committed later.
    pub async fn commit(self: &Arc<Self>, epoch: Epoch) -> Result<(), TableFault> {
        self.change(move |table, archive| async move {
            if table.content().epoch != epoch {
                let content = archive.commit(&table, epoch).await?;
                table.take_on(Some(content), None);
            }
            Ok(())
        })
        .await
    }

    /// Erases the shares that are prepared: some node has not got that far, and never will. Dropped, it goes on to its end.
    ///
    /// # Errors
    /// [`TableFault`]; it can be done again.
    pub async fn abandon(self: &Arc<Self>) -> Result<(), TableFault> {
        self.change(move |table, archive| async move {
            archive.abandon(table.key(), table.content().epoch).await?;
            table.take_on(None, None);
            Ok(())
        })
        .await
    }

    /// Takes over what the disk says, if a write of which the end is not known has left it another thing than this node had in mind.
    ///
    /// # Errors
    /// [`TableFault`]; what is in use is as it was.
    pub async fn reconcile(self: &Arc<Self>) -> Result<(), TableFault> {
        if !self.unsure.load(Ordering::Acquire) {
            return Ok(());
        }
        self.change(move |table, archive| async move {
            let (content, pending) = archive.found(&table).await?;
            table.take_on(content, pending);
            Ok(())
        })
        .await
    }

    /// Changes the records, one after the other, to its end whether or not somebody waits for it. Until it has ended well nobody knows what the disk has.
    async fn change<F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>, Archive) -> F + Send + 'static,
    ) -> Result<(), TableFault>
    where
        F: Future<Output = Result<(), TableFault>> + Send,
    {
        let (table, archive) = (self.clone(), self.archive()?);
        let task = tokio::spawn(async move {
            let _changing = table.changing().await;
            table.unsure.store(true, Ordering::Release);
            work(table.clone(), archive).await?;
            table.unsure.store(false, Ordering::Release);
            Ok(())
        });
        task.await?
    }

    /// What is in use and what is prepared, from now on.
    fn take_on(&self, content: Option<Content>, pending: Option<Epoch>) {
        let mut shares = self.shares();
        shares.pending = pending;
        let old = content.map(|content| std::mem::replace(&mut shares.content, Arc::new(content)));
        drop(shares);
        // A large table takes long to wipe.
        tokio::task::spawn_blocking(move || drop(old));
    }

    fn archive(&self) -> Result<Archive, TableFault> {
        self.store.upgrade().and_then(|store| store.archive()).ok_or(TableFault::Memory)
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Who has made it.
    pub fn provenance(&self) -> Provenance {
        self.body.provenance
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

    /// What its rows tell of beside itself.
    pub(super) fn origins(&self) -> &[Origin] {
        &self.body.origins
    }

    /// What its owner and those who may use it are told.
    pub fn status(&self) -> TableStatus {
        let TableKey { owner, name, version } = self.key.clone();
        let TableSpec { rows, columns, permits, expires, .. } = self.body.spec.clone();
        let epoch = self.content().epoch.number;
        TableStatus { owner, name, version, sha256: Sha256Hex(self.digest), rows, columns, permits, epoch, expires }
    }

    /// Columns as one input, one after the other, each from an element of its own on. The columns are over the ring of the shape, and have together as many
    /// elements: [`fits`](Self::fits).
    ///
    /// # Errors
    /// [`trefoil_engine::Error::Shape`] if not.
    pub fn input(
        &self,
        content: &Content,
        places: &[usize],
        shape: Shape,
    ) -> Result<InputVector, trefoil_engine::Error> {
        let [own, next] = content.components.each_ref().map(|component| {
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

    pub(super) fn range(&self, place: usize) -> std::ops::Range<usize> {
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
