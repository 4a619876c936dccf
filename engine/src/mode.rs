//! The security mode: what is recorded for each gate, and how it is checked.

mod malicious;

use crate::{
    Ctx, Error,
    ring::{Quadratic, Ring},
    share::{
        KeptRows, Matrix, Shares, Term, View, Windows, components,
        kept::{Folded, Form},
        split_planes,
    },
};
use std::future::Future;

pub use malicious::Malicious;

/// What a strand does to be able to prove, later, that its gates were computed honestly.
///
/// A type parameter and not a flag: a circuit is written once for every mode, and a strand of one mode cannot be joined into one of another.
/// Shares carry neither mode nor session: that a program has one root strand, and opens what was computed below it, is its author's care. Sealed: modes are part of the audited core.
///
/// ```compile_fail
/// use trefoil_engine::prelude::*;
/// struct Careless;
/// impl Mode for Careless { const NAME: &'static str = "careless"; }
/// ```
pub trait Mode: Steps {
    /// The name used on the command line and in result rows.
    const NAME: &'static str;
}

/// The steps in which modes differ. Not nameable outside the crate, which seals [`Mode`].
pub trait Steps: Send + Sync + Sized + 'static {
    /// What is kept of a strand's gates until they are checked.
    type Log: Default + Send;
    /// A gate whose round is under way.
    type Gate: Send + Sync;
    /// Gates that share wires.
    type Site: Send + Sync;
    /// A vector that is kept to be multiplied many times.
    type Kept<R: Ring>: Form<R>;
    /// Whether doubly held components are compared.
    const COMPARES: bool;

    /// The local half of a gate of `n` elements: what is to be sent, `O` planes one after the other.
    fn quadratic<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
        ctx: &mut Ctx<Self>,
        kernel: &K,
        x: [View<'_, R>; I],
        n: usize,
    ) -> Result<(Vec<R>, Self::Gate), Error>
    where
        Self: Mode;

    /// Opens a record for gates that share wires, the first of which are `x`.
    fn site<R: Ring, C: Quadratic<W, O>, const W: usize, const O: usize>(
        ctx: &mut Ctx<Self>,
        kernel: &C,
        x: &[View<'_, R>],
        n: usize,
    ) -> Self::Site
    where
        Self: Mode;

    /// As [`quadratic`](Self::quadratic), recorded in a site from one of its outputs on, and as wires from one of its wires on.
    fn on_site<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
        ctx: &mut Ctx<Self>,
        site: (&Self::Site, usize, Option<usize>),
        kernel: &K,
        x: [View<'_, R>; I],
        n: usize,
    ) -> Result<(Vec<R>, Self::Gate), Error>
    where
        Self: Mode;

    /// The local half of sums of products: see [`Ctx::sums_of_products`].
    fn products<R: Ring>(
        ctx: &mut Ctx<Self>,
        x: View<'_, R>,
        y: View<'_, R>,
        sums: &Sums<'_>,
    ) -> Result<(Vec<R>, Self::Gate), Error>
    where
        Self: Mode;

    /// The local half of sums of products of vectors where they lie: see [`Ctx::sums_of_terms`].
    fn terms<R: Ring>(
        ctx: &mut Ctx<Self>,
        terms: &[Term<'_, R>],
        sums: &Sums<'_>,
    ) -> Result<(Vec<R>, Self::Gate), Error>
    where
        Self: Mode;

    /// The local half of a product of a matrix and a vector, see [`Ctx::matrix_vector`].
    fn matrix_vector<R: Ring>(
        ctx: &mut Ctx<Self>,
        matrix: &Matrix<'_, R>,
        y: View<'_, R>,
    ) -> Result<(Vec<R>, Self::Gate), Error>
    where
        Self: Mode;

    /// The local half of the products of all rows of one matrix with all of another, for each pair of matrices: see [`Ctx::dots`].
    fn dots<R: Ring>(ctx: &mut Ctx<Self>, pairs: &[[Windows<'_, R>; 2]]) -> Result<(Vec<R>, Self::Gate), Error>
    where
        Self: Mode;

    /// The products of rows that are kept with others: see [`Ctx::dots_kept`].
    fn dots_kept<R: Ring>(
        ctx: &mut Ctx<Self>,
        pairs: &[(KeptRows<'_, Self, R>, Windows<'_, R>)],
    ) -> impl Future<Output = Result<Shares<R>, Error>> + Send
    where
        Self: Mode;

    /// Whether gates are recorded.
    const RECORDS: bool;
    /// Products in one sum of vectors at most; longer sums are sent in parts.
    const TERMS: usize;

    /// Takes the result of a gate into the record.
    ///
    /// # Errors
    /// [`Error::Poisoned`] if its place is gone: what is not recorded is not checked.
    fn received<R: Ring>(log: &mut Self::Log, gate: &Self::Gate, z: View<'_, R>) -> Result<(), Error>;
    /// Takes over the record of a joined strand.
    fn absorb(log: &mut Self::Log, child: Self::Log);
    /// Bytes recorded.
    fn recorded(log: &Self::Log) -> usize;
    /// Checks everything recorded.
    fn check(ctx: &mut Ctx<Self>) -> impl Future<Output = Result<(), Error>> + Send
    where
        Self: Mode;
}

/// Sums of products over neighbouring vectors of `words` elements: the first of the sums adds up `terms[0]` of them, and so on.
#[derive(Clone, Copy, Debug)]
pub struct Sums<'a> {
    pub terms: &'a [usize],
    pub words: usize,
}

impl Sums<'_> {
    /// Elements of the result.
    pub fn len(&self) -> usize {
        self.terms.len() * self.words
    }
}

/// Security against one party that follows the protocol and tries to learn from what it sees.
///
/// Nothing is recorded and nothing is checked: all of this compiles to nothing.
#[derive(Clone, Copy, Debug)]
pub enum SemiHonest {}

impl Mode for SemiHonest {
    const NAME: &'static str = "semi-honest";
}

impl Steps for SemiHonest {
    type Log = ();
    type Gate = ();
    type Site = ();
    type Kept<R: Ring> = Folded<R>;
    const COMPARES: bool = false;
    const RECORDS: bool = false;
    const TERMS: usize = usize::MAX;

    fn quadratic<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
        ctx: &mut Ctx<Self>,
        kernel: &K,
        x: [View<'_, R>; I],
        n: usize,
    ) -> Result<(Vec<R>, ()), Error> {
        let mut z = ctx.prss.zero::<R>(O * n)?;
        let (own, next) = components(&x);
        R::quadratic(kernel, own, next, split_planes::<R, O>(&mut z, n));
        Ok((z, ()))
    }

    fn site<R: Ring, C: Quadratic<W, O>, const W: usize, const O: usize>(
        _: &mut Ctx<Self>,
        _: &C,
        _: &[View<'_, R>],
        _: usize,
    ) {
    }

    fn on_site<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
        ctx: &mut Ctx<Self>,
        _: (&(), usize, Option<usize>),
        kernel: &K,
        x: [View<'_, R>; I],
        n: usize,
    ) -> Result<(Vec<R>, ()), Error> {
        Self::quadratic(ctx, kernel, x, n)
    }

    fn products<R: Ring>(
        ctx: &mut Ctx<Self>,
        x: View<'_, R>,
        y: View<'_, R>,
        sums: &Sums<'_>,
    ) -> Result<(Vec<R>, ()), Error> {
        let mut z = ctx.prss.zero::<R>(sums.len())?;
        crate::simd::words::products(sums, [x.own, x.next], [y.own, y.next], &mut z);
        Ok((z, ()))
    }

    fn terms<R: Ring>(ctx: &mut Ctx<Self>, terms: &[Term<'_, R>], sums: &Sums<'_>) -> Result<(Vec<R>, ()), Error> {
        let mut z = ctx.prss.zero::<R>(sums.len())?;
        crate::simd::words::terms(sums, terms, &mut z);
        Ok((z, ()))
    }

    fn matrix_vector<R: Ring>(
        ctx: &mut Ctx<Self>,
        matrix: &Matrix<'_, R>,
        y: View<'_, R>,
    ) -> Result<(Vec<R>, ()), Error> {
        let mut z = ctx.prss.zero::<R>(matrix.rows())?;
        let mut rest = &mut z[..];
        for block in matrix.blocks() {
            let (mine, others) = rest.split_at_mut(block.rows());
            crate::simd::words::matrix_vector(block.columns(), [y.own, y.next], mine);
            rest = others;
        }
        Ok((z, ()))
    }

    fn dots<R: Ring>(ctx: &mut Ctx<Self>, pairs: &[[Windows<'_, R>; 2]]) -> Result<(Vec<R>, ()), Error> {
        let mut z = ctx.prss.zero::<R>(pairs.iter().map(|[x, y]| x.count() * y.count()).sum())?;
        let mut rest = &mut z[..];
        for [x, y] in pairs {
            let (mine, others) = rest.split_at_mut(x.count() * y.count());
            R::dots(x, y, mine);
            rest = others;
        }
        Ok((z, ()))
    }

    async fn dots_kept<R: Ring>(
        ctx: &mut Ctx<Self>,
        pairs: &[(KeptRows<'_, Self, R>, Windows<'_, R>)],
    ) -> Result<Shares<R>, Error> {
        let mut z = ctx.prss.zero::<R>(pairs.iter().map(|(x, y)| x.count * y.count()).sum())?;
        let mut rest = &mut z[..];
        for (x, y) in pairs {
            let (mine, others) = rest.split_at_mut(x.count * y.count());
            let factors = Folded::factors(y.whole());
            let rows = [[x.count, x.step], [y.count(), y.step()]];
            R::dots_plain([&x.of.words()[x.from..], factors.words()], rows, x.width, mine);
            rest = others;
        }
        ctx.reshare(z, &()).await
    }

    fn received<R: Ring>((): &mut (), (): &(), _: View<'_, R>) -> Result<(), Error> {
        Ok(())
    }
    fn absorb((): &mut (), (): ()) {}
    fn recorded((): &()) -> usize {
        0
    }
    async fn check(_: &mut Ctx<Self>) -> Result<(), Error> {
        Ok(())
    }
}
