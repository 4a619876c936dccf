//! The number of bits that are set.

use super::LaneCost;
use crate::gates::Gates;

/// The number of bits set in `x`.
///
/// Bits of one weight are added by a chain of full adders. Its running sum is linear, so all carries of the chain are one
/// gate, and the bits of the next weight are there after one round, not after a tree of adders.
///
/// **Shape** `k` bits to an integer of as many bits as `k` takes in binary. **Cost** [`popcount_cost`]: `floor(log2 k)` rounds,
/// `k` minus the number of ones of `k` in binary bits. **Security** composition of quadratic gates.
/// **Source** Boyar and Peralta (TCS 396, 2008), which shows that no circuit has fewer ANDs; in rounds it is ours. Bit `j` of the result
/// has degree `2^j`, so fewer rounds cannot be.
///
/// # Errors
/// As [`Gates::and`]. Not cancel safe.
pub async fn popcount<G: Gates>(g: &mut G, x: &G::Bits) -> Result<G::Bits, G::Error> {
    let mut count = Vec::new();
    let mut weight = split(g, x)?;
    while !weight.is_empty() {
        let chain = Chain::new(g, weight)?;
        weight = match &chain.factors {
            None => Vec::new(),
            Some([u, v]) => {
                let both = g.and(u, v).await?;
                split(g, &both)?
            }
        };
        // The majority of the running sum and two bits is their product with the running sum added, plus the running sum.
        // The chain of an even number of bits starts from zero instead.
        let from = weight.len() - chain.sums.len();
        for (carry, sum) in weight[from..].iter_mut().zip(&chain.sums) {
            *carry = g.xor(carry, sum)?;
        }
        count.push(chain.total);
    }
    Ok(g.concat(&count.iter().collect::<Vec<_>>()))
}

/// The exact cost of [`popcount`] of `k` bits.
pub const fn popcount_cost(k: usize) -> LaneCost {
    if k == 0 {
        return LaneCost { rounds: 0, bits: 0 };
    }
    LaneCost { rounds: k.ilog2() as u64, bits: k as u64 - k.count_ones() as u64 }
}

/// A chain of full adders over the bits of one weight.
struct Chain<B> {
    /// The sum before each adder, but for the first one of an even number of bits, where it is zero.
    sums: Vec<B>,
    /// The factors of the carries, if there are any.
    factors: Option<[B; 2]>,
    /// The sum of all bits.
    total: B,
}

impl<B> Chain<B> {
    fn new<G: Gates<Bits = B>>(g: &mut G, bits: Vec<B>) -> Result<Self, G::Error> {
        let adders = bits.len() / 2;
        let mut bits = bits.into_iter();
        let (mut sums, mut left, mut right) = (Vec::new(), Vec::with_capacity(adders), Vec::with_capacity(adders));
        let mut running = if bits.len() % 2 == 1 { bits.next() } else { None };
        while let (Some(a), Some(b)) = (bits.next(), bits.next()) {
            running = Some(match running {
                None => {
                    let sum = g.xor(&a, &b)?;
                    left.push(a);
                    right.push(b);
                    sum
                }
                Some(sum) => {
                    left.push(g.xor(&sum, &a)?);
                    right.push(g.xor(&sum, &b)?);
                    let with_a = g.xor(&sum, &a)?;
                    let with_both = g.xor(&with_a, &b)?;
                    sums.push(sum);
                    with_both
                }
            });
        }
        let concat = |g: &mut G, v: &[B]| g.concat(&v.iter().collect::<Vec<_>>());
        let factors = (adders > 0).then(|| [concat(g, &left), concat(g, &right)]);
        let total = running.unwrap_or_else(|| g.constant(&[false]));
        Ok(Self { sums, factors, total })
    }
}

/// A vector bit by bit.
fn split<G: Gates>(g: &mut G, x: &G::Bits) -> Result<Vec<G::Bits>, G::Error> {
    (0..g.width(x)).map(|i| g.select(x, i..i + 1)).collect()
}
