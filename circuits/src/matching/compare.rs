//! Distances against a threshold: exact, on two shared integers of 16 bits each.
//!
//! With `a` the code bits that agree less those that differ and `b` the mask bits valid in both, of which each covers `g` code bits, the fraction that differs is
//! `(g b - a) / (2 g b)`. It is below `p / q` if and only if `N = v b - u a` is negative, where `u = q` and `v = g (q - 2 p)`, both divided by what they have in common. If nothing
//! is valid, `N = 0`.
//!
//! `N` takes more than 16 bits. Its sharing modulo a larger power is the same combination of the components of `a` and `b` as integers, but for the multiples
//! of `2^16` by which these add up to too much: none, one or two. Since `a` and `b` leave enough of the range unused, that number is the sum of the
//! components' few highest bits, without those sums' lowest as many, exactly: what all lower bits amount to is less than the gap.

// All numbers here are far below 2^63.
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)]

use super::{Kind, Threshold};
use crate::{
    arith::{bits::same, kernels::Majority},
    boolean::{self, CarryForm, LaneCost},
    gates::OnShares,
};
use trefoil_engine::{prelude::*, simd};
use zeroize::Zeroizing;

const FORM: CarryForm = CarryForm::Sklansky;
/// Bits of the integers compared.
const BITS: usize = 16;

/// How distances of a kind are compared with a threshold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Comparison {
    /// The factors of `a` and of `b`, and what is added.
    u: i64,
    v: i64,
    plus: i64,
    /// Bits of `N` in two's complement.
    width: usize,
    /// Highest bits that are added up.
    top: usize,
    /// What is added to `a` and to `b`.
    offsets: [u16; 2],
}

impl Comparison {
    pub(super) fn new(kind: Kind, threshold: Threshold) -> Self {
        let (p, q) = (threshold.numerator(), threshold.denominator());
        let v = kind.covers() as i64 * (i64::from(q) - 2 * i64::from(p));
        let by = super::threshold::gcd(q, v.unsigned_abs() as u32);
        Self::of(kind, [i64::from(q / by), v / i64::from(by), 0])
    }

    /// Whether at least so many mask bits are valid in both: `N = least - 1 - b` is negative. `least` is from 1 to all of them.
    pub(super) fn covered(kind: Kind, least: usize) -> Self {
        Self::of(kind, [0, -1, least as i64 - 1])
    }

    /// Whether `v b - u a + plus` is negative.
    fn of(kind: Kind, [u, v, plus]: [i64; 3]) -> Self {
        let largest = kind.code_bits() as i64 * u + kind.mask_bits() as i64 * v.abs() + plus;
        let width = (largest.ilog2() as usize + 2).max(BITS + 2);
        // Templates of at most 16,000 bits need three.
        let fits = |top: &usize| 2 * kind.code_bits() + lost(*top) < (1 << BITS);
        let top = (2..BITS).find(fits).unwrap_or(BITS);
        let offsets = [kind.code_bits() + lost(top), lost(top)].map(|offset| offset as u16);
        Self { u, v, plus, width, top, offsets }
    }

    /// The exact cost of [`below`] for one pair of integers.
    pub(super) fn cost(self) -> LaneCost {
        let gate = |bits: usize| LaneCost { rounds: 1, bits: bits as u64 };
        let wraps = boolean::carry_cost(FORM, self.top - 1);
        let upper = self.width - BITS;
        gate(self.width - 1 + 2 * self.top)
            .then(LaneCost { rounds: wraps.rounds, bits: 2 * wraps.bits })
            .then(gate(2))
            .then(boolean::carry_save_cost(upper))
            .then(boolean::carry_save_cost(upper))
            .then(boolean::carry_cost(FORM, self.width - 2))
    }

    /// Planes of what is shared of both integers: `N`, then by rising place the highest bits of `a` and of `b`.
    fn planes(self) -> usize {
        self.width + 2 * self.top
    }

    /// What a component of `a` and of `b` gives: one of `N`, and their highest bits. What is public is added to component 0.
    fn row(self, [a, b]: [Z16; 2], holds_public: bool) -> u64 {
        let [of_a, of_b] = if holds_public { self.offsets } else { [0; 2] };
        let [a, b] = [a.0.wrapping_add(of_a), b.0.wrapping_add(of_b)];
        let combined = |a: u16, b: u16| self.v * i64::from(b) - self.u * i64::from(a);
        let n = combined(a, b) - combined(of_a, of_b) + if holds_public { self.plus } else { 0 };
        let mut row = n.cast_unsigned() & ((1 << self.width) - 1);
        for k in 0..self.top {
            let of = |x: u16| u64::from(x >> (BITS - self.top + k) & 1);
            row |= (of(a) | of(b) << 1) << (self.width + 2 * k);
        }
        row
    }

    /// The bits of `N` from `2^16` on of a multiple of `2^16`, each as a choice: whether it is set for one time, and for two times.
    fn multiple(self, factor: i64) -> impl Iterator<Item = [bool; 2]> {
        let bit = move |x: i64, k: usize| x >> k & 1 == 1;
        (0..self.width - BITS).map(move |k| [bit(factor, k), bit(2 * factor, k)])
    }
}

/// Whether the distances are below the threshold.
///
/// **Shape** `n` integers `a`, then `n` integers `b`, to one plane; lanes past the last are zero. **Cost** [`Comparison::cost`]. **Security** composition of quadratic gates.
/// **Source** ours: see the [module](self). Carries are those of [`boolean`].
///
/// # Errors
/// [`Error::Shape`] for an odd number of integers; as [`Ctx::quadratic`]. Not cancel safe.
pub(super) async fn below<M: Mode>(
    ctx: &mut Ctx<M>,
    c: Comparison,
    dots: View<'_, Z16>,
) -> Result<Shares<Lanes>, Error> {
    let n = dots.len() / 2;
    same("the products of templates", 2 * n, dots.len())?;
    let (me, words) = (ctx.me(), Lanes::words(n));
    let mut component = [me, me.next()].into_iter();
    let sum = dots.sum_of_components(c.planes() * words, |dots: &[Z16], planes: &mut [Lanes]| {
        let holds_public = component.next() == Some(Party::P0);
        let (a, b) = dots.split_at(n);
        let rows = a.iter().zip(b).map(|(&a, &b)| c.row([a, b], holds_public));
        to_planes(&Zeroizing::new(rows.collect::<Vec<_>>()), planes);
    });
    let plane = |of: &Shares<Lanes>, from: usize, count: usize| {
        Ok::<_, Error>(of.view().slice(from * words, count * words)?.to_shares())
    };
    // The carries of three components: out of all places of N but the highest, and of all of the others.
    let (low, tops) = (plane(&sum, 0, c.width - 1)?, plane(&sum, c.width, 2 * c.top)?);
    let looked_at = Shares::concat(&[low.view(), tops.view()]);
    let apart = looked_at.view().apart(me);
    let carries = ctx.quadratic(&Majority, apart.views()).await?;
    let of_tops = plane(&carries, c.width - 1, 2 * c.top)?;

    // How often 2^16 is too much, of a and of b side by side: once for the carry out of the highest place, once for that of what is left.
    let (x, y) = (plane(&tops, 2, 2 * (c.top - 1))?, plane(&of_tops, 0, 2 * (c.top - 1))?);
    let carry = boolean::carry(&mut OnShares::new(ctx, 2 * words), FORM, &x, &y).await?;
    let other = plane(&of_tops, 2 * (c.top - 1), 2)?;
    let twice = ctx.mul(carry.view(), other.view()).await?;
    let once = carry.view().plus(other.view())?;

    // With a component of a too large by 2^16 N is too small by u 2^16.
    let (upper, chosen) = (c.width - BITS, |factor: i64, of: usize| {
        let mut bits = Shares::zeros((c.width - BITS) * words);
        for (k, wanted) in c.multiple(factor).enumerate() {
            let mut bit = Shares::zeros(words);
            for (times, _) in [&once, &twice].into_iter().zip(wanted).filter(|(_, wanted)| *wanted) {
                bit.add_assign(times.view().slice(of * words, words)?)?;
            }
            bits.copy_from(k * words, bit.view())?;
        }
        Ok::<_, Error>(bits)
    });
    let (of_a, of_b) = (chosen(c.u, 0)?, chosen(-c.v, 1)?);
    let (s, m) = (plane(&sum, BITS, upper)?, plane(&carries, BITS - 1, upper)?);
    let mut gates = OnShares::new(ctx, words);
    let [s, m] = boolean::carry_save(&mut gates, &s, &m, &of_a).await?;
    let [s, m] = boolean::carry_save(&mut gates, &s, &m, &of_b).await?;

    // Places from 1 on. The highest one is the sign.
    let x = Shares::concat(&[sum.view().slice(words, (BITS - 1) * words)?, s.view()]);
    let y = Shares::concat(&[carries.view().slice(0, (BITS - 1) * words)?, m.view()]);
    let below = c.width - 2;
    let mut sign = boolean::carry(&mut gates, FORM, &plane(&x, 0, below)?, &plane(&y, 0, below)?).await?;
    sign.add_assign(x.view().slice(below * words, words)?)?;
    sign.add_assign(y.view().slice(below * words, words)?)?;
    Ok(sign)
}

/// The most that the lower bits of three components amount to.
const fn lost(top: usize) -> usize {
    3 * ((1 << (BITS - top)) - 1)
}

/// The lowest planes of rows.
fn to_planes(rows: &[u64], planes: &mut [Lanes]) {
    let mut all = Zeroizing::new(vec![0; Lanes::words(rows.len()) * 64]);
    simd::rows_to_planes(rows, 1, &mut all);
    planes.copy_from_slice(bytemuck::cast_slice(&all[..planes.len()]));
}

#[cfg(test)]
mod tests {
    use super::{super::reference::Distance, *};
    use trefoil_engine::{
        Cost,
        testing::{Setup, on_shares_with},
    };

    /// Pairs at the threshold and around it, and at the ends of the range, of which a matching program can come by.
    fn pairs(kind: Kind, threshold: Threshold) -> Vec<(i64, i64)> {
        let (p, q) = (i64::from(threshold.numerator()), i64::from(threshold.denominator()));
        let (most, covers) = (kind.mask_bits() as i64, kind.covers() as i64);
        let mut pairs = Vec::new();
        let valid = (0..=most).step_by((most / 60 + 1) as usize).chain((1..5).map(|k| k * q)).chain([1, 2, most]);
        for b in valid.filter(|&b| b <= most) {
            let at = covers * b * p / q;
            let differ = [0, 1, at - 2, at - 1, at, at + 1, covers * b / 2, covers * b - 1, covers * b];
            let differ = differ.into_iter().filter(|d| (0..=covers * b).contains(d));
            pairs.extend(differ.map(|d| (d, b)));
        }
        pairs
    }

    /// What is found of integers `a` and `b` that follow some others, and what it costs.
    fn found<M: Mode>(c: Comparison, pairs: &[(i64, i64)], covers: i64, seed: u64) -> (Vec<bool>, Cost) {
        let skipped = vec![Z16(0); seed as usize];
        let a = pairs.iter().map(|(d, b)| Z16((covers * b - 2 * d) as u16));
        let dots: Vec<Z16> =
            skipped.iter().copied().chain(a).chain(pairs.iter().map(|(_, b)| Z16(*b as u16))).collect();
        let setup = Setup { seed, ..Setup::default() };
        let out = on_shares_with::<M, Z16, _, _>(setup, &[&dots], async |mut ctx, x| {
            let before = ctx.cost();
            let dots = x[0].view().slice(skipped.len(), 2 * pairs.len())?;
            let below = below(&mut ctx, c, dots).await?;
            let (rounds, products) = (ctx.cost().rounds - before.rounds, ctx.cost().products - before.products);
            let bits = ctx.verify().await?.open(below.view()).await?;
            Ok((bits, Cost { rounds, products, bytes_sent: 8 * products }))
        });
        let (bits, cost) = out.map(Result::unwrap)[0].clone();
        let found: Vec<bool> = (0..64 * bits.len()).map(|k| bits[k / 64].0 >> (k % 64) & 1 == 1).collect();
        assert!(!found[pairs.len()..].contains(&true), "lanes past the last are zero");
        (found, cost)
    }

    fn exact<M: Mode>(kind: Kind, threshold: Threshold) {
        let c = Comparison::new(kind, threshold);
        let (pairs, covers) = (pairs(kind, threshold), kind.covers());
        for n in [1, 65, pairs.len()] {
            let pairs = &pairs[pairs.len().saturating_sub(n)..];
            let (found, cost) = found::<M>(c, pairs, covers as i64, n as u64 % 16);
            assert_eq!(cost, c.cost().over(Lanes::words(pairs.len())));
            for (&(d, b), found) in pairs.iter().zip(found) {
                let due = Distance { differ: d as usize, valid: covers * b as usize }.is_below(threshold);
                assert_eq!(found, due, "{d} of {covers} * {b}, {threshold}");
            }
        }
    }

    #[test]
    fn every_distance_is_compared_exactly() {
        let threshold = |text: &str| text.parse::<Threshold>().unwrap();
        for text in ["0.345", "0.32", "0.5", "1/3", "0.9999", "0.0001", "0.3451", "7/10"] {
            exact::<SemiHonest>(Kind::IRIS, threshold(text));
        }
        exact::<Malicious>(Kind::IRIS, Threshold::DEPLOYED);
        for bits in [1, 2, 7, 100, 512, 2048, 8193, 8194, 16_000] {
            let kind = Kind::binary(bits).unwrap();
            exact::<SemiHonest>(kind, threshold("0.25"));
            exact::<SemiHonest>(kind, threshold("0.4999"));
        }
    }

    /// Components that add up to 2^16 too much once, twice and not at all.
    #[test]
    fn what_the_components_add_up_to_is_counted_whatever_they_are() {
        let (c, t) = (Comparison::new(Kind::IRIS, Threshold::CLASSIC), Threshold::CLASSIC);
        let ends = [(0, 0), (12_800, 6400), (0, 6400), (6400, 6400), (4096, 6400), (4095, 6400), (1, 1), (2, 1)];
        let pairs: Vec<(i64, i64)> = ends.into_iter().cycle().take(1280).collect();
        for seed in 0..40 {
            for (&(d, b), found) in pairs.iter().zip(found::<SemiHonest>(c, &pairs, 2, seed).0) {
                let due = Distance { differ: d as usize, valid: 2 * b as usize }.is_below(t);
                assert_eq!(found, due, "{d} {b}");
            }
        }
    }

    #[test]
    fn what_is_valid_in_both_is_counted_exactly() {
        for (kind, least) in [
            (Kind::IRIS, 1),
            (Kind::IRIS, 3200),
            (Kind::IRIS, 6400),
            (Kind::binary(16_000).unwrap(), 8000),
            (Kind::binary(1).unwrap(), 1),
        ] {
            let (c, covers, most) = (Comparison::covered(kind, least), kind.covers() as i64, kind.mask_bits() as i64);
            let at = least as i64;
            let valid =
                [0, 1, 2, at - 2, at - 1, at, at + 1, most - 1, most].into_iter().filter(|b| (0..=most).contains(b));
            let pairs: Vec<(i64, i64)> = valid.flat_map(|b| [0, b, covers * b].map(|d| (d, b))).collect();
            for seed in 0..8 {
                let (found, cost) = found::<SemiHonest>(c, &pairs, covers, seed);
                assert_eq!(cost, c.cost().over(Lanes::words(pairs.len())));
                for (&(d, b), found) in pairs.iter().zip(found) {
                    assert_eq!(found, b >= at, "{d} of {covers} * {b}, {least}");
                }
            }
        }
    }

    #[test]
    fn the_price_of_a_comparison() {
        let cost = |threshold| Comparison::new(Kind::IRIS, threshold).cost();
        assert_eq!(
            [cost(Threshold::DEPLOYED), cost(Threshold::CLASSIC)],
            [LaneCost { rounds: 11, bits: 64 }, LaneCost { rounds: 11, bits: 60 }]
        );
    }
}
