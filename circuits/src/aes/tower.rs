//! The AES S-box through the tower field `GF(((2^2)^2)^2)`, as quadratic gates.
//!
//! Bases (Canright, CHES 2005, "A very compact S-box for AES"): normal bases `[W^2, W]`, `[Z^4, Z]`, `[Y^16, Y]` with trace one,
//! where `W = 0xbc`, `Z = 0x5c`, `Y = 0xfe` in the AES representation. Coordinates go from the high to the low
//! basis element: index `4y + 2z + w`, index 0 being `Y^16 Z^4 W^2`. Bits of an AES byte go from the low to the high one.
//!
//! With `x = a1 Y^16 + a0 Y` and the norm `n = a1 a0 + nu (a1 + a0)^2`, the inverse is `(n^-1 a0) Y^16 + (n^-1 a1) Y`.
//! The inverse in `GF(16)` has degree three, one too many for a gate. Two ways round:
//!
//! * [`Norm4`], [`Inverse16By4`]: the norm to `GF(4)`, whose inverse is linear: 2 bits, then 4. S-box: 4 + 2 + 4 + 8 = **18 bits**.
//! * [`Bent`], [`Inverse16ByBent`]: one bit. For a bent quadratic form `t` on four bits, the cubic parts of `l t`, `l` linear, are
//!   all cubic forms in four variables (a map of four dimensions onto four), so *every* map of four bits of degree three is
//!   `l_j t + q_j` with quadratic `q_j`: given `t`, it is one gate. S-box: 4 + 1 + 4 + 8 = **17 bits**.
// A kernel must be inlined into the function that enables the SIMD instructions, or it runs without them.
#![allow(clippy::inline_always)]

use std::ops::Add;
use trefoil_engine::prelude::*;

/// An AES byte to tower coordinates.
#[inline(always)]
fn to_tower<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
    let t8 = x[0] + x[6];
    let t9 = x[5] + t8;
    let t10 = x[1] + x[2];
    let t11 = x[7] + t9;
    let t12 = x[0] + x[1];
    let t14 = x[3] + x[4];
    let t17 = x[7] + t12;
    [x[0], t14 + t17, t10 + (x[3] + t8), t9, x[4] + t9, t10 + t11, t11, x[1] + t9]
}

/// Tower coordinates to an AES byte, followed by the linear part of the S-box's affine map.
#[inline(always)]
fn to_sbox<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
    let t8 = x[1] + x[7];
    let t9 = x[2] + x[4];
    let t10 = x[3] + x[6];
    let t11 = x[5] + t8;
    let t12 = x[0] + t8;
    let t14 = x[4] + x[6];
    [x[4] + t10, x[7] + t10, t9 + t12, t11 + t14, t11, t9, x[1] + x[5], t8]
}

/// The linear part of the inverse of the S-box's affine map, then to tower coordinates.
#[inline(always)]
fn from_sbox<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
    let t8 = x[4] + x[6];
    let t9 = x[0] + x[1];
    let t10 = t8 + t9;
    let t11 = x[0] + x[3];
    let t12 = x[2] + x[5];
    let t13 = x[3] + x[6];
    [x[7] + t12, x[7] + t8, x[5] + t10, x[4] + t11, t10, x[4] + x[7], t9 + t13, t8]
}

/// Tower coordinates to an AES byte.
#[inline(always)]
fn to_byte<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
    let t8 = x[3] + x[7];
    let t9 = x[1] + x[4];
    let t10 = x[0] + t9;
    let t11 = x[2] + x[5];
    let t12 = x[6] + t8;
    let t17 = t8 + t9;
    let t16 = x[7] + t10;
    [x[0], t8, x[5] + t12, t10 + t12, x[3] + x[4], t11 + t16, t11 + t17, x[3] + x[6]]
}

/// Which way through the S-box. A type, so that each way has kernels of its own.
pub(super) trait Way: Copy + Default + Send + Sync + 'static {
    /// The linear map before the inversion.
    fn enter<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8];
    /// The linear map after it.
    fn leave<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8];
    /// Whether this is the inverse.
    const INVERSE: bool;
}

/// `SubBytes`, without the constant 0x63.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forward;
impl Way for Forward {
    #[inline(always)]
    fn enter<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
        to_tower(x)
    }
    #[inline(always)]
    fn leave<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
        to_sbox(x)
    }
    const INVERSE: bool = false;
}

/// `InvSubBytes`, of an input from which 0x63 has been taken away.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inverse;
impl Way for Inverse {
    #[inline(always)]
    fn enter<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
        from_sbox(x)
    }
    #[inline(always)]
    fn leave<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
        to_byte(x)
    }
    const INVERSE: bool = true;
}

/// A product in `GF(4)`.
#[inline(always)]
fn mul4<A: Algebra>(x: [Deg1<A>; 2], y: [Deg1<A>; 2]) -> [Deg2<A>; 2] {
    let e = (x[0] + x[1]) * (y[0] + y[1]);
    [x[0] * y[0] + e, x[1] * y[1] + e]
}

/// A product in `GF(16)`; the constant `Z^5` is `W`.
#[inline(always)]
fn mul16<A: Algebra>(x: [Deg1<A>; 4], y: [Deg1<A>; 4]) -> [Deg2<A>; 4] {
    let e = mul4([x[0] + x[2], x[1] + x[3]], [y[0] + y[2], y[1] + y[3]]);
    let we = [e[0] + e[1], e[0]];
    let (hi, lo) = (mul4([x[0], x[1]], [y[0], y[1]]), mul4([x[2], x[3]], [y[2], y[3]]));
    [hi[0] + we[0], hi[1] + we[1], lo[0] + we[0], lo[1] + we[1]]
}

#[inline(always)]
fn halves<T: Copy>(x: [T; 8]) -> [[T; 4]; 2] {
    [[x[0], x[1], x[2], x[3]], [x[4], x[5], x[6], x[7]]]
}

/// What bytes are written in on their way through an S-box layer.
pub(super) trait Basis: Copy + Send + Sync + 'static {
    fn enter<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8];
    fn leave<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8];
}

/// The bits of the byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes;
impl Basis for Bytes {
    #[inline(always)]
    fn enter<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
        x
    }
    #[inline(always)]
    fn leave<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
        x
    }
}

/// Tower coordinates; the S-box's affine map, or its inverse, is part of the change of basis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tower<W>(pub(super) W);
impl<W: Way> Basis for Tower<W> {
    #[inline(always)]
    fn enter<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
        W::enter(x)
    }
    #[inline(always)]
    fn leave<T: Copy + Add<Output = T>>(x: [T; 8]) -> [T; 8] {
        W::leave(x)
    }
}

/// Into a basis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enter<B>(pub(super) B);
impl<B: Basis> Linear<8, 8> for Enter<B> {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 8]) -> [Deg1<A>; 8] {
        B::enter(x)
    }
}

/// Out of a basis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leave<B>(pub(super) B);
impl<B: Basis> Linear<8, 8> for Leave<B> {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 8]) -> [Deg1<A>; 8] {
        B::leave(x)
    }
}

/// Tower coordinates to the 4 bits of the norm in `GF(16)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm16;
impl Quadratic<8, 4> for Norm16 {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 8]) -> [Deg2<A>; 4] {
        let [a1, a0] = halves(x);
        let n = mul16(a1, a0);
        let s = [a1[0] + a0[0], a1[1] + a0[1], a1[2] + a0[2], a1[3] + a0[3]];
        // nu s^2 with nu = Y^17.
        [n[0] + (s[1] + s[3]).into(), n[1] + (s[0] + s[2]).into(), n[2] + s[2].into(), n[3] + (s[2] + s[3]).into()]
    }
}

/// 4 bits to the 2 of the norm in `GF(4)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm4;
impl Quadratic<4, 2> for Norm4 {
    #[inline(always)]
    fn eval<A: Algebra>(&self, n: [Deg1<A>; 4]) -> [Deg2<A>; 2] {
        let m = mul4([n[0], n[1]], [n[2], n[3]]);
        let s = [n[0] + n[2], n[1] + n[3]];
        // Z^5 s^2 = W s^2.
        [m[0] + (s[0] + s[1]).into(), m[1] + s[1].into()]
    }
}

/// 4 bits of `n` and 2 of its norm `m` to the 4 of `1/n`; `1/m` is `m^2`, a swap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inverse16By4;
impl Quadratic<6, 4> for Inverse16By4 {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [n0, n1, n2, n3, m0, m1]: [Deg1<A>; 6]) -> [Deg2<A>; 4] {
        let (hi, lo) = (mul4([m1, m0], [n2, n3]), mul4([m1, m0], [n0, n1]));
        [hi[0], hi[1], lo[0], lo[1]]
    }
}

/// 4 bits to one: the bent form `t = n0 n2 + n1 n3`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bent;
impl Quadratic<4, 1> for Bent {
    #[inline(always)]
    fn eval<A: Algebra>(&self, n: [Deg1<A>; 4]) -> [Deg2<A>; 1] {
        [n[0] * n[2] + n[1] * n[3]]
    }
}

/// 4 bits of `n` and the bent form `t` to the 4 of `1/n`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inverse16ByBent;
impl Quadratic<5, 4> for Inverse16ByBent {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [n0, n1, n2, n3, t]: [Deg1<A>; 5]) -> [Deg2<A>; 4] {
        [
            n2 * t + n3 * (n0 + n1) + n2.into(),
            n3 * t + n0 * n3 + (n2 + n3).into(),
            n0 * t + n1 * (n2 + n3) + n0.into(),
            n1 * t + n1 * n2 + (n0 + n1).into(),
        ]
    }
}

/// Tower coordinates and the 4 bits of the inverse norm to the coordinates of the inverse.
#[derive(Clone, Copy, Debug)]
pub(super) struct Invert;
impl Quadratic<12, 8> for Invert {
    #[inline(always)]
    fn eval<A: Algebra>(&self, v: [Deg1<A>; 12]) -> [Deg2<A>; 8] {
        let [x0, x1, x2, x3, x4, x5, x6, x7, m0, m1, m2, m3] = v;
        let [a1, a0] = halves([x0, x1, x2, x3, x4, x5, x6, x7]);
        let m = [m0, m1, m2, m3];
        let (hi, lo) = (mul16(m, a0), mul16(m, a1));
        [hi[0], hi[1], hi[2], hi[3], lo[0], lo[1], lo[2], lo[3]]
    }
}

/// All gates of the S-box with the bent form: from an element, its norm, the bent form and the inverse norm to the latter three and the inverse.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByBent;
impl Quadratic<17, 17> for ByBent {
    #[inline(always)]
    fn eval<A: Algebra>(&self, v: [Deg1<A>; 17]) -> [Deg2<A>; 17] {
        let [x0, x1, x2, x3, x4, x5, x6, x7, n0, n1, n2, n3, t, m0, m1, m2, m3] = v;
        let [a, b, c, d] = Norm16.eval([x0, x1, x2, x3, x4, x5, x6, x7]);
        let [e] = Bent.eval([n0, n1, n2, n3]);
        let [f, g, h, i] = Inverse16ByBent.eval([n0, n1, n2, n3, t]);
        let [j, k, l, m, n, o, p, q] = Invert.eval([x0, x1, x2, x3, x4, x5, x6, x7, m0, m1, m2, m3]);
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]
    }
}

/// All gates of the S-box with norms all the way down.
#[derive(Clone, Copy, Debug)]
pub(super) struct By4;
impl Quadratic<18, 18> for By4 {
    #[inline(always)]
    fn eval<A: Algebra>(&self, v: [Deg1<A>; 18]) -> [Deg2<A>; 18] {
        let [x0, x1, x2, x3, x4, x5, x6, x7, n0, n1, n2, n3, t0, t1, m0, m1, m2, m3] = v;
        let [a, b, c, d] = Norm16.eval([x0, x1, x2, x3, x4, x5, x6, x7]);
        let [e, f] = Norm4.eval([n0, n1, n2, n3]);
        let [g, h, i, j] = Inverse16By4.eval([n0, n1, n2, n3, t0, t1]);
        let [k, l, m, n, o, p, q, r] = Invert.eval([x0, x1, x2, x3, x4, x5, x6, x7, m0, m1, m2, m3]);
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aes::reference::{INV_SBOX, SBOX};
    use trefoil_engine::ring::{plain, plain_linear};

    /// All 256 bytes at once, a bit plane in four words.
    fn planes(f: impl Fn(u8) -> u8) -> [[Lanes; 8]; 4] {
        std::array::from_fn(|w| {
            std::array::from_fn(|b| {
                Lanes((0..64_u64).map(|l| u64::from(f((64 * w as u64 + l) as u8) >> b & 1) << l).sum())
            })
        })
    }

    fn gate<K: Quadratic<I, O>, const I: usize, const O: usize>(k: &K, x: [Lanes; I]) -> [Lanes; O] {
        plain(k, x)
    }

    fn coordinates(map: &impl Linear<8, 8>, x: [Lanes; 8]) -> [Lanes; 8] {
        plain_linear(map, x)
    }

    fn join<const A: usize, const B: usize, const C: usize>(a: [Lanes; A], b: [Lanes; B]) -> [Lanes; C] {
        let mut both = a.into_iter().chain(b);
        std::array::from_fn(|_| both.next().expect("A + B = C"))
    }

    fn check<W: Way>(expected: [[Lanes; 8]; 4]) {
        let way = W::default();
        for (x, expected) in planes(|x| x).into_iter().zip(expected) {
            let x = coordinates(&Enter(Tower(way)), x);
            let n: [_; 4] = gate(&Norm16, x);
            let by4: [_; 4] = gate(&Inverse16By4, join::<4, 2, 6>(n, gate(&Norm4, n)));
            let by_bent: [_; 4] = gate(&Inverse16ByBent, join::<4, 1, 5>(n, gate(&Bent, n)));
            assert_eq!(by4, by_bent);
            assert_eq!(coordinates(&Leave(Tower(way)), gate(&Invert, join::<8, 4, 12>(x, by_bent))), expected);
        }
    }

    #[test]
    fn both_towers_are_the_sbox_and_its_inverse_on_every_byte() {
        check::<Forward>(planes(|x| SBOX[usize::from(x)] ^ 0x63));
        check::<Inverse>(planes(|x| INV_SBOX[usize::from(x ^ 0x63)]));
    }
}
