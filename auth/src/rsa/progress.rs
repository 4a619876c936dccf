//! Where a node is between two epochs, in numbers without shares: the rules of preparing, refusing and resolving.

use super::wire::{Reader, Writer};
use crate::Error;

/// How far the number of an attempt may be ahead of the last one known: else one node could use all numbers up.
pub(super) const LEAP: u64 = 1 << 32;
const TOO_FAR: &str = "the attempt's number is too far ahead";

/// What [`Record::resolve`](super::Record::resolve) did.
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

impl Progress {
    /// A number for an attempt that none of these nodes has seen, unless one pretends to be far ahead of the others.
    pub(super) fn next_attempt(nodes: [Self; 3]) -> u64 {
        let last = nodes.map(|node| node.last().max(node.prepared.unwrap_or(0)));
        let bound = last.into_iter().min().unwrap_or(0).saturating_add(LEAP / 2);
        last.into_iter().filter(|&last| last <= bound).max().unwrap_or(0).saturating_add(1)
    }

    /// The last attempt that is over or refused.
    fn last(self) -> u64 {
        self.refused.max(self.begun_by)
    }

    pub(super) fn prepare(&mut self, attempt: u64) -> Result<(), Error> {
        let fault = match self.prepared {
            Some(_) => "another attempt is prepared",
            None if attempt <= self.refused => "this attempt was refused",
            None if attempt <= self.begun_by => "this attempt is over",
            None if attempt > self.last().saturating_add(LEAP) => TOO_FAR,
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
        if attempt > self.last().saturating_add(LEAP) {
            return Err(Error::State { step: "refusal", fault: TOO_FAR });
        }
        self.refused = self.refused.max(attempt);
        Ok(())
    }

    /// Ends what is prepared, given what the next and the previous node have ever said.
    pub(super) fn resolve(&mut self, next: &[Self], prev: &[Self]) -> Result<Outcome, Error> {
        let Some(attempt) = self.prepared else { return Ok(Outcome::Idle) };
        let (mut said_prepared, mut said_over, mut said_never) = (0, false, false);
        for said in [next, prev] {
            let following = |other: &&Self| other.epoch == self.epoch + 1;
            if said.iter().any(|other| other.epoch > self.epoch + 1)
                || said.iter().filter(following).any(|other| other.begun_by != attempt)
            {
                let fault = "another node is in an epoch that this one took no part in";
                return Err(Error::State { step: "resolution", fault });
            }
            said_over |= said.iter().any(|other| following(&other));
            let here = || said.iter().filter(|other| other.epoch == self.epoch);
            said_never |= here().any(|other| other.refused >= attempt && other.prepared != Some(attempt));
            said_prepared += usize::from(here().any(|other| other.prepared == Some(attempt)));
        }
        match (said_over, said_never) {
            // Whoever of the two is right, this node has shares that fit: both stay.
            (true, true) => {
                let fault = "one node says that the step is over and another that it never took it, so one of them deviates or has lost its record";
                Err(Error::State { step: "resolution", fault })
            }
            (false, true) => {
                self.prepared = None;
                self.refused = self.refused.max(attempt);
                Ok(Outcome::Abandoned)
            }
            (true, false) => Ok(self.commit(attempt)),
            (false, false) if said_prepared == 2 => Ok(self.commit(attempt)),
            (false, false) => Ok(Outcome::Waiting),
        }
    }

    fn commit(&mut self, attempt: u64) -> Outcome {
        *self = Self { epoch: self.epoch + 1, begun_by: attempt, prepared: None, refused: self.refused };
        Outcome::Committed
    }

    pub(super) fn write(self, writer: Writer) -> Writer {
        let writer = writer.number(self.epoch).number(self.begun_by).byte(self.prepared.is_some().into());
        writer.number(self.prepared.unwrap_or(0)).number(self.refused)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
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
