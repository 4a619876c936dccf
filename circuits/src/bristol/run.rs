//! A circuit as a program of the nodes: any number of instances, in batches on strands.

use std::sync::Arc;

use trefoil_engine::{Cost, prelude::*};

use super::packing::Packing;
use super::schedule::Schedule;
use crate::program::{Executor, Inputs, Program, Released, Shape, Tiling, in_batches};

/// Evaluates a circuit for all instances of a packing.
///
/// **Shape** input and output are the bit strings that [`Packing`] describes: lane `l` is bit `l`.
/// **Cost** [`cost`](Self::cost). Cutting into batches takes more rounds and less memory; the bytes stay the same.
#[derive(Clone, Debug)]
pub struct Evaluation {
    schedule: Arc<Schedule>,
    packing: Packing,
    /// Words of a batch, for each wire.
    batch: usize,
    strands: usize,
}

impl Evaluation {
    /// With batches of about four megabytes, four under way at a time: smaller ones would stay in a nearer cache, larger ones
    /// would take fewer rounds.
    pub fn new(schedule: Arc<Schedule>, packing: Packing) -> Self {
        const BATCH_BYTES: u64 = 4 << 20;
        let word = schedule.memory(Packing::new(Lanes::COUNT as u32));
        let words = usize::try_from(BATCH_BYTES / word.max(1)).unwrap_or(usize::MAX).max(1);
        let strands = Tiling::default().strands;
        let batch = words.saturating_mul(Lanes::COUNT);
        Self::tiled(schedule, packing, Tiling { batch, strands })
    }

    /// With batches of so many instances, rounded up to a multiple of 64.
    pub fn tiled(schedule: Arc<Schedule>, packing: Packing, tiling: Tiling) -> Self {
        let words = packing.words(1).max(1);
        let batch = Lanes::words(tiling.batch).clamp(1, words);
        Self { schedule, packing, batch, strands: tiling.strands.clamp(1, words.div_ceil(batch)) }
    }

    /// The instances and their places.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// The circuit.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Batches, and how many of them are under way at a time.
    pub fn batches(&self) -> (usize, usize) {
        (self.packing.words(1).div_ceil(self.batch), self.strands)
    }

    /// The packings of each strand's batches, if there is more than one batch.
    pub(crate) fn tiles(&self) -> Option<Vec<Vec<Packing>>> {
        let (batches, strands) = self.batches();
        let all = self.packing.words(1);
        let tile = |k: usize| packing_of(self.batch.min(all - k * self.batch));
        (batches > 1).then(|| (0..strands).map(|first| (first..batches).step_by(strands).map(tile).collect()).collect())
    }

    /// What a run costs each party in semi-honest mode, exactly.
    pub fn cost(&self) -> Cost {
        let (batches, strands) = self.batches();
        let whole = self.schedule.cost(self.packing);
        Cost { rounds: whole.rounds * batches.div_ceil(strands) as u64, ..whole }
    }

    /// Bytes a run holds at its peak, apart from its inputs and outputs.
    pub fn memory(&self) -> u64 {
        let (batches, strands) = self.batches();
        let packing = if batches == 1 { self.packing } else { packing_of(self.batch) };
        self.schedule.memory(packing) * strands as u64
    }
}

impl Program for Evaluation {
    fn inputs(&self) -> Vec<Shape> {
        vec![Shape::bits(self.schedule.input_wires() * self.packing.stride())]
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::bits(self.schedule.output_wires() * self.packing.stride())]
    }

    async fn protocol<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        mut inputs: Inputs,
        executor: &dyn Executor,
    ) -> Result<Released<M>, Error> {
        inputs.check(&self.inputs())?;
        let input = inputs.bits(0)?;
        let (batches, strands) = self.batches();
        if batches <= 1 {
            let output = self.schedule.evaluate(&mut ctx, input.view(), self.packing).await?;
            return Ok(Released { strand: ctx.verify().await?, outputs: vec![output.into()] });
        }
        let shared = Arc::new((self.clone(), input));
        let parts = in_batches(&mut ctx, (batches, strands), executor, move |strand, k| {
            let shared = shared.clone();
            Box::pin(async move { shared.0.batch(strand, shared.1.view(), k).await })
        });
        let all = self.packing.words(1);
        let mut output = Shares::zeros(all * self.schedule.output_wires());
        for (k, part) in parts.await? {
            let words = self.batch.min(all - k * self.batch);
            for wire in 0..self.schedule.output_wires() {
                output.copy_from(wire * all + k * self.batch, part.view().slice(wire * words, words)?)?;
            }
        }
        Ok(Released { strand: ctx.verify().await?, outputs: vec![output.into()] })
    }
}

impl Evaluation {
    /// Evaluates the `k`-th batch: some words of every wire.
    async fn batch<M: Mode>(
        &self,
        strand: &mut Ctx<M>,
        input: View<'_, Lanes>,
        k: usize,
    ) -> Result<Shares<Lanes>, Error> {
        let (all, wires) = (self.packing.words(1), self.schedule.input_wires());
        let words = self.batch.min(all - k * self.batch);
        let mine = Shares::rearrange(input, words * wires, |input, mine| {
            for wire in 0..wires {
                let from = wire * all + k * self.batch;
                mine[wire * words..][..words].copy_from_slice(&input[from..][..words]);
            }
        });
        self.schedule.evaluate(strand, mine.view(), packing_of(words)).await
    }
}

/// The packing that fills so many words of each wire.
fn packing_of(words: usize) -> Packing {
    Packing::new((words * Lanes::COUNT) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bristol::{BitOrder, Circuit},
        program::Turns,
    };
    use trefoil_engine::{client, testing};

    /// `x y + z`, `not x` on bits.
    const CIRCUIT: &str = "3 6\n1 3\n2 1 1\n\n2 1 0 1 3 AND\n2 1 3 2 4 XOR\n1 1 0 5 INV\n";

    fn check(n: u32, tiling: Option<Tiling>, (batches, strands): (usize, usize)) {
        let circuit = Circuit::parse(CIRCUIT).unwrap();
        let (schedule, packing) = (Arc::new(Schedule::new(&circuit)), Packing::new(n));
        let run = match tiling {
            Some(tiling) => Evaluation::tiled(schedule, packing, tiling),
            None => Evaluation::new(schedule, packing),
        };
        assert_eq!(run.batches(), (batches, strands));
        let value = |k: u32| circuit.input_values(&[format!("{:x}", k % 8)], BitOrder::Lsb).unwrap();
        let inputs: Vec<_> = (0..n).map(value).collect();
        let words = packing.pack_inputs(&circuit, &inputs).unwrap();
        assert_eq!(words.len(), run.inputs()[0].elements());
        let out = testing::three::<SemiHonest, _, _>(async |ctx| {
            let input = Shares::public(ctx.me(), &words);
            let released = run.run(ctx, input.into(), &Turns).await?;
            Ok((released.strand.output(released.outputs[0].bits()?.view())?, released.cost()))
        });
        assert_eq!(out[0].1, run.cost());
        let opened = client::reconstruct(&out.map(|(share, _)| share)).unwrap();
        assert_eq!(opened.len(), run.outputs()[0].elements());
        for (inputs, outputs) in inputs.iter().zip(packing.unpack_outputs(&circuit, &opened).unwrap()) {
            let expected = circuit.evaluate_plain(inputs).unwrap();
            assert!(expected.iter().zip(&outputs).all(|(x, y)| x.bits() == y.bits()));
        }
    }

    #[test]
    fn batches_on_strands_give_what_one_batch_gives() {
        check(1, None, (1, 1));
        check(1000, None, (1, 1));
        for (n, batch, strands, cut) in
            [(5, 64, 4, (1, 1)), (65, 64, 4, (2, 2)), (1000, 128, 3, (8, 3)), (640, 100, 9, (5, 5)), (64, 1, 1, (1, 1))]
        {
            check(n, Some(Tiling { batch, strands }), cut);
        }
    }

    #[test]
    fn wrong_inputs_are_refused() {
        let schedule = Arc::new(Schedule::new(&Circuit::parse(CIRCUIT).unwrap()));
        for (n, len) in [(0, 0), (1, 2), (1000, 47), (1000, 49)] {
            let run = Evaluation::tiled(schedule.clone(), Packing::new(n), Tiling { batch: 128, strands: 2 });
            let out = testing::three_with::<SemiHonest, _, _>(testing::Setup::default(), async |ctx| {
                run.run(ctx, Shares::<Lanes>::zeros(len).into(), &Turns).await.map(|_| ())
            });
            assert!(out.iter().all(|r| matches!(r, Err(Error::Shape { .. }))), "{n} instances, {len} words: {out:?}");
        }
    }
}
