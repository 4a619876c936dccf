//! The malicious mode: gates are recorded, and proved in batches.

use super::{Mode, Steps, Sums};
use crate::{
    Ctx, Error,
    check::{
        self,
        form::{Of, Products},
        log::{Chunk, Kind, Log},
        matrix::{Layout, MatrixProduct, Rows},
    },
    memory::zeros,
    ring::{Product, Quadratic, Ring},
    share::{Block, KeptRows, Matrix, Shares, Term, View, Windows, components, split_planes},
    simd::words,
};
use std::ops::Range;

/// Security with abort against one party that deviates in any way.
///
/// A wrong message is found, but with a probability below `2^-57`, before anything is released. Every gate's inputs and masks are
/// recorded; a batch is proved whenever [`Ctx::check_every`] bytes are recorded, and what is left by [`Ctx::verify`]. See the
/// [manual](crate::manual).
#[derive(Clone, Copy, Debug)]
pub enum Malicious {}

impl Mode for Malicious {
    const NAME: &'static str = "malicious";
}

/// The places in the record of a gate whose round is under way.
#[derive(Debug, Default)]
pub struct Gate {
    /// Of gates of kernels, in the order of their outputs.
    places: Vec<Place>,
    /// Of products of matrices, in the order of their outputs, one after the other: their numbers.
    products: Vec<usize>,
}

/// Neighbouring outputs of a gate.
#[derive(Debug)]
struct Place {
    /// Where they are in the gate's output.
    from: usize,
    /// How many planes of the record they are, the first of them, and how long each is.
    planes: usize,
    first: usize,
    words: usize,
    spot: Spot,
    /// The first of the wires they become, if they do.
    wires: Option<usize>,
}

/// A place in all planes of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    kind: Kind,
    chunk: usize,
    at: usize,
}

impl Steps for Malicious {
    type Log = Log;
    type Gate = Gate;
    type Site = Spot;
    type Kept<R: Ring> = Shares<R>;
    const COMPARES: bool = true;
    const RECORDS: bool = true;
    const TERMS: usize = 64;

    fn quadratic<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
        ctx: &mut Ctx<Self>,
        kernel: &K,
        x: [View<'_, R>; I],
        n: usize,
    ) -> Result<(Vec<R>, Gate), Error> {
        let site = Self::site(ctx, kernel, &x, n);
        Self::on_site(ctx, (&site, 0, None), kernel, x, n)
    }

    fn site<R: Ring, C: Quadratic<W, O>, const W: usize, const O: usize>(
        ctx: &mut Ctx<Self>,
        kernel: &C,
        x: &[View<'_, R>],
        n: usize,
    ) -> Spot {
        let kind = Of::<C, W, O>::KIND;
        let form = || Box::new(Of::<C, W, O>(*kernel)) as _;
        let (chunk, at, number) = R::gates(&mut ctx.log).reserve(kind, form, n);
        for (k, x) in x.iter().enumerate().take(W) {
            chunk.wire(k, at, *x);
        }
        Spot { kind, chunk: number, at }
    }

    fn on_site<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
        ctx: &mut Ctx<Self>,
        (site, first, wires): (&Spot, usize, Option<usize>),
        kernel: &K,
        x: [View<'_, R>; I],
        n: usize,
    ) -> Result<(Vec<R>, Gate), Error> {
        let Spot { kind, chunk, at } = *site;
        // No check gives the record up while a site is open.
        let chunk = R::gates(&mut ctx.log).chunk(kind, chunk).ok_or(Error::Poisoned)?;
        mask(ctx.prss.streams(), chunk, at, n, first..first + O)?;
        let mut z = zeros::<R>(O * n);
        let stride = chunk.stride;
        let planes = first * stride..(first + O) * stride;
        let mut masks =
            [&mut chunk.for_next[planes.clone()], &mut chunk.for_prev[planes]].map(|m| split_planes::<R, O>(m, stride));
        for mask in masks.iter_mut().flatten() {
            *mask = &mut std::mem::take(mask)[at..at + n];
        }
        R::quadratic_recorded(kernel, components(&x).into(), masks, split_planes::<R, O>(&mut z, n));
        Ok((z, Gate::of(vec![Place { from: 0, planes: O, first, words: n, spot: *site, wires }])))
    }

    fn products<R: Ring>(
        ctx: &mut Ctx<Self>,
        x: View<'_, R>,
        y: View<'_, R>,
        sums: &Sums<'_>,
    ) -> Result<(Vec<R>, Gate), Error> {
        let words = sums.words;
        let mut z = zeros::<R>(sums.len());
        let mut places = Vec::with_capacity(sums.terms.len());
        let mut first = 0;
        for (j, &terms) in sums.terms.iter().enumerate() {
            let mut sum = Sum::reserve(ctx, terms, words)?;
            let z = &mut z[j * words..][..words];
            sum.begin(z);
            for k in 0..terms {
                let from = (first + k) * words;
                let (x, y) = (x.slice(from, words)?, y.slice(from, words)?);
                sum.add(k, x, y, z);
            }
            places.push(Place { from: j * words, planes: 1, first: 0, words, spot: sum.spot, wires: None });
            first += terms;
        }
        Ok((z, Gate::of(places)))
    }

    fn terms<R: Ring>(ctx: &mut Ctx<Self>, terms: &[Term<'_, R>], sums: &Sums<'_>) -> Result<(Vec<R>, Gate), Error> {
        let [x, y] = Term::factors(terms)?;
        if sums.terms.iter().all(|&terms| terms == 1) {
            // One gate for all of them, and not one for each.
            return Self::quadratic(ctx, &Product, [x.view(), y.view()], sums.len());
        }
        Self::products(ctx, x.view(), y.view(), sums)
    }

    fn matrix_vector<R: Ring>(
        ctx: &mut Ctx<Self>,
        matrix: &Matrix<'_, R>,
        y: View<'_, R>,
    ) -> Result<(Vec<R>, Gate), Error> {
        let mut z = zeros::<R>(matrix.rows());
        let (mut gate, mut rest) = (Gate::default(), &mut z[..]);
        for block in matrix.blocks() {
            let (mine, others) = rest.split_at_mut(block.rows());
            rest = others;
            let layout = Layout { row: 1, column: block.rows() };
            let x =
                Rows { own: concat(block, |c| c.own), next: concat(block, |c| c.next), count: block.rows(), layout };
            let mut product = masked(ctx, x, rows(&Windows::new(y, 0, 1, y.len())?), y.len())?;
            begin(&product, mine);
            words::matrix_vector(block.columns(), [y.own, y.next], mine);
            for (column, &y) in block.columns().iter().zip(y.own) {
                product.for_next.iter_mut().zip(column.own).for_each(|(m, &x)| *m = *m + x * y);
            }
            gate.products.push(R::gates(&mut ctx.log).push(product));
        }
        Ok((z, gate))
    }

    fn dots<R: Ring>(ctx: &mut Ctx<Self>, pairs: &[[Windows<'_, R>; 2]]) -> Result<(Vec<R>, Gate), Error> {
        let mut z = zeros::<R>(pairs.iter().map(|[x, y]| x.count() * y.count()).sum());
        let (mut gate, mut rest) = (Gate::default(), &mut z[..]);
        for [x, y] in pairs {
            let (mine, others) = rest.split_at_mut(x.count() * y.count());
            rest = others;
            let mut product = masked(ctx, rows(x), rows(y), x.width())?;
            begin(&product, mine);
            R::dots(x, y, mine);
            let places = [[x.count(), x.step()], [y.count(), y.step()]];
            R::dots_plain([x.whole().own, y.whole().own], places, x.width(), &mut product.for_next);
            gate.products.push(R::gates(&mut ctx.log).push(product));
        }
        Ok((z, gate))
    }

    async fn dots_kept<R: Ring>(
        ctx: &mut Ctx<Self>,
        pairs: &[(KeptRows<'_, Self, R>, Windows<'_, R>)],
    ) -> Result<Shares<R>, Error> {
        let pairs: Vec<_> = pairs.iter().map(|(x, y)| Ok([x.windows()?, *y])).collect::<Result<_, Error>>()?;
        ctx.dots(&pairs).await
    }

    fn received<R: Ring>(log: &mut Log, gate: &Gate, z: View<'_, R>) -> Result<(), Error> {
        for place in &gate.places {
            let Spot { kind, chunk, at } = place.spot;
            let chunk = R::gates(log).chunk(kind, chunk).ok_or(Error::Poisoned)?;
            for k in 0..place.planes {
                let from = place.from + k * place.words;
                let z = z.slice(from, place.words)?;
                let half = &mut chunk.for_prev[(place.first + k) * chunk.stride + at..][..place.words];
                let Some(wire) = place.wires else {
                    half.iter_mut().zip(z.next).for_each(|(half, &z)| *half = z - *half);
                    continue;
                };
                let wire = (wire + k) * chunk.stride + at;
                chunk.own[wire..wire + place.words].copy_from_slice(z.own);
                for ((half, to), &z) in half.iter_mut().zip(&mut chunk.next[wire..]).zip(z.next) {
                    (*half, *to) = (z - *half, z);
                }
            }
        }
        let mut from = 0;
        for &number in &gate.products {
            let product = R::gates(log).products.get_mut(number).ok_or(Error::Poisoned)?;
            let z = z.slice(from, product.for_prev.len())?;
            product.for_prev.iter_mut().zip(z.next).for_each(|(half, &z)| *half = z - *half);
            from += z.len();
        }
        Ok(())
    }

    fn absorb(log: &mut Log, child: Log) {
        log.absorb(child);
    }

    fn recorded(log: &Log) -> usize {
        log.bytes()
    }

    async fn check(ctx: &mut Ctx<Self>) -> Result<(), Error> {
        // Seldom run, and large: not a part of every future that multiplies.
        Box::pin(check::check(ctx)).await
    }
}

impl Gate {
    fn of(places: Vec<Place>) -> Self {
        Self { places, products: Vec::new() }
    }
}

/// A copy of rows: of what they lie in if they overlap, else without what lies between them.
fn rows<R: Ring>(of: &Windows<'_, R>) -> Rows<R> {
    let (View { own, next }, step, width) = (of.whole(), of.step(), of.width());
    if step <= width {
        let layout = Layout { row: step, column: 1 };
        return Rows { own: own.to_vec(), next: next.to_vec(), count: of.count(), layout };
    }
    let pick = |words: &[R]| words.chunks(step).flat_map(|row| &row[..width]).copied().collect();
    Rows { own: pick(own), next: pick(next), count: of.count(), layout: Layout { row: width, column: 1 } }
}

/// A copy of one component of a block's columns.
fn concat<'a, R: Ring>(block: &Block<'a, R>, component: impl Fn(&View<'a, R>) -> &'a [R]) -> Vec<R> {
    let mut all = zeros::<R>(block.rows() * block.columns().len());
    for (all, column) in all.chunks_exact_mut(block.rows().max(1)).zip(block.columns()) {
        all.copy_from_slice(component(column));
    }
    all
}

/// The record of a product of matrices, with its masks.
fn masked<R: Ring>(ctx: &mut Ctx<Malicious>, x: Rows<R>, y: Rows<R>, width: usize) -> Result<MatrixProduct<R>, Error> {
    let mut product =
        MatrixProduct { for_next: zeros(x.count * y.count), for_prev: zeros(x.count * y.count), x, y, width };
    let (own, next) = ctx.prss.streams();
    own.fill(&mut product.for_next)?;
    next.fill(&mut product.for_prev)?;
    Ok(product)
}

/// The mask of what is sent.
fn begin<R: Ring>(product: &MatrixProduct<R>, z: &mut [R]) {
    for ((z, &m), &n) in z.iter_mut().zip(&product.for_next).zip(&product.for_prev) {
        *z = m - n;
    }
}

/// A sum of products on its way into the record.
struct Sum<'a, R: Ring> {
    chunk: &'a mut Chunk<R>,
    spot: Spot,
    words: usize,
}

impl<'a, R: Ring> Sum<'a, R> {
    /// Takes a place for `words` sums of so many terms, and draws their masks.
    fn reserve(ctx: &'a mut Ctx<Malicious>, terms: usize, words: usize) -> Result<Self, Error> {
        let kind = Kind::Products(terms);
        let (chunk, at, number) = R::gates(&mut ctx.log).reserve(kind, || Box::new(Products(terms)), words);
        mask(ctx.prss.streams(), chunk, at, words, 0..1)?;
        Ok(Self { chunk, spot: Spot { kind, chunk: number, at }, words })
    }

    /// The mask of what is sent.
    fn begin(&self, z: &mut [R]) {
        let own = self.spot.at..self.spot.at + self.words;
        let (m, n) = (&self.chunk.for_next[own.clone()], &self.chunk.for_prev[own]);
        for ((z, &m), &n) in z.iter_mut().zip(m).zip(n) {
            *z = m - n;
        }
    }

    /// Adds the products of two vectors, which are recorded.
    #[inline]
    fn add(&mut self, k: usize, x: View<'_, R>, y: View<'_, R>, z: &mut [R]) {
        let m = &mut self.chunk.for_next[self.spot.at..][..self.words];
        for e in 0..self.words {
            z[e] = z[e] + (x.own[e] + x.next[e]) * (y.own[e] + y.next[e]) - x.next[e] * y.next[e];
            m[e] = m[e] + x.own[e] * y.own[e];
        }
        self.chunk.wire(2 * k, self.spot.at, x);
        self.chunk.wire(2 * k + 1, self.spot.at, y);
    }
}

/// Draws the masks of a gate into its record: `rho_i`, and `rho_{i+1}`, to which the local terms are added.
fn mask<R: Ring>(
    (own, next): (&mut crate::prss::Stream, &mut crate::prss::Stream),
    chunk: &mut Chunk<R>,
    at: usize,
    n: usize,
    planes: Range<usize>,
) -> Result<(), Error> {
    for k in planes {
        let plane = k * chunk.stride + at..k * chunk.stride + at + n;
        own.fill(&mut chunk.for_next[plane.clone()])?;
        next.fill(&mut chunk.for_prev[plane])?;
    }
    Ok(())
}
