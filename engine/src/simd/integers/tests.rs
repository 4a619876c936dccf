//! The loops against their definitions.

use super::*;
use crate::{
    check::{
        ext::{Ext, combined_products_scalar, fold_scalar},
        form::Soon,
        grid::extend_into,
        log::LINE,
        matrix::Layout,
    },
    ring::{Deg1, Deg2, Z16, Z32, Z64, plain},
};
use std::cell::Cell;

thread_local! {
    /// Whether this thread runs the loops as processors without wide registers do.
    pub static PORTABLE: Cell<bool> = const { Cell::new(false) };
}

/// Without linear terms.
#[derive(Clone, Copy)]
struct Mixed;
impl Quadratic<3, 2> for Mixed {
    fn eval<A: Algebra>(&self, [a, b, c]: [Deg1<A>; 3]) -> [Deg2<A>; 2] {
        [a * b + c * c, (a + b) * (b - c)]
    }
}

/// All loops on elements made of `of`, against their definitions.
struct Of<F>(F);

impl<R: Integer, F: Fn(u64) -> R> Of<F>
where
    Galois<R>: Ext,
{
    fn words(&self, from: usize, n: usize) -> Vec<R> {
        let word = |k: usize| (self.0)((k as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678);
        (from..from + n).map(word).collect()
    }

    fn elements(&self, from: usize, n: usize) -> Vec<Galois<R>> {
        let words = self.words(DEGREE * from, DEGREE * n);
        words.chunks_exact(DEGREE).map(|c| Galois(std::array::from_fn(|k| c[k]))).collect()
    }

    fn levels_agree(&self) {
        // Fewer columns than are brought into form together, as many, and more.
        for part in [1, 8, 11] {
            let [a, b, c, d] = [1, 1000, 2000, 3000].map(|from| self.elements(from, 8 * part));
            let sum = |x: &[Galois<R>], y: &[Galois<R>]| -> Vec<_> { x.iter().zip(y).map(|(&x, &y)| x + y).collect() };
            let expected = combined_products_scalar([&sum(&a, &b)], [&sum(&c, &d)]);
            assert_eq!(combined_products([&a, &b], [&c, &d]), expected);
            // As many parts as are added up together, fewer, and more.
            for parts in [8, 1, 3].into_iter().chain((part == 11).then_some(22)) {
                let len = a.len() / parts;
                let (mut x, mut y) = (self.elements(0, len), self.elements(0, len));
                fold(&a, &b[..parts], &mut x);
                fold_scalar(&a, &b[..parts], &mut y);
                assert_eq!(x, y);
            }
        }
    }

    fn rows_agree(&self) {
        let (rows, weights) = (self.words(5, 7 * WORDS), self.elements(300, 8));
        for words in [1, 2, 5, WORDS] {
            let mut out = self.elements(0, words);
            fold_rows(&rows, &weights, &mut out);
            for (j, out) in out.into_iter().enumerate() {
                let weighted = |row: usize| weights[row].times(rows[row * WORDS + j]);
                assert_eq!(out, (0..7).fold(Galois::default(), |sum, row| sum + weighted(row)));
            }
        }
    }

    fn grids_agree(&self) {
        for r in 3..=5 {
            let (rows, points) = (1 << r, 3_usize.pow(r));
            let (stride, at) = ((3 * rows + 1) * LINE, rows * LINE);
            let (own, next) = (self.words(1, 3 * stride), self.words(9000, 3 * stride));
            let soon = Soon { claims: None, inputs: None };
            let block = Block { own: &own, next: &next, stride, at, r, soon };
            let out = (points + 3) * LINE;
            let before = self.words(77, 2 * out);
            let mut values = before.clone();
            grid::<R, Mixed, 3, 2>(&Mixed, &block, &mut values, out, &mut Scratch::default());
            for j in 0..LINE {
                let extended = [0, 1, 2].map(|k| {
                    let word = |l: usize| own[k * stride + at + l * LINE + j] + next[k * stride + at + l * LINE + j];
                    let mut extended = vec![R::default(); points];
                    extend_into(&(0..rows).map(word).collect::<Vec<_>>(), &mut extended);
                    extended
                });
                for point in 0..points {
                    let h = plain(&Mixed, extended.each_ref().map(|x| x[point]));
                    for (o, h) in h.into_iter().enumerate() {
                        let at = o * out + point * LINE + j;
                        assert_eq!(values[at], before[at] + h, "output {o} at {point} of {r} variables");
                    }
                }
            }
        }
    }

    fn weighted_forms_agree(&self) {
        let (inputs, terms) =
            (self.elements(1, 3 * WORDS), [(0, (self.0)(1)), (2, (self.0)(u64::MAX)), (1, (self.0)(3))]);
        let (weights, stride) = ([0x9e37_79b9_7f4a_7c15, u64::MAX, 1], 2);
        let before = self.elements(50, 6);
        let mut sums = before.clone();
        add_weighted_form(&weights, &terms, &inputs, &mut sums, stride);
        for (word, weight) in weights.into_iter().enumerate() {
            let form = terms.iter().fold(Galois::default(), |sum, &(l, c)| sum + inputs[WORDS * l + word].times(c));
            let weighted = Galois::point(weight).product_by_definition(form);
            assert_eq!(sums[stride * word], before[stride * word] + weighted);
            assert_eq!(sums[stride * word + 1], before[stride * word + 1]);
        }
    }

    fn weighted_sums_agree(&self) {
        let values = self.words(3, 2 * POINTS * WORDS);
        let weights: [u64; WORDS] = std::array::from_fn(|j| (j as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95));
        let before = self.words(4000, 2 * POINTS * DEGREE);
        let mut sums = before.clone();
        add_weighted(&values, weights, &mut sums);
        for point in 0..2 * POINTS {
            let at = |c: usize| point / POINTS * POINTS * DEGREE + c * POINTS + point % POINTS;
            let sum = (0..WORDS).fold(Galois(std::array::from_fn(|c| before[at(c)])), |sum, j| {
                sum + Galois::point(weights[j]).times(values[point * WORDS + j])
            });
            assert_eq!(Galois(std::array::from_fn(|c| sums[at(c)])), sum);
        }
    }

    fn matrices_agree(&self) {
        // Fewer columns than a tile has, and more; rows one after the other, and columns; overlapping rows.
        for (rows, columns, row, column) in
            [(1, 3, 3, 1), (9, 300, 300, 1), (13, 40, 1, 13), (17, 33, 2, 1), (8, 5, 1, 1), (5, 7, 0, 1)]
        {
            let words = self.words(11, (rows - 1) * row + (columns - 1) * column + 1);
            let weights: Vec<u64> = (1..=rows as u64).map(|t| t.wrapping_mul(0xd134_2543_de82_ef95)).collect();
            let mut out = self.elements(0, columns);
            weighted(&words, Layout { row, column }, &weights, &mut out);
            for (k, out) in out.into_iter().enumerate() {
                let of_row = |t: usize| Galois::point(weights[t]).times(words[t * row + k * column]);
                assert_eq!(out, (0..rows).fold(Galois::default(), |sum, t| sum + of_row(t)), "column {k}");
            }
        }
        for part in [1, 8, 11] {
            let (a, b) =
                ([5, 5000].map(|at| self.words(at, 8 * part)), [1, 1000].map(|at| self.elements(at, 8 * part)));
            let element = |words: &Vec<R>| -> Vec<_> { words.iter().map(|&x| Galois::point(1).times(x)).collect() };
            let expected = combined_products_scalar([&element(&a[0]), &element(&a[1])], [&b[0], &b[1]]);
            assert_eq!(word_products([&a[0], &a[1]], [&b[0], &b[1]]), expected);
            let eq = std::array::from_fn(|u| b[0][u % b[0].len()]);
            let (mut x, mut y) = (self.elements(0, part), self.elements(0, part));
            fold_words(&a[0], &eq, &mut x);
            fold_scalar(&element(&a[0]), &eq, &mut y);
            assert_eq!(x, y);
        }
    }

    fn agree(&self) {
        self.matrices_agree();
        self.levels_agree();
        self.rows_agree();
        self.grids_agree();
        self.weighted_sums_agree();
        self.weighted_forms_agree();
    }
}

#[test]
fn loops_are_their_definitions() {
    for portable in [false, true] {
        PORTABLE.set(portable);
        Of(|x| Z16(x as u16)).agree();
        Of(|x| Z32(x as u32)).agree();
        Of(Z64).agree();
    }
}
