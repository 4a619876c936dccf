//! What a node keeps of a key, and how the nodes go from one epoch to the next without losing it.
//!
//! New shares are computed in memory and prepared: stored beside those in use. When a node knows that all three have prepared the same attempt it
//! commits: the old shares are erased. A node that has not prepared an attempt may refuse it, for ever; then the others abandon it. So
//!
//! - as long as one has not prepared, nobody commits, and all have the old shares;
//! - once all have prepared nobody can refuse, and all have the new shares.
//!
//! There is no moment at which the nodes have no epoch in common, whatever crashes and whichever messages are late: that is tested for every order
//! of steps of two attempts. A caller stores a record, as a whole, *before* it sends the status that a step returns.
//!
//! The first shares of a key come in the same way: the epoch before them is 0, in which there is no key. Any two nodes can sign meanwhile, in the epoch
//! that they both have ([`Record::at`]); a node that is away only delays the end of the refresh.

use std::fmt;

use trefoil_engine::Party;
use zeroize::Zeroizing;

use super::{
    NodeKey, Prepared, PublicKey,
    wire::{Kind, Reader, Writer},
};
use crate::Error;

/// How far the number of an attempt may be ahead of the last one known.
const LEAP: u64 = 1 << 32;

/// A node's shares of a key: those in use, and those prepared.
pub struct Record {
    public: PublicKey,
    party: Party,
    progress: Progress,
    current: Option<NodeKey>,
    pending: Option<NodeKey>,
}

/// Where a node is with a key. It is public, and goes to the other nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    from: Party,
    key: [u8; 32],
    progress: Progress,
}

/// What [`Record::resolve`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Nothing is prepared.
    Idle,
    /// The prepared shares are in use now, and the old ones erased.
    Committed,
    /// The prepared shares are erased: a node refused them.
    Abandoned,
    /// Another node has not said yet whether it prepared or refuses. Ask it again.
    Waiting,
}

/// Numbers of epochs and attempts, without shares.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Progress {
    /// The epoch of the shares in use, 0 if there are none.
    pub(super) epoch: u64,
    /// The attempt that began it.
    pub(super) begun_by: u64,
    /// The attempt that is prepared for the following epoch.
    pub(super) prepared: Option<u64>,
    /// Attempts up to this one will never be prepared from now on.
    pub(super) refused: u64,
}

impl Record {
    /// Of a key that this node has no shares of yet.
    pub fn new(public: &PublicKey, party: Party) -> Self {
        Self { public: public.clone(), party, progress: Progress::default(), current: None, pending: None }
    }

    /// The shares in use, if there are any.
    pub fn current(&self) -> Option<&NodeKey> {
        self.current.as_ref()
    }

    /// The shares of `epoch`, in use or prepared.
    pub fn at(&self, epoch: u64) -> Option<&NodeKey> {
        [&self.current, &self.pending].into_iter().flatten().find(|key| key.epoch == epoch)
    }

    /// Where this node is.
    pub fn status(&self) -> Status {
        Status { from: self.party, key: self.public.id(), progress: self.progress }
    }

    /// Takes new shares that all nodes have confirmed. Store the record, then send the status to both others.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if they are of another key, node or epoch; [`Error::State`] if others are prepared or the attempt was refused.
    pub fn prepare(&mut self, shares: Prepared) -> Result<Status, Error> {
        let Prepared { key, attempt } = shares;
        if key.public != self.public || key.party != self.party || key.epoch != self.progress.epoch + 1 {
            return Err(Error::Foreign { what: "new key share", of: "key, node or epoch" });
        }
        self.progress.prepare(attempt)?;
        self.pending = Some(key);
        Ok(self.status())
    }

    /// Promises never to prepare `attempt`, nor one before it. Store the record, then send the status to both others.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if something is prepared: it is too late then, and [`Self::resolve`] finds out how it ends. Or if the number is
    /// more than 2^32 ahead: whoever asks for that means to use all numbers up.
    pub fn refuse(&mut self, attempt: u64) -> Result<Status, Error> {
        self.progress.refuse(attempt)?;
        Ok(self.status())
    }

    /// Ends what is prepared, if the statuses of the others allow it. They may be as old as they like. Store the record if it changed.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if a status is of another key; [`Error::State`] if the nodes are further apart than this protocol lets them come: one of them
    /// has lost or replaced its record.
    pub fn resolve(&mut self, others: &[Status]) -> Result<Outcome, Error> {
        if others.iter().any(|status| status.key != self.public.id()) {
            return Err(Error::Foreign { what: "status", of: "key" });
        }
        let of = |party: Party| -> Vec<Progress> {
            others.iter().filter(|status| status.from == party).map(|status| status.progress).collect()
        };
        let outcome = self.progress.resolve(&of(self.party.next()), &of(self.party.prev()))?;
        match outcome {
            Outcome::Committed => self.current = self.pending.take(),
            Outcome::Abandoned => self.pending = None,
            Outcome::Idle | Outcome::Waiting => {}
        }
        Ok(outcome)
    }

    /// Erases the components of a device's new share that are in use no more because device and recovery have theirs. Store the record.
    pub fn issued(&mut self) {
        if let Some(key) = &mut self.current {
            key.issuing = None;
        }
    }

    /// A number for an attempt that none of these nodes has seen: one above all of theirs. Pass the statuses of all three.
    pub fn next_attempt(statuses: &[Status; 3]) -> u64 {
        let seen = statuses
            .iter()
            .map(|status| status.progress)
            .map(|progress| progress.begun_by.max(progress.refused).max(progress.prepared.unwrap_or(0)));
        seen.max().unwrap_or(0).saturating_add(1)
    }

    /// The secret in its binary form, for the node's own store.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let writer =
            Writer::new(Kind::Record, self.public.size()).byte(self.party.index() as u8).bytes(&self.public.modulus());
        let writer = self.progress.write(writer);
        [&self.current, &self.pending]
            .into_iter()
            .fold(writer, |writer, key| match key {
                None => writer.number(0),
                Some(key) => {
                    let bytes = key.encode();
                    writer.number(bytes.len() as u64).bytes(&bytes)
                }
            })
            .finish()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] or [`Error::Key`] if it is something else, or its parts do not belong together.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(Kind::Record, bytes)?;
        let [party] = reader.array()?;
        let party = Party::from_index(party.into()).ok_or(reader.malformed("it is of no node"))?;
        let length = reader.size().bytes();
        let public = reader.bytes(length).and_then(PublicKey::from_modulus)?;
        let progress = Progress::read(&mut reader)?;
        let mut shares = |epoch: Option<u64>| {
            let length = usize::try_from(reader.number()?).unwrap_or(usize::MAX);
            let key = if length == 0 { None } else { Some(NodeKey::decode(reader.bytes(length)?)?) };
            let of_this = key.as_ref().is_none_or(|key| key.public == public && key.party == party);
            if of_this && key.as_ref().map(|key| key.epoch) == epoch {
                Ok(key)
            } else {
                Err(reader.malformed("its shares are not those it tells of"))
            }
        };
        let current = shares(Some(progress.epoch).filter(|&epoch| epoch > 0))?;
        let pending = shares(progress.prepared.map(|_| progress.epoch + 1))?;
        reader.finish()?;
        Ok(Self { public, party, progress, current, pending })
    }
}

impl Progress {
    pub(super) fn prepare(&mut self, attempt: u64) -> Result<(), Error> {
        let fault = match self.prepared {
            Some(_) => "another attempt is prepared",
            None if attempt <= self.refused => "this attempt was refused",
            None if attempt <= self.begun_by => "this attempt is over",
            None => {
                self.prepared = Some(attempt);
                // Else nodes that have prepared different attempts would wait for each other for ever.
                self.refused = self.refused.max(attempt - 1);
                return Ok(());
            }
        };
        Err(Error::State { step: "preparation", fault })
    }

    pub(super) fn refuse(&mut self, attempt: u64) -> Result<(), Error> {
        if self.prepared.is_some() {
            return Err(Error::State { step: "refusal", fault: "an attempt is prepared" });
        }
        if attempt > self.refused.max(self.begun_by).saturating_add(LEAP) {
            return Err(Error::State { step: "refusal", fault: "the attempt's number is too far ahead" });
        }
        self.refused = self.refused.max(attempt);
        Ok(())
    }

    /// Ends what is prepared, given what the next and the previous node have ever said.
    pub(super) fn resolve(&mut self, next: &[Self], prev: &[Self]) -> Result<Outcome, Error> {
        let Some(attempt) = self.prepared else { return Ok(Outcome::Idle) };
        let mut said_prepared = 0;
        for said in [next, prev] {
            let following = |other: &&Self| other.epoch == self.epoch + 1;
            if said.iter().any(|other| other.epoch > self.epoch + 1)
                || said.iter().filter(following).any(|other| other.begun_by != attempt)
            {
                let fault = "another node is in an epoch that this one took no part in";
                return Err(Error::State { step: "resolution", fault });
            }
            if said.iter().any(|other| following(&other)) {
                return Ok(self.commit(attempt));
            }
            let here = || said.iter().filter(|other| other.epoch == self.epoch);
            if here().any(|other| other.refused >= attempt && other.prepared != Some(attempt)) {
                self.prepared = None;
                self.refused = self.refused.max(attempt);
                return Ok(Outcome::Abandoned);
            }
            said_prepared += usize::from(here().any(|other| other.prepared == Some(attempt)));
        }
        Ok(if said_prepared == 2 { self.commit(attempt) } else { Outcome::Waiting })
    }

    fn commit(&mut self, attempt: u64) -> Outcome {
        *self = Self { epoch: self.epoch + 1, begun_by: attempt, prepared: None, refused: self.refused };
        Outcome::Committed
    }

    fn write(self, writer: Writer) -> Writer {
        let writer = writer.number(self.epoch).number(self.begun_by).byte(self.prepared.is_some().into());
        writer.number(self.prepared.unwrap_or(0)).number(self.refused)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let (epoch, begun_by, is_prepared) = (reader.number()?, reader.number()?, reader.flag()?);
        let prepared = match (is_prepared, reader.number()?) {
            (true, attempt) => Some(attempt),
            (false, 0) => None,
            (false, _) => return Err(reader.malformed("it has an attempt that is not prepared")),
        };
        if epoch == u64::MAX {
            return Err(reader.malformed("its epoch is the last number there is"));
        }
        Ok(Self { epoch, begun_by, prepared, refused: reader.number()? })
    }
}

impl Status {
    /// The epoch of the shares in use at that node, 0 if it has none.
    pub fn epoch(&self) -> u64 {
        self.progress.epoch
    }

    /// The attempt that is prepared at that node.
    pub fn prepared(&self) -> Option<u64> {
        self.progress.prepared
    }

    /// The binary form. The sender is not in it: the link says who it is.
    pub fn encode(&self, public: &PublicKey) -> Vec<u8> {
        let writer = Writer::new(Kind::Status, public.size()).bytes(&self.key);
        self.progress.write(writer).finish().to_vec()
    }

    /// Reads what a node sent; `from` is the node at the other end of the authenticated link.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if it is something else.
    pub fn decode(bytes: &[u8], from: Party) -> Result<Self, Error> {
        let mut reader = Reader::new(Kind::Status, bytes)?;
        let (key, progress) = (reader.array()?, Progress::read(&mut reader)?);
        reader.finish()?;
        Ok(Self { from, key, progress })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({}, {:?}, {:?}, secret)", self.party, self.progress, self.public)
    }
}
