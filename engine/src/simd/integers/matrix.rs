//! Rows of matrices with weights, and vectors of words beside vectors of elements.

use super::{
    super::blocks::{Anywhere, Block as _, Integer, WORDS, Width},
    BLOCKS, POINTS, add_weighted, block, block_mut, element, spread, stored,
};
use crate::{
    check::{
        form::Scratch,
        galois::{DEGREE, Galois},
        matrix::Layout,
    },
    ring::Ring,
};

/// Columns whose sums are computed together: what the second-level cache holds for all coefficients.
const COLUMNS: usize = 8 * POINTS;

/// See [`Checked::weighted`](crate::check::Checked::weighted).
pub fn weighted<R: Integer>(words: &[R], layout: Layout, weights: &[u64], out: &mut [Galois<R>]) {
    let (mut values, mut sums) = (Scratch::default(), Scratch::default());
    for (tile, out) in out.chunks_mut(COLUMNS).enumerate() {
        let points = out.len().next_multiple_of(POINTS);
        let sums = sums.zeros(points * DEGREE);
        for (group, weights) in weights.chunks(WORDS).enumerate() {
            let values = values.zeros(points * WORDS);
            let from = tile * COLUMNS * layout.column + group * WORDS * layout.row;
            gather(&words[from..], layout, [out.len(), weights.len()], values);
            let mut all = [0; WORDS];
            all[..weights.len()].copy_from_slice(weights);
            add_weighted(values, all, sums);
        }
        elements(sums, out);
    }
}

/// Some columns of up to 8 rows, side by side.
fn gather<R: Ring>(words: &[R], Layout { row, column }: Layout, [columns, rows]: [usize; 2], values: &mut [R]) {
    if row == 1 {
        for (k, values) in values.chunks_exact_mut(WORDS).enumerate().take(columns) {
            values[..rows].copy_from_slice(&words[k * column..][..rows]);
        }
        return;
    }
    for j in 0..rows {
        let words = words[j * row..].iter().step_by(column);
        values.iter_mut().skip(j).step_by(WORDS).zip(words).take(columns).for_each(|(value, &word)| *value = word);
    }
}

vectorized! {
    /// Elements from the form in which [`add_weighted`] leaves them.
    fn elements[R: Integer][R](w; sums: &[R], out: &mut [Galois<R>]) {
        let zero = w.splat(R::default());
        for (sums, out) in sums.chunks_exact(POINTS * DEGREE).zip(out.chunks_mut(POINTS)) {
            for (eight, out) in out.chunks_mut(WORDS).enumerate() {
                for k in 0..BLOCKS {
                    let mut coefficients = [zero; WORDS];
                    for c in 0..WORDS {
                        coefficients[c] = w.load(block(sums, (WORDS * k + c) * (POINTS / WORDS) + eight));
                    }
                    let of_points = W::Block::transpose(coefficients);
                    for (point, out) in of_points.into_iter().zip(out.iter_mut()) {
                        point.store(block_mut(&mut out.0, k));
                    }
                }
            }
        }
    }

    /// See [`Checked::word_products`](crate::check::Checked::word_products).
    fn word_products[R: Integer][R](w; a: [&[R]; 2], b: [&[Galois<R>]; 2]) -> [Galois<R>; 27] {
        let part = a[0].len() / 8;
        let zero = w.splat(R::default());
        let (mut sums, mut spreads, mut words) = ([[zero; BLOCKS]; 27], [zero; 27], [[R::default(); WORDS]; 27]);
        for first in (0..part).step_by(WORDS) {
            let columns = WORDS.min(part - first);
            let mut parts = [zero; 8];
            for u in 0..8 {
                let mut both = [R::default(); WORDS];
                for k in 0..columns {
                    both[k] = a[0][u * part + first + k] + a[1][u * part + first + k];
                }
                parts[u] = w.load(&both);
            }
            spread(&parts, &mut spreads);
            for point in 0..27 {
                spreads[point].store(&mut words[point]);
            }
            for column in 0..columns {
                for k in 0..BLOCKS {
                    for u in 0..8 {
                        let at = u * part + first + column;
                        parts[u] = w.load(block(&b[0][at].0, k)) + w.load(block(&b[1][at].0, k));
                    }
                    spread(&parts, &mut spreads);
                    for point in 0..27 {
                        sums[point][k] = sums[point][k] + w.splat(words[point][column]) * spreads[point];
                    }
                }
            }
        }
        let mut out = [Galois::default(); 27];
        for point in 0..27 {
            out[point] = stored(&sums[point]);
        }
        out
    }

    /// See [`Checked::fold_words`](crate::check::Checked::fold_words).
    fn fold_words[R: Integer][R](w; v: &[R], eq: &[Galois<R>; 8], out: &mut [Galois<R>]) {
        let zero = w.splat(R::default());
        for (j, out) in out.iter_mut().enumerate() {
            let mut sum = [zero; BLOCKS];
            for u in 0..8 {
                let (word, weight) = (w.splat(v[u * (v.len() / 8) + j]), element(w, &eq[u]));
                for k in 0..BLOCKS {
                    sum[k] = sum[k] + word * weight[k];
                }
            }
            *out = stored(&sum);
        }
    }
}
