//! The lines of all segments, read at a place in two halves.

// A kernel must be inlined into the function that enables the SIMD instructions, or it runs without them.
#![allow(clippy::inline_always)]

use super::table::{INTERCEPTS, SLOPES};
use trefoil_engine::prelude::*;

/// Fractional bits of an intercept.
pub(super) const INTERCEPT: u32 = 30;
/// Bits of a slope, which is at most a quarter.
pub(super) const SLOPE_BITS: u32 = 14;
/// Bits of half a place.
pub(super) const HALF: usize = 4;
/// Products of the bits of half a place.
pub(super) const PRODUCTS: usize = 1 << HALF;
/// Bits of an entry: an inverted intercept, and above it the slope.
pub(super) const WIDTH: usize = (INTERCEPT + SLOPE_BITS) as usize;

/// The bits of an entry from the products of the bits of either half of its place, the lower one first.
///
/// A bit of a table's entry is a polynomial over `F_2` in the bits of the place; a monomial of it is the product of one of the lower half and one of the higher half. So all
/// entries are one map of degree two, of which only the result is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines;

impl Quadratic<{ 2 * PRODUCTS }, WIDTH> for Lines {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 2 * PRODUCTS]) -> [Deg2<A>; WIDTH] {
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
        let mut entry = [Deg2::from(zero); WIDTH];
        for (bit, form) in entry.iter_mut().zip(&FORM) {
            for (&low, &high) in form.iter().zip(&x[PRODUCTS..]) {
                let low = usize::from(low);
                let sum = (sums[0][low & 15] + sums[1][low >> 4 & 15]) + (sums[2][low >> 8 & 15] + sums[3][low >> 12]);
                *bit = *bit + sum * high;
            }
        }
        entry
    }
}

/// For each bit of an entry and each product of the higher half, which products of the lower half it is multiplied by.
static FORM: [[u16; PRODUCTS]; WIDTH] = form();

/// The algebraic normal form (Zhegalkin, 1927) of the table.
const fn form() -> [[u16; PRODUCTS]; WIDTH] {
    let mut form = [0_u64; PRODUCTS * PRODUCTS];
    let mut j = 0;
    while j < form.len() {
        form[j] = (!INTERCEPTS[j] as u64) & ((1 << INTERCEPT) - 1) | (SLOPES[j] as u64) << INTERCEPT;
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
    let mut bits = [[0; PRODUCTS]; WIDTH];
    let mut k = 0;
    while k < WIDTH {
        let mut j = 0;
        while j < form.len() {
            bits[k][j / PRODUCTS] |= ((form[j] >> k & 1) as u16) << (j % PRODUCTS);
            j += 1;
        }
        k += 1;
    }
    bits
}
