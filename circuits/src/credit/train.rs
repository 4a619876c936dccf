//! Training by gradient descent as a program.

mod gradient;
mod newton;
mod plain;
mod stopping;

use super::{CreditError, Pooled, columns::some_rows, number::FRACTIONAL, reference::Batch};
use crate::{
    arith::{
        ElementCost,
        fixed::{Flags, any_cost, beyond_cost, round_shift, shift_cost},
    },
    program::{Executor, Inputs, Program, Released, Shape},
};
use gradient::{Scale, gradient, in_turn, labels, labels_cost, probabilities, probabilities_cost, times};
pub use newton::{NewtonSettings, NewtonTrain};
pub use stopping::Stopping;
use trefoil_engine::{Cost, prelude::*};

/// Fractional bits that coefficients have between steps beyond those of a [`Number`], so that small steps are not lost.
const EXTRA: u32 = 8;
/// Fractional bits of the momentum.
const MOMENTUM: u32 = 10;
/// Bits of a coefficient at its limit.
const WEIGHT_BITS: u32 = FRACTIONAL + 5;

/// How a model is trained. All of it is public.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The learning rate, above 0 and at most 16. Below `8 / (columns + 1)` a full batch of standardized columns always descends without momentum.
    pub rate: f64,
    /// The part of the last change that is made again, from 0 to below 1, in steps of `1 / 1024`; 0 is plain descent. The gradient is taken
    /// where the coefficients will be then.
    pub momentum: f64,
    /// Passes over all rows.
    pub epochs: usize,
    /// Rows of a step. They are taken as they stand: the owner of the order has shuffled them.
    pub batch: Batch,
    /// The L2 penalty, at most 16,384; the intercept is free.
    pub l2: f64,
}

/// Trains a logistic model on the tables of several owners, by gradient descent from zero.
///
/// Minimizes `sum of log losses + l2 / 2 * |weights|^2`, in the steps of [`GradientDescent`](super::reference::GradientDescent), or with momentum.
///
/// **Shape** inputs: the features of each owner as [`Pooled`] says, standardized ([`encode_features`](super::encode_features)); then the labels, as many bits as [`Pooled::labelled`] says, set for
/// *bad* customers. Outputs: the `d + 1` coefficients, the intercept first, as [`Number`](super::Number)s; and one bit that is set if a coefficient ever exceeded [`WEIGHT_LIMIT`](super::WEIGHT_LIMIT): the
/// model is worthless then, and not to be released. While none does, nothing overflows on features within [`FEATURE_LIMIT`](super::FEATURE_LIMIT), which those who bring them have checked.
/// **Cost** [`cost`](Self::cost): for each step and row 1 integer, a truncation and a sigmoid; for each step and 8,192 rows, `d` integers and truncations. About 85 rounds a step.
/// **Security** composition of gates. **Source** Nesterov (1983) for the momentum.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    table: Pooled,
    settings: Settings,
    stopping: Option<Stopping>,
}

impl Train {
    /// What to train on, and how.
    ///
    /// # Errors
    /// [`CreditError`]: a setting out of range, no row or more than 1,048,576, no feature or more than [`MOST_FEATURES`](super::MOST_FEATURES).
    pub fn new(table: Pooled, settings: Settings) -> Result<Self, CreditError> {
        table.check()?;
        let Settings { rate, momentum, batch, l2, .. } = settings;
        let range = "above 2^-20 and at most 16";
        CreditError::setting(rate > f64::from(-20).exp2() && rate <= 16.0, "the learning rate", rate, range)?;
        CreditError::setting((0.0..1.0).contains(&momentum), "the momentum", momentum, "from 0 to below 1")?;
        CreditError::setting((0.0..=16_384.0).contains(&l2), "the L2 penalty", l2, "from 0 to 16384")?;
        CreditError::setting(batch != Batch::Rows(0), "the batch size", 0.0, "at least 1")?;
        Ok(Self { table, settings, stopping: None })
    }

    /// Ends before the last epoch if the coefficients stand still. Not by default: whether they do is opened each time (see [`Stopping`]).
    ///
    /// # Errors
    /// [`CreditError`]: a setting out of range.
    pub fn stopping(self, stopping: Stopping) -> Result<Self, CreditError> {
        stopping.check()?;
        Ok(Self { stopping: Some(stopping), ..self })
    }

    /// The rule to be applied after this epoch, counted from 1.
    fn stopping_after(&self, epoch: usize) -> Option<Stopping> {
        self.stopping.filter(|stopping| stopping.is_due(epoch, self.settings.epochs))
    }

    fn batch(&self) -> usize {
        match self.settings.batch {
            Batch::Full => self.table.rows(),
            Batch::Rows(rows) => rows.min(self.table.rows()),
        }
    }

    fn momentum(&self) -> i64 {
        (self.settings.momentum * f64::from(MOMENTUM).exp2()).round() as i64
    }

    fn scale(&self, rows: usize) -> Scale {
        let penalty = self.settings.l2 * rows as f64 / self.table.rows() as f64;
        Scale::new(self.settings.rate, rows, penalty, FRACTIONAL + EXTRA)
    }

    /// The exact cost of the whole training, of P0 in semi-honest mode: the most that it can be, if it may stop early.
    pub fn cost(&self) -> Cost {
        self.cost_of(self.settings.epochs)
    }

    /// The exact cost of a training that ended after so many epochs.
    pub fn cost_of(&self, epochs: usize) -> Cost {
        let (n, d) = (self.table.rows(), self.table.columns());
        let mut parts = labels_cost(&self.table);
        let mut words = 0;
        let mut end = |parts: &mut Vec<Cost>| {
            words += 2 * Lanes::words(d + 1);
            parts.extend([shift_cost(EXTRA).over(d + 1), beyond_cost().over(d + 1)]);
            words
        };
        for epoch in 1..=epochs {
            for from in (0..n).step_by(self.batch()) {
                let rows = self.batch().min(n - from);
                parts.push(probabilities_cost().over(rows));
                parts.extend(self.scale(rows).cost(rows, d));
                parts.extend((self.momentum() > 0).then(|| shift_cost(MOMENTUM).over(d + 1)));
                end(&mut parts);
            }
            parts.extend(self.stopping_after(epoch).into_iter().flat_map(|_| Stopping::cost(d + 1)));
        }
        let words = end(&mut parts);
        parts.push(ElementCost::lanes(any_cost(words)).over(1));
        in_turn(parts)
    }

    /// What is to be subtracted from the coefficients, given those the gradient is taken at.
    async fn step<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        rows: View<'_, Z64>,
        labels: View<'_, Z64>,
        at: View<'_, Z64>,
    ) -> Result<Shares<Z64>, Error> {
        let n = labels.len();
        let errors = probabilities(ctx, n, rows, at).await?.view().minus(labels)?;
        gradient(ctx, rows, errors.view(), at, self.scale(n)).await
    }
}

impl Program for Train {
    fn inputs(&self) -> Vec<Shape> {
        let mut shapes = self.table.shapes();
        shapes.extend(self.table.labelled().into_iter().map(Shape::bits));
        shapes
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::z64(self.table.columns() + 1), Shape::bits(1)]
    }

    async fn run<M: Mode>(&self, mut ctx: Ctx<M>, mut inputs: Inputs, _: &impl Executor) -> Result<Released<M>, Error> {
        inputs.check(&self.inputs())?;
        let table = self.table.gather(&mut inputs)?;
        let labels = labels(&mut ctx, &self.table, &mut inputs).await?;
        let (n, d) = (self.table.rows(), self.table.columns());
        let mut flags = Flags::default();
        // Where the gradient is taken, and the coefficients, both with extra bits; the former to be multiplied.
        let (mut ahead, mut model) = (Shares::<Z64>::zeros(d + 1), Shares::<Z64>::zeros(d + 1));
        let mut at = Shares::<Z64>::zeros(d + 1);
        let mut before = Shares::<Z64>::zeros(d + 1);
        for epoch in 1..=self.settings.epochs {
            for from in (0..n).step_by(self.batch()) {
                let count = self.batch().min(n - from);
                let rows = some_rows(table.view(), n, from, count)?;
                let labels = labels.view().slice(from, count)?;
                let step = self.step(&mut ctx, rows.view(), labels, at.view()).await?;
                let next = ahead.view().minus(step.view())?;
                ahead = next.view().to_shares();
                if self.momentum() > 0 {
                    let again = times(next.view().minus(model.view())?.view(), self.momentum());
                    ahead.add_assign(round_shift(&mut ctx, again.view(), MOMENTUM).await?.view())?;
                }
                model = next;
                at = round_shift(&mut ctx, ahead.view(), EXTRA).await?;
                flags.raise_beyond(&mut ctx, at.view(), WEIGHT_BITS).await?;
            }
            if let Some(stopping) = self.stopping_after(epoch) {
                if stopping.stands(&mut ctx, before.view(), model.view()).await? {
                    break;
                }
                before = model.view().to_shares();
            }
        }
        let model = round_shift(&mut ctx, model.view(), EXTRA).await?;
        flags.raise_beyond(&mut ctx, model.view(), WEIGHT_BITS).await?;
        let beyond = flags.any(&mut ctx).await?;
        Ok(Released { strand: ctx.verify().await?, outputs: vec![model.into(), beyond.into()] })
    }
}
