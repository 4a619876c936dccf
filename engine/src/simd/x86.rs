//! AVX2 and AVX-512 registers as an [`Algebra`] of lanes.
#![allow(unsafe_code)]
// A kernel must be inlined into the function that enables its instructions, or it runs without them.
#![allow(clippy::inline_always)]
// Subtraction in characteristic two is addition.
#![allow(clippy::suspicious_arithmetic_impl)]

use super::Level;
use crate::{
    check::form::{Parts, parts},
    ring::{Algebra, Deg1, Lanes, Linear, Quadratic},
};
use std::{
    arch::x86_64::{
        __m256i, __m512i, _MM_HINT_T1, _mm_prefetch, _mm256_and_si256, _mm256_loadu_si256, _mm256_set1_epi64x,
        _mm256_storeu_si256, _mm256_xor_si256, _mm512_and_si512, _mm512_loadu_si512, _mm512_set1_epi64,
        _mm512_storeu_si512, _mm512_xor_si512,
    },
    ops::{Add, Mul, Sub},
};

/// A register of lanes. `load` and `store` move `WORDS` consecutive elements.
pub(super) trait Register: Algebra {
    const WORDS: usize;
    /// # Safety
    /// `from` is valid for reads of `WORDS` elements, and the processor has the register's instructions.
    unsafe fn load(from: *const Lanes) -> Self;
    /// # Safety
    /// `to` is valid for writes of `WORDS` elements, and the processor has the register's instructions.
    unsafe fn store(self, to: *mut Lanes);
    /// # Safety
    /// The processor has the register's instructions.
    unsafe fn splat(x: Lanes) -> Self;
}

macro_rules! register {
    ($name:ident, $inner:ty, $words:literal, $load:ident, $store:ident, $splat:ident, $xor:ident, $and:ident) => {
        // Values of this type exist only inside functions that enable its instructions, after detection.
        #[derive(Clone, Copy)]
        pub(super) struct $name(pub(super) $inner);
        impl Add for $name {
            type Output = Self;
            #[inline(always)]
            fn add(self, o: Self) -> Self {
                // SAFETY: see the type.
                Self(unsafe { $xor(self.0, o.0) })
            }
        }
        impl Sub for $name {
            type Output = Self;
            #[inline(always)]
            fn sub(self, o: Self) -> Self {
                self + o
            }
        }
        impl Mul for $name {
            type Output = Self;
            #[inline(always)]
            fn mul(self, o: Self) -> Self {
                // SAFETY: see the type.
                Self(unsafe { $and(self.0, o.0) })
            }
        }
        impl Algebra for $name {}
        impl Register for $name {
            const WORDS: usize = $words;
            #[inline(always)]
            unsafe fn load(from: *const Lanes) -> Self {
                // SAFETY: the caller's promise; the load is unaligned.
                Self(unsafe { $load(from.cast()) })
            }
            #[inline(always)]
            unsafe fn splat(x: Lanes) -> Self {
                // SAFETY: the caller's promise.
                Self(unsafe { $splat(x.0.cast_signed()) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut Lanes) {
                // SAFETY: the caller's promise; the store is unaligned.
                unsafe { $store(to.cast(), self.0) }
            }
        }
    };
}
register!(
    V256,
    __m256i,
    4,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm256_set1_epi64x,
    _mm256_xor_si256,
    _mm256_and_si256
);
register!(
    V512,
    __m512i,
    8,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_set1_epi64,
    _mm512_xor_si512,
    _mm512_and_si512
);

/// See [`super::prefetch`].
pub(super) fn prefetch<T>(words: &[T]) {
    /// Bytes of a cache line.
    const CACHE_LINE: usize = 64;
    let start = words.as_ptr().cast::<i8>();
    for at in (0..size_of_val(words)).step_by(CACHE_LINE) {
        // SAFETY: the address is inside the slice, and a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(start.add(at)) };
    }
}

/// The pointers of one call, all valid for `n` elements.
struct Slices<const I: usize, const J: usize, const O: usize> {
    x: [*const Lanes; I],
    y: [*const Lanes; J],
    z: [*mut Lanes; O],
    n: usize,
}

/// # Safety
/// The slices' pointers are valid for `n` elements, those of `z` exclusively; the processor has `V`'s instructions.
#[inline(always)]
unsafe fn quadratic_loop<V: Register, K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    s: &Slices<I, I, O>,
) -> usize {
    let end = s.n - s.n % V::WORDS;
    // Plain loops over the arrays: closures, as of `array::map`, would stay calls outside the enabled instructions.
    // SAFETY: the caller's promise.
    let zero = unsafe { V::splat(Lanes(0)) };
    for e in (0..end).step_by(V::WORDS) {
        // SAFETY: e + WORDS <= n.
        unsafe {
            let (mut both, mut one) = ([Deg1(zero); I], [Deg1(zero); I]);
            for k in 0..I {
                one[k] = Deg1(V::load(s.y[k].add(e)));
                both[k] = Deg1(V::load(s.x[k].add(e))) + one[k];
            }
            let (both, one) = (kernel.eval(both), kernel.eval(one));
            for j in 0..O {
                (V::load(s.z[j].add(e)) + both[j].0 - one[j].0).store(s.z[j].add(e));
            }
        }
    }
    end
}

/// # Safety
/// As [`quadratic_loop`].
#[inline(always)]
unsafe fn linear_loop<V: Register, K: Linear<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    add: [Lanes; O],
    s: &Slices<I, 0, O>,
) -> usize {
    let end = s.n - s.n % V::WORDS;
    // Plain loops over the arrays: closures, as of `array::map`, would stay calls outside the enabled instructions.
    // SAFETY: the caller's promise.
    let zero = unsafe { V::splat(Lanes(0)) };
    for e in (0..end).step_by(V::WORDS) {
        // SAFETY: e + WORDS <= n.
        unsafe {
            let mut x = [Deg1(zero); I];
            for (x, &from) in x.iter_mut().zip(&s.x) {
                *x = Deg1(V::load(from.add(e)));
            }
            let out = kernel.eval(x);
            for j in 0..O {
                (out[j].0 + V::splat(add[j])).store(s.z[j].add(e));
            }
        }
    }
    end
}

/// As [`quadratic_loop`], for a record: `masks` are two times `O` planes.
///
/// # Safety
/// As [`quadratic_loop`]; the pointers of `masks` are valid for `n` elements, exclusively.
#[inline(always)]
unsafe fn quadratic_recorded_loop<V: Register, K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    s: &Slices<I, I, O>,
    [m, n]: &[[*mut Lanes; O]; 2],
) -> usize {
    let end = s.n - s.n % V::WORDS;
    // SAFETY: the caller's promise.
    let zero = unsafe { V::splat(Lanes(0)) };
    for e in (0..end).step_by(V::WORDS) {
        // SAFETY: e + WORDS <= n.
        unsafe {
            let (mut own, mut next, mut both) = ([zero; I], [zero; I], [Deg1(zero); I]);
            for k in 0..I {
                own[k] = V::load(s.x[k].add(e));
                next[k] = V::load(s.y[k].add(e));
                both[k] = Deg1(own[k] + next[k]);
            }
            let both = kernel.eval(both);
            let (own, next) = (parts(kernel, own, zero), parts(kernel, next, zero));
            for j in 0..O {
                let (mask_m, mask_n) = (V::load(m[j].add(e)), V::load(n[j].add(e)));
                let Parts { linear, square } = next[j];
                (both[j].0 - linear - square + mask_m - mask_n).store(s.z[j].add(e));
                (mask_m + own[j].square).store(m[j].add(e));
                (mask_n + linear).store(n[j].add(e));
            }
        }
    }
    end
}

#[target_feature(enable = "avx2")]
unsafe fn quadratic_recorded_256<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    s: &Slices<I, I, O>,
    masks: &[[*mut Lanes; O]; 2],
) -> usize {
    // SAFETY: the caller's promise.
    unsafe { quadratic_recorded_loop::<V256, K, I, O>(kernel, s, masks) }
}
#[target_feature(enable = "avx512f")]
unsafe fn quadratic_recorded_512<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    s: &Slices<I, I, O>,
    masks: &[[*mut Lanes; O]; 2],
) -> usize {
    // SAFETY: the caller's promise.
    unsafe { quadratic_recorded_loop::<V512, K, I, O>(kernel, s, masks) }
}

#[target_feature(enable = "avx2")]
unsafe fn quadratic_256<K: Quadratic<I, O>, const I: usize, const O: usize>(kernel: &K, s: &Slices<I, I, O>) -> usize {
    // SAFETY: the caller's promise.
    unsafe { quadratic_loop::<V256, K, I, O>(kernel, s) }
}
#[target_feature(enable = "avx512f")]
unsafe fn quadratic_512<K: Quadratic<I, O>, const I: usize, const O: usize>(kernel: &K, s: &Slices<I, I, O>) -> usize {
    // SAFETY: the caller's promise.
    unsafe { quadratic_loop::<V512, K, I, O>(kernel, s) }
}
#[target_feature(enable = "avx2")]
unsafe fn linear_256<K: Linear<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    add: [Lanes; O],
    s: &Slices<I, 0, O>,
) -> usize {
    // SAFETY: the caller's promise.
    unsafe { linear_loop::<V256, K, I, O>(kernel, add, s) }
}
#[target_feature(enable = "avx512f")]
unsafe fn linear_512<K: Linear<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    add: [Lanes; O],
    s: &Slices<I, 0, O>,
) -> usize {
    // SAFETY: the caller's promise.
    unsafe { linear_loop::<V512, K, I, O>(kernel, add, s) }
}

/// Runs whole registers; returns the number of elements done.
pub(super) fn quadratic<K: Quadratic<I, O>, const I: usize, const O: usize>(
    level: Level,
    kernel: &K,
    own: &[&[Lanes]; I],
    next: &[&[Lanes]; I],
    acc: &mut [&mut [Lanes]; O],
) -> usize {
    let n = shortest(own.iter().chain(next).map(|x| x.len()).chain(acc.iter().map(|z| z.len())));
    let s = Slices { x: starts(own), y: starts(next), z: starts_mut(acc), n };
    match level.min(Level::detect()) {
        Level::Scalar => 0,
        // SAFETY: n elements of each slice are there, `acc` is borrowed exclusively, the level was detected.
        Level::Avx2 => unsafe { quadratic_256(kernel, &s) },
        // SAFETY: as above.
        Level::Avx512 => unsafe { quadratic_512(kernel, &s) },
    }
}

/// Runs whole registers; returns the number of elements done.
pub(super) fn quadratic_recorded<K: Quadratic<I, O>, const I: usize, const O: usize>(
    level: Level,
    kernel: &K,
    [own, next]: [&[&[Lanes]; I]; 2],
    [m, n]: [&mut [&mut [Lanes]; O]; 2],
    z: &mut [&mut [Lanes]; O],
) -> usize {
    let masks = m.iter().chain(&*n).map(|m| m.len());
    let n_words = shortest(own.iter().chain(next).map(|x| x.len()).chain(masks).chain(z.iter().map(|z| z.len())));
    let s = Slices { x: starts(own), y: starts(next), z: starts_mut(z), n: n_words };
    let masks = [starts_mut(m), starts_mut(n)];
    match level.min(Level::detect()) {
        Level::Scalar => 0,
        // SAFETY: n elements of each slice are there, masks and `z` are borrowed exclusively, the level was detected.
        Level::Avx2 => unsafe { quadratic_recorded_256(kernel, &s, &masks) },
        // SAFETY: as above.
        Level::Avx512 => unsafe { quadratic_recorded_512(kernel, &s, &masks) },
    }
}

/// Runs whole registers; returns the number of elements done.
pub(super) fn linear<K: Linear<I, O>, const I: usize, const O: usize>(
    level: Level,
    kernel: &K,
    x: &[&[Lanes]; I],
    add: [Lanes; O],
    out: &mut [&mut [Lanes]; O],
) -> usize {
    let n = shortest(x.iter().map(|x| x.len()).chain(out.iter().map(|z| z.len())));
    let s = Slices { x: starts(x), y: [], z: starts_mut(out), n };
    match level.min(Level::detect()) {
        Level::Scalar => 0,
        // SAFETY: n elements of each slice are there, `out` is borrowed exclusively, the level was detected.
        Level::Avx2 => unsafe { linear_256(kernel, add, &s) },
        // SAFETY: as above.
        Level::Avx512 => unsafe { linear_512(kernel, add, &s) },
    }
}

// Plain loops: for the 32 columns of an AES state, `array::map` took as long as the kernel itself.

fn starts<const I: usize>(x: &[&[Lanes]; I]) -> [*const Lanes; I] {
    let mut starts = [std::ptr::null(); I];
    for (start, x) in starts.iter_mut().zip(x) {
        *start = x.as_ptr();
    }
    starts
}

fn starts_mut<const O: usize>(z: &mut [&mut [Lanes]; O]) -> [*mut Lanes; O] {
    let mut starts = [std::ptr::null_mut(); O];
    for (start, z) in starts.iter_mut().zip(z) {
        *start = z.as_mut_ptr();
    }
    starts
}

fn shortest(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.min().unwrap_or(0)
}
