//! Sums and differences.

use super::{
    CarryForm, LaneCost,
    network::{Network, Wanted},
};
use crate::gates::Gates;

/// `x + y` modulo `2^k`. For the carry too, extend both by a zero bit: the highest position costs nothing.
///
/// **Shape** two integers of `k` bits to one, bit 0 first. **Cost** [`add_cost`]: `k - 1` rounds and bits as ripple,
/// `ceil(log2 k)` rounds as prefix. **Security** composition of quadratic gates; only the width is public.
/// **Source** Sklansky (IRE Trans. EC-9, 1960), Brent and Kung (IEEE Trans. C-31, 1982); carries as choices between a bit and the
/// carry below, so that leaves are free, and whole chains of choices as one gate are ours, see `network`.
///
/// # Errors
/// The widths differ; as [`Gates::sums_of_products`]. Not cancel safe.
pub async fn add<G: Gates>(g: &mut G, form: CarryForm, x: &G::Bits, y: &G::Bits) -> Result<G::Bits, G::Error> {
    // A position whose bits differ hands on the carry; otherwise either bit is the carry.
    let p = g.xor(x, y)?;
    with_carries(g, form, x, &p, &p).await
}

/// `x - y` modulo `2^k`.
///
/// **Shape**, **Cost**, **Security** as [`add`]. **Source** as [`add`], with borrows for carries.
///
/// # Errors
/// As [`add`]. Not cancel safe.
pub async fn sub<G: Gates>(g: &mut G, form: CarryForm, x: &G::Bits, y: &G::Bits) -> Result<G::Bits, G::Error> {
    let differ = g.xor(x, y)?;
    // A position whose bits are equal hands on the borrow; otherwise one is due if the bit of y is set.
    let p = g.not(&differ)?;
    with_carries(g, form, y, &p, &differ).await
}

/// The exact cost of [`add`] and [`sub`] of `k` bits.
pub fn add_cost(form: CarryForm, k: usize) -> LaneCost {
    Network::planned(form, k.saturating_sub(1), Wanted::All).cost()
}

/// The carry out of `x + y`: whether the sum is `2^k` or more.
///
/// **Shape** two integers of `k` bits to one bit; zero for `k = 0`. **Cost** [`carry_cost`], that of [`less_than`](super::less_than): `k` rounds and bits as
/// ripple; as prefix `ceil(log2 (k + 1))` rounds and about `3 k / 2` bits. **Security** and **Source** as [`add`], of which this is the last carry.
///
/// # Errors
/// As [`add`]. Not cancel safe.
pub async fn carry<G: Gates>(g: &mut G, form: CarryForm, x: &G::Bits, y: &G::Bits) -> Result<G::Bits, G::Error> {
    let p = g.xor(x, y)?;
    let k = g.width(&p);
    if k == 0 {
        return Ok(g.constant(&[false]));
    }
    let carry = Network::planned(form, k, Wanted::Last).run(g, x, &p).await?;
    Ok(g.concat(&carry.iter().collect::<Vec<_>>()))
}

/// The exact cost of [`carry`] of `k` bits.
pub fn carry_cost(form: CarryForm, k: usize) -> LaneCost {
    Network::planned(form, k, Wanted::Last).cost()
}

/// Three summands to two with the same sum modulo `2^k`: the sums of all positions, and their carries.
///
/// **Shape** three integers of `k` bits to two. **Cost** [`carry_save_cost`]: one round, `k - 1` bits.
/// **Security** one quadratic gate. **Source** folklore (Wallace, IEEE Trans. EC-13, 1964); the majority of three bits is
/// `(x + z)(y + z) + z`.
///
/// # Errors
/// The widths differ; as [`Gates::and`]. Not cancel safe.
pub async fn carry_save<G: Gates>(g: &mut G, x: &G::Bits, y: &G::Bits, z: &G::Bits) -> Result<[G::Bits; 2], G::Error> {
    let (xz, yz) = (g.xor(x, z)?, g.xor(y, z)?);
    let sum = g.xor(&xz, y)?;
    let k = g.width(&sum);
    if k < 2 {
        return Ok([sum, g.constant(&vec![false; k])]);
    }
    // The carry out of the highest position is not of this ring.
    let (u, v, z) = (g.select(&xz, 0..k - 1)?, g.select(&yz, 0..k - 1)?, g.select(z, 0..k - 1)?);
    let both = g.and(&u, &v).await?;
    let majority = g.xor(&both, &z)?;
    let zero = g.constant(&[false]);
    Ok([sum, g.concat(&[&zero, &majority])])
}

/// The exact cost of [`carry_save`] of `k` bits.
pub const fn carry_save_cost(k: usize) -> LaneCost {
    if k < 2 { LaneCost { rounds: 0, bits: 0 } } else { LaneCost { rounds: 1, bits: k as u64 - 1 } }
}

/// `plus`, with the carry into each position added to its bit.
async fn with_carries<G: Gates>(
    g: &mut G,
    form: CarryForm,
    v: &G::Bits,
    p: &G::Bits,
    plus: &G::Bits,
) -> Result<G::Bits, G::Error> {
    let k = g.width(plus);
    if k < 2 {
        return Ok(g.concat(&[plus]));
    }
    let (v, p) = (g.select(v, 0..k - 1)?, g.select(p, 0..k - 1)?);
    let carries = Network::planned(form, k - 1, Wanted::All).run(g, &v, &p).await?;
    let carries = g.concat(&carries.iter().collect::<Vec<_>>());
    let (low, high) = (g.select(plus, 0..1)?, g.select(plus, 1..k)?);
    let high = g.xor(&high, &carries)?;
    Ok(g.concat(&[&low, &high]))
}
