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
    NodeKey, Outcome, Prepared, PublicKey,
    exponent::Exponent,
    modular::Residue,
    progress::{LEAP, Progress},
    wire::{Kind, Reader, Writer},
};
use crate::Error;

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

/// One component of a lost share.
struct Part {
    lost: Party,
    public: PublicKey,
    progress: Progress,
    check: Residue,
    share: Exponent,
    issuing: Option<Exponent>,
}

impl Part {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(Kind::Rebuilt, bytes)?;
        let [lost] = reader.array()?;
        let lost = Party::from_index(lost.into()).ok_or(reader.malformed("it is for no node"))?;
        let length = reader.size().bytes();
        let public = reader.bytes(length).and_then(PublicKey::from_modulus)?;
        let (epoch, begun_by, refused) = (reader.number()?, reader.number()?, reader.number()?);
        if epoch == 0 || epoch == u64::MAX {
            return Err(reader.malformed("its epoch is none of shares"));
        }
        let check = reader.residue(public.ring())?;
        let share = reader.exponent()?;
        let issuing = if reader.flag()? { Some(reader.exponent()?) } else { None };
        reader.finish()?;
        Ok(Self {
            lost,
            public,
            progress: Progress { epoch, begun_by, prepared: None, refused },
            check,
            share,
            issuing,
        })
    }
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
    /// [`Error::Foreign`] if they are of another key, node or epoch; [`Error::State`] if others are prepared, the attempt was refused, or its number is
    /// more than 2^32 ahead.
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
    ///
    /// A refresh that is prepared has them too, and would bring them back. The shares that a recovery has prepared are another device's, and keep theirs.
    pub fn issued(&mut self) {
        let Some(current) = &mut self.current else { return };
        current.issuing = None;
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.check == current.check) {
            pending.issuing = None;
        }
    }

    /// A number for an attempt that none of these nodes has seen: one above all of theirs, without a node that is 2^31 ahead of another.
    /// Pass the statuses of all three.
    pub fn next_attempt(statuses: &[Status; 3]) -> u64 {
        Progress::next_attempt(statuses.each_ref().map(|status| status.progress))
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// For a node that has lost its share: the component that this node holds too, with what is public of the key. Nobody else may have it.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if there are no shares in use, or others are prepared: an interrupted step has to be settled first, by the two that are left.
    pub fn part_for(&self, lost: Party) -> Result<Zeroizing<Vec<u8>>, Error> {
        let state = |fault| Error::State { step: "rebuilding of a lost share", fault };
        if self.progress.prepared.is_some() {
            return Err(state("new shares are prepared"));
        }
        let key = self.current.as_ref().ok_or(state("there are no shares in use"))?;
        // The node after the lost one has the second component as its own, the node before it the first one as its next.
        let k = if self.party == lost.next() {
            0
        } else if self.party == lost.prev() {
            1
        } else {
            return Err(state("a node does not rebuild its own share"));
        };
        let writer = Writer::new(Kind::Rebuilt, self.public.size())
            .byte(lost.index() as u8)
            .bytes(&self.public.modulus())
            .number(self.progress.epoch)
            .number(self.progress.begun_by)
            .number(self.progress.refused)
            .bytes(&key.check.encode())
            .exponent(&key.shares[k])
            .byte(key.issuing.is_some().into());
        Ok(key.issuing.iter().fold(writer, |writer, issuing| writer.exponent(&issuing[k])).finish())
    }

    /// The record of a node that has lost it, out of what the next and the previous node have told. Whether its shares fit is found when they are renewed next: do that at once, for what the lost machine had fits too.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if one of the two is something else; [`Error::Foreign`] if they are of different keys or epochs, or for another node.
    pub fn rebuilt(party: Party, from_next: &[u8], from_prev: &[u8]) -> Result<Self, Error> {
        let (next, prev) = (Part::read(from_next)?, Part::read(from_prev)?);
        let same = next.lost == party
            && prev.lost == party
            && next.public == prev.public
            && next.check == prev.check
            && (next.progress.epoch, next.progress.begun_by) == (prev.progress.epoch, prev.progress.begun_by)
            && next.issuing.is_some() == prev.issuing.is_some()
            // Whoever claims to have refused far more than the other would have this node never prepare anything again.
            && next.progress.refused.abs_diff(prev.progress.refused) <= LEAP;
        if !same {
            return Err(Error::Foreign { what: "component of a lost share", of: "key, node or epoch" });
        }
        let refused = next.progress.refused.max(prev.progress.refused);
        let (public, progress) = (next.public, Progress { refused, ..next.progress });
        let issuing = prev.issuing.zip(next.issuing).map(|(own, next)| [own, next]);
        let (shares, epoch, check) = ([prev.share, next.share], progress.epoch, next.check);
        let key = NodeKey { public: public.clone(), party, epoch, check, shares, issuing };
        Ok(Self { public, party, progress, current: Some(key), pending: None })
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
