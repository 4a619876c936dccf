//! Products of all rows of one matrix with all rows of another.

use crate::{
    Ctx, Error, Mode,
    ring::Ring,
    share::{KeptRows, Shares, Windows, same},
};

impl<M: Mode> Ctx<M> {
    /// The products of all rows of one matrix with all rows of another, for several pairs of matrices at once. Rows are read where they lie.
    ///
    /// **Shape** pairs of matrices of one width each, to one element for each pair of rows: `x.count() * y.count()` elements for each pair, those of a row of `x` one after the
    /// other. **Cost** one round, one element to `prev` for each pair of rows; in malicious mode as many rounds as it takes that no more rows of `x` are recorded at a time than for one
    /// [check](Self::check_every). **Security** and **Source** as [`quadratic`](Self::quadratic).
    ///
    /// # Errors
    /// As [`quadratic`](Self::quadratic).
    pub async fn dots<R: Ring>(&mut self, pairs: &[[Windows<'_, R>; 2]]) -> Result<Shares<R>, Error> {
        for [x, y] in pairs {
            same("the width of the second matrix", x.width(), y.width())?;
        }
        if !M::RECORDS {
            return self.dots_at_once(pairs).await;
        }
        let mut all = Shares::zeros(pairs.iter().map(|[x, y]| x.count() * y.count()).sum());
        let mut at = 0;
        for [x, y] in pairs {
            // In both components, with the claims.
            let row = (x.width().max(x.step()) + y.count()).saturating_mul(2 * size_of::<R>()).max(1);
            let rows = (self.check_every / row).max(1);
            for from in (0..x.count()).step_by(rows) {
                let part = x.part(from, rows.min(x.count() - from))?;
                let products = self.dots_at_once(&[[part, *y]]).await?;
                all.copy_from(at, products.view())?;
                at += products.len();
            }
        }
        Ok(all)
    }

    /// The same with rows that are [`Kept`](crate::Kept). In semi-honest mode it takes half as many multiplications.
    ///
    /// **Shape**, **Cost** and **Security** as [`dots`](Self::dots). **Source** Shamir's form of both factors, see [`Kept`](crate::Kept); the sharing of zero that masks the products is the one of every gate.
    ///
    /// # Errors
    /// As [`dots`](Self::dots); [`Error::Shape`] if rows of a second matrix begin at odd distances.
    pub async fn dots_kept<R: Ring>(
        &mut self,
        pairs: &[(KeptRows<'_, M, R>, Windows<'_, R>)],
    ) -> Result<Shares<R>, Error> {
        for (x, y) in pairs {
            same("the width of the second matrix", x.width(), y.width())?;
            same("the distance of the second matrix' rows", y.step().next_multiple_of(2), y.step())?;
        }
        M::dots_kept(self, pairs).await
    }

    async fn dots_at_once<R: Ring>(&mut self, pairs: &[[Windows<'_, R>; 2]]) -> Result<Shares<R>, Error> {
        let (z, gate) = M::dots(self, pairs)?;
        let z = self.reshare(z, &gate).await?;
        self.check_if_due().await?;
        Ok(z)
    }
}

#[cfg(test)]
mod tests {
    use crate::{prelude::*, testing::on_shares};

    /// Rows of a table, and overlapping rows of a vector.
    fn products<M: Mode, R: Ring>(word: impl Fn(u64) -> R, [n, m]: [usize; 2], width: usize) -> crate::Cost {
        let x: Vec<R> = (0..n * (width + 3)).map(|k| word(k as u64)).collect();
        let y: Vec<R> = (0..width + 2 * m + 7).map(|k| word(1 << 20 | k as u64)).collect();
        let (out, cost) = on_shares::<M, R, _>(&[&x, &y], async |ctx, v| {
            let x = Windows::new(v[0].view(), width + 3, n, width)?;
            let y = Windows::new(v[1].view(), 2, m, width)?;
            let short = Windows::new(v[1].view().slice(1, 6)?, 1, 2, 5)?;
            ctx.dots(&[[x, y], [short, short]]).await
        });
        let dot = |x: &[R], y: &[R]| x.iter().zip(y).fold(R::default(), |sum, (&x, &y)| sum + x * y);
        let mut due = Vec::new();
        for i in 0..n {
            due.extend((0..m).map(|j| dot(&x[i * (width + 3)..][..width], &y[2 * j..])));
        }
        due.extend([(1, 1), (1, 2), (2, 1), (2, 2)].map(|(a, b)| dot(&y[a..a + 5], &y[b..b + 5])));
        assert_eq!(out, due, "{n} by {m}, {width}");
        cost
    }

    #[test]
    fn products_of_rows_are_the_plain_ones_at_one_element_each() {
        let word = |k: u64| k.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
        for (shape, width) in [([1, 31], 70), ([5, 3], 64), ([0, 4], 9), ([4, 0], 9), ([2, 2], 0), ([9, 7], 200)] {
            let cost = products::<SemiHonest, _>(|k| Z16(word(k) as u16), shape, width);
            let elements = (shape[0] * shape[1] + 4) as u64;
            assert_eq!(cost, crate::Cost { rounds: 1, bytes_sent: 2 * elements, products: elements });
            products::<SemiHonest, _>(|k| Z64(word(k)), shape, width);
            products::<Malicious, _>(|k| Z16(word(k) as u16), shape, width);
        }
        products::<Malicious, _>(|k| Z64(word(k)), [3, 2], 130);
        products::<Malicious, _>(|k| Lanes(word(k)), [3, 2], 130);
    }

    /// The same products of rows that are kept.
    fn kept<M: Mode, R: Ring>(word: impl Fn(u64) -> R, [n, m]: [usize; 2], width: usize) -> crate::Cost {
        let x: Vec<R> = (0..n * (width + 4) + 2).map(|k| word(k as u64)).collect();
        let y: Vec<R> = (0..width + 2 * m + 7).map(|k| word(1 << 20 | k as u64)).collect();
        let (out, cost) = on_shares::<M, R, _>(&[&x, &y], async |ctx, v| {
            let mut kept = Kept::<M, R>::with_capacity(x.len());
            kept.push(v[0].view());
            let y = Windows::new(v[1].view().slice(1, y.len() - 1)?, 2, m, width)?;
            ctx.dots_kept(&[
                (kept.rows(2, width + 4, [n, width])?, y),
                (kept.rows(0, 0, [1, 2])?, Windows::new(v[1].view(), 0, 1, 2)?),
            ])
            .await
        });
        let dot = |x: &[R], y: &[R]| x.iter().zip(y).fold(R::default(), |sum, (&x, &y)| sum + x * y);
        let mut due = Vec::new();
        for i in 0..n {
            due.extend((0..m).map(|j| dot(&x[2 + i * (width + 4)..][..width], &y[1 + 2 * j..])));
        }
        due.push(dot(&x[..2], &y));
        assert_eq!(out, due, "{n} by {m}, {width}");
        cost
    }

    #[test]
    fn products_of_rows_that_are_kept_are_the_plain_ones_at_the_same_price() {
        let word = |k: u64| k.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
        for (shape, width) in [([1, 31], 70), ([5, 3], 64), ([0, 4], 10), ([4, 0], 10), ([2, 2], 0), ([9, 7], 200)] {
            let cost = kept::<SemiHonest, _>(|k| Z16(word(k) as u16), shape, width);
            let elements = (shape[0] * shape[1] + 1) as u64;
            assert_eq!(cost, crate::Cost { rounds: 1, bytes_sent: 2 * elements, products: elements });
            kept::<Malicious, _>(|k| Z16(word(k) as u16), shape, width);
        }
        kept::<SemiHonest, _>(|k| Z64(word(k)), [3, 4], 130);
        kept::<SemiHonest, _>(|k| Lanes(word(k)), [3, 4], 130);
        kept::<Malicious, _>(|k| Lanes(word(k)), [3, 4], 130);
        let x = vec![Z16(3); 40];
        on_shares::<SemiHonest, Z16, _>(&[&x], async |ctx, v| {
            let mut kept = Kept::with_capacity(40);
            kept.push(v[0].view());
            let rows = || kept.rows(0, 0, [1, 4]);
            assert!(ctx.dots_kept(&[(rows()?, Windows::new(v[0].view(), 1, 3, 4)?)]).await.is_err());
            assert!(ctx.dots_kept(&[(rows()?, Windows::new(v[0].view(), 2, 3, 5)?)]).await.is_err());
            ctx.dots_kept(&[(rows()?, Windows::new(v[0].view(), 2, 3, 4)?)]).await
        });
    }

    #[test]
    fn little_is_recorded_at_a_time_and_shapes_are_checked() {
        let x = vec![Z16(3); 1000];
        on_shares::<Malicious, Z16, _>(&[&x], async |ctx, v| {
            ctx.check_every(4000);
            let rows = Windows::new(v[0].view(), 100, 10, 100)?;
            let narrow = Windows::new(v[0].view(), 100, 10, 99)?;
            assert!(matches!(ctx.dots(&[[rows, narrow]]).await, Err(Error::Shape { .. })));
            assert!(Windows::new(v[0].view(), 100, 11, 100).is_err());
            assert!(Windows::new(v[0].view(), usize::MAX, 3, 100).is_err());
            let before = ctx.cost().rounds;
            let products = ctx.dots(&[[rows, Windows::new(v[0].view(), 1, 5, 100)?]]).await?;
            // Two rows at a time, a check after each.
            assert!(ctx.cost().rounds > before + 10);
            Ok(products)
        });
    }
}
