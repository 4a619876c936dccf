//! What nodes tell each other, one to one, to make new shares.

use std::fmt;

use trefoil_engine::Party;
use zeroize::Zeroizing;

use super::{
    PublicKey,
    confirm::Step,
    exponent::Exponent,
    wire::{Kind, Reader, Writer},
};
use crate::Error;

/// The bytes a holder contributes to the seed of a component.
pub(super) const SEED: usize = 32;

/// What a node contributes to the seed of a component that it holds with another.
pub struct Contribution {
    pub(super) step: Step,
    pub(super) component: Party,
    pub(super) seed: Zeroizing<[u8; SEED]>,
}

/// By how much a component becomes smaller: what P1 and P2 tell each other.
pub struct Difference {
    pub(super) step: Step,
    pub(super) value: Exponent,
}

impl Contribution {
    /// The secret in its binary form, for the one node it is meant for.
    pub fn encode(&self, public: &PublicKey) -> Zeroizing<Vec<u8>> {
        let writer = self.step.write(Writer::new(Kind::Contribution, public.size()));
        writer.byte(self.component.index() as u8).bytes(self.seed.as_ref()).finish()
    }

    /// Reads what a node sent.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(Kind::Contribution, bytes)?;
        let step = Step::read(&mut reader)?;
        let [component] = reader.array()?;
        let component = Party::from_index(component.into()).ok_or(reader.malformed("it is for no component"))?;
        let seed = Zeroizing::new(reader.array()?);
        reader.finish()?;
        Ok(Self { step, component, seed })
    }
}

impl Difference {
    /// The secret in its binary form, for the one node it is meant for.
    pub fn encode(&self, public: &PublicKey) -> Zeroizing<Vec<u8>> {
        self.step.write(Writer::new(Kind::Difference, public.size())).exponent(&self.value).finish()
    }

    /// Reads what a node sent.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(Kind::Difference, bytes)?;
        let (step, value) = (Step::read(&mut reader)?, reader.exponent()?);
        reader.finish()?;
        Ok(Self { step, value })
    }
}

impl fmt::Debug for Contribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contribution(component {}, epoch {}, secret)", self.component.index(), self.step.epoch)
    }
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Difference(epoch {}, secret)", self.step.epoch)
    }
}
