//! Square roots and their reciprocals.

use super::{
    Fixed,
    normal::{Q, Weights, line, normalize, normalize_cost, normalized, power, products, products_cost, weight_of},
    reference::round_shift as rounded,
};
use crate::arith::{ElementCost, bits::scaled};
use trefoil_engine::prelude::*;

/// `2.154` in `Q + 2` fractional bits: `v = 2.154 - 5/4 m` has `m v^2` within 18.5 % of 1 from `1/4` to 1.
const FIRST: i64 = 4 * 578_209_972;
/// What a number times its weight is shifted by, to be between `1/4` and 1.
const DOWN: u32 = 60 - Q;

impl<const F: u32> Fixed<F> {
    /// Fractional bits of the normalized root, and of its reciprocal, so that their products with a weight have room.
    const ROOT: u32 = if 30 - F / 2 < Q { 30 - F / 2 } else { Q };
    const INVERSE: u32 = if 59 - 3 * F / 2 < Q { 59 - 3 * F / 2 } else { Q };

    /// The square root.
    ///
    /// `x` is scaled to be between `1/4` and 1, by a power of four read from a table at the place of its highest bit, Goldschmidt's iteration is run three times, and the result scaled back.
    ///
    /// **Shape** `n` numbers to `n`; `0 <= x < 2^(60 - F)`, `F` even, from 8 to 22. What is negative gives no meaningful number. **Cost** [`sqrt_cost`](Self::sqrt_cost): 103
    /// rounds, 6,128 bits for 20 fractional bits. Error: at most `2^-FINE sqrt(x) + 2^-(F + 1)`, with `FINE` the smaller of 21 and `29 - F / 2`. Failure probability: none.
    /// **Security** composition of gates, [`b2a`](crate::arith::b2a) and truncations. **Source** Goldschmidt (1964); Catrina and Saxena (FC 2010).
    ///
    /// # Errors
    /// As [`Ctx::quadratic`]. Not cancel safe.
    pub async fn sqrt<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        if x.is_empty() {
            return Ok(Shares::zeros(0));
        }
        let (m, back) = normalize(ctx, x, (&up(), DOWN), &[&root_back::<F>()]).await?;
        let [g, _, more] = iterate(ctx, m.view()).await?;
        let [root] = products(ctx, [[g.view(), more.view()]], 2 * Q - Self::ROOT).await?;
        let [y] = products(ctx, [[root.view(), back[0].view()]], Self::ROOT).await?;
        Ok(y)
    }

    /// `1 / sqrt(x)`.
    ///
    /// **Shape** `n` numbers to `n`; `0 < x < 2^(60 - F)`, `F` even, from 8 to 22. What is zero gives zero. **Cost** [`inverse_sqrt_cost`](Self::inverse_sqrt_cost): 102
    /// rounds, 6,130 bits for 20 fractional bits. Error: at most `2^-22 / sqrt(x) + 2^-F`. Failure probability: none. **Security** and **Source** as [`sqrt`](Self::sqrt).
    ///
    /// # Errors
    /// As [`Ctx::quadratic`]. Not cancel safe.
    pub async fn inverse_sqrt<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        if x.is_empty() {
            return Ok(Shares::zeros(0));
        }
        let (m, back) = normalize(ctx, x, (&up(), DOWN), &[&inverse_back::<F>()]).await?;
        let [_, h, more] = iterate(ctx, m.view()).await?;
        let [v] = products(ctx, [[h.view(), more.view()]], 2 * Q - Self::INVERSE - 1).await?;
        let [y] = products(ctx, [[v.view(), back[0].view()]], Self::INVERSE + 1).await?;
        Ok(y)
    }

    /// The exact cost of [`sqrt`](Self::sqrt).
    pub fn sqrt_cost() -> ElementCost {
        iterate_cost().then(products_cost(1, 2 * Q - Self::ROOT)).then(products_cost(1, Self::ROOT))
    }

    /// The exact cost of [`inverse_sqrt`](Self::inverse_sqrt).
    pub fn inverse_sqrt_cost() -> ElementCost {
        iterate_cost().then(products_cost(1, 2 * Q - Self::INVERSE - 1)).then(products_cost(1, Self::INVERSE + 1))
    }

    /// The twin of [`sqrt`](Self::sqrt) on a plain number.
    pub fn plain_sqrt(x: i64) -> i64 {
        let [g, _, more] = plain_iterate(normalized(x, &up(), DOWN));
        let root = rounded(g * more, 2 * Q - Self::ROOT);
        rounded(root.wrapping_mul(weight_of(x, &root_back::<F>())), Self::ROOT)
    }

    /// The twin of [`inverse_sqrt`](Self::inverse_sqrt) on a plain number.
    pub fn plain_inverse_sqrt(x: i64) -> i64 {
        let [_, h, more] = plain_iterate(normalized(x, &up(), DOWN));
        let v = rounded(h * more, 2 * Q - Self::INVERSE - 1);
        rounded(v.wrapping_mul(weight_of(x, &inverse_back::<F>())), Self::INVERSE + 1)
    }
}

/// `g` next to `sqrt(m)` and `h` next to `1 / (2 sqrt(m))`, and the factor that brings either to its last value.
async fn iterate<M: Mode>(ctx: &mut Ctx<M>, m: View<'_, Z64>) -> Result<[Shares<Z64>; 3], Error> {
    let me = ctx.me();
    // 1 + r, where r = 1/2 - g h.
    let factor = |gh: View<'_, Z64>| line(me, 3 << (Q - 1), gh, -1);
    // With Q + 2 fractional bits, hence h with Q + 3.
    let v = line(me, FIRST, m, -5)?;
    let [g] = products(ctx, [[m, v.view()]], Q + 2).await?;
    let [gh] = products(ctx, [[g.view(), v.view()]], Q + 3).await?;
    let more = factor(gh.view())?;
    let g = scaled(g.view(), Z64(8));
    let [g, h] = products(ctx, [[g.view(), more.view()], [v.view(), more.view()]], Q + 3).await?;
    let [gh] = products(ctx, [[g.view(), h.view()]], Q).await?;
    let more = factor(gh.view())?;
    let [g, h] = products(ctx, [[g.view(), more.view()], [h.view(), more.view()]], Q).await?;
    let [gh] = products(ctx, [[g.view(), h.view()]], Q).await?;
    let more = factor(gh.view())?;
    Ok([g, h, more])
}

/// The exact cost of [`iterate`], and of [`normalize`] before it.
fn iterate_cost() -> ElementCost {
    let step = |bits| products_cost(1, bits);
    normalize_cost(DOWN, 1)
        .then(step(Q + 2))
        .then(step(Q + 3))
        .then(products_cost(2, Q + 3))
        .then(step(Q))
        .then(products_cost(2, Q))
        .then(step(Q))
}

/// The twin of [`iterate`].
fn plain_iterate(m: i64) -> [i64; 3] {
    let factor = |gh: i64| (3 << (Q - 1)) - gh;
    let v = FIRST - 5 * m;
    let g = rounded(m * v, Q + 2);
    let more = factor(rounded(g * v, Q + 3));
    let (g, h) = (rounded(8 * g * more, Q + 3), rounded(v * more, Q + 3));
    let more = factor(rounded(g * h, Q));
    let (g, h) = (rounded(g * more, Q), rounded(h * more, Q));
    [g, h, factor(rounded(g * h, Q))]
}

/// `x = m 4^e` with `m` from `1/4` to 1, for a highest bit.
const fn exponent(i: usize) -> i64 {
    i.cast_signed() as i64 / 2 + 1
}

/// `x` times its weight is from `2^58` to `2^60`.
fn up() -> Weights {
    std::array::from_fn(|i| power(60 - 2 * exponent(i)))
}

fn root_back<const F: u32>() -> Weights {
    const { assert!(F >= 8 && F <= 22 && F.is_multiple_of(2), "roots take an even number of fractional bits from 8 to 22") };
    std::array::from_fn(|i| if i < 60 { power(i64::from(F / 2) + exponent(i)) } else { 0 })
}

/// With one bit more.
fn inverse_back<const F: u32>() -> Weights {
    const { assert!(F >= 8 && F <= 22 && F.is_multiple_of(2), "roots take an even number of fractional bits from 8 to 22") };
    std::array::from_fn(|i| power(i64::from(3 * F / 2) + 1 - exponent(i)))
}
