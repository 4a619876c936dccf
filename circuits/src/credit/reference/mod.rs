//! Credit analysis on plain `f64`: the oracle of the programs on shares.
//!
//! The label of a row is `true` for a *bad* customer (one who defaulted), so a model's probability is that of default. Every
//! function goes over its rows in their order, on one thread, so that its result is the same bit for bit wherever it runs.
//!
//! | part | what |
//! |---|---|
//! | [`Matrix`], [`Sample`], [`Moments`] | features row by row, with labels; means and standard deviations |
//! | [`Model`] | logit, probability, decision, log loss |
//! | [`GradientDescent`], [`Newton`] | training; Newton's method also gives standard errors and p-values |
//! | [`Ranking`] | AUC, Gini, KS, ROC, deciles, confusion, calibration of scores, exact |
//! | [`Histogram`] | the same of counts in equal bins of the score: all that a report on shares releases |
//! | [`Binning`] | weight of evidence, information value, monotonic merge |
//! | [`merged`] | counts of several owners without small ones |
//! | [`psi`] | population stability index |
//! | [`Scorecard`] | points from base score, odds and PDO; reason codes |
//!
//! ```
//! use trefoil_circuits::credit::reference::{Matrix, Newton, Ranking, Sample};
//! let features = Matrix::new(1, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
//! let sample = Sample::new(features, vec![false, false, true, false, true, true])?;
//! let fit = Newton { l2: 1.0, ..Newton::default() }.fit(&sample)?;
//! let scores = fit.model.probabilities(sample.features())?;
//! let ranking = Ranking::new(&scores, sample.labels())?;
//! assert!((ranking.auc() - 8.0 / 9.0).abs() < 1e-12);
//! # Ok::<(), trefoil_circuits::credit::reference::DataError>(())
//! ```

mod binning;
mod descent;
mod error;
mod histogram;
mod matrix;
mod merging;
mod model;
mod newton;
mod normal;
mod ranking;
mod scorecard;
mod solve;
mod stability;

pub use binning::{Binning, Direction, equal_frequency_cuts};
pub use descent::{Batch, Descent, GradientDescent, Stop, Stopped};
pub use error::DataError;
pub use histogram::Histogram;
pub use matrix::{Matrix, Moments, Sample};
pub use merging::merged;
pub use model::{Model, sigmoid};
pub use newton::{Inference, Newton, NewtonFit};
pub use normal::two_sided_p;
pub use ranking::{CalibrationBin, Confusion, Group, Ranking, RocPoint};
pub use scorecard::{Reason, Scorecard};
pub use stability::{PSI_FLOOR, psi};
