//! What goes by itself when its time is over: ended jobs, outputs, unfinished uploads, tables and keys.

use crate::{
    job::Jobs,
    keys::Keys,
    tables::{Erased, TableStore},
};
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;
use tracing::{error, info};
use trefoil_engine::memory;

/// How often they are looked through.
const INTERVAL: Duration = Duration::from_secs(5);

/// How often memory is looked for that jobs have left behind. What was not used between two looks goes.
const TRIM: Duration = Duration::from_secs(6);

pub(super) struct Sweep {
    pub(super) jobs: Arc<Jobs>,
    pub(super) tables: Arc<TableStore>,
    pub(super) keys: Arc<Keys>,
}

/// Gives memory back that no job uses any more.
async fn trim_memory() {
    let mut interval = tokio::time::interval(TRIM);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        // It may take the system a while.
        let _ = tokio::task::spawn_blocking(memory::trim).await;
    }
}

impl Sweep {
    /// Never ends by itself.
    pub(super) async fn run(self) {
        // A store that is slow keeps no memory.
        tokio::join!(self.expire(), trim_memory());
    }

    async fn expire(&self) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.jobs.sweep();
            if let Err(error) = self.jobs.erase().await {
                error!("outputs whose time is over could not be removed from the store: {error}");
            }
            self.tables.drop_unfinished();
            for table in self.tables.erase_expired().await {
                erased(table.key(), self.jobs.journal().erased(&Erased::of(&table)));
            }
            match self.keys.erase_expired().await {
                Ok(gone) => {
                    for key in gone {
                        erased(
                            format_args!("key `{}` of {}", key.name, key.owner),
                            self.jobs.journal().erased_key(&key),
                        );
                    }
                }
                Err(error) => error!("keys whose time is over could not be looked for: {error}"),
            }
        }
    }
}

fn erased(what: impl fmt::Display, written: io::Result<()>) {
    info!("{what} has expired and was erased");
    if let Err(error) = written {
        error!("cannot write into the audit log that {what} was erased: {error}; make room on its disk");
    }
}
