//! Sums of products of vectors that are read where they lie.

use crate::{
    Ctx, Error, Mode,
    mode::Sums,
    ring::Ring,
    share::{Shares, Term, same},
};

/// Products in one sum at most.
const MOST: usize = 64;

impl<M: Mode> Ctx<M> {
    /// Sums of products as [`sums_of_products`](Self::sums_of_products) makes them, of factors that need not be neighbours: without a copy of them in semi-honest mode.
    ///
    /// **Shape** vectors of `words` elements; the next `counts[j]` of the terms make sum `j`, at most 64 in each; the result has `words` elements for each sum. **Cost** one round, one element to `prev` for each of the
    /// result. **Security** and **Source** as [`quadratic`](Self::quadratic).
    ///
    /// # Errors
    /// As [`quadratic`](Self::quadratic).
    pub async fn sums_of_terms<R: Ring>(
        &mut self,
        terms: &[Term<'_, R>],
        counts: &[usize],
        words: usize,
    ) -> Result<Shares<R>, Error> {
        let most = counts.iter().copied().max().unwrap_or(0);
        same("the terms of one sum", most.min(MOST), most)?;
        same("the terms of all sums", counts.iter().fold(0, |sum: usize, n| sum.saturating_add(*n)), terms.len())?;
        let len = counts.len().checked_mul(words).filter(|&len| isize::try_from(len).is_ok());
        same("sums of terms", len.unwrap_or(usize::MAX), counts.len().saturating_mul(words))?;
        if let Some(term) = terms.iter().find(|term| !term.has(words)) {
            let got = [term.x.len(), term.y.len(), term.plus.map_or(words, |plus| plus.len())];
            let got = got.into_iter().find(|got| *got != words).unwrap_or(words);
            return Err(Error::Shape { what: "the vectors of a term", expected: words, got });
        }
        let (z, gate) = M::terms(self, terms, &Sums { terms: counts, words })?;
        let sums = self.reshare(z, &gate).await?;
        self.check_if_due().await?;
        Ok(sums)
    }
}
