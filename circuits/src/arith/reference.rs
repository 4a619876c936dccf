//! The functions of this module on plain integers: their oracle, bit for bit.

use crate::boolean::Order;

/// Whether `x < y`, as 0 or 1.
pub fn less_than(order: Order, x: u64, y: u64) -> u64 {
    u64::from(match order {
        Order::Unsigned => x < y,
        Order::Signed => x.cast_signed() < y.cast_signed(),
    })
}

/// The highest bit.
pub const fn sign(x: u64) -> u64 {
    x >> 63
}

/// `x` if `choice` is odd, else `y`.
pub const fn select(choice: u64, x: u64, y: u64) -> u64 {
    if choice & 1 == 1 { x } else { y }
}

/// `x`, or zero if it is negative in two's complement.
pub const fn relu(x: u64) -> u64 {
    if sign(x) == 1 { 0 } else { x }
}

/// `x`, or the bound it lies beyond.
pub fn clamp(x: u64, low: i64, high: i64) -> u64 {
    x.cast_signed().clamp(low, high).cast_unsigned()
}
