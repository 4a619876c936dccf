//! Vectors in the clear, at those who may see them.

use crate::Error;
use sha2::{Digest, Sha256};
use std::fmt;
use trefoil_circuits::program::{InputVector, RingKind, Shape};
use trefoil_engine::{
    Lanes, Party, Z16, Z64,
    client::{OutputShare, reconstruct, split},
    ring::Ring,
};
use zeroize::Zeroizing;

/// A vector that a client is about to split. Does not print what it holds.
#[derive(Clone, Copy)]
pub enum Plain<'a> {
    /// Bits: bit `k` is bit `k % 64` of word `k / 64`.
    Bits(&'a [Lanes]),
    /// Integers modulo 2^16.
    Z16(&'a [Z16]),
    /// Integers modulo 2^64.
    Z64(&'a [Z64]),
}

impl Plain<'_> {
    /// Whether it has the ring and as many elements as a shape says.
    pub fn fits(self, shape: Shape) -> bool {
        (self.ring(), self.elements()) == (shape.ring, shape.elements())
    }

    /// What it consists of.
    pub fn ring(self) -> RingKind {
        match self {
            Self::Bits(_) => RingKind::Bits,
            Self::Z16(_) => RingKind::Z16,
            Self::Z64(_) => RingKind::Z64,
        }
    }

    /// Its words.
    pub fn elements(self) -> usize {
        match self {
            Self::Bits(x) => x.len(),
            Self::Z16(x) => x.len(),
            Self::Z64(x) => x.len(),
        }
    }

    /// The three nodes' shares.
    pub(super) fn split(self) -> Result<[InputVector; 3], Error> {
        Ok(match self {
            Self::Bits(x) => split(x)?.map(InputVector::from),
            Self::Z16(x) => split(x)?.map(InputVector::from),
            Self::Z64(x) => split(x)?.map(InputVector::from),
        })
    }
}

impl fmt::Debug for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plain<{:?}>[{}]", self.ring(), self.elements())
    }
}

/// A vector that was put together. Wiped on drop; does not print what it holds.
pub enum PlainVector {
    /// Bits: bit `k` is bit `k % 64` of word `k / 64`.
    Bits(Zeroizing<Vec<Lanes>>),
    /// Integers modulo 2^16.
    Z16(Zeroizing<Vec<Z16>>),
    /// Integers modulo 2^64.
    Z64(Zeroizing<Vec<Z64>>),
}

/// What a node has sent of an output: its component `own`, and the digest of its component `next`.
pub(super) type Fetched = (Zeroizing<Vec<u8>>, [u8; 32]);

impl PlainVector {
    /// Puts an output together, if the digests say that each component is the same at both its holders. If not, gives the party whose digest
    /// is not that of what its next party sent.
    pub(super) fn of(shape: Shape, fetched: &[Fetched; 3]) -> Result<Self, Contradiction> {
        for p in Party::ALL {
            let ((_, digest), (next, _)) = (&fetched[p.index()], &fetched[p.next().index()]);
            if Sha256::digest(next.as_slice()).as_slice() != digest {
                return Err(Contradiction::Between(p));
            }
        }
        Ok(match shape.ring {
            RingKind::Bits => Self::Bits(sum(shape, fetched)?),
            RingKind::Z16 => Self::Z16(sum(shape, fetched)?),
            RingKind::Z64 => Self::Z64(sum(shape, fetched)?),
        })
    }

    /// What it consists of.
    pub fn ring(&self) -> RingKind {
        match self {
            Self::Bits(_) => RingKind::Bits,
            Self::Z16(_) => RingKind::Z16,
            Self::Z64(_) => RingKind::Z64,
        }
    }

    /// The words of a string of bits.
    ///
    /// # Errors
    /// [`Error::Usage`] for another ring.
    pub fn bits(&self) -> Result<&[Lanes], Error> {
        match self {
            Self::Bits(x) => Ok(x),
            Self::Z16(_) | Self::Z64(_) => {
                Err(Error::Usage("bits were asked for, and the output consists of integers".to_owned()))
            }
        }
    }

    /// The integers.
    ///
    /// # Errors
    /// [`Error::Usage`] for another ring.
    pub fn z64(&self) -> Result<&[Z64], Error> {
        match self {
            Self::Z64(x) => Ok(x),
            Self::Bits(_) | Self::Z16(_) => Err(Error::Usage(format!(
                "integers of 64 bits were asked for, and the output consists of {:?}",
                self.ring()
            ))),
        }
    }
}

impl fmt::Debug for PlainVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bits(x) => Plain::Bits(x).fmt(f),
            Self::Z16(x) => Plain::Z16(x).fmt(f),
            Self::Z64(x) => Plain::Z64(x).fmt(f),
        }
    }
}

/// Why an output was not put together.
pub(super) enum Contradiction {
    /// This party and the next sent different copies of one component.
    Between(Party),
    /// Anything else.
    Engine(trefoil_engine::Error),
}

impl From<trefoil_engine::Error> for Contradiction {
    fn from(error: trefoil_engine::Error) -> Self {
        Self::Engine(error)
    }
}

fn sum<R: Ring + zeroize::DefaultIsZeroes>(
    shape: Shape,
    fetched: &[Fetched; 3],
) -> Result<Zeroizing<Vec<R>>, trefoil_engine::Error> {
    let share = |p: Party| {
        let (own, next) = (&fetched[p.index()].0, &fetched[p.next().index()].0);
        OutputShare::<R>::from_bytes(p, shape.elements(), own, next)
    };
    Ok(Zeroizing::new(reconstruct(&[share(Party::P0)?, share(Party::P1)?, share(Party::P2)?])?))
}
