//! What the check needs of each ring.

use super::{
    Checked,
    bits::{Bits, Weighted},
    ext::Gf64,
    form::Block,
    galois::Galois,
    integers::{Grid, Integers},
};
use crate::{
    ring::{Lanes, Quadratic, Z16, Z32, Z64},
    simd::clmul,
};

impl Checked for Lanes {
    type Ext = Gf64;
    type Weight = Gf64;
    type Grid = Weighted;
    type Statement = Bits;

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
}

macro_rules! integers {
    ($($ring:ident),*) => {
        $(impl Checked for $ring {
            type Ext = Galois<Self>;
            type Weight = Z64;
            type Grid = Grid<Self>;
            type Statement = Integers<Self>;

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
        })*
    };
}
integers!(Z16, Z32, Z64);
