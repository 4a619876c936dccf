//! The form of a kernel on the grid of a block's rows.

use super::{super::Level, load, store, wide};
use crate::{
    check::{
        ext::Gf64,
        form::{Block, Scratch, Soon, homogeneous},
        log::LINE,
    },
    ring::{Lanes, Quadratic},
    simd::x86::{Register, V512},
};
use std::{
    arch::x86_64::{
        __m512i, _mm512_clmulepi64_epi128, _mm512_setzero_si512, _mm512_ternarylogic_epi64, _mm512_xor_si512,
    },
    cell::Cell,
};

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
    soon: Soon<'a, Lanes>,
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
        // Most blocks have more walks over four rows than planes.
        let n = self.asked.replace(self.asked.get() + 1);
        self.soon.prefetch(n, O, self.words);
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

pub(in super::super) fn grid<K: Quadratic<I, O>, const I: usize, const O: usize>(
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
        let target = Target { kernel, weights: lines, soon: block.soon, asked: Cell::new(0), words: rows * LINE };
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
