//! Every operation that sends or draws: the audit surface.
//!
//! | verb | on | rounds | sent per element and party |
//! |---|---|---|---|
//! | [`input`](crate::Ctx::input), [`random`](crate::Ctx::random) | strand | 0 | 0 |
//! | [`mul`](crate::Ctx::mul), [`quadratic`](crate::Ctx::quadratic), [`sums_of_products`](crate::Ctx::sums_of_products) | strand | 1 | one element per output, to `prev` |
//! | [`open`](crate::Verified::open) | verified | 1 | one element, to `prev` |
//! | [`reveal_to`](crate::Verified::reveal_to) | verified | 1 | one element, from the receiver's `next` to it |
//! | [`output`](crate::Verified::output) | verified | 0 | 0 (the client fetches it) |

mod open;
mod product;

pub use open::Verified;
pub use product::Site;
pub(crate) use product::digest;
