//! The signature counter of a credential.

use crate::Error;

/// How far a credential's signatures have been counted. Every signature takes a number above all before it.
///
/// Each node keeps one per credential and stores it *before* it signs, so that a crash loses a number and never gives one twice.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SignatureCounter {
    last: u32,
}

/// A number for one signature. It cannot be copied, and a ceremony consumes it.
///
/// ```compile_fail,E0382
/// # use trefoil_auth::webauthn::SignatureCounter;
/// let count = SignatureCounter::default().advance()?;
/// let (one, two) = (count, count); // a signature each
/// # Ok::<(), trefoil_auth::Error>(())
/// ```
#[derive(Debug, Eq, PartialEq)]
pub struct Count(u32);

impl SignatureCounter {
    /// The counter as it was stored.
    pub fn stored(last: u32) -> Self {
        Self { last }
    }

    /// The last number given, to be stored; 0 if none was.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// The next number.
    ///
    /// # Errors
    ///
    /// [`Error::Counter`] if all 2^32 - 1 have been given.
    pub fn advance(&mut self) -> Result<Count, Error> {
        self.take(self.last.saturating_add(1))
    }

    /// The number `proposed`, which the nodes that sign agreed on: the greatest of their last ones, plus one.
    ///
    /// # Errors
    ///
    /// [`Error::Counter`] if it is not above the last one. Nothing changes then.
    pub fn take(&mut self, proposed: u32) -> Result<Count, Error> {
        if proposed <= self.last {
            return Err(Error::Counter { last: self.last, proposed });
        }
        self.last = proposed;
        Ok(Count(proposed))
    }
}

impl Count {
    /// The number, as `signCount` has it.
    pub fn get(&self) -> u32 {
        self.0
    }
}
