//! The log of a node that runs.

use super::{
    Entry, Event, Link,
    chain::{BEGINNING, written},
    verify::{LogFault, Visited, files, visit},
};
use crate::{
    Error,
    config::ClusterId,
    job::{Accepted, Asked, JobId, JobState, Journal},
    pki::create_directory,
};
use std::{
    collections::BTreeMap,
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};
use trefoil_engine::Party;

/// The version of the form of the log.
pub(super) const FORMAT: u32 = 1;

/// A file is followed by another when it has so many bytes.
const FILE_BYTES: u64 = 64 << 20;

/// Which node a log is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuditWhose {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub party: Party,
}

/// What a node that starts finds in its log.
#[derive(Debug)]
pub struct Recovered {
    /// The log, to go on with.
    pub log: AuditLog,
    /// The jobs since the start before: when each was accepted, in milliseconds since 1970, and its end, if it had one.
    pub jobs: Vec<(u64, Accepted, Option<JobState>)>,
}

/// A node's log. Calls are short and write to the system's memory; [`sync`](Self::sync) waits for the disk.
pub struct AuditLog {
    directory: PathBuf,
    whose: AuditWhose,
    file_bytes: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    /// Bytes of whole entries in the file.
    size: u64,
    /// The number of the next entry, and what it will follow.
    next: u64,
    link: Link,
    /// A part of an entry could not be removed.
    torn: bool,
    #[cfg(test)]
    room: Option<usize>,
}

impl AuditLog {
    /// Opens the log in a directory, and makes both if there is none. `anchor` is what the node's store says of its end: how many entries there were, and the link after them.
    ///
    /// # Errors
    /// [`Error::Audit`] if it was changed, [`Error::System`] if it cannot be read or written.
    pub fn open(directory: &Path, whose: AuditWhose, anchor: Option<(u64, Link)>) -> Result<Recovered, Error> {
        Self::open_with(directory, whose, anchor, FILE_BYTES)
    }

    pub(super) fn open_with(
        directory: &Path,
        whose: AuditWhose,
        anchor: Option<(u64, Link)>,
        file_bytes: u64,
    ) -> Result<Recovered, Error> {
        create_directory(directory)?;
        let found = files(directory)?;
        let mut scan = Scan { whose, anchor, jobs: BTreeMap::new(), order: Vec::new(), anchored: false, begun: false };
        let start = match found.as_slice() {
            [] => None,
            [.., last] => {
                // From the file on in which the node has started before; jobs do not outlive it.
                let first = found.iter().rposition(|file| has_start(file)).unwrap_or(0);
                let end = visit(&found[first..], &mut |entry, link| scan.entry(entry, link))?;
                Some((last.clone(), end))
            }
        };
        let lost = anchor.filter(|_| !scan.anchored);
        let (path, end) = match start {
            Some(start) => start,
            None => (directory.join(name(0)), Visited { next: 0, link: BEGINNING, size: 0, torn: 0 }),
        };
        if let Some((entries, _)) = lost.filter(|_| end.next > 0) {
            let cause = format!(
                "is not the one that was written: the node's store says that there were {entries} entries, of which the last is not in it (it ends with number {})",
                end.next - 1
            );
            return Err(LogFault { path, line: None, cause }.into());
        }
        let file = open_file(&path)?;
        if end.torn > 0 {
            file.set_len(end.size).map_err(Error::system(format!("mend {}", path.display())))?;
        }
        let new = end.next == 0 || end.size == 0;
        let inner = Inner {
            file,
            size: end.size,
            next: end.next,
            link: end.link,
            torn: false,
            #[cfg(test)]
            room: None,
        };
        let log = Self { directory: directory.to_owned(), whose, file_bytes, inner: Mutex::new(inner) };
        let failed = |e| Error::system(format!("write {}", path.display()))(e);
        if new {
            let mut inner = log.lock();
            let event = log.opened(inner.link);
            inner.append(&event).map_err(failed)?;
        }
        if end.torn > 0 {
            log.append(&Event::Repaired { bytes: end.torn }).map_err(failed)?;
        }
        if let Some((entries, link)) = lost {
            tracing::error!(
                "the audit log {} is not there any more: {entries} entries had been written",
                directory.display()
            );
            log.append(&Event::Lost { entries, link }).map_err(failed)?;
        }
        let jobs = scan.order.iter().filter_map(|job| scan.jobs.remove(job)).collect();
        Ok(Recovered { log, jobs })
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// Those of the system, such as a full disk; nothing of the entry stays.
    pub fn append(&self, event: &Event) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.size >= self.file_bytes {
            let (file, opened) = (open_file(&self.directory.join(name(inner.next))), self.opened(inner.link));
            inner.file = file.map_err(io::Error::other)?;
            inner.size = 0;
            inner.append(&opened)?;
        }
        inner.append(event)
    }

    /// Waits until all entries are on the disk. How many there are, and the link after them. Blocks.
    ///
    /// # Errors
    /// Those of the system.
    pub fn sync(&self) -> io::Result<(u64, Link)> {
        let (file, end) = {
            let inner = self.lock();
            (inner.file.try_clone()?, (inner.next, inner.link))
        };
        file.sync_data()?;
        Ok(end)
    }

    /// How many entries there are.
    pub fn entries(&self) -> u64 {
        self.lock().next
    }

    fn opened(&self, previous: Link) -> Event {
        let AuditWhose { cluster, party } = self.whose;
        Event::Opened { format: FORMAT, cluster, party: party.index() as u8, previous }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn append(&mut self, event: &Event) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.size)?;
            self.torn = false;
        }
        let entry = Entry { n: self.next, time_unix_ms: now_unix_ms(), event: event.clone() };
        let (line, link) = written(self.link, &entry)?;
        if let Err(error) = self.write(&line) {
            self.torn = self.file.set_len(self.size).is_err();
            return Err(error);
        }
        self.size += line.len() as u64;
        self.next += 1;
        self.link = link;
        Ok(())
    }
}

impl Inner {
    #[cfg(not(test))]
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)
    }

    #[cfg(test)]
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let room = self.room.unwrap_or(line.len());
        self.file.write_all(&line[..room.min(line.len())])?;
        if room < line.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
impl AuditLog {
    /// The disk takes so many bytes of an entry.
    pub(super) fn fail_at(&self, room: Option<usize>) {
        self.lock().room = room;
    }
}

impl Journal for AuditLog {
    fn accepted(&self, job: &Accepted) -> io::Result<()> {
        self.append(&Event::JobAccepted(job.clone()))
    }

    fn ended(&self, job: JobId, state: &JobState) -> io::Result<()> {
        self.append(&Event::JobEnded { job, state: state.clone() })
    }

    fn asked(&self, request: &Asked) -> io::Result<()> {
        self.append(&Event::Request(request.clone()))
    }
}

/// What is looked for when a log is read from some file on.
struct Scan {
    whose: AuditWhose,
    anchor: Option<(u64, Link)>,
    anchored: bool,
    /// The first entry has been read.
    begun: bool,
    jobs: BTreeMap<JobId, (u64, Accepted, Option<JobState>)>,
    order: Vec<JobId>,
}

impl Scan {
    fn entry(&mut self, entry: Entry, link: Link) -> Result<(), String> {
        // A log that has grown since the anchor was written has the anchored entry somewhere.
        self.anchored |= self.anchor.is_some_and(|(entries, anchored)| entry.n + 1 == entries && anchored == link);
        match entry.event {
            Event::Opened { cluster, party, previous, .. } => {
                if (cluster, usize::from(party)) != (self.whose.cluster, self.whose.party.index()) {
                    return Err("is of another node; name this node's directory with `audit` in node.toml".to_owned());
                }
                // Or before the first file that is read.
                self.anchored |= self.anchor.is_some_and(|(entries, anchored)| {
                    entry.n > entries && !self.begun || entry.n == entries && anchored == previous
                });
            }
            Event::Started { .. } => {
                self.jobs.clear();
                self.order.clear();
            }
            Event::JobAccepted(accepted) => {
                self.order.push(accepted.job);
                self.jobs.insert(accepted.job, (entry.time_unix_ms, accepted, None));
            }
            Event::JobEnded { job, state } => {
                if let Some((_, _, end)) = self.jobs.get_mut(&job) {
                    *end = Some(state);
                }
            }
            _ => {}
        }
        self.begun = true;
        Ok(())
    }
}

/// Whether a node has started while it wrote this file. One that cannot be read has something to be told of.
fn has_start(file: &Path) -> bool {
    let mut found = false;
    let read = visit(&[file.to_owned()], &mut |entry, _| {
        found |= matches!(entry.event, Event::Started { .. });
        Ok(())
    });
    found || read.is_err()
}

/// The name of the file that begins with this entry. Names sort as their files follow each other.
fn name(first: u64) -> String {
    format!("audit-{first:012}.log")
}

fn open_file(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    options.open(path).map_err(Error::system(format!("write {}", path.display())))
}

fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("directory", &self.directory).finish_non_exhaustive()
    }
}
