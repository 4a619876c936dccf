//! The logistic model.

use super::{DataError, Matrix, Sample};

/// A logistic regression: the probability of a bad customer is `sigmoid(intercept + weights . x)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The logit of a row of zeros.
    pub intercept: f64,
    /// One weight per feature.
    pub weights: Vec<f64>,
}

impl Model {
    /// The model that knows nothing: all zeros.
    pub fn zero(features: usize) -> Self {
        Self { intercept: 0.0, weights: vec![0.0; features] }
    }

    /// The logits, one per row.
    ///
    /// # Errors
    /// Another number of columns than of weights.
    pub fn logits(&self, features: &Matrix) -> Result<Vec<f64>, DataError> {
        DataError::lengths("weights", self.weights.len(), features.columns())?;
        Ok(features.iter().map(|row| self.logit(row)).collect())
    }

    /// The probabilities of a bad customer, one per row.
    ///
    /// # Errors
    /// Another number of columns than of weights.
    pub fn probabilities(&self, features: &Matrix) -> Result<Vec<f64>, DataError> {
        Ok(self.logits(features)?.into_iter().map(sigmoid).collect())
    }

    /// Mean log loss (cross entropy, natural logarithm) over a sample, without penalty.
    ///
    /// # Errors
    /// Another number of columns than of weights.
    pub fn loss(&self, sample: &Sample) -> Result<f64, DataError> {
        let logits = self.logits(sample.features())?;
        let total: f64 = logits.iter().zip(sample.labels()).map(|(&z, &bad)| softplus(if bad { -z } else { z })).sum();
        Ok(total / sample.rows() as f64)
    }

    /// The logit of one row, which has as many values as there are weights.
    pub(super) fn logit(&self, row: &[f64]) -> f64 {
        self.intercept + self.weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>()
    }

    /// The sum of squared weights; the intercept is never penalized.
    pub(super) fn norm(&self) -> f64 {
        self.weights.iter().map(|w| w * w).sum()
    }

    /// Whether all coefficients are finite.
    pub(super) fn is_finite(&self) -> bool {
        self.intercept.is_finite() && self.weights.iter().all(|w| w.is_finite())
    }
}

/// `1 / (1 + exp(-z))`, without overflow for any `z`.
pub fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 {
        1.0 / (1.0 + (-z).exp())
    } else {
        let e = z.exp();
        e / (1.0 + e)
    }
}

/// `ln(1 + exp(z))`, without overflow.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sigmoid_is_finite_and_symmetric_on_all_reals() {
        for z in [0.0, 1e-300, 0.5, 8.1, 36.0, 709.0, 745.2, 1e4, f64::MAX, f64::INFINITY] {
            assert!((sigmoid(z) + sigmoid(-z) - 1.0).abs() < 1e-15, "{z}");
        }
        assert_eq!((sigmoid(f64::NEG_INFINITY), sigmoid(0.0), sigmoid(1e4)), (0.0, 0.5, 1.0));
    }

    #[test]
    fn the_loss_of_a_certain_and_wrong_model_is_its_logit() {
        let sample = Sample::new(Matrix::new(1, vec![1000.0]).unwrap(), vec![false]).unwrap();
        let model = Model { intercept: 0.0, weights: vec![1.0] };
        assert_eq!(model.loss(&sample), Ok(1000.0));
        assert!(matches!(Model::zero(2).loss(&sample), Err(DataError::Length { found: 2, expected: 1, .. })));
    }
}
