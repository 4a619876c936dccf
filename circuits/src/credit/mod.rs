//! Credit analysis: scoring with and training of a logistic regression, and what a credit-risk team reads of its scores.
//!
//! | program on shares | what it gives |
//! |---|---|
//! | [`Score`] | logits, probabilities, decisions of a model that is public or shared |
//! | [`Train`] | a model trained by gradient descent on the tables of several owners |
//! | [`NewtonTrain`] | the same model in a few iterations of Newton's method |
//! | [`Join`] | of tables with different columns the customers all have, found by numbers nobody sees |
//! | [`Counts`] | good and bad customers by bins of a score or a feature, small bins merged: all that a report needs |
//!
//! All compute on [`Number`]s of 20 fractional bits, and have a plain twin that gives the same bits. [`mod@reference`] is the whole of credit analysis on plain
//! `f64`: what the programs on shares are measured against, and what an institution computes on data that it alone holds.

mod auc;
mod columns;
mod counts;
mod join;
mod number;
mod places;
pub mod reference;
mod score;
mod train;

pub use auc::Auc;
pub use columns::Pooled;
pub use counts::{Counts, OnCut, Split};
pub use join::{Join, JoinFault, NUMBER_COLUMNS};
pub use number::{
    CreditError, FEATURE_LIMIT, MOST_FEATURES, Number, WEIGHT_LIMIT, decode_model, encode_features, encode_model,
    logit_error,
};
pub use places::{Kept, Place};
pub use score::{Reasons, Report, Score, Weights};
pub use train::{NewtonSettings, NewtonTrain, Settings, Stopping, Train};
