//! Training by gradient descent as a program.

mod gradient;
mod newton;
mod places;
mod plain;
mod stopping;
mod update;

use super::{CreditError, Pooled, columns::some_rows, number::FRACTIONAL, places::Place, reference::Batch};
use crate::{
    arith::{
        ElementCost,
        fixed::{Flags, any_cost, beyond_cost, round_shift, shift_cost},
    },
    program::{Executor, Inputs, Program, Released, Shape},
};
pub(super) use gradient::in_turn;
use gradient::{BOTH, Labels, labels, labels_cost, probabilities, probabilities_cost};
pub use newton::{NewtonSettings, NewtonTrain};
pub use stopping::Stopping;
use trefoil_engine::{Cost, prelude::*};
use update::{EXTRA, State, Update};

/// Coefficients of many steps are looked at together whether they are in range: at least so many.
const WATCHED: usize = 4096;
/// Bits of a coefficient at its limit.
const WEIGHT_BITS: u32 = FRACTIONAL + 5;
/// More would round to 1, which never comes to rest.
const MOST_MOMENTUM: f64 = 1023.0 / 1024.0;

/// How a model is trained. All of it is public.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The learning rate, above 0 and at most 16; of steps on few rows four bits of it count at least. Below `8 / (columns + 1)` a full batch of standardized columns always descends without momentum.
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
/// *bad* customers. Outputs: the `d + 1` coefficients, the intercept first, as [`Number`](super::Number)s; and one bit that is set if a coefficient ever exceeded [`WEIGHT_LIMIT`](super::WEIGHT_LIMIT), or all customers have the same label: the
/// model is worthless then, and not to be released. While none does, nothing overflows on features within [`FEATURE_LIMIT`](super::FEATURE_LIMIT), which those who bring them check, and
/// [`beyond_limits`](crate::program::beyond_limits) on shares.
/// **Cost** [`cost`](Self::cost): for each step and row 1 integer, a truncation and a sigmoid; for each step and 8,192 rows, `d` integers and truncations. About 35 rounds a step of up to 200 rows, more for larger ones.
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
        let momenta = "from 0 to 1023/1024";
        let range = "above 2^-20 and at most 16";
        CreditError::setting(rate > f64::from(-20).exp2() && rate <= 16.0, "the learning rate", rate, range)?;
        CreditError::setting((0.0..=MOST_MOMENTUM).contains(&momentum), "the momentum", momentum, momenta)?;
        CreditError::setting((0.0..=16_384.0).contains(&l2), "the L2 penalty", l2, "from 0 to 16384")?;
        CreditError::setting(batch != Batch::Rows(0), "the batch size", 0.0, "at least 1")?;
        let train = Self { table, settings, stopping: None };
        Place::check(&train.places())?;
        Ok(train)
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

    fn update(&self, rows: usize) -> Update {
        let Settings { rate, momentum, l2, .. } = self.settings;
        Update::new(rate, rows, momentum, l2 * rows as f64 / self.table.rows() as f64)
    }

    /// The exact cost of the whole training, of P0 in semi-honest mode: the most that it can be, if it may stop early.
    pub fn cost(&self) -> Cost {
        self.cost_of(self.settings.epochs)
    }

    /// The exact cost of a training that ended after so many epochs.
    pub fn cost_of(&self, epochs: usize) -> Cost {
        let (n, d) = (self.table.rows(), self.table.columns());
        let mut parts = labels_cost(&self.table);
        let (mut words, mut watched) = (0, BOTH);
        let mut watch = |parts: &mut Vec<Cost>, least: usize| {
            watched += d + 1;
            if watched >= least {
                parts.push(beyond_cost().over(watched));
                words += 2 * Lanes::words(watched);
                watched = 0;
            }
            words
        };
        for epoch in 1..=epochs {
            for from in (0..n).step_by(self.batch()) {
                let rows = self.batch().min(n - from);
                parts.push(probabilities_cost(rows));
                parts.extend(self.update(rows).cost(rows, d));
                watch(&mut parts, WATCHED);
            }
            parts.extend(self.stopping_after(epoch).into_iter().flat_map(|_| Stopping::cost(d + 1)));
        }
        parts.push(shift_cost(EXTRA).over(d + 1));
        let words = watch(&mut parts, 0);
        parts.push(ElementCost::lanes(any_cost(words)).over(1));
        in_turn(parts)
    }
}

/// Coefficients of which some are not yet known to be in range.
#[derive(Debug, Default)]
struct Watch {
    waiting: Vec<Shares<Z64>>,
    flags: Flags,
}

impl Watch {
    /// Looks at these too, and at once if there are `least` of them by now.
    async fn add<M: Mode>(&mut self, ctx: &mut Ctx<M>, at: View<'_, Z64>, least: usize) -> Result<(), Error> {
        self.waiting.push(at.to_shares());
        if self.waiting.iter().map(Shares::len).sum::<usize>() >= least {
            let all = Shares::concat(&self.waiting.iter().map(Shares::view).collect::<Vec<_>>());
            self.waiting.clear();
            self.flags.raise_beyond(ctx, all.view(), WEIGHT_BITS).await?;
        }
        Ok(())
    }
}

impl Program for Train {
    fn inputs(&self) -> Vec<Shape> {
        self.table.training_shapes()
    }

    fn limits(&self) -> Vec<Option<u64>> {
        self.table.training_limits()
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::z64(self.table.columns() + 1), Shape::bits(1)]
    }

    async fn protocol<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        mut inputs: Inputs,
        _: &dyn Executor,
    ) -> Result<Released<M>, Error> {
        inputs.check(&self.inputs())?;
        let table = self.table.gather(&mut inputs)?;
        let Labels { numbers: labels, both } = labels(&mut ctx, &self.table, &mut inputs).await?;
        let (n, d) = (self.table.rows(), self.table.columns());
        let (mut watch, mut state) = (Watch { waiting: vec![both], ..Watch::default() }, State::new(d + 1));
        let mut before = Shares::<Z64>::zeros(d + 1);
        for epoch in 1..=self.settings.epochs {
            for from in (0..n).step_by(self.batch()) {
                let count = self.batch().min(n - from);
                let rows = some_rows(table.view(), n, from, count)?;
                let labels = labels.view().slice(from, count)?;
                let errors =
                    probabilities(&mut ctx, count, rows.view(), state.at.view()).await?.view().minus(labels)?;
                self.update(count).run(&mut ctx, rows.view(), errors.view(), &mut state).await?;
                watch.add(&mut ctx, state.at.view(), WATCHED).await?;
            }
            if let Some(stopping) = self.stopping_after(epoch) {
                if stopping.stands(&mut ctx, before.view(), state.model.view()).await? {
                    break;
                }
                before = state.model.view().to_shares();
            }
        }
        let model = round_shift(&mut ctx, state.model.view(), EXTRA).await?;
        watch.add(&mut ctx, model.view(), 0).await?;
        let beyond = watch.flags.any(&mut ctx).await?;
        Ok(Released { strand: ctx.verify().await?, outputs: vec![model.into(), beyond.into()] })
    }
}
