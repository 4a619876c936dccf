//! The rings that are shared, and the local maps a gate may apply to them.
//!
//! A gate's kernel is the plain function itself, written once over [`Algebra`]: the same code runs on a
//! single word, on a SIMD register and in the plain reference. [`Deg1`] and [`Deg2`] carry the degree in
//! the type, so that a kernel of degree three, or one with a constant term, does not compile.

// A kernel must be inlined into the function that enables the SIMD instructions, or it runs without them.
#![allow(clippy::inline_always)]
// Addition in characteristic two is XOR, multiplication of bits is AND.
#![allow(clippy::suspicious_arithmetic_impl)]

use crate::{
    check::form::{Parts, parts},
    share::Windows,
};
use bytemuck::Pod;
use std::{
    fmt::Debug,
    ops::{Add, Mul, Sub},
};

/// What a kernel is evaluated on: one ring element, or a SIMD register full of them.
pub trait Algebra: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Send + Sync + 'static {}

mod sealed {
    pub trait Sealed {}
}

/// A commutative ring with a fixed-width little-endian wire form (its memory, see the crate's target rule). Sealed: the local part
/// of every gate is in its hands.
pub trait Ring: sealed::Sealed + crate::check::Checked + Algebra + Pod + Default + Eq + Debug {
    /// The name used in opaque `Debug` output.
    const NAME: &'static str;
    /// What three times is one.
    const THIRD: Self;

    /// Adds this party's additive share of `kernel(x)` to `acc`, element by element:
    /// `acc_j += q_j(own + next) - q_j(next)`. See [`Quadratic`] for why the three parties' shares sum to `q(x)`.
    ///
    /// The slices of `own` and `next` have one length, and each of `acc` has that length too.
    fn quadratic<K: Quadratic<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        own: [&[Self]; I],
        next: [&[Self]; I],
        acc: [&mut [Self]; O],
    ) {
        quadratic_scalar(kernel, own, next, acc);
    }

    /// Computes the same for a record: `z_j = q_j(own + next) - q_j(next) + m_j - n_j` with the masks `m` and `n`, which then become what
    /// the two others' claims about this gate hold of them: `m_j += h_j(own)`, the terms of degree two, and `n_j += l_j(next)`, the linear ones. Lengths as in
    /// [`quadratic`](Self::quadratic).
    fn quadratic_recorded<K: Quadratic<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        x: [[&[Self]; I]; 2],
        masks: [[&mut [Self]; O]; 2],
        z: [&mut [Self]; O],
    ) {
        quadratic_recorded_scalar(kernel, x, masks, z);
    }

    /// Writes `kernel(x) + add` to `out`, element by element; `add` holds one element per output, the same for all.
    fn linear<K: Linear<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        x: [&[Self]; I],
        add: [Self; O],
        out: [&mut [Self]; O],
    ) {
        linear_scalar(kernel, x, add, out);
    }

    /// Adds this party's additive share of the products of rows to `z`: of row `i` of `x` and row `j` of `y` to element `i * y.count() + j`. The rows have one width.
    fn dots(x: &Windows<'_, Self>, y: &Windows<'_, Self>, z: &mut [Self]) {
        crate::simd::words::dots(x, y, z);
    }

    /// Adds the products of rows that lie in two vectors, as [`dots`](Self::dots) those of shares: `[n, step]` says how many rows of each there are, and where they begin.
    ///
    /// # Panics
    /// If a vector ends before its last row, or `z` is not of one element for each pair of rows.
    fn dots_plain(vectors: [&[Self]; 2], rows: [[usize; 2]; 2], width: usize, z: &mut [Self]) {
        crate::simd::words::dots_plain(vectors, rows, width, z);
    }
}

/// A map of degree at most two and without constant term, from `I` ring elements to `O`.
///
/// Any such map costs one round and `O` elements, whatever number of products it holds: with
/// `x = x_0 + x_1 + x_2`, `sum_i q(x_i + x_{i+1}) - q(x_{i+1}) = q(x)`, because both sides have the linear part
/// once and every cross term `x_i x_j` once. Party `i` holds both arguments of its term. For `q(x, y) = xy` this is
/// `x_i y_i + x_i y_{i+1} + x_{i+1} y_i`, the product of Araki et al. (CCS 2016, section 2.2).
pub trait Quadratic<const I: usize, const O: usize>: Copy + Send + Sync + 'static {
    /// The map, on plain values.
    fn eval<A: Algebra>(&self, x: [Deg1<A>; I]) -> [Deg2<A>; O];
}

/// A linear map from `I` ring elements to `O`. Local: each component is mapped on its own.
pub trait Linear<const I: usize, const O: usize>: Sync {
    /// The map, on plain values or on one component of a sharing.
    fn eval<A: Algebra>(&self, x: [Deg1<A>; I]) -> [Deg1<A>; O];
}

/// A linear form in the inputs of a kernel. Its product with another is a [`Deg2`]. There is no way in or out of it but the
/// ring's operations, so a kernel cannot look at what it computes on, nor raise the degree.
#[derive(Clone, Copy)]
pub struct Deg1<A>(pub(crate) A);

/// A form of degree at most two in the inputs of a kernel. It can be added but not multiplied.
///
/// ```compile_fail
/// use trefoil_engine::ring::{Algebra, Deg1, Deg2};
/// fn cubic<A: Algebra>(x: Deg1<A>) -> Deg2<A> { x * x * x }
/// ```
/// ```compile_fail
/// use trefoil_engine::ring::{Algebra, Deg1, Deg2};
/// fn laundered<A: Algebra>(x: Deg1<A>) -> Deg2<A> { let Deg2(y) = x * x; Deg1(y) * x }
/// ```
#[derive(Clone, Copy)]
pub struct Deg2<A>(pub(crate) A);

/// A kernel on plain values: its own reference.
pub fn plain<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(kernel: &K, x: [R; I]) -> [R; O] {
    kernel.eval(x.map(Deg1)).map(|y| y.0)
}

/// A linear map on plain values: its own reference.
pub fn plain_linear<R: Ring, K: Linear<I, O>, const I: usize, const O: usize>(kernel: &K, x: [R; I]) -> [R; O] {
    kernel.eval(x.map(Deg1)).map(|y| y.0)
}

impl<A: Algebra> Add for Deg1<A> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Self(self.0 + o.0)
    }
}
impl<A: Algebra> Sub for Deg1<A> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Self(self.0 - o.0)
    }
}
impl<A: Algebra> Mul for Deg1<A> {
    type Output = Deg2<A>;
    #[inline(always)]
    fn mul(self, o: Self) -> Deg2<A> {
        Deg2(self.0 * o.0)
    }
}
impl<A: Algebra> Add for Deg2<A> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Self(self.0 + o.0)
    }
}
impl<A: Algebra> Sub for Deg2<A> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Self(self.0 - o.0)
    }
}
impl<A: Algebra> From<Deg1<A>> for Deg2<A> {
    #[inline(always)]
    fn from(x: Deg1<A>) -> Self {
        Self(x.0)
    }
}

/// The product `xy`: AND for [`Lanes`].
#[derive(Clone, Copy, Debug)]
pub struct Product;
impl Quadratic<2, 1> for Product {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [x, y]: [Deg1<A>; 2]) -> [Deg2<A>; 1] {
        [x * y]
    }
}

/// The scalar twin of [`Ring::quadratic`], and its definition.
pub(crate) fn quadratic_scalar<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    own: [&[R]; I],
    next: [&[R]; I],
    mut acc: [&mut [R]; O],
) {
    for e in 0..acc.first().map_or(0, |a| a.len()) {
        let both = kernel.eval(std::array::from_fn(|k| Deg1(own[k][e] + next[k][e])));
        let one = kernel.eval(std::array::from_fn(|k| Deg1(next[k][e])));
        for (j, acc) in acc.iter_mut().enumerate() {
            acc[e] = acc[e] + both[j].0 - one[j].0;
        }
    }
}

/// The scalar twin of [`Ring::quadratic_recorded`], and its definition.
pub(crate) fn quadratic_recorded_scalar<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    [own, next]: [[&[R]; I]; 2],
    [mut m, mut n]: [[&mut [R]; O]; 2],
    mut z: [&mut [R]; O],
) {
    for e in 0..z.first().map_or(0, |z| z.len()) {
        let of_both = plain(kernel, std::array::from_fn(|k| own[k][e] + next[k][e]));
        let of_own = parts(kernel, std::array::from_fn(|k| own[k][e]), R::default());
        let of_next = parts(kernel, std::array::from_fn(|k| next[k][e]), R::default());
        for (j, ((m, n), z)) in m.iter_mut().zip(&mut n).zip(&mut z).enumerate() {
            let Parts { linear, square } = of_next[j];
            z[e] = of_both[j] - linear - square + m[e] - n[e];
            m[e] = m[e] + of_own[j].square;
            n[e] = n[e] + linear;
        }
    }
}

/// The scalar twin of [`Ring::dots`], and its definition.
pub(crate) fn dots_scalar<R: Ring>(x: &Windows<'_, R>, y: &Windows<'_, R>, z: &mut [R]) {
    for (i, z) in z.chunks_mut(y.count().max(1)).enumerate().take(x.count()) {
        let x = x.row(i);
        for (j, z) in z.iter_mut().enumerate() {
            let y = y.row(j);
            for ((&a, &b), (&c, &d)) in x.own.iter().zip(x.next).zip(y.own.iter().zip(y.next)) {
                *z = *z + a * (c + d) + b * c;
            }
        }
    }
}

/// The scalar twin of [`Ring::dots_plain`], and its definition.
pub(crate) fn dots_plain<R: Ring>(
    [x, y]: [&[R]; 2],
    [[n, of_x], [m, of_y]]: [[usize; 2]; 2],
    width: usize,
    z: &mut [R],
) {
    for i in 0..n {
        for j in 0..m {
            let products = x[i * of_x..][..width].iter().zip(&y[j * of_y..][..width]);
            z[i * m + j] = products.fold(z[i * m + j], |sum, (&x, &y)| sum + x * y);
        }
    }
}

/// The scalar twin of [`Ring::linear`], and its definition.
pub(crate) fn linear_scalar<R: Ring, K: Linear<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    x: [&[R]; I],
    add: [R; O],
    mut out: [&mut [R]; O],
) {
    for e in 0..out.first().map_or(0, |o| o.len()) {
        let y = kernel.eval(std::array::from_fn(|k| Deg1(x[k][e])));
        for (j, out) in out.iter_mut().enumerate() {
            out[e] = y[j].0 + add[j];
        }
    }
}

/// 64 boolean lanes, the ring `(F_2)^64`: `+` and `-` are XOR, `*` is AND. Bit `k` of the word is lane `k`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Lanes(pub u64);

impl Lanes {
    /// Lanes in one element.
    pub const COUNT: usize = 64;
    /// All lanes one.
    pub const ONES: Self = Self(u64::MAX);

    /// The number of elements that hold `bits` lanes.
    pub const fn words(bits: usize) -> usize {
        bits.div_ceil(Self::COUNT)
    }
}

impl Add for Lanes {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Self(self.0 ^ o.0)
    }
}
impl Sub for Lanes {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Self(self.0 ^ o.0)
    }
}
impl Mul for Lanes {
    type Output = Self;
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        Self(self.0 & o.0)
    }
}
impl Algebra for Lanes {}
/// Plain lanes are a client's secret before they are split and after they are reconstructed.
impl zeroize::DefaultIsZeroes for Lanes {}
impl sealed::Sealed for Lanes {}
impl Ring for Lanes {
    const NAME: &'static str = "Lanes";
    const THIRD: Self = Self::ONES;

    fn quadratic<K: Quadratic<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        own: [&[Self]; I],
        next: [&[Self]; I],
        acc: [&mut [Self]; O],
    ) {
        crate::simd::quadratic(kernel, own, next, acc);
    }

    fn quadratic_recorded<K: Quadratic<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        x: [[&[Self]; I]; 2],
        masks: [[&mut [Self]; O]; 2],
        z: [&mut [Self]; O],
    ) {
        crate::simd::quadratic_recorded(kernel, x, masks, z);
    }

    fn linear<K: Linear<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        x: [&[Self]; I],
        add: [Self; O],
        out: [&mut [Self]; O],
    ) {
        crate::simd::linear(kernel, x, add, out);
    }
}

macro_rules! integer_ring {
    ($name:ident, $word:ty, $text:literal, { $($kernels:tt)* }) => {
        #[doc = concat!("The ring of integers modulo 2^", $text, ", wrapping.")]
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(transparent)]
        pub struct $name(pub $word);
        impl zeroize::DefaultIsZeroes for $name {}
        impl Add for $name {
            type Output = Self;
            #[inline(always)]
            fn add(self, o: Self) -> Self {
                Self(self.0.wrapping_add(o.0))
            }
        }
        impl Sub for $name {
            type Output = Self;
            #[inline(always)]
            fn sub(self, o: Self) -> Self {
                Self(self.0.wrapping_sub(o.0))
            }
        }
        impl Mul for $name {
            type Output = Self;
            #[inline(always)]
            fn mul(self, o: Self) -> Self {
                Self(self.0.wrapping_mul(o.0))
            }
        }
        impl Algebra for $name {}
        impl sealed::Sealed for $name {}
        impl Ring for $name {
            const NAME: &'static str = stringify!($name);
            const THIRD: Self = Self(<$word>::MAX / 3 * 2 + 1);
            $($kernels)*
        }
    };
}
integer_ring!(Z16, u16, "16", {
    fn dots(x: &Windows<'_, Self>, y: &Windows<'_, Self>, z: &mut [Self]) {
        crate::simd::dots::dots(x, y, z);
    }

    fn dots_plain(vectors: [&[Self]; 2], rows: [[usize; 2]; 2], width: usize, z: &mut [Self]) {
        crate::simd::dots::dots_plain(vectors, rows, width, z);
    }
});
integer_ring!(Z32, u32, "32", {});
integer_ring!(Z64, u64, "64", {
    fn quadratic<K: Quadratic<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        own: [&[Self]; I],
        next: [&[Self]; I],
        acc: [&mut [Self]; O],
    ) {
        crate::simd::words::quadratic(kernel, own, next, acc);
    }

    fn quadratic_recorded<K: Quadratic<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        x: [[&[Self]; I]; 2],
        masks: [[&mut [Self]; O]; 2],
        z: [&mut [Self]; O],
    ) {
        crate::simd::words::quadratic_recorded(kernel, x, masks, z);
    }
});
