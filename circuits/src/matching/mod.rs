//! Biometric matching: iris codes, embeddings and other binary templates, compared on shares so that nothing but a match bit or an index is opened.
//!
//! | templates | of a device | kept at the nodes | program |
//! |---|---|---|---|
//! | iris codes of 12,800 bits, binary templates of up to 16,000: [`Template`] | bits | integers modulo `2^16`, by [`Enrol`] | [`Match`] |
//! | unit vectors of up to 1,024 dimensions: [`Embedding`] | integers modulo `2^64` | the same | [`MatchEmbedding`] |
//!
//! Every comparison is exact: a probe matches on shares if and only if it does in plain ([`mod@reference`], [`Metric::matches`]). [`synthetic`] and [`rates`] measure how often that is wrong.

mod compare;
mod embedding;
mod encode;
mod error;
mod gallery;
mod program;
pub mod rates;
pub mod reference;
mod select;
pub mod synthetic;
mod template;
mod templates;
mod threshold;

pub use embedding::{Embedding, MOST_DIMENSIONS, MatchEmbedding, Metric};
pub use encode::{Enrol, encode};
pub use error::MatchingError;
pub use gallery::{Answer, MOST_TEMPLATES};
pub use program::Match;
pub use template::{Kind, Template};
pub use templates::Templates;
pub use threshold::Threshold;
