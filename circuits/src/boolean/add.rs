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

/// The bits of `x + y` from one on, of which only the carries below are computed.
///
/// **Shape** two integers of `k` bits to `k - from` bits, `from` at least 1. **Cost** [`add_from_cost`]. **Security** and **Source** as [`add`].
///
/// # Errors
/// As [`add`]. Not cancel safe.
pub(crate) async fn add_from<G: Gates>(
    g: &mut G,
    form: CarryForm,
    (x, y): (&G::Bits, &G::Bits),
    from: usize,
) -> Result<G::Bits, G::Error> {
    let p = g.xor(x, y)?;
    let k = g.width(&p);
    let carries = Network::planned(form, k - 1, Wanted::From(from)).run(g, k - 1, [x, &p]).await?;
    let high = g.select(&p, from..k)?;
    g.xor(&high, &carries)
}

/// The exact cost of [`add_from`] of `k` bits.
pub(crate) fn add_from_cost(form: CarryForm, k: usize, from: usize) -> LaneCost {
    Network::planned(form, k - 1, Wanted::From(from)).cost()
}

/// The carry out of `x + y`: whether the sum is `2^k` or more.
///
/// **Shape** two integers of `k` bits to one bit; zero for `k = 0`. **Cost** [`carry_cost`], that of [`less_than`](super::less_than): `k` rounds and bits as
/// ripple; as prefix `ceil(log2 (k + 1))` rounds and about `3 k / 2` bits. **Security** and **Source** as [`add`], of which this is the last carry.
///
/// # Errors
/// As [`add`]. Not cancel safe.
pub async fn carry<G: Gates>(g: &mut G, form: CarryForm, x: &G::Bits, y: &G::Bits) -> Result<G::Bits, G::Error> {
    let none = g.constant(&[]);
    Ok(carry_beside(g, form, [x, y], [&none, &none]).await?.0)
}

/// [`carry`], and in its first round the products of two other vectors.
pub(crate) async fn carry_beside<G: Gates>(
    g: &mut G,
    form: CarryForm,
    [x, y]: [&G::Bits; 2],
    others: [&G::Bits; 2],
) -> Result<(G::Bits, G::Bits), G::Error> {
    let p = g.xor(x, y)?;
    let k = g.width(&p);
    let (carry, products) = Network::planned(form, k, Wanted::Last).run_beside(g, k, [x, &p], others).await?;
    Ok((if k == 0 { g.constant(&[false]) } else { carry }, products))
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
    let carries = Network::planned(form, k - 1, Wanted::All).run(g, k - 1, [v, p]).await?;
    let (low, high) = (g.select(plus, 0..1)?, g.select(plus, 1..k)?);
    let high = g.xor(&high, &carries)?;
    Ok(g.concat(&[&low, &high]))
}
