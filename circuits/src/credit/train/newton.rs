//! Training by Newton's method as a program.

mod curvature;
mod dots;
mod inverse;
mod places;
mod plain;

use super::{
    EXTRA, WEIGHT_BITS,
    gradient::{BOTH, Labels, Scale, gradient, in_turn, labels, labels_cost, probabilities, probabilities_cost, times},
};
use crate::{
    arith::{
        ElementCost,
        fixed::{Flags, any_cost, beyond_cost, round_shift, shift_cost},
    },
    credit::{CreditError, Number, Pooled, number::FRACTIONAL, places::Place},
    program::{Executor, Inputs, Program, Released, Shape},
};
use curvature::{CURVATURE, Curvature};
use inverse::{INVERSE, Inverse};
use trefoil_engine::{Cost, prelude::*};

/// Fractional bits of a gradient that an inverse is multiplied by.
const GRADIENT: u32 = 25;
/// What the product of an inverse and a gradient has more fractional bits than a coefficient.
const STEP: u32 = INVERSE + GRADIENT - FRACTIONAL - EXTRA;

/// How a model is trained by Newton's method. All of it is public.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewtonSettings {
    /// Iterations, from 1 to 64. Seven or eight come to the best model.
    pub iterations: usize,
    /// The L2 penalty, at most 16,384 and at most the number of rows; the intercept is free.
    pub l2: f64,
}

impl Default for NewtonSettings {
    /// Eight iterations, L2 penalty 1.
    fn default() -> Self {
        Self { iterations: 8, l2: 1.0 }
    }
}

/// Trains a logistic model on the tables of several owners, by Newton's method from zero (iteratively reweighted least squares).
///
/// Minimizes what [`Train`](super::Train) does. On the real loans (16,228 rows of 26 features) seven iterations come within `2e-4` of the best coefficients, in 1,175 rounds and 78 MB; descent with momentum within `1e-3` in 100 epochs, 8,230 rounds and 435 MB. With `A` the matrix of
/// second derivatives of the mean loss, scaled, an iteration is
///
/// ```text
/// twice  Y = Y (2 - A Y)          then  w = w - Y g
/// ```
///
/// where `g` is the gradient. `Y` comes from the iteration before, so that it is near the inverse of `A` already; at the first one, where all probabilities are `1/2`, `A` is a fourth of the sum of
/// squares (the bound of Boehning and Lindsay), and eleven steps from the unit matrix lead there. Products alone, of `log` depth: a decomposition has one reciprocal, of 77 rounds, for each column. The bound
/// alone, inverted once, has cheaper iterations but needs 45 of them to come within `1e-3` on the loans. `A` has `2^-12` more on its diagonal than the penalty gives, so that columns which depend on each other do no harm: the model
/// that the iterations come to does not depend on `Y`, only their number does.
///
/// **Shape** inputs and outputs as those of [`Train`](super::Train). The bit is set, too, if the table is not standardized (a column whose mean square is above 4 or so) and if a gradient or a matrix leaves
/// the range in which nothing overflows. There is no search along the step. Classes that a plane separates have no best model without penalty: the coefficients grow with every iteration, as in plain.
/// **Cost** [`cost`](Self::cost): once a truncation of each feature; for each iteration but the first and for each row, `d + 2` integers, 2 truncations and a sigmoid; for each iteration and
/// 448 rows, `d^2 / 2` integers and truncations; for each step of `Y`, `3/2 d^2`. About 146 rounds an iteration, and 298 for the first.
/// **Security** composition of gates. **Source** Schulz (1933) for the inverse; Boehning and Lindsay (1988).
#[derive(Clone, Debug, PartialEq)]
pub struct NewtonTrain {
    table: Pooled,
    settings: NewtonSettings,
}

impl NewtonTrain {
    /// What to train on, and how.
    ///
    /// # Errors
    /// [`CreditError`]: a setting out of range, no row or more than 1,048,576, no feature or more than [`MOST_FEATURES`](crate::credit::MOST_FEATURES).
    pub fn new(table: Pooled, settings: NewtonSettings) -> Result<Self, CreditError> {
        table.check()?;
        let NewtonSettings { iterations, l2 } = settings;
        let accepted = (1..=64).contains(&iterations);
        CreditError::setting(accepted, "the number of iterations", iterations as f64, "from 1 to 64")?;
        let most = 16_384.0_f64.min(table.rows() as f64);
        let range = "from 0 to 16384 and to the number of rows";
        CreditError::setting((0.0..=most).contains(&l2), "the L2 penalty", l2, range)?;
        let train = Self { table, settings };
        Place::check(&train.places())?;
        Ok(train)
    }

    /// The exact cost of the whole training, of P0 in semi-honest mode.
    pub fn cost(&self) -> Cost {
        let (n, size) = (self.table.rows(), self.table.columns() + 1);
        let (curvature, solver) = (self.curvature(), Inverse(size));
        let mut parts = labels_cost(&self.table);
        parts.push(curvature.coarse_cost());
        let mut words = 0;
        for iteration in 0..self.settings.iterations {
            parts.extend((iteration > 0).then(|| probabilities_cost(n)));
            parts.extend(curvature.cost(iteration > 0));
            let mut watched = size * (size + 1) / 2 + 2 * size + if iteration == 0 { BOTH } else { 0 };
            for _ in 0..Inverse::steps(iteration) {
                let (step, more) = solver.cost();
                parts.extend(step);
                watched += more;
            }
            parts.extend(self.scale().cost(n, size - 1));
            let step = ElementCost::integers(1, 1).then(shift_cost(STEP)).then(shift_cost(EXTRA));
            parts.extend([step.over(size), beyond_cost().over(watched)]);
            words += 2 * Lanes::words(watched);
        }
        parts.push(ElementCost::lanes(any_cost(words)).over(1));
        in_turn(parts)
    }

    /// The sum over all rows is divided by two so often that the trace of the curvature is 1 at most for standardized columns, and with it its largest eigenvalue.
    fn halvings(&self) -> u32 {
        let trace = (self.table.columns() + 1) as f64 / 4.0 * self.table.rows() as f64 + self.settings.l2;
        (0..64).find(|&halvings| f64::from(halvings).exp2() >= trace).unwrap_or(64)
    }

    /// What a mean is multiplied by instead.
    fn rate(&self) -> f64 {
        self.table.rows() as f64 / f64::from(self.halvings()).exp2()
    }

    /// That as a power of two, rounded up.
    fn rate_bits(&self) -> i32 {
        self.rate().log2().ceil() as i32
    }

    fn curvature(&self) -> Curvature {
        Curvature::new(&self.table, self.halvings(), self.settings.l2 / f64::from(self.halvings()).exp2())
    }

    fn scale(&self) -> Scale {
        Scale::new(self.rate(), self.table.rows(), self.settings.l2, GRADIENT)
    }

    /// An iteration from coefficients `at` on: the curvature, the inverse and the gradient to the step.
    async fn iteration<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        watch: &mut Watch,
        customers: &Customers,
        (at, inverse): (View<'_, Z64>, &mut Shares<Z64>),
        iteration: usize,
    ) -> Result<Shares<Z64>, Error> {
        let (n, size, curvature) = (customers.labels.len(), at.len(), self.curvature());
        let (table, coarse) = (customers.table.view(), customers.coarse.view());
        let p = match iteration {
            0 => Shares::public(ctx.me(), &vec![Z64(Number::ONE.0 / 2); n]),
            _ => probabilities(ctx, n, table, at).await?,
        };
        let entries = curvature.on_shares(ctx, coarse, (iteration > 0).then_some(p.view())).await?;
        // Entries of at most the rate: with those of the inverse within theirs, no sum of their products overflows.
        let rate = self.rate_bits();
        watch.limit(entries.view(), CURVATURE.saturating_add_signed(rate));
        let matrix = curvature.whole(ctx.me(), entries.view())?;
        for _ in 0..Inverse::steps(iteration) {
            *inverse = Inverse(size).step(ctx, watch, matrix.view(), inverse.view()).await?;
        }
        let errors = p.view().minus(customers.labels.view())?;
        let gradient = gradient(ctx, table, errors.view(), at, self.scale()).await?;
        watch.limit(gradient.view(), (GRADIENT + 2).saturating_add_signed(rate));
        let gradient = Shares::concat(&vec![gradient.view(); size]);
        let step = ctx.sums_of_products(inverse.view(), gradient.view(), &vec![size; size], 1).await?;
        round_shift(ctx, step.view(), STEP).await
    }
}

/// The customers of all owners.
struct Customers {
    table: Shares<Z64>,
    /// As the curvature takes it.
    coarse: Shares<Z64>,
    labels: Shares<Z64>,
}

/// Values that have to stay below powers of two, each scaled to one common bound.
#[derive(Debug, Default)]
struct Watch(Vec<Shares<Z64>>);

impl Watch {
    /// The bound in bits.
    const BITS: u32 = 40;

    /// Watches integers that have to stay from `-2^bits` to `2^bits - 1`. They are below `2^(bits + 22)` as long as nothing was beyond before.
    fn limit(&mut self, x: View<'_, Z64>, bits: u32) {
        self.0.push(times(x, 1 << Self::BITS.saturating_sub(bits)));
    }

    async fn raise<M: Mode>(self, ctx: &mut Ctx<M>, flags: &mut Flags) -> Result<(), Error> {
        let all = Shares::concat(&self.0.iter().map(Shares::view).collect::<Vec<_>>());
        flags.raise_beyond(ctx, all.view(), Self::BITS).await
    }
}

impl Program for NewtonTrain {
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
        let coarse = self.curvature().coarse(&mut ctx, table.view()).await?;
        let customers = Customers { table, coarse, labels };
        let size = self.table.columns() + 1;
        let first: Vec<Z64> = Inverse(size).first().into_iter().map(|x| Z64(x.cast_unsigned())).collect();
        let mut inverse = Shares::public(ctx.me(), &first);
        let (mut model, mut at) = (Shares::<Z64>::zeros(size), Shares::<Z64>::zeros(size));
        let mut flags = Flags::default();
        for k in 0..self.settings.iterations {
            let mut watch = Watch::default();
            if k == 0 {
                watch.limit(both.view(), WEIGHT_BITS);
            }
            let step = self.iteration(&mut ctx, &mut watch, &customers, (at.view(), &mut inverse), k).await?;
            model = model.view().minus(step.view())?;
            at = round_shift(&mut ctx, model.view(), EXTRA).await?;
            watch.limit(at.view(), WEIGHT_BITS);
            watch.raise(&mut ctx, &mut flags).await?;
        }
        let beyond = flags.any(&mut ctx).await?;
        Ok(Released { strand: ctx.verify().await?, outputs: vec![at.into(), beyond.into()] })
    }
}
