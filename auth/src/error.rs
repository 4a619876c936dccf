//! What can go wrong, sorted by who must act.

/// Why a step of an authentication failed. The variants say who has to act.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller passed something that cannot be signed.
    #[error("{what} is {got} bytes long, but has to be {expected}; pass it as its specification defines it")]
    Length {
        /// Which argument.
        what: &'static str,
        /// The length required.
        expected: &'static str,
        /// The length passed.
        got: usize,
    },
}
