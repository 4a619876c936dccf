//! Products of matrices: dot products of their rows, one element sent for each.

use crate::arith::ElementCost;
use std::iter::repeat_n;
use trefoil_engine::{Cost, prelude::*};

/// Terms at once: what the factors hold stays a small part of memory.
const TERMS: usize = 1 << 21;

/// Which rows of two matrices are multiplied, and in how many sums.
#[derive(Clone, Debug)]
pub(super) struct Dots {
    /// Elements of a row.
    pub(super) len: usize,
    /// Terms of a sum at most: a dot product is as many sums as it takes.
    pub(super) block: usize,
    /// A row of the first and one of the second matrix each.
    pub(super) pairs: Vec<(usize, usize)>,
}

impl Dots {
    /// Pairs of rows at once.
    fn at_once(&self) -> usize {
        (TERMS / self.len.max(1)).max(1)
    }

    /// The sums of each pair, one after the other.
    pub(super) async fn on_shares<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        left: View<'_, Z64>,
        right: View<'_, Z64>,
    ) -> Result<Shares<Z64>, Error> {
        let mut sums = Vec::new();
        for pairs in self.pairs.chunks(self.at_once()) {
            let rows = |of: View<'_, Z64>, at: &dyn Fn(&(usize, usize)) -> usize| {
                let rows = pairs.iter().map(|pair| of.slice(at(pair) * self.len, self.len));
                rows.collect::<Result<Vec<_>, _>>().map(|rows| Shares::concat(&rows))
            };
            let (left, right) = (rows(left, &|pair| pair.0)?, rows(right, &|pair| pair.1)?);
            let terms = self.terms().repeat(pairs.len());
            sums.push(ctx.sums_of_products(left.view(), right.view(), &terms, 1).await?);
        }
        Ok(Shares::concat(&sums.iter().map(Shares::view).collect::<Vec<_>>()))
    }

    /// The exact cost of [`on_shares`](Self::on_shares).
    pub(super) fn cost(&self) -> Vec<Cost> {
        let sums = self.terms().len();
        let each = |pairs: &[_]| ElementCost::integers(1, 1).over(pairs.len() * sums);
        self.pairs.chunks(self.at_once()).map(each).collect()
    }

    /// Sums of a pair.
    pub(super) fn sums(&self) -> usize {
        self.len.div_ceil(self.block)
    }

    fn terms(&self) -> Vec<usize> {
        let rest = self.len % self.block;
        repeat_n(self.block, self.len / self.block).chain((rest > 0).then_some(rest)).collect()
    }
}

/// Places of a square matrix on and below its diagonal, row after row.
pub(super) fn lower(size: usize) -> Vec<(usize, usize)> {
    (0..size).flat_map(|i| (0..=i).map(move |j| (i, j))).collect()
}

/// All places of a square matrix, row after row.
pub(super) fn all(size: usize) -> Vec<(usize, usize)> {
    (0..size).flat_map(|i| (0..size).map(move |j| (i, j))).collect()
}

/// The symmetric matrix of entries on and below the diagonal.
pub(super) fn symmetric<T: Copy>(size: usize, lower: &[T], full: &mut [T]) {
    for ((i, j), &entry) in self::lower(size).into_iter().zip(lower) {
        (full[i * size + j], full[j * size + i]) = (entry, entry);
    }
}
