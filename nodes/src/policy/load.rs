//! From a file to a policy that is known to be this node's, signed, and no older than the last.

use super::{Policy, PolicyKey};
use crate::{
    Error,
    audit::{AuditLog, AuditWhose, Event},
    config::Source,
    job::Sha256Hex,
    store::{Space, Store, StoreError},
};
use std::path::{Path, PathBuf};

const REMEDY: &str = "`trefoil policy init` writes one for each node";

/// The name of the record with the last serial number.
const SERIAL: &[u8] = b"serial";

/// Where a node's policy is, and whose signature it has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyFiles {
    /// The policy; its signature is beside it.
    pub path: PathBuf,
    /// The operator's public key.
    pub key: PolicyKey,
}

impl Policy {
    /// Reads a policy without looking at its signature.
    ///
    /// # Errors
    /// [`Error::Config`] with file, line and remedy.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Ok(Self::resolve(&Source::read(path, REMEDY)?)?)
    }
}

/// Reads the policy of a node, and checks its signature and that it is for this node.
///
/// # Errors
/// [`Error::Config`] names the file, and the line if it is one, with the remedy.
pub fn read_signed(files: &PolicyFiles, whose: AuditWhose) -> Result<Policy, Error> {
    let source = Source::read(&files.path, REMEDY)?;
    // Nothing is made of what somebody else has written.
    files.key.verify(&source)?;
    let policy = Policy::resolve(&source)?;
    if policy.whose != whose {
        let AuditWhose { cluster, party } = policy.whose;
        let message = format!(
            "this policy is for {party} of the cluster {cluster}, and the node is {} of {}; write one for this node and sign it",
            whose.party, whose.cluster
        );
        return Err(source.whole(message).into());
    }
    Ok(policy)
}

/// Reads the policy that a node is to use from now on. Its serial number is in the store, and its digest in the audit log, before this returns.
///
/// # Errors
/// As [`read_signed`]; [`Error::Config`] too if the node has used a later policy; [`Error::Store`] or [`Error::System`] if that cannot be written down.
pub async fn load(files: &PolicyFiles, whose: AuditWhose, store: &Store, log: &AuditLog) -> Result<Policy, Error> {
    let read = {
        let files = files.clone();
        tokio::task::spawn_blocking(move || read_signed(&files, whose)).await
    };
    let policy = read.map_err(|e| Error::Bug(e.to_string()))??;
    let (serial, digest) = (policy.serial, policy.digest);
    let of = store.clone();
    // A store that is new, or an older one, does not know what the log does.
    let logged = log.last_policy().await?;
    let last = store
        .write(move |records| {
            let last = match records.get(Space::Policy, SERIAL)? {
                Some(record) => {
                    Some(last(&record).ok_or_else(|| of.damaged("the serial number of the last policy".to_owned()))?)
                }
                None => None,
            };
            let last = later(last, logged);
            let newer = last.is_none_or(|(last, its)| serial > last || (serial, digest) == (last, its));
            if newer {
                records.put(Space::Policy, SERIAL, &[&serial.to_le_bytes()[..], &digest.0].concat())?;
            }
            Ok::<_, StoreError>((!newer).then_some(last).flatten())
        })
        .await?;
    if let Some((last, _)) = last {
        let what = if last == serial { "another policy with this serial number" } else { "a later policy" };
        let message = format!(
            "serial {serial}: the node has used {what}, the last being {last}; write serial = {} and sign it anew",
            last.saturating_add(1)
        );
        return Err(crate::config::ConfigError::Whole { path: files.path.clone(), message }.into());
    }
    let event = Event::Policy { serial, sha256: digest };
    log.append(&event).map_err(Error::system("write the audit log (make room on its disk)"))?;
    Ok(policy)
}

/// The later of two policies that were in force, by serial number; of the same, the first.
fn later(a: Option<(u64, Sha256Hex)>, b: Option<(u64, Sha256Hex)>) -> Option<(u64, Sha256Hex)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.0 > a.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}

fn last(record: &[u8]) -> Option<(u64, Sha256Hex)> {
    let (serial, digest) = record.split_first_chunk()?;
    Some((u64::from_le_bytes(*serial), Sha256Hex(digest.try_into().ok()?)))
}
