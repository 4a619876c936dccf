//! AES in counter mode as a program.

use super::{Executor, Inputs, Program, Released, Shape, Tiling, in_batches};
use crate::aes::{KeySize, SboxForm, ctr_keystream, expand_key};
use std::sync::Arc;
use trefoil_engine::prelude::*;

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

impl Program for AesCtr {
    fn inputs(&self) -> Vec<Shape> {
        vec![Shape::bits(self.size.bits())]
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::bits(128 * self.blocks)]
    }

    async fn protocol<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        mut inputs: Inputs,
        executor: &dyn Executor,
    ) -> Result<Released<M>, Error> {
        let me = *self;
        inputs.check(&me.inputs())?;
        let input = inputs.bits(0)?;
        let keys = expand_key(&mut ctx, me.form, me.size, input.view()).await?;
        let keys = Arc::new(keys.for_encryption(ctx.me())?);
        let batch = me.tiling.batch.max(1);
        let batches = me.blocks.div_ceil(batch);
        let parts = in_batches(&mut ctx, (batches, me.tiling.strands), executor, move |strand, k| {
            let (keys, from) = (keys.clone(), k * batch);
            let counter = me.counter.wrapping_add(from as u128);
            Box::pin(async move { ctr_keystream(strand, me.form, &keys, counter, batch.min(me.blocks - from)).await })
        });
        let mut output = Shares::zeros(2 * me.blocks);
        for (k, part) in parts.await? {
            output.copy_from(2 * k * batch, part.view())?;
        }
        Ok(Released { strand: ctx.verify().await?, outputs: vec![output.into()] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aes::reference;
    use crate::program::Turns;
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
                let released = program.run(ctx, input.into(), &Turns).await?;
                Ok((released.strand.output(released.outputs[0].bits()?.view())?, released.cost()))
            });
            // Key expansion, then as many batches in sequence as the busiest strand has.
            let batches = blocks.div_ceil(batch).div_ceil(strands) as u64;
            assert_eq!(out[0].1.rounds, 40 + 40 * batches);
            let stream = client::reconstruct(&out.map(|(share, _)| share)).unwrap();
            assert_eq!(stream.len(), program.outputs()[0].elements());
            for (k, words) in stream.chunks(2).enumerate() {
                let counter = program.counter.wrapping_add(k as u128).to_be_bytes();
                let got: Vec<u8> = words.iter().flat_map(|w| w.0.to_le_bytes()).collect();
                assert_eq!(got, reference::encrypt(&round_keys, counter));
            }
        }
    }
}
