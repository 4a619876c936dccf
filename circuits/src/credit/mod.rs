//! Credit analysis: scoring with and training of a logistic regression, and what a credit-risk team reads of its scores.
//!
//! [`mod@reference`] is the whole of it on plain numbers: what the programs on shares are measured against, and what an
//! institution computes on data that it alone holds.

pub mod reference;
