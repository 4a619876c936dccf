//! What nodes can be asked to compute: programs with public shapes, run in any mode.

use crate::aes::{KeySize, SboxForm, ctr_keystream, expand_key};
use std::{future::Future, sync::Arc};
use trefoil_engine::{Cost, Verified, prelude::*, transport::BoxFuture};

/// A computation with one shared input and one shared output, both bit strings whose lengths are public.
pub trait Program: Send + Sync {
    /// Bits of the input.
    fn input_bits(&self) -> usize;

    /// Bits of the output.
    fn output_bits(&self) -> usize;

    /// Runs on shares. The input has [`Lanes::words`]`(input_bits)` words and the output as many as its bits need; bit `k` of
    /// the string is bit `k % 64` of word `k / 64`.
    ///
    /// Takes the whole strand and gives it back verified, so that nothing can be released that was not checked.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input of another length; whatever the protocol's rounds give. Not cancel safe.
    fn run<M: Mode>(
        &self,
        ctx: Ctx<M>,
        input: Shares<Lanes>,
        executor: &impl Executor,
    ) -> impl Future<Output = Result<Released<M>, Error>> + Send;
}

/// A checked strand and the value it is about to release.
#[derive(Debug)]
pub struct Released<M: Mode> {
    /// The strand.
    pub strand: Verified<M>,
    /// The output.
    pub output: Shares<Lanes>,
}

impl<M: Mode> Released<M> {
    /// What the run has cost this party.
    pub fn cost(&self) -> Cost {
        self.strand.cost()
    }
}

/// Runs the strands of a program side by side. A node runs them as tasks on its threads; [`Turns`] takes turns.
pub trait Executor: Send + Sync {
    /// Runs all tasks to their end and returns what they returned, in their order.
    fn join_all<T: Send + 'static>(&self, tasks: Vec<BoxFuture<'static, T>>) -> impl Future<Output = Vec<T>> + Send;
}

/// Polls all strands within the caller's own task, in turns: no threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turns;

impl Executor for Turns {
    async fn join_all<T: Send + 'static>(&self, tasks: Vec<BoxFuture<'static, T>>) -> Vec<T> {
        let mut running: Vec<_> = tasks.into_iter().map(Some).collect();
        let mut results: Vec<Option<T>> = running.iter().map(|_| None).collect();
        std::future::poll_fn(|cx| {
            let mut left = false;
            for (task, result) in running.iter_mut().zip(&mut results) {
                let Some(future) = task else { continue };
                if let std::task::Poll::Ready(out) = future.as_mut().poll(cx) {
                    *result = Some(out);
                    *task = None;
                } else {
                    left = true;
                }
            }
            if left { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        })
        .await;
        results.into_iter().flatten().collect()
    }
}

/// The key stream of AES in counter mode, under a shared key from a public counter on.
///
/// Input: the key. Output: the key stream, 128 bits a block. The key is expanded once; batches of blocks then run on a
/// few strands, so that one computes while others wait for the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AesCtr {
    /// The key's size.
    pub size: KeySize,
    /// The first counter block, as a big-endian number.
    pub counter: u128,
    /// Blocks of key stream: what fits in memory, at most `usize::MAX / 128`.
    pub blocks: usize,
    /// How S-boxes are computed.
    pub form: SboxForm,
    /// How the blocks are cut up.
    pub tiling: Tiling,
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

impl Program for AesCtr {
    fn input_bits(&self) -> usize {
        self.size.bits()
    }

    fn output_bits(&self) -> usize {
        128 * self.blocks
    }

    async fn run<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        input: Shares<Lanes>,
        executor: &impl Executor,
    ) -> Result<Released<M>, Error> {
        let me = *self;
        let keys = expand_key(&mut ctx, me.form, me.size, input.view()).await?;
        let keys = Arc::new(keys.for_encryption(ctx.me())?);
        let batch = me.tiling.batch.max(1);
        let batches = me.blocks.div_ceil(batch);
        let strands = me.tiling.strands.clamp(1, batches.clamp(1, 1 << 16));
        let mut tasks: Vec<BoxFuture<'static, _>> = Vec::with_capacity(strands);
        for (first, mut strand) in ctx.fork(strands as u32).await?.into_iter().enumerate() {
            let keys = keys.clone();
            tasks.push(Box::pin(async move {
                let mut parts = Vec::new();
                for k in (first..batches).step_by(strands) {
                    let from = k * batch;
                    let n = batch.min(me.blocks - from);
                    let counter = me.counter.wrapping_add(from as u128);
                    parts.push((2 * from, ctr_keystream(&mut strand, me.form, &keys, counter, n).await?));
                }
                Ok::<_, Error>((strand, parts))
            }));
        }
        let mut output = Shares::zeros(2 * me.blocks);
        for done in executor.join_all(tasks).await {
            let (strand, parts) = done?;
            ctx.join(strand)?;
            for (at, part) in parts {
                output.copy_from(at, part.view())?;
            }
        }
        Ok(Released { strand: ctx.verify().await?, output })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aes::reference;
    use trefoil_engine::{client, testing};

    #[test]
    fn counter_mode_in_batches_on_strands_is_counter_mode() {
        let key = [0x42; 16];
        let shared: Vec<Lanes> = vec![Lanes(0x4242_4242_4242_4242); 2];
        let round_keys = reference::expand_key(&key).unwrap();
        for (blocks, batch, strands) in [(0, 10, 2), (1, 10, 3), (300, 64, 3), (300, 1000, 1), (129, 43, 9)] {
            let program = AesCtr {
                size: KeySize::Aes128,
                counter: u128::MAX - 100,
                blocks,
                form: SboxForm::default(),
                tiling: Tiling { batch, strands },
            };
            let out = testing::three::<SemiHonest, _, _>(async |ctx| {
                let input = Shares::public(ctx.me(), &shared);
                let released = program.run(ctx, input, &Turns).await?;
                Ok((released.strand.output(released.output.view())?, released.cost()))
            });
            // Key expansion, then as many batches in sequence as the busiest strand has.
            let batches = blocks.div_ceil(batch).div_ceil(strands) as u64;
            assert_eq!(out[0].1.rounds, 40 + 40 * batches);
            let stream = client::reconstruct(&out.map(|(share, _)| share)).unwrap();
            assert_eq!(stream.len(), Lanes::words(program.output_bits()));
            for (k, words) in stream.chunks(2).enumerate() {
                let counter = program.counter.wrapping_add(k as u128).to_be_bytes();
                let got: Vec<u8> = words.iter().flat_map(|w| w.0.to_le_bytes()).collect();
                assert_eq!(got, reference::encrypt(&round_keys, counter));
            }
        }
    }
}
