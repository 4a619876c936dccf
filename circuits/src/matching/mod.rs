//! Biometric matching: iris codes, embeddings and other binary templates, compared on shares so that nothing but a match bit or an index is opened.

mod error;
pub mod reference;
mod template;
mod threshold;

pub use error::MatchingError;
pub use template::{Kind, Template};
pub use threshold::Threshold;
