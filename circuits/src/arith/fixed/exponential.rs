//! Exponential and logarithm.

use super::{
    Fixed,
    lookup::{lookup, products as bit_products, products_cost as bit_products_cost},
    normal::{
        DOWN, Q, Weights, integers, line, normalize, normalize_cost, normalized, power, products, products_cost, up,
        weight_of,
    },
    reference::round_shift as rounded,
    round_shift, shift_cost,
};
use crate::arith::{ElementCost, a2b, a2b_cost, b2a_cost, bits::scaled, clamp, clamp_cost};
use trefoil_engine::prelude::*;

/// `log2(e)` in 30 fractional bits.
const LOG2_E: i64 = 1_549_082_005;
/// Fractional bits of `x log2(e)`: 6 for a table, the lower ones for a polynomial.
const FRACTION: u32 = 26;
const TABLE: u32 = 6;
/// `2^t` for `0 <= t < 1/64`: 1, in 58 bits, and the coefficients of `t` and `t^2` as they come with 26 and 30 fractional bits. Within `7e-9`.
const SMALL: [i64; 3] = [288_230_378_067_879_744, 2_977_011_596, 64_835_619];
/// Fractional bits of the table's entries `2^(j / 64)`, and of the polynomial.
const ENTRY: u32 = 29;
const POLYNOMIAL: u32 = 30;

/// `ln(3/4 + z/4)` for `-1 <= z <= 1` in 26 fractional bits, by powers of `z`: Chebyshev interpolation, within `3.5e-8`.
const LN: [i64; 9] = [-19_306_017, 22_369_605, -3_728_256, 828_725, -207_239, 54_457, -15_035, 5_371, -1_613];
const LN_BITS: u32 = 26;

impl<const F: u32> Fixed<F> {
    /// The largest argument of [`exp`](Self::exp), and the least one that it tells from smaller ones.
    pub const EXP_RANGE: [i64; 2] = [-22, 11];

    /// Fractional bits of `2^fraction`, so that its product with the power of two has room; that power has `F + 1`.
    const EXP_FINE: u32 = if 44 - F < 28 { 44 - F } else { 28 };

    /// `exp(x)`.
    ///
    /// `x log2(e)` is split into bits: the integer part, and six bits of the fraction, are places in tables of powers of two, the rest is the argument of a polynomial of degree two.
    ///
    /// **Shape** `n` numbers to `n`; `x` at most 11, beyond which the result is `exp(11)`; `x` below -22 counts as -22. `F` from 8 to 22. **Cost** [`exp_cost`](Self::exp_cost): 72 rounds,
    /// 4,140 bits for 20 fractional bits. Error: at most `2^-(FINE - 1) exp(x) + 2^-F`, with `FINE` the smaller of 24 and `44 - F`. Failure probability: none.
    /// **Security** composition of [`clamp`], [`a2b`], products, [`b2a`](crate::arith::b2a) and truncations. **Source** Aly and Smart (ACNS 2019), with tables.
    ///
    /// # Errors
    /// As [`Ctx::quadratic`]. Not cancel safe.
    pub async fn exp<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        const { assert!(F >= 8 && F <= 22, "exponentials take from 8 to 22 fractional bits") };
        let (me, n, words) = (ctx.me(), x.len(), Lanes::words(x.len()));
        if n == 0 {
            return Ok(Shares::zeros(0));
        }
        let [low, high] = Self::EXP_RANGE.map(|end| end << F);
        let x = clamp(ctx, x, low, high).await?;
        let scaled_up = scaled(x.view(), Z64(LOG2_E.cast_unsigned()));
        let mut u = round_shift(ctx, scaled_up.view(), F + 30 - FRACTION).await?;
        // From 0 to 64, so that the integer part has six bits and no sign.
        u.add_public(me, &vec![Z64(32 << FRACTION); n])?;
        let bits = a2b(ctx, u.view()).await?;
        let (rest, six) = (FRACTION - TABLE, TABLE as usize);
        let mut places = Vec::with_capacity(2 * six);
        for bit in 0..six {
            for from in [rest, FRACTION] {
                places.push(bits.view().slice((from as usize + bit) * words, words)?);
            }
        }
        let none = Shares::public(me, &vec![Lanes::ONES; 2 * words]);
        let [both, _] = bit_products(ctx, 2 * words, Shares::concat(&places).view(), none).await?;
        let of = |side: usize| {
            Shares::rearrange(both.view(), words << TABLE, |x, out| {
                for (x, out) in x.chunks_exact(2 * words).zip(out.chunks_exact_mut(words)) {
                    out.copy_from_slice(&x[side * words..][..words]);
                }
            })
        };
        let entry = lookup(of(0).view(), words, &entries(), ENTRY as usize + 1);
        let power = lookup(of(1).view(), words, &powers::<F>(), 64);
        let all = [bits.view().slice(0, rest as usize * words)?, entry.view(), power.view()];
        let mut all = integers(ctx, n, &all).await?.into_iter();
        let [t, entry, power] = [(); 3].map(|()| all.next().unwrap_or_else(|| Shares::zeros(n)));

        let [t2] = products(ctx, [[t.view(), t.view()]], 2 * FRACTION - 30).await?;
        let mut small = line(me, SMALL[0], t.view(), SMALL[1])?;
        small.add_assign(scaled(t2.view(), Z64(SMALL[2].cast_unsigned())).view())?;
        let small = round_shift(ctx, small.view(), 58 - POLYNOMIAL).await?;
        let [fraction] = products(ctx, [[entry.view(), small.view()]], ENTRY + POLYNOMIAL - Self::EXP_FINE).await?;
        let [y] = products(ctx, [[fraction.view(), power.view()]], Self::EXP_FINE + 1).await?;
        Ok(y)
    }

    /// The exact cost of [`exp`](Self::exp).
    pub fn exp_cost() -> ElementCost {
        clamp_cost()
            .then(shift_cost(F + 30 - FRACTION))
            .then(a2b_cost())
            .then(ElementCost::lanes(bit_products_cost(TABLE as usize, 1)).times(2))
            .then(b2a_cost().times(3))
            .then(products_cost(1, 2 * FRACTION - 30))
            .then(shift_cost(58 - POLYNOMIAL))
            .then(products_cost(1, ENTRY + POLYNOMIAL - Self::EXP_FINE))
            .then(products_cost(1, Self::EXP_FINE + 1))
    }

    /// The twin of [`exp`](Self::exp) on a plain number.
    pub fn plain_exp(x: i64) -> i64 {
        let [low, high] = Self::EXP_RANGE.map(|end| end << F);
        let u = rounded(x.clamp(low, high) * LOG2_E, F + 30 - FRACTION) + (32 << FRACTION);
        let place = |from: u32| (u >> from & ((1 << TABLE) - 1)).cast_unsigned() as usize;
        let t = u & ((1 << (FRACTION - TABLE)) - 1);
        let t2 = rounded(t * t, 2 * FRACTION - 30);
        let small = rounded(SMALL[0] + SMALL[1] * t + SMALL[2] * t2, 58 - POLYNOMIAL);
        let fraction =
            rounded(entries()[place(FRACTION - TABLE)].cast_signed() * small, ENTRY + POLYNOMIAL - Self::EXP_FINE);
        rounded(fraction * powers::<F>()[place(FRACTION)].cast_signed(), Self::EXP_FINE + 1)
    }

    /// The natural logarithm.
    ///
    /// `x` is scaled to be between `1/2` and 1 by a power of two; its logarithm is a polynomial of degree eight, that of the power is read from a table at the place of
    /// the highest bit of `x`.
    ///
    /// **Shape** `n` numbers to `n`; `0 < x < 2^(61 - F)`, `F` from 8 to 24. What is zero or negative gives no meaningful number. **Cost** [`ln_cost`](Self::ln_cost): 67 rounds,
    /// 5,150 bits for 20 fractional bits. Error: at most `2^-23 + 2^-(F + 1)`. Failure probability: none.
    /// **Security** composition of gates, [`b2a`](crate::arith::b2a) and truncations. **Source** Aly and Smart (ACNS 2019), with a table.
    ///
    /// # Errors
    /// As [`Ctx::quadratic`]. Not cancel safe.
    pub async fn ln<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        const { assert!(F >= 8 && F <= 24, "logarithms take from 8 to 24 fractional bits") };
        if x.is_empty() {
            return Ok(Shares::zeros(0));
        }
        let (m, of_power) = normalize(ctx, x, (&up(), DOWN), &[&logarithms::<F>()]).await?;
        let z = line(ctx.me(), -3 << Q, m.view(), 4)?;
        let z = z.view();
        let [z2] = products(ctx, [[z, z]], Q).await?;
        let z2 = z2.view();
        let [z3, z4] = products(ctx, [[z2, z], [z2, z2]], Q).await?;
        let (z3, z4) = (z3.view(), z4.view());
        let [z5, z6, z7, z8] = products(ctx, [[z4, z], [z4, z2], [z4, z3], [z4, z4]], Q).await?;
        let mut sum = scaled(of_power[0].view(), Z64(1 << LN_BITS));
        sum.add_public(ctx.me(), &vec![Z64((LN[0] << Q).cast_unsigned()); x.len()])?;
        for (z, c) in [z, z2, z3, z4, z5.view(), z6.view(), z7.view(), z8.view()].into_iter().zip(&LN[1..]) {
            sum.add_assign(scaled(z, Z64(c.cast_unsigned())).view())?;
        }
        round_shift(ctx, sum.view(), Q + LN_BITS - F).await
    }

    /// The exact cost of [`ln`](Self::ln).
    pub fn ln_cost() -> ElementCost {
        normalize_cost(DOWN, 1)
            .then(products_cost(1, Q))
            .then(products_cost(2, Q))
            .then(products_cost(4, Q))
            .then(shift_cost(Q + LN_BITS - F))
    }

    /// The twin of [`ln`](Self::ln) on a plain number.
    pub fn plain_ln(x: i64) -> i64 {
        let z = 4 * normalized(x, &up(), DOWN) - (3 << Q);
        let z2 = rounded(z * z, Q);
        let (z3, z4) = (rounded(z2 * z, Q), rounded(z2 * z2, Q));
        let upper = [z, z2, z3, z4].map(|low| rounded(z4 * low, Q));
        let powers = [z, z2, z3, z4].into_iter().chain(upper);
        let polynomial = powers.zip(&LN[1..]).map(|(z, c)| z * c).sum::<i64>() + (LN[0] << Q);
        rounded(polynomial + (weight_of(x, &logarithms::<F>()) << LN_BITS), Q + LN_BITS - F)
    }
}

/// `2^(j / 64)`.
fn entries() -> Vec<u64> {
    ROOTS.iter().map(|&root| u64::from(root)).collect()
}

/// `2^(j - 32)` with `F + 1` fractional bits, as far as it can be an exponential.
fn powers<const F: u32>() -> Vec<u64> {
    (0..1 << TABLE).map(|j: i64| if j < 48 { power(j - 32 + i64::from(F) + 1) } else { 0 }).collect()
}

/// `2^(j / 64)` in 29 fractional bits.
#[rustfmt::skip]
const ROOTS: [u32; 1 << TABLE] = [
    536_870_912, 542_717_053, 548_626_854, 554_601_009, 560_640_218, 566_745_190, 572_916_640, 579_155_293,
    585_461_881, 591_837_143, 598_281_827, 604_796_689, 611_382_493, 618_040_012, 624_770_026, 631_573_326,
    638_450_708, 645_402_981, 652_430_958, 659_535_466, 666_717_336, 673_977_412, 681_316_545, 688_735_596,
    696_235_434, 703_816_941, 711_481_005, 719_228_525, 727_060_411, 734_977_579, 742_980_960, 751_071_493,
    759_250_125, 767_517_817, 775_875_538, 784_324_269, 792_865_000, 801_498_734, 810_226_483, 819_049_271,
    827_968_132, 836_984_114, 846_098_274, 855_311_680, 864_625_413, 874_040_567, 883_558_244, 893_179_563,
    902_905_651, 912_737_649, 922_676_710, 932_724_001, 942_880_699, 953_147_997, 963_527_098, 974_019_220,
    984_625_594, 995_347_464, 1_006_186_087, 1_017_142_735, 1_028_218_693, 1_039_415_261, 1_050_733_751, 1_062_175_491,
];

/// `ln 2` in 60 fractional bits.
const LN_2: i128 = 799_144_290_325_165_979;

/// The logarithm of what a number with that highest bit is above its normalized one, in `Q` fractional bits and two's complement.
fn logarithms<const F: u32>() -> Weights {
    std::array::from_fn(|i| {
        let exact = (i as i128 + 1 - i128::from(F)) * LN_2;
        (((exact >> (59 - Q)) + 1) >> 1).cast_unsigned() as u64
    })
}
