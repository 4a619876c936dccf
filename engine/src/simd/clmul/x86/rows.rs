//! Folds of bit rows to field elements.

use super::{
    super::{Level, RowFold},
    load, store, wide,
};
use crate::{
    check::{ext::Gf64, log::LINE},
    ring::Lanes,
};
use std::{
    arch::x86_64::{
        __m512i, _mm512_gf2p8affine_epi64_epi8, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_ternarylogic_epi64,
        _mm512_unpackhi_epi8, _mm512_unpacklo_epi8, _mm512_xor_si512,
    },
    mem::MaybeUninit,
};

/// Rows are folded 8 at a time; a block has at most 64.
const MOST: usize = 8;

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

/// The block of a plane with the bits of 8 rows in each byte: a register for each group of rows and each eighth of the columns. Only the groups that
/// there are are written: to zero the others would take as long as the fold of a row.
type Bytes = [MaybeUninit<[__m512i; 8]>; MOST];

/// Reads the block of the planes' sum.
///
/// # Safety
/// The planes have `8 * groups` lines, and `groups <= MOST`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
unsafe fn read<'b, const N: usize>(planes: [&[Lanes]; N], groups: usize, bytes: &'b mut Bytes) -> &'b [[__m512i; 8]] {
    // A constant vector with the data as matrix transposes 8 x 8 bits.
    let identity = _mm512_set1_epi64(0x8040_2010_0804_0201_u64.cast_signed());
    for (g, bytes) in bytes.iter_mut().enumerate().take(groups) {
        let mut r = [_mm512_setzero_si512(); 8];
        for (l, r) in r.iter_mut().enumerate() {
            for plane in planes {
                // SAFETY: the caller's promise.
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
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), groups) }
}

/// Adds the map of an eighth's 8 groups of 8 bits to 64 bits: eight affine instructions for each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
fn add_eighth(bytes: &[[__m512i; 8]], eighth: usize, matrices: &[u64], c: &mut [__m512i; 8]) {
    macro_rules! affine {
        ($bytes:expr, $matrix:expr) => {
            _mm512_gf2p8affine_epi64_epi8($bytes, _mm512_set1_epi64($matrix.cast_signed()), 0)
        };
    }
    // Two groups at a time: one instruction adds both.
    for (bytes, matrices) in bytes.chunks(2).zip(matrices.chunks(16)) {
        match (bytes, matrices.split_at(8)) {
            ([x, y], (of_x, of_y)) => {
                for o in 0..8 {
                    c[o] = xor!(c[o], affine!(x[eighth], of_x[o]), affine!(y[eighth], of_y[o]));
                }
            }
            (x, (of_x, _)) => {
                for o in 0..8 {
                    c[o] = xor!(c[o], affine!(x[0][eighth], of_x[o]));
                }
            }
        }
    }
}

/// The 64 columns of one eighth.
///
/// # Safety
/// `out` has 8 lines.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
unsafe fn write(c: &[__m512i; 8], out: &mut [Gf64]) {
    let e = stage!(stage!(stage!(c)));
    for (u, &e) in e.iter().enumerate() {
        // SAFETY: the caller's promise: `out` has 8 lines.
        unsafe { store(out, u, e) };
    }
}

/// A map from 8 bits to 64 is eight affine instructions, once the 8 bits are the bits of a byte.
pub(in super::super) fn fold_rows<const N: usize>(
    level: Level,
    by: &RowFold,
    planes: [&[Lanes]; N],
    out: &mut [Gf64],
) -> bool {
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    fn go<const N: usize>(by: &RowFold, planes: [&[Lanes]; N], out: &mut [Gf64]) {
        let groups = by.eq.len() / 64;
        let blocks = planes.iter().all(|plane| plane.len() == 8 * groups * LINE);
        assert!(groups <= MOST && blocks && out.len() == 64 * LINE, "a block of a plane");
        let mut bytes = [const { MaybeUninit::uninit() }; MOST];
        // SAFETY: as asserted.
        let bytes = unsafe { read(planes, groups, &mut bytes) };
        for ((s, out), matrices) in out.chunks_exact_mut(64).enumerate().zip(by.matrices.chunks_exact(8 * groups)) {
            let mut c = [_mm512_setzero_si512(); 8];
            add_eighth(bytes, s, matrices, &mut c);
            // SAFETY: 64 elements.
            unsafe { write(&c, out) };
        }
    }
    let wide = wide(level);
    if wide {
        // SAFETY: the instructions were detected.
        unsafe { go(by, planes, out) };
    }
    wide
}

/// Both folds at once are one map of all an output's bits, and shorter to compute than one after the other.
pub(in super::super) fn fold_through(level: Level, by: &RowFold, plane: &[Lanes], out: &mut [Gf64]) -> bool {
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,gfni")]
    fn go(by: &RowFold, plane: &[Lanes], out: &mut [Gf64]) {
        let groups = by.eq.len() / 64;
        assert!(groups <= MOST && plane.len() == 8 * groups * LINE && out.len() == 64, "a block of a plane");
        let mut bytes = [const { MaybeUninit::uninit() }; MOST];
        // SAFETY: as asserted.
        let bytes = unsafe { read([plane], groups, &mut bytes) };
        let mut c = [_mm512_setzero_si512(); 8];
        for (s, matrices) in by.matrices.chunks_exact(8 * groups).enumerate() {
            add_eighth(bytes, s, matrices, &mut c);
        }
        // SAFETY: 64 elements, as asserted.
        unsafe { write(&c, out) };
    }
    let wide = wide(level);
    if wide {
        // SAFETY: the instructions were detected.
        unsafe { go(by, plane, out) };
    }
    wide
}
