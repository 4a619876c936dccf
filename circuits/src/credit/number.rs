//! Features and models as fixed-point numbers.

use super::reference::{Matrix, Model};
use crate::arith::fixed::{Fixed, FixedError};
use trefoil_engine::Z64;

/// Fractional bits of a [`Number`].
pub(super) const FRACTIONAL: u32 = 20;

/// Fractional bits of a product of two, and of a logit before it is truncated.
pub(super) const EXACT: u32 = 2 * FRACTIONAL;

/// The numbers that credit programs compute on.
pub type Number = Fixed<FRACTIONAL>;

/// Largest feature in absolute value. Standardized features are a few units large, outliers some dozens.
pub const FEATURE_LIMIT: f64 = 128.0;
/// Largest coefficient of a model in absolute value.
pub const WEIGHT_LIMIT: f64 = 32.0;
/// Features of a table at most: with the two limits no logit can leave the range of a product.
pub const MOST_FEATURES: usize = 500;

/// A limit above 0 in units of the last place of a [`Number`].
pub(super) fn units(limit: f64) -> u64 {
    Number::encode(limit).map_or(0, |x| x.0)
}

/// Why a credit program cannot be set up. The author of the job has to act; nothing was computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CreditError {
    /// A setting outside of what is accepted.
    #[error("{name} is {value}; it must be {accepted}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What is accepted.
        accepted: &'static str,
    },
    /// A program in which something could overflow unnoticed.
    #[error(
        "{name} can have {bits:.1} bits in this program, and less than {room:.0} have room; take fewer columns, fewer rows a step, a lower rate or a lower L2 penalty"
    )]
    Overflow {
        /// What.
        name: &'static str,
        /// Bits that it can have.
        bits: f64,
        /// Bits that have room.
        room: f64,
    },
    /// A number that has no fixed-point form within the range of its kind.
    #[error(transparent)]
    Number(#[from] FixedError),
}

impl CreditError {
    /// Refuses a setting unless `holds`.
    pub(super) fn setting(holds: bool, name: &'static str, value: f64, accepted: &'static str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Setting { name, value, accepted }) }
    }
}

/// The features of a table, column after column: the layout that the programs take.
///
/// # Errors
/// [`FixedError::OutOfRange`] for a feature beyond [`FEATURE_LIMIT`].
pub fn encode_features(features: &Matrix) -> Result<Vec<Z64>, FixedError> {
    let mut columns = Vec::with_capacity(features.values().len());
    for column in 0..features.columns() {
        for row in features {
            columns.push(Number::encode_within(row[column], FEATURE_LIMIT)?);
        }
    }
    Ok(columns)
}

/// The coefficients of a model, the intercept first.
///
/// # Errors
/// [`FixedError::OutOfRange`] for a coefficient beyond [`WEIGHT_LIMIT`].
pub fn encode_model(model: &Model) -> Result<Vec<Z64>, FixedError> {
    let all = std::iter::once(model.intercept).chain(model.weights.iter().copied());
    all.map(|weight| Number::encode_within(weight, WEIGHT_LIMIT)).collect()
}

/// The model of these coefficients, the intercept first. Without any, the model of no feature.
pub fn decode_model(coefficients: &[Z64]) -> Model {
    let mut all = coefficients.iter().map(|&weight| Number::decode(weight));
    Model { intercept: all.next().unwrap_or_default(), weights: all.collect() }
}

/// How far the logit of a row on [`Number`]s can be from that on `f64`: half a unit of each feature and of each coefficient, and of the result. A decision differs from
/// the plain one only where the plain logit is so close to that of the threshold.
pub fn logit_error(model: &Model, row: &[f64]) -> f64 {
    let weights: f64 = model.weights.iter().map(|weight| weight.abs()).sum();
    let features: f64 = row.iter().map(|feature| feature.abs()).sum();
    Number::ULP / 2.0 * (weights + features + 2.0 + row.len() as f64 * Number::ULP)
}
