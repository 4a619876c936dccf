//! Counting as a program: what reports are made of.

mod above;
mod batch;
mod cells;
mod count;
mod merge;
mod path;

use super::{CreditError, Number, reference, train::in_turn};
use crate::{
    arith::ElementCost,
    program::{Executor, Inputs, Program, Released, Shape, Vector},
};
use above::Above;
use batch::{Batch, Piece, batches};
pub(super) use cells::Cells;
use count::{count, count_cost};
use merge::Merge;
use trefoil_engine::{Cost, prelude::*};

/// Words of planes at once: what they hold stays a small part of memory.
const WORDS: usize = 1 << 20;
/// Cut points at most.
const MOST_CUTS: usize = 4096;
/// Bins at most if small ones are merged: all ranges of them are looked at.
const MOST_MERGED: usize = 1024;

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
/// ([`Binning::from_counts`](super::reference::Binning::from_counts)); from counts of two populations the stability index ([`psi`](super::reference::psi)).
///
/// With a minimum of 2 or more, bins are merged before anything leaves the computation, as [`merged`](reference::merged) says, which also says what the counts tell then: neighbouring bins that count too few become one, so that whoever knows the customers of all owners
/// but one finds no smaller count of those of that one. The count of a merged bin is that of the last of its bins, and the others count zero. No customer is lost but those of an owner who has too few good or too few bad ones. If the counts
/// on both sides of a cut point are large enough, and it is named with [`around`](Self::around), they stay exact: confusion there, and what follows from it, is that of all customers. This bounds one table of counts: two, between cut points that differ by
/// little, tell of the customers between these.
///
/// **Shape** inputs: the values, [`Number`]s, of each owner; then, if they are split by it, the labels of each, as bits that are set for *bad* customers. Outputs: for each bin, lowest
/// first, the good customers, then the bad ones, or all of them: as integers. **Cost** [`cost`](Self::cost): for each row 451 bits; for each row and cut point at most 26 to compare, fewer the more
/// cut points begin with the same bits, one for the label and one for each count; for each cut point and a batch of rows two conversions of 64 integers. For tenths of 28,632 probabilities 65 bits a row and cut point, for
/// hundredths 13, in 39 rounds; for each further owner the rounds of counting again. With a minimum, 14 rounds more, 2 around a cut point, one for each doubling of the owners and two for each doubling of the bins (as long as they are few hundred); and for
/// each range of bins, of which there are half as many as the square of the bins, 151 bits for each class of each owner.
/// **Security** composition of gates. **Source** ours; the counts are those of [`popcount`](crate::boolean::popcount).
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// Customers of each owner.
    rows: Vec<usize>,
    /// A value is above a cut point if it is larger than this.
    cuts: Vec<Z64>,
    above: Above,
    split: Split,
    minimum: u64,
    /// The first bin of those above a cut point that is told if it can be.
    border: Option<usize>,
}

impl Counts {
    /// What to count: the values of so many customers of each owner, between rising cut points; and the least count that is told, 0 or 1 for all.
    ///
    /// # Errors
    /// [`CreditError`]: no cut point or more than 4,096, or than 1,023 with a minimum of 2 or more, cut points that do not rise by [`Number::ULP`] at least, more than 2^32 rows or a minimum beyond.
    pub fn new(rows: Vec<usize>, (cuts, on): (&[f64], OnCut), split: Split, minimum: u64) -> Result<Self, CreditError> {
        let all: usize = rows.iter().sum();
        CreditError::setting(all as u64 <= 1 << 32, "the number of rows", all as f64, "at most 2^32")?;
        CreditError::setting(minimum <= 1 << 32, "the least count", minimum as f64, "at most 2^32")?;
        let accepted = (1..=MOST_CUTS).contains(&cuts.len());
        CreditError::setting(accepted, "the number of cut points", cuts.len() as f64, "from 1 to 4096")?;
        let accepted = minimum < 2 || cuts.len() < MOST_MERGED;
        CreditError::setting(accepted, "the number of cut points", cuts.len() as f64, "at most 1023 with a minimum")?;
        let mut encoded = Vec::with_capacity(cuts.len());
        for &cut in cuts {
            let at = Number::encode(cut)?.0.cast_signed() - i64::from(on == OnCut::Upper);
            let rises = encoded.last().is_none_or(|last: &Z64| last.0.cast_signed() < at);
            CreditError::setting(rises, "a cut point", cut, "above the one before by 2^-20 at least")?;
            encoded.push(Z64(at.cast_unsigned()));
        }
        let above = Above::new(&encoded);
        Ok(Self { rows, cuts: encoded, above, split, minimum, border: None })
    }

    /// As these, and where bins are merged it is not across the cut point below this bin, unless one side of it counts too few.
    ///
    /// # Errors
    /// [`CreditError`]: the first bin, or none of them.
    pub fn around(self, border: usize) -> Result<Self, CreditError> {
        let accepted = (1..self.bins()).contains(&border);
        CreditError::setting(
            accepted,
            "the bin above a cut point",
            border as f64,
            "from 1 to the number of cut points",
        )?;
        Ok(Self { border: Some(border), ..self })
    }

    /// The number of bins.
    pub fn bins(&self) -> usize {
        self.cuts.len() + 1
    }

    /// Numbers that the ranges of bins take if bins are merged: those that each class of each owner counts in them.
    pub fn ranges(&self) -> usize {
        if self.merges() { self.merge().numbers() } else { 0 }
    }

    /// The plain twin: values and labels to the outputs.
    pub fn plain(&self, values: &[i64], labels: &[bool]) -> Vec<Vec<u64>> {
        let (mut from, mut parts) = (0, Vec::new());
        for rows in &self.rows {
            let labels = if self.split == Split::Label { &labels[from..from + rows] } else { &[] };
            parts.push(self.of_rows(&values[from..from + rows], labels));
            from += rows;
        }
        // They are all of one shape.
        let merged = reference::merged(&parts, self.border, self.minimum).unwrap_or_default();
        if merged.is_empty() { vec![vec![0; self.bins()]; self.classes()] } else { merged }
    }

    /// The customers of one owner by class and bin.
    pub(super) fn of_rows(&self, values: &[i64], labels: &[bool]) -> Vec<Vec<u64>> {
        let mut cells = vec![vec![0; self.bins()]; self.classes()];
        for (row, &value) in values.iter().enumerate() {
            let class = if self.split == Split::Label { usize::from(labels[row]) } else { 0 };
            cells[class][self.cuts.partition_point(|cut| cut.0.cast_signed() < value)] += 1;
        }
        cells
    }

    /// Customers of each owner.
    pub(super) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The exact cost, of P0 in semi-honest mode.
    pub fn cost(&self) -> Cost {
        let mut parts = self.parts_cost();
        if self.merges() {
            parts.extend(self.merge().cost());
        }
        in_turn(parts)
    }

    /// The exact cost of [`parts`](Self::parts), in the order of its rounds.
    pub(super) fn parts_cost(&self) -> Vec<Cost> {
        let cuts = self.cuts.len();
        let mut parts = Vec::new();
        for batch in self.batches() {
            let words = batch.words();
            parts.push(self.above.cost().over(words));
            parts.extend((self.split == Split::Label).then(|| ElementCost::integers(1, 1).over(cuts * words)));
            parts.extend(batch.pieces.iter().flat_map(|piece| count_cost(piece.words, self.planes())));
        }
        parts
    }

    fn batches(&self) -> Vec<Batch> {
        batches(&self.rows, (WORDS / (240 + 4 * self.cuts.len())).max(1))
    }

    fn merges(&self) -> bool {
        self.minimum > 1 && !self.rows.is_empty()
    }

    fn classes(&self) -> usize {
        match self.split {
            Split::Label => 2,
            Split::Whole => 1,
        }
    }

    fn merge(&self) -> Merge {
        Merge { cells: self.of_parts(self.minimum), border: self.border }
    }

    /// The cells of each owner, of whom those with fewer customers of a class than the minimum are left out.
    pub(super) fn of_parts(&self, minimum: u64) -> Cells {
        Cells { parts: self.rows.len(), classes: self.classes(), bins: self.bins(), minimum }
    }

    /// Planes that are counted: who is above each cut point; and who is bad, there and among all.
    fn planes(&self) -> usize {
        match self.split {
            Split::Label => 2 * self.cuts.len() + 1,
            Split::Whole => self.cuts.len(),
        }
    }

    /// The cells of one owner's customers, from those counted on planes. Local.
    fn between(&self, me: Party, rows: usize, counts: View<'_, Z64>) -> Result<Vec<Shares<Z64>>, Error> {
        let (cuts, everybody) = (self.cuts.len(), Shares::public(me, &[Z64(rows as u64)]));
        let all = between(everybody.view(), counts.slice(0, cuts)?);
        Ok(match self.split {
            Split::Whole => vec![all],
            Split::Label => {
                let bad = between(counts.slice(2 * cuts, 1)?, counts.slice(cuts, cuts)?);
                vec![all.view().minus(bad.view())?, bad]
            }
        })
    }
}

impl Program for Counts {
    fn inputs(&self) -> Vec<Shape> {
        let mut shapes: Vec<Shape> = self.rows.iter().map(|rows| Shape::z64(*rows)).collect();
        if self.split == Split::Label {
            shapes.extend(self.rows.iter().map(|rows| Shape::bits(*rows)));
        }
        shapes
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::z64(self.bins()); self.classes()]
    }

    async fn protocol<M: Mode>(&self, mut ctx: Ctx<M>, inputs: Inputs, _: &dyn Executor) -> Result<Released<M>, Error> {
        let (parts, bins) = (self.parts(&mut ctx, inputs).await?, self.bins());
        let cells = if self.merges() {
            self.merge().merged(&mut ctx, parts.view()).await?
        } else {
            self.together(parts.view())?
        };
        let output = |k: usize| cells.view().slice(k * bins, bins).map(|cells| cells.to_shares().into());
        let outputs = (0..self.classes()).map(output).collect::<Result<Vec<Vector>, Error>>()?;
        Ok(Released { strand: ctx.verify().await?, outputs })
    }
}

impl Counts {
    /// The sum of the cells of all owners. Local.
    pub(super) fn together(&self, parts: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        let (owners, bins) = (self.rows.len(), self.bins());
        let mut sums = Vec::new();
        for class in 0..self.classes() {
            let mut sum = Shares::<Z64>::zeros(bins);
            for part in 0..owners {
                sum.add_assign(parts.slice((class * owners + part) * bins, bins)?)?;
            }
            sums.push(sum);
        }
        Ok(Shares::concat(&sums.iter().map(Shares::view).collect::<Vec<_>>()))
    }

    /// The cells of each owner: of good customers and then of bad ones if they are split, in each owner after owner.
    pub(super) async fn parts<M: Mode>(&self, ctx: &mut Ctx<M>, mut inputs: Inputs) -> Result<Shares<Z64>, Error> {
        inputs.check(&self.inputs())?;
        let values = batch::values(&self.rows, &mut inputs)?;
        let labels = (self.split == Split::Label).then(|| batch::labels(&self.rows, &mut inputs)).transpose()?;
        let cuts = self.cuts.len();
        let mut counts: Vec<_> = self.rows.iter().map(|_| Shares::<Z64>::zeros(self.planes())).collect();
        for batch in self.batches() {
            let (words, there) = (batch.words(), batch.lanes());
            let values = values.view().slice(batch.from * Lanes::COUNT, words * Lanes::COUNT)?;
            let mut planes = self.above.on_shares(ctx, values).await?;
            if let Some(labels) = &labels {
                let labels = labels.view().slice(batch.from, words)?;
                let bad = ctx.mul(planes.view(), Shares::concat(&vec![labels; cuts]).view()).await?;
                planes = Shares::concat(&[planes.view(), bad.view(), labels]);
            }
            planes.update(|planes| {
                planes.iter_mut().zip(there.iter().cycle()).for_each(|(word, there)| word.0 &= there.0);
            });
            let mut at = 0;
            for Piece { part, words: mine, .. } in batch.pieces {
                let of_part = Shares::rearrange(planes.view(), mine * self.planes(), |planes, out| {
                    let planes = planes.chunks_exact(words);
                    planes.zip(out.chunks_exact_mut(mine)).for_each(|(x, out)| out.copy_from_slice(&x[at..][..mine]));
                });
                counts[part].add_assign(count(ctx, mine, of_part.view()).await?.view())?;
                at += mine;
            }
        }
        let me = ctx.me();
        let cells = self.rows.iter().zip(&counts).map(|(rows, counts)| self.between(me, *rows, counts.view()));
        let cells: Vec<Vec<Shares<Z64>>> = cells.collect::<Result<_, _>>()?;
        let by_class = (0..self.classes()).flat_map(|class| cells.iter().map(move |part| part[class].view()));
        Ok(Shares::concat(&by_class.collect::<Vec<_>>()))
    }
}

/// Counts between neighbouring cut points from those above each, and above none.
fn between(total: View<'_, Z64>, above: View<'_, Z64>) -> Shares<Z64> {
    let all = Shares::concat(&[total, above, Shares::zeros(1).view()]);
    Shares::rearrange(all.view(), all.len() - 1, |x, cells| {
        cells.iter_mut().zip(x.windows(2)).for_each(|(cell, x)| *cell = x[0] - x[1]);
    })
}
