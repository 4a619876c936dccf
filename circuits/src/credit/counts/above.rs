//! Comparisons of shared values with public cut points, which share all that they can.

use crate::{
    arith::{a2b, a2b_cost},
    boolean::LaneCost,
};
use trefoil_engine::prelude::*;

/// Bits of a block, of which all products are made.
const BLOCK: u32 = 4;
/// Blocks of an integer.
const BLOCKS: usize = 16;
/// Products of the bits of a block: for each set of bits one, but not for none.
const SETS: usize = (1 << BLOCK) - 1;

/// How shared integers are compared with rising cut points.
///
/// Bits of the values are made once. In a block of four bits, whether it is above a public one, and whether it equals it, are sums of products of its bits, and the products are the same for all cut points: 11 gates.
/// From two neighbouring blocks follow those of their union, in two gates, and only once for all cut points that have the same bits there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Above {
    /// Blocks of four bits that are compared: which one, with what.
    blocks: Vec<(usize, u64)>,
    /// Unions of two of the list before; the last list has one for each cut point.
    unions: [Vec<Union>; 4],
}

/// A range of bits that is compared: from the places of its halves in the list before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Union {
    high: usize,
    low: usize,
    /// Whether equality is asked for: not where nothing lies below.
    equal: bool,
}

/// Planes of what is compared: whether above, and whether equal if it is asked for.
struct Compared {
    above: Vec<Shares<Lanes>>,
    equal: Vec<Option<Shares<Lanes>>>,
}

impl Above {
    /// For cut points that rise.
    pub(super) fn new(cuts: &[Z64]) -> Self {
        let keys: Vec<u64> = cuts.iter().map(|cut| cut.0 ^ 1 << 63).collect();
        let blocks = ranges(&keys, BLOCK);
        let mut before = blocks.clone();
        let unions = [8, 16, 32, 64].map(|bits| {
            let list = ranges(&keys, bits);
            let place = |range: (usize, u64)| before.binary_search(&range).unwrap_or(0);
            let half = bits / 2;
            let union = |&(k, value): &(usize, u64)| Union {
                high: place((2 * k + 1, value >> half)),
                low: place((2 * k, value & ((1 << half) - 1))),
                equal: k > 0,
            };
            let unions = list.iter().map(union).collect();
            before = list;
            unions
        });
        Self { blocks, unions }
    }

    /// For each cut point a plane of whether each value is above. Lanes past the last value hold anything.
    pub(super) async fn on_shares<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        values: View<'_, Z64>,
    ) -> Result<Shares<Lanes>, Error> {
        let words = Lanes::words(values.len());
        let mut bits = a2b(ctx, values).await?;
        // Numbers in two's complement, in the order of integers without sign.
        let mut flip = vec![Lanes(0); bits.len()];
        flip[63 * words..].fill(Lanes::ONES);
        bits.add_public(ctx.me(), &flip)?;

        let products = products(ctx, words, bits.view()).await?;
        let mut compared = self.in_blocks(ctx.me(), words, products.view())?;
        for unions in &self.unions {
            compared = united(ctx, words, &compared, unions).await?;
        }
        Ok(Shares::concat(&compared.above.iter().map(Shares::view).collect::<Vec<_>>()))
    }

    /// The exact cost for one value.
    pub(super) fn cost(&self) -> LaneCost {
        let whole = a2b_cost();
        let bits = LaneCost { rounds: whole.rounds, bits: whole.bits };
        let products = LaneCost { rounds: 2, bits: (BLOCKS * (SETS - BLOCK as usize)) as u64 };
        let gates = |unions: &Vec<Union>| unions.iter().map(|union| 1 + u64::from(union.equal)).sum();
        let unions = |sum: LaneCost, unions| sum.then(LaneCost { rounds: 1, bits: gates(unions) });
        self.unions.iter().fold(bits.then(products), unions)
    }

    /// Sums of products of the bits of each block. Local.
    fn in_blocks(&self, me: Party, words: usize, products: View<'_, Lanes>) -> Result<Compared, Error> {
        let mut compared = Compared { above: Vec::new(), equal: Vec::new() };
        for &(block, value) in &self.blocks {
            let sum = |holds: &dyn Fn(u64) -> bool| -> Result<Shares<Lanes>, Error> {
                let mut sum = Shares::zeros(words);
                // Whether the bits are those of `u` is the sum of the products over all sets of bits that contain `u`.
                for set in 0..=SETS {
                    let odd = (0..=SETS as u64).filter(|&u| holds(u) && set as u64 & u == u).count() % 2 == 1;
                    match (odd, set) {
                        (false, _) => {}
                        (true, 0) => sum.add_public(me, &vec![Lanes::ONES; words])?,
                        (true, _) => sum.add_assign(products.slice((block * SETS + set - 1) * words, words)?)?,
                    }
                }
                Ok(sum)
            };
            compared.above.push(sum(&|u| u > value)?);
            compared.equal.push(if block > 0 { Some(sum(&|u| u == value)?) } else { None });
        }
        Ok(compared)
    }
}

/// What the bits of keys are in ranges of so many bits: number of the range and bits, rising, each once.
fn ranges(keys: &[u64], bits: u32) -> Vec<(usize, u64)> {
    let mask = u64::MAX >> (64 - bits);
    let ranges = (0..64 / bits).flat_map(|k| keys.iter().map(move |key| (k as usize, key >> (k * bits) & mask)));
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}

/// The products of all sets of bits of each block, the set as a number, from 1 on.
async fn products<M: Mode>(ctx: &mut Ctx<M>, words: usize, bits: View<'_, Lanes>) -> Result<Shares<Lanes>, Error> {
    let plane = |k: usize| bits.slice(k * words, words);
    let even = (0..2 * BLOCKS).map(|k| plane(2 * k)).collect::<Result<Vec<_>, _>>()?;
    let odd = (0..2 * BLOCKS).map(|k| plane(2 * k + 1)).collect::<Result<Vec<_>, _>>()?;
    let pairs = ctx.mul(Shares::concat(&even).view(), Shares::concat(&odd).view()).await?;
    // Of either half of a block its lower bit, its upper one, and both.
    let half = |k: usize| Ok::<_, Error>([plane(2 * k)?, plane(2 * k + 1)?, pairs.view().slice(k * words, words)?]);
    let halves = (0..2 * BLOCKS).map(half).collect::<Result<Vec<_>, _>>()?;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for block in halves.chunks_exact(2) {
        for high in block[1] {
            left.extend(block[0]);
            right.extend([high; 3]);
        }
    }
    let both = ctx.mul(Shares::concat(&left).view(), Shares::concat(&right).view()).await?;
    let mut all = Vec::with_capacity(BLOCKS * SETS);
    for (k, block) in halves.chunks_exact(2).enumerate() {
        all.extend(block[0]);
        for (j, high) in block[1].into_iter().enumerate() {
            all.push(high);
            for low in 0..3 {
                all.push(both.view().slice((9 * k + 3 * j + low) * words, words)?);
            }
        }
    }
    Ok(Shares::concat(&all))
}

/// Unions of ranges: above if the upper half is, or if it is equal and the lower one is above.
async fn united<M: Mode>(
    ctx: &mut Ctx<M>,
    words: usize,
    halves: &Compared,
    unions: &[Union],
) -> Result<Compared, Error> {
    let none = Shares::zeros(words);
    let equal = |k: usize| halves.equal[k].as_ref().unwrap_or(&none).view();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for union in unions {
        left.push(equal(union.high));
        right.push(halves.above[union.low].view());
        if union.equal {
            left.push(equal(union.high));
            right.push(equal(union.low));
        }
    }
    let products = ctx.mul(Shares::concat(&left).view(), Shares::concat(&right).view()).await?;
    let mut compared = Compared { above: Vec::new(), equal: Vec::new() };
    let mut from = 0;
    let mut next = || {
        from += words;
        products.view().slice(from - words, words)
    };
    for union in unions {
        compared.above.push(next()?.plus(halves.above[union.high].view())?);
        compared.equal.push(if union.equal { Some(next()?.to_shares()) } else { None });
    }
    Ok(compared)
}
