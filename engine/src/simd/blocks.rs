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
    /// The processor has AVX-512F, BW, DQ and VL.
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
#[cfg(not(target_arch = "x86_64"))]
integers!(Z16: Anywhere, Z32: Anywhere, Z64: Anywhere);
#[cfg(target_arch = "x86_64")]
integers!(Z16: x86::Avx512, Z32: x86::Avx512, Z64: x86::Avx512);

#[cfg(target_arch = "x86_64")]
mod x86;
