//! Public tables read at a secret place.
//!
//! Each bit of a table's entry is a polynomial over `F_2` in the bits of the place. With all products of these bits at hand, any number of tables of any width is linear, hence free.

use trefoil_engine::prelude::*;

/// Bits whose products are asked for, and bits of which one asks whether all are set, in the same rounds.
///
/// **Shape** `k` planes of `words` words to `2^k`, of which plane `t` is the product of those bits that are set in `t`, plane 0 being one; and the product of
/// `all`, which has at least one plane. **Cost** [`products_cost`]: `2^k - k - 1` bits and one fewer than planes in `all`; as many rounds as the larger of `k` and
/// the number of those planes takes to halve. **Security** composition of products. **Source** folklore.
///
/// # Errors
/// As [`Ctx::mul`]. Not cancel safe.
pub(super) async fn products<M: Mode>(
    ctx: &mut Ctx<M>,
    words: usize,
    bits: View<'_, Lanes>,
    all: Shares<Lanes>,
) -> Result<[Shares<Lanes>; 2], Error> {
    let words = words.max(1);
    let one = Shares::public(ctx.me(), &vec![Lanes::ONES; words]);
    let mut groups = Vec::new();
    for bit in 0..bits.len() / words {
        groups.push(Shares::concat(&[one.view(), bits.slice(bit * words, words)?]));
    }
    let mut all = all;
    loop {
        let half = all.len() / words / 2 * words;
        if groups.len() <= 1 && half == 0 {
            return Ok([groups.pop().unwrap_or(one), all]);
        }
        let (mut left, mut right) = (vec![all.view().slice(0, half)?], vec![all.view().slice(half, half)?]);
        let merged = if groups.len() > 1 { &groups[..] } else { &[] };
        for pair in merged.chunks_exact(2) {
            for high in 1..pair[1].len() / words {
                left.push(pair[0].view().slice(words, pair[0].len() - words)?);
                let high = pair[1].view().slice(high * words, words)?;
                right.extend((1..pair[0].len() / words).map(|_| high));
            }
        }
        let both = ctx.mul(Shares::concat(&left).view(), Shares::concat(&right).view()).await?;
        let rest = all.view().slice(2 * half, all.len() - 2 * half)?;
        let next_all = Shares::concat(&[both.view().slice(0, half)?, rest]);
        let mut from = half;
        all = next_all;
        if merged.is_empty() {
            continue;
        }
        let mut next = Vec::with_capacity(groups.len().div_ceil(2));
        for pair in merged.chunks(2) {
            let [low, high] = pair else {
                next.extend(pair.iter().map(|single| single.view().to_shares()));
                continue;
            };
            let inner = low.len() - words;
            let mut parts = vec![low.view()];
            for k in 1..high.len() / words {
                parts.push(high.view().slice(k * words, words)?);
                parts.push(both.view().slice(from, inner)?);
                from += inner;
            }
            next.push(Shares::concat(&parts));
        }
        groups = next;
    }
}

/// The exact cost of [`products`] of `k` bits, with `all` planes.
pub(super) const fn products_cost(k: usize, all: usize) -> crate::boolean::LaneCost {
    let most = if k > all { k } else { all };
    crate::boolean::LaneCost {
        rounds: most.next_power_of_two().ilog2() as u64,
        bits: (1 << k) - k as u64 - 1 + all as u64 - 1,
    }
}

/// The entry of a public table at a secret place.
///
/// **Shape** the products of `k` bits, as [`products`] gives them, and `2^k` entries of `width` bits, to `width` planes, bit 0 first. **Cost** nothing. **Security** linear.
/// **Source** the algebraic normal form (Zhegalkin, 1927).
pub(super) fn lookup(products: View<'_, Lanes>, words: usize, table: &[u64], width: usize) -> Shares<Lanes> {
    let mut form = table.to_vec();
    let mut step = 1;
    while step < form.len() {
        for pair in form.chunks_mut(2 * step) {
            let (low, high) = pair.split_at_mut(step);
            high.iter_mut().zip(low).for_each(|(high, low)| *high ^= *low);
        }
        step *= 2;
    }
    sums(products, words, &form, width)
}

/// The sum over `F_2` of public numbers, each times a bit: of the number that belongs to the one bit that is set, if it is one.
///
/// **Shape** as many planes of `words` words as numbers of `width` bits, to `width` planes, bit 0 first. **Cost** nothing. **Security** linear. **Source** folklore.
pub(super) fn sums(bits: View<'_, Lanes>, words: usize, numbers: &[u64], width: usize) -> Shares<Lanes> {
    Shares::rearrange(bits, width * words, |bits, out| {
        for (k, out) in out.chunks_exact_mut(words.max(1)).enumerate() {
            for (bit, number) in bits.chunks_exact(words.max(1)).zip(numbers) {
                if number >> k & 1 == 1 {
                    out.iter_mut().zip(bit).for_each(|(out, &bit)| *out = *out + bit);
                }
            }
        }
    })
}
