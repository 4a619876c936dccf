//! Exact division by powers of two.

use crate::{
    arith::{
        ElementCost,
        bits::{WORD, apart, same, to_planes},
        convert::{FORM, inject_sum, inject_sum_cost},
        kernels::{Majority, Or},
    },
    boolean::{self, LaneCost},
    gates::OnShares,
};
use trefoil_engine::prelude::*;

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
/// Failure probability: none. **Cost** [`shift_cost`]: for 20 bits 9 rounds, 367 bits. **Security** composition of quadratic gates.
/// **Source** local truncation after Catrina and de Hoogh (FC 2010) and Mohassel and Rindal (CCS 2018, section 5.1), made exact by the two corrections; the form of `w` is ours.
///
/// # Errors
/// [`Error::Shape`] for more than 60 bits; as [`Ctx::quadratic`]. Not cancel safe.
pub async fn floor_shift<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>, bits: u32) -> Result<Shares<Z64>, Error> {
    shift(ctx, x, bits, 0).await
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
    shift(ctx, x, bits, 1 << bits.min(MOST) >> 1).await
}

/// The exact cost of [`floor_shift`] and [`round_shift`].
pub fn shift_cost(bits: u32) -> ElementCost {
    if bits == 0 {
        return ElementCost::default();
    }
    let majorities = LaneCost { rounds: 1, bits: u64::from(bits) + 2 };
    let or = LaneCost { rounds: 1, bits: 1 };
    let carry = boolean::carry_cost(FORM, bits as usize - 1);
    ElementCost::lanes(majorities.then(or).then(carry)).then(inject_sum_cost(4))
}

async fn shift<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>, bits: u32, add: u64) -> Result<Shares<Z64>, Error> {
    same("the bits dropped at most", MOST as usize, MOST.max(bits) as usize)?;
    let (me, n, low) = (ctx.me(), x.len(), bits as usize);
    let mut v = x.to_shares();
    if bits == 0 || n == 0 {
        return Ok(v);
    }
    v.add_public(me, &vec![Z64(OFFSET + add); n])?;
    let words = Lanes::words(n);
    let planes = v.view().sum_of_components(WORD * words, to_planes);
    let plane = |from: usize, count: usize| planes.view().slice(from * words, count * words);

    let counted = Shares::concat(&[plane(0, low)?, plane(WORD - 2, 2)?]);
    let parts = apart(me, counted.view());
    let majority = ctx.quadratic(&Majority, parts.each_ref().map(Shares::view)).await?;
    let of = |from: usize, count: usize| majority.view().slice(from * words, count * words);
    let either = ctx.quadratic(&Or, [plane(WORD - 1, 1)?, of(low, 1)?]).await?;
    let (sums, carries) = (plane(1, low - 1)?.to_shares(), of(0, low - 1)?.to_shares());
    let carry = boolean::carry(&mut OnShares::new(ctx, words), FORM, &sums, &carries).await?;

    let corrections = Shares::concat(&[of(low - 1, 1)?, carry.view(), of(low + 1, 1)?, either.view()]);
    let (up, wrap) = (Z64(1), Z64((1_u64 << (WORD - low)).wrapping_neg()));
    let mut y = inject_sum(ctx, n, corrections.view(), &[up, up, wrap, wrap]).await?;
    let shifted = v.view().sum_of_components(n, |x: &[Z64], out: &mut [Z64]| {
        for (out, x) in out.iter_mut().zip(x) {
            *out = Z64(x.0 >> low);
        }
    });
    y.add_assign(shifted.view())?;
    y.add_public(me, &vec![Z64((OFFSET >> low).wrapping_neg()); n])?;
    Ok(y)
}
