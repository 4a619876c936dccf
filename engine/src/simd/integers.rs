//! Folds of the product check over the integers: the scalar loops, compiled for the widest instructions the processor has.
#![allow(unsafe_code)]
// A loop must be inlined into the function that enables the instructions, or it runs without them.
#![allow(clippy::inline_always)]

use crate::{
    check::{
        Checked,
        ext::{Ext, Galois, combine_scalar, combined_products_scalar, fold_scalar},
        form::{Block, Scratch, grid_scalar},
        log::LINE,
    },
    ring::{Quadratic, Ring},
};

/// Functions whose bodies are compiled three times; which is run is chosen at run time.
macro_rules! vectorized {
    ($($(#[$meta:meta])* fn $name:ident[$($generic:tt)*][$($argument:ident),*]($($arg:ident: $ty:ty),*) $(-> $ret:ty)? where [$($bound:tt)*] $body:block)*) => {$(
        $(#[$meta])*
        pub fn $name<$($generic)*>($($arg: $ty),*) $(-> $ret)? where $($bound)* {
            #[inline(always)]
            fn body<$($generic)*>($($arg: $ty),*) $(-> $ret)? where $($bound)* $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn wide<$($generic)*>($($arg: $ty),*) $(-> $ret)? where $($bound)* {
                    body::<$($argument),*>($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn narrow<$($generic)*>($($arg: $ty),*) $(-> $ret)? where $($bound)* {
                    body::<$($argument),*>($($arg),*)
                }
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the instructions were detected.
                    return unsafe { wide::<$($argument),*>($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the instructions were detected.
                    return unsafe { narrow::<$($argument),*>($($arg),*) };
                }
            }
            body::<$($argument),*>($($arg),*)
        }
    )*};
}

vectorized! {
    /// See [`Checked::rows`].
    fn rows[R: Checked][R](planes: &[R], stride: usize, weights: &[R::Ext], sums: &mut [R::Sum]) where [] {
        for (plane, line) in planes.chunks(stride).zip(weights.chunks_exact(LINE)) {
            for (row, sum) in plane.chunks_exact(LINE).zip(&mut *sums) {
                for (&word, &w) in row.iter().zip(line) {
                    R::accumulate(sum, w, word);
                }
            }
        }
    }

    /// See [`Checked::fold`].
    fn fold[R: Ring + Checked<Ext = Galois<R>, Sum = Galois<R>>, const N: usize][R, N](
        rows: &[Galois<R>], eighths: &[Galois<R>; 8], planes: [&[R]; N], out: &mut [Galois<R>]
    ) where [] {
        for (j, (out, &eighth)) in out.iter_mut().zip(eighths).enumerate() {
            let mut sum = Galois::default();
            for (row, &eq) in rows.iter().enumerate() {
                let mut word = R::default();
                for plane in planes {
                    word = word + plane[row * LINE + j];
                }
                R::accumulate(&mut sum, eq, word);
            }
            *out = eighth * sum;
        }
    }

    /// See [`Checked::grid`].
    fn grid[R: Ring + Checked, K: Quadratic<I, O>, const I: usize, const O: usize][R, K, I, O](
        kernel: &K, block: &Block<'_, R>, weights: &[R::Ext], sums: &mut [R::Sum], scratch: &mut Scratch<R>
    ) where [] {
        grid_scalar::<R, K, I, O>(kernel, block, weights, sums, scratch);
    }

    /// See [`Ext::combined_products`].
    fn combined_products[E: Ext, const N: usize][E, N](a: [&[E]; N], b: [&[E]; N]) -> [E; 27] where [] {
        combined_products_scalar(a, b)
    }

    /// See [`Ext::fold`].
    fn fold_parts[E: Ext][E](v: &[E], eq: &[E; 8], out: &mut [E]) where [] {
        fold_scalar(v, eq, out);
    }

    /// See [`Ext::combine`].
    fn combine[E: Ext][E](terms: &[(E, &[E])], weights: &[E], out: &mut [E]) where [] {
        combine_scalar(terms, weights, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Product, Z16, Z32, Z64};

    fn agrees<R: Ring + Checked<Ext = Galois<R>, Sum = Galois<R>>>(of: impl Fn(u64) -> R) {
        let word = |k: usize| of((k as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678);
        let words = |from: usize, n: usize| -> Vec<R> { (from..from + n).map(word).collect() };
        let element = |k: usize| Galois::<R>(std::array::from_fn(|c| word(64 * k + c)));
        let elements = |from: usize, n: usize| -> Vec<Galois<R>> { (from..from + n).map(element).collect() };
        let (a, b, eight) = (elements(1, 24), elements(100, 24), std::array::from_fn(|k| element(200 + k)));
        assert_eq!(combined_products([&a], [&b]), combined_products_scalar([&a], [&b]));
        let (mut x, mut y) = (elements(0, 3), elements(0, 3));
        fold_parts(&a, &eight, &mut x);
        fold_scalar(&a, &eight, &mut y);
        assert_eq!(x, y);
        let (mut x, mut y) = (elements(0, 24), elements(0, 24));
        combine(&[(eight[0], &a), (eight[1], &b)], &b, &mut x);
        combine_scalar(&[(eight[0], &a), (eight[1], &b)], &b, &mut y);
        assert_eq!(x, y);
        // Two planes of eight rows, by definition.
        let (p, q, of_rows) = (words(5, 8 * LINE), words(900, 8 * LINE), elements(300, 8));
        let mut x = elements(0, LINE);
        fold(&of_rows, &eight, [&p, &q], &mut x);
        for (j, (x, &eighth)) in x.iter().zip(&eight).enumerate() {
            let weighted = |row: usize| R::scale(of_rows[row], p[row * LINE + j] + q[row * LINE + j]);
            assert_eq!(*x, eighth * (0..8).fold(Galois::default(), |sum, row| sum + weighted(row)));
        }
        let (mut sums, line) = (elements(0, 8), elements(400, LINE));
        rows(&p, 8 * LINE, &line, &mut sums);
        for (row, sum) in sums.iter().enumerate() {
            let weighted = (0..LINE).map(|j| R::scale(line[j], p[row * LINE + j]));
            assert_eq!(*sum, weighted.fold(element(row), |sum, w| sum + w));
        }
        let both = words(7, 2 * 8 * LINE);
        let soon = crate::check::form::Soon { claims: None, inputs: None };
        let block = Block { own: &both, next: &both, stride: 8 * LINE, at: 0, r: 3, soon };
        let (mut x, mut y) = (elements(0, 27), elements(0, 27));
        grid::<R, _, 2, 1>(&Product, &block, &line, &mut x, &mut Scratch::default());
        grid_scalar::<R, _, 2, 1>(&Product, &block, &line, &mut y, &mut Scratch::default());
        assert_eq!(x, y);
    }

    #[test]
    fn loops_give_the_same_whatever_they_are_compiled_for() {
        agrees(|x| Z16(x as u16));
        agrees(|x| Z32(x as u32));
        agrees(Z64);
    }
}
