//! Comparisons, and the choice that follows them.

use super::{
    CarryForm, LaneCost,
    network::{Network, Wanted},
};
use crate::gates::Gates;

/// How bits stand for an integer that is compared.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Order {
    /// From 0 to `2^k - 1`.
    Unsigned,
    /// Two's complement, from `-2^(k-1)` to `2^(k-1) - 1`.
    Signed,
}

impl Order {
    /// Both orders.
    pub const ALL: [Self; 2] = [Self::Unsigned, Self::Signed];
}

/// Whether `x < y`.
///
/// **Shape** two integers of `k` bits to one bit; zero for `k = 0`. **Cost** [`less_than_cost`]: `k` rounds and bits as
/// ripple; as prefix `ceil(log2 (k + 1))` rounds and about `3 k / 2` bits. **Security** composition of quadratic gates; only the width is
/// public. **Source** as [`add`](super::add), of which this is the last borrow.
///
/// # Errors
/// The widths differ; as [`Gates::sums_of_products`]. Not cancel safe.
pub async fn less_than<G: Gates>(
    g: &mut G,
    form: CarryForm,
    order: Order,
    x: &G::Bits,
    y: &G::Bits,
) -> Result<G::Bits, G::Error> {
    let differ = g.xor(x, y)?;
    let k = g.width(&differ);
    if k == 0 {
        return Ok(g.constant(&[false]));
    }
    // The highest position whose bits differ decides: x is the smaller one if the bit of y is set, or, in the sign, that of x.
    let p = g.not(&differ)?;
    let v = match order {
        Order::Unsigned => g.concat(&[y]),
        Order::Signed => {
            let (low, sign) = (g.select(y, 0..k - 1)?, g.select(x, k - 1..k)?);
            g.concat(&[&low, &sign])
        }
    };
    Network::planned(form, k, Wanted::Last).run(g, k, [&v, &p]).await
}

/// The exact cost of [`less_than`] of `k` bits, in either order.
pub fn less_than_cost(form: CarryForm, k: usize) -> LaneCost {
    Network::planned(form, k, Wanted::Last).cost()
}

/// Whether `x = y`.
///
/// **Shape** two integers of `k` bits to one bit; one for `k = 0`. **Cost** [`equal_cost`]: `ceil(log2 k)` rounds, `k - 1` bits.
/// **Security** and **Source** as [`all`].
///
/// # Errors
/// The widths differ; as [`Gates::and`]. Not cancel safe.
pub async fn equal<G: Gates>(g: &mut G, x: &G::Bits, y: &G::Bits) -> Result<G::Bits, G::Error> {
    let differ = g.xor(x, y)?;
    let same = g.not(&differ)?;
    all(g, &same).await
}

/// The exact cost of [`equal`] and [`all`] of `k` bits.
pub const fn equal_cost(k: usize) -> LaneCost {
    if k < 2 {
        return LaneCost { rounds: 0, bits: 0 };
    }
    LaneCost { rounds: k.next_power_of_two().ilog2() as u64, bits: k as u64 - 1 }
}

/// Whether all bits are set.
///
/// **Shape** `k` bits to one; one for `k = 0`. **Cost** [`equal_cost`]. **Security** composition of products.
/// **Source** a balanced tree; fewer rounds cannot be, the product having degree `k`.
///
/// # Errors
/// As [`Gates::and`]. Not cancel safe.
pub async fn all<G: Gates>(g: &mut G, x: &G::Bits) -> Result<G::Bits, G::Error> {
    let mut left = g.concat(&[x]);
    loop {
        let k = g.width(&left);
        if k == 0 {
            return Ok(g.constant(&[true]));
        }
        if k == 1 {
            return Ok(left);
        }
        let half = k / 2;
        let (u, v, rest) = (g.select(&left, 0..half)?, g.select(&left, half..2 * half)?, g.select(&left, 2 * half..k)?);
        let both = g.and(&u, &v).await?;
        left = g.concat(&[&both, &rest]);
    }
}

/// `x` where `choice` is set, `y` elsewhere.
///
/// **Shape** one bit and two integers of `k` bits to one. **Cost** [`mux_cost`]: one round, `k` bits.
/// **Security** one quadratic gate, `choice (x + y) + y`. **Source** folklore.
///
/// # Errors
/// The widths differ, or `choice` has another width than one; as [`Gates::and`]. Not cancel safe.
pub async fn mux<G: Gates>(g: &mut G, choice: &G::Bits, x: &G::Bits, y: &G::Bits) -> Result<G::Bits, G::Error> {
    let differ = g.xor(x, y)?;
    let k = g.width(&differ);
    if k == 0 {
        return Ok(differ);
    }
    let choices = g.concat(&vec![choice; k]);
    let chosen = g.and(&choices, &differ).await?;
    g.xor(&chosen, y)
}

/// The exact cost of [`mux`] of `k` bits.
pub const fn mux_cost(k: usize) -> LaneCost {
    if k == 0 { LaneCost { rounds: 0, bits: 0 } } else { LaneCost { rounds: 1, bits: k as u64 } }
}
