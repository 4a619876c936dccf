//! What can be wrong with templates and thresholds.

/// Why a template or a threshold is refused. The caller acts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatchingError {
    /// A part of a template has another length than its kind.
    #[error("{what} has {got} bytes or entries where {expected} are needed; check which kind of template this is")]
    Length {
        /// Which part.
        what: &'static str,
        /// What the kind has.
        expected: usize,
        /// What was given.
        got: usize,
    },
    /// A size beyond what the arithmetic holds exactly.
    #[error("{name} is {value}; {accepted}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: u64,
        /// What is accepted.
        accepted: &'static str,
    },
    /// A threshold that is not a fraction in range.
    #[error("the threshold '{0}' is not a fraction; write a decimal such as 0.345 or a quotient such as 69/200")]
    Threshold(String),
    /// A vector without direction.
    #[error("entry {0} of the embedding is infinite or not a number; extract the template again")]
    NotFinite(usize),
    /// A vector of zeros, which has no direction.
    #[error("the embedding is zero and has no direction; extract the template again")]
    Zero,
}

impl MatchingError {
    /// Refuses a setting unless `holds`.
    pub(super) fn setting(holds: bool, name: &'static str, value: usize, accepted: &'static str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Setting { name, value: value as u64, accepted }) }
    }

    /// Refuses lengths that differ.
    pub(super) fn length(what: &'static str, expected: usize, got: usize) -> Result<(), Self> {
        if expected == got { Ok(()) } else { Err(Self::Length { what, expected, got }) }
    }
}
