//! The malicious mode: gates are recorded, and proved in batches.

use super::{Mode, Steps, Sums};
use crate::{
    Ctx, Error,
    check::{
        self,
        form::{Of, Products},
        log::{Chunk, Kind, Log},
    },
    memory::zeros,
    ring::{Quadratic, Ring},
    share::{View, components, split_planes},
};

/// Security with abort against one party that deviates in any way.
///
/// A wrong message is found, but with a probability below `2^-56`, before anything is released. Every gate's inputs and masks are
/// recorded; a batch is proved whenever [`Ctx::check_every`] bytes are recorded, and what is left by [`Ctx::verify`]. See the
/// [manual](crate::manual).
#[derive(Clone, Copy, Debug)]
pub enum Malicious {}

impl Mode for Malicious {
    const NAME: &'static str = "malicious";
}

/// The places in the record of a gate whose round is under way: in the order of its outputs.
#[derive(Debug)]
pub struct Gate(Vec<Place>);

/// Neighbouring outputs of a gate.
#[derive(Debug)]
struct Place {
    /// Where they are in the gate's output.
    from: usize,
    /// The planes of the record, each of `words` elements.
    planes: usize,
    words: usize,
    kind: Kind,
    chunk: usize,
    at: usize,
}

impl Steps for Malicious {
    type Log = Log;
    type Gate = Gate;
    const COMPARES: bool = true;
    const TERMS: usize = 64;

    fn quadratic<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
        ctx: &mut Ctx<Self>,
        kernel: &K,
        x: [View<'_, R>; I],
        n: usize,
    ) -> Result<(Vec<R>, Gate), Error> {
        let kind = Of::<K, I, O>::KIND;
        let form = || Box::new(Of::<K, I, O>(*kernel)) as _;
        let (chunk, at, number) = R::gates(&mut ctx.log).reserve(kind, form, n);
        for (k, x) in x.iter().enumerate() {
            let to = k * chunk.stride + at;
            chunk.own[to..to + n].copy_from_slice(x.own);
            chunk.next[to..to + n].copy_from_slice(x.next);
        }
        mask(ctx.prss.streams(), chunk, at, n, O)?;
        let mut z = zeros::<R>(O * n);
        let (own, next) = components(&x);
        let (mut rho, mut one) = ([&[] as &[R]; O], split_planes::<R, O>(&mut chunk.for_prev, chunk.stride));
        for (k, (rho, one)) in rho.iter_mut().zip(&mut one).enumerate() {
            *rho = &chunk.for_next[k * chunk.stride + at..][..n];
            *one = &mut std::mem::take(one)[at..at + n];
        }
        R::quadratic_apart(kernel, own, next, rho, one, split_planes::<R, O>(&mut z, n));
        Ok((z, Gate(vec![Place { from: 0, planes: O, words: n, kind, chunk: number, at }])))
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
            let kind = Kind::Products(terms);
            let (chunk, at, number) = R::gates(&mut ctx.log).reserve(kind, || Box::new(Products(terms)), words);
            mask(ctx.prss.streams(), chunk, at, words, 1)?;
            let one = &mut chunk.for_prev[at..at + words];
            let z = &mut z[j * words..][..words];
            z.copy_from_slice(&chunk.for_next[at..at + words]);
            for k in 0..terms {
                let from = (first + k) * words;
                let (x, y) = (x.slice(from, words)?, y.slice(from, words)?);
                for (factor, v) in [x, y].into_iter().enumerate() {
                    let to = (2 * k + factor) * chunk.stride + at;
                    chunk.own[to..to + words].copy_from_slice(v.own);
                    chunk.next[to..to + words].copy_from_slice(v.next);
                }
                for e in 0..words {
                    one[e] = one[e] + x.next[e] * y.next[e];
                    z[e] = z[e] + (x.own[e] + x.next[e]) * (y.own[e] + y.next[e]);
                }
            }
            for (z, &one) in z.iter_mut().zip(&*one) {
                *z = *z - one;
            }
            places.push(Place { from: j * words, planes: 1, words, kind, chunk: number, at });
            first += terms;
        }
        Ok((z, Gate(places)))
    }

    fn received<R: Ring>(log: &mut Log, gate: &Gate, next: &[R]) {
        for place in &gate.0 {
            let Some(chunk) = R::gates(log).chunk(place.kind, place.chunk) else { continue };
            for k in 0..place.planes {
                let came = &next[place.from + k * place.words..][..place.words];
                let one = &mut chunk.for_prev[k * chunk.stride + place.at..][..place.words];
                for (half, &z) in one.iter_mut().zip(came) {
                    *half = z - *half;
                }
            }
        }
    }

    fn absorb(log: &mut Log, child: Log) {
        log.absorb(child);
    }

    fn recorded(log: &Log) -> usize {
        log.bytes()
    }

    async fn check(ctx: &mut Ctx<Self>) -> Result<(), Error> {
        check::check(ctx).await
    }
}

/// Draws the masks of a gate into its record: `rho_i`, and `rho_{i+1}`, to which the local terms are added.
fn mask<R: Ring>(
    (own, next): (&mut crate::prss::Stream, &mut crate::prss::Stream),
    chunk: &mut Chunk<R>,
    at: usize,
    n: usize,
    planes: usize,
) -> Result<(), Error> {
    for k in 0..planes {
        let plane = k * chunk.stride + at..k * chunk.stride + at + n;
        own.fill(&mut chunk.for_next[plane.clone()])?;
        next.fill(&mut chunk.for_prev[plane])?;
    }
    Ok(())
}
