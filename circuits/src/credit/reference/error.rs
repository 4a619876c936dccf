//! What can be wrong with the numbers given.

/// Why a computation on plain numbers has no result. The caller acts.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Two lengths that must agree do not.
    #[error("{what}: {found} given where {expected} are needed; give one for each")]
    Length {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// Nothing to compute on.
    #[error("there is no {0}; give at least one")]
    Empty(&'static str),
    /// A value that is infinite or not a number.
    #[error("{what} {index} is not a finite number; remove or replace it first")]
    NotFinite {
        /// What the value is.
        what: &'static str,
        /// Its position, from 0.
        index: usize,
    },
    /// All rows have one label, so nothing separates the two classes.
    #[error("every row has the same label; a model and its figures need rows of both")]
    OneClass,
    /// The columns depend on each other, so that the coefficients are not determined.
    #[error(
        "the columns depend linearly on each other; leave out one level of each categorical column, or give an L2 penalty above 0"
    )]
    Singular,
    /// The training left the finite numbers.
    #[error("the training diverged in epoch {epoch}; standardize the columns or lower the learning rate")]
    Diverged {
        /// The epoch or iteration, from 1.
        epoch: usize,
    },
    /// A setting outside of what has a meaning.
    #[error("{name} is {value}; {accepted}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What is accepted.
        accepted: &'static str,
    },
}

impl DataError {
    /// Refuses a setting unless `holds`.
    pub(super) fn setting(holds: bool, name: &'static str, value: f64, accepted: &'static str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Setting { name, value, accepted }) }
    }

    /// Refuses lengths that differ.
    pub(super) fn lengths(what: &'static str, found: usize, expected: usize) -> Result<(), Self> {
        if found == expected { Ok(()) } else { Err(Self::Length { what, found, expected }) }
    }

    /// Refuses values that are not finite.
    pub(super) fn finite(what: &'static str, values: &[f64]) -> Result<(), Self> {
        match values.iter().position(|v| !v.is_finite()) {
            Some(index) => Err(Self::NotFinite { what, index }),
            None => Ok(()),
        }
    }
}
