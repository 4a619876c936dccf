//! Replicated shares: who holds what, and the local operations on them.

use crate::{
    Error, Party,
    memory::{retire, wipe, zeros},
    ring::{Linear, Ring},
};
use std::fmt;

mod components;
pub(crate) mod kept;
mod matrix;
mod term;
mod windows;

pub use components::Apart;
pub use kept::{Kept, KeptRows};
pub(crate) use matrix::Block;
pub use matrix::Matrix;
pub use term::Term;
pub use windows::Windows;

/// This party's two thirds of a vector of shared ring elements.
///
/// A secret `x = x_0 + x_1 + x_2` is held as
///
/// | party | `own` | `next` | lacks |
/// |---|---|---|---|
/// | P0 | `x_0` | `x_1` | `x_2` |
/// | P1 | `x_1` | `x_2` | `x_0` |
/// | P2 | `x_2` | `x_0` | `x_1` |
///
/// (Araki et al., CCS 2016, in its "two of three additive shares" form.) Structure of arrays: each component is one
/// contiguous vector. The memory is wiped on drop, `Debug` shows the length only, and the type can neither
/// be cloned nor serialized: the only way out is [`Verified`](crate::Verified).
///
/// ```compile_fail
/// fn leak(x: &trefoil_engine::Shares<trefoil_engine::Z64>) -> &[trefoil_engine::Z64] { &x.own }
/// ```
/// ```compile_fail
/// fn copy(x: &trefoil_engine::Shares<trefoil_engine::Z64>) { let _: trefoil_engine::Shares<_> = (*x).clone(); }
/// ```
pub struct Shares<R: Ring> {
    pub(crate) own: Vec<R>,
    pub(crate) next: Vec<R>,
}

impl<R: Ring> Shares<R> {
    pub(crate) fn new(own: Vec<R>, next: Vec<R>) -> Self {
        debug_assert_eq!(own.len(), next.len());
        Self { own, next }
    }

    /// `len` elements, all zero.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        Self::new(zeros(len), zeros(len))
    }

    /// A public vector in shared form: `x_0` is the value, the other two components are zero.
    #[must_use]
    pub fn public(me: Party, value: &[R]) -> Self {
        let mut public = Self::zeros(value.len());
        match me {
            Party::P0 => public.own.copy_from_slice(value),
            Party::P1 => {}
            Party::P2 => public.next.copy_from_slice(value),
        }
        public
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.own.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// All elements, borrowed.
    pub fn view(&self) -> View<'_, R> {
        View { own: &self.own, next: &self.next }
    }

    /// `N` planes of equal length, borrowed: plane `k` is elements `k * len / N ..`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the length is not a multiple of `N`.
    pub fn planes<const N: usize>(&self) -> Result<[View<'_, R>; N], Error> {
        self.view().planes()
    }

    /// Adds another vector in place.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ.
    pub fn add_assign(&mut self, o: View<'_, R>) -> Result<(), Error> {
        same("the summand", self.len(), o.len())?;
        for (a, &b) in self.own.iter_mut().zip(o.own) {
            *a = *a + b;
        }
        for (a, &b) in self.next.iter_mut().zip(o.next) {
            *a = *a + b;
        }
        Ok(())
    }

    /// Adds a vector to the elements from `at` on.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are not all there.
    pub fn add_at(&mut self, at: usize, o: View<'_, R>) -> Result<(), Error> {
        let end = at.saturating_add(o.len());
        same("the vector added to", self.len().max(end), self.len())?;
        for (mine, other) in [(&mut self.own, o.own), (&mut self.next, o.next)] {
            for (a, &b) in mine[at..end].iter_mut().zip(other) {
                *a = *a + b;
            }
        }
        Ok(())
    }

    /// Adds a public vector in place.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ.
    pub fn add_public(&mut self, me: Party, value: &[R]) -> Result<(), Error> {
        same("the public summand", self.len(), value.len())?;
        let component = match me {
            Party::P0 => &mut self.own,
            Party::P1 => return Ok(()),
            Party::P2 => &mut self.next,
        };
        for (a, &b) in component.iter_mut().zip(value) {
            *a = *a + b;
        }
        Ok(())
    }

    /// Appends another vector.
    pub fn extend(&mut self, o: View<'_, R>) {
        // A growing vector would leave its old memory behind unwiped: move to a fresh one by hand.
        let grow = |mine: &mut Vec<R>, other: &[R]| {
            if mine.capacity() - mine.len() < other.len() {
                let mut fresh = Vec::with_capacity((mine.len() + other.len()).max(2 * mine.len()));
                fresh.extend_from_slice(mine);
                wipe(mine);
                *mine = fresh;
            }
            mine.extend_from_slice(other);
        };
        grow(&mut self.own, o.own);
        grow(&mut self.next, o.next);
    }

    /// Vectors one after the other.
    #[must_use]
    pub fn concat(parts: &[View<'_, R>]) -> Self {
        let mut all = Self::zeros(parts.iter().map(View::len).sum());
        let (mut own, mut next) = (&mut all.own[..], &mut all.next[..]);
        for part in parts {
            let (o, n) = (own.split_at_mut(part.len()), next.split_at_mut(part.len()));
            o.0.copy_from_slice(part.own);
            n.0.copy_from_slice(part.next);
            (own, next) = (o.1, n.1);
        }
        all
    }

    /// Vectors one after the other, each of them alone or the sum of two.
    ///
    /// # Errors
    /// [`Error::Shape`] if the two of a sum have different lengths.
    pub fn concat_sums(parts: &[(View<'_, R>, Option<View<'_, R>>)]) -> Result<Self, Error> {
        let mut all = Self::zeros(parts.iter().map(|(part, _)| part.len()).sum());
        let (mut own, mut next) = (&mut all.own[..], &mut all.next[..]);
        for (part, plus) in parts {
            let (o, n) = (own.split_at_mut(part.len()), next.split_at_mut(part.len()));
            match plus {
                None => {
                    o.0.copy_from_slice(part.own);
                    n.0.copy_from_slice(part.next);
                }
                Some(plus) => {
                    same("the summand", part.len(), plus.len())?;
                    for (out, a, b) in [(o.0, part.own, plus.own), (n.0, part.next, plus.next)] {
                        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                            *out = a + b;
                        }
                    }
                }
            }
            (own, next) = (o.1, n.1);
        }
        Ok(all)
    }

    /// Overwrites the elements from `at` on with `o`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `o` does not fit.
    pub fn copy_from(&mut self, at: usize, o: View<'_, R>) -> Result<(), Error> {
        let end = at.saturating_add(o.len());
        if end > self.len() {
            return Err(Error::Shape { what: "the vector copied into", expected: end, got: self.len() });
        }
        self.own[at..end].copy_from_slice(o.own);
        self.next[at..end].copy_from_slice(o.next);
        Ok(())
    }

    /// Applies one local map to both components: `f(component, out)` fills `out`, of length `len`.
    ///
    /// For maps that mix elements (permutations, lane shuffles). `f` sees one component at a time; it must be pure, linear and the same
    /// on all parties, and is what a reviewer of a circuit reads;
    /// element-wise maps are better served by [`map`](View::map), whose type enforces linearity.
    #[must_use]
    pub fn rearrange(x: View<'_, R>, len: usize, mut f: impl FnMut(&[R], &mut [R])) -> Self {
        let mut out = Self::zeros(len);
        f(x.own, &mut out.own);
        f(x.next, &mut out.next);
        out
    }

    /// Applies one local map in place, to each component in turn.
    ///
    /// For straight-line programs over many elements of one vector. `f` must be linear and the same on all parties.
    pub fn update(&mut self, mut f: impl FnMut(&mut [R])) {
        f(&mut self.own);
        f(&mut self.next);
    }
}

impl<R: Ring> Drop for Shares<R> {
    fn drop(&mut self) {
        retire(std::mem::take(&mut self.own));
        retire(std::mem::take(&mut self.next));
    }
}

impl<R: Ring> fmt::Debug for Shares<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shares<{}>[{}]", R::NAME, self.len())
    }
}

/// Borrowed [`Shares`], or a part of them.
///
/// ```compile_fail
/// fn leak<'a>(x: trefoil_engine::View<'a, trefoil_engine::Z64>) -> &'a [trefoil_engine::Z64] { x.next }
/// ```
#[derive(Clone, Copy)]
pub struct View<'a, R: Ring> {
    pub(crate) own: &'a [R],
    pub(crate) next: &'a [R],
}

impl<R: Ring> View<'_, R> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.own.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// The elements `at .. at + len`.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are not all there.
    pub fn slice(self, at: usize, len: usize) -> Result<Self, Error> {
        let end = at.saturating_add(len);
        match (self.own.get(at..end), self.next.get(at..end)) {
            (Some(own), Some(next)) => Ok(Self { own, next }),
            _ => Err(Error::Shape { what: "the vector sliced", expected: end, got: self.len() }),
        }
    }

    /// `N` planes of equal length.
    ///
    /// # Errors
    /// [`Error::Shape`] if the length is not a multiple of `N`.
    pub fn planes<const N: usize>(self) -> Result<[Self; N], Error> {
        const { assert!(N > 0, "a vector has at least one plane") };
        let n = self.len() / N;
        same("the planes", n * N, self.len())?;
        Ok(std::array::from_fn(|k| Self { own: &self.own[k * n..][..n], next: &self.next[k * n..][..n] }))
    }

    /// An owned copy.
    #[must_use]
    pub fn to_shares(self) -> Shares<R> {
        let mut copy = Shares::zeros(self.len());
        copy.own.copy_from_slice(self.own);
        copy.next.copy_from_slice(self.next);
        copy
    }

    /// The sum of two vectors.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ.
    pub fn plus(self, o: Self) -> Result<Shares<R>, Error> {
        Shares::concat_sums(&[(self, Some(o))])
    }

    /// The difference of two vectors.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ.
    pub fn minus(self, o: Self) -> Result<Shares<R>, Error> {
        same("the subtrahend", self.len(), o.len())?;
        let mut difference = self.to_shares();
        for (mine, other) in [(&mut difference.own, o.own), (&mut difference.next, o.next)] {
            for (a, &b) in mine.iter_mut().zip(other) {
                *a = *a - b;
            }
        }
        Ok(difference)
    }

    /// A linear map of `I` vectors of one length to `O` planes of that length. Local.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ.
    pub fn map<K: Linear<I, O>, const I: usize, const O: usize>(kernel: &K, x: [Self; I]) -> Result<Shares<R>, Error> {
        let n = equal_lengths(&x)?;
        let mut out = Shares::zeros(O * n);
        let zero = [R::default(); O];
        let (own, next) = components(&x);
        R::linear(kernel, own, zero, split_planes(&mut out.own, n));
        R::linear(kernel, next, zero, split_planes(&mut out.next, n));
        Ok(out)
    }

    /// An affine map of `I` vectors of one length `n`, written to the places `at` of `out`: output `j` plus element `j` of
    /// `add` fills `out[at[j] .. at[j] + n]`. Local.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ, `add` has not `O` elements, or the places are not ascending, disjoint and
    /// inside `out`.
    pub fn map_into<K: Linear<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        x: [Self; I],
        add: Self,
        at: [usize; O],
        out: &mut Shares<R>,
    ) -> Result<(), Error> {
        let n = equal_lengths(&x)?;
        same("the elements added by an affine map", O, add.len())?;
        let (own, next) = components(&x);
        let mut constants = [R::default(); O];
        constants.copy_from_slice(add.own);
        R::linear(kernel, own, constants, split_at(&mut out.own, at, n)?);
        constants.copy_from_slice(add.next);
        R::linear(kernel, next, constants, split_at(&mut out.next, at, n)?);
        Ok(())
    }
}

impl<R: Ring> fmt::Debug for View<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View<{}>[{}]", R::NAME, self.len())
    }
}

/// The common length of `I` vectors.
pub(crate) fn equal_lengths<R: Ring, const I: usize>(x: &[View<'_, R>; I]) -> Result<usize, Error> {
    let n = x.first().map_or(0, View::len);
    x.iter().try_for_each(|v| same("the inputs of one gate", n, v.len()))?;
    Ok(n)
}

/// `O` planes of `n` elements out of one vector of `O * n`.
pub(crate) fn split_planes<R, const O: usize>(v: &mut [R], n: usize) -> [&mut [R]; O] {
    let mut rest = v;
    std::array::from_fn(|_| {
        let (plane, tail) = std::mem::take(&mut rest).split_at_mut(n);
        rest = tail;
        plane
    })
}

/// The two components of `I` vectors. A plain loop: for many vectors `array::map` takes as long as a kernel.
pub(crate) fn components<'a, R: Ring, const I: usize>(x: &[View<'a, R>; I]) -> ([&'a [R]; I], [&'a [R]; I]) {
    let (mut own, mut next) = ([&[] as &[R]; I], [&[] as &[R]; I]);
    for ((own, next), x) in own.iter_mut().zip(&mut next).zip(x) {
        (*own, *next) = (x.own, x.next);
    }
    (own, next)
}

/// `O` parts of `n` elements at ascending places of one vector.
fn split_at<R, const O: usize>(v: &mut [R], at: [usize; O], n: usize) -> Result<[&mut [R]; O], Error> {
    let len = v.len();
    let (mut rest, mut done) = (v, 0);
    let mut parts: [&mut [R]; O] = std::array::from_fn(|_| <&mut [R]>::default());
    for (part, at) in parts.iter_mut().zip(at) {
        let skip = at.checked_sub(done).filter(|skip| rest.len().saturating_sub(*skip) >= n);
        let skip =
            skip.ok_or(Error::Shape { what: "the places of an affine map", expected: at.saturating_add(n), got: len })?;
        let (mine, tail) = std::mem::take(&mut rest)[skip..].split_at_mut(n);
        (*part, rest, done) = (mine, tail, at + n);
    }
    Ok(parts)
}

pub(crate) fn same(what: &'static str, expected: usize, got: usize) -> Result<(), Error> {
    if expected == got { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
}
