//! The gates of the sigmoid, as maps of degree two. Each round has, beside what is said first, a part of the product that tells whether `x` is inside of the table.

// A kernel must be inlined into the function that enables the SIMD instructions, or it runs without them.
#![allow(clippy::inline_always)]

use super::table::{INTERCEPTS, SLOPES};
use trefoil_engine::prelude::*;

/// Bits of an intercept, and of the result but for its highest one.
pub(super) const INTERCEPT: usize = 17;
/// Bits of a slope, which is at most a quarter.
pub(super) const SLOPE: usize = 9;
/// Bits of a place within a segment.
pub(super) const WITHIN: usize = 9;
/// Bits of half the number of a segment.
pub(super) const HALF: usize = 4;
/// Products of the bits of half the number of a segment.
pub(super) const PRODUCTS: usize = 1 << HALF;
/// Planes of which all must be set inside of the table, before the first round.
pub(super) const ABOVE: usize = 20;
/// Products of a bit of the slope and one of the place that are not below the last place of an intercept.
pub(super) const PARTIAL: usize = 60;
/// What the numbers of both bits of such a product sum to, at least.
pub(super) const LEAST: usize = 6;
/// Positions at which more is added than a bit of the intercept, or a carry.
pub(super) const COLUMNS: usize = 12;

/// Products of neighbours in the number of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pairs;

impl Quadratic<{ 2 * HALF + ABOVE }, { HALF + ABOVE / 2 }> for Pairs {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 2 * HALF + ABOVE]) -> [Deg2<A>; HALF + ABOVE / 2] {
        std::array::from_fn(|k| x[2 * k] * x[2 * k + 1])
    }
}

/// From the bits of both halves and [`Pairs`] their further products.
#[derive(Clone, Copy, Debug)]
pub(super) struct Groups;

impl Quadratic<{ 3 * HALF + ABOVE / 2 }, { 18 + ABOVE / 4 }> for Groups {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 3 * HALF + ABOVE / 2]) -> [Deg2<A>; 18 + ABOVE / 4] {
        std::array::from_fn(|k| {
            if k >= 18 {
                let at = 3 * HALF + 2 * (k - 18);
                return x[at] * x[at + 1];
            }
            let (half, k) = (k / 9, k % 9);
            // Two bits and their product.
            let low = [x[4 * half], x[4 * half + 1], x[8 + 2 * half]];
            let high = [x[4 * half + 2], x[4 * half + 3], x[9 + 2 * half]];
            low[k % 3] * high[k / 3]
        })
    }
}

/// The bits of a line from the products of the bits of either half of its number, the lower one first: intercept, then slope.
///
/// A bit of a table's entry is a polynomial over `F_2` in the bits of the number; a monomial of it is the product of one of the lower half and one of the higher half. So all
/// entries are one map of degree two, of which only the result is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines;

impl Quadratic<{ 2 * PRODUCTS + 4 }, { INTERCEPT + SLOPE + 2 }> for Lines {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 2 * PRODUCTS + 4]) -> [Deg2<A>; INTERCEPT + SLOPE + 2] {
        // There is no other way to a zero here.
        #[allow(clippy::eq_op)]
        let zero = x[0] - x[0];
        // All sums of four neighbours, so that each sum of lower products takes four of them.
        let mut sums = [[zero; 16]; PRODUCTS / 4];
        for (k, sums) in sums.iter_mut().enumerate() {
            for set in 1..16_usize {
                sums[set] = sums[set & (set - 1)] + x[4 * k + set.trailing_zeros() as usize];
            }
        }
        let mut entry = [Deg2::from(zero); INTERCEPT + SLOPE + 2];
        for (bit, form) in entry.iter_mut().zip(&FORM) {
            for (&low, &high) in form.iter().zip(&x[PRODUCTS..2 * PRODUCTS]) {
                let low = usize::from(low);
                let sum = (sums[0][low & 15] + sums[1][low >> 4 & 15]) + (sums[2][low >> 8 & 15] + sums[3][low >> 12]);
                *bit = *bit + sum * high;
            }
        }
        let above = &x[2 * PRODUCTS..];
        entry[INTERCEPT + SLOPE] = above[0] * above[1];
        entry[INTERCEPT + SLOPE + 1] = above[2] * above[3];
        entry
    }
}

/// For each bit of a line and each product of the higher half, which products of the lower half it is multiplied by.
static FORM: [[u16; PRODUCTS]; INTERCEPT + SLOPE] = form();

/// The algebraic normal form (Zhegalkin, 1927) of the table.
const fn form() -> [[u16; PRODUCTS]; INTERCEPT + SLOPE] {
    let mut form = [0_u32; PRODUCTS * PRODUCTS];
    let mut j = 0;
    while j < form.len() {
        form[j] = INTERCEPTS[j] | (SLOPES[j] as u32) << INTERCEPT;
        j += 1;
    }
    let mut step = 1;
    while step < form.len() {
        let mut j = 0;
        while j < form.len() {
            if j & step != 0 {
                form[j] ^= form[j ^ step];
            }
            j += 1;
        }
        step *= 2;
    }
    let mut bits = [[0; PRODUCTS]; INTERCEPT + SLOPE];
    let mut k = 0;
    while k < bits.len() {
        let mut j = 0;
        while j < form.len() {
            bits[k][j / PRODUCTS] |= ((form[j] >> k & 1) as u16) << (j % PRODUCTS);
            j += 1;
        }
        k += 1;
    }
    bits
}

/// The products of the bits of a slope and a place, position after position; of what is left of the product `a b`, of `a`, `b`, `c` and the sign, `a b` and the sign times `c`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partial;

impl Quadratic<{ WITHIN + SLOPE + 4 }, { PARTIAL + 2 }> for Partial {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; WITHIN + SLOPE + 4]) -> [Deg2<A>; PARTIAL + 2] {
        let (place, slope, rest) = (&x[..WITHIN], &x[WITHIN..WITHIN + SLOPE], &x[WITHIN + SLOPE..]);
        let mut out = [rest[0] * rest[1]; PARTIAL + 2];
        let mut at = 0;
        for sum in LEAST..WITHIN + SLOPE - 1 {
            for (k, &bit) in place.iter().enumerate() {
                if k <= sum && sum - k < SLOPE {
                    out[at] = bit * slope[sum - k];
                    at += 1;
                }
            }
        }
        out[PARTIAL + 1] = rest[3] * rest[2];
        out
    }
}

/// Whether `x` is inside of the table, and that and its sign: of `a b`, `c` and the sign times `c`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inside;

impl Quadratic<3, 2> for Inside {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [ab, c, sign_c]: [Deg1<A>; 3]) -> [Deg2<A>; 2] {
        [ab * c, ab * sign_c]
    }
}

/// Zeros outside of the table, and inside, which is the last input, the other bits inverted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saturate;

impl Quadratic<{ INTERCEPT + 1 }, INTERCEPT> for Saturate {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; INTERCEPT + 1]) -> [Deg2<A>; INTERCEPT] {
        let inside = x[INTERCEPT];
        std::array::from_fn(|k| x[k] * inside + inside.into())
    }
}

/// Partial products at the positions from 0 on.
pub(super) const PARTIAL_AT: [usize; COLUMNS] = [7, 8, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];

/// How many carries each round makes of what is at each position: with the fewest that leave two bits of each, in three rounds.
const CARRIES: [[usize; COLUMNS]; 3] =
    [[0, 2, 4, 4, 4, 3, 2, 1, 0, 0, 0, 0], [2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]];

/// How many bits are at each position before a round.
const fn heights(round: usize) -> [usize; COLUMNS] {
    let mut heights = PARTIAL_AT;
    let mut k = 0;
    while k < COLUMNS {
        // The intercept's.
        heights[k] += 1;
        k += 1;
    }
    let mut done = 0;
    while done < round {
        let mut k = COLUMNS;
        while k > 0 {
            k -= 1;
            heights[k] = left(heights[k], CARRIES[done][k]);
            if k > 0 {
                heights[k] += CARRIES[done][k - 1];
            }
        }
        done += 1;
    }
    heights
}

/// Bits left of so many by a chain of adders with so many carries, of which the first adds two bits if there is no other way.
const fn left(height: usize, carries: usize) -> usize {
    if 2 * carries < height { height - 2 * carries } else { 1 }
}

const fn total(of: [usize; COLUMNS]) -> usize {
    let (mut sum, mut k) = (0, 0);
    while k < COLUMNS {
        sum += of[k];
        k += 1;
    }
    sum
}

/// Bits before each round of [`Carries`].
pub(super) const BITS: [usize; 3] = [total(heights(0)), total(heights(1)), total(heights(2))];
/// Carries of each round of [`Carries`].
pub(super) const GATES: [usize; 3] = [total(CARRIES[0]), total(CARRIES[1]), total(CARRIES[2])];

/// The carries of the chains of adders of a round, position after position; in the first round, also the last product that tells what is inside.
///
/// The running sum of a chain is linear, so all its carries are one map of degree two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carries<const ROUND: usize>;

/// The sums of the chains of a round, for each position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums<const ROUND: usize>;

macro_rules! rounds {
    ($($round:literal + $beside:literal),*) => {$(
        impl Quadratic<{ BITS[$round] + 2 * $beside }, { GATES[$round] + $beside }> for Carries<$round> {
            #[inline(always)]
            fn eval<A: Algebra>(
                &self,
                x: [Deg1<A>; BITS[$round] + 2 * $beside],
            ) -> [Deg2<A>; GATES[$round] + $beside] {
                let mut out = [Deg2::from(x[0]); GATES[$round] + $beside];
                let mut next = 0;
                chains(&x, $round, |_, _, carry| {
                    if let Some(carry) = carry {
                        out[next] = carry;
                        next += 1;
                    }
                });
                if let [.., a, b] = x && $beside == 1 {
                    out[next] = a * b;
                }
                out
            }
        }

        impl Linear<{ BITS[$round] }, COLUMNS> for Sums<$round> {
            #[inline(always)]
            fn eval<A: Algebra>(&self, x: [Deg1<A>; BITS[$round]]) -> [Deg1<A>; COLUMNS] {
                let mut out = [x[0]; COLUMNS];
                chains(&x, $round, |position, sum, _| out[position] = sum);
                out
            }
        }
    )*};
}
rounds!(0 + 1, 1 + 0, 2 + 0);

/// Tells of each step of each chain its position, the sum after it and its carry.
#[inline(always)]
fn chains<A: Algebra>(x: &[Deg1<A>], round: usize, mut tell: impl FnMut(usize, Deg1<A>, Option<Deg2<A>>)) {
    let mut at = 0;
    for (position, (height, carries)) in heights(round).into_iter().zip(CARRIES[round]).enumerate() {
        let bits = &x[at..at + height];
        at += height;
        let (mut sum, mut used) = (bits[0], 1);
        tell(position, sum, None);
        for _ in 0..carries {
            if used == 1 && 2 * carries == height {
                tell(position, sum + bits[1], Some(sum * bits[1]));
                (sum, used) = (sum + bits[1], 2);
                continue;
            }
            let (a, b) = (sum + bits[used], sum + bits[used + 1]);
            let carry = a * b + sum.into();
            sum = a + bits[used + 1];
            used += 2;
            tell(position, sum, Some(carry));
        }
    }
}

/// What is at each position after a round: the sum of its chain and what is not in it, then the carries from below.
pub(super) fn after<T: Copy>(round: usize, before: &[T], sums: &[T], carries: &[T]) -> Vec<Vec<T>> {
    let (mut at, mut from) = (0, 0);
    let mut columns = vec![Vec::new(); COLUMNS];
    for (position, (height, made)) in heights(round).into_iter().zip(CARRIES[round]).enumerate() {
        let left = left(height, made);
        columns[position].insert(0, sums[position]);
        columns[position].splice(1..1, before[at + height - (left - 1)..at + height].iter().copied());
        if let Some(above) = columns.get_mut(position + 1) {
            above.extend_from_slice(&carries[from..from + made]);
        }
        (at, from) = (at + height, from + made);
    }
    columns
}
