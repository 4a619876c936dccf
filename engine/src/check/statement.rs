//! The local half of the check: a batch's claim, its first grid, and the vectors it folds to.

use super::{
    Folded,
    ext::Ext,
    form::{Block, Part, Scratch, Soon},
    log::{Chunk, Class, Gates, LINE},
};
use crate::{Error, prss::Stream, ring::Ring, transport::Link};

/// A batch of gates under random weights.
///
/// Each output plane of a kind has a weight, each block has some, and a few are common to all; the weight of an
/// output word is a product, the same in every row of the block. A row's claim is the weighted sum of its words.
pub struct Statement<R: Ring> {
    gates: Gates<R>,
    /// Variables of the first grid.
    r: u32,
    /// The weights of the words of a line beside those of the block.
    common: [R::Ext; LINE],
    weights: Vec<Weights<R::Ext>>,
}

/// The weights of a class.
struct Weights<E> {
    /// Of each output plane.
    planes: Vec<E>,
    /// Of its blocks, some for each.
    blocks: Vec<E>,
    /// The weighted sum of the forms.
    products: Vec<Factors<E>>,
}

/// A product of an input and of a linear form in the inputs.
struct Factors<E> {
    input: usize,
    /// `(l, c)` for each term `c x_l`.
    form: Vec<(usize, E)>,
}

/// What is left of the vectors when they have been folded twice. A claim is about the products of two: of the prover's sum `x_i + x_{i+1}`, and of that sum
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

/// The sums of the first level.
pub struct FirstLevel<E> {
    /// As prover: the form on the whole grid.
    pub grid: Vec<E>,
    /// This party's halves of the rows' claims of prover `i + 1`.
    pub for_prev: Vec<E>,
    /// And of prover `i - 1`.
    pub for_next: Vec<E>,
}

impl<R: Ring> Statement<R> {
    /// Draws the weights from a coin that was thrown after the gates' messages had been sent.
    pub fn new(mut gates: Gates<R>, coin: [u8; 16]) -> Result<Self, Error> {
        gates.classes.iter_mut().flat_map(|c| &mut c.chunks).for_each(Chunk::finish);
        let words = gates.classes.iter().map(|c| c.blocks(1)).sum();
        let r = variables::<R>(words);
        let mut stream = Stream::with_key(coin);
        let common = points::<R>(&mut stream, LINE)?;
        let mut weights = Vec::new();
        for class in &gates.classes {
            let planes = points::<R>(&mut stream, class.form.outputs())?;
            let blocks = points::<R>(&mut stream, R::BLOCK_WEIGHTS * class.blocks(LINE << r))?;
            let products = products(class, &planes);
            weights.push(Weights { planes, blocks, products });
        }
        Ok(Self { gates, r, common: std::array::from_fn(|word| common[word]), weights })
    }

    /// Variables of the first grid.
    pub fn variables(&self) -> u32 {
        self.r
    }

    /// Words of a plane's block.
    fn block(&self) -> usize {
        LINE << self.r
    }

    /// Computes all sums of the first level in one pass.
    pub async fn first_level(&self, link: &mut dyn Link) -> FirstLevel<R::Ext> {
        let (rows, points) = (1 << self.r, 3_usize.pow(self.r));
        let mut sums = vec![R::Sum::default(); points];
        let mut scratch = Scratch::default();
        let mut halves = [vec![R::Sum::default(); rows], vec![R::Sum::default(); rows]];
        let ones = [R::Ext::point(1); LINE];
        for (class, weights) in self.gates.classes.iter().zip(&self.weights) {
            let mut of_words = vec![R::Ext::default(); LINE * weights.planes.len()];
            for Place { chunk, at, weights: own, ahead } in self.places(class, weights) {
                link.pause().await;
                let line = R::line(own, &self.common);
                for (of_words, &plane) in of_words.chunks_exact_mut(LINE).zip(&weights.planes) {
                    R::Ext::combine(&[(plane, &ones)], &line, of_words);
                }
                let block = Block {
                    own: &chunk.own,
                    next: &chunk.next,
                    stride: chunk.stride,
                    at,
                    r: self.r,
                    soon: Soon { claims: Some(Part { chunk, at }), inputs: ahead },
                };
                class.form.grid(&block, &of_words, &mut sums, &mut scratch);
                for (half, sums) in [&chunk.for_prev, &chunk.for_next].into_iter().zip(&mut halves) {
                    R::rows(&half[at..], chunk.stride, &of_words, sums);
                }
            }
        }
        let finish = |sums: &[R::Sum]| sums.iter().map(|&s| R::finish(s)).collect();
        FirstLevel { grid: finish(&sums), for_prev: finish(&halves[0]), for_next: finish(&halves[1]) }
    }

    /// The form on the grid of the second level, whose rows are the eighths of each block's columns. The rows of the first are folded with
    /// `rows` on the way; that is done again by [`fold`](Self::fold), which is faster than to write it to memory and read it again.
    pub async fn second_level(&self, link: &mut dyn Link, rows: &[R::Ext]) -> [R::Ext; 27] {
        let columns = LINE * R::COLUMNS;
        let fold = R::folder(rows, &R::eighths(&self.common));
        let mut sums = [R::Sum::default(); 27];
        let mut of_columns = vec![R::Ext::default(); columns];
        let (mut both, mut form) = (Folded::default(), Folded::default());
        for (class, weights) in self.gates.classes.iter().zip(&self.weights) {
            let inputs = class.form.inputs();
            for Place { chunk, at, weights: of_block, ahead } in self.places(class, weights) {
                link.pause().await;
                let (both, form) = (both.take(inputs * columns), form.take(columns));
                for (k, both) in both.chunks_exact_mut(columns).enumerate() {
                    // The block after this one, plane by plane: memory and processor work at the same time.
                    if let Some(ahead) = ahead {
                        ahead.inputs(k, self.block());
                    }
                    R::fold(
                        &fold,
                        [&chunk.own, &chunk.next].map(|planes| chunk.block(planes, k, at, self.block())),
                        both,
                    );
                }
                let (first, others) = of_columns.split_at_mut(columns / 8);
                R::within(of_block, first);
                others.chunks_exact_mut(columns / 8).for_each(|others| others.copy_from_slice(first));
                for Factors { input, form: terms } in &weights.products {
                    apply(terms, both, columns, &of_columns, form);
                    R::add_products(&both[input * columns..][..columns], form, &mut sums);
                }
            }
        }
        sums.map(R::finish)
    }

    /// Folds the rows, and then the eighths of the columns with `eq`; gives the gates back, which are no longer needed.
    pub async fn fold(self, link: &mut dyn Link, rows: &[R::Ext], eq: &[R::Ext; 8]) -> (Vectors<R::Ext>, Gates<R>) {
        let columns = LINE * R::COLUMNS;
        let left = columns / 8;
        let all: usize = self
            .gates
            .classes
            .iter()
            .zip(&self.weights)
            .map(|(c, w)| w.products.len() * c.blocks(self.block()) * left)
            .sum();
        let all = padded(all);
        let mut v = Vectors {
            own: Folded::zeros(all),
            next: Folded::zeros(all),
            form_next: Folded::zeros(all),
            form_own: Folded::zeros(all),
        };
        let factors = R::eighths(&self.common);
        let fold = R::folder(rows, &std::array::from_fn(|u| eq[u] * factors[u]));
        let mut within = vec![R::Ext::default(); left];
        let mut parts = Folded::default();
        let mut done = 0;
        for (class, weights) in self.gates.classes.iter().zip(&self.weights) {
            let inputs = class.form.inputs();
            for Place { chunk, at, weights: of_block, ahead } in self.places(class, weights) {
                link.pause().await;
                R::within(of_block, &mut within);
                let here = done..done + weights.products.len() * left;
                for (planes, to, form) in
                    [(&chunk.own, &mut v.own, &mut v.form_own), (&chunk.next, &mut v.next, &mut v.form_next)]
                {
                    let parts = parts.take(inputs * left);
                    for (k, part) in parts.chunks_exact_mut(left).enumerate() {
                        if let Some(ahead) = ahead
                            && std::ptr::eq(planes, &raw const chunk.own)
                        {
                            ahead.inputs(k, self.block());
                        }
                        R::fold_through(&fold, chunk.block(planes, k, at, self.block()), part);
                    }
                    for (product, to) in weights.products.iter().zip(to[here.clone()].chunks_exact_mut(left)) {
                        to.copy_from_slice(&parts[product.input * left..][..left]);
                    }
                    for (product, form) in weights.products.iter().zip(form[here.clone()].chunks_exact_mut(left)) {
                        apply(&product.form, parts, left, &within, form);
                    }
                }
                done = here.end;
            }
        }
        (v, self.gates)
    }

    /// The blocks of a class, in order.
    fn places<'a>(&'a self, class: &'a Class<R>, weights: &'a Weights<R::Ext>) -> impl Iterator<Item = Place<'a, R>> {
        let block = self.block();
        let of_chunk = move |chunk: &'a Chunk<R>| (0..chunk.len.div_ceil(block)).map(move |b| (chunk, b * block));
        let mut blocks = class.chunks.iter().flat_map(of_chunk).peekable();
        let mut of_blocks = weights.blocks.chunks_exact(R::BLOCK_WEIGHTS);
        std::iter::from_fn(move || {
            let ((chunk, at), weights) = (blocks.next()?, of_blocks.next()?);
            let ahead = blocks.peek().map(|&(chunk, at)| Part { chunk, at });
            Some(Place { chunk, at, weights, ahead })
        })
    }
}

/// A block of a class: 8 words of each row, in all planes.
struct Place<'a, R: Ring> {
    chunk: &'a Chunk<R>,
    /// Where it begins in a plane.
    at: usize,
    /// Its own weights.
    weights: &'a [R::Ext],
    /// The block that comes next, to be brought into the cache meanwhile.
    ahead: Option<Part<'a, R>>,
}

/// A sum of the inputs' columns, each with its weight.
fn apply<E: Ext>(terms: &[(usize, E)], inputs: &[E], columns: usize, weights: &[E], out: &mut [E]) {
    let terms: Vec<_> = terms.iter().map(|&(l, c)| (c, &inputs[l * columns..][..columns])).collect();
    E::combine(&terms, weights, out);
}

/// The length at which a vector of `len` elements has 8 parts of one length. Parts a power of two apart would take each other's place in
/// the cache: long ones are an odd number of lines.
pub fn padded(len: usize) -> usize {
    let part = len.div_ceil(8);
    8 * if part < 64 { part } else { part.next_multiple_of(LINE) | LINE }
}

/// The weighted sum of a class's forms as few products: of an input and a linear form each, by ascending inputs.
///
/// The inputs are chosen greedily, the one in most of the terms that are left first: each product is a vector to go on with. Depends on the forms alone.
fn products<R: Ring>(class: &Class<R>, planes: &[R::Ext]) -> Vec<Factors<R::Ext>> {
    let mut left = class.form.coefficients();
    let mut products = Vec::new();
    while !left.is_empty() {
        let in_terms = |x: usize| left.iter().filter(|&&(_, k, l, _)| k == x || l == x).count();
        let input = (0..class.form.inputs()).max_by_key(|&x| (in_terms(x), std::cmp::Reverse(x))).unwrap_or(0);
        let mut form = Vec::<(usize, R::Ext)>::new();
        left.retain(|&(o, k, l, c)| {
            if k != input && l != input {
                return true;
            }
            let (other, c) = (k + l - input, R::scale(planes[o], c));
            match form.iter_mut().find(|(at, _)| *at == other) {
                Some((_, sum)) => *sum = *sum + c,
                None => form.push((other, c)),
            }
            false
        });
        products.push(Factors { input, form });
    }
    products.sort_by_key(|p| p.input);
    products
}

/// Fewer rows for fewer gates: a grid of `3^r` values should be small beside the messages it speaks for.
fn variables<R: Ring>(words: usize) -> u32 {
    (3..=R::VARIABLES).rev().find(|&r| words >= 8 * 3_usize.pow(r)).unwrap_or(3).min(R::VARIABLES)
}

/// Random points.
fn points<R: Ring>(stream: &mut Stream, n: usize) -> Result<Vec<R::Ext>, Error> {
    let mut coins = vec![crate::ring::Z64::default(); n];
    stream.fill(&mut coins)?;
    Ok(coins.into_iter().map(|c| R::Ext::point(c.0)).collect())
}
