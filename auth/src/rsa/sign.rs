//! Partial signatures: the encoded message raised to a share.

use std::fmt;

use chacha20::rand_core::CryptoRng;
use trefoil_engine::Party;

use super::{
    DeviceKey, Message, NodeKey, PublicKey, Purpose, RecoveryKey,
    modular::{Raise, Residue},
    wire::{Kind, Reader, Writer},
};
use crate::Error;

/// Makes a node's partial signatures. Keep one as long as a key is in use: it holds the blinding, which is expensive to begin.
#[derive(Debug)]
pub struct NodeSigner {
    public: PublicKey,
    party: Party,
    epoch: u64,
    has_device: bool,
    raise: Raise<2>,
}

/// Makes the device's partial signatures. Keep one as long as a key is in use: it holds the blinding, which is expensive to begin.
#[derive(Debug)]
pub struct DeviceSigner {
    public: PublicKey,
    raise: Raise<1>,
}

/// A node's two partial signatures, `m^{w_i}` and `m^{w_{i+1}}`.
#[derive(Clone, Eq, PartialEq)]
pub struct NodePartials {
    pub(super) party: Party,
    pub(super) key: [u8; 32],
    pub(super) epoch: u64,
    /// As they came: combining says whose they are if one is not below the modulus.
    pub(super) values: [Vec<u8>; 2],
}

/// The device's partial signature, `m^u`.
#[derive(Clone, Eq, PartialEq)]
pub struct DevicePartial {
    pub(super) key: [u8; 32],
    pub(super) value: Vec<u8>,
}

impl NodeSigner {
    /// For a node's shares.
    pub fn new(key: &NodeKey) -> Self {
        let [own, next] = &key.shares;
        let raise = Raise::new([own.copy(), next.copy()]);
        Self { public: key.public.clone(), party: key.party, epoch: key.epoch, has_device: key.has_device(), raise }
    }

    /// The epoch of the shares.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Raises `message`, which this node has made from typed inputs, to both components. The time it takes depends on the size of the key alone.
    ///
    /// # Errors
    ///
    /// [`Error::Purpose`] if the key has a device and the message is not of a ceremony.
    pub fn sign(&mut self, message: &Message, rng: &mut impl CryptoRng) -> Result<NodePartials, Error> {
        if self.has_device && message.purpose() != Purpose::Ceremony {
            return Err(Error::Purpose);
        }
        let base = base(&self.public, message)?;
        let ring = self.public.ring();
        let values = self.raise.base(&base, ring, rng).map(|raised| raised.encode());
        Ok(NodePartials { party: self.party, key: self.public.id(), epoch: self.epoch, values })
    }
}

impl DeviceSigner {
    /// For a device's share.
    pub fn new(key: &DeviceKey) -> Self {
        Self { public: key.public.clone(), raise: Raise::new([key.share.copy()]) }
    }

    /// Raises `message` to the device's share. The time it takes depends on the size of the key alone.
    ///
    /// # Errors
    ///
    /// As for [`NodeSigner::sign`].
    pub fn sign(&mut self, message: &Message, rng: &mut impl CryptoRng) -> Result<DevicePartial, Error> {
        if message.purpose() != Purpose::Ceremony {
            return Err(Error::Purpose);
        }
        let base = base(&self.public, message)?;
        let [raised] = self.raise.base(&base, self.public.ring(), rng);
        Ok(DevicePartial { key: self.public.id(), value: raised.encode() })
    }
}

/// Signs with the device's and the recovery share, without the nodes: `m^{2u + v}`. Whoever holds both has the whole key, so this signs anything.
///
/// # Errors
///
/// [`Error::Foreign`] if the shares are of different keys; [`Error::Device`] if they do not fit together, as after a recovery that
/// replaced one of them.
pub fn sign_without_nodes(
    device: &DeviceKey,
    recovery: &RecoveryKey,
    message: &Message,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, Error> {
    if device.public != recovery.public {
        return Err(Error::Foreign { what: "recovery share", of: "key" });
    }
    let ring = device.public.ring();
    let base = base(&device.public, message)?;
    let [half, rest] = Raise::new([device.share.copy(), recovery.share.copy()]).base(&base, ring, rng);
    let signature = half.times(&half).times(&rest);
    if signature.to_the_e() == base { Ok(signature.encode()) } else { Err(Error::Device) }
}

/// The encoded message as a number modulo N.
pub(super) fn base(public: &PublicKey, message: &Message) -> Result<Residue, Error> {
    let encoded = message.encode(public.size().bytes())?;
    // It begins with 00, and N does not.
    public.ring().residue(&encoded).ok_or(Error::Key { fault: "the modulus is shorter than its size" })
}

impl NodePartials {
    /// The node they are from.
    pub fn party(&self) -> Party {
        self.party
    }

    /// The epoch of the shares they were made with.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The binary form, for who combines. The sender is not in it: the link says who it is.
    pub fn encode(&self, public: &PublicKey) -> Vec<u8> {
        let writer = Writer::new(Kind::NodePartials, public.size()).bytes(&self.key).number(self.epoch);
        writer.bytes(&self.values[0]).bytes(&self.values[1]).finish().to_vec()
    }

    /// Reads what a node sent; `from` is the node at the other end of the authenticated link.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if it is something else.
    pub fn decode(bytes: &[u8], from: Party) -> Result<Self, Error> {
        let mut reader = Reader::new(Kind::NodePartials, bytes)?;
        let (key, epoch, length) = (reader.array()?, reader.number()?, reader.size().bytes());
        let values = [reader.bytes(length)?.to_vec(), reader.bytes(length)?.to_vec()];
        reader.finish()?;
        Ok(Self { party: from, key, epoch, values })
    }
}

impl DevicePartial {
    /// The binary form, for who combines.
    pub fn encode(&self, public: &PublicKey) -> Vec<u8> {
        Writer::new(Kind::DevicePartial, public.size()).bytes(&self.key).bytes(&self.value).finish().to_vec()
    }

    /// Reads what a device sent.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(Kind::DevicePartial, bytes)?;
        let (key, length) = (reader.array()?, reader.size().bytes());
        let value = reader.bytes(length)?.to_vec();
        reader.finish()?;
        Ok(Self { key, value })
    }
}

impl fmt::Debug for NodePartials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodePartials({}, epoch {})", self.party, self.epoch)
    }
}

impl fmt::Debug for DevicePartial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DevicePartial")
    }
}
