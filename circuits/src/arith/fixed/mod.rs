//! Fixed-point numbers on shares: exact truncation, products, and flags for what leaves its range.
//!
//! All results are functions of their arguments alone, so that the plain twins, in [`mod@reference`] and beside the functions (`Fixed::plain_ln` and so on), give the same bits.
//! Outside of its domain a function gives a number without meaning; ranges are checked at the client ([`Fixed::encode_within`]), before a job runs ([`Bound`]) and while it runs ([`Flags`]).
//!
//! ```
//! use trefoil_circuits::arith::fixed::Fixed;
//! use trefoil_engine::{SemiHonest, testing::on_shares};
//! type Number = Fixed<20>;
//! let x = [0.5, -3.0].map(|x| Number::encode(x).unwrap());
//! let (y, cost) = on_shares::<SemiHonest, _, _>(&[&x], async |ctx, v| Number::sigmoid(ctx, v[0].view()).await);
//! assert!((Number::decode(y[0]) - 0.622_459).abs() < 5e-5 && (Number::decode(y[1]) - 0.047_426).abs() < 5e-5);
//! assert_eq!(cost.rounds, Number::sigmoid_cost(2).rounds);
//! ```
//!
//! For 20 fractional bits, with 64-bit integers `x` as numbers `x / 2^20`:
//!
//! | function | domain | error | rounds | bits sent |
//! |---|---|---|---|---|
//! | [`floor_shift`] by 20 bits | `abs x < 2^61` as an integer | exact | 8 | 367 |
//! | [`round_shift`] by 20 bits | `abs x < 2^61 - 2^19` as an integer | exact | 8 | 367 |
//! | [`Fixed::mul`], [`Fixed::sums_of_products`], [`Fixed::dot`] | the result below `2^21` | `2^-21` | 9 | 431 |
//! | [`Fixed::sigmoid`] | all numbers | `4.4e-5` | 29 | 862 |
//! | [`Fixed::sigmoid_bits`], in bits | all numbers | `4.4e-5` | 21 | 523 |
//! | [`Fixed::reciprocal`], and one product more for [`Fixed::div`] | `0 < x < 2^41` | `2^-19 / x + 2^-20` | 77 | 4,751 |
//! | [`Fixed::sqrt`] | `0 <= x < 2^40` | `2^-19 sqrt(x) + 2^-21` | 103 | 6,128 |
//! | [`Fixed::inverse_sqrt`] | `0 < x < 2^40` | `2^-22 / sqrt(x) + 2^-20` | 102 | 6,130 |
//! | [`Fixed::exp`] | up to 11; beyond, as 11 | `2^-23 exp(x) + 2^-20` | 72 | 4,140 |
//! | [`Fixed::ln`] | `0 < x < 2^41` | `2^-23 + 2^-21` | 67 | 5,150 |
//! | [`Flags::raise_beyond`], [`Flags::raise_outside`] | all integers | exact | 7 | 302 |
//!
//! Beyond its domain a function gives a number without meaning, and says nothing, but for the sigmoid, which has none, and an argument of [`Fixed::exp`] below -22, which counts as -22.
//! [`Fixed::checked`], [`Fixed::mul_checked`] and [`Fixed::div_checked`] raise a flag, at the price of the last row for each argument; the domains as integers, for all fractional bits, are
//! [`Function::domain`]. Errors are those of the result against the exact one of the same argument, and tests hold each function to them from one end of its domain to the other.

mod codec;
mod domain;
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
pub use domain::Function;
pub use flags::{Flags, any_cost, beyond_cost};
pub(crate) use flags::{any_of_each, outside};
pub use sigmoid::PROBABILITY_BITS;
pub use truncate::{floor_shift, round_shift, shift_cost};
pub(crate) use truncate::{round_shifts, round_shifts_cost};
