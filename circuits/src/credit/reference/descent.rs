//! Training by gradient descent.

use super::{DataError, Model, Sample, sigmoid};

/// Logistic regression by gradient descent from all zeros.
///
/// Minimizes `sum of log losses + l2/2 * |weights|^2` (scikit-learn's objective with `C = 1 / l2`; the intercept is free). A step
/// on `b` of the `n` rows is `weights -= rate * (gradient of the b losses / b + l2/n * weights)`. Rows are taken as they stand, block
/// after block: pooled data must be shuffled before, or every batch would be one institution's.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientDescent<'a> {
    /// The learning rate, above 0. Below `8 / (columns + 1)` a full batch of standardized columns always descends.
    pub rate: f64,
    /// The most epochs: passes over all rows.
    pub epochs: usize,
    /// How many rows one step sees.
    pub batch: Batch,
    /// The L2 penalty, 0 for none.
    pub l2: f64,
    /// When to stop before the last epoch.
    pub stop: Stop<'a>,
}

/// The rows of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// All rows.
    Full,
    /// This many rows, the last batch of an epoch possibly fewer.
    Rows(usize),
}

/// The rule of early stopping, judged after each epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stop<'a> {
    /// All epochs are run.
    Never,
    /// No coefficient moved by more than this in an epoch.
    Still(f64),
    /// The log loss on rows that are not trained on has not fallen by `gain` for `patience` epochs. The model with the lowest
    /// loss is returned.
    Validation {
        /// The rows held out.
        sample: &'a Sample,
        /// The epochs without gain that are borne; at least 1.
        patience: usize,
        /// The least fall of the loss that counts.
        gain: f64,
    },
}

/// What a training came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Descent {
    /// The trained model.
    pub model: Model,
    /// The epochs that were run.
    pub epochs: usize,
    /// Why it ended.
    pub stopped: Stopped,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// All epochs were run.
    Exhausted,
    /// The rule of early stopping applied.
    Early,
}

impl GradientDescent<'_> {
    /// Trains on a sample.
    ///
    /// # Errors
    /// A setting out of range, a sample with one label only, a validation sample of another width, or divergence.
    pub fn fit(&self, sample: &Sample) -> Result<Descent, DataError> {
        self.check()?;
        sample.both_classes()?;
        let rows = match self.batch {
            Batch::Full => sample.rows(),
            Batch::Rows(rows) => rows.min(sample.rows()),
        };
        let mut model = Model::zero(sample.features().columns());
        let mut watch = Watch { best: f64::INFINITY, model: model.clone(), waited: 0 };
        for epoch in 1..=self.epochs {
            let before = model.clone();
            for start in (0..sample.rows()).step_by(rows) {
                self.step(&mut model, sample, start, rows);
            }
            if !model.is_finite() {
                return Err(DataError::Diverged { epoch });
            }
            if self.ends(&mut watch, &before, &model)? {
                let model = if matches!(self.stop, Stop::Validation { .. }) { watch.model } else { model };
                return Ok(Descent { model, epochs: epoch, stopped: Stopped::Early });
            }
        }
        let validated = matches!(self.stop, Stop::Validation { .. }) && self.epochs > 0;
        let model = if validated { watch.model } else { model };
        Ok(Descent { model, epochs: self.epochs, stopped: Stopped::Exhausted })
    }

    fn check(&self) -> Result<(), DataError> {
        let positive = "it must be above 0";
        DataError::setting(self.rate.is_finite() && self.rate > 0.0, "the learning rate", self.rate, positive)?;
        DataError::setting(self.l2.is_finite() && self.l2 >= 0.0, "the L2 penalty", self.l2, "it must be 0 or more")?;
        DataError::setting(self.batch != Batch::Rows(0), "the batch size", 0.0, positive)?;
        match self.stop {
            Stop::Never => Ok(()),
            Stop::Still(change) => DataError::setting(change > 0.0, "the change to stop at", change, positive),
            Stop::Validation { patience, .. } => DataError::setting(patience > 0, "the patience", 0.0, positive),
        }
    }

    /// One step on the rows from `start`.
    fn step(&self, model: &mut Model, sample: &Sample, start: usize, rows: usize) {
        let (mut intercept, mut weights) = (0.0, vec![0.0; model.weights.len()]);
        let mut count = 0.0;
        for (row, bad) in sample.iter().skip(start).take(rows) {
            let error = sigmoid(model.logit(row)) - f64::from(u8::from(bad));
            intercept += error;
            for (sum, x) in weights.iter_mut().zip(row) {
                *sum += error * x;
            }
            count += 1.0;
        }
        model.intercept -= self.rate * intercept / count;
        let shrink = self.l2 / sample.rows() as f64;
        for (weight, sum) in model.weights.iter_mut().zip(weights) {
            *weight -= self.rate * (sum / count + shrink * *weight);
        }
    }

    /// Whether the rule of early stopping applies after an epoch.
    fn ends(&self, watch: &mut Watch, before: &Model, after: &Model) -> Result<bool, DataError> {
        match self.stop {
            Stop::Never => Ok(false),
            Stop::Still(change) => {
                let moved = before.weights.iter().zip(&after.weights).map(|(a, b)| (a - b).abs());
                Ok(moved.fold((before.intercept - after.intercept).abs(), f64::max) <= change)
            }
            Stop::Validation { sample, patience, gain } => {
                let loss = after.loss(sample)?;
                watch.waited = if loss < watch.best - gain { 0 } else { watch.waited + 1 };
                if loss < watch.best {
                    (watch.best, watch.model) = (loss, after.clone());
                }
                Ok(watch.waited >= patience)
            }
        }
    }
}

/// The best model on the validation sample so far.
struct Watch {
    best: f64,
    model: Model,
    waited: usize,
}
