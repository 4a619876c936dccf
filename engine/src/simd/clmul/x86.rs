//! PCLMULQDQ, and AVX-512 with VPCLMULQDQ and GFNI.
#![allow(unsafe_code)]
// A kernel must be inlined into the function that enables its instructions, or it runs without them.
#![allow(clippy::inline_always)]

macro_rules! xor {
    ($a:expr, $b:expr) => {
        _mm512_xor_si512($a, $b)
    };
    ($a:expr, $b:expr, $c:expr) => {
        _mm512_ternarylogic_epi64($a, $b, $c, 0x96)
    };
}

/// Adds eight products to four unreduced sums.
macro_rules! accumulate {
    ($sum:expr, $a:expr, $b:expr) => {
        xor!($sum, _mm512_clmulepi64_epi128($a, $b, 0x00), _mm512_clmulepi64_epi128($a, $b, 0x11))
    };
}

mod grid;
mod rows;

pub(super) use grid::grid;
pub(super) use rows::{fold_rows, fold_through};

use super::Level;
use crate::{
    check::{
        ext::{Gf64, combined_products_scalar, fold_scalar},
        log::LINE,
    },
    ring::Lanes,
};
use std::{
    arch::x86_64::{
        __m128i, __m512i, _mm_clmulepi64_si128, _mm_set_epi64x, _mm512_clmulepi64_epi128, _mm512_loadu_si512,
        _mm512_set1_epi64, _mm512_setzero_si512, _mm512_slli_epi64, _mm512_srli_epi64, _mm512_storeu_si512,
        _mm512_ternarylogic_epi64, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
    },
    mem::transmute,
};

pub(super) fn detect() -> Level {
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("vpclmulqdq")
        && is_x86_feature_detected!("gfni");
    match (wide, is_x86_feature_detected!("pclmulqdq")) {
        (true, true) => Level::Wide,
        (_, true) => Level::Single,
        _ => Level::Portable,
    }
}

/// Whether the wide functions may and should be used.
fn wide(level: Level) -> bool {
    level.min(detect()) == Level::Wide
}

pub(super) fn product(level: Level, a: u64, b: u64) -> Option<u128> {
    #[target_feature(enable = "pclmulqdq")]
    fn single(a: u64, b: u64) -> u128 {
        let of = |x: u64| _mm_set_epi64x(0, x.cast_signed());
        let p: __m128i = _mm_clmulepi64_si128(of(a), of(b), 0);
        // SAFETY: both are 128 plain bits.
        unsafe { transmute(p) }
    }
    // SAFETY: the instruction was detected.
    (level.min(detect()) >= Level::Single).then(|| unsafe { single(a, b) })
}

#[inline(always)]
unsafe fn load<T>(from: &[T], line: usize) -> __m512i {
    const { assert!(size_of::<T>() == 8, "a word") };
    debug_assert!((line + 1) * LINE <= from.len());
    // SAFETY: the caller's promise: line `line` of 8 words is there; the load is unaligned.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast::<u64>().add(line * LINE).cast()) }
}

#[inline(always)]
unsafe fn store<T>(to: &mut [T], line: usize, v: __m512i) {
    const { assert!(size_of::<T>() == 8, "a word") };
    debug_assert!((line + 1) * LINE <= to.len());
    // SAFETY: the caller's promise: line `line` of 8 words is there; the store is unaligned.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast::<u64>().add(line * LINE).cast(), v) }
}

/// The sum of four unreduced sums, reduced.
#[inline(always)]
fn finish(sum: __m512i) -> Gf64 {
    // SAFETY: both are 512 plain bits.
    let parts: [u128; 4] = unsafe { transmute(sum) };
    Gf64::reduce(parts[0] ^ parts[1] ^ parts[2] ^ parts[3])
}

/// Eight products, unreduced, those of the even and those of the odd lanes: reduced, in their lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
fn reduce(even: __m512i, odd: __m512i) -> __m512i {
    let (lo, hi) = (_mm512_unpacklo_epi64(even, odd), _mm512_unpackhi_epi64(even, odd));
    let h = xor!(xor!(hi, _mm512_srli_epi64(hi, 63), _mm512_srli_epi64(hi, 61)), _mm512_srli_epi64(hi, 60));
    xor!(xor!(lo, h, _mm512_slli_epi64(h, 1)), _mm512_slli_epi64(h, 3), _mm512_slli_epi64(h, 4))
}

pub(super) fn rows(level: Level, planes: &[Lanes], stride: usize, weights: &[Gf64], sums: &mut [[u128; 4]]) -> bool {
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    fn go(planes: &[Lanes], stride: usize, weights: &[Gf64], sums: &mut [[u128; 4]]) {
        let (count, rows) = (weights.len() / LINE, sums.len());
        assert!(count == 0 || planes.len() >= (count - 1) * stride + rows * LINE, "a line of each plane for each row");
        let sums: &mut [u64] = bytemuck::cast_slice_mut(sums);
        for l in 0..rows {
            // SAFETY: as asserted; `sums` has a line for each row, `weights` one for each plane.
            unsafe {
                let mut sum = load(sums, l);
                for k in 0..count {
                    sum = accumulate!(sum, load(weights, k), load(&planes[k * stride..], l));
                }
                store(sums, l, sum);
            }
        }
    }
    let wide = wide(level);
    if wide {
        // SAFETY: the instructions were detected.
        unsafe { go(planes, stride, weights, sums) };
    }
    wide
}
/// Three variables: 8 lines on all 27 points.
#[inline(always)]
fn extend(a: &[__m512i; 8], zero: __m512i, xor: impl Fn(__m512i, __m512i) -> __m512i) -> [__m512i; 27] {
    let mut o = [zero; 27];
    for l in 0..4 {
        let b = (l >> 1) * 9 + (l & 1) * 3;
        (o[b], o[b + 1], o[b + 2]) = (a[2 * l], a[2 * l + 1], xor(a[2 * l], a[2 * l + 1]));
    }
    for h in [0, 9] {
        for i in 0..3 {
            o[h + 6 + i] = xor(o[h + i], o[h + 3 + i]);
        }
    }
    for i in 0..9 {
        o[18 + i] = xor(o[i], o[9 + i]);
    }
    o
}

/// Adds the products of the whole lines of 8 parts of `a`'s sum and `b`'s to unreduced sums.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
fn products<const N: usize>(a: [&[Gf64]; N], b: [&[Gf64]; N], sums: &mut [__m512i; 27]) {
    let part = a[0].len() / 8;
    assert!([a, b].iter().flatten().all(|v| v.len() >= 8 * part), "vectors of one length");
    let zero = _mm512_setzero_si512();
    for j in 0..part / LINE {
        // A plain loop: a closure that returns so many registers is not inlined.
        let (mut x, mut y) = ([zero; 8], [zero; 8]);
        for u in 0..8 {
            for (a, b) in a.iter().zip(b) {
                // SAFETY: part `u` has more than `j` whole lines.
                unsafe {
                    x[u] = xor!(x[u], load(&a[u * part..][..part], j));
                    y[u] = xor!(y[u], load(&b[u * part..][..part], j));
                }
            }
        }
        let (x, y) = (extend(&x, zero, |a, b| xor!(a, b)), extend(&y, zero, |a, b| xor!(a, b)));
        for i in 0..27 {
            sums[i] = accumulate!(sums[i], x[i], y[i]);
        }
    }
}

pub(super) fn combined_products(level: Level, a: [&[Gf64]; 2], b: [&[Gf64]; 2]) -> Option<[Gf64; 27]> {
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    fn go(a: [&[Gf64]; 2], b: [&[Gf64]; 2]) -> [Gf64; 27] {
        let mut sums = [_mm512_setzero_si512(); 27];
        products(a, b, &mut sums);
        let part = a[0].len() / 8;
        let done = part / LINE * LINE;
        let rest =
            |v: &[Gf64]| -> Vec<Gf64> { v.chunks_exact(part.max(1)).flat_map(|v| &v[done..]).copied().collect() };
        let [a0, a1] = a.map(rest);
        let [b0, b1] = b.map(rest);
        let mut total = combined_products_scalar([&a0, &a1], [&b0, &b1]);
        for (total, sum) in total.iter_mut().zip(sums) {
            *total = *total + finish(sum);
        }
        total
    }
    // SAFETY: the instructions were detected.
    wide(level).then(|| unsafe { go(a, b) })
}

pub(super) fn add_products(level: Level, a: &[Gf64], b: &[Gf64], sums: &mut [[u128; 4]; 27]) -> bool {
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    fn go(a: &[Gf64], b: &[Gf64], sums: &mut [[u128; 4]; 27]) {
        // SAFETY: both are plain bits, of one size.
        let mut wide = unsafe { transmute::<[[u128; 4]; 27], [__m512i; 27]>(*sums) };
        products([a], [b], &mut wide);
        // SAFETY: as above.
        *sums = unsafe { transmute::<[__m512i; 27], [[u128; 4]; 27]>(wide) };
    }
    let wide = wide(level) && a.len().is_multiple_of(8 * LINE);
    if wide {
        // SAFETY: the instructions were detected.
        unsafe { go(a, b, sums) };
    }
    wide
}

pub(super) fn fold(level: Level, v: &[Gf64], eq: &[Gf64; 8], out: &mut [Gf64]) -> bool {
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    fn go(v: &[Gf64], eq: &[Gf64; 8], out: &mut [Gf64]) {
        let part = v.len() / 8;
        let out = &mut out[..part];
        for j in 0..part / LINE {
            let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
            for (u, eq) in eq.iter().enumerate() {
                // SAFETY: part `u` has more than `j` whole lines.
                let x = unsafe { load(&v[u * part..][..part], j) };
                let w = _mm512_set1_epi64(eq.0.cast_signed());
                even = xor!(even, _mm512_clmulepi64_epi128(x, w, 0x00));
                odd = xor!(odd, _mm512_clmulepi64_epi128(x, w, 0x11));
            }
            // SAFETY: `out` has a whole line there.
            unsafe { store(out, j, reduce(even, odd)) };
        }
        let done = part / LINE * LINE;
        let rest: Vec<Gf64> = v.chunks_exact(part.max(1)).flat_map(|v| &v[done..]).copied().collect();
        fold_scalar(&rest, eq, &mut out[done..]);
    }
    let wide = wide(level);
    if wide {
        // SAFETY: the instructions were detected.
        unsafe { go(v, eq, out) };
    }
    wide
}

pub(super) fn combine(level: Level, terms: &[(Gf64, &[Gf64])], weights: &[Gf64], out: &mut [Gf64]) -> bool {
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    fn go(terms: &[(Gf64, &[Gf64])], weights: &[Gf64], out: &mut [Gf64]) {
        for j in 0..out.len() / LINE {
            let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
            let product = |(c, v): &(Gf64, &[Gf64])| {
                // SAFETY: checked below: all have the lines of `out`.
                let x = unsafe { load(v, j) };
                let c = _mm512_set1_epi64(c.0.cast_signed());
                (_mm512_clmulepi64_epi128(x, c, 0x00), _mm512_clmulepi64_epi128(x, c, 0x11))
            };
            let (pairs, single) = terms.as_chunks::<2>();
            for [a, b] in pairs {
                let (a, b) = (product(a), product(b));
                (even, odd) = (xor!(even, a.0, b.0), xor!(odd, a.1, b.1));
            }
            for a in single {
                let a = product(a);
                (even, odd) = (xor!(even, a.0), xor!(odd, a.1));
            }
            // SAFETY: as above.
            unsafe {
                let (sum, w) = (reduce(even, odd), load(weights, j));
                let (even, odd) = (_mm512_clmulepi64_epi128(sum, w, 0x00), _mm512_clmulepi64_epi128(sum, w, 0x11));
                store(out, j, reduce(even, odd));
            }
        }
    }
    let fits =
        out.len().is_multiple_of(LINE) && weights.len() == out.len() && terms.iter().all(|(_, v)| v.len() == out.len());
    let wide = wide(level) && fits;
    if wide {
        // SAFETY: the instructions were detected, the lengths compared.
        unsafe { go(terms, weights, out) };
    }
    wide
}
