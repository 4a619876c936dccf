//! Carry-less products and folds of the product check: wide where the processor can, each with a safe scalar twin.

#[cfg(target_arch = "x86_64")]
mod x86;

use crate::{
    check::{
        ext::{Gf64, combine_scalar, combined_products_scalar, fold_scalar},
        form::{Block, Scratch, grid_scalar},
        log::LINE,
    },
    ring::{Lanes, Quadratic},
};

/// The instructions used.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Level {
    /// None but the integer ones.
    Portable,
    /// PCLMULQDQ: one product at a time.
    Single,
    /// AVX-512 with VPCLMULQDQ and GFNI: four products an instruction, and bit matrices.
    Wide,
}

impl Level {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        return x86::detect();
        #[cfg(not(target_arch = "x86_64"))]
        Self::Portable
    }
}

/// The product of two polynomials over the field of two elements, in time that does not depend on them.
pub fn product(a: u64, b: u64) -> u128 {
    #[cfg(target_arch = "x86_64")]
    if let Some(product) = x86::product(Level::detect(), a, b) {
        return product;
    }
    product_portable(a, b)
}

/// By integer products of numbers with holes, whose carries fall into the holes (Pornin, `BearSSL`, `ghash_ctmul64`): that gives the low half, and
/// of the reversed factors the reversed high half.
fn product_portable(a: u64, b: u64) -> u128 {
    let low = |a: u64, b: u64| {
        const HOLES: u64 = 0x1111_1111_1111_1111;
        let parts = |x: u64| [0, 1, 2, 3].map(|k| x & HOLES << k);
        let (a, b) = (parts(a), parts(b));
        (0..4).fold(0, |sum, k| {
            let part = (0..4).fold(0, |part, i| part ^ a[i].wrapping_mul(b[(4 + k - i) % 4]));
            sum | part & HOLES << k
        })
    };
    let high = low(a.reverse_bits(), b.reverse_bits()).reverse_bits() >> 1;
    u128::from(high) << 64 | u128::from(low(a, b))
}

/// Where the column of bit `bit` of word `word` of a line is among the line's columns after a fold.
///
/// The order in which bytes and bits are transposed by the wide form: both verifiers need the same one, whatever their processors.
pub fn column(word: usize, bit: usize) -> usize {
    let (s, u) = ((word & 1) * 4 + bit / 16, bit % 16 / 2);
    (s * 8 + u) * 8 + (word & !1) + bit % 2
}

/// Adds the weighted words of each row to the row's sum. Plane `k` begins at `k * stride` of `planes`; `weights` holds a line for each.
pub fn rows(planes: &[Lanes], stride: usize, weights: &[Gf64], sums: &mut [[u128; 4]]) {
    rows_at(Level::detect(), planes, stride, weights, sums);
}

fn rows_at(level: Level, planes: &[Lanes], stride: usize, weights: &[Gf64], sums: &mut [[u128; 4]]) {
    #[cfg(target_arch = "x86_64")]
    if x86::rows(level, planes, stride, weights, sums) {
        return;
    }
    let _ = level;
    for (plane, line) in planes.chunks(stride).zip(weights.chunks_exact(LINE)) {
        for (row, sum) in plane.chunks_exact(LINE).zip(&mut *sums) {
            for (word, w) in row.iter().zip(line) {
                sum[0] ^= product(word.0, w.0);
            }
        }
    }
}

/// See [`Form::grid`](crate::check::form::Form::grid). At the rows themselves, which the prover does not send, the sums may be left out.
pub fn grid<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    block: &Block<'_, Lanes>,
    weights: &[Gf64],
    sums: &mut [[u128; 4]],
    scratch: &mut Scratch<Lanes>,
) {
    #[cfg(target_arch = "x86_64")]
    if x86::grid::<K, I, O>(Level::detect(), kernel, block, weights, sums, scratch) {
        return;
    }
    grid_scalar::<K, I, O>(kernel, block, weights, sums, scratch);
}

/// The weights of a fold of rows and of the columns' eighths: as numbers, row by row for each eighth, and as bit matrices.
pub struct RowFold {
    /// The product of a row's weight and of an eighth's.
    eq: Vec<Gf64>,
    /// For each eighth, each 8 rows, and each byte of the result, the matrix that maps the rows' bits to that byte.
    matrices: Vec<u64>,
}

impl RowFold {
    /// With a weight for each row, a multiple of 8 of them, and for each eighth.
    pub fn new(rows: &[Gf64], eighths: &[Gf64; 8]) -> Self {
        let eq: Vec<_> = eighths.iter().flat_map(|&s| rows.iter().map(move |&l| s * l)).collect();
        let matrices = matrices(&eq);
        Self { eq, matrices }
    }

    /// Folds the rows of the sum of some planes' blocks to columns with the weights of their eighths.
    pub fn apply<const N: usize>(&self, planes: [&[Lanes]; N], out: &mut [Gf64]) {
        self.apply_at(Level::detect(), planes, out);
    }

    fn apply_at<const N: usize>(&self, level: Level, planes: [&[Lanes]; N], out: &mut [Gf64]) {
        #[cfg(target_arch = "x86_64")]
        if x86::fold_rows(level, self, planes, out) {
            return;
        }
        let _ = level;
        out.fill(Gf64(0));
        self.scalar(planes, |column, weighted| out[column] = out[column] + weighted);
    }

    /// Folds the rows of a plane's block, and the eighths to one.
    pub fn apply_through(&self, plane: &[Lanes], out: &mut [Gf64]) {
        self.apply_through_at(Level::detect(), plane, out);
    }

    fn apply_through_at(&self, level: Level, plane: &[Lanes], out: &mut [Gf64]) {
        #[cfg(target_arch = "x86_64")]
        if x86::fold_through(level, self, plane, out) {
            return;
        }
        let _ = level;
        out.fill(Gf64(0));
        self.scalar([plane], |column, weighted| out[column % 64] = out[column % 64] + weighted);
    }

    /// Gives each column's weighted bits.
    fn scalar<const N: usize>(&self, planes: [&[Lanes]; N], mut add: impl FnMut(usize, Gf64)) {
        let rows = self.eq.len() / 8;
        for (word, bit) in (0..LINE).flat_map(|word| (0..Lanes::COUNT).map(move |bit| (word, bit))) {
            let at = column(word, bit);
            for (row, eq) in self.eq[at / 64 * rows..][..rows].iter().enumerate() {
                let word = planes.iter().fold(0, |sum, plane| sum ^ plane[row * LINE + word].0);
                add(at, Gf64(eq.0 & (word >> bit & 1).wrapping_neg()));
            }
        }
    }
}

/// The matrices of [`RowFold`], 8 for each 8 weights.
fn matrices(eq: &[Gf64]) -> Vec<u64> {
    // Byte 7 - i of a matrix gives bit i of the output, from the bits of a byte, of which the lowest is the last row's.
    let of_byte = |eight: &[Gf64], byte: usize| {
        let rows = eight.iter().rev().fold(0, |m, eq| m >> 8 | (eq.0 >> (8 * byte) & 0xff) << 56);
        transpose8(rows).swap_bytes()
    };
    eq.chunks_exact(8).flat_map(|eight| (0..8).map(move |byte| of_byte(eight, byte))).collect()
}

/// Transposes 8 x 8 bits: bit `c` of byte `r` becomes bit `r` of byte `c` (Warren, Hacker's Delight, section 7-3).
fn transpose8(mut m: u64) -> u64 {
    for (shift, mask) in [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)] {
        let t = (m ^ m >> shift) & mask;
        m ^= t ^ t << shift;
    }
    m
}

/// See [`Ext::combined_products`](crate::check::ext::Ext::combined_products).
pub fn combined_products(a: [&[Gf64]; 2], b: [&[Gf64]; 2]) -> [Gf64; 27] {
    #[cfg(target_arch = "x86_64")]
    if let Some(sums) = x86::combined_products(Level::detect(), a, b) {
        return sums;
    }
    combined_products_scalar(a, b)
}

/// Adds what [`combined_products`] gives for one vector each.
pub fn add_products(a: &[Gf64], b: &[Gf64], sums: &mut [[u128; 4]; 27]) {
    #[cfg(target_arch = "x86_64")]
    if x86::add_products(Level::detect(), a, b, sums) {
        return;
    }
    for (sum, products) in sums.iter_mut().zip(combined_products_scalar([a], [b])) {
        sum[0] ^= u128::from(products.0);
    }
}

/// See [`Ext::fold`](crate::check::ext::Ext::fold).
pub fn fold(v: &[Gf64], eq: &[Gf64; 8], out: &mut [Gf64]) {
    #[cfg(target_arch = "x86_64")]
    if x86::fold(Level::detect(), v, eq, out) {
        return;
    }
    fold_scalar(v, eq, out);
}

/// `out[j]` becomes `weights[j]` times the sum of `c * v[j]` over the terms `(c, v)`.
pub fn combine(terms: &[(Gf64, &[Gf64])], weights: &[Gf64], out: &mut [Gf64]) {
    #[cfg(target_arch = "x86_64")]
    if x86::combine(Level::detect(), terms, weights, out) {
        return;
    }
    combine_scalar(terms, weights, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::{form::Soon, grid::between},
        ring::{Algebra, Deg1, Deg2},
    };
    use proptest::prelude::*;

    #[derive(Clone, Copy)]
    struct Mixed;
    impl Quadratic<3, 2> for Mixed {
        #[allow(clippy::inline_always)]
        #[inline(always)]
        fn eval<A: Algebra>(&self, [a, b, c]: [Deg1<A>; 3]) -> [Deg2<A>; 2] {
            [a * b + c * c - a.into(), (a + b) * (b - c) + c.into()]
        }
    }

    fn fill<T>(n: usize, seed: u64, f: impl Fn(u64) -> T) -> Vec<T> {
        let mut s = seed;
        let mut next = || {
            s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (s ^ s >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        (0..n).map(|_| f(next())).collect()
    }

    fn by_definition(a: u64, b: u64) -> u128 {
        (0..64).fold(0, |p, k| p ^ ((u128::from(a) << k) * u128::from(b >> k & 1)))
    }

    proptest! {
        #[test]
        fn products_of_every_level_are_the_definition(a: u64, b: u64) {
            prop_assert_eq!(product_portable(a, b), by_definition(a, b));
            prop_assert_eq!(product(a, b), by_definition(a, b));
            prop_assert_eq!(product_portable(u64::MAX, b), by_definition(u64::MAX, b));
        }

        #[test]
        fn folds_and_products_agree_with_their_scalar_twins(seed: u64, part in 1_usize..40) {
            let (a, b) = (fill(8 * part, seed, Gf64), fill(8 * part, !seed, Gf64));
            let (c, d) = (fill(8 * part, seed ^ 1, Gf64), fill(8 * part, seed ^ 2, Gf64));
            prop_assert_eq!(combined_products([&a, &c], [&b, &d]), combined_products_scalar([&a, &c], [&b, &d]));
            let zero = vec![Gf64(0); 8 * part];
            let sum = |x: &[Gf64], y: &[Gf64]| -> Vec<Gf64> { x.iter().zip(y).map(|(&x, &y)| x + y).collect() };
            let (s, t) = (sum(&a, &c), sum(&b, &d));
            prop_assert_eq!(combined_products([&a, &c], [&b, &d]), combined_products([&s, &zero], [&t, &zero]));
            let (mut sums, eights) = ([[1; 4]; 27], s.len() / 64 * 64);
            add_products(&s[..eights], &t[..eights], &mut sums);
            let of_eights = combined_products_scalar([&s[..eights]], [&t[..eights]]);
            for (sum, expected) in sums.into_iter().zip(of_eights) {
                prop_assert_eq!(Gf64::reduce(sum[0] ^ sum[1] ^ sum[2] ^ sum[3]), expected);
            }
            let eq: [Gf64; 8] = std::array::from_fn(|u| b[u]);
            let (mut x, mut y) = (vec![Gf64(0); part], vec![Gf64(0); part]);
            fold(&a, &eq, &mut x);
            fold_scalar(&a, &eq, &mut y);
            prop_assert_eq!(x, y);
            let terms = [(b[0], &a[..8 * part / 2 * 2]), (b[1], &b[..8 * part / 2 * 2])];
            let (mut x, mut y) = (vec![Gf64(0); a.len()], vec![Gf64(0); a.len()]);
            combine(&terms, &a, &mut x);
            combine_scalar(&terms, &a, &mut y);
            prop_assert_eq!(x, y);
        }
    }

    #[test]
    fn rows_fold_alike_on_every_level() {
        for r in 3..=6 {
            let rows = 1 << r;
            let plane = fill(rows * LINE, 7, Lanes);
            let eighths = std::array::from_fn(|s| Gf64(0x1234_5678_9abc_def1 << s));
            let by = RowFold::new(&fill(rows, 8, Gf64), &eighths);
            let (mut x, mut y) = (vec![Gf64(0); 64 * LINE], vec![Gf64(0); 64 * LINE]);
            by.apply([&plane], &mut x);
            by.apply_at(Level::Portable, [&plane], &mut y);
            assert_eq!(x, y, "{rows} rows");
            let (mut one, mut two) = ([Gf64(0); 64], [Gf64(0); 64]);
            by.apply_through(&plane, &mut one);
            by.apply_through_at(Level::Portable, &plane, &mut two);
            assert_eq!(one, two, "{rows} rows, and then eighths");
            fold_scalar(&x, &[Gf64(1); 8], &mut two);
            assert_eq!(one, two, "the sum of the eighths");
            let unit = RowFold::new(&fill(rows, 8, Gf64), &[Gf64(1); 8]);
            unit.apply([&plane], &mut y);
            let weighted = y.iter().zip(eighths.iter().flat_map(|e| [e; 64])).map(|(&y, &e)| y * e);
            assert!(weighted.eq(x.iter().copied()), "{rows} rows, each eighth with its weight");
            let other = fill(rows * LINE, 6, Lanes);
            by.apply([&plane, &other], &mut x);
            by.apply_at(Level::Portable, [&plane, &other], &mut y);
            assert_eq!(x, y, "{rows} rows of two planes");
            // Three planes, a line between them, and no more words than needed.
            let (stride, weights) = ((rows + 1) * LINE, fill(3 * LINE, 9, Gf64));
            let planes = fill(2 * stride + rows * LINE, 10, Lanes);
            let (mut x, mut y) = (vec![[1_u128; 4]; rows], vec![[1_u128; 4]; rows]);
            rows_at(Level::detect(), &planes, stride, &weights, &mut x);
            rows_at(Level::Portable, &planes, stride, &weights, &mut y);
            let value = |s: &[u128; 4]| Gf64::reduce(s[0] ^ s[1] ^ s[2] ^ s[3]);
            assert!(x.iter().map(value).eq(y.iter().map(value)));
        }
    }

    #[test]
    fn grids_agree_with_their_scalar_twin_between_the_rows() {
        for r in 3..=6 {
            let (stride, at) = ((3 << r) * LINE + LINE, LINE << r);
            let (own, next) = (fill(3 * stride, 1, Lanes), fill(3 * stride, 2, Lanes));
            let block = Block { own: &own, next: &next, stride, at, r, soon: Soon { claims: None, inputs: None } };
            let weights = fill(2 * LINE, 3, Gf64);
            let (mut x, mut y) = (vec![[0; 4]; 3_usize.pow(r)], vec![[0; 4]; 3_usize.pow(r)]);
            grid::<_, 3, 2>(&Mixed, &block, &weights, &mut x, &mut Scratch::default());
            grid_scalar::<_, 3, 2>(&Mixed, &block, &weights, &mut y, &mut Scratch::default());
            let value = |s: &[u128; 4]| Gf64::reduce(s[0] ^ s[1] ^ s[2] ^ s[3]);
            for point in between(r) {
                assert_eq!(value(&x[point]), value(&y[point]), "point {point} of {r} variables");
            }
        }
    }
}
