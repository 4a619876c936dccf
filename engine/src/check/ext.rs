//! Where a claim about products is folded: a ring with `2^64` points any two of which differ by a unit.
//!
//! For bits that is the field `GF(2^64)`, for integers modulo `2^k` its lift, the [Galois ring](super::galois).

// A product in the field is carry-less, its sum an XOR.
#![allow(clippy::suspicious_arithmetic_impl)]
// The loops are compiled for wider instructions in `simd`, where all they call must be inlined.
#![allow(clippy::inline_always)]

use super::last::Points;
use crate::simd::clmul;
use bytemuck::Pod;
use std::{
    fmt::Debug,
    ops::{Add, Mul, Sub},
    sync::LazyLock,
};

/// A ring element of a claim.
pub trait Ext:
    Pod + Default + Eq + Debug + Send + Sync + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + 'static
{
    /// The point whose coefficients are the bits of `coin`. Differences of distinct points are units.
    fn point(coin: u64) -> Self;
    /// The inverse of a unit.
    fn inverse(self) -> Self;

    /// The products of a level: for each of the 27 combinations of [`super::grid`], the sum over `j` of the combined elements of
    /// `a[0] + a[1]` and `b[0] + b[1]`, all vectors of 8 parts of one length.
    fn combined_products(a: [&[Self]; 2], b: [&[Self]; 2]) -> [Self; 27] {
        combined_products_scalar(a, b)
    }

    /// Folds as many parts of `v` as there are weights into one, the first of `out`: the sum of `eq[u]` times part `u`.
    fn fold(v: &[Self], eq: &[Self], out: &mut [Self]) {
        fold_scalar(v, eq, out);
    }

    /// The sum of some products.
    fn sum_of_products(a: &[Self], b: &[Self]) -> Self {
        let mut sum = [Self::default()];
        Self::fold(a, b, &mut sum);
        sum[0]
    }

    /// What the last level needs of its points, which are always the same.
    fn last_points() -> &'static Points<Self>;
}

#[inline(always)]
pub(crate) fn combine_scalar<E: Ext>(terms: &[(E, &[E])], weights: &[E], out: &mut [E]) {
    for (j, (out, &w)) in out.iter_mut().zip(weights).enumerate() {
        *out = w * terms.iter().fold(E::default(), |sum, (c, v)| sum + *c * v[j]);
    }
}

#[inline(always)]
pub(crate) fn combined_products_scalar<E: Ext, const N: usize>(a: [&[E]; N], b: [&[E]; N]) -> [E; 27] {
    let part = a[0].len() / 8;
    let mut sums = [E::default(); 27];
    for j in 0..part {
        let sum = |v: [&[E]; N], at: usize| v.iter().fold(E::default(), |sum, v| sum + v[at]);
        let column = |v| super::grid::extend::<E, 8, 27>(&std::array::from_fn(|u| sum(v, u * part + j)));
        for ((sum, a), b) in sums.iter_mut().zip(column(a)).zip(column(b)) {
            *sum = *sum + a * b;
        }
    }
    sums
}

#[inline(always)]
pub(crate) fn fold_scalar<E: Ext>(v: &[E], eq: &[E], out: &mut [E]) {
    let part = v.len() / eq.len();
    for (j, out) in out.iter_mut().enumerate().take(part) {
        *out = eq.iter().enumerate().fold(E::default(), |sum, (u, &eq)| sum + eq * v[u * part + j]);
    }
}

/// The field `GF(2^64)` modulo `x^64 + x^4 + x^3 + x + 1`; bit `k` is the coefficient of `x^k`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Gf64(pub u64);

impl Gf64 {
    /// A polynomial of degree below 127, reduced.
    pub(crate) fn reduce(p: u128) -> Self {
        let (hi, lo) = ((p >> 64) as u64, p as u64);
        let h = hi ^ (hi >> 63) ^ (hi >> 61) ^ (hi >> 60);
        Self(lo ^ h ^ (h << 1) ^ (h << 3) ^ (h << 4))
    }
}

impl Add for Gf64 {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self(self.0 ^ o.0)
    }
}
impl Sub for Gf64 {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self(self.0 ^ o.0)
    }
}
impl Mul for Gf64 {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Self::reduce(clmul::product(self.0, o.0))
    }
}

impl Ext for Gf64 {
    fn point(coin: u64) -> Self {
        Self(coin)
    }

    /// By Fermat: the power `2^64 - 2`.
    fn inverse(self) -> Self {
        let mut power = self;
        (0..63).fold(Self(1), |product, _| {
            power = power * power;
            product * power
        })
    }

    fn combined_products(a: [&[Self]; 2], b: [&[Self]; 2]) -> [Self; 27] {
        clmul::combined_products(a, b)
    }

    fn fold(v: &[Self], eq: &[Self], out: &mut [Self]) {
        match eq.try_into() {
            Ok(eq) => clmul::fold(v, eq, out),
            Err(_) => fold_scalar(v, eq, out),
        }
    }

    fn last_points() -> &'static Points<Self> {
        static POINTS: LazyLock<Points<Gf64>> = LazyLock::new(Points::new);
        &POINTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::galois::Galois,
        ring::{Z16, Z64},
    };
    use proptest::prelude::*;

    #[test]
    fn the_polynomial_is_irreducible() {
        // x^(2^64) = x, and x^(2^32) - x is a unit: no factor of a degree that divides 64 (Rabin's test).
        let x = Gf64(2);
        let frobenius = |n| (0..n).fold(x, |y, _| y * y);
        assert_eq!(frobenius(64), x);
        let d = frobenius(32) - x;
        assert_eq!(d * d.inverse(), Gf64(1));
    }

    fn laws<E: Ext>(a: E, b: E, c: E) {
        assert_eq!(a * b, b * a);
        assert_eq!((a * b) * c, a * (b * c));
        assert_eq!(a * (b + c), a * b + a * c);
        assert_eq!(a - b + b, a);
        assert_eq!(a * E::point(1), a);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_are_rings_in_which_points_differ_by_units(a: u64, b: u64, c: u64) {
            laws(Gf64(a), Gf64(b), Gf64(c));
            let mixed = |x: u64| Galois(std::array::from_fn(|k| Z64(x.rotate_left(k as u32).wrapping_mul(0x9e37_79b9_7f4a_7c15))));
            laws(mixed(a), mixed(b), mixed(c));
            prop_assume!(a != b);
            prop_assert_eq!((Gf64(a) - Gf64(b)) * (Gf64(a) - Gf64(b)).inverse(), Gf64(1));
            let d = Galois::<Z64>::point(a) - Galois::point(b);
            prop_assert_eq!(d * d.inverse(), Galois::point(1));
            let d = Galois::<Z16>::point(a) - Galois::point(b);
            prop_assert_eq!(d * d.inverse(), Galois::point(1));
        }
    }
}
