//! Products of fixed-point numbers: one truncation for each result.

use super::{Fixed, round_shift, shift_cost};
use crate::arith::ElementCost;
use trefoil_engine::prelude::*;

impl<const F: u32> Fixed<F> {
    /// The product, to the nearest number.
    ///
    /// **Shape** two vectors of `n` numbers to one; `|x y| < 2^(61 - 2 F) - 2^-(F + 1)`. **Cost** [`product_cost`](Self::product_cost): one integer, then one [`round_shift`].
    /// Error: at most `2^-(F + 1)`; failure probability: none. **Security** and **Source** as [`Ctx::mul`] and [`round_shift`].
    ///
    /// # Errors
    /// As [`Ctx::mul`]. Not cancel safe.
    pub async fn mul<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>, y: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        let z = ctx.mul(x, y).await?;
        round_shift(ctx, z.view(), F).await
    }

    /// Sums of products, each truncated once: rows of a matrix product, dot products.
    ///
    /// **Shape** as [`Ctx::sums_of_products`]; each *sum* within the bound of [`mul`](Self::mul). **Cost** [`product_cost`](Self::product_cost) for each result, whatever the number of terms (in malicious
    /// mode an integer more for every 64). Error: at most `2^-(F + 1)`. **Security** and **Source** as [`mul`](Self::mul).
    ///
    /// # Errors
    /// As [`Ctx::sums_of_products`]. Not cancel safe.
    pub async fn sums_of_products<M: Mode>(
        ctx: &mut Ctx<M>,
        x: View<'_, Z64>,
        y: View<'_, Z64>,
        terms: &[usize],
        words: usize,
    ) -> Result<Shares<Z64>, Error> {
        let z = ctx.sums_of_products(x, y, terms, words).await?;
        round_shift(ctx, z.view(), F).await
    }

    /// The dot product of two vectors: one sum of [`sums_of_products`](Self::sums_of_products).
    ///
    /// # Errors
    /// As [`Ctx::dot`]. Not cancel safe.
    pub async fn dot<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>, y: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        let z = ctx.dot(x, y).await?;
        round_shift(ctx, z.view(), F).await
    }

    /// The exact cost of each result of [`mul`](Self::mul), [`sums_of_products`](Self::sums_of_products) and [`dot`](Self::dot).
    pub fn product_cost() -> ElementCost {
        ElementCost::integers(1, 1).then(shift_cost(F))
    }
}
