//! The gates of this module, as maps of degree two.

// A kernel must be inlined into the function that enables the SIMD instructions, or it runs without them.
#![allow(clippy::inline_always)]

use trefoil_engine::prelude::*;

/// Over bits: whether two of three are set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Majority;
impl Quadratic<3, 1> for Majority {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [x, y, z]: [Deg1<A>; 3]) -> [Deg2<A>; 1] {
        [x * y + (x + y) * z]
    }
}

/// Over bits: `x OR y`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Or;
impl Quadratic<2, 1> for Or {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [x, y]: [Deg1<A>; 2]) -> [Deg2<A>; 1] {
        [x * y + (x + y).into()]
    }
}

/// Over integers: the exclusive or of two numbers that are 0 or 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Xor;
impl Quadratic<2, 1> for Xor {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [x, y]: [Deg1<A>; 2]) -> [Deg2<A>; 1] {
        [Deg2::from(x + y) - (x + x) * y]
    }
}

/// Over integers: the exclusive or of `x` and `y`, and `z d`.
#[derive(Clone, Copy, Debug)]
pub(super) struct XorAndProduct;
impl Quadratic<4, 2> for XorAndProduct {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [x, y, z, d]: [Deg1<A>; 4]) -> [Deg2<A>; 2] {
        let [xor] = Xor.eval([x, y]);
        [xor, z * d]
    }
}
