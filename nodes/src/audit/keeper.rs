//! The log of a node and the anchor in its store.

use super::{
    AuditLog, AuditWhose, Event, Link,
    log::{Known, Recovered},
};
use crate::{
    Error,
    clock::now_unix,
    job::{Before, Sha256Hex},
    store::{Space, Store, Value},
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::task::{JoinHandle, spawn_blocking};

/// How long an entry may be on its way to the disk.
const SYNC: Duration = Duration::from_secs(1);

/// The name of the anchor's record.
const ANCHOR: &[u8] = b"end";

/// Writes the log to the disk, and its end into the store, as it grows.
#[derive(Debug)]
pub struct Keeper {
    log: Arc<AuditLog>,
    store: Store,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Opens a node's log, writes down that it has started, and keeps it. Gives the jobs that may still be asked for: they are kept for `retention` after their end, and take `deadline` at most.
    ///
    /// # Errors
    /// As [`AuditLog::open`]; [`Error::Store`] if the anchor cannot be read or written.
    pub async fn open(
        directory: PathBuf,
        whose: AuditWhose,
        store: Store,
        [retention, deadline]: [Duration; 2],
    ) -> Result<(Self, Before), Error> {
        let anchor = store.get(Space::Audit, ANCHOR).await?;
        let anchor =
            anchor.map(|record| read(&record).ok_or_else(|| store.damaged("the end of the audit log".to_owned())));
        let now = now_unix();
        let before = |span: Duration| u64::try_from(now.saturating_sub(span).as_millis()).unwrap_or(u64::MAX);
        let known = Known {
            anchor: anchor.transpose()?,
            since_unix_ms: before(retention.saturating_add(deadline)),
            ended_since_unix_ms: before(retention),
        };
        let opened = spawn_blocking(move || {
            let recovered = AuditLog::open(&directory, whose, known)?;
            let started = Event::Started { version: env!("CARGO_PKG_VERSION").to_owned() };
            recovered.log.append(&started).map_err(Error::system("write the audit log (make room on its disk)"))?;
            let end = recovered.log.sync().map_err(Error::system("write the audit log to the disk"))?;
            Ok::<_, Error>((recovered, end))
        });
        let (Recovered { log, before }, (entries, link)) = opened.await.map_err(|e| Error::Bug(e.to_string()))??;
        store.put(Space::Audit, ANCHOR, written(entries, link)).await?;
        let log = Arc::new(log);
        let task = tokio::spawn(keep(log.clone(), store.clone()));
        Ok((Self { log, store, task }, before))
    }

    /// The log.
    pub fn log(&self) -> &Arc<AuditLog> {
        &self.log
    }

    /// Writes down that the node was stopped, and waits for the disk.
    pub async fn stop(self) {
        self.task.abort();
        if let Err(error) = self.log.wind_up().and_then(|()| self.log.append(&Event::Stopped)) {
            tracing::error!("cannot write the audit log: {error}");
        }
        sync(&self.log, &self.store).await;
    }
}

async fn keep(log: Arc<AuditLog>, store: Store) {
    let mut interval = tokio::time::interval(SYNC);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut synced, mut fault) = (None, None);
    loop {
        interval.tick().await;
        look_after(&log, &mut fault);
        if synced != Some(log.entries()) {
            synced = sync(&log, &store).await;
        }
    }
}

/// Tells once of each fault, and of its end.
fn look_after(log: &AuditLog, known: &mut Option<String>) {
    // The error is the fault that is looked at next.
    let _ = log.look_after();
    let fault = log.fault();
    match &fault {
        Some(fault) if known.as_ref() != Some(fault) => {
            tracing::error!("the audit log cannot be written, so nothing is done that has to be in it: {fault}");
        }
        None if known.is_some() => tracing::warn!("the audit log is written again"),
        _ => {}
    }
    *known = fault;
}

/// How many entries are on the disk now, if they are.
async fn sync(log: &Arc<AuditLog>, store: &Store) -> Option<u64> {
    let on_disk = {
        let log = log.clone();
        spawn_blocking(move || log.sync()).await
    };
    let (entries, link) = match on_disk {
        Ok(Ok(end)) => end,
        Ok(Err(error)) => {
            tracing::error!("cannot write the audit log to the disk: {error}");
            return None;
        }
        // The node is ending.
        Err(_) => return None,
    };
    match store.put(Space::Audit, ANCHOR, written(entries, link)).await {
        Ok(()) => Some(entries),
        Err(error) => {
            tracing::error!("the end of the audit log: {error}");
            None
        }
    }
}

/// The number of entries, little-endian, and the link after them.
fn written(entries: u64, link: Link) -> Value {
    Value::new([&entries.to_le_bytes()[..], &link.0].concat())
}

fn read(record: &[u8]) -> Option<(u64, Link)> {
    let (entries, link) = record.split_first_chunk()?;
    Some((u64::from_le_bytes(*entries), Sha256Hex(link.try_into().ok()?)))
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
