//! A key as the store has it.

use super::{Claim, KeyFault, KeyId, KeySpec, KeyStatus, KeyUse, exchange::Issuance};
use crate::job::{Failure, FailureKind};
use crate::store::{Space, Store, StoreError, Tables, Transaction, Value, WriteTransaction};
use sha2::{Digest, Sha256};
use trefoil_auth::rsa::{NodeKey, Outcome, PublicKey, Record};
use trefoil_engine::Party;

/// The version of this form. The first had no claims.
const FORMAT: u8 = 2;

/// A node's record of a key, and what its owner says of it.
pub(super) struct Stored {
    pub(super) id: KeyId,
    pub(super) spec: KeySpec,
    pub(super) public: PublicKey,
    pub(super) record: Record,
    claims: Claims,
}

/// Who may have the shares that the last recovery has made: digests of a [`Claim`].
#[derive(Default)]
struct Claims {
    /// Of the shares in use.
    current: Option<[u8; 32]>,
    /// Of those that are prepared.
    pending: Option<[u8; 32]>,
}

impl Stored {
    /// Of a key that is about to be enrolled. It is not in the store.
    pub(super) fn new(id: &KeyId, spec: &KeySpec, public: &PublicKey, me: Party) -> Self {
        let (record, claims) = (Record::new(public, me), Claims::default());
        Self { id: id.clone(), spec: spec.clone(), public: public.clone(), record, claims }
    }

    pub(super) async fn load(store: &Store, id: &KeyId) -> Result<Option<Self>, KeyFault> {
        let id = id.clone();
        store.read(move |records| Self::read(records, &id)).await
    }

    /// Takes each key whose record's name begins so, or the fault of its record: one that is damaged does not keep the others.
    pub(super) async fn each(
        store: &Store,
        prefix: impl Into<Vec<u8>>,
        mut take: impl FnMut(KeyId, Result<Self, KeyFault>),
    ) -> Result<(), KeyFault> {
        for record in store.list(Space::Keys, prefix).await? {
            let Some(id) = KeyId::of_record(&record) else { continue };
            match Self::load(store, &id).await {
                Ok(None) => {}
                Ok(Some(stored)) => take(id, Ok(stored)),
                Err(fault) if fault.is_of_record() => take(id, Err(fault)),
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// As a transaction has it.
    pub(super) fn read<T: Tables>(records: &Transaction<'_, T>, id: &KeyId) -> Result<Option<Self>, KeyFault> {
        let Some(value) = records.get(Space::Keys, &id.record())? else { return Ok(None) };
        if let Some(&format) = value.first().filter(|format| **format > FORMAT) {
            return Err(records.of_format(format).into());
        }
        let damaged = || records.damaged(format!("the record of {id} is not in its form"));
        Ok(Some(Self::decode(id, &value).ok_or_else(damaged)?))
    }

    /// Writes it, and returns when it is on the disk.
    pub(super) async fn save(&self, store: &Store) -> Result<(), StoreError> {
        store.put(Space::Keys, self.id.record(), self.encode()?).await
    }

    pub(super) fn remove(&self, records: &mut WriteTransaction<'_>) -> Result<bool, StoreError> {
        records.remove(Space::Keys, &self.id.record())
    }

    /// Whether an interrupted step is left to be settled.
    pub(super) fn unsettled(&self) -> bool {
        self.record.status().prepared().is_some()
    }

    /// What it is for, if there are shares in use.
    pub(super) fn usage(&self) -> Option<KeyUse> {
        self.record.current().map(|key| self.spec.usage_of(key.has_device()))
    }

    /// Whether a device's share waits to be handed out.
    pub(super) fn is_issuing(&self) -> bool {
        self.record.current().is_some_and(NodeKey::is_issuing)
    }

    /// How it stands with what the last recovery has made.
    pub(super) fn issuance(&self) -> Issuance {
        match (self.is_issuing(), self.claims.current) {
            (true, _) => Issuance::Waits,
            (false, Some(_)) => Issuance::Done,
            (false, None) => Issuance::None,
        }
    }

    /// Whether the shares of the last recovery belong to whom this claim is of.
    pub(super) fn is_claimed_by(&self, claim: &Claim) -> bool {
        self.claims.current == Some(digest(claim))
    }

    /// The shares of an epoch, in use or prepared, if what a recovery has made of them belongs to whom this claim is of.
    pub(super) fn claimed_at(&self, epoch: u64, claim: &Claim) -> Option<&NodeKey> {
        let in_use = epoch == self.record.status().epoch();
        // A refresh goes on with the device of before.
        let claimed = if in_use { self.claims.current } else { self.claims.pending.or(self.claims.current) };
        self.record.at(epoch).filter(|_| claimed == Some(digest(claim)))
    }

    /// The shares that are prepared are those of a recovery.
    pub(super) fn claim(&mut self, claim: &Claim) {
        self.claims.pending = Some(digest(claim));
    }

    /// As the record was resolved.
    pub(super) fn resolved(&mut self, outcome: Outcome) {
        let pending = match outcome {
            Outcome::Committed | Outcome::Abandoned => self.claims.pending.take(),
            Outcome::Idle | Outcome::Waiting => None,
        };
        if outcome == Outcome::Committed {
            self.claims.current = pending.or(self.claims.current);
        }
    }

    /// What a node that has lost its share gets of this one: specification and claim, each with its length, and the component that both held.
    pub(super) fn part_for(&self, lost: Party) -> Result<Value, KeyFault> {
        let spec = serde_json::to_vec(&self.spec).map_err(|e| KeyFault::Bug(e.to_string()))?;
        let (claim, part) = (self.claims.current.as_slice().concat(), self.record.part_for(lost)?);
        let mut value = Value::new(Vec::with_capacity(8 + spec.len() + claim.len() + part.len()));
        for part in [&spec, &claim] {
            value.extend_from_slice(&(part.len() as u32).to_le_bytes());
            value.extend_from_slice(part);
        }
        value.extend_from_slice(&part);
        Ok(value)
    }

    /// Of a node that has lost it, out of what the two others have told.
    pub(super) fn rebuilt((id, me): (&KeyId, Party), next: &[u8], prev: &[u8]) -> Result<Self, KeyFault> {
        let differ = || {
            let cause =
                format!("the two other nodes tell of {id} differently: settle or refresh it, and rebuild again");
            KeyFault::Together(Failure::new(FailureKind::Mismatch, cause))
        };
        let split = |told| {
            let (spec, rest) = part(told)?;
            let (claim, component) = part(rest)?;
            Some((spec, claim, component))
        };
        let (Some((spec, claim, from_next)), Some((other, same, from_prev))) = (split(next), split(prev)) else {
            return Err(differ());
        };
        if (spec, claim) != (other, same) {
            return Err(differ());
        }
        let record = Record::rebuilt(me, from_next, from_prev)?;
        let spec = serde_json::from_slice(spec).map_err(|_| differ())?;
        let claims = Claims { current: <[u8; 32]>::try_from(claim).ok(), pending: None };
        Ok(Self { id: id.clone(), spec, public: record.public().clone(), record, claims })
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
            issuing: self.is_issuing(),
            expires: self.spec.expires,
        })
    }

    /// The version; the specification, the public key and the two claims, each with its length; and the record.
    fn encode(&self) -> Result<Value, StoreError> {
        let bug = |what: String| StoreError::Bug(what);
        let spec = serde_json::to_vec(&self.spec).map_err(|e| bug(format!("a key's specification as JSON: {e}")))?;
        let (public, record) = (self.public.modulus(), self.record.encode());
        // Never moved, so no copy of the shares is left behind.
        let mut value = Value::new(Vec::with_capacity(1 + 16 + spec.len() + public.len() + 64 + record.len()));
        value.push(FORMAT);
        let [current, pending] = [&self.claims.current, &self.claims.pending].map(|claim| claim.as_slice().concat());
        for part in [&spec, &public, &current, &pending] {
            value.extend_from_slice(&(part.len() as u32).to_le_bytes());
            value.extend_from_slice(part);
        }
        value.extend_from_slice(&record);
        Ok(value)
    }

    fn decode(id: &KeyId, value: &[u8]) -> Option<Self> {
        let (format, rest) = value.split_first()?;
        let (spec, rest) = part(rest)?;
        let (public, rest) = part(rest)?;
        let (claims, record) = match *format {
            1 => (Claims::default(), rest),
            FORMAT => {
                let ((current, rest), read) = (part(rest)?, |claim: &[u8]| <[u8; 32]>::try_from(claim).ok());
                let (pending, rest) = part(rest)?;
                (Claims { current: read(current), pending: read(pending) }, rest)
            }
            _ => return None,
        };
        Some(Self {
            id: id.clone(),
            spec: serde_json::from_slice(spec).ok()?,
            public: PublicKey::from_modulus(public).ok()?,
            record: Record::decode(record).ok()?,
            claims,
        })
    }
}

/// Reads bytes as a record of the store, and two parts of one as those of which a lost record is made. What is read must read back as itself.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_any(bytes: &[u8]) {
    let id = KeyId { owner: "bank".parse().expect("a name"), name: "tokens".parse().expect("a name") };
    if let Some(stored) = Stored::decode(&id, bytes) {
        let written = stored.encode().expect("has a form");
        let again = Stored::decode(&id, &written).expect("own form");
        assert_eq!(again.encode().expect("has a form"), written);
        let _ = (stored.status(), stored.part_for(Party::P2));
    }
    if let Some((next, prev)) = part(bytes) {
        let _ = Stored::rebuilt((&id, Party::P0), next, prev);
    }
}

fn digest(claim: &Claim) -> [u8; 32] {
    Sha256::digest(claim.bytes()).into()
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}
