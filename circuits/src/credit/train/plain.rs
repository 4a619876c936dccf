//! Training on plain integers: the same bits as on shares.

use super::{CHUNK, EXTRA, MOMENTUM, Train};
use crate::{
    arith::fixed::reference::{round_shift, sigmoid},
    credit::{columns::plain_logits, number::FRACTIONAL},
};

impl Train {
    /// The plain twin: features column after column and labels, to the coefficients bit for bit, as long as none leaves its range.
    pub fn plain(&self, table: &[i64], labels: &[bool]) -> Vec<i64> {
        let n = labels.len();
        let d = self.table.columns();
        let (mut ahead, mut model, mut at) = (vec![0; d + 1], vec![0; d + 1], vec![0; d + 1]);
        for _ in 0..self.settings.epochs {
            for from in (0..n).step_by(self.batch()) {
                let count = self.batch().min(n - from);
                let rows: Vec<&[i64]> = table.chunks_exact(n).map(|column| &column[from..][..count]).collect();
                let steps = self.plain_step(&rows, &labels[from..][..count], &at);
                for (k, step) in steps.into_iter().enumerate() {
                    let next: i64 = ahead[k] - step;
                    let again = self.momentum() * (next - model[k]);
                    ahead[k] = next + round_shift(again, MOMENTUM);
                    (model[k], at[k]) = (next, round_shift(ahead[k], EXTRA));
                }
            }
        }
        model.into_iter().map(|x| round_shift(x, EXTRA)).collect()
    }

    fn plain_step(&self, rows: &[&[i64]], labels: &[bool], at: &[i64]) -> Vec<i64> {
        let step = self.step(labels.len());
        let error = |(logit, &bad): (i64, &bool)| {
            sigmoid(round_shift(logit, FRACTIONAL), FRACTIONAL) - (i64::from(bad) << FRACTIONAL)
        };
        let logits = plain_logits(labels.len(), &rows.concat(), at);
        let errors: Vec<i64> = logits.into_iter().zip(labels).map(error).collect();
        let product = |x: &[i64], y: &[i64]| round_shift(x.iter().zip(y).map(|(x, y)| x * y).sum(), FRACTIONAL);
        let mut gradient = vec![errors.iter().sum()];
        for (column, &weight) in rows.iter().zip(&at[1..]) {
            let chunks = column.chunks(CHUNK).zip(errors.chunks(CHUNK));
            let sum: i64 = chunks.map(|(x, e)| product(x, e)).sum();
            gradient.push(sum + round_shift(weight * step.penalty, FRACTIONAL));
        }
        gradient.into_iter().map(|sum| round_shift(sum * step.factor, step.shift)).collect()
    }
}
