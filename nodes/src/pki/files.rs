//! Files that hold keys: created once with tight permissions, never overwritten.

use super::CertificateFault;
use crate::Error;
use std::{
    fs::{DirBuilder, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};
use zeroize::Zeroizing;

/// Largest key or certificate file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Creates a file of mode 0600.
///
/// # Errors
/// [`Error::System`] if the file exists or cannot be written; an existing file is left as it is.
pub fn create_private(path: &Path, contents: &[u8]) -> Result<(), Error> {
    create(path, contents, 0o600)
}

/// Creates a file of mode 0644.
///
/// # Errors
/// [`Error::System`] if the file exists or cannot be written; an existing file is left as it is.
pub fn create_public(path: &Path, contents: &[u8]) -> Result<(), Error> {
    create(path, contents, 0o644)
}

/// Replaces a file by one of mode 0644: at every moment the old one or the new one is there.
///
/// # Errors
/// [`Error::System`] if it cannot be written; then the old one is there.
pub fn replace_public(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let failed = || Error::system(format!("write {}", path.display()));
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file =
        tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(directory).map_err(failed())?;
    file.write_all(contents).and_then(|()| file.as_file().sync_all()).map_err(failed())?;
    // The mask of the process has had its say on the mode.
    file.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(failed())?;
    file.persist(path).map(drop).map_err(|e| failed()(e.error))
}

/// Creates a directory of mode 0700, and its parents, unless it exists.
///
/// # Errors
/// [`Error::System`] if it cannot be created.
pub fn create_directory(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::system(format!("create the directory {}", path.display())))
}

/// Reads a private file into memory that is wiped when dropped.
///
/// A key that the owner's group can read is accepted with a warning, because orchestrators mount
/// secrets that way.
///
/// # Errors
/// [`Error::System`] if it cannot be read, [`Error::Certificate`] if every user can read it.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    read_secret(path, "private key")
}

/// The same for other secrets, with the word for them.
///
/// # Errors
/// As [`read_private`].
pub fn read_secret(path: &Path, what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = || Error::system(format!("read the {what} {}", path.display()));
    let file = OpenOptions::new().read(true).open(path).map_err(failed())?;
    let meta = file.metadata().map_err(failed())?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(Error::Certificate { path: path.to_owned(), fault: CertificateFault::Exposed { mode } });
    }
    if mode & 0o070 != 0 {
        tracing::warn!("{}: the {what} can be read by its group (mode {mode:04o})", path.display());
    }
    // Sized up front, so that growing leaves no copies of the key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(meta.len().min(MAX_BYTES) as usize + 1));
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed())?;
    Ok(bytes)
}

fn create(path: &Path, contents: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|source| {
        let why =
            if source.kind() == io::ErrorKind::AlreadyExists { "; existing files are never overwritten" } else { "" };
        Error::System { action: format!("create {}{why}", path.display()), source }
    })?;
    file.write_all(contents).and_then(|()| file.sync_all()).map_err(Error::system(format!("write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn private_files_are_private_and_never_overwritten() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        create_private(&path, b"first").expect("created");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let refused = create_private(&path, b"second").expect_err("it exists");
        assert!(refused.to_string().contains("never overwritten"), "{refused}");
        assert_eq!(read_private(&path).expect("readable").as_slice(), b"first");
    }

    #[test]
    fn a_key_that_everybody_can_read_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        create_public(&path, b"key").expect("created");
        let refused = read_private(&path).expect_err("it is exposed").to_string();
        assert!(refused.contains("chmod 600") && refused.contains("0644"), "{refused}");
    }
}
