//! Numbers brought to a common size by a power of two that stays secret.

use super::{floor_shift, lookup::sums, reference, shift_cost};
use crate::{
    arith::{ElementCost, a2b, a2b_cost, b2a, b2a_cost, bits::scaled},
    boolean::LaneCost,
};
use trefoil_engine::prelude::*;

/// Fractional bits inside the functions of this module.
pub(super) const Q: u32 = 28;
/// Bits of a number that is normalized.
pub(super) const SIZE: usize = 61;

/// A place of a highest bit as the functions see it: `weight[i]` is what multiplies a number whose highest bit is `i`.
pub(super) type Weights = [u64; SIZE];

/// Numbers times a weight each, to `Q` fractional bits, beside other weights.
///
/// **Shape** `n` integers with `0 < x < 2^61` to `floor(x w / 2^(shift))` and a vector for each of the other weights, all according to the highest bit of each `x`; zero for
/// zero. **Cost** [`normalize_cost`]. **Security** composition of [`a2b`], products, [`b2a`] and [`floor_shift`].
/// **Source** Catrina and Saxena (FC 2010, section 4); the weights are read from tables, with one prefix product for the highest bit.
///
/// # Errors
/// As [`a2b`]. Not cancel safe.
pub(super) async fn normalize<M: Mode>(
    ctx: &mut Ctx<M>,
    x: View<'_, Z64>,
    (weight, shift): (&Weights, u32),
    others: &[&Weights],
) -> Result<(Shares<Z64>, Vec<Shares<Z64>>), Error> {
    let (n, words) = (x.len(), Lanes::words(x.len()));
    let bits = a2b(ctx, x).await?;
    let highest = highest(ctx, words, bits.view().slice(0, SIZE * words)?).await?;
    let tables: Vec<Shares<Lanes>> =
        std::iter::once(&weight).chain(others).map(|w| sums(highest.view(), words, *w, 64)).collect();
    let mut weights = integers(ctx, n, &tables.iter().map(Shares::view).collect::<Vec<_>>()).await?;
    let scaled = ctx.mul(x, weights.remove(0).view()).await?;
    Ok((floor_shift(ctx, scaled.view(), shift).await?, weights))
}

/// The exact cost of [`normalize`].
pub(super) fn normalize_cost(shift: u32, others: u64) -> ElementCost {
    a2b_cost()
        .then(ElementCost::lanes(HIGHEST))
        .then(b2a_cost().times(1 + others))
        .then(ElementCost::integers(1, 1))
        .then(shift_cost(shift))
}

/// The weights of the highest bit of `x`; zero for zero. The twin of the places in [`normalize`].
pub(super) fn weight_of(x: i64, weights: &Weights) -> i64 {
    let low = x.cast_unsigned() & ((1 << SIZE) - 1);
    low.checked_ilog2().map_or(0, |i| weights[i as usize].cast_signed())
}

/// Vectors of integers from their bits, in the same rounds.
///
/// **Shape** planes of [`Lanes::words`]`(n)` words, at most 64 for each vector, to as many vectors of `n`. **Cost** that of [`b2a`] for each. **Security** and **Source** as [`b2a`].
///
/// # Errors
/// As [`b2a`]. Not cancel safe.
pub(super) async fn integers<M: Mode>(
    ctx: &mut Ctx<M>,
    n: usize,
    bits: &[View<'_, Lanes>],
) -> Result<Vec<Shares<Z64>>, Error> {
    let words = Lanes::words(n);
    let lanes = words * Lanes::COUNT;
    let zero = Shares::zeros(words);
    let mut planes = Vec::with_capacity(64 * bits.len());
    for bit in 0..64 {
        for bits in bits {
            planes.push(if (bit + 1) * words <= bits.len() { bits.slice(bit * words, words)? } else { zero.view() });
        }
    }
    // Each vector from the beginning of a word on.
    let all = b2a(ctx, bits.len() * lanes, Shares::concat(&planes).view()).await?;
    (0..bits.len()).map(|k| Ok(all.view().slice(k * lanes, n)?.to_shares())).collect()
}

/// The twin of [`normalize`], but for the other weights.
pub(super) fn normalized(x: i64, weight: &Weights, shift: u32) -> i64 {
    reference::floor_shift(x.wrapping_mul(weight_of(x, weight)), shift)
}

/// With this weight a number is from `2^60` to `2^61`: from `1/2` to 1 in `Q` fractional bits, after a shift by [`DOWN`].
pub(super) fn up() -> Weights {
    std::array::from_fn(|i| power(60 - i.cast_signed() as i64))
}

/// See [`up`].
pub(super) const DOWN: u32 = SIZE as u32 - Q;

/// A power of two that may be below one, which is zero then.
pub(super) const fn power(exponent: i64) -> u64 {
    if exponent < 0 || exponent > 63 { 0 } else { 1 << exponent }
}

/// `c + slope x`, local.
pub(super) fn line(me: Party, c: i64, x: View<'_, Z64>, slope: i64) -> Result<Shares<Z64>, Error> {
    let mut y = scaled(x, Z64(slope.cast_unsigned()));
    y.add_public(me, &vec![Z64(c.cast_unsigned()); x.len()])?;
    Ok(y)
}

/// The price of [`highest`]: a prefix product over 61 positions.
const HIGHEST: LaneCost = LaneCost { rounds: 6, bits: 176 };

/// For each position whether it is the highest one that is set.
async fn highest<M: Mode>(ctx: &mut Ctx<M>, words: usize, bits: View<'_, Lanes>) -> Result<Shares<Lanes>, Error> {
    // clear[r]: none of the bits from the top down to number r is set, counted from the top.
    let mut clear = Vec::with_capacity(SIZE);
    for r in 0..SIZE {
        let mut plane = bits.slice((SIZE - 1 - r) * words, words)?.to_shares();
        plane.add_public(ctx.me(), &vec![Lanes::ONES; words])?;
        clear.push(plane);
    }
    let mut step = 1;
    while step < SIZE {
        let at: Vec<usize> = (0..SIZE).filter(|r| r & step != 0).collect();
        let left: Vec<_> = at.iter().map(|&r| clear[r].view()).collect();
        let right: Vec<_> = at.iter().map(|&r| clear[(r & !(step - 1)) - 1].view()).collect();
        let both = ctx.mul(Shares::concat(&left).view(), Shares::concat(&right).view()).await?;
        for (k, &r) in at.iter().enumerate() {
            clear[r] = both.view().slice(k * words, words)?.to_shares();
        }
        step *= 2;
    }
    let mut highest = Vec::with_capacity(SIZE);
    let all = Shares::public(ctx.me(), &vec![Lanes::ONES; words]);
    for i in 0..SIZE {
        let r = SIZE - 1 - i;
        let above = if r == 0 { &all } else { &clear[r - 1] };
        highest.push(above.view().plus(clear[r].view())?);
    }
    Ok(Shares::concat(&highest.iter().map(Shares::view).collect::<Vec<_>>()))
}

/// Products of several pairs, each to the nearest number with `bits` fewer, in the same rounds.
pub(super) async fn products<M: Mode, const K: usize>(
    ctx: &mut Ctx<M>,
    pairs: [[View<'_, Z64>; 2]; K],
    bits: u32,
) -> Result<[Shares<Z64>; K], Error> {
    let [left, right] = [0, 1].map(|side| Shares::concat(&pairs.map(|pair| pair[side])));
    let z = ctx.mul(left.view(), right.view()).await?;
    let z = super::round_shift(ctx, z.view(), bits).await?;
    Ok(z.planes::<K>()?.map(View::to_shares))
}

/// The exact cost of [`products`].
pub(super) fn products_cost(pairs: u64, bits: u32) -> ElementCost {
    ElementCost::integers(1, 1).then(shift_cost(bits)).times(pairs)
}
