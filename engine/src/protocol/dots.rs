//! Products of all rows of one matrix with all rows of another.

use crate::{
    Ctx, Error, Mode,
    check::matrix::MatrixProduct,
    ring::Ring,
    share::{KeptRows, Shares, Windows, same},
};

impl<M: Mode> Ctx<M> {
    /// The products of all rows of one matrix with all rows of another, for several pairs of matrices at once. Rows are read where they lie.
    ///
    /// **Shape** pairs of matrices of one width each, to one element for each pair of rows: `x.count() * y.count()` elements for each pair, those of a row of `x` one after the
    /// other. **Cost** one round, one element to `prev` for each pair of rows. In malicious mode that is so for what is no more than a [check](Self::check_every) takes at once; what is more goes in
    /// parts, of some rows of `x` each, in a round of their own, and of at most [`check_every`](Self::check_every) `/ 4 e` columns, `e` being the bytes that the ring's elements take in a check (128 for 16 bits, 512 for 64): a part of
    /// columns costs elements of its own. **Security** and **Source** as [`quadratic`](Self::quadratic).
    ///
    /// # Errors
    /// As [`quadratic`](Self::quadratic); [`Error::Shape`] for more pairs of rows than can be counted.
    pub async fn dots<R: Ring>(&mut self, pairs: &[[Windows<'_, R>; 2]]) -> Result<Shares<R>, Error> {
        let mut len = 0_usize;
        for [x, y] in pairs {
            same("the width of the second matrix", x.width(), y.width())?;
            let more = x.count().checked_mul(y.count()).and_then(|more| len.checked_add(more));
            len = more
                .filter(|&len| isize::try_from(len.saturating_mul(size_of::<R>())).is_ok())
                .ok_or(Error::Shape { what: "pairs of rows", expected: usize::MAX, got: usize::MAX })?;
        }
        // What the vectors of a check take for each column.
        let columns = (self.check_every / (4 * R::ELEMENTS * size_of::<R::Ext>())).max(64);
        let all_at_once = pairs.iter().map(|[x, y]| taken(x, y)).fold(0, usize::saturating_add) <= self.check_every;
        if !M::RECORDS || all_at_once {
            return self.dots_at_once(pairs).await;
        }
        let mut all = Shares::zeros(len);
        let mut at = 0;
        for [x, y] in pairs {
            for first in (0..x.width()).step_by(columns) {
                let width = columns.min(x.width() - first);
                let (x, y) = (x.columns(first, width)?, y.columns(first, width)?);
                let rows = (self.check_every / row(&x, &y)).max(1);
                for from in (0..x.count()).step_by(rows) {
                    let part = x.part(from, rows.min(x.count() - from))?;
                    let products = self.dots_at_once(&[[part, y]]).await?;
                    all.add_at(at + from * y.count(), products.view())?;
                }
            }
            at += x.count() * y.count();
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

/// Bytes that a row of the first matrix adds to a record: in both components, with its claims.
fn row<R: Ring>(x: &Windows<'_, R>, y: &Windows<'_, R>) -> usize {
    let words = if x.count() > 1 { x.width().min(x.step()) } else { x.width() };
    (words + y.count()).saturating_mul(2 * size_of::<R>()).max(1)
}

/// Bytes that a product takes in the record and in a check.
fn taken<R: Ring>(x: &Windows<'_, R>, y: &Windows<'_, R>) -> usize {
    let vectors = MatrixProduct::<R>::vectors(x.count() == 1 || y.count() == 1);
    let elements = vectors * R::ELEMENTS * size_of::<R::Ext>();
    row(x, y).saturating_mul(x.count()).saturating_add(x.width().saturating_mul(elements))
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
            let again = Windows::new(v[1].view(), 0, 2, 5)?;
            ctx.dots(&[[x, y], [short, short], [again, short]]).await
        });
        let dot = |x: &[R], y: &[R]| x.iter().zip(y).fold(R::default(), |sum, (&x, &y)| sum + x * y);
        let mut due = Vec::new();
        for i in 0..n {
            due.extend((0..m).map(|j| dot(&x[i * (width + 3)..][..width], &y[2 * j..])));
        }
        let pairs = [(1, 1), (1, 2), (2, 1), (2, 2), (0, 1), (0, 2), (0, 1), (0, 2)];
        due.extend(pairs.map(|(a, b)| dot(&y[a..a + 5], &y[b..b + 5])));
        assert_eq!(out, due, "{n} by {m}, {width}");
        cost
    }

    #[test]
    fn products_of_rows_are_the_plain_ones_at_one_element_each() {
        let word = |k: u64| k.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
        for (shape, width) in [([1, 31], 70), ([5, 3], 64), ([0, 4], 9), ([4, 0], 9), ([2, 2], 0), ([9, 7], 200)] {
            let cost = products::<SemiHonest, _>(|k| Z16(word(k) as u16), shape, width);
            let elements = (shape[0] * shape[1] + 8) as u64;
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
        let out = on_shares::<Malicious, Z16, _>(&[&x], async |ctx, v| {
            ctx.check_every(4000);
            let rows = Windows::new(v[0].view(), 100, 10, 100)?;
            let narrow = Windows::new(v[0].view(), 100, 10, 99)?;
            assert!(matches!(ctx.dots(&[[rows, narrow]]).await, Err(Error::Shape { .. })));
            assert!(Windows::new(v[0].view(), 100, 11, 100).is_err());
            assert!(Windows::new(v[0].view(), usize::MAX, 3, 100).is_err());
            let before = ctx.cost().rounds;
            let products = ctx.dots(&[[rows, Windows::new(v[0].view(), 1, 5, 100)?]]).await?;
            // Nine rows at a time, a check after each part.
            assert!(ctx.cost().rounds > before + 10);
            // 64 columns at a time, so an element for each of two parts.
            let before = ctx.cost().products;
            let wide = ctx.dots(&[[rows, Windows::new(v[0].view(), 0, 2, 100)?]]).await?;
            assert_eq!(ctx.cost().products - before, 2 * 20);
            assert!(wide.len() == 20 && products.len() == 50);
            Ok(Shares::concat(&[products.view(), wide.view()]))
        });
        assert_eq!(out.0, vec![Z16(900); 70]);
    }
}
