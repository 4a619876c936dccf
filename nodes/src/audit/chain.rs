//! The form of a line, and how each holds on to those before it.

use super::Event;
use crate::job::Sha256Hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::io;

/// The hash of an entry and of all before it.
pub type Link = Sha256Hex;

/// Before the first entry of the first file.
pub(super) const BEGINNING: Link = Sha256Hex([0; 32]);

/// Bytes of a line with its end at most, for who writes and who reads: more than an entry of a job with all tables and outputs there may be.
pub(super) const LINE: u64 = 4 << 20;

/// One line of a log.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// Its number: those of a log are counted from 0, through all files.
    pub n: u64,
    /// When, by the node's clock: milliseconds since 1970-01-01 UTC.
    pub time_unix_ms: u64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// The bytes of a link at the beginning of a line, with the space after it.
const LINK: usize = 64 + 1;

/// What a line is bound to.
pub(super) fn link(previous: Link, json: &[u8]) -> Link {
    let hash = Sha256::new().chain_update(b"trefoil/v1/audit").chain_update(previous.0);
    Sha256Hex(hash.chain_update(json).finalize().into())
}

/// A line with its end, and the link after it.
///
/// # Errors
/// If it is longer than any line that is read.
pub(super) fn written(previous: Link, entry: &Entry) -> io::Result<(Vec<u8>, Link)> {
    let json = serde_json::to_vec(entry)?;
    let link = link(previous, &json);
    let mut line = format!("{link} ").into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    if line.len() as u64 >= LINE {
        let cause = format!("an entry of {} bytes is longer than the audit log takes ({LINE})", line.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, cause));
    }
    Ok((line, link))
}

/// Reads a line, without its end, that follows `previous`; a file's first one says itself what it follows.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn read(line: &[u8], previous: Option<Link>) -> Result<(Entry, Link), String> {
    let form = || "is no entry: it was altered, or is of another program".to_owned();
    let (hash, json) = line.split_at_checked(LINK).ok_or_else(form)?;
    let hash = hash.strip_suffix(b" ").and_then(|hash| std::str::from_utf8(hash).ok()).ok_or_else(form)?;
    let entry: Entry = serde_json::from_slice(json).map_err(|_| form())?;
    let previous = match (&entry.event, previous) {
        (Event::Opened { previous: says, .. }, Some(previous)) if *says != previous => {
            return Err("does not follow the end of the file before it: entries between the two are missing".to_owned());
        }
        (Event::Opened { previous, .. }, _) => *previous,
        (_, Some(previous)) => previous,
        (_, None) => return Err("is not the first entry of a file: those before it are missing".to_owned()),
    };
    let link = link(previous, json);
    if link.to_string() == hash {
        Ok((entry, link))
    } else {
        Err("does not follow the one before it: it was altered, or entries between the two were removed or put in"
            .to_owned())
    }
}
