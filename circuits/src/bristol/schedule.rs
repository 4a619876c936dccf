//! In which order, and in how little memory, a circuit is evaluated on shares.

use super::circuit::{Circuit, Gate};
use super::net::{Event, Net, Place};

/// Place of a wire's value while it is needed.
pub(super) type Slot = u32;

/// One local step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// `slot[out] = slot[a] + slot[b]`; the three may coincide.
    Xor { a: Slot, b: Slot, out: Slot },
    /// `slot[a]` and `slot[b]` are the operands of the round's next AND. Their slots may be reused from here on.
    Gather { a: Slot, b: Slot },
}

/// What happens between two messages, and where the products go that the second one brings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round<'a> {
    /// Local steps, in order; as many gathers as `products`.
    pub(super) steps: &'a [Step],
    /// The slot of each product, in the order of the gathers.
    pub(super) products: &'a [Slot],
}

/// A circuit arranged into rounds: as many as its AND depth, each a list of local steps and one message.
///
/// Gates that no output depends on are left out; copies and constants take no step. Of the arrangements with the least number
/// of rounds it takes the one with the least memory among four: ANDs, and linear gates, as early or as late as they can be.
/// A wire holds memory from where it is computed to where it is last used.
///
/// **Shape.** The input wires start in the first slots, in order; then come the constants 0 and 1.
#[derive(Clone, Debug)]
pub struct Schedule {
    inputs: u32,
    slots: u32,
    outputs: Vec<Slot>,
    steps: Vec<Step>,
    products: Vec<Slot>,
    /// Where the steps and the products of each round end; the last one is what is local behind the last message.
    ends: Vec<(u32, u32)>,
}

impl Schedule {
    /// Arranges a circuit. Time and memory proportional to it, some 100 bytes a gate: SHA-256 compression takes milliseconds.
    pub fn new(circuit: &Circuit) -> Self {
        let net = Net::of(circuit);
        let arrangements = [
            (Place::Early, Place::Early),
            (Place::Early, Place::Late),
            (Place::Late, Place::Early),
            (Place::Late, Place::Late),
        ];
        let size = |&(ands, xors): &(Place, Place)| {
            let (mut ands_of_round, mut widest) = (0, 0);
            let (slots, _) = net.walk(&net.place(ands, xors), |event| match event {
                Event::Step(_) => {}
                Event::Product(_) => ands_of_round += 1,
                Event::End => {
                    widest = widest.max(ands_of_round);
                    ands_of_round = 0;
                }
            });
            // The slots, and a round's operands, products and frames.
            u64::from(slots) + 4 * widest
        };
        let (ands, xors) = arrangements.into_iter().min_by_key(size).unwrap_or(arrangements[0]);
        Self::arranged(&net, &net.place(ands, xors))
    }

    fn arranged(net: &Net, placed: &[u32]) -> Self {
        let mut steps = Vec::with_capacity(placed.len());
        let mut products = Vec::new();
        let mut ends = Vec::with_capacity(net.rounds as usize + 1);
        let (slots, outputs) = net.walk(placed, |event| match event {
            Event::Step(step) => steps.push(step),
            Event::Product(slot) => products.push(slot),
            Event::End => ends.push((steps.len() as u32, products.len() as u32)),
        });
        Self { inputs: net.inputs, slots, outputs, steps, products, ends }
    }

    /// Rounds of communication.
    pub fn rounds(&self) -> usize {
        self.ends.len() - 1
    }

    /// ANDs in each round.
    pub fn ands_by_round(&self) -> impl ExactSizeIterator<Item = usize> {
        (0..self.rounds()).map(|i| self.round(i).products.len())
    }

    /// ANDs in all. Fewer than the circuit's [`Counts`](super::Counts) if it has gates without effect.
    pub fn ands(&self) -> usize {
        self.products.len()
    }

    /// Most wires that hold a value at the same time, the two constants included.
    pub fn slots(&self) -> usize {
        self.slots as usize
    }

    /// Input wires.
    pub fn input_wires(&self) -> usize {
        self.inputs as usize
    }

    /// Output wires.
    pub fn output_wires(&self) -> usize {
        self.outputs.len()
    }

    /// Local steps: XORs, negations, and the two ends of each AND.
    pub fn steps_taken(&self) -> usize {
        self.steps.len() + self.products.len()
    }

    /// Most ANDs in one round.
    pub fn widest_round(&self) -> usize {
        self.ands_by_round().max().unwrap_or(0)
    }

    /// The slot of the constant 0; that of the constant 1 is the next.
    pub(super) fn zero_slot(&self) -> usize {
        self.inputs as usize
    }

    /// A round; number [`rounds`](Self::rounds) is what is local behind the last message.
    pub(super) fn round(&self, i: usize) -> Round<'_> {
        let (steps, products) = if i == 0 { (0, 0) } else { self.ends[i - 1] };
        let ends = self.ends[i];
        Round {
            steps: &self.steps[steps as usize..ends.0 as usize],
            products: &self.products[products as usize..ends.1 as usize],
        }
    }

    pub(super) fn output_slots(&self) -> &[Slot] {
        &self.outputs
    }
}

/// The AND depth of every wire.
pub(super) fn and_depths(circuit: &Circuit) -> Vec<u32> {
    let mut depths = vec![0; circuit.wires() as usize];
    for gate in circuit.gates() {
        let deepest = gate.operands().map(|w| depths[w as usize]).max().unwrap_or(0);
        depths[gate.out() as usize] = deepest + u32::from(matches!(gate, Gate::And { .. }));
    }
    depths
}
