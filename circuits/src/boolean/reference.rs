//! The circuits of this module on plain integers of up to 64 bits: their oracle.
//!
//! Operands are the low `k` bits of their words; results have no bit beyond their width.

use super::Order;

/// The low `k` bits.
pub const fn low(k: usize, x: u64) -> u64 {
    if k < 64 { x & ((1 << k) - 1) } else { x }
}

/// `x + y` modulo `2^k`.
pub const fn add(k: usize, x: u64, y: u64) -> u64 {
    low(k, x.wrapping_add(y))
}

/// `x - y` modulo `2^k`.
pub const fn sub(k: usize, x: u64, y: u64) -> u64 {
    low(k, x.wrapping_sub(y))
}

/// The carry out of `x + y`, as 0 or 1, for `k <= 64`.
pub fn carry(k: usize, x: u64, y: u64) -> u64 {
    ((u128::from(low(k, x)) + u128::from(low(k, y))) >> k) as u64
}

/// Sum without carries, and carries, of three summands modulo `2^k`.
pub const fn carry_save(k: usize, x: u64, y: u64, z: u64) -> [u64; 2] {
    [low(k, x ^ y ^ z), low(k, (x & y | x & z | y & z) << 1)]
}

/// Whether `x < y`, as 0 or 1.
pub fn less_than(k: usize, order: Order, x: u64, y: u64) -> u64 {
    u64::from(match order {
        Order::Unsigned => low(k, x) < low(k, y),
        Order::Signed => signed(k, x) < signed(k, y),
    })
}

/// Whether `x = y`, as 0 or 1.
pub fn equal(k: usize, x: u64, y: u64) -> u64 {
    u64::from(low(k, x) == low(k, y))
}

/// Whether all `k` bits are set, as 0 or 1.
pub fn all(k: usize, x: u64) -> u64 {
    equal(k, x, u64::MAX)
}

/// `x` where `choice` is 1, `y` where it is 0.
pub const fn mux(k: usize, choice: u64, x: u64, y: u64) -> u64 {
    low(k, if choice & 1 == 1 { x } else { y })
}

/// The number of bits set.
pub const fn popcount(k: usize, x: u64) -> u64 {
    low(k, x).count_ones() as u64
}

/// In two's complement.
fn signed(k: usize, x: u64) -> i64 {
    match k {
        0 => 0,
        1..=64 => (x << (64 - k)).cast_signed() >> (64 - k),
        _ => x.cast_signed(),
    }
}
