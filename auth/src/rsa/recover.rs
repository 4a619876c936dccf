//! A device's share is lost: the nodes make another one from the recovery share, and a new recovery share with it.
//!
//! Whoever keeps the recovery share `v` splits it among the nodes as they hold their own. With `D = 2w - v` they then have shares of the key
//! (each still lacks a component of every number) and make
//!
//! - `u' = u'_0 + u'_1 + u'_2`, the device's new share, drawn from seeds to which both holders of a component contribute;
//! - `w' = D - u'` with new components, as in a refresh;
//! - `v' = w' - u'`, component by component, when it is asked for.
//!
//! The lost share is of no use with the nodes then: `u + w' = D + (u - u')`, and `u'` is random. Nor is the recovery share of before: it makes another u' than the
//! nodes' checks know. The two of before together are still the whole key, `2u + v = D`, and no step of the nodes can change that: the recovery share that was used is to be destroyed. Until the new shares are handed out ([`Record::issued`](super::Record::issued)) two nodes together have all of `u'` and `w'`.

use std::fmt;

use chacha20::rand_core::CryptoRng;
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use trefoil_engine::Party;
use zeroize::Zeroizing;

use super::{
    Confirmation, DeviceKey, NodeKey, PublicKey, RecoveryKey, Renewal,
    confirm::Subject,
    exponent::Exponent,
    keys::three,
    modular::Residue,
    renew::Goal,
    wire::{Kind, Reader, Writer},
};
use crate::Error;

/// A node's two components of a recovery share that is handed in.
pub struct RecoveryPart {
    key: [u8; 32],
    party: Party,
    shares: [Exponent; 2],
}

/// A node's first step of a recovery: it has its part, and waits for the confirmations of both others that theirs fit.
pub struct Recovery<'a> {
    key: &'a NodeKey,
    attempt: u64,
    part: RecoveryPart,
}

/// A node's two components of a share that is handed out, to a device or to who keeps the recovery share.
pub struct Issued {
    from: Party,
    key: [u8; 32],
    epoch: u64,
    role: Role,
    check: Vec<u8>,
    shares: [Exponent; 2],
}

/// Whom a share is for. The numbers are part of the format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// A device.
    Device = 0,
    /// Whoever keeps the recovery share.
    Recovery = 1,
}

impl RecoveryKey {
    /// Splits the share into one part for each node, in party order. Each part goes to its node alone.
    pub fn parts(&self, rng: &mut impl CryptoRng) -> [RecoveryPart; 3] {
        let components = three(&self.public, &self.share, rng);
        Party::ALL.map(|party| {
            let shares = [party, party.next()].map(|holder| components[holder.index()].copy());
            RecoveryPart { key: self.public.id(), party, shares }
        })
    }

    /// A number that only a holder of this share can tell `party`, another one for each node: who has handed in the share says so with it once more.
    pub fn claim(&self, party: Party) -> Zeroizing<[u8; 32]> {
        let mut claim = Zeroizing::new([0; 32]);
        let hkdf = Hkdf::<Sha256>::new(Some(b"trefoil-auth rsa recovery claim v1"), &self.share.encode());
        let filled = hkdf.expand_multi_info(&[&self.public.id(), &[party.index() as u8]], claim.as_mut());
        debug_assert!(filled.is_ok(), "HKDF gives 8,160 bytes");
        claim
    }

    /// Puts a new recovery share together from what two nodes or three sent.
    ///
    /// # Errors
    ///
    /// As for [`DeviceKey::from_issued`].
    pub fn from_issued(public: &PublicKey, issued: &[Issued]) -> Result<Self, Error> {
        let base = public.ring().check_base();
        let fits = |share: &Exponent, check: &Residue| base.to_the(share).times(check).times(check).to_the_e() == base;
        let share = put_together(public, Role::Recovery, issued, fits)?;
        Ok(Self { public: public.clone(), share })
    }
}

impl DeviceKey {
    /// Puts a device's new share together from what two nodes or three sent. Of three one may lie, for each component comes twice and the sum is checked.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if something is of another key or role; [`Error::Replies`] if it is of fewer than two nodes; [`Error::Shares`] if there is no share of
    /// the key in it.
    pub fn from_issued(public: &PublicKey, issued: &[Issued]) -> Result<Self, Error> {
        let base = public.ring().check_base();
        let share = put_together(public, Role::Device, issued, |share, check| base.to_the(share) == *check)?;
        Ok(Self { public: public.clone(), share })
    }
}

impl NodeKey {
    /// Begins a recovery with the part of the recovery share that this node was handed.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if the part is of another key or for another node; [`Error::State`] if the key has no device.
    pub fn recover(&self, attempt: u64, part: RecoveryPart) -> Result<Recovery<'_>, Error> {
        if part.key != self.public.id() || part.party != self.party {
            return Err(Error::Foreign { what: "part of a recovery share", of: "key or node" });
        }
        if !self.has_device() {
            return Err(Error::State { step: "recovery", fault: "the key is of the nodes alone" });
        }
        Ok(Recovery { key: self, attempt, part })
    }

    /// This node's components of a share that is to be handed out; `None` if there is none.
    pub fn issue(&self, role: Role) -> Option<Issued> {
        let pieces = self.issuing.as_ref()?;
        let shares = match role {
            Role::Device => pieces.each_ref().map(Exponent::copy),
            Role::Recovery => [self.shares[0].minus(&pieces[0]), self.shares[1].minus(&pieces[1])],
        };
        let (key, check) = (self.public.id(), self.check.encode());
        Some(Issued { from: self.party, key, epoch: self.epoch, role, check, shares })
    }
}

impl Recovery<'_> {
    /// What this node sends to both others.
    pub fn confirmation(&self) -> Confirmation {
        let (key, step) = (self.key, self.key.following(self.attempt));
        Confirmation::new(step, Subject::Recovery, key.party, &key.public, self.part.shares.iter())
    }

    /// Checks that the parts are of the recovery share that belongs to the nodes' shares, and goes on to new ones.
    ///
    /// # Errors
    ///
    /// [`Error::Recovery`] if it is another share; [`Error::Shares`] if copies differ; [`Error::Foreign`] if a confirmation is of another step.
    pub fn accept(self, others: &[Confirmation; 2], rng: &mut impl CryptoRng) -> Result<Renewal, Error> {
        let key = self.key;
        let product = self.confirmation().product(others, 0, &key.public)?;
        // g^v g^2u = g^D
        let whole = product.times(&key.check).times(&key.check);
        if whole.to_the_e() != key.public.ring().check_base() {
            return Err(Error::Recovery);
        }
        let sum = |place: usize| key.shares[place].twice().minus(&self.part.shares[place]);
        Ok(key.renew(self.attempt, [sum(0), sum(1)], Goal::NewDevice, rng))
    }
}

/// The sum of the three components that fits the check which two nodes agree on. Where copies of a component differ both are tried: one of three nodes may lie.
fn put_together(
    public: &PublicKey,
    role: Role,
    issued: &[Issued],
    fits: impl Fn(&Exponent, &Residue) -> bool,
) -> Result<Exponent, Error> {
    if issued.iter().any(|part| part.key != public.id() || part.role != role) {
        return Err(Error::Foreign { what: "part of an issued share", of: "key or role" });
    }
    let of = |party: Party| issued.iter().find(|part| part.from == party);
    let mut parts: Vec<&Issued> = Party::ALL.into_iter().filter_map(of).collect();
    let alike = |epoch: u64| parts.iter().filter(|part| part.epoch == epoch).count();
    // A node that lies may name any epoch.
    let epoch = parts.iter().map(|part| part.epoch).find(|&epoch| alike(epoch) >= 2);
    let epoch = epoch.ok_or(Error::Replies { got: parts.len().min(1) })?;
    parts.retain(|part| part.epoch == epoch);
    let suspects: Vec<Party> = parts.iter().map(|part| part.from).collect();
    let shares = |fault: &'static str| Error::Shares { fault, suspects: suspects.clone() };
    let agreed = parts.iter().find(|part| parts.iter().filter(|other| other.check == part.check).count() >= 2);
    let agreed = agreed.ok_or_else(|| shares("no two nodes agree on the check of the new share"))?;
    let check = public.ring().residue(&agreed.check).ok_or_else(|| shares("the check is not below the modulus"))?;
    let candidates = Party::ALL.map(|component| candidates(component, &parts));
    for first in &candidates[0] {
        for second in &candidates[1] {
            for third in &candidates[2] {
                let sum = first.plus(second).plus(third);
                if fits(&sum, &check) {
                    return Ok(sum);
                }
            }
        }
    }
    Err(shares("the new share is none of the key"))
}

/// What the holders of a component say it is, each value once.
fn candidates<'a>(component: Party, parts: &[&'a Issued]) -> Vec<&'a Exponent> {
    let mut values: Vec<&Exponent> = Vec::with_capacity(2);
    for part in parts {
        let place = [part.from, part.from.next()].into_iter().position(|held| held == component);
        let value = place.and_then(|place| part.shares.get(place));
        let new = |value: &&Exponent| values.iter().all(|known| !bool::from(known.encode().ct_eq(&value.encode())));
        values.extend(value.filter(new));
    }
    values
}

impl RecoveryPart {
    /// The secret in its binary form, for the node it is meant for.
    pub fn encode(&self, public: &PublicKey) -> Zeroizing<Vec<u8>> {
        let writer = Writer::new(Kind::RecoveryPart, public.size()).bytes(&self.key).byte(self.party.index() as u8);
        writer.exponent(&self.shares[0]).exponent(&self.shares[1]).finish()
    }

    /// Reads what whoever keeps the recovery share sent.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(Kind::RecoveryPart, bytes)?;
        let (key, [party]) = (reader.array()?, reader.array()?);
        let party = Party::from_index(party.into()).ok_or(reader.malformed("it is for no node"))?;
        let shares = [reader.exponent()?, reader.exponent()?];
        reader.finish()?;
        Ok(Self { key, party, shares })
    }
}

impl Issued {
    /// The node it is of.
    pub fn from(&self) -> Party {
        self.from
    }

    /// The epoch of the shares it is of. Components of different epochs do not fit.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The secret in its binary form, for whom the share is handed out to. The sender is not in it: the link says who it is.
    pub fn encode(&self, public: &PublicKey) -> Zeroizing<Vec<u8>> {
        let writer = Writer::new(Kind::Issued, public.size()).bytes(&self.key).number(self.epoch).byte(self.role as u8);
        writer.bytes(&self.check).exponent(&self.shares[0]).exponent(&self.shares[1]).finish()
    }

    /// Reads what a node sent; `from` is the node at the other end of the authenticated link.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if it is something else.
    pub fn decode(bytes: &[u8], from: Party) -> Result<Self, Error> {
        let mut reader = Reader::new(Kind::Issued, bytes)?;
        let (key, epoch) = (reader.array()?, reader.number()?);
        let role = if reader.flag()? { Role::Recovery } else { Role::Device };
        let length = reader.size().bytes();
        let check = reader.bytes(length)?.to_vec();
        let shares = [reader.exponent()?, reader.exponent()?];
        reader.finish()?;
        Ok(Self { from, key, epoch, role, check, shares })
    }
}

impl fmt::Debug for RecoveryPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryPart({}, secret)", self.party)
    }
}

impl fmt::Debug for Recovery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recovery({}, secret)", self.key.party)
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued({:?} share, {}, secret)", self.role, self.from)
    }
}
