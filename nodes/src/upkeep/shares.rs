//! Shares that are made anew in two phases: those of tables, and those of what jobs have computed and nobody has fetched yet.

use super::{
    inventory::{OutputsAt, TableAt},
    items::{self, Item},
    talk::Broken,
};
use crate::{
    job::{JobId, Jobs},
    store::Store,
    tables::{Epoch, Seed, StoredTable, TableFault, TableStore},
};
use std::sync::Arc;
use trefoil_engine::Party;

/// One of them at a node, in an epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum ShareAt {
    Table(TableAt),
    Outputs(OutputsAt),
}

/// Where a node has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holdings<'a> {
    pub(super) store: &'a Store,
    pub(super) tables: &'a Arc<TableStore>,
    pub(super) jobs: &'a Arc<Jobs>,
}

/// What came of a step with them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Done,
    /// Who they belong to has deleted them meanwhile.
    Gone,
}

impl ShareAt {
    /// As messages name it.
    pub(super) fn name(&self) -> String {
        self.about().0
    }

    /// How it is named, and what tells it from all others.
    pub(super) fn about(&self) -> (String, [u8; 32]) {
        match self {
            Self::Table(at) => items::about_table(at),
            Self::Outputs(at) => items::about_outputs(at),
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        match self {
            Self::Table(at) => at.epoch,
            Self::Outputs(at) => at.epoch,
        }
    }

    pub(super) fn pending(&self) -> Option<Epoch> {
        match self {
            Self::Table(at) => at.pending,
            Self::Outputs(at) => at.pending,
        }
    }

    /// In another epoch, and nothing prepared beside it.
    pub(super) fn in_epoch(mut self, epoch: Epoch) -> Self {
        match &mut self {
            Self::Table(at) => (at.epoch, at.pending) = (epoch, None),
            Self::Outputs(at) => (at.epoch, at.pending) = (epoch, None),
        }
        self
    }

    /// Whether those whom it concerns delete it all the time, each node in its own moment.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Outputs(_))
    }
}

impl Holdings<'_> {
    /// Writes new shares beside those in use.
    pub(super) async fn prepare(
        &self,
        at: &ShareAt,
        (session, me): (JobId, Party),
        seed: &Arc<Seed>,
    ) -> Result<Step, String> {
        match at {
            ShareAt::Table(at) => match at.here(self.tables) {
                Some(table) => of_table(self.tables.prepare(&table, (session, me), seed).await.map(drop)),
                None => Ok(Step::Gone),
            },
            ShareAt::Outputs(at) => {
                let new = at.epoch.after(session);
                let there = self.jobs.prepare_outputs((at.job, at.epoch, new), (seed.clone(), me)).await;
                there.map(of_outputs).map_err(|error| error.to_string())
            }
        }
    }

    /// Puts shares that all three have prepared in use.
    pub(super) async fn commit(&self, at: &ShareAt, epoch: Epoch) -> Result<Step, String> {
        match at {
            ShareAt::Table(at) => match self.table(at) {
                Some(table) => of_table(table.commit(epoch).await),
                None => Ok(Step::Gone),
            },
            ShareAt::Outputs(at) => {
                self.jobs.commit_outputs(at.job, epoch).await.map(of_outputs).map_err(|error| error.to_string())
            }
        }
    }

    /// Erases what is prepared.
    pub(super) async fn abandon(&self, at: &ShareAt) -> Result<Step, String> {
        match at {
            ShareAt::Table(at) => match self.table(at) {
                Some(table) => of_table(table.abandon().await),
                None => Ok(Step::Gone),
            },
            ShareAt::Outputs(at) => {
                let done = self.jobs.abandon_outputs(at.job, at.epoch).await;
                done.map(|()| Step::Done).map_err(|error| error.to_string())
            }
        }
    }

    /// What is compared of those that this node has.
    pub(super) fn items(&self, shares: &[ShareAt], templates: &[String]) -> Vec<Item> {
        let item = |at: &ShareAt| match at {
            ShareAt::Table(at) => at.here(self.tables).map(|table| Item::table(at, &table)),
            ShareAt::Outputs(at) => Some(Item::outputs(at, self.jobs)),
        };
        shares.iter().filter_map(item).chain(templates.iter().map(|record| Item::template(record))).collect()
    }

    /// The very upload, in whichever epoch.
    fn table(&self, at: &TableAt) -> Option<Arc<StoredTable>> {
        self.tables.get(&at.key()).filter(|table| *table.digest() == at.sha256.0)
    }
}

/// A failure at this node's disk: in words for its log.
pub(super) fn unless_failed(done: Result<Step, String>) -> Result<(), Broken> {
    done.map(drop).map_err(Broken::Own)
}

fn of_table(done: Result<(), TableFault>) -> Result<Step, String> {
    match done {
        Ok(()) => Ok(Step::Done),
        Err(TableFault::Deleted(_)) => Ok(Step::Gone),
        Err(fault) => Err(fault.to_string()),
    }
}

fn of_outputs(there: bool) -> Step {
    if there { Step::Done } else { Step::Gone }
}
