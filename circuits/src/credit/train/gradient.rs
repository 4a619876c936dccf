//! What every step of a training computes: probabilities, errors and their gradient, on shares and on plain integers.

use crate::{
    arith::{
        ElementCost,
        fixed::{reference as plain, round_shift, shift_cost},
        inject, inject_cost,
    },
    credit::{
        FEATURE_LIMIT, Number, Pooled, WEIGHT_LIMIT,
        columns::{logits, plain_logits},
        number::{EXACT, FRACTIONAL},
        places::{Kept, Place},
        train::WEIGHT_BITS,
    },
    program::Inputs,
};
use trefoil_engine::{Cost, prelude::*};

/// Rows in one sum of products at most: with every feature at its limit and every error 1, the sum stays within range.
const CHUNK: usize = 8192;

/// The public constants of a gradient of so many rows: times `rate / rows`, with so many fractional bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Times the sum of gradients, then divided by a power of two.
    factor: i64,
    shift: u32,
    /// Times the weights.
    penalty: i64,
}

impl Scale {
    /// `rate / rows` as a factor of 12 or 13 bits over a power of two: the product with a sum of gradients, at most `rows * 128`, has room.
    ///
    /// `penalty` is that of all these rows. The rate is above `2^-20`.
    pub(super) fn new(rate: f64, rows: usize, penalty: f64, bits: u32) -> Self {
        let (factor, shift) = factor(rate / rows as f64, 12);
        let penalty = (penalty * Number::ONE.0 as f64).round() as i64;
        Self { factor, shift: shift + FRACTIONAL - bits, penalty }
    }

    /// What can come up where in [`gradient`] of so many rows.
    pub(super) fn places(self, rows: usize) -> [Place; 3] {
        let [sum, penalty, gradient] = largest_sums(rows, self.penalty);
        [
            Place::truncated("a sum of features times errors", sum, Kept::Inputs),
            Place::truncated("the penalty on a coefficient", penalty, Kept::Flag),
            Place::truncated("a gradient times the rate", gradient * self.factor as f64, Kept::Flag),
        ]
    }

    /// The exact cost of [`gradient`] for so many rows and columns, in the order of its rounds.
    pub(super) fn cost(self, rows: usize, columns: usize) -> [Cost; 3] {
        let [products, truncated] = truncated_sums_cost(rows, columns);
        [products, truncated, shift_cost(self.shift).over(columns + 1)]
    }
}

/// The exact cost of [`sums`] for so many rows and columns, in the order of its rounds.
pub(super) fn truncated_sums_cost(rows: usize, columns: usize) -> [Cost; 2] {
    let sums = columns * rows.div_ceil(CHUNK);
    [ElementCost::integers(1, 1).over(sums), shift_cost(FRACTIONAL).over(sums + columns)]
}

/// The largest absolute values, as integers, in [`sums`] of so many rows: of a sum and of the penalty before they are truncated, and of the result.
pub(super) fn largest_sums(rows: usize, penalty: i64) -> [f64; 3] {
    let one = Number::ONE.0 as f64;
    let term = FEATURE_LIMIT * one * one;
    let penalty = WEIGHT_LIMIT * one * penalty as f64;
    // A truncation adds half a unit at most.
    let sums = (rows as f64 * term + penalty) / one + rows.div_ceil(CHUNK) as f64 + 1.0;
    // An error, for the intercept, is no larger than the product with a feature at its limit.
    [rows.min(CHUNK) as f64 * term, penalty.max(1.0), sums]
}

/// A number above 0 as an integer of so many bits, or one more, over a power of two.
pub(super) fn factor(x: f64, bits: u32) -> (i64, u32) {
    let mut shift = 0_u32;
    while x * f64::from(shift).exp2() < f64::from(bits).exp2() {
        shift += 1;
    }
    ((x * f64::from(shift).exp2()).round() as i64, shift)
}

/// Every element times a public integer.
pub(super) fn times(x: View<'_, Z64>, by: i64) -> Shares<Z64> {
    let mut x = x.to_shares();
    x.update(|x| x.iter_mut().for_each(|x| *x = *x * Z64(by.cast_unsigned())));
    x
}

/// One part after the other.
pub(in crate::credit) fn in_turn(parts: impl IntoIterator<Item = Cost>) -> Cost {
    parts.into_iter().fold(Cost::default(), |sum, part| Cost {
        rounds: sum.rounds + part.rounds,
        bytes_sent: sum.bytes_sent + part.bytes_sent,
        products: sum.products + part.products,
    })
}

/// The labels of all customers.
pub(super) struct Labels {
    /// As numbers, 0 or 1.
    pub(super) numbers: Shares<Z64>,
    /// Two integers, of which one is not below `2^WEIGHT_BITS` if all customers have the same label: whatever they are trained on, there is no model of them.
    pub(super) both: Shares<Z64>,
}

/// All labels.
pub(super) async fn labels<M: Mode>(ctx: &mut Ctx<M>, table: &Pooled, inputs: &mut Inputs) -> Result<Labels, Error> {
    let first = table.shapes().len();
    let mut all = Vec::new();
    for (k, rows) in table.labelled().into_iter().enumerate() {
        all.push(inject(ctx, rows, inputs.bits(first + k)?.view()).await?);
    }
    let all = Shares::concat(&all.iter().map(Shares::view).collect::<Vec<_>>());
    // `2^bits` less the bad customers, and less the good ones. There are at most 2^20 of either.
    let mut both = Shares::rearrange(all.view(), BOTH, |all, both| {
        let bad = all.iter().fold(Z64(0), |sum, &label| sum + label);
        both.copy_from_slice(&[Z64(0) - bad, bad]);
    });
    let limit = 1 << WEIGHT_BITS;
    both.add_public(ctx.me(), &[Z64(limit), Z64(limit) - Z64(all.len() as u64)])?;
    Ok(Labels { numbers: times(all.view(), 1 << FRACTIONAL), both })
}

/// How many of the integers that are watched tell that all customers have the same label.
pub(super) const BOTH: usize = 2;

/// The exact cost of [`labels`].
pub(super) fn labels_cost(table: &Pooled) -> Vec<Cost> {
    table.labelled().into_iter().map(|rows| inject_cost().over(rows)).collect()
}

/// The probabilities of `n` rows by a model.
pub(super) async fn probabilities<M: Mode>(
    ctx: &mut Ctx<M>,
    n: usize,
    rows: View<'_, Z64>,
    at: View<'_, Z64>,
) -> Result<Shares<Z64>, Error> {
    let exact = logits(ctx, &Matrix::from_columns(n, rows)?, at).await?;
    Number::sigmoid_of::<M, EXACT>(ctx, exact.view()).await
}

/// The exact cost of [`probabilities`] of so many rows.
pub(super) fn probabilities_cost(rows: usize) -> Cost {
    ElementCost::integers(1, 1).then(Number::sigmoid_of_cost::<EXACT>(rows)).over(rows)
}

/// The gradient at coefficients, from the errors of all rows, scaled.
pub(super) async fn gradient<M: Mode>(
    ctx: &mut Ctx<M>,
    rows: View<'_, Z64>,
    errors: View<'_, Z64>,
    at: View<'_, Z64>,
    scale: Scale,
) -> Result<Shares<Z64>, Error> {
    let gradient = sums(ctx, rows, errors, at, scale.penalty).await?;
    round_shift(ctx, times(gradient.view(), scale.factor).view(), scale.shift).await
}

/// The gradient as it is, as numbers.
pub(super) async fn sums<M: Mode>(
    ctx: &mut Ctx<M>,
    rows: View<'_, Z64>,
    errors: View<'_, Z64>,
    at: View<'_, Z64>,
    penalty: i64,
) -> Result<Shares<Z64>, Error> {
    let (n, d) = (errors.len(), at.len() - 1);
    let mut gradient = Shares::rearrange(errors, d + 1, |errors, gradient| {
        gradient[0] = errors.iter().fold(Z64(0), |sum, &e| sum + e);
    });

    // For each column its chunks, one after the other.
    let mut terms = vec![CHUNK; n / CHUNK];
    terms.extend((n % CHUNK > 0).then_some(n % CHUNK));
    let errors = Shares::concat(&vec![errors; d]);
    let sums = ctx.sums_of_products(rows, errors.view(), &terms.repeat(d), 1).await?;
    let penalty = times(at.slice(1, d)?, penalty);
    let sums = round_shift(ctx, Shares::concat(&[sums.view(), penalty.view()]).view(), FRACTIONAL).await?;
    let weights = Shares::rearrange(sums.view(), d, |sums, weights| {
        let (chunks, penalty) = sums.split_at(d * terms.len());
        for ((weight, chunks), &penalty) in weights.iter_mut().zip(chunks.chunks_exact(terms.len())).zip(penalty) {
            *weight = chunks.iter().fold(penalty, |sum, &x| sum + x);
        }
    });
    gradient.copy_from(1, weights.view())?;
    Ok(gradient)
}

/// The twin of [`probabilities`].
pub(super) fn plain_probabilities(rows: &[&[i64]], at: &[i64]) -> Vec<i64> {
    let n = rows.first().map_or(0, |column| column.len());
    let logits = plain_logits(n, &rows.concat(), at);
    logits.into_iter().map(|z| plain::sigmoid_of(z, EXACT, FRACTIONAL)).collect()
}

/// Probabilities less the labels.
pub(super) fn plain_errors(probabilities: &[i64], labels: &[bool]) -> Vec<i64> {
    probabilities.iter().zip(labels).map(|(p, &bad)| p - (i64::from(bad) << FRACTIONAL)).collect()
}

/// The twin of [`gradient`].
pub(super) fn plain_gradient(rows: &[&[i64]], errors: &[i64], at: &[i64], scale: Scale) -> Vec<i64> {
    let gradient = plain_sums(rows, errors, at, scale.penalty);
    gradient.into_iter().map(|sum| plain::round_shift(sum * scale.factor, scale.shift)).collect()
}

/// The twin of [`sums`].
pub(super) fn plain_sums(rows: &[&[i64]], errors: &[i64], at: &[i64], penalty: i64) -> Vec<i64> {
    let product = |x: &[i64], y: &[i64]| plain::round_shift(x.iter().zip(y).map(|(x, y)| x * y).sum(), FRACTIONAL);
    let mut gradient = vec![errors.iter().sum()];
    for (column, &weight) in rows.iter().zip(&at[1..]) {
        let chunks = column.chunks(CHUNK).zip(errors.chunks(CHUNK));
        let sum: i64 = chunks.map(|(x, e)| product(x, e)).sum();
        gradient.push(sum + plain::round_shift(weight * penalty, FRACTIONAL));
    }
    gradient
}
