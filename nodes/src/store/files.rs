//! The file of a store, and where its key comes from.

use super::{Location, StoreError, seal::Key};
use crate::{Error, pki};
use std::{
    env,
    fs::{File, OpenOptions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The environment variable that has the key, in the form of the key file. It goes before all files.
pub const KEY_VARIABLE: &str = "TREFOIL_STORE_KEY";

/// The name of the key among the credentials of a systemd unit. It goes before the key file.
const CREDENTIAL: &str = "trefoil-store-key";

/// Draws a new key and puts it before those in a file, so that it seals and they still open.
///
/// # Errors
/// [`Error::Certificate`] or [`Error::System`] if the file cannot be read or replaced, or the system gives no randomness.
pub(super) fn add_key(path: &Path) -> Result<(), Error> {
    let old = pki::read_private(path)?;
    replace(path, &[&*new_line()?, old.as_slice()].concat())
}

/// Leaves the first key in a file, and no other.
///
/// # Errors
/// As [`add_key`].
pub(super) fn drop_old_keys(path: &Path) -> Result<(), Error> {
    let text = pki::read_private(path)?;
    let first = text.split_inclusive(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    replace(path, first.unwrap_or_default())
}

/// The new file has the place of the old one only when it is on the disk; when this returns, it has it there too: what is sealed under a new key comes after that.
fn replace(path: &Path, text: &[u8]) -> Result<(), Error> {
    let text = Zeroizing::new(text.to_vec());
    let fresh = path.with_extension("new");
    // Of an attempt that was broken off.
    let _ = std::fs::remove_file(&fresh);
    pki::create_private(&fresh, &text)?;
    let moved = std::fs::rename(&fresh, path).and_then(|()| File::open(super::directory(path))?.sync_all());
    moved.map_err(Error::system(format!("replace {}", path.display())))
}

/// Where a store and its key are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreConfig {
    /// The records.
    pub place: Location,
    /// The key, unless it comes from the environment or from systemd: one or more lines of 64 hexadecimal digits. The first seals; all open.
    pub key: PathBuf,
}

/// Writes a new random key into a file of mode 0600.
///
/// # Errors
/// [`Error::System`] if the file exists or cannot be written, or the system gives no randomness.
pub fn create_key(path: &Path) -> Result<(), Error> {
    pki::create_private(path, new_line()?.as_ref())
}

/// A new random key as a file has it.
fn new_line() -> Result<Zeroizing<[u8; 65]>, Error> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut()).map_err(|e| Error::system("draw random numbers")(e.into()))?;
    let mut line = Zeroizing::new([0; 65]);
    hex::encode_to_slice(key.as_ref(), &mut line[..64]).map_err(|e| Error::Bug(format!("a key in digits: {e}")))?;
    line[64] = b'\n';
    Ok(line)
}

impl StoreConfig {
    /// The keys: from the environment, else from systemd, else from the file. If there are neither keys nor records, a key file is made.
    pub(super) fn keys(&self) -> Result<Vec<Key>, StoreError> {
        if let Some(text) = env::var_os(KEY_VARIABLE) {
            let text = Zeroizing::new(text.into_encoded_bytes());
            return parse(&text, &format!("from the environment variable {KEY_VARIABLE}"));
        }
        let file = credential().unwrap_or_else(|| self.key.clone());
        let from = format!("from {}", file.display());
        if !file.exists() {
            if self.place.is_there()? {
                let cause =
                    format!("there is no such file, and {} was written with one; restore it from a backup", self.place);
                return Err(StoreError::Key { from, cause });
            }
            create_key(&file).map_err(|e| StoreError::Key { from: from.clone(), cause: e.to_string() })?;
            tracing::info!("made a key for a new store: {}", file.display());
        }
        let text =
            pki::read_private(&file).map_err(|e| StoreError::Key { from: from.clone(), cause: e.to_string() })?;
        parse(&text, &from)
    }
}

/// Whether keys are taken from the key file: neither the environment nor systemd has them.
pub(super) fn is_key_file_used() -> bool {
    env::var_os(KEY_VARIABLE).is_none() && credential().is_none()
}

/// The file of the key that systemd has, if it has one.
fn credential() -> Option<PathBuf> {
    let credential = env::var_os("CREDENTIALS_DIRECTORY").map(|dir| Path::new(&dir).join(CREDENTIAL));
    credential.filter(|path| path.exists())
}

fn parse(text: &[u8], from: &str) -> Result<Vec<Key>, StoreError> {
    let form = || StoreError::Key {
        from: from.to_owned(),
        cause: "it must be lines of 64 hexadecimal digits, as `trefoil cluster init` writes it".to_owned(),
    };
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let mut keys = Vec::new();
    for line in lines {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(line, bytes.as_mut()).map_err(|_| form())?;
        keys.push(Key::new(&bytes)?);
    }
    if keys.is_empty() { Err(form()) } else { Ok(keys) }
}

/// Opens the records' file for the database, and makes it, for its owner alone, if there is none.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let place = || Location::File(path.to_owned());
    let failed = |source| StoreError::of_system(&place(), source);
    let file = options.open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    // It is sealed, so others may read it; whoever writes it could bring back what was deleted.
    if mode & 0o002 == 0 { Ok(file) } else { Err(StoreError::Exposed { place: place(), mode }) }
}
