//! The logistic function.

mod lines;
mod table;

use super::{
    Fixed,
    lookup::{products_in_parts, products_in_parts_cost},
    normal::integers,
    round_shift, shift_cost,
};
use crate::{
    arith::{
        ElementCost, b2a_cost,
        bits::scaled,
        convert::{a2b_from, a2b_from_cost, zero_one},
    },
    boolean::LaneCost,
};
use lines::{HALF, INTERCEPT, Lines, PRODUCTS, SLOPE_BITS, WIDTH};
use table::{INTERCEPTS, SLOPES};
use trefoil_engine::prelude::*;

/// Fractional bits of a slope.
const SLOPE: u32 = 16;
/// Fractional bits of the place of a segment: segments are `1/16` wide and end at 16.
const FINE: u32 = 4;
/// So many numbers at most take the way of fewer rounds, on which more is sent for each.
const FEW: usize = 512;

impl<const F: u32> Fixed<F> {
    /// `1 / (1 + exp(-x))`, for all numbers, by 512 lines: [`sigmoid_of`](Self::sigmoid_of) numbers with as many fractional bits as the result.
    ///
    /// # Errors
    /// As [`sigmoid_of`](Self::sigmoid_of). Not cancel safe.
    pub async fn sigmoid<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        Self::sigmoid_of::<M, F>(ctx, x).await
    }

    /// The exact cost of [`sigmoid`](Self::sigmoid) for each of `n` numbers.
    pub fn sigmoid_cost(n: usize) -> ElementCost {
        Self::sigmoid_of_cost::<F>(n)
    }

    /// `1 / (1 + exp(-x))` of numbers with `G` fractional bits, for all of them, by 512 lines. A product need not be truncated before.
    ///
    /// The bits of `x` give its sign `s` and, with the sign added to each of them, `|x|` to within one unit. Its bits from `1/16` to 8 say which line it is, or the higher ones that the
    /// result is 1. The bits of intercept and slope are one map of degree two of products of the place's bits; they are made integers, and the slope is multiplied by `x`. On the other
    /// side of zero the slope is the same and the intercept is subtracted from 1, which to within `2^-30` is to add the sign to its bits.
    ///
    /// **Shape** `n` numbers to `n`, all of 64 bits; `F` from 14 to 28, `G` from 14 to 42. **Cost** [`sigmoid_of_cost`](Self::sigmoid_of_cost): for 20 fractional bits of both 30 rounds and 1,491 bits; up to 512 numbers
    /// take 23 rounds and 4,525 bits. Error: at most `2.5e-5 + 2^-(F + 1)`; beyond 16 in absolute value the result is 0 or 1. Failure probability: none.
    /// **Security** composition of quadratic gates, [`b2a`](crate::arith::b2a) and [`round_shift`]. **Source** lines of least error on a uniform grid; the table and its reading are ours.
    ///
    /// # Errors
    /// As [`a2b`](crate::arith::a2b). Not cancel safe.
    pub async fn sigmoid_of<M: Mode, const G: u32>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        const { assert!(F >= 14 && F <= 28, "the sigmoid has from 14 to 28 fractional bits") };
        const { assert!(G >= 14 && G <= 42, "the sigmoid takes from 14 to 42 fractional bits") };
        let (me, n, words) = (ctx.me(), x.len(), Lanes::words(x.len()));
        if n == 0 {
            return Ok(Shares::zeros(0));
        }
        let from = (G - FINE) as usize;
        let bits = a2b_from(ctx, x, from).await?;
        let sign = bits.view().slice((63 - from) * words, words)?;
        let size = bits.view().slice(0, (63 - from) * words)?;
        let mut size = size.plus(Shares::concat(&vec![sign; 63 - from]).view())?;
        // What is tested is that no higher bit is set.
        let place = 2 * HALF * words;
        let mut ones = vec![Lanes::ONES; size.len()];
        ones[..place].fill(Lanes(0));
        size.add_public(me, &ones)?;
        let above = size.view().slice(place, size.len() - place)?.to_shares();
        let (halves, inside) = products_in_parts(ctx, words, size.view().slice(0, place)?, (above, 2)).await?;

        let halves = Shares::concat(&halves.iter().map(Shares::view).collect::<Vec<_>>());
        let [low, high] = inside.planes()?;
        let inside = Shares::concat(&[vec![low; PRODUCTS], vec![high; PRODUCTS]].concat());
        let halves = within(ctx, words, halves.view(), inside.view()).await?;
        let mut line = ctx.quadratic(&Lines, halves.view().planes::<{ 2 * PRODUCTS }>()?).await?;
        // Entries have their intercepts inverted, so that nothing is an intercept of 1.
        let width = INTERCEPT as usize * words;
        let mut inverted = vec![Lanes(0); line.len()];
        inverted[..width].fill(Lanes::ONES);
        line.add_public(me, &inverted)?;
        let signs = Shares::concat(&[sign; INTERCEPT as usize]);
        let (intercept, slope) =
            (line.view().slice(0, width)?.plus(signs.view())?, line.view().slice(width, line.len() - width)?);

        let z = if n <= FEW {
            few(ctx, x, [intercept.view(), slope], G + SLOPE - INTERCEPT).await?
        } else {
            let line = integers(ctx, n, &[intercept.view(), slope]).await?;
            let mut z = ctx.mul(line[1].view(), x).await?;
            z.add_assign(scaled(line[0].view(), Z64(1 << (G + SLOPE - INTERCEPT))).view())?;
            z
        };
        round_shift(ctx, z.view(), G + SLOPE - F).await
    }

    /// The exact cost of [`sigmoid_of`](Self::sigmoid_of) for each of `n` numbers.
    pub fn sigmoid_of_cost<const G: u32>(n: usize) -> ElementCost {
        let above = (63 - G + FINE) as usize - 2 * HALF;
        let read = LaneCost { rounds: 2, bits: (2 * PRODUCTS - 2 + WIDTH) as u64 };
        let line = if n <= FEW {
            ElementCost::integers(2, (WIDTH as u32 + SLOPE_BITS + 1).into())
        } else {
            b2a_cost().times(2).then(ElementCost::integers(1, 1))
        };
        a2b_from_cost((G - FINE) as usize)
            .then(ElementCost::lanes(products_in_parts_cost(2 * HALF, above, 2).then(read)))
            .then(line)
            .then(shift_cost(G + SLOPE - F))
    }
}

/// Products of the bits of both halves, each times a bit that says whether it counts: of the product of nothing, which is one, the bit itself.
async fn within<M: Mode>(
    ctx: &mut Ctx<M>,
    words: usize,
    halves: View<'_, Lanes>,
    inside: View<'_, Lanes>,
) -> Result<Shares<Lanes>, Error> {
    let (half, rest) = (PRODUCTS * words, (PRODUCTS - 1) * words);
    let but_one = |x: View<'_, Lanes>| -> Result<Shares<Lanes>, Error> {
        Ok(Shares::concat(&[x.slice(words, rest)?, x.slice(half + words, rest)?]))
    };
    let counted = ctx.mul(but_one(halves)?.view(), but_one(inside)?.view()).await?;
    let [low, high] = counted.planes()?;
    Ok(Shares::concat(&[inside.slice(0, words)?, low, inside.slice(half, words)?, high]))
}

/// `2^shift a + b x` from the bits of `a` and `b`: exclusive ors of the components of bits, of which the last one is multiplied by `x` before.
async fn few<M: Mode>(
    ctx: &mut Ctx<M>,
    x: View<'_, Z64>,
    [a, b]: [View<'_, Lanes>; 2],
    shift: u32,
) -> Result<Shares<Z64>, Error> {
    let n = x.len();
    let (of_a, of_b) = (INTERCEPT as usize * n, SLOPE_BITS as usize * n);
    let [b0, b1, b2] = zero_one(ctx.me(), n, Shares::concat(&[a, b]).view())?;
    let all_x = Shares::concat(&[x; SLOPE_BITS as usize]);
    let (left, right) = ([b0.view(), b2.view().slice(of_a, of_b)?], [b1.view(), all_x.view()]);
    let products = ctx.mul(Shares::concat(&left).view(), Shares::concat(&right).view()).await?;
    let t = products.view().slice(of_a + of_b, of_b)?;
    let twice = |x: View<'_, Z64>| scaled(x, Z64(2));
    // u = b0 + b1 - 2 b0 b1. Of a the sum of w (u + b2 - 2 u b2), of b that of w (u (x - 2 t) + t).
    let u = b0.view().plus(b1.view())?.view().minus(twice(products.view().slice(0, of_a + of_b)?).view())?;
    let minus = scaled(b2.view().slice(0, of_a)?, Z64(2_u64.wrapping_neg()));
    let factors = Shares::concat(&[minus.view(), all_x.view().minus(twice(t).view())?.view()]);
    let mut linear = Shares::concat(&[u.view().slice(0, of_a)?.plus(b2.view().slice(0, of_a)?)?.view(), t]);
    let weigh = |x: &mut [Z64]| {
        for (k, x) in x.chunks_exact_mut(n).enumerate() {
            let bit = if k < INTERCEPT as usize { k as u32 + shift } else { k as u32 - INTERCEPT };
            for x in x {
                *x = Z64(x.0 << bit);
            }
        }
    };
    let mut weighted = u;
    weighted.update(weigh);
    let mut z = ctx.sums_of_products(weighted.view(), factors.view(), &[WIDTH], n).await?;
    linear.update(weigh);
    let linear = Shares::rearrange(linear.view(), n, |x, sum| {
        for x in x.chunks_exact(n) {
            sum.iter_mut().zip(x).for_each(|(sum, &x)| *sum = *sum + x);
        }
    });
    z.add_assign(linear.view())?;
    Ok(z)
}

/// The twin of [`Fixed::sigmoid_of`]: of a plain number with `from` fractional bits one with `to`.
pub(super) fn reference(x: i64, from: u32, to: u32) -> i64 {
    let sign = x >> 63;
    let place = usize::try_from((x ^ sign) >> (from - FINE)).unwrap_or(usize::MAX);
    let (a, b) = match (INTERCEPTS.get(place), SLOPES.get(place)) {
        (Some(&a), Some(&b)) => (i64::from(a), i64::from(b)),
        _ => ((1 << INTERCEPT) - 1, 0),
    };
    let a = a ^ (sign & ((1 << INTERCEPT) - 1));
    super::reference::round_shift(b.wrapping_mul(x).wrapping_add(a << (from + SLOPE - INTERCEPT)), from + SLOPE - to)
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
