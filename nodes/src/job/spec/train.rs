//! Training, as a client names it.

use super::{
    PooledSpec, SpecFault,
    credit::{ROW, SHARE},
};
use serde::{Deserialize, Serialize};
use trefoil_circuits::{
    credit::{NewtonSettings, NewtonTrain, Number, Settings, Stopping, Train, reference::Batch},
    program::{Program, Shape},
};

/// Trains a logistic model.
///
/// Inputs: the features of each owner, then labels as bits that are set for bad customers: of all, or of each owner if these have other customers. Output: the
/// coefficients in units of 2^-20, the intercept first. If a coefficient leaves its range, or all customers have the same label, the job fails, and nothing is released.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSpec {
    /// Who brings what.
    pub table: PooledSpec,
    /// How.
    pub method: MethodSpec,
    /// The L2 penalty, in units of 2^-20.
    pub l2: u64,
}

/// How a model is trained.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodSpec {
    /// By Newton's method.
    #[serde(rename_all = "kebab-case")]
    Newton {
        /// Iterations, from 1 to 64.
        iterations: u32,
    },
    /// By gradient descent.
    #[serde(rename_all = "kebab-case")]
    Descent {
        /// The learning rate, in units of 2^-20.
        rate: u32,
        /// The part of the last change that is made again, in units of 2^-10.
        momentum: u16,
        /// Passes over all rows.
        epochs: u32,
        /// Rows of a step; all of them if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<u64>,
        /// When it may end before the last epoch; never if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop: Option<StopSpec>,
    },
}

/// When descent ends before its last epoch: when no coefficient has moved by more than a bound since the time before.
///
/// Each time one bit is opened to the three nodes: whether to go on. All together say after which epoch the training ended, which its cost tells the client that submits it too.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StopSpec {
    /// Epochs from one time to the next.
    pub every: u32,
    /// The bound, in units of 2^-20.
    pub below: u32,
}

/// A training that is set up.
#[derive(Clone, Debug, PartialEq)]
pub enum Trainer {
    /// By Newton's method.
    Newton(NewtonTrain),
    /// By gradient descent.
    Descent(Train),
}

/// Passes over all rows at most.
const MOST_EPOCHS: u64 = 1 << 20;

impl TrainSpec {
    /// Bytes that the computation takes beside its inputs: the pooled table, and for each row of a step its features, the coefficients and the errors beside them, and
    /// what its comparisons take.
    pub(in crate::job) fn memory(&self) -> u64 {
        let (rows, columns) = self.table.size();
        let (batch, copies) = match self.method {
            MethodSpec::Newton { .. } => (rows, 8),
            MethodSpec::Descent { batch, .. } => (batch.unwrap_or(rows).min(rows), 5),
        };
        self.table.bytes().saturating_add(batch.saturating_mul(copies * SHARE * columns + ROW))
    }

    /// The program.
    ///
    /// # Errors
    /// [`SpecFault::Pooled`], [`SpecFault::Oversized`] or [`SpecFault::Credit`].
    pub fn resolve(&self) -> Result<Trainer, SpecFault> {
        let size = |n: u64, most: u64| usize::try_from(n).ok().filter(|_| n <= most).ok_or(SpecFault::Oversized);
        let (table, l2) = (self.table.resolve()?, self.l2 as f64 * Number::ULP);
        match self.method {
            MethodSpec::Newton { iterations } => {
                let settings = NewtonSettings { iterations: size(u64::from(iterations), MOST_EPOCHS)?, l2 };
                Ok(Trainer::Newton(NewtonTrain::new(table, settings)?))
            }
            MethodSpec::Descent { rate, momentum, epochs, batch, stop } => {
                let batch = batch.map(|rows| size(rows, u64::MAX)).transpose()?;
                let settings = Settings {
                    rate: f64::from(rate) * Number::ULP,
                    momentum: f64::from(momentum) / f64::from(10).exp2(),
                    epochs: size(u64::from(epochs), MOST_EPOCHS)?,
                    batch: batch.map_or(Batch::Full, Batch::Rows),
                    l2,
                };
                let train = Train::new(table, settings)?;
                Ok(Trainer::Descent(match stop {
                    None => train,
                    Some(StopSpec { every, below }) => {
                        let every = size(u64::from(every), MOST_EPOCHS)?;
                        train.stopping(Stopping { every, below: f64::from(below) * Number::ULP })?
                    }
                }))
            }
        }
    }

    /// The shapes of what goes in, and of what comes out: the range bit is for the nodes alone.
    pub(super) fn shapes(&self) -> Result<[Vec<Shape>; 2], SpecFault> {
        let (inputs, mut outputs) = match self.resolve()? {
            Trainer::Newton(train) => (train.inputs(), train.outputs()),
            Trainer::Descent(train) => (train.inputs(), train.outputs()),
        };
        outputs.truncate(1);
        Ok([inputs, outputs])
    }
}

impl Trainer {
    /// The plain twin: features column after column and labels, to the coefficients bit for bit.
    pub fn plain(&self, table: &[i64], labels: &[bool]) -> Vec<i64> {
        match self {
            Self::Newton(train) => train.plain(table, labels),
            Self::Descent(train) => train.plain(table, labels),
        }
    }
}
