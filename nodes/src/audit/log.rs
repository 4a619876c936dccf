//! The log of a node that runs.

use super::{
    Entry, Event, Link,
    chain::written,
    verify::{LogFault, files, visit},
};
use crate::{
    Error,
    clock::now_unix_ms,
    config::ClusterId,
    job::{Accepted, Asked, Before, JobBefore, JobId, JobState, Journal, Sha256Hex},
    keys::{ErasedKey, KeyId},
    pki::create_directory,
    ration::Ration,
    tables::Erased,
    upkeep::UpkeepReport,
};
use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use trefoil_engine::Party;

/// The version of the form of the log.
pub(super) const FORMAT: u32 = 1;

/// A file is followed by another when it has so many bytes.
const FILE_BYTES: u64 = 64 << 20;

/// Refusals of one client in a minute that have entries of their own. Without a bound whoever has a certificate could fill the disk.
const REFUSALS: u32 = 60;

/// Which node a log is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuditWhose {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub party: Party,
}

/// What a node that starts knows of its log, and wants to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// What its store says of the end: how many entries there were, and the link after them.
    pub anchor: Option<(u64, Link)>,
    /// Jobs that were accepted before are not asked for any more: milliseconds since 1970-01-01 UTC.
    pub since_unix_ms: u64,
    /// Nor are those that have ended before.
    pub ended_since_unix_ms: u64,
}

/// What a node that starts finds in its log.
#[derive(Debug)]
pub struct Recovered {
    /// The log, to go on with.
    pub log: AuditLog,
    /// The jobs that may still be asked for.
    pub before: Before,
}

/// A node's log. Calls are short and write to the system's memory; [`sync`](Self::sync) waits for the disk.
pub struct AuditLog {
    directory: PathBuf,
    whose: AuditWhose,
    file_bytes: u64,
    inner: Mutex<Inner>,
    failures: AtomicU64,
    refusals: Ration<String>,
}

struct Inner {
    file: File,
    path: PathBuf,
    /// Bytes of whole entries in the file.
    size: u64,
    /// The number of the next entry, and what it will follow.
    next: u64,
    link: Link,
    /// A part of an entry could not be removed.
    torn: bool,
    /// The last policy that this process has written down.
    policy: Option<(u64, Sha256Hex)>,
    /// Why the last entry could not be written, or not to the disk.
    fault: Option<String>,
    #[cfg(test)]
    room: Option<usize>,
}

impl AuditLog {
    /// Opens the log in a directory, and makes both if there is none.
    ///
    /// # Errors
    /// [`Error::Audit`] if it was changed, [`Error::System`] if it cannot be read or written.
    pub fn open(directory: &Path, whose: AuditWhose, known: Known) -> Result<Recovered, Error> {
        Self::open_with(directory, whose, known, FILE_BYTES)
    }

    pub(super) fn open_with(
        directory: &Path,
        whose: AuditWhose,
        known: Known,
        file_bytes: u64,
    ) -> Result<Recovered, Error> {
        create_directory(directory)?;
        let found = files(directory)?;
        let anchored = known.anchor.is_none();
        let mut scan = Scan { whose, known, anchored, jobs: BTreeMap::new(), order: Vec::new(), used: Vec::new() };
        let first = first_to_read(&found, &known)?;
        let end = visit(&found[first..], &mut |entry, link| scan.entry(entry, link))?;
        let path = found.last().cloned().unwrap_or_else(|| directory.join(name(0)));
        let lost = known.anchor.filter(|_| !scan.anchored);
        // The first entry of a new log may be all that there was time for.
        if let Some((entries, _)) = lost.filter(|_| end.next > 1) {
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
        let inner = Inner {
            file,
            size: end.size,
            next: end.next,
            link: end.link,
            path: path.clone(),
            torn: false,
            policy: None,
            fault: None,
            #[cfg(test)]
            room: None,
        };
        let log = Self {
            directory: directory.to_owned(),
            whose,
            file_bytes,
            inner: Mutex::new(inner),
            failures: AtomicU64::new(0),
            refusals: Ration::new(REFUSALS),
        };
        let failed = |e| Error::system(format!("write the audit log {} (make room on its disk)", path.display()))(e);
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
        Ok(Recovered { log, before: Before { jobs, used: scan.used } })
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// Those of the system, such as a full disk; nothing of the entry stays.
    pub fn append(&self, event: &Event) -> io::Result<()> {
        let mut inner = self.lock();
        let written = self.write(&mut inner, event);
        self.counted(&mut inner, written)
    }

    fn write(&self, inner: &mut Inner, event: &Event) -> io::Result<()> {
        // What is written into a file that nobody finds is lost.
        inner.is_in_place()?;
        if inner.size >= self.file_bytes {
            // What is in the file is on the disk before anything refers to it; once in so many bytes.
            inner.file.sync_data()?;
            let path = self.directory.join(name(inner.next));
            inner.file = open_file(&path).map_err(io::Error::other)?;
            (inner.path, inner.size) = (path, 0);
        }
        if inner.size == 0 {
            let opened = self.opened(inner.link);
            inner.append(&opened)?;
        }
        inner.append(event)?;
        if let Event::Policy { serial, sha256 } = event {
            inner.policy = Some((*serial, *sha256));
        }
        Ok(())
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
        let synced = file.sync_data();
        if synced.is_err() {
            self.counted(&mut self.lock(), synced)?;
        }
        Ok(end)
    }

    /// Why the log cannot be written, as it was found last.
    pub fn fault(&self) -> Option<String> {
        self.lock().fault.clone()
    }

    /// Looks whether the file is where it was, and after a failure whether entries can be written again; writes how many refusals have no entry of their own. Called now and then.
    ///
    /// # Errors
    /// Those of the system.
    pub fn look_after(&self) -> io::Result<()> {
        {
            let mut inner = self.lock();
            let looked = match inner.fault {
                None => inner.is_in_place(),
                Some(_) => self.write(&mut inner, &Event::Resumed { failures: self.failures() }),
            };
            // Nothing was to be written that is missing now.
            inner.fault = looked.as_ref().err().map(ToString::to_string);
            looked?;
        }
        self.write_refusals(self.refusals.over())
    }

    /// As [`look_after`](Self::look_after), for the last time: all refusals that were counted are written.
    ///
    /// # Errors
    /// Those of the system.
    pub fn wind_up(&self) -> io::Result<()> {
        self.write_refusals(self.refusals.end())
    }

    fn write_refusals(&self, refusals: Vec<(String, u64)>) -> io::Result<()> {
        let mut result = Ok(());
        for (client, more) in refusals {
            let written = self.append(&Event::Refusals { client: client.clone(), more });
            if written.is_err() {
                self.refusals.put_back(client, more);
            }
            result = result.and(written);
        }
        result
    }

    /// How often an entry could not be written, or not to the disk.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    fn counted(&self, inner: &mut Inner, result: io::Result<()>) -> io::Result<()> {
        if result.is_err() {
            self.failures.fetch_add(1, Relaxed);
        }
        inner.fault = result.as_ref().err().map(ToString::to_string);
        result
    }

    /// The last policy that is written down, with its serial number and digest: that of this process, else of those before, as far as their files are here.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn last_policy(&self) -> Result<Option<(u64, Sha256Hex)>, Error> {
        if let Some(policy) = self.lock().policy {
            return Ok(Some(policy));
        }
        let directory = self.directory.clone();
        let found = tokio::task::spawn_blocking(move || last_policy(&directory)).await;
        found.map_err(|e| Error::Bug(e.to_string()))?
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
    /// Whether the file is the one that its path leads to.
    fn is_in_place(&self) -> io::Result<()> {
        let (open, there) = (self.file.metadata()?, fs::metadata(&self.path));
        let is_same = |there: fs::Metadata| (there.dev(), there.ino()) == (open.dev(), open.ino());
        match there.map(is_same) {
            Ok(true) => Ok(()),
            _ => Err(io::Error::other(format!(
                "{} was moved away or removed while the node runs: put it back, or start the node again for a new log that says what is missing",
                self.path.display()
            ))),
        }
    }

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
    pub(crate) fn fail_at(&self, room: Option<usize>) {
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
        if request.status >= 400 && !self.refusals.take(&request.client) {
            // It is told with others when the minute is over.
            return Ok(());
        }
        self.append(&Event::Request(request.clone()))
    }

    fn erased(&self, table: &Erased) -> io::Result<()> {
        self.append(&Event::TableExpired(table.clone()))
    }

    fn erased_key(&self, key: &ErasedKey) -> io::Result<()> {
        self.append(&Event::KeyExpired(key.clone()))
    }

    fn removed_key(&self, key: &KeyId) -> io::Result<()> {
        self.append(&Event::KeyRemoved(key.clone()))
    }

    fn compared(&self, report: &UpkeepReport) -> io::Result<()> {
        self.append(&Event::StoreCompared(report.clone()))
    }
}

/// What is looked for when a log is read from some file on.
struct Scan {
    whose: AuditWhose,
    known: Known,
    anchored: bool,
    jobs: BTreeMap<JobId, JobBefore>,
    order: Vec<JobId>,
    used: Vec<JobId>,
}

impl Scan {
    fn entry(&mut self, entry: Entry, link: Link) -> Result<(), String> {
        let at = |n: u64, link: Link| self.known.anchor == Some((n, link));
        match entry.event {
            Event::Opened { cluster, party, previous, .. } => {
                if (cluster, usize::from(party)) != (self.whose.cluster, self.whose.party.index()) {
                    return Err("is of another node; name this node's directory with `audit` in node.toml".to_owned());
                }
                // Older files may have been moved away.
                self.anchored |= at(entry.n, previous);
            }
            // The node has told of it before, and ended before its store had the end of the new log.
            Event::Lost { entries, link } => self.anchored |= at(entries, link),
            Event::JobAccepted(accepted) if entry.time_unix_ms >= self.known.since_unix_ms => {
                let (job, accepted_unix_ms) = (accepted.job, entry.time_unix_ms);
                self.order.push(job);
                self.jobs.insert(job, JobBefore { accepted, accepted_unix_ms, end: None, deleted: Vec::new() });
            }
            Event::JobEnded { job, state } => {
                if entry.time_unix_ms < self.known.ended_since_unix_ms {
                    self.used.extend(self.jobs.remove(&job).map(|before| before.accepted.job));
                } else if let Some(before) = self.jobs.get_mut(&job) {
                    before.end = Some((state, entry.time_unix_ms));
                }
            }
            Event::Request(Asked { client, method, path, status, .. }) if method == "DELETE" && status < 300 => {
                let job = path.strip_prefix("/v1/jobs/").and_then(|id| id.parse().ok());
                match job.map(|job| (job, self.jobs.get_mut(&job))) {
                    Some((_, Some(before))) => before.deleted.push(client),
                    Some((job, None)) => self.used.push(job),
                    None => {}
                }
            }
            _ => {}
        }
        self.anchored |= at(entry.n + 1, link);
        Ok(())
    }
}

/// The file to read from: that with the end that the store knows, or an earlier one that has jobs which may still be asked for.
fn first_to_read(files: &[PathBuf], known: &Known) -> Result<usize, Error> {
    let mut first = files.len().saturating_sub(1);
    if let Some((entries, _)) = known.anchor {
        first = files.iter().rposition(|file| number(file).is_some_and(|n| n <= entries)).unwrap_or(0);
    }
    while first > 0 {
        let mut begun = None;
        // The first entry says when the file was begun; what is wrong with others is found when it is read.
        let read = visit(&files[first..=first], &mut |entry, _| {
            begun = begun.or(Some(entry.time_unix_ms));
            Err(String::new())
        });
        match begun {
            Some(begun) if begun > known.since_unix_ms => first -= 1,
            Some(_) => break,
            // A new file without an entry, or one that cannot be read.
            None => {
                read?;
                first -= 1;
            }
        }
    }
    Ok(first)
}

/// The last policy in the files of a directory, from the newest on.
fn last_policy(directory: &Path) -> Result<Option<(u64, Sha256Hex)>, Error> {
    for file in files(directory)?.iter().rev() {
        let mut last = None;
        visit(std::slice::from_ref(file), &mut |entry, _| {
            if let Event::Policy { serial, sha256 } = entry.event {
                last = Some((serial, sha256));
            }
            Ok(())
        })?;
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

/// The name of the file that begins with this entry. Names sort as their files follow each other.
fn name(first: u64) -> String {
    format!("audit-{first:012}.log")
}

/// The number in a file's name.
fn number(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?;
    stem.strip_prefix("audit-")?.parse().ok()
}

fn open_file(path: &Path) -> Result<File, Error> {
    let failed = || Error::system(format!("write {}", path.display()));
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    let file = options.open(path).map_err(failed())?;
    // A new file is there after a loss of power only if its directory says so.
    if let Some(directory) = path.parent() {
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed())?;
    }
    Ok(file)
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("directory", &self.directory).finish_non_exhaustive()
    }
}
