//! From many match bits to one, or to the place of the first.

use crate::{arith::kernels::Or, boolean::LaneCost};
use trefoil_engine::prelude::*;

/// Whether one of several alternatives is set, for each of `n` lanes: the alternatives lie one after the other, without gaps.
///
/// **Shape** `count * n` lanes to `n`; lanes past the last are zero. **Cost** [`any_cost`]. **Security** quadratic gates. **Source** folklore.
///
/// # Errors
/// As [`Ctx::quadratic`]. Not cancel safe.
pub(super) async fn any<M: Mode>(
    ctx: &mut Ctx<M>,
    mut count: usize,
    n: usize,
    bits: View<'_, Lanes>,
) -> Result<Shares<Lanes>, Error> {
    let mut left = lanes(bits, 0, count * n);
    while count > 1 {
        // With an odd number the one in the middle is in both halves.
        let half = count.div_ceil(2);
        let (low, high) = (lanes(left.view(), 0, half * n), lanes(left.view(), (count - half) * n, half * n));
        left = ctx.quadratic(&Or, [low.view(), high.view()]).await?;
        count = half;
    }
    Ok(left)
}

/// The exact cost of [`any`], in words that are sent.
pub(super) fn any_cost(mut count: usize, n: usize) -> LaneCost {
    let mut cost = LaneCost::default();
    while count > 1 {
        count = count.div_ceil(2);
        cost = cost.then(LaneCost { rounds: 1, bits: Lanes::words(count * n) as u64 });
    }
    cost
}

/// Bits of a place among `n`.
pub(super) const fn place_bits(n: usize) -> usize {
    n.next_power_of_two().ilog2() as usize
}

/// Whether one of `n` lanes is set, and which is the first, as [`place_bits`] more bits, the lowest first; these are all set if none is.
///
/// **Shape** `n` lanes to `1 +` [`place_bits`] lanes. **Cost** [`first_cost`]. **Security** quadratic gates. **Source** folklore: pairs of neighbours, of which the left one goes first.
///
/// # Errors
/// As [`Ctx::quadratic`]. Not cancel safe.
pub(super) async fn first<M: Mode>(ctx: &mut Ctx<M>, n: usize, bits: View<'_, Lanes>) -> Result<Shares<Lanes>, Error> {
    let mut count = n.next_power_of_two();
    // Of each lane, whether one below it is set, and the bits of its place.
    let mut planes = vec![lanes(bits, 0, n)];
    planes[0] = Shares::rearrange(planes[0].view(), Lanes::words(count), |x, out| out[..x.len()].copy_from_slice(x));
    while count > 1 {
        count /= 2;
        let words = Lanes::words(count);
        let halves = |of: usize| planes.iter().map(|x| every_second(x.view(), of, count)).collect::<Vec<_>>();
        let (even, odd) = (halves(0), halves(1));
        // The left one's bits if it is set: x = y + l (x + y), and whether one is set: l + r + l r.
        let mut right = vec![odd[0].view().to_shares()];
        for (x, y) in even.iter().zip(&odd).skip(1) {
            right.push(x.view().plus(y.view())?);
        }
        let set = vec![even[0].view(); planes.len()];
        let right = Shares::concat(&right.iter().map(Shares::view).collect::<Vec<_>>());
        let chosen = ctx.mul(Shares::concat(&set).view(), right.view()).await?;
        for (k, plane) in planes.iter_mut().enumerate() {
            *plane = chosen.view().slice(k * words, words)?.plus(odd[k].view())?;
        }
        planes[0].add_assign(even[0].view())?;
        let mut lowest = even[0].view().to_shares();
        lowest.add_public(ctx.me(), &vec![Lanes::ONES; words])?;
        planes.push(lowest);
    }
    let all = Shares::concat(&planes.iter().map(Shares::view).collect::<Vec<_>>());
    Ok(Shares::rearrange(all.view(), Lanes::words(planes.len()), |planes, packed| {
        for (k, plane) in planes.iter().enumerate() {
            packed[k / Lanes::COUNT].0 |= (plane.0 & 1) << (k % Lanes::COUNT);
        }
    }))
}

/// The exact cost of [`first`], in words that are sent.
pub(super) fn first_cost(n: usize) -> LaneCost {
    let mut cost = LaneCost::default();
    let mut count = n.next_power_of_two();
    while count > 1 {
        count /= 2;
        cost = cost.then(LaneCost { rounds: 1, bits: (cost.rounds + 1) * Lanes::words(count) as u64 });
    }
    cost
}

/// Some neighbouring lanes; those past the last are zero.
fn lanes(x: View<'_, Lanes>, from: usize, count: usize) -> Shares<Lanes> {
    Shares::rearrange(x, Lanes::words(count), |x, out| {
        let (word, shift) = (from / Lanes::COUNT, from % Lanes::COUNT);
        let at = |k: usize| x.get(k).map_or(0, |word| word.0);
        for (k, out) in out.iter_mut().enumerate() {
            let high = if shift == 0 { 0 } else { at(word + k + 1) << (Lanes::COUNT - shift) };
            out.0 = at(word + k) >> shift | high;
        }
        if let (Some(last), used @ 1..) = (out.last_mut(), count % Lanes::COUNT) {
            last.0 &= (1 << used) - 1;
        }
    })
}

/// `count` lanes: every second one from one on.
fn every_second(x: View<'_, Lanes>, from: usize, count: usize) -> Shares<Lanes> {
    Shares::rearrange(x, Lanes::words(count), |x, out| {
        for k in 0..count {
            let at = 2 * k + from;
            let bit = x.get(at / Lanes::COUNT).map_or(0, |word| word.0 >> (at % Lanes::COUNT) & 1);
            out[k / Lanes::COUNT].0 |= bit << (k % Lanes::COUNT);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use trefoil_engine::testing::on_shares;

    fn random(n: usize, seed: u64) -> Vec<Lanes> {
        crate::arith::tests::random(n, seed).into_iter().map(Lanes).collect()
    }

    fn is_set(x: &[Lanes], k: usize) -> bool {
        x[k / 64].0 >> (k % 64) & 1 == 1
    }

    #[test]
    fn one_of_several_alternatives() {
        for (count, n) in [(1, 1), (1, 70), (31, 1), (31, 3), (31, 64), (62, 5), (5, 100), (2, 7)] {
            // Few ones.
            let words = Lanes::words(count * n);
            let mut bits: Vec<Lanes> = random(words, 3).into_iter().zip(random(words, 4)).map(|(x, y)| x * y).collect();
            bits.iter_mut().zip(random(words, 5)).for_each(|(x, y)| *x = *x * y);
            let (out, cost) =
                on_shares::<SemiHonest, Lanes, _>(&[&bits], async |ctx, x| any(ctx, count, n, x[0].view()).await);
            for lane in 0..64 * out.len() {
                let due = lane < n && (0..count).any(|k| is_set(&bits, k * n + lane));
                assert_eq!(is_set(&out, lane), due, "{count} {n} {lane}");
            }
            assert_eq!(cost, any_cost(count, n).over(1));
        }
    }

    #[test]
    fn the_first_of_all() {
        for n in [1, 2, 3, 5, 64, 65, 100, 300] {
            let places = [Some(0), Some(n - 1), Some(n / 2), Some(n / 3), None];
            for place in places {
                // That one, and some above it.
                let mut bits: Vec<Lanes> = vec![Lanes(0); Lanes::words(n)];
                let mut set = |k: usize| bits[k / 64].0 |= 1 << (k % 64);
                if let Some(place) = place {
                    set(place);
                    (place..n).step_by(3).for_each(&mut set);
                }
                let (out, cost) =
                    on_shares::<Malicious, Lanes, _>(&[&bits], async |ctx, x| first(ctx, n, x[0].view()).await);
                let found = out[0].0;
                assert_eq!(found & 1 == 1, place.is_some());
                let due = place.map_or((1 << place_bits(n)) - 1, |place| place as u64);
                assert_eq!(found >> 1, due, "{n}");
                assert_eq!(cost.products, first_cost(n).bits);
            }
        }
    }
}
