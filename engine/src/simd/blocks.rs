//! Eight integers side by side, on which the folds of the product check over integers are written once for all registers.
#![allow(unsafe_code)]
// A loop must be inlined into the function that enables the instructions, or it runs without them.
#![allow(clippy::inline_always)]

use crate::{
    check::{galois::Galois, last::Points},
    ring::{Algebra, Ring, Z16, Z32, Z64},
};
use std::{
    ops::{Add, Mul, Sub},
    sync::LazyLock,
};

/// Integers of a block.
pub const WORDS: usize = 8;

/// A ring of integers, with the blocks that the widest registers hold of it.
pub trait Integer: Ring {
    type Wide: Width<Self>;

    /// See [`Ext::last_points`](crate::check::ext::Ext::last_points).
    fn last_points() -> &'static Points<Galois<Self>>;
}

/// Proof that the processor has the instructions of a kind of blocks, which is what makes blocks.
pub trait Width<R>: Copy {
    type Block: Block<R>;

    /// # Safety
    /// The processor has AVX-512F and AVX-512DQ, and the caller is compiled for them.
    unsafe fn assume() -> Self;
    fn load(self, from: &[R; WORDS]) -> Self::Block;
    fn splat(self, x: R) -> Self::Block;
}

/// Eight integers; the operations are word by word.
pub trait Block<R>: Algebra {
    fn store(self, to: &mut [R; WORDS]);
    /// The sum, or the same.
    fn add_if(self, add: bool, o: Self) -> Self;
    /// Of 16 words, `below` and then these, eight from `FROM` on.
    fn window<const FROM: i32>(self, below: Self) -> Self;
    /// Word `j` of block `i` becomes word `i` of block `j`.
    fn transpose(blocks: [Self; WORDS]) -> [Self; WORDS];
}

/// Blocks for any processor.
#[derive(Clone, Copy)]
pub struct Anywhere;

#[derive(Clone, Copy)]
pub struct Plain<R>([R; WORDS]);

macro_rules! element_wise {
    ($operation:ident, $method:ident, $symbol:tt) => {
        impl<R: Ring> $operation for Plain<R> {
            type Output = Self;
            #[inline(always)]
            fn $method(mut self, o: Self) -> Self {
                for k in 0..WORDS {
                    self.0[k] = self.0[k] $symbol o.0[k];
                }
                self
            }
        }
    };
}
element_wise!(Add, add, +);
element_wise!(Sub, sub, -);
element_wise!(Mul, mul, *);
impl<R: Ring> Algebra for Plain<R> {}

impl<R: Ring> Width<R> for Anywhere {
    type Block = Plain<R>;
    #[inline(always)]
    unsafe fn assume() -> Self {
        Self
    }
    #[inline(always)]
    fn load(self, from: &[R; WORDS]) -> Plain<R> {
        Plain(*from)
    }
    #[inline(always)]
    fn splat(self, x: R) -> Plain<R> {
        Plain([x; WORDS])
    }
}

impl<R: Ring> Block<R> for Plain<R> {
    #[inline(always)]
    fn store(self, to: &mut [R; WORDS]) {
        *to = self.0;
    }
    #[inline(always)]
    fn add_if(self, add: bool, o: Self) -> Self {
        self + Self([R::bit(add); WORDS]) * o
    }
    #[inline(always)]
    fn window<const FROM: i32>(self, below: Self) -> Self {
        let (from, mut out) = (FROM.unsigned_abs() as usize, self);
        for k in 0..WORDS {
            out.0[k] = if from + k < WORDS { below.0[from + k] } else { self.0[from + k - WORDS] };
        }
        out
    }
    #[inline(always)]
    fn transpose(blocks: [Self; WORDS]) -> [Self; WORDS] {
        let mut out = blocks;
        for (i, block) in blocks.iter().enumerate() {
            for (j, &word) in block.0.iter().enumerate() {
                out[j].0[i] = word;
            }
        }
        out
    }
}

macro_rules! integers {
    ($($ring:ident: $wide:ty),*) => {
        $(impl Integer for $ring {
            type Wide = $wide;

            fn last_points() -> &'static Points<Galois<Self>> {
                static POINTS: LazyLock<Points<Galois<$ring>>> = LazyLock::new(Points::new);
                &POINTS
            }
        })*
    };
}
integers!(Z16: Anywhere, Z32: Anywhere);
#[cfg(not(target_arch = "x86_64"))]
integers!(Z64: Anywhere);
#[cfg(target_arch = "x86_64")]
integers!(Z64: x86::Avx512);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Add, Algebra, Block, Mul, Sub, WORDS, Width, Z64};
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_loadu_si512, _mm512_mask_add_epi64, _mm512_mullo_epi64,
        _mm512_set1_epi64, _mm512_shuffle_i64x2, _mm512_storeu_si512, _mm512_sub_epi64, _mm512_unpackhi_epi64,
        _mm512_unpacklo_epi64,
    };

    /// The processor has AVX-512F and AVX-512DQ.
    #[derive(Clone, Copy)]
    pub struct Avx512(());

    // Made by `Avx512` alone: where there is one, the instructions are there.
    #[derive(Clone, Copy)]
    pub struct Words(__m512i);

    macro_rules! element_wise {
        ($operation:ident, $method:ident, $instruction:ident) => {
            impl $operation for Words {
                type Output = Self;
                #[inline(always)]
                fn $method(self, o: Self) -> Self {
                    // SAFETY: see the type.
                    Self(unsafe { $instruction(self.0, o.0) })
                }
            }
        };
    }
    element_wise!(Add, add, _mm512_add_epi64);
    element_wise!(Sub, sub, _mm512_sub_epi64);
    element_wise!(Mul, mul, _mm512_mullo_epi64);
    impl Algebra for Words {}

    impl Width<Z64> for Avx512 {
        type Block = Words;
        #[inline(always)]
        unsafe fn assume() -> Self {
            Self(())
        }
        #[inline(always)]
        fn load(self, from: &[Z64; WORDS]) -> Words {
            // SAFETY: `self` proves the instructions; the array is 64 bytes, and the load is unaligned.
            Words(unsafe { _mm512_loadu_si512(from.as_ptr().cast()) })
        }
        #[inline(always)]
        fn splat(self, x: Z64) -> Words {
            // SAFETY: `self` proves the instructions.
            Words(unsafe { _mm512_set1_epi64(x.0.cast_signed()) })
        }
    }

    impl Block<Z64> for Words {
        #[inline(always)]
        fn store(self, to: &mut [Z64; WORDS]) {
            // SAFETY: see the type; the array is 64 bytes, and the store is unaligned.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), self.0) }
        }
        #[inline(always)]
        fn add_if(self, add: bool, o: Self) -> Self {
            // SAFETY: see the type.
            Self(unsafe { _mm512_mask_add_epi64(self.0, u8::from(add).wrapping_neg(), self.0, o.0) })
        }
        #[inline(always)]
        fn window<const FROM: i32>(self, below: Self) -> Self {
            // SAFETY: see the type.
            Self(unsafe { _mm512_alignr_epi64::<FROM>(self.0, below.0) })
        }
        #[inline(always)]
        fn transpose(b: [Self; WORDS]) -> [Self; WORDS] {
            // SAFETY: see the type.
            unsafe {
                let (mut pairs, mut fours, mut out) = (b, b, b);
                for i in 0..4 {
                    let (x, y) = (b[2 * i].0, b[2 * i + 1].0);
                    // Words 0, 2, 4, 6 of two blocks, and words 1, 3, 5, 7.
                    pairs[i].0 = _mm512_unpacklo_epi64(x, y);
                    pairs[4 + i].0 = _mm512_unpackhi_epi64(x, y);
                }
                for odd in [0, 4] {
                    for half in 0..2 {
                        let (x, y) = (pairs[odd + 2 * half].0, pairs[odd + 2 * half + 1].0);
                        // Quarters 0 and 2 of both, and quarters 1 and 3.
                        fours[odd + half].0 = _mm512_shuffle_i64x2::<0b10_00_10_00>(x, y);
                        fours[odd + 2 + half].0 = _mm512_shuffle_i64x2::<0b11_01_11_01>(x, y);
                    }
                }
                for odd in 0..2 {
                    for quarter in 0..2 {
                        let (x, y) = (fours[4 * odd + 2 * quarter].0, fours[4 * odd + 2 * quarter + 1].0);
                        out[2 * quarter + odd].0 = _mm512_shuffle_i64x2::<0b10_00_10_00>(x, y);
                        out[4 + 2 * quarter + odd].0 = _mm512_shuffle_i64x2::<0b11_01_11_01>(x, y);
                    }
                }
                out
            }
        }
    }
}
