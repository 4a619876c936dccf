//! Counting as a program: what reports are made of.

mod above;
mod count;

use super::{CreditError, Number, Pooled, train::in_turn};
use crate::{
    arith::{ElementCost, select, select_cost, sign, sign_cost},
    program::{Executor, Inputs, Program, Released, Shape, Vector},
};
use above::Above;
use count::{count, count_cost, joined};
use trefoil_engine::{Cost, prelude::*};

/// Words of planes at once: what they hold stays a small part of memory.
const WORDS: usize = 1 << 20;
/// Cut points at most.
const MOST_CUTS: usize = 4096;

/// What the customers of a bin are counted by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Split {
    /// Good ones and bad ones.
    Label,
    /// Not at all.
    Whole,
}

/// The bin of a value that lies on a cut point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnCut {
    /// The one below, as in [`Binning`](super::reference::Binning).
    Lower,
    /// The one above, as in [`Histogram`](super::reference::Histogram).
    Upper,
}

/// Counts customers by bins of a shared value: a score, a probability, a feature.
///
/// From the counts by label of a score follow AUC, Gini, KS, confusion at a cut point, lift and calibration
/// ([`Histogram::from_counts`](super::reference::Histogram::from_counts), which states the error of the AUC), and from those of a feature weight of evidence and information value
/// ([`Binning::from_counts`](super::reference::Binning::from_counts)); from counts of two populations the stability index ([`psi`](super::reference::psi)). A count below the minimum becomes zero before
/// it leaves the computation; nobody can tell it from a bin without customers.
///
/// **Shape** inputs: the values, [`Number`]s, of each owner; then, if they are split by it, the labels of each, as bits that are set for *bad* customers. Outputs: for each bin, lowest
/// first, the good customers, then the bad ones, or all of them: as integers. **Cost** [`cost`](Self::cost): for each row 451 bits; for each row and cut point at most 26 to compare, fewer the more
/// cut points begin with the same bits, one for the label and one for each count; for each cut point and a batch of rows two conversions of 64 integers. For tenths of 28,632 probabilities 65 bits a row and cut point, for
/// hundredths 13, in 39 rounds.
/// **Security** composition of gates. **Source** ours; the counts are those of [`popcount`](crate::boolean::popcount).
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    values: Pooled,
    /// A value is above a cut point if it is larger than this.
    cuts: Vec<Z64>,
    above: Above,
    split: Split,
    minimum: u64,
}

impl Counts {
    /// What to count: the values of so many customers of each owner, between rising cut points; and the least count that is told, 0 or 1 for all.
    ///
    /// # Errors
    /// [`CreditError`]: no cut point or more than 4,096, cut points that do not rise by [`Number::ULP`] at least, more than 2^32 rows or a minimum beyond.
    pub fn new(rows: Vec<usize>, (cuts, on): (&[f64], OnCut), split: Split, minimum: u64) -> Result<Self, CreditError> {
        let all: usize = rows.iter().sum();
        CreditError::setting(all as u64 <= 1 << 32, "the number of rows", all as f64, "at most 2^32")?;
        CreditError::setting(minimum <= 1 << 32, "the least count", minimum as f64, "at most 2^32")?;
        let accepted = (1..=MOST_CUTS).contains(&cuts.len());
        CreditError::setting(accepted, "the number of cut points", cuts.len() as f64, "from 1 to 4096")?;
        let mut encoded = Vec::with_capacity(cuts.len());
        for &cut in cuts {
            let at = Number::encode(cut)?.0.cast_signed() - i64::from(on == OnCut::Upper);
            let rises = encoded.last().is_none_or(|last: &Z64| last.0.cast_signed() < at);
            CreditError::setting(rises, "a cut point", cut, "above the one before by 2^-20 at least")?;
            encoded.push(Z64(at.cast_unsigned()));
        }
        let above = Above::new(&encoded);
        Ok(Self { values: Pooled::Horizontal { columns: 1, rows }, cuts: encoded, above, split, minimum })
    }

    /// The number of bins.
    pub fn bins(&self) -> usize {
        self.cuts.len() + 1
    }

    /// The plain twin: values and labels to the outputs.
    pub fn plain(&self, values: &[i64], labels: &[bool]) -> Vec<Vec<u64>> {
        let bin = |value: i64| self.cuts.partition_point(|cut| cut.0.cast_signed() < value);
        let count = |of: &dyn Fn(usize) -> bool| {
            let mut cells = vec![0; self.bins()];
            values.iter().enumerate().filter(|(k, _)| of(*k)).for_each(|(_, &value)| cells[bin(value)] += 1);
            cells.into_iter().map(|cell| if cell < self.minimum { 0 } else { cell }).collect()
        };
        match self.split {
            Split::Label => vec![count(&|k| !labels[k]), count(&|k| labels[k])],
            Split::Whole => vec![count(&|_| true)],
        }
    }

    /// The exact cost, of P0 in semi-honest mode.
    pub fn cost(&self) -> Cost {
        let mut parts = self.cells_cost();
        if self.minimum > 1 {
            parts.push(sign_cost().then(select_cost()).over(self.outputs().len() * self.bins()));
        }
        in_turn(parts)
    }

    /// The exact cost of [`cells`](Self::cells), in the order of its rounds.
    pub(super) fn cells_cost(&self) -> Vec<Cost> {
        let (rows, cuts) = (self.values.rows(), self.cuts.len());
        let mut parts = Vec::new();
        for from in (0..rows).step_by(self.batch()) {
            let words = Lanes::words(self.batch().min(rows - from));
            parts.push(self.above.cost().over(words));
            parts.extend((self.split == Split::Label).then(|| ElementCost::integers(1, 1).over(cuts * words)));
            parts.extend(count_cost(words, self.planes()));
        }
        parts
    }

    /// Rows compared at once.
    fn batch(&self) -> usize {
        (WORDS / (240 + 4 * self.cuts.len())).max(1) * Lanes::COUNT
    }

    /// Planes that are counted: who is above each cut point; and who is bad, there and among all.
    fn planes(&self) -> usize {
        match self.split {
            Split::Label => 2 * self.cuts.len() + 1,
            Split::Whole => self.cuts.len(),
        }
    }

    /// The labels of all owners in one plane, if customers are split by them. Local.
    fn labels(&self, inputs: &mut Inputs) -> Result<Option<Shares<Lanes>>, Error> {
        if self.split == Split::Whole {
            return Ok(None);
        }
        let first = self.values.shapes().len();
        let parts = self.values.labelled().into_iter().enumerate();
        let parts = parts.map(|(k, rows)| Ok((inputs.bits(first + k)?, rows))).collect::<Result<Vec<_>, Error>>()?;
        Ok(Some(joined(&parts)))
    }

    /// Counts below the minimum become zero.
    async fn enough<M: Mode>(&self, ctx: &mut Ctx<M>, cells: Shares<Z64>) -> Result<Shares<Z64>, Error> {
        if self.minimum <= 1 {
            return Ok(cells);
        }
        let (me, n) = (ctx.me(), cells.len());
        let mut rest = cells.view().to_shares();
        rest.add_public(me, &vec![Z64(self.minimum.wrapping_neg()); n])?;
        let few = sign(ctx, rest.view()).await?;
        select(ctx, few.view(), Shares::zeros(n).view(), cells.view()).await
    }
}

impl Program for Counts {
    fn inputs(&self) -> Vec<Shape> {
        let mut shapes = self.values.shapes();
        if self.split == Split::Label {
            shapes.extend(self.values.labelled().into_iter().map(Shape::bits));
        }
        shapes
    }

    fn outputs(&self) -> Vec<Shape> {
        let outputs = match self.split {
            Split::Label => 2,
            Split::Whole => 1,
        };
        vec![Shape::z64(self.bins()); outputs]
    }

    async fn run<M: Mode>(&self, mut ctx: Ctx<M>, inputs: Inputs, _: &impl Executor) -> Result<Released<M>, Error> {
        let cells = self.cells(&mut ctx, inputs).await?;
        let cells = self.enough(&mut ctx, cells).await?;
        let output = |k: usize| cells.view().slice(k * self.bins(), self.bins()).map(|cells| cells.to_shares().into());
        let outputs = (0..self.outputs().len()).map(output).collect::<Result<Vec<Vector>, Error>>()?;
        Ok(Released { strand: ctx.verify().await?, outputs })
    }
}

impl Counts {
    /// The counts of all bins, of good customers and then of bad ones if they are split, however few.
    pub(super) async fn cells<M: Mode>(&self, ctx: &mut Ctx<M>, mut inputs: Inputs) -> Result<Shares<Z64>, Error> {
        inputs.check(&self.inputs())?;
        let values = self.values.gather(&mut inputs)?;
        let labels = self.labels(&mut inputs)?;
        let (rows, cuts) = (values.len(), self.cuts.len());
        let mut counts = Shares::<Z64>::zeros(self.planes());
        for from in (0..rows).step_by(self.batch()) {
            let values = values.view().slice(from, self.batch().min(rows - from))?;
            let words = Lanes::words(values.len());
            let mut planes = self.above.on_shares(ctx, values).await?;
            if let Some(labels) = &labels {
                let labels = labels.view().slice(from / Lanes::COUNT, words)?;
                let bad = ctx.mul(planes.view(), Shares::concat(&vec![labels; cuts]).view()).await?;
                planes = Shares::concat(&[planes.view(), bad.view(), labels]);
            }
            counts.add_assign(count(ctx, words, planes.view()).await?.view())?;
        }
        let everybody = Shares::public(ctx.me(), &[Z64(rows as u64)]);
        let all = between(everybody.view(), counts.view().slice(0, cuts)?);
        Ok(match self.split {
            Split::Whole => all,
            Split::Label => {
                let bad = between(counts.view().slice(2 * cuts, 1)?, counts.view().slice(cuts, cuts)?);
                Shares::concat(&[all.view().minus(bad.view())?.view(), bad.view()])
            }
        })
    }
}

/// Counts between neighbouring cut points from those above each, and above none.
fn between(total: View<'_, Z64>, above: View<'_, Z64>) -> Shares<Z64> {
    let all = Shares::concat(&[total, above, Shares::zeros(1).view()]);
    Shares::rearrange(all.view(), all.len() - 1, |x, cells| {
        cells.iter_mut().zip(x.windows(2)).for_each(|(cell, x)| *cell = x[0] - x[1]);
    })
}
