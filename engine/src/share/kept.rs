//! Vectors that are kept to be multiplied many times, each mode's in the form that costs it least.

use super::{Shares, View, Windows, same};
use crate::{Error, Mode, memory::wipe, ring::Ring};
use bytemuck::Zeroable;
use std::fmt;

/// A growing vector of shared elements, kept to be multiplied many times: [`Ctx::dots_kept`](crate::Ctx::dots_kept).
///
/// In malicious mode it is both components, as [`Shares`]. In semi-honest mode it is one element for each, this party's value in Shamir's sharing over a Galois ring,
/// which takes half the memory and half the multiplications. A row of it that is multiplied begins at an even place. Wiped on drop; no element comes out of it.
pub struct Kept<M: Mode, R: Ring>(pub(crate) M::Kept<R>);

impl<M: Mode, R: Ring> Kept<M, R> {
    /// Memory that an element takes.
    pub const ELEMENT_BYTES: usize = M::Kept::<R>::ELEMENT_BYTES;

    /// No elements, and memory for some.
    #[must_use]
    pub fn with_capacity(elements: usize) -> Self {
        Self(Form::with_capacity(elements))
    }

    /// Appends elements. Beyond the capacity, they are moved.
    pub fn push(&mut self, x: View<'_, R>) {
        self.0.push(x);
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// So many rows of `width` elements, of which the first begins at `from`, and each other one `step` elements after the one before.
    ///
    /// # Errors
    /// [`Error::Shape`] if the vector ends before the last row, or one of the numbers but the count is odd.
    pub fn rows(&self, from: usize, step: usize, [count, width]: [usize; 2]) -> Result<KeptRows<'_, M, R>, Error> {
        for (what, number) in
            [("the place of kept rows", from), ("the distance of kept rows", step), ("their width", width)]
        {
            same(what, number.next_multiple_of(2), number)?;
        }
        let before = count.saturating_sub(1).checked_mul(step);
        let len = before.and_then(|before| before.checked_add(if count == 0 { 0 } else { width }));
        let end = len.and_then(|len| len.checked_add(from));
        same("the end of kept rows at least", self.len().max(end.unwrap_or(usize::MAX)), self.len())?;
        Ok(KeptRows { of: &self.0, from, step, count, width })
    }
}

impl<M: Mode, R: Ring> fmt::Debug for Kept<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept<{}>[{}]", R::NAME, self.len())
    }
}

/// Rows of one width in a vector that is kept.
pub struct KeptRows<'a, M: Mode, R: Ring> {
    pub(crate) of: &'a M::Kept<R>,
    pub(crate) from: usize,
    pub(crate) step: usize,
    pub(crate) count: usize,
    pub(crate) width: usize,
}

impl<M: Mode, R: Ring> KeptRows<'_, M, R> {
    /// The number of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Elements of a row.
    pub fn width(&self) -> usize {
        self.width
    }
}

impl<M: Mode, R: Ring> fmt::Debug for KeptRows<'_, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptRows<{}>[{} x {}]", R::NAME, self.count, self.width)
    }
}

/// A form in which a mode keeps vectors.
pub trait Form<R: Ring>: Send + Sync + Sized {
    const ELEMENT_BYTES: usize;
    fn with_capacity(elements: usize) -> Self;
    fn push(&mut self, x: View<'_, R>);
    fn len(&self) -> usize;
}

impl<R: Ring> Form<R> for Shares<R> {
    const ELEMENT_BYTES: usize = 2 * size_of::<R>();

    fn with_capacity(elements: usize) -> Self {
        Self::new(Vec::with_capacity(elements), Vec::with_capacity(elements))
    }

    fn push(&mut self, x: View<'_, R>) {
        self.extend(x);
    }

    fn len(&self) -> usize {
        Shares::len(self)
    }
}

impl<'a, R: Ring, M: Mode<Kept<R> = Shares<R>>> KeptRows<'a, M, R> {
    pub(crate) fn windows(&self) -> Result<Windows<'a, R>, Error> {
        let of = self.of.view();
        Windows::new(of.slice(self.from, of.len() - self.from)?, self.step, self.count, self.width)
    }
}

/// A vector as one element for each instead of two, in Shamir's form.
///
/// Two neighbouring elements are taken as one of `R[w]` with `w^2 + w + 1 = 0`, a Galois ring. There `1`, `w` and `w^2` differ by units, so that these are points for a polynomial of degree one that is the secret at zero.
/// Party `i`, at `w^i`, gets its value from the two components it holds: `x_i (1 - w^2) + x_{i+1} (1 - w)`. Products of two such values are of degree two, and the secret product is a third of the sum of all three
/// parties'. So a third of the product of its two values is a party's additive share, for which a replicated sharing takes two products. That of `a + b w` and `c - d w` has `ac + bd` as its part without `w`: neighbours are
/// added up as in a product of vectors, and of the products of the ring only that part is needed, two multiplications for two elements.
///
/// **Security** a party computes its value from what it holds. **Source** Cramer, Damgard and Ishai (TCC 2005) for the conversion, Abspoel et al. (TCC 2019) for Shamir's sharing over Galois rings.
pub struct Folded<R: Ring> {
    lines: Vec<Line>,
    len: usize,
    of: std::marker::PhantomData<R>,
}

/// A line of the cache: what lies in these is loaded without crossing any.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u64; 8]);

impl<R: Ring> Form<R> for Folded<R> {
    const ELEMENT_BYTES: usize = size_of::<R>();

    fn with_capacity(elements: usize) -> Self {
        Self { lines: Vec::with_capacity(elements.div_ceil(Self::IN_LINE)), len: 0, of: std::marker::PhantomData }
    }

    fn push(&mut self, x: View<'_, R>) {
        // An odd one at the end has waited for its neighbour, as one beside a zero.
        let mut at = self.grow(x.len());
        let mut from = 0;
        if at % 2 == 1 && from < x.len() {
            let [own, next] = [x.own[0], x.next[0]];
            let zero = R::default();
            let [low, high] = fold([zero, own], [zero, next]);
            let all = self.words_mut();
            (all[at - 1], all[at]) = (all[at - 1] + low, all[at] + high);
            (at, from) = (at + 1, 1);
        }
        map_pairs([&x.own[from..], &x.next[from..]], &mut self.words_mut()[at..], fold);
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl<R: Ring> Folded<R> {
    const IN_LINE: usize = size_of::<Line>() / size_of::<R>();

    /// Factors for the folded rows of others: the vector as what such rows are multiplied with, element by element.
    pub(crate) fn factors(x: View<'_, R>) -> Self {
        let mut all = Self::with_capacity(x.len());
        all.grow(x.len());
        let zero = R::default();
        map_pairs([x.own, x.next], all.words_mut(), |[a, b], [c, d]| {
            let [low, high] = fold([a, zero - b], [c, zero - d]);
            [R::THIRD * low, R::THIRD * (zero - high)]
        });
        all
    }

    /// All elements; one past the last if their number is odd.
    pub(crate) fn words(&self) -> &[R] {
        &bytemuck::cast_slice(&self.lines)[..self.len.next_multiple_of(2)]
    }

    fn words_mut(&mut self) -> &mut [R] {
        let len = self.len.next_multiple_of(2);
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..len]
    }

    /// Makes room for more elements, and says where they go.
    fn grow(&mut self, more: usize) -> usize {
        let at = self.len;
        let lines = (at + more).next_multiple_of(2).div_ceil(Self::IN_LINE);
        if lines > self.lines.capacity() {
            // As in `Shares::extend`: nothing is left behind.
            let mut fresh = Vec::with_capacity(lines.max(2 * self.lines.len()));
            fresh.extend_from_slice(&self.lines);
            wipe(&mut self.lines);
            self.lines = fresh;
        }
        self.lines.resize(lines, Line::zeroed());
        self.len = at + more;
        at
    }
}

impl<R: Ring> Drop for Folded<R> {
    fn drop(&mut self) {
        wipe(&mut self.lines);
    }
}

fn cast<R: Ring>(of: &[R]) -> &[[R; 2]] {
    bytemuck::cast_slice(of)
}

/// Maps pairs of neighbours in two vectors; the last one of an odd number has a zero beside it.
fn map_pairs<R: Ring>([own, next]: [&[R]; 2], out: &mut [R], f: impl Fn([R; 2], [R; 2]) -> [R; 2]) {
    let (even, zero) = (own.len() / 2 * 2, R::default());
    let (pairs, last) = out.split_at_mut(even);
    // Slices of arrays: the compiler makes the wide form of it.
    let pairs: &mut [[R; 2]] = bytemuck::cast_slice_mut(pairs);
    for ((out, &own), &next) in pairs.iter_mut().zip(cast(&own[..even])).zip(cast(&next[..even])) {
        *out = f(own, next);
    }
    if even < own.len() {
        last.copy_from_slice(&f([own[even], zero], [next[even], zero]));
    }
}

/// A party's value of `a + b w`, by the components it holds.
fn fold<R: Ring>([a, b]: [R; 2], [c, d]: [R; 2]) -> [R; 2] {
    [a + a - b + c + d, a + b + d + d - c]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Party,
        client::split_with,
        prelude::*,
        ring::{Z32, dots_plain},
    };
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    fn products<R: Ring>(word: impl Fn(u64) -> R) {
        let x: Vec<R> = (0..40).map(&word).collect();
        let y: Vec<R> = (100..140).map(&word).collect();
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let [shared_x, shared_y] =
            [&x, &y].map(|v| split_with(v, &mut rng).map(crate::client::InputShare::into_shares));
        // In parts of even and odd lengths.
        for parts in [vec![40], vec![2, 38], vec![1, 1, 3, 0, 5, 30]] {
            let mut sum = R::default();
            for (x, y) in shared_x.iter().zip(&shared_y) {
                let mut kept = Kept::<SemiHonest, R>::with_capacity(10);
                let mut at = 0;
                for len in &parts {
                    kept.push(x.view().slice(at, *len).unwrap());
                    at += len;
                }
                assert_eq!(kept.len(), 40);
                let mut z = [R::default()];
                let rows = kept.rows(0, 2, [1, 40]).unwrap();
                dots_plain([rows.of.words(), Folded::factors(y.view()).words()], [[1, 40], [1, 40]], 40, &mut z);
                sum = sum + z[0];
            }
            let due = x.iter().zip(&y).fold(R::default(), |sum, (&x, &y)| sum + x * y);
            assert_eq!(sum, due, "{}, {parts:?}", R::NAME);
        }
    }

    #[test]
    fn the_values_of_the_parties_give_additive_shares_of_products() {
        let word = |k: u64| (k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ k << 7;
        products(|k| Z16((word(k) >> 9) as u16));
        products(|k| Z32((word(k) >> 9) as u32));
        products(|k| Z64(word(k)));
        products(|k| Lanes(word(k)));
    }

    #[test]
    fn rows_are_within_the_vector_and_begin_at_even_places() {
        fn check<M: Mode>(x: &Shares<Z16>) {
            let mut kept = Kept::<M, Z16>::with_capacity(0);
            kept.push(x.view());
            let fits = |from, step, shape| kept.rows(from, step, shape).is_ok();
            assert!(fits(0, 10, [3, 10]) && fits(10, 0, [9, 20]) && fits(30, 2, [1, 0]) && fits(0, 30, [1, 30]));
            assert!(!fits(0, 10, [3, 12]) && !fits(2, 10, [3, 10]) && !fits(0, usize::MAX - 1, [3, 2]));
            assert!(!fits(1, 2, [1, 2]) && !fits(0, 3, [1, 2]) && !fits(0, 2, [1, 3]));
            assert_eq!(
                format!("{kept:?} {:?}", kept.rows(0, 10, [3, 10]).unwrap()),
                "Kept<Z16>[30] KeptRows<Z16>[3 x 10]"
            );
        }
        let x = Shares::public(Party::P0, &[Z16(1); 30]);
        check::<SemiHonest>(&x);
        check::<Malicious>(&x);
    }
}
