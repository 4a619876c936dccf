//! The product check over integers: sums, products and folds of elements of the Galois ring, 64 integers each.
//!
//! Products are Karatsuba's, three times over: a factor becomes 27 blocks of 8 coefficients, and what is summed is products of blocks. Blocks are put
//! together and reduced once for each sum. The definitions are in [`crate::check::galois`], and the tests compare.
#![allow(unsafe_code)]
// A loop must be inlined into the function that enables the instructions, or it runs without them.
#![allow(clippy::inline_always)]
// An index is of several arrays, and iterators over arrays are closures.
#![allow(clippy::needless_range_loop)]

use super::blocks::{Anywhere, Block as _, Integer, WORDS, Width};
use crate::{
    check::{
        form::{Block, Scratch, homogeneous},
        galois::{DEGREE, Galois},
        grid::position,
    },
    ring::{Algebra, Quadratic, Ring},
};

/// Points whose sums are computed together: what a small part of the cache holds for all coefficients.
pub const POINTS: usize = 32;
/// Blocks of an element, and as factors of Karatsuba's products.
const BLOCKS: usize = DEGREE / WORDS;
const FACTORS: usize = 27;
/// Columns that are brought into this form together.
const COLUMNS: usize = 8;
/// Products that are added up before the sums leave the registers.
const TERMS: usize = 8;

/// Functions whose bodies are compiled three times; which is run is chosen at run time. The body is given the blocks to compute with.
macro_rules! vectorized {
    ($($(#[$meta:meta])* fn $name:ident[$($generic:tt)*][$($argument:ident),*]($w:ident; $($arg:ident: $ty:ty),*) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        pub fn $name<$($generic)*>($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body<W: Width<R>, $($generic)*>($w: W, $($arg: $ty),*) $(-> $ret)? $body
            #[cfg(test)]
            if $crate::simd::integers::tests::PORTABLE.get() {
                return body::<Anywhere, $($argument),*>(Anywhere, $($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn wide<$($generic)*>(w: R::Wide, $($arg: $ty),*) $(-> $ret)? {
                    body::<R::Wide, $($argument),*>(w, $($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn narrow<$($generic)*>($($arg: $ty),*) $(-> $ret)? {
                    body::<Anywhere, $($argument),*>(Anywhere, $($arg),*)
                }
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the instructions were detected.
                    return unsafe { wide::<$($argument),*>(R::Wide::assume(), $($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the instructions were detected.
                    return unsafe { narrow::<$($argument),*>($($arg),*) };
                }
            }
            body::<Anywhere, $($argument),*>(Anywhere, $($arg),*)
        }
    )*};
}

mod matrix;
#[cfg(test)]
mod tests;

pub use matrix::{fold_words, weighted, word_products};

vectorized! {
    /// Adds words of a weighted form, one for each of `weights`, to elements of `sums` that are `stride` apart: the product of the sum of `c x_l` over the terms
    /// `(l, c)`, where the words of `x_l` begin at `WORDS * l` of `inputs`, and of the point whose coefficients are the bits of the word's weight.
    fn add_weighted_form[R: Integer][R](
        w; weights: &[u64], terms: &[(usize, R)], inputs: &[Galois<R>], sums: &mut [Galois<R>], stride: usize
    ) {
        let zero = w.splat(R::default());
        for (word, &weight) in weights.iter().enumerate() {
            let mut sum = [zero; BLOCKS];
            for &(l, c) in terms {
                let (c, input) = (w.splat(c), element(w, &inputs[WORDS * l + word]));
                for k in 0..BLOCKS {
                    sum[k] = sum[k] + c * input[k];
                }
            }
            let mut whole = [zero; 2 * BLOCKS];
            add_if_set::<R, W::Block, 8>(&sum, weight, zero, &mut whole);
            add_if_set::<R, W::Block, 7>(&sum, weight >> 1, zero, &mut whole);
            add_if_set::<R, W::Block, 6>(&sum, weight >> 2, zero, &mut whole);
            add_if_set::<R, W::Block, 5>(&sum, weight >> 3, zero, &mut whole);
            add_if_set::<R, W::Block, 4>(&sum, weight >> 4, zero, &mut whole);
            add_if_set::<R, W::Block, 3>(&sum, weight >> 5, zero, &mut whole);
            add_if_set::<R, W::Block, 2>(&sum, weight >> 6, zero, &mut whole);
            add_if_set::<R, W::Block, 1>(&sum, weight >> 7, zero, &mut whole);
            let (to, product) = (&mut sums[word * stride], lowered(&whole, zero));
            for k in 0..BLOCKS {
                let to = block_mut(&mut to.0, k);
                (w.load(to) + product[k]).store(to);
            }
        }
    }

    /// The product of two elements.
    fn product[R: Integer][R](w; x: &Galois<R>, y: &Galois<R>) -> Galois<R> {
        let zero = w.splat(R::default());
        let (mut factors, mut by) = ([[zero; FACTORS]; 2], [R::default(); WORDS]);
        spread(&element(w, x), &mut factors[0]);
        spread(&element(w, y), &mut factors[1]);
        let mut product = Sums::new(zero);
        for i in 0..FACTORS {
            factors[0][i].store(&mut by);
            let mut sums = [zero; WORDS];
            add_product(w, &by, factors[1][i], &mut sums);
            product.set(i, &sums);
        }
        stored(&product.reduced())
    }

    /// See [`Ext::fold`](crate::check::ext::Ext::fold).
    fn fold[R: Integer][R](w; v: &[Galois<R>], eq: &[Galois<R>], out: &mut [Galois<R>]) {
        let part = v.len() / eq.len();
        let zero = w.splat(R::default());
        let mut by = Vec::with_capacity(eq.len());
        let (mut factors, mut words) = ([zero; FACTORS], [[R::default(); WORDS]; FACTORS]);
        for eq in eq {
            spread(&element(w, eq), &mut factors);
            for i in 0..FACTORS {
                factors[i].store(&mut words[i]);
            }
            by.push(words);
        }
        let mut parts = [[zero; FACTORS]; TERMS];
        let mut all = [[zero; WORDS]; FACTORS];
        let mut product = Sums::new(zero);
        for (j, out) in out.iter_mut().enumerate().take(part) {
            for (n, by) in by.chunks(TERMS).enumerate() {
                for u in 0..by.len() {
                    spread(&element(w, &v[(n * TERMS + u) * part + j]), &mut parts[u]);
                }
                for i in 0..FACTORS {
                    let mut sums = if n == 0 { [zero; WORDS] } else { all[i] };
                    for u in 0..by.len() {
                        add_product(w, &by[u][i], parts[u][i], &mut sums);
                    }
                    if (n + 1) * TERMS < eq.len() {
                        all[i] = sums;
                    } else {
                        product.set(i, &sums);
                    }
                }
            }
            let sum = product.reduced();
            for k in 0..BLOCKS {
                sum[k].store(block_mut(&mut out.0, k));
            }
        }
    }

    /// See [`Ext::combined_products`](crate::check::ext::Ext::combined_products).
    fn combined_products[R: Integer][R](w; a: [&[Galois<R>]; 2], b: [&[Galois<R>]; 2]) -> [Galois<R>; 27] {
        /// Words of one factor of all elements of some columns.
        const FACTOR: usize = COLUMNS * 8 * WORDS;
        let part = a[0].len() / 8;
        let zero = w.splat(R::default());
        let (mut sums, mut factors) = (Scratch::default(), Scratch::default());
        let sums = sums.zeros(FACTORS * 27 * WORDS * WORDS);
        let (of_a, of_b) = factors.words(2 * FACTORS * FACTOR).split_at_mut(FACTORS * FACTOR);
        let mut points = [[[[R::default(); WORDS]; COLUMNS]; 27]; 2];
        let (mut spreads, mut product) = ([zero; 27], Sums::new(zero));
        for first in (0..part).step_by(COLUMNS) {
            let columns = COLUMNS.min(part - first);
            for (v, factors) in [(a, &mut *of_a), (b, &mut *of_b)] {
                for column in 0..columns {
                    for u in 0..8 {
                        let at = u * part + first + column;
                        let (mut x, y) = (element(w, &v[0][at]), element(w, &v[1][at]));
                        for (x, y) in x.iter_mut().zip(y) {
                            *x = *x + y;
                        }
                        spread(&x, &mut spreads);
                        for i in 0..FACTORS {
                            spreads[i].store(block_mut(factors, i * COLUMNS * 8 + column * 8 + u));
                        }
                    }
                }
            }
            for i in 0..FACTORS {
                for (factors, points) in [&*of_a, &*of_b].into_iter().zip(&mut points) {
                    for column in 0..columns {
                        let mut parts = [zero; 8];
                        for u in 0..8 {
                            parts[u] = w.load(block(factors, i * COLUMNS * 8 + column * 8 + u));
                        }
                        spread(&parts, &mut spreads);
                        for point in 0..27 {
                            spreads[point].store(&mut points[point][column]);
                        }
                    }
                }
                for point in 0..27 {
                    let sums = &mut sums[(i * 27 + point) * WORDS * WORDS..][..WORDS * WORDS];
                    let mut sum = [zero; WORDS];
                    for k in 0..WORDS {
                        sum[k] = w.load(block(sums, k));
                    }
                    for column in 0..columns {
                        add_product(w, &points[0][point][column], w.load(&points[1][point][column]), &mut sum);
                    }
                    for k in 0..WORDS {
                        sum[k].store(block_mut(sums, k));
                    }
                }
            }
        }
        let mut out = [Galois::default(); 27];
        for (point, out) in out.iter_mut().enumerate() {
            for i in 0..FACTORS {
                let mut sum = [zero; WORDS];
                for k in 0..WORDS {
                    sum[k] = w.load(block(sums, (i * 27 + point) * WORDS + k));
                }
                product.set(i, &sum);
            }
            *out = stored(&product.reduced());
        }
        out
    }

    /// Folds rows of 8 words with a weight each: `out[j]` becomes the sum of the weighted words `j`.
    fn fold_rows[R: Integer][R](w; rows: &[R], weights: &[Galois<R>], out: &mut [Galois<R>]) {
        let zero = w.splat(R::default());
        for (pair, out) in out.chunks_mut(2).enumerate() {
            let mut sums = [[zero; BLOCKS]; 2];
            for (row, weight) in rows.chunks_exact(WORDS).zip(weights) {
                let words = [w.splat(row[2 * pair]), w.splat(row[2 * pair + 1])];
                let weight = element(w, weight);
                for c in 0..BLOCKS {
                    for k in 0..2 {
                        sums[k][c] = sums[k][c] + words[k] * weight[c];
                    }
                }
            }
            for (out, sums) in out.iter_mut().zip(sums) {
                for c in 0..BLOCKS {
                    sums[c].store(block_mut(&mut out.0, c));
                }
            }
        }
    }

    /// Adds the outputs of `h(own + next)` on the whole grid that the block's rows span to `values`: for output `o` from `o * stride` on, 8 words for each point.
    fn grid[R: Integer, K: Quadratic<I, O>, const I: usize, const O: usize][R, K, I, O](
        w; kernel: &K, of: &Block<'_, R>, values: &mut [R], stride: usize, scratch: &mut Scratch<R>
    ) {
        let zero = w.splat(R::default());
        let points = 3_usize.pow(of.r);
        let extended = scratch.words(I * points * WORDS);
        for (k, extended) in extended.chunks_exact_mut(points * WORDS).enumerate() {
            let from = k * of.stride + of.at;
            for row in 0..1 << of.r {
                let [own, next] = [&of.own[from..], &of.next[from..]].map(|plane| block(plane, row));
                (w.load(own) + w.load(next)).store(block_mut(extended, position(row, of.r)));
            }
            // The leading coefficients, variable by variable: from what is known at 0 and 1 of it, in any place of those before.
            for variable in 0..of.r {
                let place = 3_usize.pow(variable);
                for upper in 0..1 << (of.r - 1 - variable) {
                    let from = 3 * place * position(upper, of.r);
                    for at in from..from + place {
                        let [low, high] = [at, at + place].map(|at| w.load(block(extended, at)));
                        (high - low).store(block_mut(extended, at + 2 * place));
                    }
                }
            }
        }
        for point in 0..points {
            let mut x = [zero; I];
            for k in 0..I {
                x[k] = w.load(block(extended, k * points + point));
            }
            let h = homogeneous(kernel, x, zero);
            for o in 0..O {
                let value = block_mut(&mut values[o * stride..], point);
                (w.load(value) + h[o]).store(value);
            }
        }
    }

    /// Adds weighted values to sums: `values` has 8 words for each point, a multiple of [`POINTS`] of them, and word `j` has as its weight the point of the Galois ring whose coefficients
    /// are the bits of `weights[j]`. For every [`POINTS`] points, `sums` has all of their coefficients 0, then all coefficients 1, and so on.
    ///
    /// All sums of some of 4 words are computed once, and each coefficient takes the one it needs (Arlazarov, Dinic, Kronrod, Faradzhev, 1970).
    fn add_weighted[R: Integer][R](w; values: &[R], weights: [u64; WORDS], sums: &mut [R]) {
        let mut chosen = [[0_usize; 2]; DEGREE];
        for (c, chosen) in chosen.iter_mut().enumerate() {
            for (j, weight) in weights.iter().enumerate() {
                chosen[j / 4] |= ((weight >> c & 1) as usize) << (j % 4);
            }
        }
        let zero = w.splat(R::default());
        let mut some = [[[R::default(); POINTS]; 16]; 2];
        for (values, sums) in values.chunks_exact(POINTS * WORDS).zip(sums.chunks_exact_mut(POINTS * DEGREE)) {
            for eight in 0..POINTS / WORDS {
                let mut words = [zero; WORDS];
                for (k, point) in words.iter_mut().enumerate() {
                    *point = w.load(block(values, eight * WORDS + k));
                }
                let words = W::Block::transpose(words);
                for (half, some) in some.iter_mut().enumerate() {
                    // Those without word 0 .. 3 are there before those with it.
                    let mut sum = [zero; 16];
                    for j in 0..4 {
                        for others in 0..1 << j {
                            sum[others | 1 << j] = sum[others] + words[4 * half + j];
                        }
                    }
                    for k in 0..16 {
                        sum[k].store(block_mut(&mut some[k], eight));
                    }
                }
            }
            for (sum, [first, second]) in sums.chunks_exact_mut(POINTS).zip(chosen) {
                let (first, second) = (&some[0][first & 15], &some[1][second & 15]);
                for k in 0..POINTS / WORDS {
                    let added = w.load(block(first, k)) + w.load(block(second, k));
                    let to = block_mut(sum, k);
                    (w.load(to) + added).store(to);
                }
            }
        }
    }
}

/// Eight words of a longer vector, the `at`th.
#[inline(always)]
fn block<R>(words: &[R], at: usize) -> &[R; WORDS] {
    &words.as_chunks().0[at]
}

#[inline(always)]
fn block_mut<R>(words: &mut [R], at: usize) -> &mut [R; WORDS] {
    &mut words.as_chunks_mut().0[at]
}

// Plain loops below: closures would stay calls outside the enabled instructions.

#[inline(always)]
fn element<R: Ring, W: Width<R>>(w: W, x: &Galois<R>) -> [W::Block; BLOCKS] {
    let mut blocks = [w.splat(R::default()); BLOCKS];
    for (k, to) in blocks.iter_mut().enumerate() {
        *to = w.load(block(&x.0, k));
    }
    blocks
}

#[inline(always)]
fn stored<R: Ring, B: super::blocks::Block<R>>(blocks: &[B; BLOCKS]) -> Galois<R> {
    let mut x = Galois::default();
    for k in 0..BLOCKS {
        blocks[k].store(block_mut(&mut x.0, k));
    }
    x
}

/// What is linear in three variables, from its values at 0 and 1 of each: there, and with the leading coefficients, on `{0, 1, inf}^3`.
#[inline(always)]
fn spread<A: Algebra>(x: &[A; 8], out: &mut [A; 27]) {
    for pair in 0..4 {
        let (low, high, at) = (x[2 * pair], x[2 * pair + 1], 9 * (pair / 2) + 3 * (pair % 2));
        (out[at], out[at + 1], out[at + 2]) = (low, high, high - low);
    }
    for at in [0, 1, 2, 9, 10, 11] {
        out[at + 6] = out[at + 3] - out[at];
    }
    for at in 0..9 {
        out[at + 18] = out[at + 9] - out[at];
    }
}

/// Adds the products of two blocks' words: `sums[k]` those of word `k` of the first.
#[inline(always)]
fn add_product<R: Ring, W: Width<R>>(w: W, x: &[R; WORDS], y: W::Block, sums: &mut [W::Block; WORDS]) {
    for k in 0..WORDS {
        sums[k] = sums[k] + w.splat(x[k]) * y;
    }
}

/// A sum of products, on its way from its factors' to an element. Kept from one sum to the next, so that it is not cleared each time.
struct Sums<B> {
    zero: B,
    factors: [[B; 2]; FACTORS],
    quarters: [[B; 4]; 9],
    halves: [[B; 8]; 3],
    whole: [B; 2 * BLOCKS],
}

impl<B> Sums<B> {
    #[inline(always)]
    fn new(zero: B) -> Self
    where
        B: Algebra,
    {
        let (factors, quarters, halves, whole) = ([[zero; 2]; FACTORS], [[zero; 4]; 9], [[zero; 8]; 3], [zero; 16]);
        Self { zero, factors, quarters, halves, whole }
    }

    /// Sets a factor: the coefficients of a product of blocks, of which `sums[k]` is moved up by `k` words.
    #[inline(always)]
    fn set<R: Ring>(&mut self, factor: usize, sums: &[B; WORDS])
    where
        B: super::blocks::Block<R>,
    {
        let (zero, [a, b, c, d, e, f, g, h]) = (self.zero, *sums);
        let low = (a + b.window::<7>(zero)) + (c.window::<6>(zero) + d.window::<5>(zero));
        let low = low + (e.window::<4>(zero) + f.window::<3>(zero)) + (g.window::<2>(zero) + h.window::<1>(zero));
        let high = (zero.window::<7>(b) + zero.window::<6>(c)) + (zero.window::<5>(d) + zero.window::<4>(e));
        self.factors[factor] = [low, high + (zero.window::<3>(f) + zero.window::<2>(g)) + zero.window::<1>(h)];
    }

    /// The blocks of the element, once all factors are set.
    #[inline(always)]
    fn reduced<R: Ring>(&mut self) -> [B; BLOCKS]
    where
        B: super::blocks::Block<R>,
    {
        let Self { zero, factors, quarters, halves, whole } = self;
        let zero = *zero;
        for i in 0..9 {
            join(&factors[3 * i], &factors[3 * i + 1], &factors[3 * i + 2], &mut quarters[i]);
        }
        for i in 0..3 {
            join(&quarters[3 * i], &quarters[3 * i + 1], &quarters[3 * i + 2], &mut halves[i]);
        }
        join(&halves[0], &halves[1], &halves[2], whole);
        lowered(whole, zero)
    }
}

/// The element that a polynomial is.
#[inline(always)]
fn lowered<R: Ring, B: super::blocks::Block<R>>(whole: &[B; 2 * BLOCKS], zero: B) -> [B; BLOCKS] {
    // x^64 = -(x^4 + x^3 + x + 1), and what that moves past the end comes down once more.
    let (mut out, mut before) = ([zero; BLOCKS], zero);
    for k in 0..BLOCKS {
        let high = whole[BLOCKS + k];
        out[k] = whole[k] - times_low(high, before);
        before = high;
    }
    let past = times_low(zero, before);
    out[0] = out[0] + times_low(past, zero);
    out
}

/// Adds the product of `x` and of the polynomial whose coefficient of `x^(8 k + 8 - FROM)` is bit `8 k` of `bits`.
#[inline(always)]
fn add_if_set<R: Ring, B: super::blocks::Block<R>, const FROM: i32>(
    x: &[B; BLOCKS],
    bits: u64,
    zero: B,
    whole: &mut [B; 2 * BLOCKS],
) {
    let mut sums = [zero; 2 * BLOCKS];
    for k in 0..BLOCKS {
        let set = bits >> (WORDS * k) & 1 == 1;
        for block in 0..BLOCKS {
            sums[k + block] = sums[k + block].add_if(set, x[block]);
        }
    }
    let mut below = zero;
    for k in 0..2 * BLOCKS {
        let moved = if FROM == 8 { sums[k] } else { sums[k].window::<FROM>(below) };
        whole[k] = whole[k] + moved;
        below = sums[k];
    }
}

/// A block of the product with `x^4 + x^3 + x + 1`, from the block of the factor and the one before it.
#[inline(always)]
fn times_low<R: Ring, B: super::blocks::Block<R>>(x: B, before: B) -> B {
    (x + x.window::<7>(before)) + (x.window::<5>(before) + x.window::<4>(before))
}

/// The product of two polynomials from those of their low halves, of their high halves, and of the differences of their halves.
#[inline(always)]
fn join<A: Algebra>(low: &[A], high: &[A], differences: &[A], out: &mut [A]) {
    let n = low.len();
    for k in 0..n {
        (out[k], out[n + k]) = (low[k], high[k]);
    }
    for k in 0..n {
        out[n / 2 + k] = out[n / 2 + k] + (low[k] + high[k] - differences[k]);
    }
}
