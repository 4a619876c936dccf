//! PCLMULQDQ, and AVX-512 with VPCLMULQDQ and GFNI.
#![allow(unsafe_code)]
// A kernel must be inlined into the function that enables its instructions, or it runs without them.
#![allow(clippy::inline_always)]

use super::{Level, RowFold};
use crate::{
    check::{
        ext::{Gf64, combined_products_scalar, fold_scalar},
        form::{Ahead, Block, Scratch, homogeneous},
        log::LINE,
    },
    ring::{Lanes, Quadratic},
    simd::{
        prefetch,
        x86::{Register, V512},
    },
};
use std::{
    arch::x86_64::{
        __m128i, __m512i, _mm_clmulepi64_si128, _mm_set_epi64x, _mm512_clmulepi64_epi128,
        _mm512_gf2p8affine_epi64_epi8, _mm512_loadu_si512, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_slli_epi64,
        _mm512_srli_epi64, _mm512_storeu_si512, _mm512_ternarylogic_epi64, _mm512_unpackhi_epi8, _mm512_unpackhi_epi64,
        _mm512_unpacklo_epi8, _mm512_unpacklo_epi64, _mm512_xor_si512,
    },
    cell::Cell,
    mem::{MaybeUninit, transmute},
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

/// The rows of the grid that are left to combine: planes of `rows` lines, `stride` words apart.
#[derive(Clone, Copy)]
struct Planes {
    start: *const Lanes,
    stride: usize,
    rows: usize,
    /// Whether no point at infinity was taken yet: then the rows themselves are points that are not wanted.
    plain: bool,
}

/// The kernel and where its weighted values go.
struct Target<'a, K, const O: usize> {
    kernel: &'a K,
    weights: [__m512i; O],
    /// The planes' blocks that come next, and how many were asked for.
    ahead: Option<Ahead<'a, Lanes>>,
    asked: Cell<usize>,
    /// Words of a plane's block.
    words: usize,
}

impl<K, const O: usize> Target<'_, K, O> {
    /// Adds the weighted form of the sums of some rows to a sum.
    ///
    /// # Safety
    /// `p` has `I` planes, with lines for all of `rows`.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    unsafe fn add<const I: usize, const N: usize>(&self, sum: &mut [u128; 4], p: Planes, rows: [usize; N])
    where
        K: Quadratic<I, O>,
    {
        let zero = V512(_mm512_setzero_si512());
        let mut x = [zero; I];
        for (k, x) in x.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let line = |row: usize| unsafe { V512::load(p.start.add(k * p.stride + row * LINE)) };
            *x = line(rows[0]);
            for &row in &rows[1..] {
                *x = *x + line(row);
            }
        }
        let h = homogeneous::<V512, K, I, O>(self.kernel, x, zero);
        let words: &mut [u64] = bytemuck::cast_slice_mut(sum.as_mut_slice());
        // SAFETY: a sum is a line.
        unsafe {
            let mut s = load(words, 0);
            for (&w, h) in self.weights.iter().zip(h) {
                s = accumulate!(s, w, h.0);
            }
            store(words, 0, s);
        }
    }

    /// Depth first over the rows' bits, the top bit first.
    ///
    /// # Safety
    /// `p` has `I` planes of `p.rows` lines, `sums` `3^r` elements for `2^r = p.rows >= 4`, and `scratch` room for
    /// [`scratch_words`].
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    unsafe fn walk<const I: usize>(&self, p: Planes, sums: &mut [[u128; 4]], scratch: &mut [Lanes])
    where
        K: Quadratic<I, O>,
    {
        if p.rows == 4 {
            // SAFETY: the caller's promise.
            return unsafe { self.four::<I>(p, sums) };
        }
        let half = p.rows / 2;
        let (low, rest) = sums.split_at_mut(sums.len() / 3);
        let (high, inf) = rest.split_at_mut(low.len());
        let stride = half * LINE + LINE;
        let (mine, deeper) = scratch.split_at_mut(I * stride);
        // SAFETY: each half has `half` lines in each plane; `mine` has I planes of as many.
        unsafe {
            self.walk::<I>(Planes { rows: half, ..p }, low, deeper);
            self.walk::<I>(Planes { start: p.start.add(half * LINE), rows: half, ..p }, high, deeper);
            for k in 0..I {
                let from = std::slice::from_raw_parts(p.start.add(k * p.stride), p.rows * LINE);
                let to = &mut mine[k * stride..][..half * LINE];
                for l in 0..half {
                    store(to, l, xor!(load(from, l), load(from, half + l)));
                }
            }
            let sum = Planes { start: mine.as_ptr(), stride, rows: half, plain: false };
            self.walk::<I>(sum, inf, deeper);
        }
    }

    /// Four rows, nine points.
    ///
    /// # Safety
    /// As [`walk`](Self::walk).
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    unsafe fn four<const I: usize>(&self, p: Planes, sums: &mut [[u128; 4]])
    where
        K: Quadratic<I, O>,
    {
        // A plane of each component at a time: there are more walks over four rows than planes.
        let k = self.asked.replace(self.asked.get() + 1);
        if let Some(Ahead { own, next, stride, at }) = self.ahead
            && k < I
        {
            for planes in [own, next] {
                prefetch(&planes[k * stride + at..][..self.words]);
            }
        }
        // SAFETY: the caller's promise.
        unsafe {
            if !p.plain {
                self.add(&mut sums[0], p, [0]);
                self.add(&mut sums[1], p, [1]);
                self.add(&mut sums[3], p, [2]);
                self.add(&mut sums[4], p, [3]);
            }
            self.add(&mut sums[2], p, [0, 1]);
            self.add(&mut sums[5], p, [2, 3]);
            self.add(&mut sums[6], p, [0, 2]);
            self.add(&mut sums[7], p, [1, 3]);
            self.add(&mut sums[8], p, [0, 1, 2, 3]);
        }
    }
}

/// Scratch words for a walk over `rows` rows of `inputs` planes.
fn scratch_words(inputs: usize, rows: usize) -> usize {
    // rows + rows / 2 + rows / 4 + .. lines, and one more for each plane of each level.
    inputs * LINE * (2 * rows + rows.ilog2() as usize)
}

pub(super) fn grid<K: Quadratic<I, O>, const I: usize, const O: usize>(
    level: Level,
    kernel: &K,
    block: &Block<'_, Lanes>,
    weights: &[Gf64],
    sums: &mut [[u128; 4]],
    scratch: &mut Scratch<Lanes>,
) -> bool {
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    fn go<K: Quadratic<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        block: &Block<'_, Lanes>,
        weights: &[Gf64],
        sums: &mut [[u128; 4]],
        scratch: &mut [Lanes],
    ) {
        let rows = 1 << block.r;
        let end = I.saturating_sub(1) * block.stride + block.at + rows * LINE;
        assert!(end <= block.own.len() && end <= block.next.len() && weights.len() == O * LINE, "a block of its chunk");
        assert!(rows >= 4 && sums.len() == 3_usize.pow(block.r), "a grid of its block");
        let mut lines = [_mm512_setzero_si512(); O];
        for (o, line) in lines.iter_mut().enumerate() {
            // SAFETY: a line for each output.
            *line = unsafe { load(weights, o) };
        }
        let target = Target { kernel, weights: lines, ahead: block.ahead, asked: Cell::new(0), words: rows * LINE };
        let stride = rows * LINE + LINE;
        let (both, deeper) = scratch.split_at_mut(I * stride);
        for k in 0..I {
            let from = block.at + k * block.stride;
            let (own, next) = (&block.own[from..][..rows * LINE], &block.next[from..][..rows * LINE]);
            let to = &mut both[k * stride..][..rows * LINE];
            for l in 0..rows {
                // SAFETY: all have `rows` lines.
                unsafe { store(to, l, xor!(load(own, l), load(next, l))) };
            }
        }
        // SAFETY: `both` has I planes of `rows` lines, as many sums as checked above.
        unsafe { target.walk::<I>(Planes { start: both.as_ptr(), stride, rows, plain: true }, sums, deeper) };
    }
    let wide = wide(level);
    if wide {
        // SAFETY: the instructions were detected.
        unsafe { go::<K, I, O>(kernel, block, weights, sums, scratch.words(scratch_words(I, 1 << block.r))) };
    }
    wide
}

/// One stage of a transposition of bytes.
macro_rules! stage {
    ($r:expr) => {{
        let r = $r;
        [
            _mm512_unpacklo_epi8(r[0], r[4]),
            _mm512_unpackhi_epi8(r[0], r[4]),
            _mm512_unpacklo_epi8(r[1], r[5]),
            _mm512_unpackhi_epi8(r[1], r[5]),
            _mm512_unpacklo_epi8(r[2], r[6]),
            _mm512_unpackhi_epi8(r[2], r[6]),
            _mm512_unpacklo_epi8(r[3], r[7]),
            _mm512_unpackhi_epi8(r[3], r[7]),
        ]
    }};
}

/// A map from 8 bits to 64 is eight affine instructions, once the 8 bits are the bits of a byte.
pub(super) fn fold_rows<const N: usize>(level: Level, by: &RowFold, planes: [&[Lanes]; N], out: &mut [Gf64]) -> bool {
    /// Rows are folded 8 at a time; a block has at most 64.
    const MOST: usize = 8;

    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    fn go<const N: usize>(by: &RowFold, planes: [&[Lanes]; N], out: &mut [Gf64]) {
        let groups = by.eq.len() / 8;
        let blocks = planes.iter().all(|plane| plane.len() == 8 * groups * LINE);
        assert!(groups <= MOST && blocks && out.len() == 64 * LINE, "a block of a plane");
        // A constant vector with the data as matrix transposes 8 x 8 bits.
        let identity = _mm512_set1_epi64(0x8040_2010_0804_0201_u64.cast_signed());
        // Not zeroed: that would take as long as the fold of a row.
        let mut bytes = [const { MaybeUninit::<[__m512i; 8]>::uninit() }; MOST];
        for (g, bytes) in bytes.iter_mut().enumerate().take(groups) {
            let mut r = [_mm512_setzero_si512(); 8];
            for (l, r) in r.iter_mut().enumerate() {
                for plane in planes {
                    // SAFETY: the plane has a line for each row.
                    *r = xor!(*r, unsafe { load(plane, 8 * g + l) });
                }
            }
            let mut r = stage!(stage!(stage!(r)));
            for byte in &mut r {
                *byte = _mm512_gf2p8affine_epi64_epi8(identity, *byte, 0);
            }
            bytes.write(r);
        }
        // SAFETY: the first `groups` were written.
        let bytes: &[[__m512i; 8]] = unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), groups) };
        for s in 0..8 {
            let mut c = [_mm512_setzero_si512(); 8];
            let affine = |bytes: __m512i, matrix: u64| {
                _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(matrix.cast_signed()), 0)
            };
            // Two groups at a time: one instruction adds both.
            for (bytes, matrices) in bytes.chunks(2).zip(by.matrices.chunks(16)) {
                match (bytes, matrices.split_at(8)) {
                    ([x, y], (of_x, of_y)) => {
                        for o in 0..8 {
                            c[o] = xor!(c[o], affine(x[s], of_x[o]), affine(y[s], of_y[o]));
                        }
                    }
                    (x, (of_x, _)) => {
                        for o in 0..8 {
                            c[o] = xor!(c[o], affine(x[0][s], of_x[o]));
                        }
                    }
                }
            }
            let e = stage!(stage!(stage!(c)));
            for (u, &e) in e.iter().enumerate() {
                // SAFETY: `out` has 64 lines.
                unsafe { store(out, s * 8 + u, e) };
            }
        }
    }
    let wide = wide(level);
    if wide {
        // SAFETY: the instructions were detected.
        unsafe { go(by, planes, out) };
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

pub(super) fn combined_products(level: Level, a: [&[Gf64]; 2], b: [&[Gf64]; 2]) -> Option<[Gf64; 27]> {
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    fn go(a: [&[Gf64]; 2], b: [&[Gf64]; 2]) -> [Gf64; 27] {
        let part = a[0].len() / 8;
        let zero = _mm512_setzero_si512();
        let mut sums = [zero; 27];
        for j in 0..part / LINE {
            let column = |v: [&[Gf64]; 2]| {
                let mut parts = [zero; 8];
                for (u, part_u) in parts.iter_mut().enumerate() {
                    // SAFETY: part `u` has more than `j` whole lines.
                    let [x, y] = v.map(|v| unsafe { load(&v[u * part..][..part], j) });
                    *part_u = xor!(x, y);
                }
                extend(&parts, zero, |a, b| xor!(a, b))
            };
            let (a, b) = (column(a), column(b));
            for i in 0..27 {
                sums[i] = accumulate!(sums[i], a[i], b[i]);
            }
        }
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
