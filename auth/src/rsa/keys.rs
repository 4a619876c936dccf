//! The shares of a key, and how a whole key becomes them.

use std::fmt;

use chacha20::rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use trefoil_engine::Party;
use zeroize::Zeroizing;

use super::{
    PrivateKey, PublicKey,
    exponent::{Exponent, Range},
    modular::{Modulus, Residue},
    wire::{Kind, Reader, Writer},
};
use crate::Error;

/// The device's share `u` of a key. Alone it is a random number.
pub struct DeviceKey {
    pub(super) public: PublicKey,
    pub(super) share: Exponent,
}

/// The recovery share `v` of a key. Alone it is a random number.
pub struct RecoveryKey {
    pub(super) public: PublicKey,
    pub(super) share: Exponent,
}

/// A node's two components of the nodes' share `w = w_0 + w_1 + w_2`: party `i` holds `(w_i, w_{i+1})`.
pub struct NodeKey {
    pub(super) public: PublicKey,
    pub(super) party: Party,
    pub(super) epoch: u64,
    /// `g^u` for the device's share `u`, or 1 if there is no device: what the shares are checked with.
    pub(super) check: Residue,
    pub(super) shares: [Exponent; 2],
    /// Components of the device's share, from a recovery until they are handed out.
    pub(super) issuing: Option<[Exponent; 2]>,
}

/// What a whole key is split into.
#[derive(Debug)]
pub struct Split {
    /// For the device.
    pub device: DeviceKey,
    /// For the nodes, in party order.
    pub nodes: [NodeKey; 3],
    /// For whom the user trusts with the recovery of a lost device; never for the device or a node.
    pub recovery: RecoveryKey,
}

impl PrivateKey {
    /// Splits the key among a device, the nodes and a recovery share, any two of which can sign or bring about the third.
    /// The whole key is erased. The nodes' shares are of epoch 1.
    pub fn split(self, rng: &mut impl CryptoRng) -> Split {
        let public = self.public().clone();
        let device = Exponent::random(public.size(), Range::Component, rng);
        let nodes = self.total().minus(&device);
        let recovery = nodes.minus(&device);
        let check = public.ring().check_base().to_the(&device);
        Split {
            nodes: among_nodes(&public, &check, &nodes, rng),
            device: DeviceKey { public: public.clone(), share: device },
            recovery: RecoveryKey { public, share: recovery },
        }
    }

    /// Splits the key among the three nodes alone, any two of which can sign. The whole key is erased. The shares are of epoch 1.
    pub fn split_among_nodes(self, rng: &mut impl CryptoRng) -> [NodeKey; 3] {
        let public = self.public().clone();
        among_nodes(&public, &public.ring().one(), self.total(), rng)
    }
}

impl PrivateKey {
    /// The whole key from the device's and the recovery share, where the nodes have lost theirs: split it anew at once.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if the shares are of different keys; [`Error::Device`] if they do not fit together, as after a recovery that replaced one of them.
    pub fn from_shares(device: &DeviceKey, recovery: &RecoveryKey) -> Result<Self, Error> {
        if device.public != recovery.public {
            return Err(Error::Foreign { what: "recovery share", of: "key" });
        }
        let total = device.share.twice().plus(&recovery.share);
        let base = device.public.ring().check_base();
        if base.to_the(&total).to_the_e() == base {
            Ok(Self::of_total(device.public.clone(), total))
        } else {
            Err(Error::Device)
        }
    }
}

/// Two random components; the third is the rest.
fn among_nodes(public: &PublicKey, check: &Residue, sum: &Exponent, rng: &mut impl CryptoRng) -> [NodeKey; 3] {
    let components = three(public, sum, rng);
    Party::ALL.map(|party| {
        let [own, next] = [party, party.next()].map(|holder| components[holder.index()].copy());
        NodeKey { public: public.clone(), party, epoch: 1, check: check.clone(), shares: [own, next], issuing: None }
    })
}

/// Three components of `sum`, two of them uniform.
pub(super) fn three(public: &PublicKey, sum: &Exponent, rng: &mut impl CryptoRng) -> [Exponent; 3] {
    let first = Exponent::random(public.size(), Range::Component, rng);
    let second = Exponent::random(public.size(), Range::Component, rng);
    let third = sum.minus(&first).minus(&second);
    [first, second, third]
}

impl NodeKey {
    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Whose components these are.
    pub fn party(&self) -> Party {
        self.party
    }

    /// How often the shares were made anew, from 1. Only shares of one epoch fit together.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether a device takes part in signing; else the three nodes have the whole key.
    pub fn has_device(&self) -> bool {
        self.check != self.public.ring().one()
    }

    /// Whether it has components of a recovered device's share that wait to be handed out: two nodes together have the whole key then.
    pub fn is_issuing(&self) -> bool {
        self.issuing.is_some()
    }

    /// The secret in its binary form, for the node's own store.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let writer = Writer::new(Kind::NodeKey, self.public.size())
            .byte(self.party.index() as u8)
            .number(self.epoch)
            .bytes(&self.public.modulus())
            .bytes(&self.check.encode())
            .exponent(&self.shares[0])
            .exponent(&self.shares[1])
            .byte(self.issuing.is_some().into());
        self.issuing.iter().flatten().fold(writer, Writer::exponent).finish()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] or [`Error::Key`] if it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(Kind::NodeKey, bytes)?;
        let key = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(key)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let [party] = reader.array()?;
        let party = Party::from_index(party.into()).ok_or(reader.malformed("it is of no party"))?;
        let epoch = reader.number()?;
        if epoch == u64::MAX {
            return Err(reader.malformed("its epoch is the last number there is"));
        }
        let public = read_public(reader)?;
        let check = reader.residue(public.ring())?;
        let shares = [reader.exponent()?, reader.exponent()?];
        let issuing = if reader.flag()? { Some([reader.exponent()?, reader.exponent()?]) } else { None };
        Ok(Self { public, party, epoch, check, shares, issuing })
    }
}

impl DeviceKey {
    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The secret in its binary form, for the device's own store.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        encode_share(Kind::DeviceKey, &self.public, &self.share)
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] or [`Error::Key`] if it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (public, share) = decode_share(Kind::DeviceKey, bytes)?;
        Ok(Self { public, share })
    }
}

impl RecoveryKey {
    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The secret in its binary form, for whoever keeps it.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        encode_share(Kind::RecoveryKey, &self.public, &self.share)
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] or [`Error::Key`] if it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (public, share) = decode_share(Kind::RecoveryKey, bytes)?;
        Ok(Self { public, share })
    }
}

fn encode_share(kind: Kind, public: &PublicKey, share: &Exponent) -> Zeroizing<Vec<u8>> {
    Writer::new(kind, public.size()).bytes(&public.modulus()).exponent(share).finish()
}

fn decode_share(kind: Kind, bytes: &[u8]) -> Result<(PublicKey, Exponent), Error> {
    let mut reader = Reader::new(kind, bytes)?;
    let public = read_public(&mut reader)?;
    let share = reader.exponent()?;
    reader.finish()?;
    Ok((public, share))
}

fn read_public(reader: &mut Reader<'_>) -> Result<PublicKey, Error> {
    let length = reader.size().bytes();
    reader.bytes(length).and_then(PublicKey::from_modulus)
}

impl Reader<'_> {
    /// A number modulo N.
    pub(super) fn residue(&mut self, ring: &Modulus) -> Result<Residue, Error> {
        let bytes = self.bytes(ring.bytes())?;
        ring.residue(bytes).ok_or(self.malformed("a number is not below the modulus"))
    }
}

impl ConstantTimeEq for DeviceKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.encode().ct_eq(&other.encode())
    }
}

impl ConstantTimeEq for RecoveryKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.encode().ct_eq(&other.encode())
    }
}

impl ConstantTimeEq for NodeKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.encode().ct_eq(&other.encode())
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({:?}, secret)", self.public)
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryKey({:?}, secret)", self.public)
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({}, epoch {}, {:?}, secret)", self.party, self.epoch, self.public)
    }
}
