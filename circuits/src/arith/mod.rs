//! Arithmetic on integers modulo `2^64`: conversions, comparisons, choice.
//!
//! Everything here runs on whole vectors of shared [`Z64`](trefoil_engine::Z64), in every mode; a plane has one lane for each element. Shapes are public.
//! For one element, with full lanes:
//!
//! | function | rounds | bits sent | of them gates on integers |
//! |---|---|---|---|
//! | [`a2b`] | 7 | 275 | |
//! | [`sign`], [`less_than_near`] | 7 | 151 | |
//! | [`less_than`] | 8 | 454 | |
//! | [`equal`] | 8 | 188 | |
//! | [`b2a`] | 8 | 339 | |
//! | [`inject`] | 2 | 128 | 2 |
//! | [`inject_sum`] of `k` bits | 2 | 64 (k + 1) | k + 1 |
//! | [`select`] | 2 | 192 | 3 |
//! | [`relu`] | 9 | 343 | 3 |
//! | [`tournament`] of `m`, with `c` columns | 10 `ceil(log2 m)` | (m - 1) (279 + 64 c) | (m - 1) (2 + c) |
//! | [`sort`] of `2^t` rows, with `c` columns | 5 t (t + 1) | about (279 + 64 c) t^2 / 4 a row | |
//! | [`shuffle`] of `2^t` rows, with `c` columns | 6 t - 3 | about 96 c (2 t - 2) a row | about 1.5 c (2 t - 2) a row |
//! | [`clamp`] | 10 | 622 | 5 |
//!
//! Integers modulo `2^16` and `2^32` are converted and compared in [`narrow`]. Real numbers are integers with fractional bits: see [`fixed`].
//!
//! Each has its twin on plain integers in [`mod@reference`] and its exact price beside it (`a2b_cost` and so on).

pub(crate) mod bits;
mod compare;
mod convert;
mod cost;
pub mod fixed;
pub(crate) mod kernels;
mod largest;
pub mod narrow;
pub mod reference;
mod shuffle;
mod sort;
#[cfg(test)]
pub(crate) mod tests;
mod tournament;

pub use compare::{
    clamp, clamp_cost, equal, equal_cost, less_than, less_than_cost, less_than_near, relu, relu_cost, select,
    select_cost,
};
pub use convert::{a2b, a2b_cost, b2a, b2a_cost, inject, inject_cost, inject_sum, inject_sum_cost, sign, sign_cost};
pub use cost::ElementCost;
pub use largest::{largest, largest_cost, plain_largest};
pub use shuffle::{shuffle, shuffle_cost};
pub use sort::{sort, sort_cost};
pub use tournament::{Extreme, argmax, tournament, tournament_cost};
