//! One bit that says whether anything has left its range.

use super::Fixed;
use crate::{
    arith::{ElementCost, sign, sign_cost},
    boolean::{self, LaneCost, equal_cost},
    gates::OnShares,
};
use trefoil_engine::prelude::*;

/// Flags raised so far: shared, and opened as one bit at the end of a job, if at all.
///
/// What is computed on operands out of range is wrong, and could look plausible; a job that opens the bit of its flags before any output
/// releases none of it then.
#[derive(Debug, Default)]
pub struct Flags {
    raised: Vec<Shares<Lanes>>,
}

impl Flags {
    /// Takes a plane of flags: a lane that is set raises the whole.
    pub fn raise(&mut self, flags: Shares<Lanes>) {
        self.raised.push(flags);
    }

    /// Raises a flag for each of `x` that is not from `-2^bits` to `2^bits - 1`, as 64-bit integers without exception.
    ///
    /// **Shape** `n` integers, `bits` at most 62. **Cost** [`beyond_cost`]: 7 rounds, 302 bits. **Security** and **Source** as [`sign`]: of `x + 2^bits` and of `2^bits - 1 - x`; an
    /// `x` for which one of them wraps around is beyond, and the wrapped one is negative.
    ///
    /// # Errors
    /// [`Error::Shape`] for more bits; as [`sign`]. Not cancel safe.
    pub async fn raise_beyond<M: Mode>(&mut self, ctx: &mut Ctx<M>, x: View<'_, Z64>, bits: u32) -> Result<(), Error> {
        crate::arith::bits::same("the bits of a range at most", 62, bits.max(62) as usize)?;
        self.raise_outside(ctx, x, [-(1 << bits), (1 << bits) - 1]).await
    }

    /// Raises a flag for each of `x` below the first or above the second limit, as 64-bit integers without exception.
    ///
    /// **Shape** `n` integers; limits from `-2^62` to `2^62`. **Cost**, **Security** and **Source** as [`raise_beyond`](Self::raise_beyond).
    ///
    /// # Errors
    /// [`Error::Shape`] for limits beyond; as [`sign`]. Not cancel safe.
    pub async fn raise_outside<M: Mode>(
        &mut self,
        ctx: &mut Ctx<M>,
        x: View<'_, Z64>,
        limits: [i64; 2],
    ) -> Result<(), Error> {
        self.raise(outside(ctx, x, limits).await?);
        Ok(())
    }

    /// Whether any flag is raised: one word, of which lane 0 is the bit and the others are zero.
    ///
    /// **Shape** one word. **Cost** `ceil(log2 w)` rounds and `w - 1` words for `w` words of flags, and 6 of one word. **Security** composition of products.
    /// **Source** as [`boolean::all`].
    ///
    /// # Errors
    /// As [`Ctx::mul`]. Not cancel safe.
    pub async fn any<M: Mode>(self, ctx: &mut Ctx<M>) -> Result<Shares<Lanes>, Error> {
        let all = Shares::concat(&self.raised.iter().map(Shares::view).collect::<Vec<_>>());
        any_of_each(ctx, &[all]).await
    }
}

/// A set lane for each integer below or above limits, which are from `-2^62` to `2^62`: a plane for either.
pub(crate) async fn outside<M: Mode>(
    ctx: &mut Ctx<M>,
    x: View<'_, Z64>,
    [low, high]: [i64; 2],
) -> Result<Shares<Lanes>, Error> {
    let most = low.unsigned_abs().max(high.unsigned_abs()).max(1 << 62);
    crate::arith::bits::same("the limit of a range at most", 1 << 62, usize::try_from(most).unwrap_or(usize::MAX))?;
    let (me, n) = (ctx.me(), x.len());
    let mut above = x.to_shares();
    above.add_public(me, &vec![Z64(low.wrapping_neg().cast_unsigned()); n])?;
    let below = Shares::public(me, &vec![Z64(high.cast_unsigned()); n]).view().minus(x)?;
    let padding = Shares::zeros(Lanes::words(n) * Lanes::COUNT - n);
    let both = Shares::concat(&[above.view(), padding.view(), below.view()]);
    sign(ctx, both.view()).await
}

/// Whether any lane of each vector is set: one word for each, of which lane 0 is the bit and the others are zero. Vectors are taken to be as long as the longest.
pub(crate) async fn any_of_each<M: Mode>(ctx: &mut Ctx<M>, vectors: &[Shares<Lanes>]) -> Result<Shares<Lanes>, Error> {
    let (me, count) = (ctx.me(), vectors.len());
    let longest = vectors.iter().map(Shares::len).max().unwrap_or(0);
    let all = Shares::concat(&vectors.iter().map(Shares::view).collect::<Vec<_>>());
    // The words of all vectors at one place after each other, each as a bit of a gate that is evaluated for every vector.
    let mut lowered = Shares::rearrange(all.view(), longest * count, |all, turned| {
        let mut from = 0;
        for (k, vector) in vectors.iter().enumerate() {
            for (place, &word) in all[from..from + vector.len()].iter().enumerate() {
                turned[place * count + k] = word;
            }
            from += vector.len();
        }
    });
    lowered.add_public(me, &vec![Lanes::ONES; longest * count])?;
    let mut word = boolean::all(&mut OnShares::new(ctx, count), &lowered).await?;
    for half in [32, 16, 8, 4, 2, 1] {
        let shift = |x: &[Lanes], out: &mut [Lanes]| x.iter().zip(out).for_each(|(x, out)| *out = Lanes(x.0 >> half));
        let shifted = Shares::rearrange(word.view(), count, shift);
        word = ctx.mul(word.view(), shifted.view()).await?;
    }
    word.add_public(me, &vec![Lanes(1); count])?;
    word.update(|x| x.iter_mut().for_each(|x| x.0 &= 1));
    Ok(word)
}

/// The exact cost of [`Flags::raise_beyond`].
pub fn beyond_cost() -> ElementCost {
    sign_cost().times(2)
}

/// The exact cost of [`Flags::any`] of so many words, as gates on one word.
pub const fn any_cost(words: usize) -> LaneCost {
    equal_cost(words).then(LaneCost { rounds: 6, bits: 6 })
}

impl<const F: u32> Fixed<F> {
    /// As [`mul`](Self::mul), and raises a flag for each factor that is not below `2^bits` as a number: its own bound each, of which the sum leaves
    /// room for the product (`2 F + bits[0] + bits[1] <= 60`).
    ///
    /// **Shape** as [`mul`](Self::mul). **Cost** that, and twice [`beyond_cost`]. **Security** and **Source** as both.
    ///
    /// # Errors
    /// [`Error::Shape`] if the bounds leave no room; as both. Not cancel safe.
    pub async fn mul_checked<M: Mode>(
        ctx: &mut Ctx<M>,
        flags: &mut Flags,
        x: View<'_, Z64>,
        y: View<'_, Z64>,
        bits: [u32; 2],
    ) -> Result<Shares<Z64>, Error> {
        let room = 60_u32.saturating_sub(2 * F) as usize;
        let due = bits[0].saturating_add(bits[1]) as usize;
        crate::arith::bits::same("the bits of two factors at most", room, room.max(due))?;
        flags.raise_beyond(ctx, x, F + bits[0]).await?;
        flags.raise_beyond(ctx, y, F + bits[1]).await?;
        Self::mul(ctx, x, y).await
    }
}
