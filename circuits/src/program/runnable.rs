//! The programs compiled in this crate, once for each mode, so that a crate that runs them compiles none of their protocols again.

use super::{Executor, Inputs, Limited, Program, Running, beyond_limits};
use crate::{
    bristol::Evaluation,
    credit::{Auc, Counts, Join, NewtonTrain, Score, Train},
    matching::{Enrol, Match, MatchEmbedding},
    program::{AesCtr, Moments},
};
use std::sync::Arc;
use trefoil_engine::{prelude::*, transport::BoxFuture};

/// A program that is compiled for both modes. Who has the mode as a type runs it by [`Compiled::run`].
pub trait Runnable: Send + Sync {
    /// [`Program::run`] in semi-honest mode.
    fn run_semi_honest<'a>(
        &'a self,
        ctx: Ctx<SemiHonest>,
        inputs: Inputs,
        executor: &'a dyn Executor,
    ) -> Running<'a, SemiHonest>;

    /// [`Program::run`] in malicious mode.
    fn run_malicious<'a>(
        &'a self,
        ctx: Ctx<Malicious>,
        inputs: Inputs,
        executor: &'a dyn Executor,
    ) -> Running<'a, Malicious>;
}

/// A mode that programs are compiled for.
pub trait Compiled: Mode {
    /// [`Program::run`].
    fn run<'a>(
        program: &'a dyn Runnable,
        ctx: Ctx<Self>,
        inputs: Inputs,
        executor: &'a dyn Executor,
    ) -> Running<'a, Self>;

    /// [`beyond_limits`](super::beyond_limits()).
    fn beyond_limits<'a>(
        ctx: &'a mut Ctx<Self>,
        inputs: &'a Arc<Vec<Limited>>,
        strands: usize,
        executor: &'a dyn Executor,
    ) -> BoxFuture<'a, Result<Vec<bool>, Error>>;
}

macro_rules! compiled {
    ($($mode:ty: $run:ident),*) => {$(
        impl Compiled for $mode {
            fn run<'a>(
                program: &'a dyn Runnable,
                ctx: Ctx<Self>,
                inputs: Inputs,
                executor: &'a dyn Executor,
            ) -> Running<'a, Self> {
                program.$run(ctx, inputs, executor)
            }

            fn beyond_limits<'a>(
                ctx: &'a mut Ctx<Self>,
                inputs: &'a Arc<Vec<Limited>>,
                strands: usize,
                executor: &'a dyn Executor,
            ) -> BoxFuture<'a, Result<Vec<bool>, Error>> {
                beyond_limits(ctx, inputs, strands, executor)
            }
        }
    )*};
}

compiled!(SemiHonest: run_semi_honest, Malicious: run_malicious);

macro_rules! runnable {
    ($($program:ty),*) => {$(
        impl Runnable for $program {
            fn run_semi_honest<'a>(
                &'a self,
                ctx: Ctx<SemiHonest>,
                inputs: Inputs,
                executor: &'a dyn Executor,
            ) -> Running<'a, SemiHonest> {
                self.run(ctx, inputs, executor)
            }

            fn run_malicious<'a>(
                &'a self,
                ctx: Ctx<Malicious>,
                inputs: Inputs,
                executor: &'a dyn Executor,
            ) -> Running<'a, Malicious> {
                self.run(ctx, inputs, executor)
            }
        }
    )*};
}

runnable!(AesCtr, Auc, Counts, Enrol, Evaluation, Join, Match, MatchEmbedding, Moments, NewtonTrain, Score, Train);
