//! Whether logs are as they were written, and whether those of three nodes tell of the same jobs.

use super::{
    Entry, Event, Link,
    chain::{BEGINNING, LINE, read},
};
use crate::{
    Error,
    job::{Accepted, Asked, JobId, JobState, Sha256Hex},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File},
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
};

/// A log that is not as it was written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, thiserror::Error)]
pub struct LogFault {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1, if it is one.
    pub line: Option<u64>,
    /// What is wrong with it.
    pub cause: String,
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: the entry {}", self.path.display(), self.cause),
            None => write!(f, "{}: the log {}", self.path.display(), self.cause),
        }
    }
}

/// How far a log was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visited {
    /// The number of the next entry.
    pub(super) next: u64,
    /// What it will follow.
    pub(super) link: Link,
    /// Bytes of whole entries in the last file.
    pub(super) size: u64,
    /// Bytes after them, of an entry that was not written to its end.
    pub(super) torn: u64,
}

/// What one log says.
#[derive(Clone, Debug, Serialize)]
pub struct LogReport {
    /// The node it is of, if it has an entry: 0, 1 or 2.
    pub party: Option<u8>,
    /// Entries.
    pub entries: u64,
    /// The number of the first: not 0 if older files were moved away.
    pub first: u64,
    /// The time of the first and of the last, in milliseconds since 1970-01-01 UTC.
    pub time_unix_ms: Option<(u64, u64)>,
    /// The link after the last.
    pub link: Link,
    /// Bytes at the end, of an entry that was not written to its end: the node was killed, or is writing now.
    pub torn: u64,
    #[serde(skip)]
    jobs: BTreeMap<JobId, JobRecord>,
    #[serde(skip)]
    tables: BTreeMap<String, BTreeSet<Sha256Hex>>,
    /// Since when it has all entries, and how many there had been before.
    #[serde(skip)]
    lost: Option<(u64, u64)>,
}

#[derive(Clone, Debug)]
struct JobRecord {
    digest: Sha256Hex,
    /// Of all that was written down.
    whole: Sha256Hex,
    done: bool,
    time: u64,
}

/// Something in which the logs of the nodes differ.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// Logs that cannot be compared.
    #[error("two of the logs are of P{party}; name those of three nodes")]
    Same {
        /// The node.
        party: u8,
    },
    /// The nodes were given different jobs under one name.
    #[error(
        "job {job}: the nodes have accepted different jobs under this id; one was given another specification, or its log was written anew"
    )]
    Digest {
        /// The job.
        job: JobId,
    },
    /// A job was done by one node, and another has never accepted it, though its log covers that time.
    #[error(
        "job {job}: done at P{at}, and P{missing} has no entry of it; entries of P{missing} were removed, or P{at} has made one up"
    )]
    Missing {
        /// The job.
        job: JobId,
        /// Who has it.
        at: u8,
        /// Who has not.
        missing: u8,
    },
    /// A node has found its log gone, and has begun a new one.
    #[error(
        "P{party}: the log was begun anew where {entries} entries had been written before: those are not in it; find out where they are"
    )]
    Lost {
        /// The node.
        party: u8,
        /// The entries that there had been.
        entries: u64,
    },
    /// Nodes have written down different things of one job.
    #[error(
        "job {job}: P{at} and P{other} have written down different owners, programs, outputs or tables of it; one of the logs was written anew"
    )]
    Job {
        /// The job.
        job: JobId,
        /// A node.
        at: u8,
        /// Another one.
        other: u8,
    },
    /// Nodes have stored different descriptions of one table.
    #[error(
        "{path}: stored at P{at} and P{other} with digests of which none is the same; the owner has uploaded different tables, or a log was written anew"
    )]
    Table {
        /// The table, as it was uploaded.
        path: String,
        /// A node.
        at: u8,
        /// Another one.
        other: u8,
    },
}

/// Reads a log from end to end: a directory with files, or one file.
///
/// # Errors
/// [`Error::Audit`] for the first line that is not as it was written, [`Error::System`] if the log cannot be read.
pub fn verify(path: &Path) -> Result<LogReport, Error> {
    let files = if path.is_dir() { files(path)? } else { vec![path.to_owned()] };
    if files.is_empty() {
        let cause = "has no files; name the directory `audit` of a node, or one of the files in it".to_owned();
        return Err(LogFault { path: path.to_owned(), line: None, cause }.into());
    }
    let mut report = LogReport {
        party: None,
        entries: 0,
        first: 0,
        time_unix_ms: None,
        link: BEGINNING,
        torn: 0,
        jobs: BTreeMap::new(),
        tables: BTreeMap::new(),
        lost: None,
    };
    let end = visit(&files, &mut |entry, _| report.entry(entry))?;
    report.link = end.link;
    report.torn = end.torn;
    Ok(report)
}

/// In what the logs of several nodes differ.
pub fn compare(logs: &[LogReport]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let parties: Vec<(u8, &LogReport)> = logs.iter().filter_map(|log| Some((log.party?, log))).collect();
    for (k, (party, _)) in parties.iter().enumerate() {
        if parties[..k].iter().any(|(other, _)| other == party) {
            return vec![Finding::Same { party: *party }];
        }
    }
    let lost = |(party, log): &(u8, &LogReport)| log.lost.map(|(_, entries)| Finding::Lost { party: *party, entries });
    findings.extend(parties.iter().filter_map(lost));
    let ids: BTreeSet<JobId> = logs.iter().flat_map(|log| log.jobs.keys().copied()).collect();
    for job in ids {
        let at: Vec<(u8, &JobRecord)> = parties.iter().filter_map(|(p, log)| Some((*p, log.jobs.get(&job)?))).collect();
        if at.iter().any(|(_, record)| record.digest != at[0].1.digest) {
            findings.push(Finding::Digest { job });
            continue;
        }
        let Some((done, record)) = at.iter().find(|(_, record)| record.done) else { continue };
        if let Some((other, _)) = at.iter().find(|(_, other)| other.done && other.whole != record.whole) {
            findings.push(Finding::Job { job, at: *done, other: *other });
        }
        for (party, log) in &parties {
            if log.covers(record.time) && !log.jobs.contains_key(&job) {
                findings.push(Finding::Missing { job, at: *done, missing: *party });
            }
        }
    }
    let paths: BTreeSet<&String> = logs.iter().flat_map(|log| log.tables.keys()).collect();
    for path in paths {
        let at: Vec<_> = parties.iter().filter_map(|(p, log)| Some((*p, log.tables.get(path)?))).collect();
        let pairs = at.iter().enumerate().flat_map(|(k, one)| at[k + 1..].iter().map(move |other| (one, other)));
        for ((at, one), (other, two)) in pairs {
            if one.is_disjoint(two) {
                findings.push(Finding::Table { path: path.clone(), at: *at, other: *other });
            }
        }
    }
    findings
}

impl LogReport {
    /// Whether what happened then would be in it: older files may have been moved away, and it may have been copied before.
    fn covers(&self, time: u64) -> bool {
        let Some((first, last)) = self.time_unix_ms else { return false };
        let since = self.lost.map_or(0, |(since, _)| since).max(if self.first == 0 { 0 } else { first });
        since < time && time < last
    }

    fn entry(&mut self, entry: Entry) -> Result<(), String> {
        if self.entries == 0 {
            self.first = entry.n;
        }
        let (from, _) = self.time_unix_ms.unwrap_or((entry.time_unix_ms, 0));
        self.time_unix_ms = Some((from, entry.time_unix_ms));
        self.entries += 1;
        match entry.event {
            Event::Opened { party, .. } => match self.party.replace(party) {
                Some(before) if before != party => return Err("is of another node than those before it".to_owned()),
                _ => {}
            },
            Event::Lost { entries, .. } => self.lost = Some((entry.time_unix_ms, entries)),
            Event::JobAccepted(job) => {
                // Each node has a policy of its own; the digest stands for the specification, and what a job repeats the client alone says.
                let job = Accepted { rule: None, repeats: None, spec: None, ..job };
                let whole = Sha256Hex::of(&serde_json::to_vec(&job).map_err(|e| e.to_string())?);
                let record = JobRecord { digest: job.digest, whole, done: false, time: entry.time_unix_ms };
                self.jobs.insert(job.job, record);
            }
            Event::JobEnded { job, state: JobState::Done { .. } } => {
                if let Some(record) = self.jobs.get_mut(&job) {
                    record.done = true;
                }
            }
            Event::Request(Asked { client, path, sha256: Some(digest), .. }) => {
                self.tables.entry(format!("{client}: {path}")).or_default().insert(digest);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The files of a log, in their order.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = || Error::system(format!("read the directory {}", directory.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("audit-") && Path::new(name).extension().is_some_and(|e| e == "log") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads files that follow each other, entry by entry.
pub(super) fn visit(
    files: &[PathBuf],
    each: &mut impl FnMut(Entry, Link) -> Result<(), String>,
) -> Result<Visited, Error> {
    let (mut previous, mut next, mut end) = (None, None, (0, 0));
    for (k, path) in files.iter().enumerate() {
        let failed = |e: io::Error| Error::system(format!("read {}", path.display()))(e);
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        let (mut number, mut line) = (0, Vec::new());
        let mut size = 0;
        end = loop {
            line.clear();
            number += 1;
            let got = io::Read::take(&mut reader, LINE).read_until(b'\n', &mut line).map_err(failed)? as u64;
            let fault = |cause| LogFault { path: path.clone(), line: Some(number), cause };
            let Some(text) = line.strip_suffix(b"\n") else {
                if got == LINE || (got > 0 && k + 1 < files.len()) {
                    return Err(fault("was not written to its end".to_owned()).into());
                }
                break (size, got);
            };
            let (entry, link) = read(text, previous).map_err(fault)?;
            let named = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("audit-"));
            if number == 1 && named.and_then(|n| n.parse().ok()).is_some_and(|named: u64| named != entry.n) {
                return Err(fault("has another number than the name of its file".to_owned()).into());
            }
            if number == 1 && !matches!(entry.event, Event::Opened { .. }) {
                return Err(fault("is not the first of a file: those before it are missing".to_owned()).into());
            }
            if next.is_some_and(|next| next != entry.n) {
                return Err(fault("has a number that does not follow".to_owned()).into());
            }
            (previous, next) = (Some(link), Some(entry.n + 1));
            size += got;
            each(entry, link).map_err(fault)?;
        };
    }
    Ok(Visited { next: next.unwrap_or(0), link: previous.unwrap_or(BEGINNING), size: end.0, torn: end.1 })
}
