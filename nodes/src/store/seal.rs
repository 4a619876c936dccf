//! Records as they are on the disk: AES-256-GCM-SIV, each under a random nonce, bound to where it belongs.
//!
//! A sealed value is the version of this form, the name of the key, the nonce, and the encryption of the value with its tag. GCM-SIV (RFC 8452) is GCM that
//! stays secure should a nonce come twice: then equal values are seen to be equal, and nothing more.

use super::{Location, StoreError, Value, Whose};
#[cfg(any(test, fuzzing))]
use crate::config::ClusterId;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const ID: usize = 8;
const TAG: usize = 16;
const HEADER: usize = 1 + ID + NONCE_LEN;

/// A key, and its name, by which the records that it seals say whose they are.
pub(super) struct Key {
    id: [u8; ID],
    aead: RandomizedNonceKey,
}

/// Seals and opens the values of one node.
pub(super) struct Sealer {
    /// The first seals.
    keys: Vec<Key>,
    whose: Whose,
    /// For messages.
    place: Location,
}

impl Key {
    /// A key for sealing, and its name, are derived from 32 secret bytes.
    pub(super) fn new(secret: &[u8; 32]) -> Result<Self, StoreError> {
        let derive = Hkdf::<Sha256>::new(Some(b"trefoil store v1"), secret);
        let (mut id, mut key) = ([0; ID], Zeroizing::new([0; 32]));
        let bug = |_| StoreError::Bug("a key cannot be derived".to_owned());
        derive.expand(b"name", &mut id).map_err(bug)?;
        derive.expand(b"AES-256-GCM-SIV", key.as_mut()).map_err(bug)?;
        let aead = RandomizedNonceKey::new(&AES_256_GCM_SIV, key.as_ref());
        Ok(Self { id, aead: aead.map_err(|_| StoreError::Bug("a key of 32 bytes is refused".to_owned()))? })
    }
}

impl Sealer {
    /// With the first of these keys, of which there is one at least.
    pub(super) fn new(keys: Vec<Key>, whose: Whose, place: Location) -> Self {
        Self { keys, whose, place }
    }

    pub(super) fn whose(&self) -> Whose {
        self.whose
    }

    pub(super) fn seal(&self, space: &str, name: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let bug = |what: &str| StoreError::Bug(what.to_owned());
        let key = self.keys.first().ok_or_else(|| bug("there is no key"))?;
        // Never moved, so no copy of the value is left behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(value.len() + TAG));
        sealed.extend_from_slice(value);
        let nonce = key.aead.seal_in_place_append_tag(Aad::from(self.about(key, space, name)), &mut *sealed);
        let nonce = nonce.map_err(|_| bug("sealing has failed"))?;
        let mut record = Vec::with_capacity(HEADER + sealed.len());
        record.push(VERSION);
        record.extend_from_slice(&key.id);
        record.extend_from_slice(nonce.as_ref());
        record.extend_from_slice(&sealed);
        Ok(record)
    }

    pub(super) fn open(&self, space: &str, name: &[u8], record: &[u8]) -> Result<Value, StoreError> {
        let damaged = |fault: &str| {
            let what = format!("the record {space}/{} {fault}", name.escape_ascii());
            StoreError::Record { place: self.place.clone(), what }
        };
        let Some((header, sealed)) = record.split_at_checked(HEADER) else { return Err(damaged("is too short")) };
        if header[0] != VERSION {
            return Err(damaged("is of another version"));
        }
        let (id, nonce) = header[1..].split_at(ID);
        let Some(key) = self.keys.iter().find(|key| key.id == id) else {
            return Err(StoreError::WrongKey { place: self.place.clone(), id: hex::encode(id) });
        };
        let nonce = Nonce::try_assume_unique_for_key(nonce);
        let mut value = Zeroizing::new(sealed.to_vec());
        let opened = nonce.and_then(|nonce| {
            let about = Aad::from(self.about(key, space, name));
            key.aead.open_in_place(nonce, about, &mut value).map(|value| value.len())
        });
        let Ok(length) = opened else {
            return Err(damaged("is not what this node wrote there"));
        };
        value.truncate(length);
        Ok(value)
    }

    /// A record under the first key.
    pub(super) fn reseal(&self, space: &str, name: &[u8], record: &[u8]) -> Result<Vec<u8>, StoreError> {
        let value = self.open(space, name, record)?;
        self.seal(space, name, &value)
    }

    /// What a value is bound to. The parts before the name have a length of their own or end with a zero byte.
    fn about(&self, key: &Key, space: &str, name: &[u8]) -> Vec<u8> {
        let mut about = b"trefoil record\0".to_vec();
        about.push(VERSION);
        about.extend_from_slice(&key.id);
        about.extend_from_slice(self.whose.cluster.as_bytes());
        about.push(self.whose.party.index() as u8);
        about.extend_from_slice(space.as_bytes());
        about.push(0);
        about.extend_from_slice(name);
        about
    }
}

/// Reads bytes as a record that was sealed under a fixed key.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_any(bytes: &[u8]) {
    let key = Key::new(&[7; 32]).expect("a key");
    let whose = Whose { cluster: ClusterId::new([7; 16]), party: trefoil_engine::Party::P1 };
    let sealer = Sealer::new(vec![key], whose, Location::File("store".into()));
    if let Ok(value) = sealer.open("space", b"name", bytes) {
        assert_eq!(value.len() + HEADER + TAG, bytes.len());
    }
}
