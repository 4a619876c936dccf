//! Exact division by powers of two.

use crate::{
    arith::{
        ElementCost,
        bits::{WORD, same, to_planes},
        convert::{FORM, inject_sum_cost, weighted_sums},
        kernels::Majority,
    },
    boolean::{self, LaneCost},
    gates::OnShares,
};
use trefoil_engine::{Cost, prelude::*};

/// Bits that can be dropped at most.
const MOST: u32 = 60;
/// Added before, so that what is shifted is not negative and its components wrap around at most twice.
const OFFSET: u64 = 1 << 61;

/// `floor(x / 2^bits)`, exactly.
///
/// With `v = x + 2^61 = v_0 + v_1 + v_2 - w 2^64`, which lies between 0 and `2^62`,
///
/// ```text
/// floor(v / 2^bits) = sum floor(v_i / 2^bits) + c - w 2^(64 - bits)
/// ```
///
/// where `c` is the carry of the low parts, 0 to 2: a carry-save and the last carry of a prefix network, over `bits` bits and not 64. No carry is needed for `w`: the two highest bits
/// of the components sum to `s`, and `s` plus the carry into them, at most 2, is `4 w`, so `w` is `s / 4` rounded up. With the sums and majorities of
/// the highest bits (`a`, `b`) and of those below (`d`, `e`), that is `b` plus `a OR e`.
///
/// **Shape** `n` integers with `|x| < 2^61` to `n`, `bits` from 0 to 60. Beyond that domain the result is wrong by a multiple of `2^(64 - bits)`, never by little.
/// Failure probability: none. **Cost** [`shift_cost`]: for 20 bits 8 rounds, 367 bits. **Security** composition of quadratic gates.
/// **Source** local truncation after Catrina and de Hoogh (FC 2010) and Mohassel and Rindal (CCS 2018, section 5.1), made exact by the two corrections; the form of `w` is ours.
///
/// # Errors
/// [`Error::Shape`] for more than 60 bits; as [`Ctx::quadratic`]. Not cancel safe.
pub async fn floor_shift<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>, bits: u32) -> Result<Shares<Z64>, Error> {
    shift(ctx, x, &vec![Part { bits, add: 0 }; x.len()]).await
}

/// `x / 2^bits` to the nearest integer, halves upwards, exactly: [`floor_shift`] of `x + 2^(bits - 1)`.
///
/// Unbiased but for `2^-(bits + 1)`: of the `2^bits` residues only the half has an error without an opposite.
///
/// **Shape** as [`floor_shift`], with `|x| < 2^61 - 2^(bits - 1)`. **Cost**, **Security**, **Source** as [`floor_shift`].
///
/// # Errors
/// As [`floor_shift`]. Not cancel safe.
pub async fn round_shift<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>, bits: u32) -> Result<Shares<Z64>, Error> {
    shift(ctx, x, &vec![Part { bits, add: 1 << bits.min(MOST) >> 1 }; x.len()]).await
}

/// Several vectors, each divided by a power of two of its own as [`round_shift`] does, in the same rounds.
///
/// **Shape** vectors with up to 60 bits to be dropped, to as many vectors. **Cost** [`round_shifts_cost`]. **Security** and **Source** as [`round_shift`].
///
/// # Errors
/// As [`round_shift`]. Not cancel safe.
pub(crate) async fn round_shifts<M: Mode>(
    ctx: &mut Ctx<M>,
    parts: &[(View<'_, Z64>, u32)],
) -> Result<Vec<Shares<Z64>>, Error> {
    let mut padded = Vec::new();
    let mut adds = Vec::new();
    for &(x, bits) in parts {
        let lanes = Lanes::words(x.len()) * Lanes::COUNT;
        padded.push(Shares::concat(&[x, Shares::zeros(lanes - x.len()).view()]));
        adds.extend(vec![Part { bits, add: 1 << bits.min(MOST) >> 1 }; lanes]);
    }
    let all = Shares::concat(&padded.iter().map(Shares::view).collect::<Vec<_>>());
    let y = shift(ctx, all.view(), &adds).await?;
    let mut from = 0;
    let parts = parts.iter().zip(&padded).map(|((x, _), padded)| {
        let part = y.view().slice(from, x.len())?.to_shares();
        from += padded.len();
        Ok(part)
    });
    parts.collect()
}

/// The exact cost of [`round_shifts`] of vectors of so many elements, with so many bits dropped.
pub(crate) fn round_shifts_cost(parts: &[(usize, u32)]) -> Cost {
    let most = parts.iter().map(|&(_, bits)| bits).max().unwrap_or(0);
    shift_cost(most).over(parts.iter().map(|&(n, _)| Lanes::words(n) * Lanes::COUNT).sum())
}

/// The exact cost of [`floor_shift`] and [`round_shift`].
pub fn shift_cost(bits: u32) -> ElementCost {
    if bits == 0 {
        return ElementCost::default();
    }
    let majorities = LaneCost { rounds: 1, bits: u64::from(bits) + 2 };
    let carry = boolean::carry_cost(FORM, bits as usize - 1);
    let carry = LaneCost { rounds: carry.rounds.max(1), bits: carry.bits + 1 };
    ElementCost::lanes(majorities.then(carry)).then(inject_sum_cost(4))
}

/// How one element is shifted.
#[derive(Clone, Copy, Debug)]
struct Part {
    bits: u32,
    add: u64,
}

async fn shift<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>, parts: &[Part]) -> Result<Shares<Z64>, Error> {
    let most = parts.iter().map(|part| part.bits).max().unwrap_or(0);
    same("the bits dropped at most", MOST as usize, MOST.max(most) as usize)?;
    let (me, n, low) = (ctx.me(), x.len(), most as usize);
    let mut v = x.to_shares();
    if most == 0 || n == 0 {
        return Ok(v);
    }
    v.add_public(me, &parts.iter().map(|part| Z64(OFFSET + part.add)).collect::<Vec<_>>())?;
    let words = Lanes::words(n);
    let planes = v.view().sum_of_components(WORD * words, to_planes);
    let top = planes.view().slice((WORD - 2) * words, 2 * words)?;
    // Low parts end at one position, so that their carries do.
    let mut aligned = v.view().to_shares();
    let unlike = parts.iter().any(|part| part.bits < most);
    if unlike {
        aligned.update(|x| x.iter_mut().zip(parts).for_each(|(x, part)| x.0 <<= most - part.bits));
    }
    let lower =
        if unlike { aligned.view().sum_of_components(WORD * words, to_planes) } else { planes.view().to_shares() };
    let lower = lower.view().slice(0, low * words)?;

    let looked_at = Shares::concat(&[lower, top]);
    let majority = ctx.quadratic(&Majority, looked_at.view().apart(me).views()).await?;
    let of = |from: usize, count: usize| majority.view().slice(from * words, count * words);
    let sums = lower.slice(words, (low - 1) * words)?.to_shares();
    let carries = of(0, low - 1)?.to_shares();
    // a OR e = a + e + a e.
    let (a, e) = (top.slice(words, words)?.to_shares(), of(low, 1)?.to_shares());
    let gates = &mut OnShares::new(ctx, words);
    let (carry, mut either) = boolean::carry_beside(gates, FORM, [&sums, &carries], [&a, &e]).await?;
    either.add_assign(a.view())?;
    either.add_assign(e.view())?;

    let corrections = Shares::concat(&[of(low - 1, 1)?, carry.view(), of(low + 1, 1)?, either.view()]);
    let weight = |plane: usize, element: usize| match (plane, parts.get(element)) {
        // Of no bits nothing is dropped: the weight is 2^64.
        (2.., Some(part)) => Z64(1_u64.checked_shl(WORD as u32 - part.bits).unwrap_or(0).wrapping_neg()),
        _ => Z64(1),
    };
    let mut y = weighted_sums(ctx, n, (corrections.view(), &[4]), weight).await?;
    let shifted = v.view().sum_of_components(n, |x: &[Z64], out: &mut [Z64]| {
        for ((out, x), part) in out.iter_mut().zip(x).zip(parts) {
            *out = Z64(x.0 >> part.bits);
        }
    });
    y.add_assign(shifted.view())?;
    y.add_public(me, &parts.iter().map(|part| Z64((OFFSET >> part.bits).wrapping_neg())).collect::<Vec<_>>())?;
    Ok(y)
}
