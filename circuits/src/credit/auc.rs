//! The area under the ROC curve as a program.

use super::{Counts, CreditError, OnCut, Split, train::in_turn};
use crate::{
    arith::ElementCost,
    program::{Executor, Inputs, Program, Released, Shape},
};
use trefoil_engine::{Cost, prelude::*};

/// How well scores tell good customers from bad ones, from bins so fine that it hardly matters that there are bins, and of which no count is told.
///
/// **Shape** inputs: the probabilities, [`Number`](super::Number)s, of each owner, then the labels of each, as bits that are set for *bad* customers. Output: four integers. Over all pairs of a good and a bad customer, twice those in which
/// the bad one has the higher score, and once those in one bin; the pairs in one bin; the good customers; the bad ones. So the area is the first over twice the product of the last two, and is off by at most the second over the same
/// ([`area`](Self::area)). Owners with fewer good or fewer bad customers than the minimum are left out, the same ones as of [`Counts`]: the numbers of good and of bad customers are those that its bins add up to, and their difference tells nothing. If that
/// are all owners, all four are zero. **Cost** [`cost`](Self::cost). **Security** composition of gates.
/// **Source** Mann and Whitney (1947); the counts are those of [`Counts`].
#[derive(Clone, Debug, PartialEq)]
pub struct Auc {
    counts: Counts,
    minimum: u64,
}

impl Auc {
    /// The probabilities of so many customers of each owner, in bins of one width; and how many good and bad customers an owner has to have.
    ///
    /// # Errors
    /// [`CreditError`]: fewer than 2 bins or more than 4,097, more than 2^31 rows or a minimum beyond.
    pub fn new(rows: Vec<usize>, bins: usize, minimum: u64) -> Result<Self, CreditError> {
        CreditError::setting((2..=4097).contains(&bins), "the number of bins", bins as f64, "from 2 to 4097")?;
        let all: usize = rows.iter().sum();
        // Twice the product of two counts is an integer below 2^63.
        CreditError::setting(all as u64 <= 1 << 31, "the number of rows", all as f64, "at most 2^31")?;
        CreditError::setting(minimum <= 1 << 31, "the least count", minimum as f64, "at most 2^31")?;
        let cuts: Vec<f64> = (1..bins).map(|k| k as f64 / bins as f64).collect();
        Ok(Self { counts: Counts::new(rows, (&cuts, OnCut::Upper), Split::Label, 0)?, minimum })
    }

    /// The area and how far it can be from that of the scores themselves, from what was told; nothing if there were too few customers.
    pub fn area([twice, tied, good, bad]: [u64; 4]) -> Option<(f64, f64)> {
        let pairs = good as f64 * bad as f64;
        (pairs > 0.0).then(|| (twice as f64 / 2.0 / pairs, tied as f64 / 2.0 / pairs))
    }

    /// The plain twin.
    pub fn plain(&self, values: &[i64], labels: &[bool]) -> [u64; 4] {
        let (mut below, mut told, mut from) = (0, [0; 4], 0);
        let mut cells = vec![vec![0; self.counts.bins()]; 2];
        for rows in self.counts.rows() {
            let part = self.counts.of_rows(&values[from..from + rows], &labels[from..from + rows]);
            from += rows;
            if part.iter().all(|cells| cells.iter().sum::<u64>() >= self.minimum) {
                cells.iter_mut().flatten().zip(part.iter().flatten()).for_each(|(cell, more)| *cell += more);
            }
        }
        for (good, bad) in cells[0].iter().zip(&cells[1]) {
            let [twice, tied, goods, bads] = &mut told;
            *twice += bad * (2 * below + good);
            (*tied, *goods, *bads) = (*tied + good * bad, *goods + good, *bads + bad);
            below += good;
        }
        told
    }

    /// The exact cost, of P0 in semi-honest mode.
    pub fn cost(&self) -> Cost {
        let mut parts = self.counts.parts_cost();
        if self.leaves_out() {
            parts.extend(self.counts.of_parts(self.minimum).of_large_parts_cost());
        }
        parts.push(ElementCost::integers(1, 1).over(2));
        in_turn(parts)
    }

    fn leaves_out(&self) -> bool {
        self.minimum > 0 && !self.counts.rows().is_empty()
    }
}

impl Program for Auc {
    fn inputs(&self) -> Vec<Shape> {
        self.counts.inputs()
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::z64(4)]
    }

    async fn protocol<M: Mode>(&self, mut ctx: Ctx<M>, inputs: Inputs, _: &dyn Executor) -> Result<Released<M>, Error> {
        let parts = self.counts.parts(&mut ctx, inputs).await?;
        let cells = if self.leaves_out() {
            self.counts.of_parts(self.minimum).of_large_parts(&mut ctx, parts.view()).await?
        } else {
            self.counts.together(parts.view())?
        };
        let bins = self.counts.bins();
        let [good, bad] = cells.planes()?;
        let below = Shares::rearrange(good, bins, |good, below| {
            let mut sum = Z64(0);
            for (below, &good) in below.iter_mut().zip(good) {
                *below = sum + sum + good;
                sum = sum + good;
            }
        });
        let factors = [Shares::concat(&[below.view(), good]), Shares::concat(&[bad, bad])];
        let pairs = ctx.sums_of_products(factors[0].view(), factors[1].view(), &[bins; 2], 1).await?;
        let totals = Shares::rearrange(cells.view(), 2, |cells, totals| {
            for (total, cells) in totals.iter_mut().zip(cells.chunks_exact(bins)) {
                *total = cells.iter().fold(Z64(0), |sum, &cell| sum + cell);
            }
        });
        let told = Shares::concat(&[pairs.view(), totals.view()]);
        Ok(Released { strand: ctx.verify().await?, outputs: vec![told.into()] })
    }
}
