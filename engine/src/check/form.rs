//! The bilinear form of a gate: what is left of `q(u + v)` when `q(u)` and `q(v)` are taken away.

use super::log::{Kind, LINE};
use crate::{
    memory::{retire, zeros},
    ring::{Algebra, Deg1, Quadratic, Ring},
};
use std::{
    any::TypeId,
    ops::{Add, Mul, Sub},
};

/// The block of a chunk that is being checked: `2^r` rows of a line each, for every input.
pub struct Block<'a, R> {
    /// The inputs' planes of one component: plane `k` of this block starts at `k * stride + at`.
    pub own: &'a [R],
    /// Of the other component.
    pub next: &'a [R],
    pub stride: usize,
    pub at: usize,
    /// Variables of the rows.
    pub r: u32,
    /// The block that comes next, to be brought into the cache meanwhile.
    pub ahead: Option<Ahead<'a, R>>,
}

/// Where the rows of a block lie, as in [`Block`].
#[derive(Clone, Copy)]
pub struct Ahead<'a, R> {
    pub own: &'a [R],
    pub next: &'a [R],
    pub stride: usize,
    pub at: usize,
}

impl<R: Copy> Block<'_, R> {
    /// Row by row the word `j` of a line, plane `k`.
    fn column(&self, planes: &[R], k: usize, j: usize, into: &mut [R]) {
        for (l, to) in into.iter_mut().enumerate() {
            *to = planes[k * self.stride + self.at + l * LINE + j];
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

/// `b(u, v) = q(u + v) - q(u) - q(v)` for the kernel `q` of a class of gates.
pub trait Form<R: Ring>: Send + Sync {
    fn inputs(&self) -> usize;
    fn outputs(&self) -> usize;

    /// Adds to `sums`, point by point of the grid that the block's rows span, the outputs of `b(own, next)`, weighted:
    /// `weights` holds a line for each output.
    fn grid(&self, block: &Block<'_, R>, weights: &[R::Ext], sums: &mut [R::Sum], scratch: &mut Scratch<R>);

    /// The form as a matrix for each output `o`: `(o, k, l, c)` if `c u_k v_l` is a term.
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
    fn grid(&self, block: &Block<'_, R>, weights: &[R::Ext], sums: &mut [R::Sum], scratch: &mut Scratch<R>) {
        R::grid::<K, I, O>(&self.0, block, weights, sums, scratch);
    }
    fn coefficients(&self) -> Vec<(usize, usize, usize, R)> {
        let mut terms = Vec::new();
        for k in 0..I {
            for l in 0..I {
                let (mut u, mut v) = ([R::default(); I], [R::default(); I]);
                (u[k], v[l]) = (R::bit(true), R::bit(true));
                let b = polar(&self.0, u, v, R::default());
                terms.extend(b.into_iter().enumerate().filter(|(_, c)| *c != R::default()).map(|(o, c)| (o, k, l, c)));
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
    fn grid(&self, block: &Block<'_, R>, weights: &[R::Ext], sums: &mut [R::Sum], scratch: &mut Scratch<R>) {
        for k in 0..self.0 {
            let at = block.at + 2 * k * block.stride;
            R::grid::<_, 2, 1>(&crate::ring::Product, &Block { at, ..*block }, weights, sums, scratch);
        }
    }
    fn coefficients(&self) -> Vec<(usize, usize, usize, R)> {
        let one = R::bit(true);
        (0..self.0).flat_map(|k| [(0, 2 * k, 2 * k + 1, one), (0, 2 * k + 1, 2 * k, one)]).collect()
    }
}

/// Two arguments at once, and the cross terms of their products. As an [`Algebra`] it evaluates the form of any kernel.
#[derive(Clone, Copy)]
pub struct Polar<A> {
    u: A,
    v: A,
    cross: A,
}

#[allow(clippy::inline_always)]
impl<A: Algebra> Add for Polar<A> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Self { u: self.u + o.u, v: self.v + o.v, cross: self.cross + o.cross }
    }
}
#[allow(clippy::inline_always)]
impl<A: Algebra> Sub for Polar<A> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Self { u: self.u - o.u, v: self.v - o.v, cross: self.cross - o.cross }
    }
}
#[allow(clippy::inline_always)]
impl<A: Algebra> Mul for Polar<A> {
    type Output = Self;
    /// Of the result only the cross terms mean anything: no kernel multiplies it again.
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        Self { u: self.u, v: self.v, cross: self.u * o.v + self.v * o.u }
    }
}
impl<A: Algebra> Algebra for Polar<A> {}

/// `b(u, v)`.
#[allow(clippy::inline_always)]
#[inline(always)]
pub fn polar<A: Algebra, K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    u: [A; I],
    v: [A; I],
    zero: A,
) -> [A; O] {
    let mut both = [Deg1(Polar { u: zero, v: zero, cross: zero }); I];
    for k in 0..I {
        both[k] = Deg1(Polar { u: u[k], v: v[k], cross: zero });
    }
    let values = kernel.eval(both);
    let mut cross = [zero; O];
    for o in 0..O {
        cross[o] = values[o].0.cross;
    }
    cross
}

/// The scalar twin of [`Checked::grid`](super::Checked::grid), and its definition.
pub fn grid_scalar<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    block: &Block<'_, R>,
    weights: &[R::Ext],
    sums: &mut [R::Sum],
    scratch: &mut Scratch<R>,
) {
    let (rows, points) = (1 << block.r, sums.len());
    let (column, extended) = scratch.words(rows + 2 * I * points).split_at_mut(rows);
    let (own, next) = extended.split_at_mut(I * points);
    for j in 0..LINE {
        for (planes, extended) in [(block.own, &mut *own), (block.next, &mut *next)] {
            for (k, extended) in extended.chunks_exact_mut(points).enumerate() {
                block.column(planes, k, j, column);
                super::grid::extend_into(column, extended);
            }
        }
        for (point, sum) in sums.iter_mut().enumerate() {
            let b = polar(
                kernel,
                std::array::from_fn(|k| own[k * points + point]),
                std::array::from_fn(|k| next[k * points + point]),
                R::default(),
            );
            for (o, b) in b.into_iter().enumerate() {
                R::accumulate(sum, weights[o * LINE + j], b);
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
    fn the_form_is_what_squares_and_linear_terms_leave() {
        let (u, v) = ([3, 5, 7].map(Z64), [11, 13, 17].map(Z64));
        let sum = std::array::from_fn(|k| u[k] + v[k]);
        let (qs, qu, qv) = (plain(&Mixed, sum), plain(&Mixed, u), plain(&Mixed, v));
        let expected: [Z64; 2] = std::array::from_fn(|o| qs[o] - qu[o] - qv[o]);
        assert_eq!(polar(&Mixed, u, v, Z64(0)), expected);
        let mut by_terms = [Z64(0); 2];
        for (o, k, l, c) in Form::<Z64>::coefficients(&Of::<_, 3, 2>(Mixed)) {
            by_terms[o] = by_terms[o] + c * u[k] * v[l];
        }
        assert_eq!(by_terms, expected);
    }
}
