//! Biometric matching: iris codes, embeddings and other binary templates, compared on shares so that nothing but a match bit or an index is opened.

mod compare;
mod encode;
mod error;
mod program;
pub mod reference;
mod select;
mod template;
mod threshold;

pub use encode::{Enrol, encode};
pub use error::MatchingError;
pub use program::{Answer, MOST_TEMPLATES, Match};
pub use template::{Kind, Template};
pub use threshold::Threshold;
