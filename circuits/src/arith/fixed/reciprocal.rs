//! Reciprocals and quotients.

use super::{
    Fixed,
    normal::{
        DOWN, Q, Weights, line, normalize, normalize_cost, normalized, power, products, products_cost, up, weight_of,
    },
    reference::round_shift as rounded,
};
use crate::arith::ElementCost;
use trefoil_engine::prelude::*;

/// `2.9142` in `Q` fractional bits: `2.9142 - 2 m` is within 8.6 % of `1 / m` from `1/2` to 1.
const FIRST: i64 = 782_274_606;

impl<const F: u32> Fixed<F> {
    /// Fractional bits of the normalized reciprocal, so that its product with a weight has room.
    const FINE: u32 = if 59 - 2 * F < Q { 59 - 2 * F } else { Q };

    /// `1 / x`.
    ///
    /// `x` is scaled to be between `1/2` and 1, by a power of two read from a table at the place of its highest bit; the series of `1 / (1 - e)` is multiplied up by squares three times (Goldschmidt), and
    /// the result scaled back.
    ///
    /// **Shape** `n` numbers to `n`; `0 < x < 2^(61 - F)`, `F` from 8 to 22. What is zero gives zero, and what is negative no meaningful number. **Cost** [`reciprocal_cost`](Self::reciprocal_cost): 77
    /// rounds, 4,751 bits for 20 fractional bits. Error: at most `2^-FINE / x + 2^-F`, with `FINE` the smaller of 25 and `59 - 2 F`. Failure probability: none.
    /// **Security** composition of gates, [`b2a`](crate::arith::b2a) and truncations. **Source** Goldschmidt (1964); Catrina and Saxena (FC 2010).
    ///
    /// # Errors
    /// As [`Ctx::quadratic`]. Not cancel safe.
    pub async fn reciprocal<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        const { assert!(F >= 8 && F <= 22, "reciprocals take from 8 to 22 fractional bits") };
        let me = ctx.me();
        if x.is_empty() {
            return Ok(Shares::zeros(0));
        }
        let (m, back) = normalize(ctx, x, (&up(), DOWN), &[&back::<F>()]).await?;
        let w = line(me, FIRST, m.view(), -2)?;
        let [d] = products(ctx, [[m.view(), w.view()]], Q).await?;
        let e = line(me, 1 << Q, d.view(), -1)?;
        let [mut w1, e2] = products(ctx, [[w.view(), e.view()], [e.view(), e.view()]], Q).await?;
        w1.add_assign(w.view())?;
        let [mut w2, e4] = products(ctx, [[w1.view(), e2.view()], [e2.view(), e2.view()]], Q).await?;
        w2.add_assign(w1.view())?;
        let one = line(me, 1 << Q, e4.view(), 1)?;
        let [w3] = products(ctx, [[w2.view(), one.view()]], 2 * Q - Self::FINE).await?;
        let [y] = products(ctx, [[w3.view(), back[0].view()]], Self::FINE + 1).await?;
        Ok(y)
    }

    /// The exact cost of [`reciprocal`](Self::reciprocal).
    pub fn reciprocal_cost() -> ElementCost {
        normalize_cost(DOWN, 1)
            .then(products_cost(1, Q))
            .then(products_cost(2, Q))
            .then(products_cost(2, Q))
            .then(products_cost(1, 2 * Q - Self::FINE))
            .then(products_cost(1, Self::FINE + 1))
    }

    /// `x / y`: [`mul`](Self::mul) of `x` and the [`reciprocal`](Self::reciprocal) of `y`.
    ///
    /// **Shape** two vectors of `n` numbers to one, within the bounds of both. **Cost** that of both. Error: `|x|` times that of the reciprocal, and `2^-(F + 1)`.
    /// **Security** and **Source** as both.
    ///
    /// # Errors
    /// [`Error::Shape`] for vectors of different lengths; as [`reciprocal`](Self::reciprocal). Not cancel safe.
    pub async fn div<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>, y: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        crate::arith::bits::same("the divisors", x.len(), y.len())?;
        let y = Self::reciprocal(ctx, y).await?;
        Self::mul(ctx, x, y.view()).await
    }

    /// The twin of [`reciprocal`](Self::reciprocal) on a plain number.
    pub fn plain_reciprocal(x: i64) -> i64 {
        let m = normalized(x, &up(), DOWN);
        let w = FIRST - 2 * m;
        let e = (1 << Q) - rounded(m * w, Q);
        let (w1, e2) = (w + rounded(w * e, Q), rounded(e * e, Q));
        let (w2, e4) = (w1 + rounded(w1 * e2, Q), rounded(e2 * e2, Q));
        let w3 = rounded(w2 * ((1 << Q) + e4), 2 * Q - Self::FINE);
        rounded(w3.wrapping_mul(weight_of(x, &back::<F>())), Self::FINE + 1)
    }
}

/// What scales the reciprocal back, with one bit more.
fn back<const F: u32>() -> Weights {
    std::array::from_fn(|i| power(2 * i64::from(F) - i.cast_signed() as i64))
}
