//! Integers to bits and bits to integers.

use super::{
    ElementCost,
    bits::{WORD, clear_unused, same, to_integers, to_planes, to_zero_one},
    kernels::{Majority, Xor},
};
use crate::{
    boolean::{self, CarryForm, LaneCost},
    gates::OnShares,
};
use trefoil_engine::prelude::*;

/// How carries are computed here: in the fewest rounds.
pub(super) const FORM: CarryForm = CarryForm::Sklansky;

/// The bits of integers.
///
/// The bits of each component are known to its two holders, so they are shared for free; the three are added up by carry-save, then by a prefix adder.
///
/// **Shape** `n` integers to 64 planes of [`Lanes::words`]`(n)` words, bit 0 first; lanes past the last integer hold zeros.
/// **Cost** [`a2b_cost`]: 7 rounds, 275 bits. **Security** composition of quadratic gates.
/// **Source** Mohassel and Rindal (CCS 2018, section 5.3); the adders are those of [`boolean`].
///
/// # Errors
/// As [`Ctx::quadratic`]. Not cancel safe.
pub async fn a2b<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Lanes>, Error> {
    let words = Lanes::words(x.len());
    let [sum, carries] = saved(ctx, x).await?;
    let low = sum.view().slice(0, words)?;
    let high = sum.view().slice(words, (WORD - 1) * words)?.to_shares();
    let high = boolean::add(&mut OnShares::new(ctx, words), FORM, &high, &carries).await?;
    Ok(Shares::concat(&[low, high.view()]))
}

/// The exact cost of [`a2b`].
pub fn a2b_cost() -> ElementCost {
    ElementCost::lanes(SAVED.then(boolean::add_cost(FORM, WORD - 1)))
}

/// The bits of integers from one on: of those below only the carries are computed.
///
/// **Shape** `n` integers to `64 - from` planes, `from` from 2 to 63. **Cost** [`a2b_from_cost`]. **Security** and **Source** as [`a2b`].
///
/// # Errors
/// As [`a2b`]. Not cancel safe.
pub(super) async fn a2b_from<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>, from: usize) -> Result<Shares<Lanes>, Error> {
    let words = Lanes::words(x.len());
    let [sum, carries] = saved(ctx, x).await?;
    let high = sum.view().slice(words, (WORD - 1) * words)?.to_shares();
    boolean::add_from(&mut OnShares::new(ctx, words), FORM, (&high, &carries), from - 1).await
}

/// The exact cost of [`a2b_from`].
pub(super) fn a2b_from_cost(from: usize) -> ElementCost {
    ElementCost::lanes(SAVED.then(boolean::add_from_cost(FORM, WORD - 1, from - 1)))
}

/// The highest bit of integers: the sign in two's complement.
///
/// **Shape** `n` integers to one plane. **Cost** [`sign_cost`]: 7 rounds, 151 bits. **Security** and **Source** as [`a2b`].
///
/// # Errors
/// As [`a2b`]. Not cancel safe.
pub async fn sign<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Lanes>, Error> {
    let words = Lanes::words(x.len());
    let [sum, carries] = saved(ctx, x).await?;
    let below = (WORD - 2) * words;
    let (u, v) = (sum.view().slice(words, below)?.to_shares(), carries.view().slice(0, below)?.to_shares());
    let mut top = boolean::carry(&mut OnShares::new(ctx, words), FORM, &u, &v).await?;
    top.add_assign(sum.view().slice((WORD - 1) * words, words)?)?;
    top.add_assign(carries.view().slice(below, words)?)?;
    Ok(top)
}

/// The exact cost of [`sign`].
pub fn sign_cost() -> ElementCost {
    ElementCost::lanes(SAVED.then(boolean::carry_cost(FORM, WORD - 2)))
}

/// Integers from their bits.
///
/// Two components are drawn as masks, the third is `x` minus both, computed on bits and shown to the two parties that are to hold it.
///
/// **Shape** `k <= 64` planes of [`Lanes::words`]`(count)` words, bit 0 first, to `count` integers from 0 to `2^k - 1`; lanes past the last one are not looked at. **Cost** [`b2a_cost`]: 8 rounds, 275 bits and
/// 64 shown. **Security** composition of quadratic gates, and [`Ctx::unmask`]: each bit of a difference is that bit of either mask plus a function of
/// lower ones, as [`boolean::sub`] makes it. **Source** Mohassel and Rindal (CCS 2018, section 5.3); two subtrahends by borrow-save.
///
/// # Errors
/// [`Error::Shape`] if the planes do not fit the count; as [`Ctx::quadratic`]. Not cancel safe.
pub async fn b2a<M: Mode>(ctx: &mut Ctx<M>, count: usize, bits: View<'_, Lanes>) -> Result<Shares<Z64>, Error> {
    let words = Lanes::words(count);
    if words == 0 {
        return Ok(Shares::zeros(0));
    }
    let planes = bits.len() / words;
    same("the planes of integers", planes.min(WORD) * words, bits.len())?;
    let mut x = Shares::concat(&[bits, Shares::zeros((WORD - planes) * words).view()]);
    // No mask covers these.
    x.update(|planes| clear_unused(count, planes));

    let masks = ctx.masks::<Z64>(count)?;
    let [_, m1, m2] = masks.view().components(ctx.me(), WORD * words, to_planes);
    let mut d = x.view().plus(m1.view())?;
    d.add_assign(m2.view())?;
    let mut not_x = x;
    let below = (WORD - 1) * words;
    not_x.add_public(ctx.me(), &vec![Lanes::ONES; WORD * words])?;
    let [u, v, w] = [&not_x, &m1, &m2].map(|x| x.view().slice(0, below));
    let borrows = ctx.quadratic(&Majority, [u?, v?, w?]).await?;
    let high = d.view().slice(words, below)?.to_shares();
    let high = boolean::sub(&mut OnShares::new(ctx, words), FORM, &high, &borrows).await?;
    let d = Shares::concat(&[d.view().slice(0, words)?, high.view()]);
    ctx.unmask(masks, d.view(), to_integers).await
}

/// The exact cost of [`b2a`], whatever the number of planes.
pub fn b2a_cost() -> ElementCost {
    let shown = ElementCost { rounds: 1, shown: WORD as u64, ..ElementCost::default() };
    ElementCost::lanes(SAVED.then(boolean::add_cost(FORM, WORD - 1))).then(shown)
}

/// Bits as integers that are 0 or 1.
///
/// With the components `b_0`, `b_1` and `b_2` as integers, which are shared for free, the exclusive or of two is `x + y - 2 x y`, twice.
///
/// **Shape** some planes of [`Lanes::words`]`(count)` words to as many vectors of `count` integers. **Cost** [`inject_cost`]: 2 rounds, 2 integers for each.
/// **Security** two quadratic gates. **Source** Mohassel and Rindal (CCS 2018, section 5.4).
///
/// # Errors
/// [`Error::Shape`] if the planes do not fit the count; as [`Ctx::quadratic`]. Not cancel safe.
pub async fn inject<M: Mode>(ctx: &mut Ctx<M>, count: usize, bits: View<'_, Lanes>) -> Result<Shares<Z64>, Error> {
    let [x, y, z] = zero_one(ctx.me(), count, bits)?;
    let xy = ctx.quadratic(&Xor, [x.view(), y.view()]).await?;
    ctx.quadratic(&Xor, [xy.view(), z.view()]).await
}

/// The exact cost of [`inject`] for one plane.
pub const fn inject_cost() -> ElementCost {
    ElementCost::integers(2, 2)
}

/// The sum of bits times public weights, as integers: the second of the two gates of [`inject`] is one for all bits of an integer.
///
/// **Shape** as many planes of [`Lanes::words`]`(count)` words as weights, to `count` integers. **Cost** [`inject_sum_cost`]: 2 rounds, an integer more than there are weights.
/// **Security** and **Source** as [`inject`].
///
/// # Errors
/// As [`inject`]. Not cancel safe.
pub async fn inject_sum<M: Mode>(
    ctx: &mut Ctx<M>,
    count: usize,
    bits: View<'_, Lanes>,
    weights: &[Z64],
) -> Result<Shares<Z64>, Error> {
    let weight = |plane: usize, _: usize| weights.get(plane).copied().unwrap_or_default();
    weighted_sums(ctx, count, (bits, &[weights.len()]), weight).await
}

/// The exact cost of [`inject_sum`].
pub const fn inject_sum_cost(weights: usize) -> ElementCost {
    ElementCost::integers(2, weights as u64 + 1)
}

/// Several sums as [`inject_sum`] makes one: `terms[0]` planes for the first vector of integers, `terms[1]` for the next. Element `e` of plane `k` weighs `weight(k, e)`.
pub(super) async fn weighted_sums<M: Mode>(
    ctx: &mut Ctx<M>,
    count: usize,
    (bits, terms): (View<'_, Lanes>, &[usize]),
    weight: impl Fn(usize, usize) -> Z64,
) -> Result<Shares<Z64>, Error> {
    same("the planes of weighted bits", terms.iter().sum::<usize>() * Lanes::words(count), bits.len())?;
    let [x, y, z] = zero_one(ctx.me(), count, bits)?;
    let xy = ctx.quadratic(&Xor, [x.view(), y.view()]).await?;
    // The sum of w (u + z) - 2 w u z.
    let weigh = |x: &mut [Z64], by: Z64| {
        for (plane, x) in x.chunks_exact_mut(count.max(1)).enumerate() {
            x.iter_mut().enumerate().for_each(|(e, x)| *x = *x * by * weight(plane, e));
        }
    };
    let mut linear = xy.view().plus(z.view())?;
    linear.update(|x| weigh(x, Z64(1)));
    let mut sums = Shares::rearrange(linear.view(), terms.len() * count, |planes, sums| {
        let mut planes = planes.chunks_exact(count.max(1));
        for (sum, &terms) in sums.chunks_exact_mut(count.max(1)).zip(terms) {
            for plane in planes.by_ref().take(terms) {
                sum.iter_mut().zip(plane).for_each(|(sum, &x)| *sum = *sum + x);
            }
        }
    });
    let mut factors = xy;
    factors.update(|x| weigh(x, Z64(2_u64.wrapping_neg())));
    sums.add_assign(ctx.sums_of_products(factors.view(), z.view(), terms, count).await?.view())?;
    Ok(sums)
}

/// The components of bits as integers.
pub(super) fn zero_one(me: Party, count: usize, bits: View<'_, Lanes>) -> Result<[Shares<Z64>; 3], Error> {
    let words = Lanes::words(count);
    let planes = bits.len() / words.max(1);
    same("the planes of bits", planes * words, bits.len())?;
    Ok(bits.components(me, planes * count, |planes, x| to_zero_one(planes, count, x)))
}

/// The price of [`saved`].
const SAVED: LaneCost = LaneCost { rounds: 1, bits: WORD as u64 - 1 };

/// Sums without carries of all 64 positions, and the carries into positions 1 to 63.
async fn saved<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<[Shares<Lanes>; 2], Error> {
    let words = Lanes::words(x.len());
    let sum = x.sum_of_components(WORD * words, to_planes);
    let apart = sum.view().slice(0, (WORD - 1) * words)?.apart(ctx.me());
    let carries = ctx.quadratic(&Majority, apart.views()).await?;
    Ok([sum, carries])
}
