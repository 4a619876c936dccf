//! Comparisons of integers, and choices that follow them.

use super::{
    ElementCost,
    bits::{WORD, same, scaled},
    convert::{sign, sign_cost, zero_one},
    kernels::{Majority, Or, XorAndProduct},
};
use crate::{
    boolean::{self, LaneCost, Order},
    gates::OnShares,
};
use trefoil_engine::prelude::*;

/// Whether `x < y`, for all integers of 64 bits.
///
/// The borrow out of `x - y` is the majority of `NOT x`, `y` and `x - y` in the highest bit.
///
/// **Shape** two vectors of `n` integers to one plane. **Cost** [`less_than_cost`]: 8 rounds, 454 bits. **Security** composition of quadratic gates.
/// **Source** folklore; [`sign`].
///
/// # Errors
/// [`Error::Shape`] for vectors of different lengths; as [`sign`]. Not cancel safe.
pub async fn less_than<M: Mode>(
    ctx: &mut Ctx<M>,
    order: Order,
    x: View<'_, Z64>,
    y: View<'_, Z64>,
) -> Result<Shares<Lanes>, Error> {
    let (n, words) = (x.len(), Lanes::words(x.len()));
    // Each of the three at the beginning of a word.
    let padding = Shares::zeros(words * Lanes::COUNT - n);
    let d = x.minus(y)?;
    let all = Shares::concat(&[x, padding.view(), y, padding.view(), d.view()]);
    let signs = sign(ctx, all.view()).await?;
    let inverted = match order {
        Order::Unsigned => 0,
        Order::Signed => words,
    };
    let mut signs = signs;
    let mut ones = vec![Lanes(0); 3 * words];
    ones[inverted..inverted + words].fill(Lanes::ONES);
    signs.add_public(ctx.me(), &ones)?;
    ctx.quadratic(&Majority, signs.planes()?).await
}

/// The exact cost of [`less_than`].
pub fn less_than_cost() -> ElementCost {
    sign_cost().times(3).then(ElementCost::lanes(LaneCost { rounds: 1, bits: 1 }))
}

/// Whether `x < y`, for integers that differ by less than `2^63`: all of fixed-point numbers in range. Outside of that the answer is the wrong one.
///
/// **Shape** two vectors of `n` integers to one plane. **Cost** [`sign_cost`]. **Security** and **Source** as [`sign`].
///
/// # Errors
/// As [`less_than`]. Not cancel safe.
pub async fn less_than_near<M: Mode>(
    ctx: &mut Ctx<M>,
    x: View<'_, Z64>,
    y: View<'_, Z64>,
) -> Result<Shares<Lanes>, Error> {
    sign(ctx, x.minus(y)?.view()).await
}

/// Whether `x = y`, for all integers of 64 bits.
///
/// After carry-save, `a + b = 0` if each bit of `a XOR b` is that of `a OR b` one position below; no carry has to be computed.
///
/// **Shape** two vectors of `n` integers to one plane. **Cost** [`equal_cost`]: 8 rounds, 188 bits. **Security** composition of quadratic gates.
/// **Source** Cortadella and Llaberia (IEEE Trans. Computers 41, 1992).
///
/// # Errors
/// As [`less_than`]. Not cancel safe.
pub async fn equal<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>, y: View<'_, Z64>) -> Result<Shares<Lanes>, Error> {
    let d = x.minus(y)?;
    let words = Lanes::words(d.len());
    let sum = d.view().sum_of_components(WORD * words, super::bits::to_planes);
    let apart = sum.view().slice(0, (WORD - 1) * words)?.apart(ctx.me());
    let carries = ctx.quadratic(&Majority, apart.views()).await?;
    // Position i has sum_i and carry_i; there is no carry into position 0, so the sum there is to be zero, as is the OR below position 1.
    let below = (WORD - 2) * words;
    let either = ctx.quadratic(&Or, [sum.view().slice(words, below)?, carries.view().slice(0, below)?]).await?;
    let mut zero = sum.view().to_shares();
    let shifted = Shares::concat(&[Shares::zeros(words).view(), carries.view()]);
    zero.add_assign(shifted.view())?;
    let below = Shares::concat(&[Shares::zeros(words).view(), sum.view().slice(0, words)?, either.view()]);
    zero.add_assign(below.view())?;
    zero.add_public(ctx.me(), &vec![Lanes::ONES; WORD * words])?;
    boolean::all(&mut OnShares::new(ctx, words), &zero).await
}

/// The exact cost of [`equal`].
pub fn equal_cost() -> ElementCost {
    let word = WORD as u64;
    let gates = LaneCost { rounds: 2, bits: word - 1 + word - 2 };
    ElementCost::lanes(gates.then(boolean::equal_cost(WORD)))
}

/// `x` where `choice` is set, `y` elsewhere.
///
/// With `d = x - y` and `u` the exclusive or of the first two components of the choice, `choice d = u (d - 2 b_2 d) + b_2 d`.
///
/// **Shape** one plane and two vectors of `n` integers to one. **Cost** [`select_cost`]: 2 rounds, 3 integers. **Security** two quadratic gates.
/// **Source** as [`inject`](super::inject), with the factor drawn in.
///
/// # Errors
/// As [`less_than`], and [`Error::Shape`] if the plane does not fit. Not cancel safe.
pub async fn select<M: Mode>(
    ctx: &mut Ctx<M>,
    choice: View<'_, Lanes>,
    x: View<'_, Z64>,
    y: View<'_, Z64>,
) -> Result<Shares<Z64>, Error> {
    let d = x.minus(y)?;
    let mut chosen = times_bit(ctx, choice, d.view()).await?;
    chosen.add_assign(y)?;
    Ok(chosen)
}

/// The exact cost of [`select`].
pub const fn select_cost() -> ElementCost {
    ElementCost::integers(2, 3)
}

/// `choice d`: [`select`] between `d` and zero.
pub(super) async fn times_bit<M: Mode>(
    ctx: &mut Ctx<M>,
    choice: View<'_, Lanes>,
    d: View<'_, Z64>,
) -> Result<Shares<Z64>, Error> {
    same("the choices", Lanes::words(d.len()), choice.len())?;
    let [b0, b1, b2] = zero_one(ctx.me(), d.len(), choice)?;
    let both = ctx.quadratic(&XorAndProduct, [b0.view(), b1.view(), b2.view(), d]).await?;
    let [u, t] = both.planes()?;
    let rest = d.minus(scaled(t, Z64(2)).view())?;
    let mut product = ctx.mul(u, rest.view()).await?;
    product.add_assign(t)?;
    Ok(product)
}

/// `x` where it is not negative, zero elsewhere.
///
/// **Shape** `n` integers to `n`. **Cost** [`relu_cost`]: 9 rounds, 151 bits and 3 integers. **Security** and **Source** as [`sign`] and [`select`].
///
/// # Errors
/// As [`sign`]. Not cancel safe.
pub async fn relu<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
    let mut keep = sign(ctx, x).await?;
    keep.add_public(ctx.me(), &vec![Lanes::ONES; Lanes::words(x.len())])?;
    times_bit(ctx, keep.view(), x).await
}

/// The exact cost of [`relu`].
pub fn relu_cost() -> ElementCost {
    sign_cost().then(select_cost())
}

/// `x`, or the public bound it lies beyond, in two's complement; `|x|` and the bounds below `2^62`.
///
/// **Shape** `n` integers to `n`. **Cost** [`clamp_cost`]: 10 rounds, 302 bits and 5 integers. **Security** and **Source** as [`sign`] and [`inject`](super::inject).
///
/// # Errors
/// As [`sign`]. Not cancel safe.
pub async fn clamp<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>, low: i64, high: i64) -> Result<Shares<Z64>, Error> {
    let (me, n) = (ctx.me(), x.len());
    let words = Lanes::words(n);
    let constant = |c: i64| Shares::public(me, &vec![Z64(c.cast_unsigned()); n]);
    let (low, high) = (constant(low), constant(high));
    let (below, above) = (x.minus(low.view())?, high.view().minus(x)?);
    let padding = Shares::zeros(words * Lanes::COUNT - n);
    let both = Shares::concat(&[below.view(), padding.view(), above.view()]);
    let beyond = sign(ctx, both.view()).await?;
    let beyond = super::inject(ctx, n, beyond.view()).await?;
    // x - [x < low] (x - low) + [x > high] (high - x)
    let gaps = Shares::concat(&[scaled(below.view(), Z64(u64::MAX)).view(), above.view()]);
    let mut clamped = ctx.sums_of_products(beyond.view(), gaps.view(), &[2], n).await?;
    clamped.add_assign(x)?;
    Ok(clamped)
}

/// The exact cost of [`clamp`].
pub fn clamp_cost() -> ElementCost {
    sign_cost().times(2).then(super::inject_cost().times(2)).then(ElementCost::integers(1, 1))
}
