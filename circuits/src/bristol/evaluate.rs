//! Evaluation on shares.

use trefoil_engine::{Cost, prelude::*};

use super::packing::Packing;
use super::schedule::{Schedule, Slot, Step};

impl Schedule {
    /// Evaluates the circuit on shared inputs, all instances together.
    ///
    /// **Shape** the input wires of all ports, and the output wires returned, as [`Packing`] lays them out.
    /// **Cost** [`cost`](Self::cost): one round for each level of AND depth, and in it one lane for each AND and instance,
    /// rounded up as [`Packing`] says. Everything else is local. Memory: [`memory`](Self::memory).
    /// **Security** ANDs are [`Ctx::mul`]. The circuit and the number of instances are public.
    /// **Source** evaluation by levels as in Goldreich, Micali, Wigderson (STOC 1987), with the AND of Araki et al. (CCS 2016).
    ///
    /// # Errors
    /// [`Error::Shape`] for no instance or an input of another length, and whatever [`Ctx::mul`] reports. Not cancel safe.
    pub async fn evaluate<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        inputs: View<'_, Lanes>,
        packing: Packing,
    ) -> Result<Shares<Lanes>, Error> {
        if packing.instances() == 0 {
            return Err(Error::Shape { what: "the instances of a circuit", expected: 1, got: 0 });
        }
        let expected = packing.words(self.input_wires());
        if inputs.len() != expected {
            return Err(Error::Shape { what: "the inputs of a circuit", expected, got: inputs.len() });
        }
        // The slots, and behind them what a message is made of or has brought.
        let lay = Lay::of(packing);
        let message = lay.width * self.slots();
        let widest = packing.words(self.widest_round());
        let mut state = Shares::rearrange(inputs, message + 2 * widest, |inputs, state| {
            (0..self.input_wires()).for_each(|wire| lay.unpack(inputs, wire, state, wire as Slot));
        });
        let one = Shares::public(ctx.me(), &vec![Lanes::ONES; lay.width]);
        state.copy_from(lay.width * (self.zero_slot() + 1), one.view())?;

        let mut brought: &[Slot] = &[];
        for i in 0..self.rounds() {
            let round = self.round(i);
            let words = packing.words(round.products.len());
            state.update(|state| lay.step(state.split_at_mut(message), brought, round.steps, words));
            let (x, y) = (state.view().slice(message, words)?, state.view().slice(message + words, words)?);
            let products = ctx.mul(x, y).await?;
            state.copy_from(message, products.view())?;
            brought = round.products;
        }
        let last = self.round(self.rounds()).steps;
        state.update(|state| lay.step(state.split_at_mut(message), brought, last, 0));
        let words = packing.words(self.output_wires());
        Ok(Shares::rearrange(state.view(), words, |state, outputs| {
            for (wire, &slot) in self.output_slots().iter().enumerate() {
                lay.pack(state, slot, outputs, wire);
            }
        }))
    }

    /// What [`evaluate`](Self::evaluate) costs each party, exactly.
    pub fn cost(&self, packing: Packing) -> Cost {
        let products = self.ands_by_round().map(|ands| packing.words(ands) as u64).sum::<u64>();
        Cost { rounds: self.rounds() as u64, bytes_sent: products * size_of::<Lanes>() as u64, products }
    }

    /// Bytes [`evaluate`](Self::evaluate) holds at its peak, apart from its inputs and outputs: two components of the slots and of
    /// a round's operands and products, and the two frames of the round.
    pub fn memory(&self, packing: Packing) -> u64 {
        let slots = self.slots() as u64 * Lay::of(packing).width as u64;
        let widest = packing.words(self.widest_round()) as u64;
        2 * size_of::<Lanes>() as u64 * (slots + 4 * widest)
    }
}

/// How a wire lies in its slot: `width` words, of which a lone one holds `stride` lanes.
#[derive(Clone, Copy)]
struct Lay {
    width: usize,
    stride: usize,
}

impl Lay {
    fn of(packing: Packing) -> Self {
        Self { width: packing.words(1), stride: packing.stride() }
    }

    /// On one component: puts the products of the last message where they belong, takes the round's steps, and lays
    /// out its operands, `words` for each side.
    fn step(self, (slots, message): (&mut [Lanes], &mut [Lanes]), brought: &[Slot], steps: &[Step], words: usize) {
        for (i, &slot) in brought.iter().enumerate() {
            self.unpack(message, i, slots, slot);
        }
        let (x, y) = message.split_at_mut(words);
        let mut ands = 0;
        for &step in steps {
            match step {
                Step::Xor { a, b, out } => self.xor(slots, [a, b, out].map(|slot| slot as usize * self.width)),
                Step::Gather { a, b } => {
                    self.pack(slots, a, x, ands);
                    self.pack(slots, b, y, ands);
                    ands += 1;
                }
            }
        }
    }

    fn xor(self, slots: &mut [Lanes], [a, b, out]: [usize; 3]) {
        if self.width == 1 {
            slots[out] = slots[a] + slots[b];
        } else if a == b {
            slots[out..][..self.width].fill(Lanes::default());
        } else if out == a || out == b {
            let other = if out == a { b } else { a };
            if let Ok([z, x]) = slots.get_disjoint_mut([out..out + self.width, other..other + self.width]) {
                z.iter_mut().zip(x).for_each(|(z, &mut x)| *z = *z + x);
            }
        } else if let Ok([x, y, z]) =
            slots.get_disjoint_mut([a..a + self.width, b..b + self.width, out..out + self.width])
        {
            z.iter_mut().zip(x).zip(y).for_each(|((z, &mut x), &mut y)| *z = x + y);
        }
    }

    /// Copies a slot to place `i` of a vector. Places that share a word are filled in ascending order.
    fn pack(self, slots: &[Lanes], slot: Slot, to: &mut [Lanes], i: usize) {
        let slot = slot as usize * self.width;
        if self.stride < Lanes::COUNT {
            let (word, shift) = self.place(i);
            let lanes = Lanes((slots[slot].0 & self.mask()) << shift);
            to[word] = if shift == 0 { lanes } else { to[word] + lanes };
        } else {
            to[i * self.width..][..self.width].copy_from_slice(&slots[slot..][..self.width]);
        }
    }

    /// Copies place `i` of a vector to a slot.
    fn unpack(self, from: &[Lanes], i: usize, slots: &mut [Lanes], slot: Slot) {
        let slot = slot as usize * self.width;
        if self.stride < Lanes::COUNT {
            let (word, shift) = self.place(i);
            slots[slot] = Lanes(from[word].0 >> shift & self.mask());
        } else {
            slots[slot..][..self.width].copy_from_slice(&from[i * self.width..][..self.width]);
        }
    }

    fn place(self, i: usize) -> (usize, usize) {
        let lane = i * self.stride;
        (lane / Lanes::COUNT, lane % Lanes::COUNT)
    }

    fn mask(self) -> u64 {
        (1 << self.stride) - 1
    }
}
