//! Fixed-point arithmetic on plain integers in two's complement: the oracle of the functions on shares, bit for bit within their domains.

/// `floor(x / 2^bits)`.
pub const fn floor_shift(x: i64, bits: u32) -> i64 {
    x >> bits
}

/// `x / 2^bits` to the nearest integer, halves upwards.
pub const fn round_shift(x: i64, bits: u32) -> i64 {
    if bits == 0 { x } else { x.wrapping_add(1 << (bits - 1)) >> bits }
}

/// The product of two numbers with `bits` fractional bits.
pub const fn mul(x: i64, y: i64, bits: u32) -> i64 {
    round_shift(x.wrapping_mul(y), bits)
}

/// The dot product of two vectors of such numbers.
pub fn dot(x: &[i64], y: &[i64], bits: u32) -> i64 {
    round_shift(x.iter().zip(y).fold(0, |sum: i64, (x, y)| sum.wrapping_add(x.wrapping_mul(*y))), bits)
}

/// [`Fixed::sigmoid`](super::Fixed::sigmoid) of a number with `bits` fractional bits, from 15 to 28.
pub fn sigmoid(x: i64, bits: u32) -> i64 {
    super::sigmoid::reference(x, bits, bits)
}

/// [`Fixed::sigmoid_bits`](super::Fixed::sigmoid_bits) of a number with `from` fractional bits, from 15 to 42, as an integer in units of `2^-18`.
pub fn sigmoid_bits(x: i64, from: u32) -> i64 {
    super::sigmoid::bits_reference(x, from)
}

/// [`Fixed::sigmoid_of`](super::Fixed::sigmoid_of) a number with `from` fractional bits, from 15 to 42, with `to` of them.
pub fn sigmoid_of(x: i64, from: u32, to: u32) -> i64 {
    super::sigmoid::reference(x, from, to)
}
