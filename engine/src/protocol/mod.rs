//! Every operation that sends or draws: the audit surface.
//!
//! | verb | on | rounds | sent per element and party |
//! |---|---|---|---|
//! | [`random`](crate::Ctx::random) | strand | 0 | 0 |
//! | [`input`](crate::Ctx::input) | strand | 0; malicious 1 | 0; a hash for all |
//! | [`mul`](crate::Ctx::mul), [`quadratic`](crate::Ctx::quadratic), [`sums_of_products`](crate::Ctx::sums_of_products), [`sums_of_terms`](crate::Ctx::sums_of_terms), [`matrix_vector`](crate::Ctx::matrix_vector), [`dots`](crate::Ctx::dots) | strand | 1 | one element per output, to `prev` |
//! | [`masks`](crate::Ctx::masks) | strand | 0 | 0 |
//! | [`unmask`](crate::Ctx::unmask) | strand | 1 | what is unmasked, by two parties to one each; malicious: a hash for all |
//! | [`check`](crate::Ctx::check), [`verify`](crate::Ctx::verify) | strand | 0; malicious a few a batch | 0; a proof for all |
//! | [`open`](crate::Verified::open) | verified | 1; malicious 2 | one element, to `prev`; a hash for all |
//! | [`reveal_to`](crate::Verified::reveal_to) | verified | 1 | one element, from the receiver's `next` to it; malicious: a hash for all from its `prev` |
//! | [`output`](crate::Verified::output) | verified | 0 | 0 (the client fetches it) |

mod dots;
mod mask;
mod open;
mod product;
mod terms;

pub use mask::Masks;
pub use open::Verified;
use open::copies_agree;
pub use product::Site;
pub(crate) use product::digest;
