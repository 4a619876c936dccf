//! The local half of the check: a batch's claim, its first grid, and the vectors it folds to. What is common to all rings.

use super::{
    Folded,
    ext::Ext,
    form::{Form, Part},
    last::PAIRS,
    log::{Chunk, Class, Gates, LINE},
};
use crate::{Error, prss::Stream, ring::Ring, transport::Link};

/// A batch of gates under random weights.
///
/// Each word of an output plane has a weight, the same in every row of its block. A row's claim is the weighted sum of its words.
#[allow(async_fn_in_trait)] // of this module alone
pub trait Statement<R: Ring>: Sized {
    /// Draws the weights, from a coin that was thrown after the gates' messages had been sent.
    fn new(gates: Gates<R>, weights: &mut Stream) -> Result<Self, Error>;
    /// Variables of the first grid.
    fn variables(&self) -> u32;
    /// Computes all sums of the first level in one pass.
    async fn first_level(&self, link: &mut dyn Link) -> FirstLevel<R::Ext>;
    /// The form on the grid of the second level, whose rows are the eighths of each block's columns. The rows of the first are folded with
    /// `rows` on the way.
    async fn second_level(&mut self, link: &mut dyn Link, rows: &[R::Ext]) -> [R::Ext; 27];
    /// Folds the rows, and then the eighths of the columns with `eq`; gives the gates back, which are no longer needed.
    async fn fold(self, link: &mut dyn Link, rows: &[R::Ext], eq: &[R::Ext; 8]) -> (Vectors<R::Ext>, Gates<R>);
}

/// What is left of the vectors when they have been folded. A claim is about the products of two: of the prover's sum `x_i + x_{i+1}`, and of that sum
/// put through the weighted form.
pub struct Vectors<E: Ext> {
    /// `x_i` folded: what `prev` holds of this party's claim, and this party of prover `i - 1`'s.
    pub own: Folded<E>,
    /// `x_{i+1}` folded: what `next` holds of it, and this party of prover `i + 1`'s.
    pub next: Folded<E>,
    /// `own` through the weighted form.
    pub form_own: Folded<E>,
    /// `next` through the weighted form.
    pub form_next: Folded<E>,
}

impl<E: Ext> Vectors<E> {
    pub fn zeros(len: usize) -> Self {
        let zeros = || Folded::zeros(len);
        Self { own: zeros(), next: zeros(), form_own: zeros(), form_next: zeros() }
    }

    /// The products on the grid of a level.
    pub fn products(&self) -> [E; 27] {
        E::combined_products([&self.own, &self.next], [&self.form_own, &self.form_next])
    }

    /// Folds the eighths of all vectors to `len` elements, of which those that are too many are zero.
    pub fn fold(&mut self, eq: &[E; 8], len: usize) {
        for v in [&mut self.own, &mut self.next, &mut self.form_own, &mut self.form_next] {
            let mut folded = Folded::zeros(len);
            E::fold(v, eq, &mut folded);
            *v = folded;
        }
    }
}

/// The sums of the first level.
pub struct FirstLevel<E> {
    /// As prover: the form on the whole grid.
    pub grid: Vec<E>,
    /// This party's halves of the rows' claims of prover `i + 1`.
    pub for_prev: Vec<E>,
    /// And of prover `i - 1`.
    pub for_next: Vec<E>,
}

/// A block of a class: 8 words of each row, in all planes.
pub struct Place<'a, R: Ring> {
    pub chunk: &'a Chunk<R>,
    /// Where it begins in a plane.
    pub at: usize,
    /// Its own weights.
    pub weights: &'a [R::Weight],
    /// The block that comes next, to be brought into the cache meanwhile.
    pub ahead: Option<Part<'a, R>>,
}

/// The blocks of a class, of so many words, in order, each with its share of the weights.
pub fn places<'a, R: Ring>(
    class: &'a Class<R>,
    block: usize,
    weights: &'a [R::Weight],
    of_block: usize,
) -> impl Iterator<Item = Place<'a, R>> {
    let of_chunk = move |chunk: &'a Chunk<R>| (0..chunk.len.div_ceil(block)).map(move |b| (chunk, b * block));
    let mut blocks = class.chunks.iter().flat_map(of_chunk).peekable();
    let mut of_blocks = weights.chunks_exact(of_block);
    std::iter::from_fn(move || {
        let ((chunk, at), weights) = (blocks.next()?, of_blocks.next()?);
        let ahead = blocks.peek().map(|&(chunk, at)| Part { chunk, at });
        Some(Place { chunk, at, weights, ahead })
    })
}

/// The length at which a vector of `len` elements has 8 parts of one length. Parts a power of two apart would take each other's place in
/// the cache: long ones are an odd number of lines.
pub fn padded(len: usize) -> usize {
    let part = len.div_ceil(8);
    8 * if part < 64 { part } else { part.next_multiple_of(LINE) | LINE }
}

/// The length of a vector that is to be folded on, if that many elements are left.
pub fn fit(len: usize) -> usize {
    if len > PAIRS { padded(len) } else { len }
}

/// A product of an input and of a linear form in the inputs, which depends on the output it is for.
pub struct Factors<R> {
    pub input: usize,
    /// `(o, l, c)` for each term `c x_l` for output `o`.
    pub terms: Vec<(usize, usize, R)>,
}

/// The weighted sum of a class's forms as few products: of an input and a linear form each, by ascending inputs.
///
/// The inputs are chosen greedily, the one in most of the terms that are left first: each product is a vector to go on with.
pub fn factors<R: Ring>(form: &dyn Form<R>) -> Vec<Factors<R>> {
    let mut left = form.coefficients();
    let mut products = Vec::new();
    while !left.is_empty() {
        let in_terms = |x: usize| left.iter().filter(|&&(_, k, l, _)| k == x || l == x).count();
        let input = (0..form.inputs()).max_by_key(|&x| (in_terms(x), std::cmp::Reverse(x))).unwrap_or(0);
        let mut terms = Vec::new();
        left.retain(|&(o, k, l, c)| {
            let with_input = k == input || l == input;
            if with_input {
                terms.push((o, k + l - input, c));
            }
            !with_input
        });
        products.push(Factors { input, terms });
    }
    products.sort_by_key(|p| p.input);
    products
}

/// Fewer rows for fewer gates: a grid of `3^r` values should be small beside the messages it speaks for.
pub fn variables(words: usize, most: u32) -> u32 {
    (3..=most).rev().find(|&r| words >= LINE * 3_usize.pow(r)).unwrap_or(3)
}
