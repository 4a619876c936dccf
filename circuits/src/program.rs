//! What nodes can be asked to compute: programs with public shapes, run in any mode.

mod aes_ctr;
mod moments;
mod range;
mod runnable;
mod vector;

pub use aes_ctr::AesCtr;
pub use moments::Moments;
pub(crate) use range::open_checked;
pub use range::{Limited, beyond_limits, limits_cost};
pub use runnable::{Compiled, Runnable};
pub use vector::{InputVector, Inputs, OutputVector, RingKind, Shape, Vector};

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};
use trefoil_engine::{Cost, prelude::*, transport::BoxFuture};

/// A computation on shared vectors, with shapes that are public.
pub trait Program: Send + Sync {
    /// The shapes of the inputs.
    fn inputs(&self) -> Vec<Shape>;

    /// For each input the largest absolute value of its integers, read as signed, with which nothing overflows; `None` where any value is right. Who brings an input checks
    /// it, and who runs the program on the word of others checks it on shares ([`beyond_limits`]).
    fn limits(&self) -> Vec<Option<u64>> {
        vec![None; self.inputs().len()]
    }

    /// The shapes of the outputs.
    fn outputs(&self) -> Vec<Shape>;

    /// What [`run`](Self::run) does.
    ///
    /// Takes the whole strand and gives it back verified, so that nothing can be released that was not checked.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs of other shapes; whatever the protocol's rounds give. Not cancel safe.
    fn protocol<M: Mode>(
        &self,
        ctx: Ctx<M>,
        inputs: Inputs,
        executor: &dyn Executor,
    ) -> impl Future<Output = Result<Released<M>, Error>> + Send;

    /// Runs on shares of the inputs, and gives shares of the outputs.
    ///
    /// Boxed, since an `async fn` is compiled again by every crate that calls it, and a function that boxes one only where it is first called with these types
    /// ([`Runnable`]).
    ///
    /// # Errors
    /// As [`protocol`](Self::protocol). Not cancel safe.
    fn run<'a, M: Mode>(&'a self, ctx: Ctx<M>, inputs: Inputs, executor: &'a dyn Executor) -> Running<'a, M>
    where
        Self: Sized,
    {
        Box::pin(self.protocol(ctx, inputs, executor))
    }
}

/// A program under way.
pub type Running<'a, M> = BoxFuture<'a, Result<Released<M>, Error>>;

/// A checked strand and the values it is about to release.
#[derive(Debug)]
pub struct Released<M: Mode> {
    /// The strand.
    pub strand: Verified<M>,
    /// The outputs.
    pub outputs: Vec<Vector>,
}

impl<M: Mode> Released<M> {
    /// What the run has cost this party.
    pub fn cost(&self) -> Cost {
        self.strand.cost()
    }

    /// What this party releases of each output.
    ///
    /// # Errors
    /// As [`Verified::output`].
    pub fn release(&self) -> Result<Vec<OutputVector>, Error> {
        self.outputs.iter().map(|output| output.output(&self.strand)).collect()
    }
}

/// Runs the strands of a program side by side. A node runs them as tasks on its threads; [`Turns`] takes turns.
pub trait Executor: Send + Sync {
    /// Runs all tasks to their end. A task's panic is the caller's; dropped, it ends the tasks that still run. [`join_all`] has what they return.
    fn run_all(&self, tasks: Vec<BoxFuture<'static, ()>>) -> BoxFuture<'_, ()>;
}

/// Runs all tasks to their end and returns what they returned, in their order. Dropping the future ends the tasks.
pub async fn join_all<T: Send + 'static>(executor: &dyn Executor, tasks: Vec<BoxFuture<'static, T>>) -> Vec<T> {
    let results: Arc<Vec<Mutex<Option<T>>>> = Arc::new(tasks.iter().map(|_| Mutex::new(None)).collect());
    let mut running: Vec<BoxFuture<'static, ()>> = Vec::with_capacity(tasks.len());
    for (k, task) in tasks.into_iter().enumerate() {
        let results = results.clone();
        running.push(Box::pin(async move {
            let out = task.await;
            *lock(&results[k]) = Some(out);
        }));
    }
    executor.run_all(running).await;
    results.iter().filter_map(|result| lock(result).take()).collect()
}

fn lock<T>(result: &Mutex<T>) -> MutexGuard<'_, T> {
    result.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Polls all strands within the caller's own task, in turns: no threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turns;

impl Executor for Turns {
    fn run_all(&self, mut tasks: Vec<BoxFuture<'static, ()>>) -> BoxFuture<'_, ()> {
        Box::pin(std::future::poll_fn(move |cx| {
            tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending());
            if tasks.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        }))
    }
}

/// Runs independent batches on `strands` strands forked from one: strand `k` runs batches `k`, `k + strands`, .. one after the other. Gives what each batch gave,
/// with its number, in no particular order; all strands are joined again.
///
/// # Errors
/// The first error of a batch; what forking and joining give. Not cancel safe.
pub(crate) async fn in_batches<M: Mode, T: Send + 'static>(
    ctx: &mut Ctx<M>,
    (batches, strands): (usize, usize),
    executor: &dyn Executor,
    batch: impl for<'a> Fn(&'a mut Ctx<M>, usize) -> BoxFuture<'a, Result<T, Error>> + Send + Sync + 'static,
) -> Result<Vec<(usize, T)>, Error> {
    let batch = Arc::new(batch);
    let strands = strands.clamp(1, batches.clamp(1, 1 << 16));
    let mut tasks: Vec<BoxFuture<'static, _>> = Vec::with_capacity(strands);
    for (first, mut strand) in ctx.fork(strands as u32).await?.into_iter().enumerate() {
        let batch = batch.clone();
        tasks.push(Box::pin(async move {
            let mut parts = Vec::new();
            for k in (first..batches).step_by(strands) {
                parts.push((k, batch(&mut strand, k).await?));
            }
            Ok::<_, Error>((strand, parts))
        }));
    }
    let mut all = Vec::with_capacity(batches);
    for done in join_all(executor, tasks).await {
        let (strand, parts) = done?;
        ctx.join(strand)?;
        all.extend(parts);
    }
    Ok(all)
}

/// How a long vector of independent items is cut into batches, and how many batches are under way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tiling {
    /// Items of a batch. What one batch holds should fit the processor's second-level cache.
    pub batch: usize,
    /// Strands in flight.
    pub strands: usize,
}

impl Default for Tiling {
    /// 2,048 AES blocks hold about half a megabyte; four strands hide the round trip of a local network.
    fn default() -> Self {
        Self { batch: 2048, strands: 4 }
    }
}
