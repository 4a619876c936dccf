//! The inverse of a positive matrix, by products alone.

use super::{
    Watch,
    curvature::{CURVATURE, DAMPING},
    dots::{Dots, all, lower, symmetric},
};
use crate::arith::fixed::{reference as plain, round_shift, shift_cost};
use trefoil_engine::{Cost, prelude::*};

/// Fractional bits of an inverse.
pub(super) const INVERSE: u32 = 16;
/// Fractional bits of the product of a matrix and its inverse.
const UNIT: u32 = 21;
/// An inverse is below twice the reciprocal of the damping.
pub(super) const INVERSE_BITS: u32 = INVERSE + DAMPING + 1;
/// The product is next to the unit matrix, or on its way there from below.
pub(super) const UNIT_BITS: u32 = UNIT + 1;

/// Steps `Y = Y (2 - A Y)` towards the inverse of a symmetric matrix `A` of this many rows whose eigenvalues are above 0 and below 2.
///
/// With the unit matrix as the first `Y` the error of a direction with the eigenvalue `a` is `(1 - a)^(2^k)` after `k` steps. The curvature at
/// the next iterations is smaller on the whole, as probabilities leave `1/2`: the inverse of one is a good first `Y` for the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inverse(pub(super) usize);

impl Inverse {
    /// Steps at an iteration: from the unit matrix, and from the inverse of the iteration before.
    pub(super) const fn steps(iteration: usize) -> usize {
        if iteration == 0 { 11 } else { 2 }
    }

    /// The unit matrix.
    pub(super) fn first(self) -> Vec<i64> {
        (0..self.0 * self.0).map(|k| if k % (self.0 + 1) == 0 { 1 << INVERSE } else { 0 }).collect()
    }

    /// A step. What has to stay within bounds is watched.
    pub(super) async fn step<M: Mode>(
        self,
        ctx: &mut Ctx<M>,
        watch: &mut Watch,
        matrix: View<'_, Z64>,
        inverse: View<'_, Z64>,
    ) -> Result<Shares<Z64>, Error> {
        let n = self.0;
        // The inverse is symmetric: its rows are its columns.
        let unit = self.dots(all(n)).on_shares(ctx, matrix, inverse).await?;
        let unit = round_shift(ctx, unit.view(), CURVATURE + INVERSE - UNIT).await?;
        watch.limit(unit.view(), UNIT_BITS);
        let columns = Shares::rearrange(unit.view(), n * n, |unit, columns| {
            for (k, entry) in columns.iter_mut().enumerate() {
                *entry = unit[k % n * n + k / n];
            }
        });
        let product = self.dots(lower(n)).on_shares(ctx, inverse, columns.view()).await?;
        let product = round_shift(ctx, product.view(), UNIT).await?;
        let product = Shares::rearrange(product.view(), n * n, |lower, full| symmetric(n, lower, full));
        let next = inverse.plus(inverse)?.view().minus(product.view())?;
        watch.limit(next.view(), INVERSE_BITS);
        Ok(next)
    }

    /// The exact cost of [`step`](Self::step), and what it gives to be watched.
    pub(super) fn cost(self) -> (Vec<Cost>, usize) {
        let (all, lower) = (self.dots(all(self.0)), self.dots(lower(self.0)));
        let mut parts = all.cost();
        parts.push(shift_cost(CURVATURE + INVERSE - UNIT).over(all.pairs.len()));
        parts.extend(lower.cost());
        parts.push(shift_cost(UNIT).over(lower.pairs.len()));
        (parts, 2 * all.pairs.len())
    }

    /// The twin of [`step`](Self::step).
    pub(super) fn plain_step(self, matrix: &[i64], inverse: &[i64]) -> Vec<i64> {
        let n = self.0;
        let dot = |x: &[i64], y: &mut dyn Iterator<Item = i64>| x.iter().zip(y).map(|(x, y)| x * y).sum::<i64>();
        let unit: Vec<i64> = all(n)
            .into_iter()
            .map(|(i, j)| dot(&matrix[i * n..][..n], &mut inverse[j * n..][..n].iter().copied()))
            .map(|sum| plain::round_shift(sum, CURVATURE + INVERSE - UNIT))
            .collect();
        let product: Vec<i64> = lower(n)
            .into_iter()
            .map(|(i, j)| dot(&inverse[i * n..][..n], &mut unit[j..].iter().step_by(n).copied()))
            .map(|sum| plain::round_shift(sum, UNIT))
            .collect();
        let mut next = vec![0; n * n];
        symmetric(n, &product, &mut next);
        next.iter_mut().zip(inverse).for_each(|(next, y)| *next = 2 * y - *next);
        next
    }

    fn dots(self, pairs: Vec<(usize, usize)>) -> Dots {
        Dots { len: self.0, block: self.0, pairs }
    }
}
