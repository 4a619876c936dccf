//! Symmetric positive definite systems, by Cholesky's decomposition.

use super::DataError;

/// The lower triangle `L` of `L L^T`, row after row, and its size.
pub(super) struct Cholesky {
    size: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Decomposes a symmetric matrix of `size * size` entries, of which the lower triangle is read.
    ///
    /// # Errors
    /// A pivot that is not above `1e-12` of its diagonal entry: the matrix is singular or indefinite.
    pub(super) fn of(size: usize, matrix: &[f64]) -> Result<Self, DataError> {
        let mut lower = matrix.to_vec();
        for i in 0..size {
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| lower[i * size + k] * lower[j * size + k]).sum();
                let rest = matrix[i * size + j] - dot;
                lower[i * size + j] = if i == j {
                    let least = 1e-12 * matrix[i * size + i];
                    // A comparison that is false for a value that is not a number, too.
                    if rest > least && rest > 0.0 { rest.sqrt() } else { return Err(DataError::Singular) }
                } else {
                    rest / lower[j * size + j]
                };
            }
        }
        Ok(Self { size, lower })
    }

    /// The `x` with `matrix * x = right`.
    pub(super) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let n = self.size;
        let mut x = right.to_vec();
        for i in 0..n {
            let dot: f64 = (0..i).map(|k| self.lower[i * n + k] * x[k]).sum();
            x[i] = (x[i] - dot) / self.lower[i * n + i];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| self.lower[k * n + i] * x[k]).sum();
            x[i] = (x[i] - dot) / self.lower[i * n + i];
        }
        x
    }

    /// The diagonal of the inverse.
    pub(super) fn inverse_diagonal(&self) -> Vec<f64> {
        let unit = |i| (0..self.size).map(|k| if k == i { 1.0 } else { 0.0 }).collect::<Vec<_>>();
        (0..self.size).map(|i| self.solve(&unit(i))[i]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_system_is_solved_and_a_singular_one_refused() {
        let matrix = [4.0, 2.0, 0.0, 2.0, 5.0, 3.0, 0.0, 3.0, 6.0];
        let cholesky = Cholesky::of(3, &matrix).unwrap();
        for (x, expected) in cholesky.solve(&[8.0, 21.0, 24.0]).iter().zip([1.0, 2.0, 3.0]) {
            assert!((x - expected).abs() < 1e-14);
        }
        // The determinant is 60 and the diagonal cofactors are 21, 24 and 16.
        for (x, expected) in cholesky.inverse_diagonal().iter().zip([21.0, 24.0, 16.0]) {
            assert!((x - expected / 60.0).abs() < 1e-14);
        }
        for singular in [[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, -1.0], [0.0; 4], [f64::NAN; 4]] {
            assert!(matches!(Cholesky::of(2, &singular), Err(DataError::Singular)));
        }
    }
}
