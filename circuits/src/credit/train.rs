//! Training by gradient descent as a program.

mod plain;

use super::{
    CreditError, Number, Pooled,
    columns::{logits, some_rows},
    number::FRACTIONAL,
    reference::Batch,
};
use crate::{
    arith::{
        ElementCost,
        fixed::{Flags, any_cost, beyond_cost, round_shift, shift_cost},
        inject, inject_cost,
    },
    program::{Executor, Inputs, Program, Released, Shape},
};
use trefoil_engine::{Cost, prelude::*};

/// Fractional bits that coefficients have between steps beyond those of a [`Number`], so that small steps are not lost.
const EXTRA: u32 = 8;
/// Fractional bits of the momentum.
const MOMENTUM: u32 = 10;
/// Rows in one sum of products at most: with every feature at its limit and every error 1, the sum stays within range.
const CHUNK: usize = 8192;
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
/// *bad* customers. Outputs: the `d + 1` coefficients, the intercept first, as [`Number`]s; and one bit that is set if a coefficient ever exceeded [`WEIGHT_LIMIT`](super::WEIGHT_LIMIT): the
/// model is worthless then, and not to be released. While none does, nothing overflows on features within [`FEATURE_LIMIT`](super::FEATURE_LIMIT), which those who bring them have checked.
/// **Cost** [`cost`](Self::cost): for each step and row 1 integer, a truncation and a sigmoid; for each step and 8,192 rows, `d` integers and truncations. About 85 rounds a step.
/// **Security** composition of gates. **Source** Nesterov (1983) for the momentum.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    table: Pooled,
    settings: Settings,
}

/// The public constants of a step on so many rows.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Times the sum of gradients, then divided by a power of two.
    factor: i64,
    shift: u32,
    /// Times the weights.
    penalty: i64,
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
        Ok(Self { table, settings })
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

    /// `rate / rows` as a factor of 12 or 13 bits over a power of two: the product with a sum of gradients, at most `rows * 128`, has room.
    fn step(&self, rows: usize) -> Step {
        let rate = self.settings.rate / rows as f64;
        let mut shift = 0_u32;
        while rate * f64::from(shift).exp2() < f64::from(1 << 12) {
            shift += 1;
        }
        let penalty = self.settings.l2 * rows as f64 / self.table.rows() as f64;
        Step {
            factor: (rate * f64::from(shift).exp2()).round() as i64,
            shift: shift - EXTRA,
            penalty: (penalty * Number::ONE.0 as f64).round() as i64,
        }
    }

    /// The exact cost of the whole training, of P0 in semi-honest mode.
    pub fn cost(&self) -> Cost {
        let (n, d) = (self.table.rows(), self.table.columns());
        let mut parts: Vec<Cost> = self.table.labelled().into_iter().map(|rows| inject_cost().over(rows)).collect();
        let mut words = 0;
        let mut end = |parts: &mut Vec<Cost>| {
            words += 2 * Lanes::words(d + 1);
            parts.extend([shift_cost(EXTRA).over(d + 1), beyond_cost().over(d + 1)]);
            words
        };
        for _ in 0..self.settings.epochs {
            for from in (0..n).step_by(self.batch()) {
                let rows = self.batch().min(n - from);
                let sums = d * rows.div_ceil(CHUNK);
                let forward = Number::product_cost().then(Number::sigmoid_cost());
                parts.extend([forward.over(rows), ElementCost::integers(1, 1).over(sums)]);
                parts.extend([shift_cost(FRACTIONAL).over(sums + d), shift_cost(self.step(rows).shift).over(d + 1)]);
                parts.extend((self.momentum() > 0).then(|| shift_cost(MOMENTUM).over(d + 1)));
                end(&mut parts);
            }
        }
        let words = end(&mut parts);
        parts.push(ElementCost::lanes(any_cost(words)).over(1));
        parts.into_iter().fold(Cost::default(), |sum, part| Cost {
            rounds: sum.rounds + part.rounds,
            bytes_sent: sum.bytes_sent + part.bytes_sent,
            products: sum.products + part.products,
        })
    }

    /// All labels as numbers, 0 or 1.
    async fn labels<M: Mode>(&self, ctx: &mut Ctx<M>, inputs: &mut Inputs) -> Result<Shares<Z64>, Error> {
        let first = self.table.shapes().len();
        let mut all = Vec::new();
        for (k, rows) in self.table.labelled().into_iter().enumerate() {
            all.push(inject(ctx, rows, inputs.bits(first + k)?.view()).await?);
        }
        Ok(times(Shares::concat(&all.iter().map(Shares::view).collect::<Vec<_>>()).view(), 1 << FRACTIONAL))
    }

    /// What is to be subtracted from the coefficients, given those the gradient is taken at.
    async fn gradient_step<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        rows: View<'_, Z64>,
        labels: View<'_, Z64>,
        at: View<'_, Z64>,
    ) -> Result<Shares<Z64>, Error> {
        let (n, d) = (labels.len(), at.len() - 1);
        let step = self.step(n);
        let exact = logits(ctx, n, rows, at).await?;
        let logits = round_shift(ctx, exact.view(), FRACTIONAL).await?;
        let errors = Number::sigmoid(ctx, logits.view()).await?.view().minus(labels)?;
        let mut gradient = Shares::rearrange(errors.view(), d + 1, |errors, gradient| {
            gradient[0] = errors.iter().fold(Z64(0), |sum, &e| sum + e);
        });

        // For each column its chunks, one after the other.
        let mut terms = vec![CHUNK; n / CHUNK];
        terms.extend((n % CHUNK > 0).then_some(n % CHUNK));
        let every = errors.view();
        let errors = Shares::concat(&vec![every; d]);
        let sums = ctx.sums_of_products(rows, errors.view(), &terms.repeat(d), 1).await?;
        let penalty = times(at.slice(1, d)?, step.penalty);
        let sums = round_shift(ctx, Shares::concat(&[sums.view(), penalty.view()]).view(), FRACTIONAL).await?;
        let weights = Shares::rearrange(sums.view(), d, |sums, weights| {
            let (chunks, penalty) = sums.split_at(d * terms.len());
            for ((weight, chunks), &penalty) in weights.iter_mut().zip(chunks.chunks_exact(terms.len())).zip(penalty) {
                *weight = chunks.iter().fold(penalty, |sum, &x| sum + x);
            }
        });
        gradient.copy_from(1, weights.view())?;
        round_shift(ctx, times(gradient.view(), step.factor).view(), step.shift).await
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
        let labels = self.labels(&mut ctx, &mut inputs).await?;
        let (n, d) = (self.table.rows(), self.table.columns());
        let mut flags = Flags::default();
        // Where the gradient is taken, and the coefficients, both with extra bits; the former to be multiplied.
        let (mut ahead, mut model) = (Shares::<Z64>::zeros(d + 1), Shares::<Z64>::zeros(d + 1));
        let mut at = Shares::<Z64>::zeros(d + 1);
        for _ in 0..self.settings.epochs {
            for from in (0..n).step_by(self.batch()) {
                let count = self.batch().min(n - from);
                let rows = some_rows(table.view(), n, from, count)?;
                let labels = labels.view().slice(from, count)?;
                let step = self.gradient_step(&mut ctx, rows.view(), labels, at.view()).await?;
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
        }
        let model = round_shift(&mut ctx, model.view(), EXTRA).await?;
        flags.raise_beyond(&mut ctx, model.view(), WEIGHT_BITS).await?;
        let beyond = flags.any(&mut ctx).await?;
        Ok(Released { strand: ctx.verify().await?, outputs: vec![model.into(), beyond.into()] })
    }
}

/// Every element times a public integer.
fn times(x: View<'_, Z64>, by: i64) -> Shares<Z64> {
    let mut x = x.to_shares();
    x.update(|x| x.iter_mut().for_each(|x| *x = *x * Z64(by.cast_unsigned())));
    x
}
