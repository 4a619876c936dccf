//! The two files of new shares: written before the nodes have theirs, and named when they have.

use super::recovery::{load, recovery_file};
use crate::{
    Error,
    client::{
        Device,
        credit::{NewFile, name_file},
    },
};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};
use trefoil_auth::rsa::RecoveryKey;

/// What a file is called beside its name until the nodes have their shares.
const PART: &str = ".part";

/// Two files for the shares of a device and of recovery. Until [`name`](Self::name) they are `FILE.part`, so that a command that breaks off leaves nothing under the names that it was given, and finds them again.
pub(super) struct Pair<'a> {
    device: &'a Path,
    recovery: &'a Path,
}

impl<'a> Pair<'a> {
    /// In these files.
    pub(super) fn new(device: &'a Path, recovery: &'a Path) -> Result<Self, Error> {
        if device == recovery {
            return Err(Error::Usage("the device and the recovery share need a file each".to_owned()));
        }
        Ok(Self { device, recovery })
    }

    /// What a run before has left in them, under either name. `None` if there is room for both.
    pub(super) fn left(&self) -> Result<Option<(Device, RecoveryKey)>, Error> {
        let found = |path: &Path| [path.to_owned(), part(path)].into_iter().find(|path| exists(path));
        match (found(self.device), found(self.recovery)) {
            (Some(device), Some(recovery)) => Ok(Some((Device::load(&device)?, load(&recovery)?))),
            (None, None) => Ok(None),
            // The first is written before anything is sent to the nodes, and nothing is sent before the second is.
            (Some(device), None) if device == part(self.device) => {
                remove(&device)?;
                Ok(None)
            }
            (Some(path), None) | (None, Some(path)) => Err(Error::Usage(format!(
                "{} is there already and the other file is not; move it away, or give other names",
                path.display()
            ))),
        }
    }

    /// Puts both onto the disk.
    pub(super) fn write(&self, device: &Device, recovery: &RecoveryKey) -> Result<(), Error> {
        let (mut first, mut second) = (NewFile::create(&part(self.device))?, NewFile::create(&part(self.recovery))?);
        first.fill_bytes(&device.to_json()?)?;
        second.fill_bytes(&recovery_file(recovery))?;
        first.place()?;
        second.place()
    }

    /// The nodes have what fits: gives both their names.
    pub(super) fn name(&self) -> Result<(), Error> {
        for path in [self.device, self.recovery] {
            if exists(&part(path)) {
                name_file(&part(path), path)?;
            }
        }
        Ok(())
    }

    /// Whether one has its name: all three nodes had what fits by then.
    pub(super) fn is_named(&self) -> bool {
        exists(self.device) || exists(self.recovery)
    }

    /// Why files that have their names stay as they are.
    pub(super) fn taken(&self) -> Error {
        Error::Usage(format!(
            "{} is there already, and not all three nodes have shares that fit it; move it away, or give other names",
            self.device.display()
        ))
    }

    /// No node has what fits: removes both, unless they have their names.
    pub(super) fn discard(&self) -> Result<(), Error> {
        if self.is_named() {
            return Err(self.taken());
        }
        // As they were written, so that what is left of both is always the first.
        remove(&part(self.recovery))?;
        remove(&part(self.device))
    }
}

fn part(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(PART);
    name.into()
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(Error::system(format!("remove {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trefoil_auth::{
        rsa::{KeySize, PrivateKey, Split, randomness},
        webauthn::CredentialId,
    };

    #[test]
    fn both_files_have_their_names_or_neither() {
        let mut rng = randomness().expect("randomness");
        let Split { device, recovery, .. } =
            PrivateKey::generate(KeySize::Rsa2048, &mut rng).expect("a key").split(&mut rng);
        let spec = r#"{"rp_id": "example.org", "handle": "AAECAw", "user": "alice", "key": "alice-phone"}"#;
        let spec = serde_json::from_str(spec).expect("JSON");
        let device = Device::new("bank".parse().expect("a name"), CredentialId::random(&mut rng), spec, device);
        let dir = tempfile::tempdir().expect("a directory");
        let [one, two] = ["phone.json", "phone.key"].map(|name| dir.path().join(name));
        let names = || {
            let mut names: Vec<_> = fs::read_dir(dir.path()).expect("a directory").flatten().collect();
            names.sort_by_key(fs::DirEntry::file_name);
            names.iter().map(|entry| entry.file_name().into_string().expect("ASCII")).collect::<Vec<_>>()
        };
        assert!(Pair::new(&one, &one).is_err());
        let pair = Pair::new(&one, &two).expect("two");
        assert!(pair.left().expect("nothing").is_none());
        pair.write(&device, &recovery).expect("room");
        assert_eq!(names(), ["phone.json.part", "phone.key.part"]);
        let (again, share) = pair.left().expect("readable").expect("both");
        assert_eq!((again.id(), &*share.encode()), (device.id(), &*recovery.encode()));
        // Ended between the two names, or between the two files.
        fs::rename(part(&one), &one).expect("there");
        assert!(pair.left().expect("readable").is_some());
        assert!(pair.discard().is_err(), "a file that has its name stays");
        pair.name().expect("named");
        assert_eq!(names(), ["phone.json", "phone.key"]);
        pair.name().expect("once more");
        assert!(pair.write(&device, &recovery).is_ok());
        assert!(pair.name().is_err(), "nothing is written over");
        assert_eq!(names().len(), 4);
        for path in [&one, &two, &part(&two)] {
            remove(path).expect("there");
        }
        assert!(pair.left().expect("nothing was sent").is_none());
        assert!(names().is_empty());
        pair.write(&device, &recovery).expect("room");
        pair.discard().expect("removed");
        assert!(names().is_empty());
        fs::write(&two, "another").expect("room");
        assert!(pair.left().is_err_and(|e| e.to_string().contains("phone.key")));
    }
}
