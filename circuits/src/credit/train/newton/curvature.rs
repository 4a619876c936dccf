//! The second derivatives of the mean loss.

use super::dots::{Dots, lower, symmetric};
use crate::{
    arith::{
        ElementCost,
        fixed::{reference as plain, round_shift, shift_cost},
    },
    credit::{FEATURE_LIMIT, Number, Pooled, columns::some_rows, number::FRACTIONAL, train::gradient::times},
};
use trefoil_engine::{Cost, prelude::*};

/// Fractional bits of features in curvatures. With fewer, columns that depend on each other would seem not to.
const FEATURE: u32 = 16;
/// Fractional bits of the weights of rows in curvatures, which are at most `1/4`.
const WEIGHT: u32 = 8;
/// Rows in one sum: with every feature at its limit the sum stays within range.
const BLOCK: usize = 448;
/// Features that are weighted at once.
const WEIGHTED: usize = 1 << 20;
/// Fractional bits of a scaled curvature.
pub(super) const CURVATURE: u32 = 27;
/// The diagonal is raised by this power of one half, so that the inverse is bounded whatever the table.
pub(super) const DAMPING: u32 = 12;

/// The matrix of second derivatives, scaled, and its public constants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curvature {
    rows: usize,
    /// Coefficients.
    size: usize,
    shift: u32,
    /// Added to the diagonal: for the intercept and for weights.
    diagonal: [i64; 2],
}

impl Curvature {
    /// The sum over all rows, divided by two so often, and the penalty of a row in that scale.
    pub(super) fn new(table: &Pooled, halvings: u32, penalty: f64) -> Self {
        let damping = 1 << (CURVATURE - DAMPING);
        let penalty = (penalty * f64::from(CURVATURE).exp2()).round() as i64;
        Self {
            rows: table.rows(),
            size: table.columns() + 1,
            shift: halvings + 2 * FEATURE + WEIGHT - CURVATURE,
            diagonal: [damping, damping + penalty],
        }
    }

    /// The largest sum of products of two features and a weight, as an integer, of so many rows.
    pub(super) fn largest_sum(rows: usize) -> f64 {
        let feature = (FEATURE_LIMIT * f64::from(FEATURE).exp2()).powi(2);
        rows.min(BLOCK) as f64 * feature * f64::from(WEIGHT - 2).exp2()
    }

    /// Features with fewer bits, after a column of ones.
    pub(super) async fn coarse<M: Mode>(self, ctx: &mut Ctx<M>, table: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        let ones = Shares::public(ctx.me(), &vec![Z64(1 << FEATURE); self.rows]);
        let rest = round_shift(ctx, table, FRACTIONAL - FEATURE).await?;
        Ok(Shares::concat(&[ones.view(), rest.view()]))
    }

    /// The scaled curvature without its diagonal, on and below it. The rows are weighted by their probabilities `p`, with `p (1 - p)`; without any, by `1/4`.
    pub(super) async fn on_shares<M: Mode>(
        self,
        ctx: &mut Ctx<M>,
        coarse: View<'_, Z64>,
        probabilities: Option<View<'_, Z64>>,
    ) -> Result<Shares<Z64>, Error> {
        let weights = match probabilities {
            Some(p) => {
                let one = Shares::public(ctx.me(), &vec![Z64(Number::ONE.0); self.rows]);
                let products = ctx.mul(p, one.view().minus(p)?.view()).await?;
                Some(round_shift(ctx, products.view(), 2 * FRACTIONAL - WEIGHT).await?)
            }
            None => None,
        };
        let mut entries = Shares::<Z64>::zeros(self.size * (self.size + 1) / 2);
        for (from, count) in self.parts() {
            let rows = some_rows(coarse, self.rows, from, count)?;
            let weighted = match &weights {
                None => times(rows.view(), 1 << (WEIGHT - 2)),
                Some(weights) => {
                    let weights = weights.view().slice(from, count)?;
                    let features = rows.view().slice(count, rows.len() - count)?;
                    let every = Shares::concat(&vec![weights; self.size - 1]);
                    let features = ctx.mul(features, every.view()).await?;
                    Shares::concat(&[times(weights, 1 << FEATURE).view(), features.view()])
                }
            };
            let dots = self.dots(count);
            let sums = dots.on_shares(ctx, weighted.view(), rows.view()).await?;
            let sums = round_shift(ctx, sums.view(), self.shift).await?;
            let part = Shares::rearrange(sums.view(), entries.len(), |sums, part| {
                for (entry, sums) in part.iter_mut().zip(sums.chunks_exact(dots.sums())) {
                    *entry = sums.iter().fold(Z64(0), |sum, &x| sum + x);
                }
            });
            entries.add_assign(part.view())?;
        }
        Ok(entries)
    }

    /// The whole matrix, from its entries on and below the diagonal.
    pub(super) fn whole(self, me: Party, entries: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        let mut matrix = Shares::rearrange(entries, self.size * self.size, |entries, matrix| {
            symmetric(self.size, entries, matrix);
        });
        let mut diagonal = vec![Z64(0); self.size * self.size];
        for (i, entry) in diagonal.iter_mut().step_by(self.size + 1).enumerate() {
            *entry = Z64(self.diagonal[usize::from(i > 0)].cast_unsigned());
        }
        matrix.add_public(me, &diagonal)?;
        Ok(matrix)
    }

    /// The exact cost of [`coarse`](Self::coarse).
    pub(super) fn coarse_cost(self) -> Cost {
        shift_cost(FRACTIONAL - FEATURE).over(self.rows * (self.size - 1))
    }

    /// The exact cost of [`on_shares`](Self::on_shares), with probabilities or without.
    pub(super) fn cost(self, weighted: bool) -> Vec<Cost> {
        let mut parts = Vec::new();
        let weights = ElementCost::integers(1, 1).then(shift_cost(2 * FRACTIONAL - WEIGHT));
        parts.extend(weighted.then(|| weights.over(self.rows)));
        for (_, count) in self.parts() {
            parts.extend(weighted.then(|| ElementCost::integers(1, 1).over(count * (self.size - 1))));
            let dots = self.dots(count);
            parts.extend(dots.cost());
            parts.push(shift_cost(self.shift).over(dots.pairs.len() * dots.sums()));
        }
        parts
    }

    /// The twin of [`coarse`](Self::coarse).
    pub(super) fn plain_coarse(self, table: &[i64]) -> Vec<i64> {
        let rest = table.iter().map(|&x| plain::round_shift(x, FRACTIONAL - FEATURE));
        vec![1 << FEATURE; self.rows].into_iter().chain(rest).collect()
    }

    /// The twin of [`on_shares`](Self::on_shares) and [`whole`](Self::whole).
    pub(super) fn plain(self, coarse: &[i64], probabilities: &[i64]) -> Vec<i64> {
        let weight = |p: &i64| plain::round_shift(p * (Number::ONE.0.cast_signed() - p), 2 * FRACTIONAL - WEIGHT);
        let weights: Vec<i64> = probabilities.iter().map(weight).collect();
        let column = |i: usize| &coarse[i * self.rows..][..self.rows];
        let mut entries = Vec::new();
        for (i, j) in lower(self.size) {
            let terms: Vec<i64> = weights.iter().zip(column(i)).zip(column(j)).map(|((w, x), y)| w * x * y).collect();
            entries.push(terms.chunks(BLOCK).map(|block| plain::round_shift(block.iter().sum(), self.shift)).sum());
        }
        let mut matrix = vec![0; self.size * self.size];
        symmetric(self.size, &entries, &mut matrix);
        for (i, entry) in matrix.iter_mut().step_by(self.size + 1).enumerate() {
            *entry += self.diagonal[usize::from(i > 0)];
        }
        matrix
    }

    /// Rows that are weighted at once: from which on, and how many.
    fn parts(self) -> impl Iterator<Item = (usize, usize)> {
        let count = (WEIGHTED / self.size / BLOCK).max(1) * BLOCK;
        (0..self.rows).step_by(count).map(move |from| (from, count.min(self.rows - from)))
    }

    fn dots(self, rows: usize) -> Dots {
        Dots { len: rows, block: BLOCK, pairs: lower(self.size) }
    }
}
