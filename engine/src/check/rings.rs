//! What the check needs of each ring.

use super::{
    Checked,
    ext::{Ext, Galois, Gf64},
    form::{Block, Scratch},
    log::LINE,
};
use crate::{
    ring::{Lanes, Quadratic, Z16, Z32, Z64},
    simd::{
        clmul::{self, RowFold},
        integers,
    },
};

impl Checked for Lanes {
    type Ext = Gf64;
    /// Four sums side by side, as wide registers have them.
    type Sum = [u128; 4];
    type Fold = RowFold;
    const COLUMNS: usize = Self::COUNT;
    const VARIABLES: u32 = 6;

    fn bit(one: bool) -> Self {
        if one { Self::ONES } else { Self(0) }
    }
    fn odd(self) -> bool {
        self.0 & 1 == 1
    }
    /// The word itself is the combination of its bits with the powers of `x`, which are a basis.
    fn accumulate(sum: &mut [u128; 4], weight: Gf64, word: Self) {
        sum[0] ^= clmul::product(weight.0, word.0);
    }
    fn finish(sum: [u128; 4]) -> Gf64 {
        Gf64::reduce(sum[0] ^ sum[1] ^ sum[2] ^ sum[3])
    }
    fn scale(weight: Gf64, coefficient: Self) -> Gf64 {
        if coefficient.odd() { weight } else { Gf64(0) }
    }
    const BLOCK_WEIGHTS: usize = LINE / 2;
    /// Words `2 l` and `2 l + 1` have weight `l` of the block, the odd ones times a common one.
    fn line(own: &[Gf64], common: &[Gf64; LINE]) -> [Gf64; LINE] {
        let odd = common[0] * common[0];
        std::array::from_fn(|word| if word % 2 == 0 { own[word / 2] } else { own[word / 2] * odd })
    }
    fn eighths(common: &[Gf64; LINE]) -> [Gf64; 8] {
        // As `clmul::column` has it: an eighth is 16 bits of the even or of the odd words.
        std::array::from_fn(|s| {
            let power = Gf64(1 << (8 * (s % 4)));
            if s < 4 { power } else { power * common[0] }
        })
    }
    fn within(own: &[Gf64], out: &mut [Gf64]) {
        const LEFT: usize = LINE * Lanes::COUNT / 8;
        let (mut powers, mut of_words) = ([Gf64(0); LEFT], [Gf64(0); LEFT]);
        for (l, &w) in own.iter().enumerate() {
            for bit in 0..16 {
                let at = clmul::column(2 * l, bit);
                (powers[at], of_words[at]) = (Gf64(1 << bit), w);
            }
        }
        Gf64::combine(&[(Gf64(1), &powers)], &of_words, out);
    }
    fn folder(rows: &[Gf64], eighths: &[Gf64; 8]) -> RowFold {
        RowFold::new(rows, eighths)
    }
    fn fold<const N: usize>(by: &RowFold, planes: [&[Self]; N], out: &mut [Gf64]) {
        by.apply(planes, out);
    }
    fn fold_through(by: &RowFold, plane: &[Self], out: &mut [Gf64]) {
        by.apply_through(plane, out);
    }
    fn add_products(a: &[Gf64], b: &[Gf64], sums: &mut [[u128; 4]; 27]) {
        clmul::add_products(a, b, sums);
    }
    fn rows(planes: &[Self], stride: usize, weights: &[Gf64], sums: &mut [[u128; 4]]) {
        clmul::rows(planes, stride, weights, sums);
    }
    fn grid<K: Quadratic<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        block: &Block<'_, Self>,
        weights: &[Gf64],
        sums: &mut [[u128; 4]],
        scratch: &mut Scratch<Self>,
    ) {
        clmul::grid::<K, I, O>(kernel, block, weights, sums, scratch);
    }
}

macro_rules! integers {
    ($($ring:ident),*) => {
        $(impl Checked for $ring {
            type Ext = Galois<Self>;
            type Sum = Galois<Self>;
            type Fold = (Vec<Galois<Self>>, [Galois<Self>; 8]);
            const COLUMNS: usize = 1;
            // A value of the proof has 64 coefficients, so it should have fewer values than of bits; but columns cost 64 times as much work.
            const VARIABLES: u32 = 5;

            fn bit(one: bool) -> Self {
                Self(one.into())
            }
            fn odd(self) -> bool {
                self.0 & 1 == 1
            }
            #[allow(clippy::inline_always)]
            #[inline(always)]
            fn accumulate(sum: &mut Galois<Self>, weight: Galois<Self>, word: Self) {
                for (sum, w) in sum.0.iter_mut().zip(weight.0) {
                    *sum = *sum + w * word;
                }
            }
            fn finish(sum: Galois<Self>) -> Galois<Self> {
                sum
            }
            fn scale(weight: Galois<Self>, coefficient: Self) -> Galois<Self> {
                let mut scaled = Galois::default();
                Self::accumulate(&mut scaled, weight, coefficient);
                scaled
            }
            const BLOCK_WEIGHTS: usize = 1;
            fn line(own: &[Galois<Self>], common: &[Galois<Self>; LINE]) -> [Galois<Self>; LINE] {
                std::array::from_fn(|word| own[0] * common[word] * common[word])
            }
            fn eighths(common: &[Galois<Self>; LINE]) -> [Galois<Self>; 8] {
                *common
            }
            fn within(own: &[Galois<Self>], out: &mut [Galois<Self>]) {
                out.copy_from_slice(own);
            }
            fn folder(rows: &[Galois<Self>], eighths: &[Galois<Self>; 8]) -> Self::Fold {
                (rows.to_vec(), *eighths)
            }
            fn fold<const N: usize>((rows, eighths): &Self::Fold, planes: [&[Self]; N], out: &mut [Galois<Self>]) {
                integers::fold(rows, eighths, planes, out);
            }
            fn fold_through(by: &Self::Fold, plane: &[Self], out: &mut [Galois<Self>]) {
                let mut columns = [Galois::default(); LINE];
                Self::fold(by, [plane], &mut columns);
                out[0] = columns.into_iter().fold(Galois::default(), |sum, column| sum + column);
            }
            fn rows(planes: &[Self], stride: usize, weights: &[Galois<Self>], sums: &mut [Galois<Self>]) {
                integers::rows(planes, stride, weights, sums);
            }
            fn add_products(a: &[Galois<Self>], b: &[Galois<Self>], sums: &mut [Galois<Self>; 27]) {
                for (sum, products) in sums.iter_mut().zip(integers::combined_products([a], [b])) {
                    *sum = *sum + products;
                }
            }
            fn grid<K: Quadratic<I, O>, const I: usize, const O: usize>(
                kernel: &K,
                block: &Block<'_, Self>,
                weights: &[Galois<Self>],
                sums: &mut [Galois<Self>],
                scratch: &mut Scratch<Self>,
            ) {
                integers::grid::<Self, K, I, O>(kernel, block, weights, sums, scratch);
            }
        })*
    };
}
integers!(Z16, Z32, Z64);
