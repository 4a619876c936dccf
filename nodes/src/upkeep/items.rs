//! What has components that two nodes hold: tables, outputs and templates, each in one epoch.

use super::{
    inventory::{Inventory, OutputsAt, TableAt},
    talk::Broken,
};
use crate::{
    job::{JobId, Jobs},
    store::{Space, Store, StoreError, Value},
    tables::{Content, Epoch, StoredTable},
};
use sha2::{Digest as _, Sha256};
use std::{collections::HashSet, fmt, sync::Arc};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Something of which a node has two components.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// As messages name it.
    name: String,
    /// Tells it, and the epoch of its shares, from all others.
    label: [u8; 32],
    shares: Shares,
}

#[derive(Clone)]
enum Shares {
    Table(Arc<Content>),
    /// Of a job.
    Outputs(Arc<Jobs>, JobId, Epoch),
    /// Those of a record.
    Template(String),
}

/// Random bytes that the two holders of a component know, and nobody else: what is told of the component under them tells nothing of it.
pub(super) type Salt = Zeroizing<[u8; 32]>;

/// The digest of a component under its salt.
pub(super) type Mark = [u8; 32];

/// What a node remembers of an item that was compared: the salts of its two components, and the mark of the third, which two others hold.
#[derive(Clone, PartialEq)]
pub(super) struct Witness {
    pub(super) salts: [Salt; 2],
    pub(super) third: Mark,
}

impl Item {
    pub(super) fn table(at: &TableAt, table: &StoredTable) -> Self {
        let (name, label) = about_table(at);
        Self { name, label, shares: Shares::Table(table.content()) }
    }

    pub(super) fn outputs(at: &OutputsAt, jobs: &Arc<Jobs>) -> Self {
        let (name, label) = about_outputs(at);
        Self { name, label, shares: Shares::Outputs(jobs.clone(), at.job, at.epoch) }
    }

    pub(super) fn template(record: &str) -> Self {
        let (name, label) = about_template(record);
        Self { name, label, shares: Shares::Template(record.to_owned()) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn label(&self) -> [u8; 32] {
        self.label
    }

    /// Whether those whom it concerns delete it all the time.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.shares, Shares::Outputs(..))
    }

    /// One of the two components, `own` or `next`.
    pub(super) async fn component(&self, store: &Store, k: usize) -> Result<Component, Broken> {
        match &self.shares {
            Shares::Table(content) => Ok(Component::Table(content.clone(), k)),
            Shares::Outputs(jobs, job, epoch) => {
                let found = jobs.kept_component(*job, *epoch, k).await.map_err(own)?;
                let (_, component) = found.ok_or_else(|| Broken::Own(format!("{self} are not there any more")))?;
                Ok(Component::Outputs(component))
            }
            Shares::Template(record) => {
                let value = store.get(Space::Templates, record.as_bytes()).await.map_err(own)?;
                let value = value.ok_or_else(|| Broken::Own(format!("{self} is not there any more")))?;
                Ok(Component::Template(value, k))
            }
        }
    }

    /// The marks of both components.
    pub(super) async fn marks(&self, store: &Store, salts: &[Salt; 2]) -> Result<[Mark; 2], Broken> {
        let mut marks = [[0; 32]; 2];
        for (k, (mark, salt)) in marks.iter_mut().zip(salts).enumerate() {
            let component = self.component(store, k).await?;
            let (label, salt) = (self.label, salt.clone());
            let work = tokio::task::spawn_blocking(move || mark_of(label, &salt, component.bytes()));
            *mark = work.await.map_err(|e| Broken::Own(e.to_string()))?;
        }
        Ok(marks)
    }
}

/// How a table in an epoch is named, and its label.
pub(super) fn about_table(at: &TableAt) -> (String, [u8; 32]) {
    let mut hash = Sha256::new_with_prefix(b"trefoil/v1/witness/table");
    hash.update(at.epoch.mark(&at.sha256.0));
    (at.key().to_string(), hash.finalize().into())
}

/// How the outputs of a job are named, and their label.
pub(super) fn about_outputs(at: &OutputsAt) -> (String, [u8; 32]) {
    let mut hash = Sha256::new_with_prefix(b"trefoil/v1/witness/outputs");
    hash.update(at.job.session().0);
    hash.update(at.epoch.mark(&at.sha256.0));
    (format!("the outputs of job {}", at.job), hash.finalize().into())
}

/// How the shares of a template are named, and their label.
pub(super) fn about_template(record: &str) -> (String, [u8; 32]) {
    let hash = Sha256::new_with_prefix(b"trefoil/v1/witness/template").chain_update(record);
    let user = record.split('/').skip(1).take(2).collect::<Vec<_>>().join("/");
    (format!("a template of {user}"), hash.finalize().into())
}

/// The digest of a component under its salt. Without the salt it tells nothing, however few values the component can have.
pub(super) fn mark_of(label: [u8; 32], salt: &Salt, component: &[u8]) -> Mark {
    let hash = Sha256::new_with_prefix(b"trefoil/v1/witness/component").chain_update(label).chain_update(salt.as_ref());
    hash.chain_update((component.len() as u64).to_le_bytes()).chain_update(component).finalize().into()
}

/// A component, or where it is.
pub(super) enum Component {
    Table(Arc<Content>, usize),
    Outputs(Value),
    Template(Value, usize),
}

impl Component {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Table(content, k) => content.component(*k),
            Self::Outputs(component) => component,
            Self::Template(value, k) => {
                let (own, next) = value.split_at(value.len() / 2);
                [own, next][*k % 2]
            }
        }
    }
}

impl Witness {
    /// As it was written; `None` for nothing, or something else.
    pub(super) async fn load(store: &Store, label: [u8; 32]) -> Result<Option<Self>, Broken> {
        let record = store.get(Space::Witnesses, label).await.map_err(own)?;
        Ok(record.and_then(|record| {
            let (parts, []) = record.as_chunks::<32>() else { return None };
            let [own, next, third] = parts else { return None };
            Some(Self { salts: [Zeroizing::new(*own), Zeroizing::new(*next)], third: *third })
        }))
    }

    pub(super) fn encode(&self) -> Value {
        Value::new([self.salts[0].as_slice(), self.salts[1].as_slice(), &self.third].concat())
    }

    /// Whether a component is the one whose mark this was: constant in time, as whoever sends it may try.
    pub(super) fn is_third(&self, mark: &Mark) -> bool {
        self.third.ct_eq(mark).into()
    }
}

/// Forgets what is remembered of shares that this node has no more. What it has and others have not stays: they may be rebuilt by it.
pub(super) async fn forget_others(store: &Store, mine: &Inventory) -> Result<(), Broken> {
    let tables = mine.tables.iter().map(|at| about_table(at).1);
    let templates = mine.templates.iter().map(|record| about_template(record).1);
    let outputs = mine.outputs.iter().map(|at| about_outputs(at).1);
    let held: HashSet<[u8; 32]> = tables.chain(templates).chain(outputs).collect();
    let write = store.write(move |records| {
        for label in records.list(Space::Witnesses, b"")? {
            if !<[u8; 32]>::try_from(label.as_slice()).is_ok_and(|label| held.contains(&label)) {
                records.remove(Space::Witnesses, &label)?;
            }
        }
        Ok::<_, StoreError>(())
    });
    write.await.map_err(own)
}

/// Of the node's own store.
#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn own(error: StoreError) -> Broken {
    Broken::Own(error.to_string())
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shares")
    }
}

/// A fresh salt.
pub(super) fn salt() -> Result<Salt, Broken> {
    let mut salt = Zeroizing::new([0; 32]);
    getrandom::fill(salt.as_mut()).map_err(|e| Broken::Own(format!("cannot draw random numbers: {e}")))?;
    Ok(salt)
}
