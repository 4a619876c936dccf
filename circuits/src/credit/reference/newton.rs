//! Training by Newton's method, which for this model is iteratively reweighted least squares.

use super::{DataError, Model, Sample, sigmoid, solve::Cholesky, two_sided_p};

/// Logistic regression by Newton's method from all zeros.
///
/// Minimizes the objective of [`GradientDescent`](super::GradientDescent): `sum of log losses + l2/2 * |weights|^2`. A step that
/// would raise it is halved until it does not, so that any data converges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Newton {
    /// The L2 penalty, 0 for none.
    pub l2: f64,
    /// The most iterations.
    pub iterations: usize,
    /// Ends when no coefficient moved by more than this.
    pub tolerance: f64,
}

impl Default for Newton {
    /// L2 penalty 1, as in scikit-learn; at most 50 iterations; tolerance `1e-10`.
    fn default() -> Self {
        Self { l2: 1.0, iterations: 50, tolerance: 1e-10 }
    }
}

/// What a training came to.
#[derive(Debug, Clone, PartialEq)]
pub struct NewtonFit {
    /// The trained model.
    pub model: Model,
    /// The iterations that were run.
    pub iterations: usize,
    /// Whether the tolerance was reached.
    pub converged: bool,
    /// Standard errors and p-values, at the model.
    pub inference: Inference,
}

/// How sure the coefficients are: the intercept's first, then the weights'.
///
/// Standard errors are the roots of the diagonal of the inverse of the penalized Hessian. With an L2 penalty they are those of
/// a Gaussian prior and too small for a test of the hypothesis that a weight is 0; without it they are the usual (Wald) ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    /// The standard errors.
    pub standard_errors: Vec<f64>,
    /// Coefficient by standard error.
    pub z: Vec<f64>,
    /// The two-sided probabilities of so large a `z` by chance.
    pub p: Vec<f64>,
}

impl Newton {
    /// Trains on a sample.
    ///
    /// # Errors
    /// A setting out of range, a sample with one label only, columns that depend on each other without a penalty (also: classes
    /// that a plane separates, for which no finite model is best), or divergence.
    pub fn fit(&self, sample: &Sample) -> Result<NewtonFit, DataError> {
        DataError::setting(self.l2.is_finite() && self.l2 >= 0.0, "the L2 penalty", self.l2, "it must be 0 or more")?;
        DataError::setting(self.tolerance > 0.0, "the tolerance", self.tolerance, "it must be above 0")?;
        sample.both_classes()?;
        let mut model = Model::zero(sample.features().columns());
        let (mut converged, mut iterations) = (false, 0);
        while !converged && iterations < self.iterations {
            iterations += 1;
            let (gradient, hessian) = self.derivatives(&model, sample);
            let step = Cholesky::of(gradient.len(), &hessian)?.solve(&gradient);
            let (next, scale) = self.descend(&model, &step, sample)?;
            if !next.is_finite() {
                return Err(DataError::Diverged { epoch: iterations });
            }
            model = next;
            converged = step.iter().all(|s| (s * scale).abs() <= self.tolerance);
        }
        let inference = self.inference(&model, sample)?;
        Ok(NewtonFit { model, iterations, converged, inference })
    }

    /// The step that does not raise the objective, and by how much it was shortened.
    fn descend(&self, model: &Model, step: &[f64], sample: &Sample) -> Result<(Model, f64), DataError> {
        let before = self.objective(model, sample)?;
        let mut scale = 1.0;
        loop {
            let next = moved(model, step, scale);
            // The last steps change the objective by less than its rounding error.
            if self.objective(&next, sample)? <= before + 1e-12 * before.abs() || scale < 1e-9 {
                return Ok((next, scale));
            }
            scale /= 2.0;
        }
    }

    fn objective(&self, model: &Model, sample: &Sample) -> Result<f64, DataError> {
        Ok(model.loss(sample)? * sample.rows() as f64 + self.l2 / 2.0 * model.norm())
    }

    /// Gradient and Hessian of the objective, the intercept first.
    fn derivatives(&self, model: &Model, sample: &Sample) -> (Vec<f64>, Vec<f64>) {
        let size = model.weights.len() + 1;
        let (mut gradient, mut hessian) = (vec![0.0; size], vec![0.0; size * size]);
        let mut row = vec![1.0; size];
        for (features, bad) in sample.iter() {
            row[1..].copy_from_slice(features);
            let p = sigmoid(model.logit(features));
            let (error, curvature) = (p - f64::from(u8::from(bad)), p * (1.0 - p));
            for (i, &x) in row.iter().enumerate() {
                gradient[i] += error * x;
                for (sum, y) in hessian[i * size..].iter_mut().zip(&row[..=i]) {
                    *sum += curvature * x * y;
                }
            }
        }
        for (i, weight) in model.weights.iter().enumerate() {
            gradient[i + 1] += self.l2 * weight;
            hessian[(i + 1) * size + i + 1] += self.l2;
        }
        (gradient, hessian)
    }

    fn inference(&self, model: &Model, sample: &Sample) -> Result<Inference, DataError> {
        let (gradient, hessian) = self.derivatives(model, sample);
        let diagonal = Cholesky::of(gradient.len(), &hessian)?.inverse_diagonal();
        let standard_errors: Vec<f64> = diagonal.into_iter().map(f64::sqrt).collect();
        let coefficients = std::iter::once(model.intercept).chain(model.weights.iter().copied());
        let z: Vec<f64> = coefficients.zip(&standard_errors).map(|(c, error)| c / error).collect();
        let p = z.iter().map(|&z| two_sided_p(z)).collect();
        Ok(Inference { standard_errors, z, p })
    }
}

/// `model - scale * step`, the intercept's step first.
fn moved(model: &Model, step: &[f64], scale: f64) -> Model {
    let mut steps = step.iter();
    let mut less = |c: f64| c - scale * steps.next().copied().unwrap_or(0.0);
    let intercept = less(model.intercept);
    Model { intercept, weights: model.weights.iter().map(|&w| less(w)).collect() }
}
