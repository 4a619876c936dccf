//! What the check needs of each ring.

use super::{
    Checked, Folded,
    bits::{Bits, Weighted},
    ext::Ext as _,
    ext::Gf64,
    form::Block,
    galois::Galois,
    integers::{Grid, Integers},
    matrix::Layout,
};
use crate::{
    ring::{Lanes, Quadratic, Z16, Z32, Z64},
    simd::{clmul, integers as loops},
};

impl Checked for Lanes {
    type Ext = Gf64;
    type Weight = Gf64;
    type Grid = Weighted;
    type Statement = Bits;
    const ELEMENTS: usize = Self::COUNT;

    fn bit(one: bool) -> Self {
        if one { Self::ONES } else { Self(0) }
    }
    fn odd(self) -> bool {
        self.0 & 1 == 1
    }
    fn grid<K: Quadratic<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        block: &Block<'_, Self>,
        Weighted { weights, sums, scratch }: &mut Weighted,
    ) {
        clmul::grid::<K, I, O>(kernel, block, weights, sums, scratch);
    }

    fn weighted(words: &[Self], layout: Layout, weights: &[u64], out: &mut [Gf64]) {
        for (k, out) in out.chunks_exact_mut(Self::COUNT).enumerate() {
            for (lane, out) in out.iter_mut().enumerate() {
                let set = |row: usize| (words[row * layout.row + k * layout.column].0 >> lane & 1).wrapping_neg();
                *out = weights.iter().enumerate().fold(Gf64(0), |sum, (row, &w)| sum + Gf64(set(row) & w));
            }
        }
    }

    fn word_products(a: [&[Self]; 2], b: [&[Gf64]; 2]) -> [Gf64; 27] {
        let [own, next] = a.map(elements);
        Gf64::combined_products([&own, &next], b)
    }

    fn fold_words(v: &[Self], eq: &[Gf64; 8], out: &mut [Gf64]) {
        Gf64::fold(&elements(v), eq, out);
    }
}

/// Lane by lane.
fn elements(words: &[Lanes]) -> Folded<Gf64> {
    let mut elements = Folded::zeros(words.len() * Lanes::COUNT);
    for (word, elements) in words.iter().zip(elements.chunks_exact_mut(Lanes::COUNT)) {
        elements.iter_mut().enumerate().for_each(|(lane, element)| *element = Gf64(word.0 >> lane & 1));
    }
    elements
}

macro_rules! integers {
    ($($ring:ident),*) => {
        $(impl Checked for $ring {
            type Ext = Galois<Self>;
            type Weight = Z64;
            type Grid = Grid<Self>;
            type Statement = Integers<Self>;
            const ELEMENTS: usize = 1;

            fn bit(one: bool) -> Self {
                Self(one.into())
            }
            fn odd(self) -> bool {
                self.0 & 1 == 1
            }
            fn grid<K: Quadratic<I, O>, const I: usize, const O: usize>(
                kernel: &K,
                block: &Block<'_, Self>,
                grid: &mut Grid<Self>,
            ) {
                grid.add::<K, I, O>(kernel, block);
            }
            fn weighted(words: &[Self], layout: Layout, weights: &[u64], out: &mut [Galois<Self>]) {
                loops::weighted(words, layout, weights, out);
            }
            fn word_products(a: [&[Self]; 2], b: [&[Galois<Self>]; 2]) -> [Galois<Self>; 27] {
                loops::word_products(a, b)
            }
            fn fold_words(v: &[Self], eq: &[Galois<Self>; 8], out: &mut [Galois<Self>]) {
                loops::fold_words(v, eq, out);
            }
        })*
    };
}
integers!(Z16, Z32, Z64);
