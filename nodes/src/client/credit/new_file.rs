//! Files that a command writes: there when they are complete, or not at all.

use crate::Error;
use serde::Serialize;
use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};
use tempfile::{NamedTempFile, TempPath};

/// A file that is not there yet. Made before the work whose result it takes, so that the work is not in vain. It can be read by its owner alone. Dropped before
/// [`place`](Self::place), it leaves nothing.
#[derive(Debug)]
pub struct NewFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl NewFile {
    /// Room for a file at `path`.
    ///
    /// # Errors
    /// [`Error::Usage`] if something is there, [`Error::System`] if nothing can be written there.
    pub fn create(path: &Path) -> Result<Self, Error> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(taken(path));
        }
        let failed = |e| Error::system(format!("create {}", path.display()))(e);
        fs::metadata(directory(path)).map_err(failed)?;
        // Of mode 0600: scores, counts and models are not for everybody. An error would name the temporary file.
        let file = NamedTempFile::new_in(directory(path)).map_err(|e| failed(e.kind().into()))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// What writes to it, for what is longer than memory. Whoever has written all of it sees to it that it is on the disk.
    ///
    /// # Errors
    /// [`Error::System`] if the system gives no other handle.
    pub fn handle(&self) -> Result<fs::File, Error> {
        self.file.as_file().try_clone().map_err(Error::system(format!("write {}", self.path.display())))
    }

    /// Puts text onto the disk, without giving it its name.
    ///
    /// # Errors
    /// [`Error::System`] if it cannot be written.
    pub fn fill(&mut self, text: &str) -> Result<(), Error> {
        self.fill_bytes(text.as_bytes())
    }

    /// As [`fill`](Self::fill), with bytes.
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    pub fn fill_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let file = self.file.as_file_mut();
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(Error::system(format!("write {}", self.path.display())))
    }

    /// As [`fill`](Self::fill), with a value as JSON.
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    pub fn fill_json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(value).map_err(|e| Error::Bug(format!("a result as JSON: {e}")))?;
        self.fill(&text)
    }

    /// Gives it its name, and returns when the name is on the disk too.
    ///
    /// # Errors
    /// [`Error::Usage`] if something has come there meanwhile, [`Error::System`] if it cannot be named: the text says under which name it stays. Or if it is there, and may be gone after a crash.
    pub fn place(self) -> Result<(), Error> {
        let Err(failed) = self.file.persist_noclobber(&self.path) else { return named(&self.path) };
        let taken = failed.error.kind() == ErrorKind::AlreadyExists;
        let (error, path) = (failed.error, self.path.display());
        // What it holds may not be had again.
        match failed.file.keep() {
            Ok((_, kept)) if taken => {
                let kept = kept.display();
                Err(Error::Usage(format!("{path} has come there meanwhile; what was to be written is in {kept}")))
            }
            Ok((_, kept)) => {
                Err(Error::system(format!("name {path}, and what was to be written is in {}", kept.display()))(error))
            }
            Err(e) => Err(Error::system(format!("write {path}"))(e.error)),
        }
    }
}

/// Gives a file that is complete another name in its directory, unless something has it, and returns when the name is on the disk.
///
/// # Errors
/// [`Error::Usage`] if something is there, [`Error::System`] if it cannot be named; the file stays as it is then. Or if it is named, and the name may be gone after a crash.
pub fn name_file(from: &Path, to: &Path) -> Result<(), Error> {
    let file = TempPath::try_from_path(from).map_err(Error::system(format!("name {}", from.display())))?;
    match file.persist_noclobber(to) {
        Ok(()) => named(to),
        Err(failed) => {
            // Else it would be removed.
            let kept = failed.path.keep();
            let (from, name) = (from.display(), to.display());
            if failed.error.kind() == ErrorKind::AlreadyExists {
                return Err(Error::Usage(format!("{name} is there already, and {from} stays beside it; move it away")));
            }
            let failed = kept.map_or_else(|kept| kept.error, |_| failed.error);
            Err(Error::system(format!("name {from} {name}"))(failed))
        }
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns when the directory of a file is on the disk, with its name in it.
fn named(path: &Path) -> Result<(), Error> {
    match fs::File::open(directory(path)).and_then(|directory| directory.sync_all()) {
        // A file system that has nothing to do for it says so.
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        done => {
            done.map_err(Error::system(format!("put the name of {} onto the disk; the file is there", path.display())))
        }
    }
}

fn taken(path: &Path) -> Error {
    Error::Usage(format!("{} is there already; remove it, or give another name", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(dir: &Path) -> usize {
        fs::read_dir(dir).expect("a directory").count()
    }

    #[test]
    fn a_file_is_there_when_it_is_complete_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("model.json");
        let mut half = NewFile::create(&path).expect("free");
        half.fill("half").expect("written");
        drop(half);
        assert_eq!(names(dir.path()), 0);
        let mut file = NewFile::create(&path).expect("free");
        file.fill("whole").expect("written");
        assert!(!path.exists());
        file.place().expect("named");
        assert_eq!(fs::read_to_string(&path).expect("there"), "whole");
        assert_eq!((names(dir.path()), fs::metadata(&path).expect("there").permissions().mode() & 0o777), (1, 0o600));
    }

    #[test]
    fn what_is_there_stays_and_what_was_to_be_written_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("model.json");
        let mut late = NewFile::create(&path).expect("free");
        late.fill("new").expect("written");
        fs::write(&path, "precious").expect("written");
        let refused = NewFile::create(&path).expect_err("taken").to_string();
        assert!(refused.contains("is there already"), "{refused}");
        let refused = late.place().expect_err("taken").to_string();
        let (_, kept) = refused.split_once("to be written is in ").expect("where it is");
        assert_eq!(fs::read_to_string(kept).expect("kept"), "new");
        assert_eq!(fs::read_to_string(&path).expect("there"), "precious");
        let nowhere = NewFile::create(Path::new("/no/such/place/model.json")).expect_err("no directory");
        assert!(matches!(nowhere, Error::System { .. }), "{nowhere}");
    }
}
