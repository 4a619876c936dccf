//! What a step of descent does to the coefficients: as few truncations one after the other as can be, since each takes rounds.

use super::gradient::{factor, largest_sums, plain_sums, sums, times, truncated_sums_cost};
use crate::{
    arith::{
        ElementCost,
        bits::same,
        fixed::{reference as plain, round_shifts, round_shifts_cost},
    },
    credit::{
        Number, WEIGHT_LIMIT,
        number::FRACTIONAL,
        places::{Kept, Place},
    },
};
use trefoil_engine::{Cost, prelude::*};

/// Fractional bits that coefficients have between steps beyond those of a [`Number`], so that small steps are not lost.
pub(super) const EXTRA: u32 = 8;
/// Fractional bits of the momentum.
pub(super) const MOMENTUM: u32 = 10;
/// Bits of a sum of products of a feature and an error at their limits, beyond those of the number of terms.
const PRODUCT: u32 = 47;
/// Bits that a gradient times the rate may have, so that it can be truncated.
const ROOM: f64 = 60.5;
/// Bits of the factor of the rate, if there is room for so many; and as few as there may be.
const FACTOR: [u32; 2] = [12, 4];

/// The public constants of a step on so many rows.
///
/// Where the gradient is taken, coefficients are ahead by the momentum: from `w` and `v`, these ahead and those of the model, and the gradient there, the next model is `v' = w - rate g`, and the next
/// place ahead is `v' + m (v' - v) = [w + m (w - v)] - (1 + m) rate g`. The bracket does not wait for the gradient, so all truncations take the same rounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update {
    /// `rate / rows` and `(1 + m) rate / rows`, over a power of two.
    factors: [i64; 2],
    /// Bits to be dropped after them.
    shift: u32,
    momentum: i64,
    /// Times the weights.
    penalty: i64,
    form: Form,
}

/// Whether gradients are truncated before they are multiplied by the rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    /// Not, of few rows: there is room.
    Exact,
    /// To the bits of a number.
    Truncated,
}

/// The coefficients between steps, with [`EXTRA`] bits.
#[derive(Debug)]
pub(super) struct State {
    ahead: Shares<Z64>,
    pub(super) model: Shares<Z64>,
    /// Those ahead, as numbers.
    pub(super) at: Shares<Z64>,
}

impl State {
    pub(super) fn new(coefficients: usize) -> Self {
        let zeros = || Shares::zeros(coefficients);
        Self { ahead: zeros(), model: zeros(), at: zeros() }
    }
}

impl Update {
    /// `penalty` is that of these rows.
    pub(super) fn new(rate: f64, rows: usize, momentum: f64, penalty: f64) -> Self {
        let momentum = (momentum * f64::from(MOMENTUM).exp2()).round();
        let penalty = (penalty * Number::ONE.0 as f64).round();
        // The largest gradient of rows and coefficients at their limits; twice of it, and one bit of the factor more, is what both factors come to.
        let largest = rows as f64 * f64::from(PRODUCT).exp2() + penalty * f64::from(FRACTIONAL + 5).exp2();
        let room = ROOM - 2.0 - largest.log2();
        let [most, least] = FACTOR;
        let (form, bits) = match (least..=most).rev().find(|&bits| f64::from(bits) <= room) {
            Some(bits) => (Form::Exact, bits),
            None => (Form::Truncated, most),
        };
        let (rate, shift) = factor(rate / rows as f64, bits);
        let ahead = (rate as f64 * (1.0 + momentum / f64::from(MOMENTUM).exp2())).round() as i64;
        let exact = if form == Form::Exact { FRACTIONAL } else { 0 };
        Self {
            factors: [rate, ahead],
            shift: shift + exact - EXTRA,
            momentum: momentum as i64,
            penalty: penalty as i64,
            form,
        }
    }

    /// What can come up where in a step on so many rows.
    pub(super) fn places(self, rows: usize) -> Vec<Place> {
        let [sum, penalty, sums] = largest_sums(rows, self.penalty);
        let [_, ahead] = self.factors.map(|factor| factor as f64);
        let (mut places, gradient) = match self.form {
            Form::Exact => {
                let gradient = rows as f64 * f64::from(PRODUCT).exp2() + penalty;
                (Vec::new(), gradient * ahead)
            }
            Form::Truncated => {
                let sum = Place::truncated("a sum of features times errors", sum, Kept::Inputs);
                (vec![sum, Place::truncated("the penalty on a coefficient", penalty, Kept::Flag)], sums * ahead)
            }
        };
        // Those ahead are within their limit `c` until a flag is raised. With the next ones too, (1 + m) times the step is at most 2 c + m (c + M) for a model of up to `M`, and the next model is one of up to
        // 3 c + M / 2: none exceeds 6 c. The bracket is at most c + (c + 6 c).
        let coefficient = (WEIGHT_LIMIT + 1.0) * f64::from(FRACTIONAL + EXTRA).exp2();
        let bracket = 8.0 * coefficient * f64::from(MOMENTUM).exp2();
        places.push(Place::truncated("a gradient times the rate", gradient, Kept::Flag));
        places.push(Place::truncated("a coefficient and its last change", bracket, Kept::Flag));
        places
    }

    /// Bits that are dropped from the five vectors of a step: the gradient times the rate; the same for the place ahead, twice; the bracket, twice.
    fn shifts(self) -> [u32; 5] {
        [self.shift, self.shift, self.shift + EXTRA, MOMENTUM, MOMENTUM + EXTRA]
    }

    /// One step, by the errors of some rows.
    pub(super) async fn run<M: Mode>(
        self,
        ctx: &mut Ctx<M>,
        rows: View<'_, Z64>,
        errors: View<'_, Z64>,
        state: &mut State,
    ) -> Result<(), Error> {
        let at = state.at.view();
        let gradient = match self.form {
            Form::Truncated => sums(ctx, rows, errors, at, self.penalty).await?,
            Form::Exact => {
                let (n, d) = (errors.len(), at.len() - 1);
                same("the columns of a step", n * d, rows.len())?;
                let columns = [Windows::new(rows, n, d, n)?, Windows::new(errors, 0, 1, n)?];
                let sums = ctx.dots(&[columns]).await?;
                let mut gradient = Shares::rearrange(errors, d + 1, |errors, gradient| {
                    gradient[0] = Z64(errors.iter().fold(Z64(0), |sum, &e| sum + e).0 << FRACTIONAL);
                });
                gradient.copy_from(1, sums.view().plus(times(at.slice(1, d)?, self.penalty).view())?.view())?;
                gradient
            }
        };
        let [step, ahead] = self.factors.map(|factor| times(gradient.view(), factor));
        let again = times(state.ahead.view().minus(state.model.view())?.view(), self.momentum);
        let bracket = times(state.ahead.view(), 1 << MOMENTUM).view().plus(again.view())?;
        let (ahead, bracket) = (ahead.view(), bracket.view());
        let vectors = [step.view(), ahead, ahead, bracket, bracket];
        let parts: Vec<_> = vectors.into_iter().zip(self.shifts()).collect();
        let rounded = round_shifts(ctx, &parts).await?;
        let [step, ahead, ahead_at, bracket, bracket_at] = &rounded[..] else {
            return Err(Error::Shape { what: "the vectors of a step", expected: 5, got: rounded.len() });
        };
        state.model = state.ahead.view().minus(step.view())?;
        state.ahead = bracket.view().minus(ahead.view())?;
        state.at = bracket_at.view().minus(ahead_at.view())?;
        Ok(())
    }

    /// The exact cost of [`run`](Self::run) for so many rows and columns, in the order of its rounds.
    pub(super) fn cost(self, rows: usize, columns: usize) -> Vec<Cost> {
        let mut parts = match self.form {
            Form::Exact => vec![ElementCost::integers(1, 1).over(columns)],
            Form::Truncated => truncated_sums_cost(rows, columns).to_vec(),
        };
        parts.push(round_shifts_cost(&self.shifts().map(|bits| (columns + 1, bits))));
        parts
    }

    /// The twin of [`run`](Self::run): `[ahead, model, at]` as in [`State`].
    pub(super) fn plain(self, rows: &[&[i64]], errors: &[i64], [ahead, model, at]: &mut [Vec<i64>; 3]) {
        let gradient = match self.form {
            Form::Truncated => plain_sums(rows, errors, at, self.penalty),
            Form::Exact => {
                let sum = |column: &&[i64]| column.iter().zip(errors).map(|(x, e)| x * e).sum::<i64>();
                let weights = rows.iter().map(sum).zip(&at[1..]).map(|(sum, weight)| sum + weight * self.penalty);
                std::iter::once(errors.iter().sum::<i64>() << FRACTIONAL).chain(weights).collect()
            }
        };
        let [of_step, of_ahead, of_at, of_bracket, of_bracket_at] = self.shifts();
        let [rate, rate_ahead] = self.factors;
        for (k, g) in gradient.into_iter().enumerate() {
            let bracket = (ahead[k] << MOMENTUM) + self.momentum * (ahead[k] - model[k]);
            model[k] = ahead[k] - plain::round_shift(g * rate, of_step);
            ahead[k] = plain::round_shift(bracket, of_bracket) - plain::round_shift(g * rate_ahead, of_ahead);
            at[k] = plain::round_shift(bracket, of_bracket_at) - plain::round_shift(g * rate_ahead, of_at);
        }
    }
}
