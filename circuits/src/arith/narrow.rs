//! Conversions and comparisons of integers modulo `2^16` and `2^32`: those of [`arith`](super) at their own width, for about a fifth and half of the price.
//!
//! For one element, with full lanes:
//!
//! | function | 16 bits: rounds | bits sent | 32 bits: rounds | bits sent |
//! |---|---|---|---|---|
//! | [`a2b`] | 5 | 47 | 6 | 117 |
//! | [`sign`], [`less_than_near`] | 5 | 33 | 6 | 72 |
//! | [`less_than`] | 6 | 100 | 7 | 217 |
//! | [`b2a`] | 6 | 63 | 7 | 149 |

use super::{
    ElementCost,
    bits::{clear_unused, same},
    convert::FORM,
    kernels::Majority,
};
use crate::{
    boolean::{self, LaneCost, Order},
    gates::OnShares,
};
use trefoil_engine::{prelude::*, simd};
use zeroize::Zeroizing;

/// Integers of some bits.
pub trait Word: Ring {
    /// How many.
    const BITS: usize;
    /// Without sign.
    fn widen(self) -> u64;
    /// The lowest bits.
    fn cut(x: u64) -> Self;
}

macro_rules! word {
    ($ring:ident, $bits:literal) => {
        impl Word for $ring {
            const BITS: usize = $bits;
            fn widen(self) -> u64 {
                self.0.into()
            }
            #[allow(clippy::cast_possible_truncation)] // what is asked for
            fn cut(x: u64) -> Self {
                Self(x as _)
            }
        }
    };
}
word!(Z16, 16);
word!(Z32, 32);
word!(Z64, 64);

/// The bits of integers, as [`arith::a2b`](super::a2b).
///
/// **Shape** `n` integers to [`Word::BITS`] planes of [`Lanes::words`]`(n)` words, bit 0 first; lanes past the last integer hold zeros. **Cost** [`a2b_cost`].
/// **Security** and **Source** as [`arith::a2b`](super::a2b).
///
/// # Errors
/// As [`Ctx::quadratic`]. Not cancel safe.
pub async fn a2b<M: Mode, R: Word>(ctx: &mut Ctx<M>, x: View<'_, R>) -> Result<Shares<Lanes>, Error> {
    let words = Lanes::words(x.len());
    let [sum, carries] = saved(ctx, x).await?;
    let low = sum.view().slice(0, words)?;
    let high = sum.view().slice(words, (R::BITS - 1) * words)?.to_shares();
    let high = boolean::add(&mut OnShares::new(ctx, words), FORM, &high, &carries).await?;
    Ok(Shares::concat(&[low, high.view()]))
}

/// The exact cost of [`a2b`].
pub fn a2b_cost<R: Word>() -> ElementCost {
    ElementCost::lanes(saved_cost::<R>().then(boolean::add_cost(FORM, R::BITS - 1)))
}

/// The highest bit of integers: the sign in two's complement.
///
/// **Shape** `n` integers to one plane. **Cost** [`sign_cost`]. **Security** and **Source** as [`arith::sign`](super::sign).
///
/// # Errors
/// As [`a2b`]. Not cancel safe.
pub async fn sign<M: Mode, R: Word>(ctx: &mut Ctx<M>, x: View<'_, R>) -> Result<Shares<Lanes>, Error> {
    let words = Lanes::words(x.len());
    let [sum, carries] = saved(ctx, x).await?;
    let below = (R::BITS - 2) * words;
    let (u, v) = (sum.view().slice(words, below)?.to_shares(), carries.view().slice(0, below)?.to_shares());
    let mut top = boolean::carry(&mut OnShares::new(ctx, words), FORM, &u, &v).await?;
    top.add_assign(sum.view().slice((R::BITS - 1) * words, words)?)?;
    top.add_assign(carries.view().slice(below, words)?)?;
    Ok(top)
}

/// The exact cost of [`sign`].
pub fn sign_cost<R: Word>() -> ElementCost {
    ElementCost::lanes(saved_cost::<R>().then(boolean::carry_cost(FORM, R::BITS - 2)))
}

/// Whether `x < y`, for all integers.
///
/// **Shape** two vectors of `n` integers to one plane. **Cost** [`less_than_cost`]. **Security** and **Source** as [`arith::less_than`](super::less_than).
///
/// # Errors
/// [`Error::Shape`] for vectors of different lengths; as [`sign`]. Not cancel safe.
pub async fn less_than<M: Mode, R: Word>(
    ctx: &mut Ctx<M>,
    order: Order,
    x: View<'_, R>,
    y: View<'_, R>,
) -> Result<Shares<Lanes>, Error> {
    let (n, words) = (x.len(), Lanes::words(x.len()));
    // Each of the three at the beginning of a word.
    let padding = Shares::zeros(words * Lanes::COUNT - n);
    let d = x.minus(y)?;
    let all = Shares::concat(&[x, padding.view(), y, padding.view(), d.view()]);
    let mut signs = sign(ctx, all.view()).await?;
    let inverted = match order {
        Order::Unsigned => 0,
        Order::Signed => words,
    };
    let mut ones = vec![Lanes(0); 3 * words];
    ones[inverted..inverted + words].fill(Lanes::ONES);
    signs.add_public(ctx.me(), &ones)?;
    ctx.quadratic(&Majority, signs.planes()?).await
}

/// The exact cost of [`less_than`].
pub fn less_than_cost<R: Word>() -> ElementCost {
    sign_cost::<R>().times(3).then(ElementCost::lanes(LaneCost { rounds: 1, bits: 1 }))
}

/// Whether `x < y`, for integers that differ by less than half of the range: a distance and its threshold. Outside of that the answer is the wrong one.
///
/// **Shape** two vectors of `n` integers to one plane. **Cost** [`sign_cost`]. **Security** and **Source** as [`sign`].
///
/// # Errors
/// As [`less_than`]. Not cancel safe.
pub async fn less_than_near<M: Mode, R: Word>(
    ctx: &mut Ctx<M>,
    x: View<'_, R>,
    y: View<'_, R>,
) -> Result<Shares<Lanes>, Error> {
    sign(ctx, x.minus(y)?.view()).await
}

/// Integers from their bits.
///
/// **Shape** `k <=` [`Word::BITS`] planes of [`Lanes::words`]`(count)` words, bit 0 first, to `count` integers from 0 to `2^k - 1`; lanes past the last one are not looked at. **Cost** [`b2a_cost`].
/// **Security** and **Source** as [`arith::b2a`](super::b2a).
///
/// # Errors
/// [`Error::Shape`] if the planes do not fit the count; as [`Ctx::quadratic`]. Not cancel safe.
pub async fn b2a<M: Mode, R: Word>(ctx: &mut Ctx<M>, count: usize, bits: View<'_, Lanes>) -> Result<Shares<R>, Error> {
    let words = Lanes::words(count);
    if words == 0 {
        return Ok(Shares::zeros(0));
    }
    let planes = bits.len() / words;
    same("the planes of integers", planes.min(R::BITS) * words, bits.len())?;
    let mut x = Shares::concat(&[bits, Shares::zeros((R::BITS - planes) * words).view()]);
    // No mask covers these.
    x.update(|planes| clear_unused(count, planes));

    let masks = ctx.masks::<R>(count)?;
    let [_, m1, m2] = masks.view().components(ctx.me(), R::BITS * words, to_planes);
    let mut d = x.view().plus(m1.view())?;
    d.add_assign(m2.view())?;
    let below = (R::BITS - 1) * words;
    x.add_public(ctx.me(), &vec![Lanes::ONES; R::BITS * words])?;
    let of = [&x, &m1, &m2].map(|x| x.view().slice(0, below));
    let [not_x, m1, m2] = of;
    let borrows = ctx.quadratic(&Majority, [not_x?, m1?, m2?]).await?;
    let high = d.view().slice(words, below)?.to_shares();
    let high = boolean::sub(&mut OnShares::new(ctx, words), FORM, &high, &borrows).await?;
    let d = Shares::concat(&[d.view().slice(0, words)?, high.view()]);
    ctx.unmask(masks, d.view(), to_integers).await
}

/// The exact cost of [`b2a`], whatever the number of planes.
pub fn b2a_cost<R: Word>() -> ElementCost {
    a2b_cost::<R>().then(ElementCost { rounds: 1, shown: R::BITS as u64, ..ElementCost::default() })
}

/// Sums without carries of all positions, and the carries into all but the lowest.
async fn saved<M: Mode, R: Word>(ctx: &mut Ctx<M>, x: View<'_, R>) -> Result<[Shares<Lanes>; 2], Error> {
    let words = Lanes::words(x.len());
    let sum = x.sum_of_components(R::BITS * words, to_planes);
    let apart = sum.view().slice(0, (R::BITS - 1) * words)?.apart(ctx.me());
    let carries = ctx.quadratic(&Majority, apart.views()).await?;
    Ok([sum, carries])
}

/// The price of [`saved`].
fn saved_cost<R: Word>() -> LaneCost {
    LaneCost { rounds: 1, bits: R::BITS as u64 - 1 }
}

/// The planes of integers.
fn to_planes<R: Word>(x: &[R], planes: &mut [Lanes]) {
    let rows: Zeroizing<Vec<u64>> = Zeroizing::new(x.iter().map(|x| x.widen()).collect());
    let mut all = Zeroizing::new(vec![0; planes.len() / R::BITS * 64]);
    simd::rows_to_planes(&rows, 1, &mut all);
    planes.copy_from_slice(bytemuck::cast_slice(&all[..planes.len()]));
}

/// The inverse.
fn to_integers<R: Word>(planes: &[Lanes], x: &mut [R]) {
    let mut all = Zeroizing::new(vec![0; planes.len() / R::BITS * 64]);
    all[..planes.len()].copy_from_slice(bytemuck::cast_slice(planes));
    let mut rows = Zeroizing::new(vec![0; x.len()]);
    simd::planes_to_rows(&all, 1, &mut rows);
    x.iter_mut().zip(rows.iter()).for_each(|(x, &row)| *x = R::cut(row));
}
