//! Rows that lie in one vector, and may overlap.

use super::View;
use crate::{Error, ring::Ring};

/// Rows of one width that begin at equal distances in a vector: the rows of a table, or all rotations of a vector that is written down one and a half times.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a, R: Ring> {
    of: View<'a, R>,
    step: usize,
    count: usize,
    width: usize,
}

impl<'a, R: Ring> Windows<'a, R> {
    /// So many rows of `width` elements, of which the first begins with the vector and each other one `step` elements after the one before.
    ///
    /// # Errors
    /// [`Error::Shape`] if the vector ends before the last row.
    pub fn new(of: View<'a, R>, step: usize, count: usize, width: usize) -> Result<Self, Error> {
        let before = count.saturating_sub(1).checked_mul(step);
        let due = before.and_then(|before| before.checked_add(width)).unwrap_or(usize::MAX);
        let of = of.slice(0, if count == 0 { 0 } else { due })?;
        Ok(Self { of, step, count, width })
    }

    /// The number of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Elements of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Elements between the beginnings of rows.
    pub(crate) fn step(&self) -> usize {
        self.step
    }

    /// What the rows lie in.
    pub(crate) fn whole(&self) -> View<'a, R> {
        self.of
    }

    /// A row.
    pub(crate) fn row(&self, k: usize) -> View<'a, R> {
        let at = k * self.step..k * self.step + self.width;
        View { own: &self.of.own[at.clone()], next: &self.of.next[at] }
    }

    /// Some neighbouring columns of all rows.
    pub(crate) fn columns(&self, from: usize, width: usize) -> Result<Self, Error> {
        let at = if self.count == 0 { 0 } else { from };
        Self::new(self.of.slice(at, self.of.len() - at)?, self.step, self.count, width)
    }

    /// Some neighbouring rows.
    pub(crate) fn part(&self, from: usize, count: usize) -> Result<Self, Error> {
        let at = (from * self.step).min(self.of.len());
        Self::new(self.of.slice(at, self.of.len() - at)?, self.step, count, self.width)
    }
}
