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
//! | [`Fixed::reciprocal`], and one product more for [`Fixed::div`] | `0 < x < 2^41` | `2^-19 / x + 2^-20` | 83 | 4,751 |
//! | [`Fixed::sqrt`] | `0 <= x < 2^40` | `2^-19 sqrt(x) + 2^-21` | 112 | 6,128 |
//! | [`Fixed::inverse_sqrt`] | `0 < x < 2^40` | `2^-22 / sqrt(x) + 2^-20` | 111 | 6,130 |
//! | [`Fixed::exp`] | up to 11; beyond, as 11 | `2^-23 exp(x) + 2^-20` | 77 | 4,140 |
//! | [`Fixed::ln`] | `0 < x < 2^41` | `2^-23 + 2^-21` | 72 | 5,150 |
//! | [`Flags::raise_beyond`] | all integers | exact | 7 | 302 |

mod codec;
mod exponential;
mod flags;
mod lookup;
mod normal;
mod product;
mod reciprocal;
pub mod reference;
mod root;
mod sigmoid;
mod truncate;

pub use codec::{Bound, Fixed, FixedError};
pub use flags::{Flags, any_cost, beyond_cost};
pub use truncate::{floor_shift, round_shift, shift_cost};
