//! The Galois ring `GR(2^k, 64)` over the integers modulo `2^k`: polynomials modulo `f = x^64 + x^4 + x^3 + x + 1`, which is irreducible modulo two.
//!
//! A polynomial of degree `d` that is not zero vanishes at no more than `d` of the points with coefficients 0 and 1 (Boyle, Gilboa, Ishai, Nof, CCS 2019,
//! section 4.1), so the soundness error is that of `GF(2^64)`.

// The derivations for `Galois` repeat its bound.
#![allow(clippy::multiple_bound_locations)]
// Loops over coefficients are compiled for wider instructions in `simd`, where all they call must be inlined.
#![allow(clippy::inline_always)]

use super::{
    ext::{Ext, Gf64},
    last::Points,
};
use crate::{
    ring::Ring,
    simd::{blocks::Integer, integers},
};
use std::ops::{Add, Mul, Sub};

/// Coefficients of an element.
pub const DEGREE: usize = 64;

/// An element: coefficient `k` is that of `x^k`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Galois<R: Ring>(pub [R; DEGREE]);

impl<R: Ring> Default for Galois<R> {
    #[inline(always)]
    fn default() -> Self {
        Self([R::default(); DEGREE])
    }
}
impl<R: Ring> Add for Galois<R> {
    type Output = Self;
    #[inline(always)]
    fn add(mut self, o: Self) -> Self {
        for (a, b) in self.0.iter_mut().zip(o.0) {
            *a = *a + b;
        }
        self
    }
}
impl<R: Ring> Sub for Galois<R> {
    type Output = Self;
    #[inline(always)]
    fn sub(mut self, o: Self) -> Self {
        for (a, b) in self.0.iter_mut().zip(o.0) {
            *a = *a - b;
        }
        self
    }
}
impl<R: Integer> Mul for Galois<R> {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        integers::product(&self, &o)
    }
}

impl<R: Integer> Galois<R> {
    /// A multiple by an integer.
    #[cfg(test)]
    pub fn times(mut self, c: R) -> Self {
        for x in &mut self.0 {
            *x = *x * c;
        }
        self
    }

    /// The product by definition.
    #[cfg(test)]
    pub fn product_by_definition(self, o: Self) -> Self {
        let mut wide = [R::default(); 2 * DEGREE];
        for (k, a) in self.0.into_iter().enumerate() {
            for (sum, b) in wide[k..k + DEGREE].iter_mut().zip(o.0) {
                *sum = *sum + a * b;
            }
        }
        // x^64 = -(x^4 + x^3 + x + 1), from the top: the highest terms come down twice.
        for k in (DEGREE..2 * DEGREE).rev() {
            for down in [60, 61, 63, 64] {
                wide[k - down] = wide[k - down] - wide[k];
            }
        }
        let mut low = Self::default();
        low.0.copy_from_slice(&wide[..DEGREE]);
        low
    }
}

impl<R: Integer> Ext for Galois<R> {
    fn combined_products(a: [&[Self]; 2], b: [&[Self]; 2]) -> [Self; 27] {
        integers::combined_products(a, b)
    }

    fn fold(v: &[Self], eq: &[Self], out: &mut [Self]) {
        integers::fold(v, eq, out);
    }

    fn last_points() -> &'static Points<Self> {
        R::last_points()
    }

    fn point(coin: u64) -> Self {
        let mut point = Self::default();
        for (k, c) in point.0.iter_mut().enumerate() {
            *c = R::bit(coin >> k & 1 == 1);
        }
        point
    }

    /// The inverse in the residue field, lifted by Newton's iteration.
    fn inverse(self) -> Self {
        let mut residue = 0;
        for (k, c) in self.0.into_iter().enumerate() {
            residue |= u64::from(c.odd()) << k;
        }
        let two = Self::point(1) + Self::point(1);
        (0..6).fold(Self::point(Gf64(residue).inverse().0), |y, _| y * (two - self * y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Z16, Z32, Z64};
    use proptest::prelude::*;

    fn agrees<R: Integer>(a: &[u64], b: &[u64], of: impl Fn(u64) -> R) {
        let element = |x: &[u64]| Galois::<R>(std::array::from_fn(|k| of(x[k])));
        let (a, b) = (element(a), element(b));
        assert_eq!(a * b, a.product_by_definition(b));
    }

    proptest! {
        #[test]
        fn products_are_the_definition(a in proptest::collection::vec(any::<u64>(), DEGREE), b in proptest::collection::vec(any::<u64>(), DEGREE)) {
            agrees(&a, &b, |x| Z16(x as u16));
            agrees(&a, &b, |x| Z32(x as u32));
            agrees(&a, &b, Z64);
            let ones = vec![u64::MAX; DEGREE];
            agrees(&ones, &b, Z64);
            agrees(&ones, &ones, Z64);
        }
    }
}
