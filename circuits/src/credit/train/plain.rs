//! Training on plain integers: the same bits as on shares.

use super::{
    EXTRA, Train,
    gradient::{plain_errors, plain_probabilities},
};
use crate::arith::fixed::reference::round_shift;

impl Train {
    /// The plain twin: features column after column and labels, to the coefficients bit for bit, as long as none leaves its range.
    pub fn plain(&self, table: &[i64], labels: &[bool]) -> Vec<i64> {
        let n = labels.len();
        let mut state = [(); 3].map(|()| vec![0; self.table.columns() + 1]);
        let mut before = state[1].clone();
        for epoch in 1..=self.settings.epochs {
            for from in (0..n).step_by(self.batch()) {
                let count = self.batch().min(n - from);
                let rows: Vec<&[i64]> = table.chunks_exact(n).map(|column| &column[from..][..count]).collect();
                let errors = plain_errors(&plain_probabilities(&rows, &state[2]), &labels[from..][..count]);
                self.update(count).plain(&rows, &errors, &mut state);
            }
            if let Some(stopping) = self.stopping_after(epoch) {
                if stopping.plain(&before, &state[1]) {
                    break;
                }
                before.clone_from(&state[1]);
            }
        }
        state[1].iter().map(|&x| round_shift(x, EXTRA)).collect()
    }
}
