//! Training on plain integers: the same bits as on shares.

use super::{
    EXTRA, MOMENTUM, Train,
    gradient::{plain_errors, plain_gradient, plain_probabilities},
};
use crate::arith::fixed::reference::round_shift;

impl Train {
    /// The plain twin: features column after column and labels, to the coefficients bit for bit, as long as none leaves its range.
    pub fn plain(&self, table: &[i64], labels: &[bool]) -> Vec<i64> {
        let n = labels.len();
        let d = self.table.columns();
        let (mut ahead, mut model, mut at) = (vec![0; d + 1], vec![0; d + 1], vec![0; d + 1]);
        let mut before = model.clone();
        for epoch in 1..=self.settings.epochs {
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
            if let Some(stopping) = self.stopping_after(epoch) {
                if stopping.plain(&before, &model) {
                    break;
                }
                before.clone_from(&model);
            }
        }
        model.into_iter().map(|x| round_shift(x, EXTRA)).collect()
    }

    fn plain_step(&self, rows: &[&[i64]], labels: &[bool], at: &[i64]) -> Vec<i64> {
        let errors = plain_errors(&plain_probabilities(rows, at), labels);
        plain_gradient(rows, &errors, at, self.scale(labels.len()))
    }
}
