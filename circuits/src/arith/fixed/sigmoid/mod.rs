//! The logistic function.

mod table;

use super::{
    Fixed,
    lookup::{lookup, products, products_cost},
    normal::integers,
    round_shift, shift_cost,
};
use crate::{
    arith::{ElementCost, a2b, a2b_cost, b2a_cost, bits::scaled},
    boolean::LaneCost,
};
use table::{INTERCEPTS, SLOPES};
use trefoil_engine::prelude::*;

/// Fractional bits of an intercept.
const INTERCEPT: u32 = 30;
/// Fractional bits of a slope.
const SLOPE: u32 = 16;
/// Bits of the place of a segment, and fractional ones of them: segments are `1/16` wide and end at 16.
const PLACE: usize = 8;
const FINE: u32 = 4;

impl<const F: u32> Fixed<F> {
    /// `1 / (1 + exp(-x))`, for all numbers, by 512 lines.
    ///
    /// The bits of `x` give its sign `s` and, with the sign added to each of them, `|x|` to within one unit. Its bits from `1/16` to 8 say which line it is, or the higher ones that the
    /// result is 1. Intercept and slope are read from a table as bits, made integers, and the slope is multiplied by `x`. On the other side of zero the slope is
    /// the same and the intercept is subtracted from 1, which to within `2^-30` is to add the sign to its bits.
    ///
    /// **Shape** `n` numbers to `n`, all of 64 bits; `F` from 14 to 28. **Cost** [`sigmoid_cost`](Self::sigmoid_cost): 31 rounds, 1,706 bits for 20 fractional bits, one conversion to bits deep.
    /// Error: at most `2.5e-5 + 2^-(F + 1)`; beyond 16 in absolute value the result is 0 or 1. Failure probability: none.
    /// **Security** composition of [`a2b`], products, [`b2a`](crate::arith::b2a) and [`round_shift`]. **Source** lines of least error on a uniform grid; the table and its reading are ours.
    ///
    /// # Errors
    /// As [`a2b`]. Not cancel safe.
    pub async fn sigmoid<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        const { assert!(F >= 14 && F <= 28, "the sigmoid takes from 14 to 28 fractional bits") };
        let (n, words) = (x.len(), Lanes::words(x.len()));
        if n == 0 {
            return Ok(Shares::zeros(0));
        }
        let bits = a2b(ctx, x).await?;
        let sign = bits.view().slice(63 * words, words)?;
        let from = (F - FINE) as usize;
        let size = bits.view().slice(from * words, (63 - from) * words)?;
        let mut size = size.plus(Shares::concat(&vec![sign; 63 - from]).view())?;
        // What is tested is that no higher bit is set.
        let high = PLACE * words;
        let mut ones = vec![Lanes::ONES; size.len()];
        ones[..high].fill(Lanes(0));
        size.add_public(ctx.me(), &ones)?;
        let above = size.view().slice(high, size.len() - high)?.to_shares();
        let [products, inside] = products(ctx, words, size.view().slice(0, high)?, above).await?;

        let width = (INTERCEPT + SLOPE) as usize;
        let line = lookup(products.view(), words, &entries(), width);
        let line = ctx.mul(line.view(), Shares::concat(&vec![inside.view(); width]).view()).await?;
        let line = Self::coefficients(ctx, n, line.view(), sign).await?;

        let mut z = ctx.mul(line[1].view(), x).await?;
        z.add_assign(scaled(line[0].view(), Z64(1 << (F + SLOPE - INTERCEPT))).view())?;
        round_shift(ctx, z.view(), SLOPE).await
    }

    /// The exact cost of [`sigmoid`](Self::sigmoid).
    pub fn sigmoid_cost() -> ElementCost {
        let above = (63 - F + FINE) as usize - PLACE;
        let masked = LaneCost { rounds: 1, bits: u64::from(INTERCEPT + SLOPE) };
        a2b_cost()
            .then(ElementCost::lanes(products_cost(PLACE, above).then(masked)))
            .then(b2a_cost().times(2))
            .then(ElementCost::integers(1, 1))
            .then(shift_cost(SLOPE))
    }

    /// Intercepts, for the sign given, and slopes as integers, from the bits of their entries.
    async fn coefficients<M: Mode>(
        ctx: &mut Ctx<M>,
        n: usize,
        line: View<'_, Lanes>,
        sign: View<'_, Lanes>,
    ) -> Result<Vec<Shares<Z64>>, Error> {
        let words = Lanes::words(n);
        let width = INTERCEPT as usize * words;
        let mut intercept = line.slice(0, width)?.plus(Shares::concat(&[sign; INTERCEPT as usize]).view())?;
        // Entries have their intercepts inverted, so that nothing is an intercept of 1.
        intercept.add_public(ctx.me(), &vec![Lanes::ONES; width])?;
        let slope = line.slice(width, SLOPE as usize * words)?;
        integers(ctx, n, &[intercept.view(), slope]).await
    }
}

/// The table: slopes above inverted intercepts.
fn entries() -> Vec<u64> {
    let entry = |(&a, &b): (&u32, &u16)| (u64::from(!a) & ((1 << INTERCEPT) - 1)) | (u64::from(b) << INTERCEPT);
    INTERCEPTS.iter().zip(&SLOPES).map(entry).collect()
}

/// The twin of [`Fixed::sigmoid`] on a plain number with `bits` fractional bits.
pub(super) fn reference(x: i64, bits: u32) -> i64 {
    let sign = x >> 63;
    let place = usize::try_from((x ^ sign) >> (bits - FINE)).unwrap_or(usize::MAX);
    let (a, b) = match (INTERCEPTS.get(place), SLOPES.get(place)) {
        (Some(&a), Some(&b)) => (i64::from(a), i64::from(b)),
        _ => ((1 << INTERCEPT) - 1, 0),
    };
    let a = a ^ (sign & ((1 << INTERCEPT) - 1));
    super::reference::round_shift(b.wrapping_mul(x).wrapping_add(a << (bits + SLOPE - INTERCEPT)), SLOPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sigmoid(y: f64) -> f64 {
        1.0 / (1.0 + (-y).exp())
    }

    /// On each segment the slope is that of the chord, and the intercept halves the difference of the largest and the least deviation, which
    /// are at the ends and where the derivative is the slope. Up to one unit, since the last bits of `exp` differ between machines.
    #[test]
    fn the_lines_are_the_best_ones() {
        let mut worst = 0.0_f64;
        for (j, (&a, &b)) in INTERCEPTS.iter().zip(&SLOPES).enumerate() {
            let ends = [j, j + 1].map(|k| k as f64 / 16.0);
            let chord = (sigmoid(ends[1]) - sigmoid(ends[0])) * 16.0 * f64::from(1 << SLOPE);
            assert!((chord - f64::from(b)).abs() <= 0.51, "slope {j}");
            let slope = f64::from(b) / f64::from(1 << SLOPE);
            let mut places = ends.to_vec();
            if slope > 0.0 && slope <= 0.25 {
                let value = f64::midpoint(1.0, (1.0 - 4.0 * slope).sqrt());
                places.push((value / (1.0 - value)).ln().clamp(ends[0], ends[1]));
            }
            let rest: Vec<f64> = places.iter().map(|&y| sigmoid(y) - slope * y).collect();
            let (low, high) = rest.iter().fold((f64::MAX, f64::MIN), |(l, h), &r| (l.min(r), h.max(r)));
            let scale = f64::from(1 << INTERCEPT);
            assert!((f64::midpoint(low, high) * scale - f64::from(a)).abs() <= 1.5, "intercept {j}");
            let line = f64::from(a) / scale;
            worst = worst.max((high - line).abs()).max((line - low).abs());
        }
        // Beyond the last segment the result is 1.
        assert!(worst < 2.45e-5 && 1.0 - sigmoid(16.0) < 2e-7, "{worst}");
    }
}
