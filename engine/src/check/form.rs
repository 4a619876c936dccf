//! The quadratic form of a gate: its kernel without the linear terms.

use super::{
    ext::Gf64,
    log::{Chunk, Kind, LINE},
};
use crate::{
    memory::{retire, zeros},
    ring::{Algebra, Deg1, Lanes, Quadratic, Ring},
    simd::{clmul, prefetch},
};
use std::{
    any::TypeId,
    ops::{Add, Mul, Sub},
};

/// The block of a chunk that is being checked: `2^r` rows of a line each, for every input.
pub struct Block<'a, R: Ring> {
    /// The inputs' planes of one component: plane `k` of this block starts at `k * stride + at`.
    pub own: &'a [R],
    /// Of the other component.
    pub next: &'a [R],
    pub stride: usize,
    pub at: usize,
    /// Variables of the rows.
    pub r: u32,
    /// What is needed soon, to be brought into the cache meanwhile.
    pub soon: Soon<'a, R>,
}

/// The planes of a block in a chunk.
#[derive(Clone, Copy)]
pub struct Part<'a, R: Ring> {
    pub chunk: &'a Chunk<R>,
    /// Where it begins in a plane.
    pub at: usize,
}

impl<R: Ring> Part<'_, R> {
    /// Brings so many words of plane `k` of the inputs into the cache.
    pub fn inputs(&self, k: usize, words: usize) {
        self.prefetch(&self.chunk.own, k, words);
        self.prefetch(&self.chunk.next, k, words);
    }

    fn prefetch(&self, planes: &[R], k: usize, words: usize) {
        let from = k * self.chunk.stride + self.at;
        if let Some(block) = planes.get(from..from + words) {
            prefetch(block);
        }
    }
}

/// What is needed after a block's grid.
#[derive(Clone, Copy)]
pub struct Soon<'a, R: Ring> {
    /// The claims of the same block.
    pub claims: Option<Part<'a, R>>,
    /// The inputs of the next one.
    pub inputs: Option<Part<'a, R>>,
}

impl<R: Ring> Soon<'_, R> {
    /// Brings one of the planes into the cache, for `n` = 0, 1, 2, ..: memory is fast if it is asked for a little at a time.
    pub fn prefetch(&self, n: usize, outputs: usize, words: usize) {
        let [k, second] = [n / 2, n % 2];
        if k < outputs {
            if let Some(part) = self.claims {
                part.prefetch([&part.chunk.for_prev, &part.chunk.for_next][second], k, words);
            }
        } else if let Some(part) = self.inputs {
            part.prefetch([&part.chunk.own, &part.chunk.next][second], k - outputs, words);
        }
    }
}

impl<R: Ring> Block<'_, R> {
    /// Row by row the word `j` of a line of the sum of both components, plane `k`.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn column(&self, k: usize, j: usize, into: &mut [R]) {
        for (l, to) in into.iter_mut().enumerate() {
            let at = k * self.stride + self.at + l * LINE + j;
            *to = self.own[at] + self.next[at];
        }
    }
}

/// Memory for combined rows, taken for a whole check, wiped when it is dropped.
pub struct Scratch<R: Ring>(Vec<R>);

impl<R: Ring> Scratch<R> {
    /// So many words, of any content.
    pub fn words(&mut self, n: usize) -> &mut [R] {
        if self.0.len() < n {
            retire(std::mem::replace(&mut self.0, zeros(n)));
        }
        &mut self.0[..n]
    }

    /// So many zeros.
    pub fn zeros(&mut self, n: usize) -> &mut [R] {
        let words = self.words(n);
        words.fill(R::default());
        words
    }
}
impl<R: Ring> Default for Scratch<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}
impl<R: Ring> Drop for Scratch<R> {
    fn drop(&mut self) {
        retire(std::mem::take(&mut self.0));
    }
}

/// The form `h` of a class of gates: the terms of degree two of their kernel.
pub trait Form<R: Ring>: Send + Sync {
    fn inputs(&self) -> usize;
    fn outputs(&self) -> usize;

    /// Adds the outputs of `h(own + next)`, point by point of the grid that the block's rows span.
    fn grid(&self, block: &Block<'_, R>, to: &mut R::Grid);

    /// The terms of each output `o`: `(o, k, l, c)`, with `k <= l`, if `c x_k x_l` is one.
    fn coefficients(&self) -> Vec<(usize, usize, usize, R)>;
}

/// The form of a kernel.
pub struct Of<K, const I: usize, const O: usize>(pub K);

impl<K: Quadratic<I, O>, const I: usize, const O: usize> Of<K, I, O> {
    /// A kernel is its type, with the numbers of its inputs and outputs: it has no data in which two of one type could differ.
    pub const KIND: Kind = {
        assert!(size_of::<K>() == 0, "a kernel has no data of its own");
        Kind::Kernel(TypeId::of::<Self>())
    };
}

impl<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize> Form<R> for Of<K, I, O> {
    fn inputs(&self) -> usize {
        I
    }
    fn outputs(&self) -> usize {
        O
    }
    fn grid(&self, block: &Block<'_, R>, to: &mut R::Grid) {
        R::grid::<K, I, O>(&self.0, block, to);
    }
    fn coefficients(&self) -> Vec<(usize, usize, usize, R)> {
        let mut terms = Vec::new();
        let at = |ones: &[usize]| {
            let mut x = [R::default(); I];
            for &k in ones {
                x[k] = R::bit(true);
            }
            homogeneous(&self.0, x, R::default())
        };
        let squares: [[R; O]; I] = std::array::from_fn(|k| at(&[k]));
        for k in 0..I {
            for l in k..I {
                let both = if k == l { squares[k] } else { at(&[k, l]) };
                for (o, both) in both.into_iter().enumerate() {
                    let c = if k == l { both } else { both - squares[k][o] - squares[l][o] };
                    if c != R::default() {
                        terms.push((o, k, l, c));
                    }
                }
            }
        }
        terms
    }
}

/// The form of sums of so many products: inputs `2 k` and `2 k + 1` are the factors of product `k`.
pub struct Products(pub usize);

impl<R: Ring> Form<R> for Products {
    fn inputs(&self) -> usize {
        2 * self.0
    }
    fn outputs(&self) -> usize {
        1
    }
    fn grid(&self, block: &Block<'_, R>, to: &mut R::Grid) {
        for k in 0..self.0 {
            let at = block.at + 2 * k * block.stride;
            R::grid::<_, 2, 1>(&crate::ring::Product, &Block { at, ..*block }, to);
        }
    }
    fn coefficients(&self) -> Vec<(usize, usize, usize, R)> {
        let one = R::bit(true);
        (0..self.0).map(|k| (0, 2 * k, 2 * k + 1, one)).collect()
    }
}

/// A polynomial's value in two parts. As an [`Algebra`] it evaluates any kernel so.
#[derive(Clone, Copy)]
pub struct Parts<A> {
    /// Of degree one.
    pub linear: A,
    /// Of degree two.
    pub square: A,
}

#[allow(clippy::inline_always)]
impl<A: Algebra> Add for Parts<A> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Self { linear: self.linear + o.linear, square: self.square + o.square }
    }
}
#[allow(clippy::inline_always)]
impl<A: Algebra> Sub for Parts<A> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Self { linear: self.linear - o.linear, square: self.square - o.square }
    }
}
#[allow(clippy::inline_always)]
impl<A: Algebra> Mul for Parts<A> {
    type Output = Self;
    /// Factors are linear forms: what they have of degree two is zero.
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        Self { linear: self.square, square: self.linear * o.linear }
    }
}
impl<A: Algebra> Algebra for Parts<A> {}

/// A kernel's outputs in their two parts.
#[allow(clippy::inline_always)]
#[inline(always)]
pub fn parts<A: Algebra, K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    x: [A; I],
    zero: A,
) -> [Parts<A>; O] {
    // Plain loops: closures would stay calls outside the enabled instructions.
    let mut inputs = [Deg1(Parts { linear: zero, square: zero }); I];
    for k in 0..I {
        inputs[k] = Deg1(Parts { linear: x[k], square: zero });
    }
    let values = kernel.eval(inputs);
    let mut parts = [Parts { linear: zero, square: zero }; O];
    for o in 0..O {
        parts[o] = values[o].0;
    }
    parts
}

/// `h(x)`.
#[allow(clippy::inline_always)]
#[inline(always)]
pub fn homogeneous<A: Algebra, K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    x: [A; I],
    zero: A,
) -> [A; O] {
    let parts = parts(kernel, x, zero);
    let mut squares = [zero; O];
    for o in 0..O {
        squares[o] = parts[o].square;
    }
    squares
}

/// The scalar twin of [`clmul::grid`](crate::simd::clmul::grid), and its definition.
pub fn grid_scalar<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    block: &Block<'_, Lanes>,
    weights: &[Gf64],
    sums: &mut [[u128; 4]],
    scratch: &mut Scratch<Lanes>,
) {
    let (rows, points) = (1 << block.r, sums.len());
    let (column, extended) = scratch.words(rows + I * points).split_at_mut(rows);
    for j in 0..LINE {
        for (k, extended) in extended.chunks_exact_mut(points).enumerate() {
            block.column(k, j, column);
            super::grid::extend_into(column, extended);
        }
        for (point, sum) in sums.iter_mut().enumerate() {
            let h = homogeneous(kernel, std::array::from_fn(|k| extended[k * points + point]), Lanes(0));
            for (o, h) in h.into_iter().enumerate() {
                sum[0] ^= clmul::product(weights[o * LINE + j].0, h.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Deg2, Z64, plain};

    #[derive(Clone, Copy)]
    struct Mixed;
    impl Quadratic<3, 2> for Mixed {
        fn eval<A: Algebra>(&self, [a, b, c]: [Deg1<A>; 3]) -> [Deg2<A>; 2] {
            [a * b + c * c - a.into(), (a + b) * (b - c) + c.into()]
        }
    }

    #[test]
    fn the_form_is_the_kernel_without_linear_terms() {
        let x = [3, 5, 7].map(Z64);
        let [a, b, c] = x;
        let expected = [a * b + c * c, (a + b) * (b - c)];
        assert_eq!(homogeneous(&Mixed, x, Z64(0)), expected);
        let whole = parts(&Mixed, x, Z64(0)).map(|p| p.linear + p.square);
        assert_eq!(whole, plain(&Mixed, x));
        let mut by_terms = [Z64(0); 2];
        for (o, k, l, c) in Form::<Z64>::coefficients(&Of::<_, 3, 2>(Mixed)) {
            assert!(k <= l);
            by_terms[o] = by_terms[o] + c * x[k] * x[l];
        }
        assert_eq!(by_terms, expected);
    }
}
