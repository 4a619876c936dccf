//! Fixed-point numbers on shares: exact truncation, products, and flags for what leaves its range.
//!
//! All results are functions of their arguments alone, so that the plain twins in [`mod@reference`] give the same bits.
//! For 20 fractional bits:
//!
//! | function | domain | error | rounds | bits sent |
//! |---|---|---|---|---|
//! | [`floor_shift`] by 20 bits | `abs x < 2^61` as an integer | exact | 9 | 367 |
//! | [`round_shift`] by 20 bits | `abs x < 2^61 - 2^19` as an integer | exact | 9 | 367 |
//! | [`Fixed::mul`], [`Fixed::sums_of_products`], [`Fixed::dot`] | the result below `2^21` | `2^-21` | 10 | 431 |
//! | [`Fixed::sigmoid`] | all numbers | `2.5e-5 + 2^-21` | 31 | 1,706 |
//! | [`Flags::raise_beyond`] | all integers | exact | 7 | 302 |

mod codec;
mod flags;
mod lookup;
mod product;
pub mod reference;
mod sigmoid;
mod truncate;

pub use codec::{Bound, Fixed, FixedError};
pub use flags::{Flags, any_cost, beyond_cost};
pub use truncate::{floor_shift, round_shift, shift_cost};
