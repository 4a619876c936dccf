//! The local half of the check: a batch's claim, its first grid, and the vectors it folds to.

use super::{
    Folded,
    ext::Ext,
    form::{Block, Scratch},
    grid,
    log::{Class, Gates, LINE},
};
use crate::{Error, prss::Stream, ring::Ring};

/// A batch of gates under random weights.
///
/// Word `j` of the lines of block `b` has a weight of its own, each output plane of a kind another; the weight of an
/// output word is the product, the same in every row of the block. A row's claim is the weighted sum of its words.
pub struct Statement<R: Ring> {
    gates: Gates<R>,
    /// Variables of the first grid.
    r: u32,
    /// For each class the weight of each of its output planes.
    planes: Vec<Vec<R::Ext>>,
    /// For each class the weights of the lines of its blocks.
    lines: Vec<Vec<[R::Ext; LINE]>>,
}

/// The values of a claim that its verifiers hold between them, and what they prove: `<a, b> = claim`.
pub struct Vectors<E: Ext> {
    /// `x_i` folded: this party's as prover, `a`.
    pub own: Folded<E>,
    /// `x_{i+1}` folded: `a` of prover `i + 1`.
    pub next: Folded<E>,
    /// `x_{i+1}` folded, through the weighted form: this party's as prover, `b`.
    pub form_next: Folded<E>,
    /// `x_i` folded, through the weighted form: `b` of prover `i - 1`.
    pub form_own: Folded<E>,
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
    pub fn new(gates: Gates<R>, coin: [u8; 16]) -> Result<Self, Error> {
        let words = gates.classes.iter().map(|c| c.blocks(1)).sum();
        let r = variables::<R>(words);
        let mut stream = Stream::with_key(coin);
        let (mut planes, mut lines) = (Vec::new(), Vec::new());
        for class in &gates.classes {
            planes.push(points::<R>(&mut stream, class.form.outputs())?);
            let weights = points::<R>(&mut stream, LINE * class.blocks(LINE << r))?;
            lines.push(weights.chunks_exact(LINE).map(|line| std::array::from_fn(|j| line[j])).collect());
        }
        Ok(Self { gates, r, planes, lines })
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
    pub fn first_level(&self) -> FirstLevel<R::Ext> {
        let (rows, points) = (1 << self.r, 3_usize.pow(self.r));
        let mut sums = vec![R::Sum::default(); points];
        let mut scratch = Scratch::default();
        let mut halves = [vec![R::Sum::default(); rows], vec![R::Sum::default(); rows]];
        for ((class, planes), lines) in self.gates.classes.iter().zip(&self.planes).zip(&self.lines) {
            let mut weights = vec![R::Ext::default(); LINE * planes.len()];
            self.each_block(class, |chunk, b, line| {
                for (weights, &plane) in weights.chunks_exact_mut(LINE).zip(planes) {
                    for (w, &word) in weights.iter_mut().zip(&lines[line]) {
                        *w = plane * word;
                    }
                }
                let at = b * self.block();
                let block = Block { own: &chunk.own, next: &chunk.next, stride: chunk.stride, at, r: self.r };
                class.form.grid(&block, &weights, &mut sums, &mut scratch);
                for (o, weights) in weights.chunks_exact(LINE).enumerate() {
                    R::rows(chunk.block(&chunk.for_prev, o, b, self.block()), weights, &mut halves[0]);
                    R::rows(chunk.block(&chunk.for_next, o, b, self.block()), weights, &mut halves[1]);
                }
            });
        }
        let finish = |sums: &[R::Sum]| sums.iter().map(|&s| R::finish(s)).collect();
        FirstLevel { grid: finish(&sums), for_prev: finish(&halves[0]), for_next: finish(&halves[1]) }
    }

    /// Folds the rows at `t`; the gates are no longer needed and their memory is given back.
    pub fn fold(self, t: &[R::Ext]) -> Vectors<R::Ext> {
        let folder = R::folder(&grid::weights(t));
        let columns = LINE * R::COLUMNS;
        let all: usize = self.gates.classes.iter().map(|c| c.form.inputs() * c.blocks(self.block()) * columns).sum();
        let all = padded(all);
        let mut v = Vectors {
            own: Folded::zeros(all),
            next: Folded::zeros(all),
            form_next: Folded::zeros(all),
            form_own: Folded::zeros(all),
        };
        let mut done = 0;
        for ((class, planes), lines) in self.gates.classes.iter().zip(&self.planes).zip(&self.lines) {
            let inputs = class.form.inputs();
            let matrix = matrix(class, planes);
            self.each_block(class, |chunk, b, line| {
                let here = done..done + inputs * columns;
                for k in 0..inputs {
                    let plane = done + k * columns..done + (k + 1) * columns;
                    R::fold(&folder, chunk.block(&chunk.own, k, b, self.block()), &mut v.own[plane.clone()]);
                    R::fold(&folder, chunk.block(&chunk.next, k, b, self.block()), &mut v.next[plane]);
                }
                let weights = R::columns(&lines[line]);
                for (from, to) in [(&v.own, &mut v.form_own), (&v.next, &mut v.form_next)] {
                    let (from, to) = (&from[here.clone()], &mut to[here.clone()]);
                    for (row, to) in matrix.iter().zip(to.chunks_exact_mut(columns)) {
                        let terms: Vec<_> = row.iter().map(|&(l, c)| (c, &from[l * columns..][..columns])).collect();
                        R::Ext::combine(&terms, &weights, to);
                    }
                }
                done += inputs * columns;
            });
        }
        v
    }

    /// Calls `f` with each block of a class: its chunk, its number in the chunk and its number in the class.
    fn each_block<'a>(&'a self, class: &'a Class<R>, mut f: impl FnMut(&'a super::log::Chunk<R>, usize, usize)) {
        let mut line = 0;
        for chunk in &class.chunks {
            for b in 0..chunk.len.div_ceil(self.block()) {
                f(chunk, b, line);
                line += 1;
            }
        }
    }
}

/// The length at which a vector of `len` elements has 8 parts of one length. Parts a power of two apart would take each other's place in
/// the cache: long ones are an odd number of lines.
pub fn padded(len: usize) -> usize {
    let part = len.div_ceil(8);
    8 * if part < 64 { part } else { part.next_multiple_of(LINE) | LINE }
}

/// Row `k` of the weighted sum of the form's matrices: `(l, c)` for each entry that is not zero.
fn matrix<R: Ring>(class: &Class<R>, planes: &[R::Ext]) -> Vec<Vec<(usize, R::Ext)>> {
    let inputs = class.form.inputs();
    let mut rows = vec![Vec::<(usize, R::Ext)>::new(); inputs];
    for (o, k, l, c) in class.form.coefficients() {
        let c = R::scale(planes[o], c);
        match rows[k].iter_mut().find(|(at, _)| *at == l) {
            Some((_, sum)) => *sum = *sum + c,
            None => rows[k].push((l, c)),
        }
    }
    rows
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
