//! Nodes show each other that new shares fit together before anything is replaced by them.

use std::fmt;

use trefoil_engine::Party;

use super::{
    NodeKey, PublicKey,
    exponent::Exponent,
    modular::Residue,
    wire::{Kind, Reader, Writer},
};
use crate::Error;

/// What messages about new shares are bound to: the key, the epoch that they begin, and the attempt to begin it.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Step {
    pub(super) key: [u8; 32],
    pub(super) epoch: u64,
    pub(super) attempt: u64,
}

/// What a confirmation is about. The numbers are part of the format.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Subject {
    /// The nodes' shares beside the device's as it is.
    Shares = 0,
    /// The nodes' shares and a new one of the device.
    NewDevice = 1,
    /// The parts of a recovery share that was handed in.
    Recovery = 2,
}

/// A public base raised to each number that a node has been given: two for components of shares, two more for those of a new device share.
///
/// What the others see of a number is its power of a base of unknown order, as of the numbers of a signature.
#[derive(Clone, Eq, PartialEq)]
pub struct Confirmation {
    from: Party,
    step: Step,
    subject: Subject,
    values: Vec<Vec<u8>>,
}

/// New shares of a node that are not known to fit those of the others.
#[derive(Debug)]
pub struct Unconfirmed {
    key: NodeKey,
    attempt: u64,
    subject: Subject,
}

/// New shares of a node that fit those of the others; a [`Record`](super::Record) takes them.
#[derive(Debug)]
pub struct Prepared {
    pub(super) key: NodeKey,
    pub(super) attempt: u64,
}

impl Unconfirmed {
    /// Shares that a client has made of a whole key and sent to this node.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if they are another node's, or not as a key's first shares are.
    pub fn enrolled(key: NodeKey, party: Party, attempt: u64) -> Result<Self, Error> {
        if key.party != party {
            return Err(Error::Foreign { what: "key share", of: "node" });
        }
        if key.epoch != 1 || key.issuing.is_some() {
            return Err(Error::Foreign { what: "key share", of: "epoch" });
        }
        Ok(Self { key, attempt, subject: Subject::Shares })
    }

    pub(super) fn renewed(key: NodeKey, attempt: u64, subject: Subject) -> Self {
        Self { key, attempt, subject }
    }

    /// What this node sends to both others.
    pub fn confirmation(&self) -> Confirmation {
        // Components of a device's share that wait to be handed out were confirmed when they were made, and some nodes may have handed them out.
        let pieces = self.key.issuing.iter().flatten().filter(|_| self.subject == Subject::NewDevice);
        let shares = self.key.shares.iter().chain(pieces);
        Confirmation::new(self.step(), self.subject, self.key.party, &self.key.public, shares)
    }

    /// Checks the confirmations of both others: copies are equal, and a number signed with the shares, the device's included, is signed rightly.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if a confirmation is of another step; [`Error::Shares`] if they do not fit, which ends the attempt.
    pub fn confirm(mut self, others: &[Confirmation; 2]) -> Result<Prepared, Error> {
        let ring = self.key.public.ring();
        let own = self.confirmation();
        let shares = own.product(others, 0, &self.key.public)?;
        if self.subject == Subject::NewDevice {
            self.key.check = own.product(others, 2, &self.key.public)?;
        }
        let base = ring.check_base();
        if shares.times(&self.key.check).to_the_e() == base {
            return Ok(Prepared { key: self.key, attempt: self.attempt });
        }
        // The last component is the rest of what these two compute; the others are whatever they are. First shares are the client's.
        let (fault, suspects) = if self.key.epoch == 1 {
            ("they are no shares of the key: the client that made them is wrong, or two nodes are", Vec::new())
        } else {
            ("they add up to something else", vec![Party::P1, Party::P2])
        };
        Err(Error::Shares { fault, suspects })
    }

    fn step(&self) -> Step {
        Step { key: self.key.public.id(), epoch: self.key.epoch, attempt: self.attempt }
    }
}

impl Confirmation {
    pub(super) fn new<'a>(
        step: Step,
        subject: Subject,
        from: Party,
        public: &PublicKey,
        numbers: impl Iterator<Item = &'a Exponent>,
    ) -> Self {
        let base = public.ring().check_base();
        Self { from, step, subject, values: numbers.map(|number| base.to_the(number).encode()).collect() }
    }

    /// The product over the three components whose powers begin at `first`, after comparing the copies of each.
    pub(super) fn product(&self, others: &[Self; 2], first: usize, public: &PublicKey) -> Result<Residue, Error> {
        let mut all = [None; 3];
        for confirmation in [self, &others[0], &others[1]] {
            if confirmation.step != self.step || confirmation.subject != self.subject {
                return Err(Error::Foreign { what: "confirmation", of: "key, epoch, attempt or kind" });
            }
            all[confirmation.from.index()] = Some(confirmation);
        }
        let missing = Error::Foreign { what: "confirmation", of: "node" };
        let mut product = public.ring().one();
        for party in Party::ALL {
            let value = |of: Party, at: usize| all[of.index()].and_then(|of| of.values.get(first + at));
            let own = value(party, 0).ok_or(missing.clone())?;
            let copy = value(party.prev(), 1).ok_or(missing.clone())?;
            let suspects = vec![party, party.prev()];
            if own != copy {
                return Err(Error::Shares { fault: "two copies of a component differ", suspects });
            }
            let fault = "a number is not below the modulus";
            product = product.times(&public.ring().residue(own).ok_or(Error::Shares { fault, suspects })?);
        }
        Ok(product)
    }

    /// The binary form. The sender is not in it: the link says who it is.
    pub fn encode(&self, public: &PublicKey) -> Vec<u8> {
        let writer = self.step.write(Writer::new(Kind::Confirmation, public.size())).byte(self.subject as u8);
        self.values.iter().fold(writer, |writer, value| writer.bytes(value)).finish().to_vec()
    }

    /// Reads what a node sent; `from` is the node at the other end of the authenticated link.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if it is something else.
    pub fn decode(bytes: &[u8], from: Party) -> Result<Self, Error> {
        let mut reader = Reader::new(Kind::Confirmation, bytes)?;
        let step = Step::read(&mut reader)?;
        let (subject, count) = match reader.array()? {
            [0] => (Subject::Shares, 2),
            [1] => (Subject::NewDevice, 4),
            [2] => (Subject::Recovery, 2),
            _ => return Err(reader.malformed("it is about nothing known")),
        };
        let length = reader.size().bytes();
        let values = (0..count).map(|_| reader.bytes(length).map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { from, step, subject, values })
    }
}

impl Step {
    pub(super) fn write(&self, writer: Writer) -> Writer {
        writer.bytes(&self.key).number(self.epoch).number(self.attempt)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { key: reader.array()?, epoch: reader.number()?, attempt: reader.number()? })
    }
}

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Confirmation({}, epoch {}, attempt {})", self.from, self.step.epoch, self.step.attempt)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shares => "Shares",
            Self::NewDevice => "NewDevice",
            Self::Recovery => "Recovery",
        })
    }
}
