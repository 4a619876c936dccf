//! What a device has: its share of a key, and which credential it is for.

use super::{Error, rule};
use crate::{
    auth::{Ceremony, CredentialSpec},
    clock::now_unix_ms,
    pki::{self, ClientName},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};
use trefoil_auth::{
    rsa::{DeviceKey, DevicePartial, DeviceSigner, Message, randomness},
    webauthn::{Bytes, Client, ClientData, Count, Credential, CredentialId, Hosts, Origin, SignatureCounter},
};
use zeroize::{Zeroize as _, Zeroizing};

/// A credential at its device, with the device's share of the key. Does not print the share.
pub struct Device {
    owner: ClientName,
    id: CredentialId,
    spec: CredentialSpec,
    key: DeviceKey,
    /// Kept for its blinding, which takes as long to begin as a signature.
    signer: Arc<Mutex<DeviceSigner>>,
    /// The last signature counter of this process.
    last: AtomicU32,
}

/// The form of the file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DeviceFile {
    version: u32,
    owner: ClientName,
    id: CredentialId,
    credential: CredentialSpec,
    /// The share, as [`DeviceKey::encode`] writes it, hexadecimal.
    share: String,
}

impl Drop for DeviceFile {
    fn drop(&mut self) {
        self.share.zeroize();
    }
}

/// A ceremony that the device takes part in.
pub(super) struct Signing {
    pub(super) owner: ClientName,
    pub(super) credential: Bytes,
    pub(super) asked: Ceremony,
    pub(super) client: Client,
    /// The hash of the client data.
    pub(super) ceremony: [u8; 32],
    pub(super) counted: u32,
}

/// The version of the file's form.
const VERSION: u32 = 1;

impl Device {
    /// Of a credential of an owner, and the device's share of its key.
    pub fn new(owner: ClientName, id: CredentialId, spec: CredentialSpec, key: DeviceKey) -> Self {
        let signer = Arc::new(Mutex::new(DeviceSigner::new(&key)));
        Self { owner, id, spec, key, signer, last: AtomicU32::new(0) }
    }

    /// Reads the file of a device.
    ///
    /// # Errors
    /// [`Error::System`] if it cannot be read, [`Error::Certificate`] if every user can read it, [`Error::Usage`] if it is no such file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = pki::read_private(path)?;
        let wrong = |e: &dyn fmt::Display| {
            Error::Usage(format!(
                "{}: this is no file of a device: {e}; `trefoil auth register` writes one",
                path.display()
            ))
        };
        let file: DeviceFile = serde_json::from_slice(&text).map_err(|e| wrong(&e))?;
        if file.version != VERSION {
            return Err(wrong(&format!("it is of version {}, and this program reads {VERSION}", file.version)));
        }
        let share = Zeroizing::new(hex::decode(&file.share).map_err(|e| wrong(&e))?);
        let key = DeviceKey::decode(&share).map_err(|e| wrong(&e))?;
        Ok(Self::new(file.owner.clone(), file.id.clone(), file.credential.clone(), key))
    }

    /// Writes the file of a device: a new one, of mode 0600.
    ///
    /// # Errors
    /// [`Error::System`] if it exists or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        pki::create_private(path, &self.to_json()?)
    }

    /// What the file of a device has in it. It is a secret.
    ///
    /// # Errors
    /// [`Error::Bug`] if it has no form as JSON, which does not happen.
    pub fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let file = DeviceFile {
            version: VERSION,
            owner: self.owner.clone(),
            id: self.id.clone(),
            credential: self.spec.clone(),
            share: hex::encode(&*self.key.encode()),
        };
        let text = serde_json::to_vec(&file).map_err(|e| Error::Bug(format!("the file of a device as JSON: {e}")))?;
        Ok(Zeroizing::new(text))
    }

    /// Whose the credential is.
    pub fn owner(&self) -> &ClientName {
        &self.owner
    }

    /// The credential's id.
    pub fn id(&self) -> &CredentialId {
        &self.id
    }

    /// The credential, as the owner has stored it.
    pub fn spec(&self) -> &CredentialSpec {
        &self.spec
    }

    /// The credential, as it is registered.
    ///
    /// # Errors
    /// As [`CredentialSpec::credential`].
    pub fn credential(&self) -> Result<Credential, trefoil_auth::Error> {
        self.spec.credential(self.id.as_bytes(), self.key.public().clone())
    }

    /// Its share of the key.
    pub fn key(&self) -> &DeviceKey {
        &self.key
    }

    /// Its part of a signature.
    pub(super) async fn raised(&self, message: &Message) -> Result<DevicePartial, Error> {
        let (signer, message) = (self.signer.clone(), message.clone());
        let raised = tokio::task::spawn_blocking(move || {
            let mut rng = randomness()?;
            signer.lock().unwrap_or_else(PoisonError::into_inner).sign(&message, &mut rng)
        });
        raised.await.map_err(|e| Error::Bug(format!("a device's part of a signature: {e}")))?.map_err(rule)
    }

    /// The time in seconds, or one more than the last number: the nodes take no number twice, and none that is ahead of their clocks.
    pub(super) fn next_count(&self) -> u32 {
        let now = u32::try_from(now_unix_ms() / 1000).unwrap_or(u32::MAX);
        let next = |last: u32| Some(now.max(last.saturating_add(1)));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        next(last.unwrap_or_else(|last| last)).unwrap_or(now)
    }
}

impl Signing {
    /// A ceremony on the page of an origin.
    pub(super) fn begin(device: &Device, asked: Ceremony, origin: &str) -> Result<Self, Error> {
        let hosts = if device.spec.rp_id == "localhost" { Hosts::AndLocalhost } else { Hosts::Public };
        let client = Client::page(Origin::parse(origin, hosts).map_err(rule)?);
        let client_data = match &asked {
            Ceremony::Get(options) => ClientData::get(options, &client),
            Ceremony::Create(options) => ClientData::create(options, &client),
        };
        Ok(Self {
            owner: device.owner.clone(),
            credential: device.id.as_bytes().into(),
            asked,
            client,
            ceremony: client_data.map_err(rule)?.hash(),
            counted: device.next_count(),
        })
    }

    /// The number for the device's own data.
    pub(super) fn count(&self) -> Result<Count, Error> {
        SignatureCounter::stored(self.counted.saturating_sub(1)).take(self.counted).map_err(rule)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("owner", &self.owner).field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};
    use trefoil_auth::rsa::{KeySize, PrivateKey, Split, randomness};

    #[test]
    fn a_device_is_read_as_it_was_written_and_counts_up() {
        let mut rng = randomness().expect("randomness");
        let Split { device, .. } = PrivateKey::generate(KeySize::Rsa2048, &mut rng).expect("a key").split(&mut rng);
        let spec: CredentialSpec = serde_json::from_str(
            r#"{"rp_id": "example.org", "handle": "AAECAw", "user": "alice", "key": "alice-phone"}"#,
        )
        .expect("JSON");
        let device = Device::new("bank".parse().expect("a name"), CredentialId::random(&mut rng), spec, device);
        let counts = [(); 3].map(|()| device.next_count());
        assert!(counts.is_sorted_by(|a, b| a < b), "{counts:?}");
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("phone.json");
        device.save(&path).expect("room");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(device.save(&path).is_err(), "a share is not written over another");
        let read = Device::load(&path).expect("what was written");
        assert_eq!((read.spec(), read.id(), read.owner()), (device.spec(), device.id(), device.owner()));
        assert_eq!(*read.key().encode(), *device.key().encode());
        assert!(!format!("{device:?}").contains(&hex::encode(&device.key().encode()[16..])));
    }
}
