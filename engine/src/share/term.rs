//! Products of vectors that lie in different places.

use super::{Shares, View};
use crate::{Error, ring::Ring};

/// A product of two vectors that are read where they lie: `x y`, or `x (y + plus)`.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a, R: Ring> {
    /// The first factor.
    pub x: View<'a, R>,
    /// The second factor, or its first summand.
    pub y: View<'a, R>,
    /// The other summand of the second factor.
    pub plus: Option<View<'a, R>>,
}

impl<R: Ring> Term<'_, R> {
    /// Whether all vectors have so many elements.
    pub(crate) fn has(&self, words: usize) -> bool {
        self.x.len() == words && self.y.len() == words && self.plus.is_none_or(|plus| plus.len() == words)
    }

    /// The factors of all terms, each one after the other.
    pub(crate) fn factors(terms: &[Self]) -> Result<[Shares<R>; 2], Error> {
        let x: Vec<_> = terms.iter().map(|term| term.x).collect();
        let y: Vec<_> = terms.iter().map(|term| (term.y, term.plus)).collect();
        Ok([Shares::concat(&x), Shares::concat_sums(&y)?])
    }
}
