//! The area under the ROC curve as a program.

use super::{Counts, CreditError, OnCut, Split, train::in_turn};
use crate::{
    arith::{ElementCost, select, select_cost, sign, sign_cost},
    program::{Executor, Inputs, Program, Released, Shape},
};
use trefoil_engine::{Cost, prelude::*};

/// How well scores tell good customers from bad ones, from bins so fine that it hardly matters that there are bins, and of which no count is told.
///
/// **Shape** inputs: the probabilities, [`Number`](super::Number)s, of each owner, then the labels of each, as bits that are set for *bad* customers. Output: four integers. Over all pairs of a good and a bad customer, twice those in which
/// the bad one has the higher score, and once those in one bin; the pairs in one bin; the good customers; the bad ones. So the area is the first over twice the product of the last two, and is off by at most the second over the same
/// ([`area`](Self::area)). All are zero if there are fewer good or bad customers than the minimum. **Cost** [`cost`](Self::cost). **Security** composition of gates.
/// **Source** Mann and Whitney (1947); the counts are those of [`Counts`].
#[derive(Clone, Debug, PartialEq)]
pub struct Auc {
    counts: Counts,
    minimum: u64,
}

impl Auc {
    /// The probabilities of so many customers of each owner, in bins of one width; and how many good and bad customers there have to be.
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
        let cells = self.counts.plain(values, labels);
        let (mut below, mut told) = (0, [0; 4]);
        for (good, bad) in cells[0].iter().zip(&cells[1]) {
            let [twice, tied, goods, bads] = &mut told;
            *twice += bad * (2 * below + good);
            (*tied, *goods, *bads) = (*tied + good * bad, *goods + good, *bads + bad);
            below += good;
        }
        if told[2].min(told[3]) < self.minimum { [0; 4] } else { told }
    }

    /// The exact cost, of P0 in semi-honest mode.
    pub fn cost(&self) -> Cost {
        let mut parts = self.counts.cells_cost();
        parts.push(ElementCost::integers(1, 1).over(2));
        if self.minimum > 0 {
            parts.push(sign_cost().over(2 * Lanes::COUNT));
            parts.push(ElementCost::integers(1, 1).over(1));
            parts.push(select_cost().over(4));
        }
        in_turn(parts)
    }

    /// Nothing, if there are too few good or bad customers.
    async fn enough<M: Mode>(&self, ctx: &mut Ctx<M>, told: Shares<Z64>) -> Result<Shares<Z64>, Error> {
        if self.minimum == 0 {
            return Ok(told);
        }
        // A word of lanes for each of the two.
        let mut rest = Shares::rearrange(told.view().slice(2, 2)?, 2 * Lanes::COUNT, |totals, rest| {
            rest.chunks_exact_mut(Lanes::COUNT).zip(totals).for_each(|(rest, &total)| rest.fill(total));
        });
        rest.add_public(ctx.me(), &vec![Z64(self.minimum.wrapping_neg()); 2 * Lanes::COUNT])?;
        let few = sign(ctx, rest.view()).await?;
        let [good, bad] = few.planes()?;
        let mut either = ctx.mul(good, bad).await?;
        either.add_assign(good)?;
        either.add_assign(bad)?;
        select(ctx, either.view(), Shares::zeros(4).view(), told.view()).await
    }
}

impl Program for Auc {
    fn inputs(&self) -> Vec<Shape> {
        self.counts.inputs()
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::z64(4)]
    }

    async fn run<M: Mode>(&self, mut ctx: Ctx<M>, inputs: Inputs, _: &impl Executor) -> Result<Released<M>, Error> {
        let cells = self.counts.cells(&mut ctx, inputs).await?;
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
        let told = self.enough(&mut ctx, Shares::concat(&[pairs.view(), totals.view()])).await?;
        Ok(Released { strand: ctx.verify().await?, outputs: vec![told.into()] })
    }
}
