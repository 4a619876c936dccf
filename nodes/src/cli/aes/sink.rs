//! Where the result goes: into place when it is complete, or not at all.

use crate::Error;
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind},
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// An output that is not complete yet. Dropped, a new file is removed again.
#[derive(Debug)]
pub(super) enum Sink {
    /// A new file beside the one it will become.
    New { file: NamedTempFile, path: PathBuf, replace: bool },
    /// Something that cannot be replaced: standard output, a device, a pipe.
    Existing { file: File, name: String },
}

impl Sink {
    /// Standard output.
    ///
    /// # Errors
    /// [`Error::System`] if it is closed.
    pub(super) fn standard_output() -> Result<Self, Error> {
        let owned = io::stdout().as_fd().try_clone_to_owned();
        let owned = owned.map_err(Error::system("write to standard output"))?;
        Ok(Self::Existing { file: File::from(owned), name: "standard output".to_owned() })
    }

    /// A file that will be at `path`.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is a file and it is not to be replaced, or a directory; [`Error::System`] if nothing can be
    /// written there.
    pub(super) fn create(path: &Path, replace: bool) -> Result<Self, Error> {
        let system = || Error::system(format!("write {}", path.display()));
        // A link is followed, so that the file it points to is replaced and not the link.
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(e) if e.kind() == ErrorKind::NotFound => path.to_owned(),
            Err(e) => return Err(system()(e)),
        };
        match fs::metadata(&path) {
            Ok(m) if m.is_dir() => return Err(Error::Usage(format!("{} is a directory; name a file", path.display()))),
            Ok(m) if m.is_file() && !replace => return Err(exists(&path)),
            Ok(m) if !m.is_file() => {
                let file = OpenOptions::new().write(true).open(&path).map_err(system())?;
                return Ok(Self::Existing { file, name: path.display().to_string() });
            }
            _ => {}
        }
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // As for any file a program creates: everybody may read it unless the user's mask says otherwise.
        let file = builder.prefix(".trefoil-").permissions(Permissions::from_mode(0o666)).tempfile_in(parent);
        Ok(Self::New { file: file.map_err(system())?, path, replace })
    }

    /// A handle to write with.
    ///
    /// # Errors
    /// [`Error::System`] if the system has no more handles.
    pub(super) fn file(&self) -> Result<File, Error> {
        let handle = match self {
            Self::New { file, .. } => file.as_file().try_clone(),
            Self::Existing { file, .. } => file.try_clone(),
        };
        handle.map_err(Error::system(format!("write {}", self.name())))
    }

    /// Everything has been written to `file`: puts it into place.
    ///
    /// # Errors
    /// [`Error::System`] if the disk is full after all, or the file cannot be renamed; [`Error::Usage`] if somebody else created
    /// the file in the meantime.
    pub(super) fn finish(self, file: &File) -> Result<(), Error> {
        let name = self.name();
        let Self::New { file: new, path, replace } = self else { return Ok(()) };
        file.sync_all().map_err(Error::system(format!("write {name}")))?;
        let placed = if replace { new.persist(&path) } else { new.persist_noclobber(&path) };
        match placed {
            Ok(_) => Ok(()),
            Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Err(exists(&path)),
            Err(e) => Err(Error::system(format!("write {name}"))(e.error)),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::New { path, .. } => path.display().to_string(),
            Self::Existing { name, .. } => name.clone(),
        }
    }
}

fn exists(path: &Path) -> Error {
    Error::Usage(format!("{} exists; pass --force to replace it", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn write(sink: Sink, text: &str) -> Result<(), Error> {
        let mut file = sink.file()?;
        file.write_all(text.as_bytes()).expect("written");
        sink.finish(&file)
    }

    fn names(dir: &Path) -> Vec<String> {
        let entry = |e: io::Result<fs::DirEntry>| e.expect("an entry").file_name().to_string_lossy().into_owned();
        fs::read_dir(dir).expect("a directory").map(entry).collect()
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("out");
        let sink = Sink::create(&path, false).expect("free");
        sink.file().expect("a handle").write_all(b"half").expect("written");
        assert!(!path.exists());
        drop(sink);
        assert!(names(dir.path()).is_empty());
        write(Sink::create(&path, false).expect("free"), "whole").expect("in place");
        assert_eq!(fs::read_to_string(&path).expect("there"), "whole");
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn a_file_is_replaced_only_on_request() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("out");
        let late = Sink::create(&path, false).expect("free");
        fs::write(&path, "precious").expect("written");
        for error in [write(late, "new").expect_err("taken"), Sink::create(&path, false).expect_err("taken")] {
            assert!(matches!(&error, Error::Usage(text) if text.contains("--force")), "{error}");
        }
        assert_eq!(fs::read_to_string(&path).expect("there"), "precious");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        write(Sink::create(&link, true).expect("may be replaced"), "new").expect("in place");
        assert_eq!(fs::read_to_string(&path).expect("there"), "new");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    }

    #[test]
    fn devices_are_written_and_not_replaced() {
        write(Sink::create(Path::new("/dev/null"), false).expect("a device"), "text").expect("written");
        assert!(!fs::metadata("/dev/null").expect("there").is_file());
        let error = Sink::create(Path::new("/"), true).expect_err("a directory");
        assert!(matches!(error, Error::Usage(_)));
        let error = Sink::create(Path::new("/no/such/place"), true).expect_err("no directory");
        assert!(matches!(&error, Error::System { .. }) && error.to_string().contains("/no/such/place"), "{error}");
    }
}
