//! A key as the store has it.

use super::{KeyFault, KeyId, KeySpec, KeyStatus, KeyUse};
use crate::store::{Space, Store, StoreError, Value};
use trefoil_auth::rsa::{PublicKey, Record};
use trefoil_engine::Party;

/// The version of this form.
const FORMAT: u8 = 1;

/// A node's record of a key, and what its owner says of it.
pub(super) struct Stored {
    pub(super) id: KeyId,
    pub(super) spec: KeySpec,
    pub(super) public: PublicKey,
    pub(super) record: Record,
}

impl Stored {
    /// Of a key that is about to be enrolled. It is not in the store.
    pub(super) fn new(id: &KeyId, spec: &KeySpec, public: &PublicKey, me: Party) -> Self {
        let record = Record::new(public, me);
        Self { id: id.clone(), spec: spec.clone(), public: public.clone(), record }
    }

    pub(super) async fn load(store: &Store, id: &KeyId) -> Result<Option<Self>, KeyFault> {
        let Some(value) = store.get(Space::Keys, id.record()).await? else { return Ok(None) };
        let damaged = || KeyFault::Bug(format!("the record of {id} in the store is not in its form"));
        Self::decode(id, &value).ok_or_else(damaged).map(Some)
    }

    /// Writes it, and returns when it is on the disk.
    pub(super) async fn save(&self, store: &Store) -> Result<(), StoreError> {
        store.put(Space::Keys, self.id.record(), self.encode()?).await
    }

    pub(super) async fn remove(&self, store: &Store) -> Result<bool, StoreError> {
        store.remove(Space::Keys, self.id.record()).await
    }

    /// Whether an interrupted step is left to be settled.
    pub(super) fn unsettled(&self) -> bool {
        self.record.status().prepared().is_some()
    }

    /// What it is for, if there are shares in use.
    pub(super) fn usage(&self) -> Option<KeyUse> {
        self.record.current().map(|key| self.spec.usage_of(key.has_device()))
    }

    pub(super) fn status(&self) -> Result<KeyStatus, KeyFault> {
        let usage = self.usage();
        Ok(KeyStatus {
            owner: self.id.owner.clone(),
            name: self.id.name.clone(),
            enrolment: self.spec.enrolment,
            signers: self.spec.signers.clone(),
            public: hex::encode(self.public.to_spki()?),
            usage,
            epoch: self.record.status().epoch(),
            unsettled: self.unsettled(),
        })
    }

    /// The version, the length of the specification and the public key, each with its length, and the record.
    fn encode(&self) -> Result<Value, StoreError> {
        let bug = |what: String| StoreError::Bug(what);
        let spec = serde_json::to_vec(&self.spec).map_err(|e| bug(format!("a key's specification as JSON: {e}")))?;
        let (public, record) = (self.public.modulus(), self.record.encode());
        // Never moved, so no copy of the shares is left behind.
        let mut value = Value::new(Vec::with_capacity(1 + 8 + spec.len() + public.len() + record.len()));
        value.push(FORMAT);
        for part in [&spec, &public] {
            value.extend_from_slice(&(part.len() as u32).to_le_bytes());
            value.extend_from_slice(part);
        }
        value.extend_from_slice(&record);
        Ok(value)
    }

    fn decode(id: &KeyId, value: &[u8]) -> Option<Self> {
        let (format, rest) = value.split_first()?;
        let (spec, rest) = part(rest)?;
        let (public, record) = part(rest)?;
        if *format != FORMAT {
            return None;
        }
        Some(Self {
            id: id.clone(),
            spec: serde_json::from_slice(spec).ok()?,
            public: PublicKey::from_modulus(public).ok()?,
            record: Record::decode(record).ok()?,
        })
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}
