//! Scoring as a program.

mod packed;
mod places;
mod reasons;

use super::{
    CreditError, Number, Pooled,
    columns::{Table, logits, plain_logits},
    number::{EXACT, FRACTIONAL, units},
    places::Place,
    reference::Model,
};
use crate::{
    arith::{
        ElementCost,
        fixed::{PROBABILITY_BITS, reference as plain, round_shift, shift_cost},
        sign, sign_cost,
    },
    program::{Executor, Inputs, Program, Released, Shape, Tiling, Vector, in_batches},
};
use packed::packed;
pub use reasons::Reasons;
use std::sync::Arc;
use trefoil_engine::prelude::*;

/// Whose the model is.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// Known to all: products with it are local.
    Public(Model),
    /// Brought by an owner as a secret, or the result of joint training: the last input, the intercept first.
    Shared,
}

/// What is to be known of each row, as one output.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The logit, a [`Number`].
    Logit,
    /// The probability of a bad customer, a [`Number`]: within `4.4e-5` of that of the exact logit.
    Probability,
    /// The same in [`PROBABILITY_BITS`] bits, for those who are told: less is sent. Bit `k * rows + row` is bit `k` of that of a row, in units of `2^-18`.
    ProbabilityBits,
    /// One bit: whether the probability is at least this threshold, by one exact comparison on the logit.
    Decision(f64),
    /// Which columns add most to the logit.
    Reasons(Reasons),
}

/// Scores the rows of a table by a logistic model.
///
/// **Shape** inputs: the features of each owner as [`Pooled`] says, and the `d + 1` coefficients if they are [`Weights::Shared`]. Outputs: one vector for each [`Report`],
/// of numbers or of bits, one for each row; or of so many places of columns for each row, those of the next after those of each, as integers from 0 on (the number of columns for no further reason). Each may have recipients of its own. **Cost** [`row_cost`](Self::row_cost), in batches on a few strands. **Security** composition of
/// gates; nothing overflows on features and weights within [`FEATURE_LIMIT`](super::FEATURE_LIMIT) and [`WEIGHT_LIMIT`](super::WEIGHT_LIMIT), which those who bring them check, and [`beyond_limits`](crate::program::beyond_limits) on shares.
/// **Source** the sigmoid is [`Fixed::sigmoid_of`](crate::arith::fixed::Fixed::sigmoid_of) logits that are not truncated.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    table: Pooled,
    weights: Weights,
    reports: Vec<Report>,
    /// Encoded, if public.
    public: Option<Vec<Z64>>,
    tiling: Tiling,
}

impl Score {
    /// How rows are cut unless [`tiled`](Self::tiled) says otherwise. Larger batches send fewer messages, of which each costs what a thousand bytes do; smaller ones stay in a cache nearer to the processor. More than two of them at a time would take much memory.
    pub const TILING: Tiling = Tiling { batch: 10_240, strands: 2 };

    /// What to score, by what, and what to tell of it.
    ///
    /// # Errors
    /// [`CreditError`]: more than [`MOST_FEATURES`](super::MOST_FEATURES) features, a public model of another width or beyond [`WEIGHT_LIMIT`](super::WEIGHT_LIMIT), a threshold that is not
    /// between 0 and 1, or nothing to report.
    pub fn new(table: Pooled, weights: Weights, reports: Vec<Report>) -> Result<Self, CreditError> {
        let columns = table.columns();
        CreditError::setting(columns <= super::MOST_FEATURES, "the number of features", columns as f64, "at most 500")?;
        CreditError::setting(!reports.is_empty(), "the number of reports", 0.0, "at least 1")?;
        let reasons = reports.iter().filter(|report| matches!(report, Report::Reasons(_))).count();
        CreditError::setting(reasons <= 1, "the number of reports of reasons", reasons as f64, "at most 1")?;
        for report in &reports {
            if let Report::Reasons(reasons) = report {
                reasons.check(columns)?;
            }
            if let Report::Decision(p) = *report {
                CreditError::setting(p > 0.0 && p < 1.0, "the threshold", p, "above 0 and below 1")?;
            }
        }
        let mut public = None;
        if let Weights::Public(model) = &weights {
            let width = model.weights.len();
            let holds = width == table.columns();
            CreditError::setting(holds, "the number of weights", width as f64, "the number of features")?;
            public = Some(super::encode_model(model)?);
        }
        let score = Self { table, weights, reports, public, tiling: Self::TILING };
        Place::check(&score.places())?;
        Ok(score)
    }

    /// Cuts the rows in another way than [`TILING`](Self::TILING) does. A batch is rounded up to a multiple of 64 rows.
    #[must_use]
    pub fn tiled(self, tiling: Tiling) -> Self {
        Self { tiling, ..self }
    }

    /// Strands that it computes on at the same time.
    pub fn strands(&self) -> usize {
        self.tiling.strands.min(self.table.rows().div_ceil(self.tiling.batch.max(1))).max(1)
    }

    /// The exact cost of each row of a batch of so many, with up to 64 features in malicious mode.
    pub fn row_cost(&self, rows: usize) -> ElementCost {
        let mut cost = match self.weights {
            Weights::Public(_) => ElementCost::default(),
            Weights::Shared => ElementCost::integers(1, 1),
        };
        if self.needs_logits() {
            cost = cost.then(shift_cost(FRACTIONAL));
        }
        for report in &self.reports {
            cost = match report {
                Report::Logit => cost,
                Report::Probability => cost.then(Number::sigmoid_of_cost::<EXACT>(rows)),
                Report::ProbabilityBits => cost.then(Number::sigmoid_bits_cost::<EXACT>()),
                Report::Decision(_) => cost.then(sign_cost()),
                Report::Reasons(reasons) => {
                    let added = match self.weights {
                        Weights::Public(_) => cost,
                        Weights::Shared => cost.then(ElementCost::integers(1, reasons.columns.len() as u64)),
                    };
                    added.then(reasons.cost())
                }
            };
        }
        cost
    }

    /// The plain twin: features column after column and, unless they are public, coefficients, to the outputs bit for bit, decisions as 0 or 1.
    pub fn plain(&self, table: &[i64], model: &[i64]) -> Vec<Vec<i64>> {
        let public: Vec<i64> = self.public.iter().flatten().map(|x| x.0.cast_signed()).collect();
        let model = if self.public.is_some() { &public } else { model };
        let exact = plain_logits(self.table.rows(), table, model);
        let logits = || exact.iter().map(|&z| plain::round_shift(z, FRACTIONAL));
        let report = |report: &Report| match report {
            Report::Logit => logits().collect(),
            Report::Probability => exact.iter().map(|&z| plain::sigmoid_of(z, EXACT, FRACTIONAL)).collect(),
            Report::ProbabilityBits => {
                let all: Vec<i64> = exact.iter().map(|&z| plain::sigmoid_bits(z, EXACT)).collect();
                (0..PROBABILITY_BITS).flat_map(|k| all.iter().map(move |p| p >> k & 1)).collect()
            }
            Report::Decision(p) => exact.iter().map(|&z| i64::from(z >= threshold(*p))).collect(),
            Report::Reasons(reasons) => reasons.plain(self.table.rows(), table, model),
        };
        self.reports.iter().map(report).collect()
    }

    fn needs_logits(&self) -> bool {
        self.reports.contains(&Report::Logit)
    }

    async fn batch<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        (table, [from, rows]): (&Table, [usize; 2]),
        model: View<'_, Z64>,
    ) -> Result<Vec<Vector>, Error> {
        let matrix = table.rows(from, rows)?;
        let exact = match &self.public {
            Some(model) => public_logits(ctx.me(), &matrix, model)?,
            None => logits(ctx, &matrix, model).await?,
        };
        let mut logits = None;
        if self.needs_logits() {
            logits = Some(round_shift(ctx, exact.view(), FRACTIONAL).await?);
        }
        let mut outputs = Vec::with_capacity(self.reports.len());
        for report in &self.reports {
            outputs.push(match (report, &logits) {
                (Report::Logit, Some(logits)) => logits.view().to_shares().into(),
                (Report::Probability, _) => Number::sigmoid_of::<M, EXACT>(ctx, exact.view()).await?.into(),
                (Report::ProbabilityBits, _) => Number::sigmoid_bits::<M, EXACT>(ctx, exact.view()).await?.into(),
                (Report::Decision(p), _) => decide(ctx, exact.view(), *p).await?.into(),
                (Report::Reasons(reasons), _) => {
                    let table = table.copied(from, rows)?;
                    let added = match &self.public {
                        Some(model) => reasons.added_by_public(rows, table.view(), model),
                        None => reasons.added(ctx, rows, table.view(), model).await?,
                    };
                    reasons.on_shares(ctx, added.view()).await?.into()
                }
                // Not reached: whoever needs logits has them.
                (Report::Logit, None) => Shares::<Z64>::zeros(rows).into(),
            });
        }
        Ok(outputs)
    }
}

impl Program for Score {
    fn inputs(&self) -> Vec<Shape> {
        let mut shapes = self.table.shapes();
        if self.weights == Weights::Shared {
            shapes.push(Shape::z64(self.table.columns() + 1));
        }
        shapes
    }

    fn limits(&self) -> Vec<Option<u64>> {
        let mut limits = self.table.limits();
        limits.extend((self.weights == Weights::Shared).then_some(Some(units(super::WEIGHT_LIMIT))));
        limits
    }

    fn outputs(&self) -> Vec<Shape> {
        let shape = |report: &Report| match report {
            Report::Decision(_) => Shape::bits(self.table.rows()),
            Report::ProbabilityBits => Shape::bits(PROBABILITY_BITS * self.table.rows()),
            Report::Logit | Report::Probability => Shape::z64(self.table.rows()),
            Report::Reasons(reasons) => Shape::z64(self.table.rows() * reasons.most),
        };
        self.reports.iter().map(shape).collect()
    }

    async fn protocol<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        mut inputs: Inputs,
        executor: &dyn Executor,
    ) -> Result<Released<M>, Error> {
        inputs.check(&self.inputs())?;
        let table = self.table.take(&mut inputs)?;
        let model = match self.weights {
            Weights::Public(_) => Shares::zeros(0),
            Weights::Shared => inputs.z64(self.table.shapes().len())?,
        };
        let shared = Arc::new((self.clone(), table, model));
        let rows = self.table.rows();
        // Bits of a batch begin at a word.
        let batch = self.tiling.batch.clamp(1, 1 << 30).next_multiple_of(Lanes::COUNT);
        let batches = rows.div_ceil(batch);
        let parts = in_batches(&mut ctx, (batches, self.tiling.strands), executor, move |strand, k| {
            let shared = shared.clone();
            Box::pin(async move {
                let (me, table, model) = &*shared;
                let rows = [k * batch, batch.min(rows - k * batch)];
                me.batch(strand, (table, rows), model.view()).await
            })
        });
        let mut outputs: Vec<Vector> = self.outputs().into_iter().map(zeros).collect();
        let mut parts = parts.await?;
        parts.sort_unstable_by_key(|(k, _)| *k);
        for (number, (report, output)) in self.reports.iter().zip(&mut outputs).enumerate() {
            let parts = parts.iter().filter_map(|(k, parts)| Some((k * batch, parts.get(number)?)));
            match report {
                Report::ProbabilityBits => {
                    let planes = parts.map(|(_, part)| Ok(part.bits()?.view())).collect::<Result<Vec<_>, Error>>()?;
                    *output = packed(&planes, batch, rows).into();
                }
                Report::Reasons(reasons) => {
                    for (from, part) in parts {
                        place(output, from * reasons.most, part)?;
                    }
                }
                _ => {
                    for (from, part) in parts {
                        place(output, from, part)?;
                    }
                }
            }
        }
        Ok(Released { strand: ctx.verify().await?, outputs })
    }
}

fn zeros(shape: Shape) -> Vector {
    match shape.ring {
        crate::program::RingKind::Bits => Shares::<Lanes>::zeros(shape.elements()).into(),
        crate::program::RingKind::Z16 => Shares::<Z16>::zeros(shape.elements()).into(),
        crate::program::RingKind::Z64 => Shares::<Z64>::zeros(shape.elements()).into(),
    }
}

/// Writes the rows of a batch to their place.
fn place(output: &mut Vector, from: usize, part: &Vector) -> Result<(), Error> {
    match output {
        Vector::Bits(output) => output.copy_from(from / Lanes::COUNT, part.bits()?.view()),
        Vector::Z64(output) => output.copy_from(from, part.z64()?.view()),
        // No report consists of them.
        Vector::Z16(_) => Err(Error::Shape { what: "the bits of a report", expected: 64, got: 16 }),
    }
}

/// The logits by a public model, with twice the fractional bits. Local.
fn public_logits(me: Party, table: &Matrix<'_, Z64>, model: &[Z64]) -> Result<Shares<Z64>, Error> {
    let mut logits = table.times_public(model.get(1..).unwrap_or_default())?;
    let intercept = model.first().map_or(Z64(0), |x| Z64(x.0 << FRACTIONAL));
    logits.add_public(me, &vec![intercept; table.rows()])?;
    Ok(logits)
}

/// Whether logits with twice the fractional bits are at least that of a probability.
async fn decide<M: Mode>(ctx: &mut Ctx<M>, logits: View<'_, Z64>, p: f64) -> Result<Shares<Lanes>, Error> {
    let (me, n) = (ctx.me(), logits.len());
    let mut above = logits.to_shares();
    above.add_public(me, &vec![Z64(threshold(p).wrapping_neg().cast_unsigned()); n])?;
    let mut decisions = sign(ctx, above.view()).await?;
    let mut ones = vec![Lanes::ONES; Lanes::words(n)];
    if let (Some(last), rest @ 1..) = (ones.last_mut(), n % Lanes::COUNT) {
        last.0 = (1 << rest) - 1;
    }
    decisions.add_public(me, &ones)?;
    Ok(decisions)
}

/// The logit of a probability, with twice the fractional bits. It is below 746 in absolute value for all that lies between 0 and 1.
fn threshold(p: f64) -> i64 {
    let logit = p.ln() - (-p).ln_1p();
    (logit * f64::from(FRACTIONAL * 2).exp2()).round() as i64
}
