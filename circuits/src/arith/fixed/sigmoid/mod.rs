//! The logistic function.

mod kernels;
mod table;

use super::Fixed;
use crate::{
    arith::{
        ElementCost, b2a, b2a_cost,
        bits::{clear_unused, scaled},
        convert::{FORM, a2b_from, a2b_from_cost, weighted_sums},
    },
    boolean::{self, LaneCost},
    gates::OnShares,
};
use kernels::{
    ABOVE, BITS, COLUMNS, Carries, GATES, Groups, HALF, INTERCEPT, Inside, LEAST, Lines, PARTIAL, PARTIAL_AT, PRODUCTS,
    Pairs, Partial, SLOPE, Saturate, Sums, WITHIN, after,
};
use table::{INTERCEPTS, SLOPES};
use trefoil_engine::prelude::*;

/// Fractional bits of what is read of a number: of a segment, which is `1/16` wide, the bits of the place within it.
const FINE: u32 = 4 + WITHIN as u32;
/// So many numbers at most take the way of fewer rounds, on which more is sent for each.
const FEW: usize = 512;

/// Fractional bits of a probability in bits: [`Fixed::sigmoid_bits`].
pub const PROBABILITY_BITS: usize = INTERCEPT + 1;

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
    /// **Shape** `n` numbers to `n`; `F` from 15 to 28, `G` from 15 to 42. **Cost** [`sigmoid_of_cost`](Self::sigmoid_of_cost): that of [`sigmoid_bits`](Self::sigmoid_bits) and of [`b2a`]. Up to
    /// 512 numbers take fewer rounds, and integers for most of the bits: for 40 fractional bits 15 rounds and 5,874 bits instead of 28 and 812. Error: at most `4.4e-5`, and of `F` below 18 bits `2^-F` more. Failure probability: none.
    /// **Security** and **Source** as [`sigmoid_bits`](Self::sigmoid_bits).
    ///
    /// # Errors
    /// As [`a2b`](crate::arith::a2b). Not cancel safe.
    pub async fn sigmoid_of<M: Mode, const G: u32>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        const { assert!(F >= 15 && F <= 28, "the sigmoid has from 15 to 28 fractional bits") };
        let n = x.len();
        if n == 0 {
            return Ok(Shares::zeros(0));
        }
        let more = F.checked_sub(PROBABILITY_BITS as u32);
        let y = match more {
            Some(_) if n <= FEW => {
                let read = Read::new::<M, G>(ctx, x).await?;
                few(ctx, n, read).await?
            }
            _ => {
                let bits = Self::sigmoid_bits::<M, G>(ctx, x).await?;
                let dropped = PROBABILITY_BITS.saturating_sub(F as usize) * Lanes::words(n);
                b2a(ctx, n, bits.view().slice(dropped, bits.len() - dropped)?).await?
            }
        };
        Ok(scaled(y.view(), Z64(1 << more.unwrap_or(0))))
    }

    /// The exact cost of [`sigmoid_of`](Self::sigmoid_of) for each of `n` numbers.
    pub fn sigmoid_of_cost<const G: u32>(n: usize) -> ElementCost {
        if n > FEW || (F as usize) < PROBABILITY_BITS {
            return Self::sigmoid_bits_cost::<G>().then(b2a_cost());
        }
        let integers = (INTERCEPT + PARTIAL + 3 + 5) as u64;
        Read::cost(G)
            .then(ElementCost::lanes(LaneCost { rounds: 1, bits: 2 }))
            .then(ElementCost::integers(2, integers))
            .then(ElementCost::integers(1, 1))
    }

    /// `1 / (1 + exp(-x))` in bits, of numbers with `G` fractional bits, for all of them, by 512 lines.
    ///
    /// The bits of `x` give its sign `s` and, with the sign added to each of them, `|x|` to within one unit. Its bits from `1/16` to 8 say which line it is, or the higher ones that the
    /// result is 1. The bits of intercept and slope are one map of degree two of products of those bits. The slope is multiplied by the further bits down to `2^-13`, without the products below `2^-18`,
    /// for which the intercepts make up; all are added up by chains of adders, then by a prefix adder. On the other side of zero all bits are inverted.
    ///
    /// **Shape** `n` numbers to [`PROBABILITY_BITS`] planes of [`Lanes::words`]`(n)` words, the last place first; lanes past the last number hold zeros. `G` from 15 to 42.
    /// **Cost** [`sigmoid_bits_cost`](Self::sigmoid_bits_cost): for 40 fractional bits 20 rounds and 473 bits. Error: at most `4.4e-5`; beyond 16 in absolute value the result is 0 or
    /// `1 - 2^-18`. Failure probability: none. **Security** composition of quadratic gates. **Source** lines of least error on a uniform grid; the table and its reading are ours.
    ///
    /// # Errors
    /// As [`a2b`](crate::arith::a2b). Not cancel safe.
    pub async fn sigmoid_bits<M: Mode, const G: u32>(
        ctx: &mut Ctx<M>,
        x: View<'_, Z64>,
    ) -> Result<Shares<Lanes>, Error> {
        if x.is_empty() {
            return Ok(Shares::zeros(0));
        }
        let (me, n, words) = (ctx.me(), x.len(), Lanes::words(x.len()));
        let read = Read::new::<M, G>(ctx, x).await?;
        let (sum, inside) = read.added(ctx).await?;
        let mut factors = views(&sum, words)?;
        factors.push(inside.view());
        let bits = ctx.quadratic(&Saturate, fixed::<{ INTERCEPT + 1 }>(&factors)?).await?;
        // Zeros and inverted bits, as due for a negative number; the highest bit is a half.
        let mut positive = read.sign;
        positive.add_public(me, &vec![Lanes::ONES; words])?;
        let mut parts: Vec<_> = views(&bits, words)?.into_iter().map(|bit| (bit, Some(positive.view()))).collect();
        parts.push((positive.view(), None));
        let mut bits = Shares::concat_sums(&parts)?;
        bits.update(|planes| clear_unused(n, planes));
        Ok(bits)
    }

    /// The exact cost of [`sigmoid_bits`](Self::sigmoid_bits) for each number.
    pub fn sigmoid_bits_cost<const G: u32>() -> ElementCost {
        let carries = LaneCost { rounds: 3, bits: (GATES[0] + 1 + GATES[1] + GATES[2]) as u64 };
        let saturate = LaneCost { rounds: 1, bits: INTERCEPT as u64 };
        Read::cost(G).then(ElementCost::lanes(carries.then(boolean::add_cost(FORM, INTERCEPT)).then(saturate)))
    }
}

/// What is read of numbers: their line, and what is to be added up.
struct Read {
    /// One plane.
    sign: Shares<Lanes>,
    /// The third factor of what tells whether a number is inside of the table.
    third: Shares<Lanes>,
    /// Intercept and slope, then two planes that are used up.
    line: Shares<Lanes>,
    /// Products of slope and place; of the three factors the product of two; the sign times the third.
    partial: Shares<Lanes>,
}

impl Read {
    async fn new<M: Mode, const G: u32>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Self, Error> {
        const { assert!(G >= 15 && G <= 42, "the sigmoid takes from 15 to 42 fractional bits") };
        let words = Lanes::words(x.len());
        let from = (G - FINE) as usize;
        let bits = a2b_from(ctx, x, from).await?;
        let sign = bits.view().slice((63 - from) * words, words)?;
        let one = Shares::public(ctx.me(), &vec![Lanes::ONES; words]);
        let positive = sign.plus(one.view())?;
        let planes = views(&bits, words)?;
        let low = WITHIN + 2 * HALF;
        // Of the bits of |x| those above are inverted: what is tested is that none is set.
        let signed = |(k, bit)| (bit, Some(if k < low { sign } else { positive.view() }));
        let size = planes.into_iter().take(63 - from).enumerate().map(signed).collect::<Vec<_>>();
        let size = Shares::concat_sums(&size)?;
        let above = all_to(ctx, words, size.view().slice(low * words, size.len() - low * words)?.to_shares()).await?;
        let size = views(&size, words)?;
        let (place, number) = (&size[..WITHIN], &size[WITHIN..low]);

        let mut factors = [number, &views(&above, words)?].concat();
        factors.resize(2 * HALF + ABOVE, one.view());
        let pairs = ctx.quadratic(&Pairs, fixed::<{ 2 * HALF + ABOVE }>(&factors)?).await?;
        let pairs = views(&pairs, words)?;
        let factors = [number, &pairs].concat();
        let groups = ctx.quadratic(&Groups, fixed::<{ 3 * HALF + ABOVE / 2 }>(&factors)?).await?;
        let groups = views(&groups, words)?;
        let mut factors = Vec::with_capacity(2 * PRODUCTS + 4);
        for half in 0..2 {
            let (bits, pairs, further) = (&number[4 * half..], &pairs[2 * half..], &groups[9 * half..]);
            // One, two bits and their product; each of the other two bits and their product, with these three.
            factors.extend([one.view(), bits[0], bits[1], pairs[0]]);
            for (k, other) in [bits[2], bits[3], pairs[1]].into_iter().enumerate() {
                factors.push(other);
                factors.extend(&further[3 * k..3 * k + 3]);
            }
        }
        let (above, third) = (&groups[18..22], groups[22]);
        factors.extend(above);
        let line = ctx.quadratic(&Lines, fixed::<{ 2 * PRODUCTS + 4 }>(&factors)?).await?;
        let of_line = views(&line, words)?;
        let rest = [of_line[INTERCEPT + SLOPE], of_line[INTERCEPT + SLOPE + 1], third, sign];
        let factors = [place, &of_line[INTERCEPT..INTERCEPT + SLOPE], &rest].concat();
        let partial = ctx.quadratic(&Partial, fixed::<{ WITHIN + SLOPE + 4 }>(&factors)?).await?;
        Ok(Self { sign: sign.to_shares(), third: third.to_shares(), line, partial })
    }

    /// The exact cost of reading numbers with so many fractional bits.
    fn cost(fractional: u32) -> ElementCost {
        let mut cost = LaneCost { rounds: 4, bits: (HALF + ABOVE / 2 + 18 + ABOVE / 4) as u64 };
        cost.bits += (INTERCEPT + SLOPE + 2 + PARTIAL + 2) as u64;
        let mut above = (63 - 4 - fractional) as usize;
        while above > ABOVE {
            let products = (above / 2).min(above - ABOVE);
            above -= products;
            cost = cost.then(LaneCost { rounds: 1, bits: products as u64 });
        }
        a2b_from_cost((fractional - FINE) as usize).then(ElementCost::lanes(cost))
    }

    /// The line at each place, without the half that all lines have, and whether the number is inside of the table.
    async fn added<M: Mode>(&self, ctx: &mut Ctx<M>) -> Result<(Shares<Lanes>, Shares<Lanes>), Error> {
        let words = self.sign.len();
        let (line, partial) = (views(&self.line, words)?, views(&self.partial, words)?);
        let mut bits = Vec::with_capacity(BITS[0] + 2);
        let mut products = partial.iter();
        for (position, count) in PARTIAL_AT.into_iter().enumerate() {
            bits.push(line[position]);
            bits.extend(products.by_ref().take(count));
        }
        let factors = [&bits[..], &[partial[PARTIAL], self.third.view()]].concat();
        let carries = ctx.quadratic(&Carries::<0>, fixed::<{ BITS[0] + 2 }>(&factors)?).await?;
        let sums = View::map(&Sums::<0>, fixed::<{ BITS[0] }>(&bits)?)?;
        let inside = carries.view().slice(GATES[0] * words, words)?.to_shares();

        let bits = after(0, &bits, &views(&sums, words)?, &views(&carries, words)?).concat();
        let carries = ctx.quadratic(&Carries::<1>, fixed::<{ BITS[1] }>(&bits)?).await?;
        let sums = View::map(&Sums::<1>, fixed::<{ BITS[1] }>(&bits)?)?;

        let bits = after(1, &bits, &views(&sums, words)?, &views(&carries, words)?).concat();
        let carries = ctx.quadratic(&Carries::<2>, fixed::<{ BITS[2] }>(&bits)?).await?;
        let sums = View::map(&Sums::<2>, fixed::<{ BITS[2] }>(&bits)?)?;

        let zero = Shares::zeros(words);
        let (mut x, mut y) = (Vec::with_capacity(INTERCEPT), Vec::with_capacity(INTERCEPT));
        for two in after(2, &bits, &views(&sums, words)?, &views(&carries, words)?) {
            let [a, b] = fixed::<2>(&two)?;
            x.push(a);
            y.push(b);
        }
        x.extend(&line[COLUMNS..INTERCEPT]);
        y.resize(INTERCEPT, zero.view());
        let (x, y) = (Shares::concat(&x), Shares::concat(&y));
        Ok((boolean::add(&mut OnShares::new(ctx, words), FORM, &x, &y).await?, inside))
    }
}

/// Planes one by one.
fn views(x: &Shares<Lanes>, words: usize) -> Result<Vec<View<'_, Lanes>>, Error> {
    (0..x.len() / words.max(1)).map(|k| x.view().slice(k * words, words)).collect()
}

/// The inputs of a gate.
fn fixed<'a, const N: usize>(x: &[View<'a, Lanes>]) -> Result<[View<'a, Lanes>; N], Error> {
    x.try_into().map_err(|_| Error::Shape { what: "the inputs of a gate", expected: N, got: x.len() })
}

/// At most [`ABOVE`] planes with the same product.
async fn all_to<M: Mode>(ctx: &mut Ctx<M>, words: usize, mut x: Shares<Lanes>) -> Result<Shares<Lanes>, Error> {
    while x.len() > ABOVE * words {
        let half = (x.len() / words / 2).min(x.len() / words - ABOVE) * words;
        let products = ctx.mul(x.view().slice(0, half)?, x.view().slice(half, half)?).await?;
        x = Shares::concat(&[products.view(), x.view().slice(2 * half, x.len() - 2 * half)?]);
    }
    Ok(x)
}

/// The result of few numbers, in units of `2^-18`, in integers after what is read: the half that all lines have, and the rest, times the sign.
async fn few<M: Mode>(ctx: &mut Ctx<M>, n: usize, read: Read) -> Result<Shares<Z64>, Error> {
    let words = read.sign.len();
    let (intercept, partial) =
        (read.line.view().slice(0, INTERCEPT * words)?, read.partial.view().slice(0, PARTIAL * words)?);
    let [two, signed] = [0, 1].map(|k| read.partial.view().slice((PARTIAL + k) * words, words));
    let inside = ctx.quadratic(&Inside, [two?, read.third.view(), signed?]).await?;
    let bits = Shares::concat(&[intercept, partial, inside.view(), read.sign.view()]);
    let mut positions: Vec<u32> = (0..INTERCEPT as u32).collect();
    for (position, count) in PARTIAL_AT.into_iter().enumerate() {
        positions.resize(positions.len() + count, position as u32);
    }
    let weight = |plane: usize, _: usize| Z64(1 << positions.get(plane).unwrap_or(&0));
    let integers = weighted_sums(ctx, n, (bits.view(), &[INTERCEPT, PARTIAL, 1, 1, 1]), weight).await?;
    let [intercept, product, inside, inside_negative, negative] = integers.planes()?;
    let rest = intercept.plus(product)?;

    // 1 or -1 inside, 0 outside; 0 inside, 1 or -1 outside.
    let times = |x, by: i64| scaled(x, Z64(by.cast_unsigned()));
    let mut sign = times(inside_negative, -2);
    sign.add_assign(inside)?;
    let mut outside = times(negative, -2);
    outside.add_public(ctx.me(), &vec![Z64(1); n])?;
    let outside = outside.view().minus(sign.view())?;
    let half = 1 << INTERCEPT;
    let mut y = ctx.mul(sign.view(), rest.view()).await?;
    y.add_assign(times(outside.view(), half - 1).view())?;
    y.add_public(ctx.me(), &vec![Z64(half.cast_unsigned()); n])?;
    y.view().minus(negative)
}

/// The twin of [`Fixed::sigmoid_of`]: of a plain number with `from` fractional bits one with `to`.
pub(super) fn reference(x: i64, from: u32, to: u32) -> i64 {
    let bits = bits_reference(x, from);
    let unit = PROBABILITY_BITS as u32;
    if to < unit { bits >> (unit - to) } else { bits << (to - unit) }
}

/// The twin of [`Fixed::sigmoid_bits`], as an integer.
pub(super) fn bits_reference(x: i64, from: u32) -> i64 {
    let sign = x >> 63;
    let size = (x ^ sign).cast_unsigned() >> (from - FINE);
    let number = usize::try_from(size >> WITHIN).unwrap_or(usize::MAX);
    let line = match (INTERCEPTS.get(number), SLOPES.get(number)) {
        (Some(&a), Some(&b)) => i64::from(a + product(b.into(), size as u32 & ((1 << WITHIN) - 1))),
        _ => (1 << INTERCEPT) - 1,
    };
    ((1 << INTERCEPT) + line) ^ (sign & ((1 << PROBABILITY_BITS) - 1))
}

/// The product of a slope and a place within a segment, without the partial products below the last place of an intercept.
fn product(slope: u32, place: u32) -> u32 {
    let lowest = LEAST as u32;
    let mut sum = 0;
    for k in (0..WITHIN as u32).filter(|k| place >> k & 1 == 1) {
        for j in (0..SLOPE as u32).filter(|j| slope >> j & 1 == 1 && j + k >= lowest) {
            sum += 1 << (j + k - lowest);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sigmoid(y: f64) -> f64 {
        1.0 / (1.0 + (-y).exp())
    }

    /// The error of a line from its least and largest deviation over a segment, with the intercept that halves their difference or is as large as there is room for.
    fn best(segment: usize, slope: u32) -> (f64, f64) {
        let unit = f64::from(1 << PROBABILITY_BITS);
        let (mut low, mut high, mut most) = (f64::MAX, f64::MIN, 0);
        for place in 0..1 << WITHIN {
            let line = product(slope, place);
            most = most.max(line);
            let ends = [place, place + 1].map(|place| (segment << WITHIN) as f64 + f64::from(place));
            for y in ends.map(|at| sigmoid(at / f64::from(1 << FINE)) * unit - f64::from(line)) {
                (low, high) = (low.min(y), high.max(y));
            }
        }
        let room = f64::from((1 << PROBABILITY_BITS) - 1 - most);
        let a = f64::midpoint(low, high).round().min(room);
        ((high - a).max(a - low) / unit, a - f64::from(1 << INTERCEPT))
    }

    /// Of both slopes beside that of the chord the one with the least error. Up to one unit, since the last bits of `exp` differ between machines.
    #[test]
    fn the_lines_are_the_best_ones() {
        let mut worst = 0.0_f64;
        for (segment, (&a, &b)) in INTERCEPTS.iter().zip(&SLOPES).enumerate() {
            let [from, to] = [segment, segment + 1].map(|k| sigmoid(k as f64 / 16.0));
            let chord = (to - from) * 16.0 * 2048.0;
            assert!((f64::from(b) - chord).abs() < 1.0, "slope {segment}");
            let (error, intercept) = best(segment, b.into());
            assert!((intercept - f64::from(a)).abs() <= 1.0, "intercept {segment}");
            let other = if f64::from(b) > chord { b.saturating_sub(1) } else { b + 1 };
            assert!(other > 511 || error <= best(segment, other.into()).0 + 1e-9, "segment {segment}");
            worst = worst.max(error);
        }
        // Beyond the last segment the result is the largest one.
        assert!(worst < 4.31e-5 && 1.0 - sigmoid(16.0) < 2e-7, "{worst}");
    }
}
