//! The security mode: what is recorded for each gate, and how it is checked.

use crate::{
    Ctx, Error,
    ring::Ring,
    share::{Shares, View},
};
use std::future::Future;

/// What a strand does to be able to prove, later, that its gates were computed honestly.
///
/// A type parameter and not a flag: a circuit is written once for every mode, and a value computed in one
/// mode cannot reach a strand of another. Sealed: modes are part of the audited core.
///
/// ```compile_fail
/// use trefoil_engine::prelude::*;
/// struct Careless;
/// impl Mode for Careless {
///     const NAME: &'static str = "careless";
///     type Log = ();
///     fn record<R: Ring>((): &mut (), _: &[View<'_, R>], _: &Shares<R>) {}
///     fn absorb((): &mut (), (): ()) {}
///     async fn check(_: &mut Ctx<Self>) -> Result<(), Error> { Ok(()) }
/// }
/// ```
pub trait Mode: sealed::Sealed + Send + Sized + 'static {
    /// The name used on the command line and in result rows.
    const NAME: &'static str;
    /// What is kept of a strand's gates until they are checked.
    type Log: Default + Send;
    /// Records one gate: its inputs and its reshared output.
    fn record<R: Ring>(log: &mut Self::Log, inputs: &[View<'_, R>], output: &Shares<R>);
    /// Takes over the record of a joined strand.
    fn absorb(log: &mut Self::Log, child: Self::Log);
    /// Checks everything recorded.
    fn check(ctx: &mut Ctx<Self>) -> impl Future<Output = Result<(), Error>> + Send;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::SemiHonest {}
}

/// Security against one party that follows the protocol and tries to learn from what it sees.
///
/// Nothing is recorded and nothing is checked: all of this compiles to nothing.
#[derive(Clone, Copy, Debug)]
pub enum SemiHonest {}

impl Mode for SemiHonest {
    const NAME: &'static str = "semi-honest";
    type Log = ();
    fn record<R: Ring>((): &mut (), _: &[View<'_, R>], _: &Shares<R>) {}
    fn absorb((): &mut (), (): ()) {}
    async fn check(_: &mut Ctx<Self>) -> Result<(), Error> {
        Ok(())
    }
}
