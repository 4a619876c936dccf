//! Products of matrices, each proved as one product of two vectors.
//!
//! Every element of a product `z_{tj} = <X_t, Y_j>` is a claim. With a weight for each row of either matrix they are one claim, about as many products as a row is long:
//!
//! ```text
//! sum_{t,j} a_t b_j z_{tj} = <sum_t a_t X_t, sum_j b_j Y_j>
//! ```
//!
//! The idea is Freivalds' (1977). The weights are points, so that rows are weighted with additions alone. A matrix of a single row needs no weights beside those of the other, and its words stay
//! words until the first fold is done. Lanes are products of their own, so each has one weight more.

use super::{
    Folded,
    ext::Ext,
    statement::{Vectors, fit},
};
use crate::{
    Error,
    memory::{retire, zeros},
    prss::Stream,
    ring::{Ring, Z64},
    transport::Link,
};
use std::ops::Range;

/// A product of all rows of one matrix with all rows of another, as this party has it in its record.
pub struct MatrixProduct<R: Ring> {
    pub x: Rows<R>,
    pub y: Rows<R>,
    pub width: usize,
    /// `rho_i + <x_i, y_i>` for each pair of rows, those of a row of `x` one after the other: see [`Chunk`](super::log::Chunk).
    pub for_next: Vec<R>,
    /// First `rho_{i+1}`, then `z_{i+1}` minus it.
    pub for_prev: Vec<R>,
}

/// The rows of a matrix, in both components.
pub struct Rows<R: Ring> {
    pub own: Vec<R>,
    pub next: Vec<R>,
    pub count: usize,
    pub layout: Layout,
}

/// Where the words of a matrix lie: how far a row is from the next, and a column.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub row: usize,
    pub column: usize,
}

impl<R: Ring> Drop for Rows<R> {
    fn drop(&mut self) {
        retire(std::mem::take(&mut self.own));
        retire(std::mem::take(&mut self.next));
    }
}

impl<R: Ring> Drop for MatrixProduct<R> {
    fn drop(&mut self) {
        retire(std::mem::take(&mut self.for_next));
        retire(std::mem::take(&mut self.for_prev));
    }
}

impl<R: Ring> MatrixProduct<R> {
    /// What the record takes, and the vectors that it becomes when it is checked: these can be far longer.
    pub fn bytes(&self) -> usize {
        let record = 2 * size_of::<R>() * (self.x.own.len() + self.y.own.len() + self.for_prev.len());
        record + Self::vectors(self.single().is_some()) * R::ELEMENTS * self.width * size_of::<R::Ext>()
    }

    /// Vectors of elements that a check makes of a product: of integers in a matrix of one row none.
    pub fn vectors(single: bool) -> usize {
        if R::ELEMENTS == 1 && single { 2 } else { 4 }
    }

    /// The matrix of a single row, if there is one, and the other.
    fn single(&self) -> Option<[&Rows<R>; 2]> {
        match (&self.x, &self.y) {
            (one, others) | (others, one) if one.count == 1 => Some([one, others]),
            _ => None,
        }
    }
}

/// All products of a batch as vectors whose product is claimed: words beside elements, where a matrix has a single row, and elements beside elements.
pub struct Claim<R: Ring> {
    /// This party's half as `prev` of prover `i + 1`, and as `next` of prover `i - 1`.
    pub halves: [R::Ext; 2],
    own: Vec<R>,
    next: Vec<R>,
    form_own: Folded<R::Ext>,
    form_next: Folded<R::Ext>,
    others: Vectors<R::Ext>,
}

impl<R: Ring> Drop for Claim<R> {
    fn drop(&mut self) {
        retire(std::mem::take(&mut self.own));
        retire(std::mem::take(&mut self.next));
    }
}

impl<R: Ring> Claim<R> {
    /// Draws the weights, and weights everything.
    pub async fn new(products: &[MatrixProduct<R>], weights: &mut Stream, link: &mut dyn Link) -> Result<Self, Error> {
        let width = |single| products.iter().filter(|p| p.single().is_some() == single).map(|p| p.width).sum();
        let [of_words, of_others] = [true, false].map(|single| usize::next_multiple_of(width(single), 8));
        let elements = || Folded::zeros(R::ELEMENTS * of_words);
        let mut claim = Self {
            halves: Default::default(),
            own: zeros(of_words),
            next: zeros(of_words),
            form_own: elements(),
            form_next: elements(),
            others: Vectors::zeros(R::ELEMENTS * of_others),
        };
        let mut done = [0; 2];
        for product in products {
            let single = product.single();
            let from = &mut done[usize::from(single.is_none())];
            let at = *from..*from + product.width;
            *from = at.end;
            match single {
                Some(rows) => claim.add_single(product, rows, at, weights, link).await?,
                None => claim.add(product, at, weights, link).await?,
            }
        }
        Ok(claim)
    }

    async fn add_single(
        &mut self,
        product: &MatrixProduct<R>,
        [one, others]: [&Rows<R>; 2],
        at: Range<usize>,
        weights: &mut Stream,
        link: &mut dyn Link,
    ) -> Result<(), Error> {
        let (of_rows, of_lanes) = (points(weights, others.count)?, LaneWeights::<R>::draw(weights)?);
        for (words, to) in [(&one.own, &mut self.own), (&one.next, &mut self.next)] {
            let words = words.iter().step_by(one.layout.column);
            to[at.clone()].iter_mut().zip(words).for_each(|(to, &word)| *to = word);
        }
        for (words, form) in [(&others.own, &mut self.form_own), (&others.next, &mut self.form_next)] {
            link.pause().await;
            let form = &mut form[R::ELEMENTS * at.start..R::ELEMENTS * at.end];
            R::weighted(words, others.layout, &of_rows, form);
            of_lanes.weight(form);
        }
        for (half, claims) in self.halves.iter_mut().zip([&product.for_prev, &product.for_next]) {
            let mut sum = Folded::<R::Ext>::zeros(R::ELEMENTS);
            R::weighted(claims, Layout { row: 1, column: 1 }, &of_rows, &mut sum);
            *half = *half + of_lanes.sum(&sum);
        }
        Ok(())
    }

    async fn add(
        &mut self,
        product: &MatrixProduct<R>,
        at: Range<usize>,
        weights: &mut Stream,
        link: &mut dyn Link,
    ) -> Result<(), Error> {
        let MatrixProduct { x, y, .. } = product;
        let (a, b, of_lanes) = (points(weights, x.count)?, points(weights, y.count)?, LaneWeights::<R>::draw(weights)?);
        let at = R::ELEMENTS * at.start..R::ELEMENTS * at.end;
        let v = &mut self.others;
        for (words, to) in [(&x.own, &mut v.own), (&x.next, &mut v.next)] {
            link.pause().await;
            R::weighted(words, x.layout, &a, &mut to[at.clone()]);
        }
        for (words, form) in [(&y.own, &mut v.form_own), (&y.next, &mut v.form_next)] {
            link.pause().await;
            R::weighted(words, y.layout, &b, &mut form[at.clone()]);
            of_lanes.weight(&mut form[at.clone()]);
        }
        let mut of_rows = Folded::<R::Ext>::zeros(R::ELEMENTS * x.count);
        for (half, claims) in self.halves.iter_mut().zip([&product.for_prev, &product.for_next]) {
            R::weighted(claims, Layout { row: 1, column: y.count }, &b, &mut of_rows);
            for (row, &a) in of_rows.chunks_exact(R::ELEMENTS).zip(&a) {
                *half = *half + R::Ext::point(a) * of_lanes.sum(row);
            }
        }
        Ok(())
    }

    /// The products on the grid of a level.
    pub fn products(&self) -> [R::Ext; 27] {
        let words = R::word_products([&self.own, &self.next], [&self.form_own, &self.form_next]);
        let others = self.others.products();
        std::array::from_fn(|at| words[at] + others[at])
    }

    /// Folds the eighths of all vectors, and puts what is left behind `first`.
    pub fn fold(mut self, eq: &[R::Ext; 8], first: &Vectors<R::Ext>) -> Vectors<R::Ext> {
        let [words, others] = [self.form_own.len(), self.others.own.len()].map(|len| len / 8);
        let from = first.own.len();
        let mut all = Vectors::zeros(fit(from + words + others));
        let at = from..from + words;
        R::fold_words(&self.own, eq, &mut all.own[at.clone()]);
        R::fold_words(&self.next, eq, &mut all.next[at.clone()]);
        R::Ext::fold(&self.form_own, eq, &mut all.form_own[at.clone()]);
        R::Ext::fold(&self.form_next, eq, &mut all.form_next[at]);
        self.others.fold(eq, others);
        for (first, others, all) in [
            (&first.own, &self.others.own, &mut all.own),
            (&first.next, &self.others.next, &mut all.next),
            (&first.form_own, &self.others.form_own, &mut all.form_own),
            (&first.form_next, &self.others.form_next, &mut all.form_next),
        ] {
            all[..from].copy_from_slice(first);
            all[from + words..][..others.len()].copy_from_slice(others);
        }
        all
    }
}

/// The weights of the elements that a word is, if it is more than one.
struct LaneWeights<R: Ring>(Vec<R::Ext>);

impl<R: Ring> LaneWeights<R> {
    fn draw(weights: &mut Stream) -> Result<Self, Error> {
        let n = if R::ELEMENTS == 1 { 0 } else { R::ELEMENTS };
        Ok(Self(points(weights, n)?.into_iter().map(R::Ext::point).collect()))
    }

    fn weight(&self, elements: &mut [R::Ext]) {
        if !self.0.is_empty() {
            elements.iter_mut().zip(self.0.iter().cycle()).for_each(|(x, &w)| *x = *x * w);
        }
    }

    fn sum(&self, elements: &[R::Ext]) -> R::Ext {
        if self.0.is_empty() { elements[0] } else { R::Ext::sum_of_products(elements, &self.0) }
    }
}

/// So many random points, by their coefficients.
fn points(weights: &mut Stream, n: usize) -> Result<Vec<u64>, Error> {
    let mut points = vec![Z64::default(); n];
    weights.fill(&mut points)?;
    Ok(points.into_iter().map(|point| point.0).collect())
}
