//! Training by Newton's method on plain integers: the same bits as on shares.

use super::{Inverse, NewtonTrain, STEP};
use crate::{
    arith::fixed::reference::round_shift,
    credit::{
        number::FRACTIONAL,
        train::{
            EXTRA,
            gradient::{plain_errors, plain_gradient, plain_probabilities},
        },
    },
};

impl NewtonTrain {
    /// The plain twin: features column after column and labels, to the coefficients bit for bit, as long as nothing leaves its range.
    pub fn plain(&self, table: &[i64], labels: &[bool]) -> Vec<i64> {
        let size = self.table.columns() + 1;
        let rows: Vec<&[i64]> = table.chunks_exact(labels.len()).collect();
        let (curvature, solver) = (self.curvature(), Inverse(size));
        let coarse = curvature.plain_coarse(table);
        let mut inverse = solver.first();
        let (mut model, mut at) = (vec![0; size], vec![0; size]);
        for iteration in 0..self.settings.iterations {
            let probabilities = match iteration {
                0 => vec![1 << (FRACTIONAL - 1); labels.len()],
                _ => plain_probabilities(&rows, &at),
            };
            let matrix = curvature.plain(&coarse, &probabilities);
            for _ in 0..Inverse::steps(iteration) {
                inverse = solver.plain_step(&matrix, &inverse);
            }
            let gradient = plain_gradient(&rows, &plain_errors(&probabilities, labels), &at, self.scale());
            for ((model, at), row) in model.iter_mut().zip(&mut at).zip(inverse.chunks_exact(size)) {
                let step = row.iter().zip(&gradient).map(|(y, g)| y * g).sum();
                *model -= round_shift(step, STEP);
                *at = round_shift(*model, EXTRA);
            }
        }
        at
    }
}
