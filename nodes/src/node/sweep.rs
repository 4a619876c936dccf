//! What goes by itself when its time is over: ended jobs, outputs, unfinished uploads, tables and keys; and memory that no job uses any more.

use crate::{
    job::Jobs,
    keys::Keys,
    tables::{Erased, TableStore},
};
use std::{fmt, io, sync::Arc, time::Duration};
use tracing::{error, info};

/// How often they are looked through.
const INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Sweep {
    pub(super) jobs: Arc<Jobs>,
    pub(super) tables: Arc<TableStore>,
    pub(super) keys: Arc<Keys>,
}

impl Sweep {
    /// Never ends by itself.
    pub(super) async fn run(self) {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            trefoil_engine::memory::trim();
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
