//! Blocks in registers: eight words of 16 bits in 128 bits, of 32 in 256, of 64 in 512.

use super::{Add, Algebra, Block, Mul, Sub, WORDS, Width};
use crate::ring::{Z16, Z32, Z64};
#[allow(clippy::wildcard_imports)] // the instructions
use std::arch::x86_64::*;

/// The processor has AVX-512F, BW, DQ and VL.
#[derive(Clone, Copy)]
pub struct Avx512(());

/// Eight integers in a register. Made by [`Avx512`] alone: where there is one, the instructions are there.
#[derive(Clone, Copy)]
pub struct Words<T>(T);

macro_rules! element_wise {
    ($register:ty, $operation:ident, $method:ident, $instruction:ident) => {
        impl $operation for Words<$register> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, o: Self) -> Self {
                // SAFETY: see the type.
                Self(unsafe { $instruction(self.0, o.0) })
            }
        }
    };
}

macro_rules! blocks {
    ($($ring:ident in $register:ty: $add:ident, $sub:ident, $mul:ident, $add_masked:ident, $splat:ident, $load:ident, $store:ident, $transpose:ident, |$high:ident, $low:ident, $from:ident| $window:expr;)*) => {$(
        element_wise!($register, Add, add, $add);
        element_wise!($register, Sub, sub, $sub);
        element_wise!($register, Mul, mul, $mul);
        impl Algebra for Words<$register> {}

        impl Width<$ring> for Avx512 {
            type Block = Words<$register>;
            #[inline(always)]
            unsafe fn assume() -> Self {
                Self(())
            }
            #[inline(always)]
            fn load(self, from: &[$ring; WORDS]) -> Self::Block {
                // SAFETY: `self` proves the instructions; the array is as long as the register, and the load is unaligned.
                Words(unsafe { $load(from.as_ptr().cast()) })
            }
            #[inline(always)]
            fn splat(self, x: $ring) -> Self::Block {
                // SAFETY: `self` proves the instructions.
                Words(unsafe { $splat(x.0.cast_signed()) })
            }
        }

        impl Block<$ring> for Words<$register> {
            #[inline(always)]
            fn store(self, to: &mut [$ring; WORDS]) {
                // SAFETY: see the type; the array is as long as the register, and the store is unaligned.
                unsafe { $store(to.as_mut_ptr().cast(), self.0) }
            }
            #[inline(always)]
            fn add_if(self, add: bool, o: Self) -> Self {
                // SAFETY: see the type.
                Self(unsafe { $add_masked(self.0, u8::from(add).wrapping_neg(), self.0, o.0) })
            }
            #[inline(always)]
            fn window<const FROM: i32>(self, below: Self) -> Self {
                let ($high, $low, $from) = (self.0, below.0, FROM);
                // SAFETY: see the type.
                Self(unsafe { $window })
            }
            #[inline(always)]
            fn transpose(blocks: [Self; WORDS]) -> [Self; WORDS] {
                // Loops: the closures of `map` would stay calls.
                let (mut registers, mut out) = ([blocks[0].0; WORDS], blocks);
                for k in 0..WORDS {
                    registers[k] = blocks[k].0;
                }
                // SAFETY: see the type.
                registers = unsafe { $transpose(registers) };
                for k in 0..WORDS {
                    out[k] = Self(registers[k]);
                }
                out
            }
        }
    )*};
}

/// The instruction with the number of words to leave out, which it takes as a constant.
macro_rules! from {
    ($from:ident, $align:ident($high:ident, $low:ident), $each:literal) => {
        match $from {
            1 => $align::<{ $each }>($high, $low),
            2 => $align::<{ 2 * $each }>($high, $low),
            3 => $align::<{ 3 * $each }>($high, $low),
            4 => $align::<{ 4 * $each }>($high, $low),
            5 => $align::<{ 5 * $each }>($high, $low),
            6 => $align::<{ 6 * $each }>($high, $low),
            7 => $align::<{ 7 * $each }>($high, $low),
            _ => unreachable!("a window is of both blocks"),
        }
    };
}

blocks! {
    Z16 in __m128i: _mm_add_epi16, _mm_sub_epi16, _mm_mullo_epi16, _mm_mask_add_epi16, _mm_set1_epi16, _mm_loadu_si128, _mm_storeu_si128, transposed_16,
        |high, low, from| from!(from, _mm_alignr_epi8(high, low), 2);
    Z32 in __m256i: _mm256_add_epi32, _mm256_sub_epi32, _mm256_mullo_epi32, _mm256_mask_add_epi32, _mm256_set1_epi32, _mm256_loadu_si256, _mm256_storeu_si256, transposed_32,
        |high, low, from| from!(from, _mm256_alignr_epi32(high, low), 1);
    Z64 in __m512i: _mm512_add_epi64, _mm512_sub_epi64, _mm512_mullo_epi64, _mm512_mask_add_epi64, _mm512_set1_epi64, _mm512_loadu_si512, _mm512_storeu_si512, transposed_64,
        |high, low, from| from!(from, _mm512_alignr_epi64(high, low), 1);
}

/// # Safety
/// See [`Words`].
#[inline(always)]
unsafe fn transposed_16(b: [__m128i; WORDS]) -> [__m128i; WORDS] {
    let (mut pairs, mut fours, mut out) = (b, b, b);
    // SAFETY: the caller's.
    unsafe {
        for i in 0..4 {
            // Words 0 to 3 of two blocks, one beside the other, and words 4 to 7.
            (pairs[i], pairs[4 + i]) =
                (_mm_unpacklo_epi16(b[2 * i], b[2 * i + 1]), _mm_unpackhi_epi16(b[2 * i], b[2 * i + 1]));
        }
        for half in [0, 4] {
            for i in 0..2 {
                // Of four blocks words 0 and 1, and words 2 and 3.
                let [x, y] = [pairs[half + 2 * i], pairs[half + 2 * i + 1]];
                (fours[half + i], fours[half + 2 + i]) = (_mm_unpacklo_epi32(x, y), _mm_unpackhi_epi32(x, y));
            }
        }
        for i in 0..4 {
            let [x, y] = [fours[2 * i], fours[2 * i + 1]];
            (out[2 * i], out[2 * i + 1]) = (_mm_unpacklo_epi64(x, y), _mm_unpackhi_epi64(x, y));
        }
    }
    out
}

/// # Safety
/// See [`Words`].
#[inline(always)]
unsafe fn transposed_32(b: [__m256i; WORDS]) -> [__m256i; WORDS] {
    let (mut pairs, mut fours, mut out) = (b, b, b);
    // SAFETY: the caller's.
    unsafe {
        for i in 0..4 {
            // Words 0, 1, 4 and 5 of two blocks, one beside the other, and words 2, 3, 6 and 7.
            (pairs[i], pairs[4 + i]) =
                (_mm256_unpacklo_epi32(b[2 * i], b[2 * i + 1]), _mm256_unpackhi_epi32(b[2 * i], b[2 * i + 1]));
        }
        for half in [0, 4] {
            for i in 0..2 {
                // Of four blocks words 0 and 4, and words 1 and 5; and so of the second half.
                let [x, y] = [pairs[half + 2 * i], pairs[half + 2 * i + 1]];
                (fours[half + 2 * i], fours[half + 2 * i + 1]) =
                    (_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y));
            }
        }
        for word in 0..4 {
            let at = 4 * (word / 2) + word % 2;
            let [x, y] = [fours[at], fours[at + 2]];
            out[word] = _mm256_permute2x128_si256::<0x20>(x, y);
            out[4 + word] = _mm256_permute2x128_si256::<0x31>(x, y);
        }
    }
    out
}

/// # Safety
/// See [`Words`].
#[inline(always)]
unsafe fn transposed_64(b: [__m512i; WORDS]) -> [__m512i; WORDS] {
    let (mut pairs, mut fours, mut out) = (b, b, b);
    // SAFETY: the caller's.
    unsafe {
        for i in 0..4 {
            let (x, y) = (b[2 * i], b[2 * i + 1]);
            // Words 0, 2, 4, 6 of two blocks, and words 1, 3, 5, 7.
            pairs[i] = _mm512_unpacklo_epi64(x, y);
            pairs[4 + i] = _mm512_unpackhi_epi64(x, y);
        }
        for odd in [0, 4] {
            for half in 0..2 {
                let (x, y) = (pairs[odd + 2 * half], pairs[odd + 2 * half + 1]);
                // Quarters 0 and 2 of both, and quarters 1 and 3.
                fours[odd + half] = _mm512_shuffle_i64x2::<0b10_00_10_00>(x, y);
                fours[odd + 2 + half] = _mm512_shuffle_i64x2::<0b11_01_11_01>(x, y);
            }
        }
        for odd in 0..2 {
            for quarter in 0..2 {
                let (x, y) = (fours[4 * odd + 2 * quarter], fours[4 * odd + 2 * quarter + 1]);
                out[2 * quarter + odd] = _mm512_shuffle_i64x2::<0b10_00_10_00>(x, y);
                out[4 + 2 * quarter + odd] = _mm512_shuffle_i64x2::<0b11_01_11_01>(x, y);
            }
        }
    }
    out
}
