//! A circuit reduced to what takes a step, and ways to order it.

use super::circuit::{Circuit, Gate, Wire};
use super::schedule::{Slot, Step};

/// When a gate is evaluated, of all the times that keep the number of rounds.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Place {
    Early,
    Late,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Xor,
    And,
}

/// A gate that takes a step.
#[derive(Clone, Copy)]
struct Node {
    kind: Kind,
    a: Wire,
    b: Wire,
    out: Wire,
}

/// The circuit without copies, constants, negations and dead gates. Wire numbers are the circuit's; two further ones,
/// behind them, are the constants 0 and 1, and NOT is XOR with the latter.
pub(super) struct Net {
    pub(super) inputs: u32,
    wires: usize,
    nodes: Vec<Node>,
    outputs: Vec<Wire>,
    /// Number of reads of each wire, outputs included.
    uses: Vec<u32>,
    pub(super) rounds: u32,
}

impl Net {
    pub(super) fn of(circuit: &Circuit) -> Self {
        // The reader and the builder keep the two numbers behind the wires free.
        let (zero, one) = (circuit.wires(), circuit.wires() + 1);
        let mut root: Vec<Wire> = (0..zero).collect();
        let mut nodes = Vec::new();
        for gate in circuit.gates() {
            let node = |kind, a: Wire, b, out| Node { kind, a: root[a as usize], b, out };
            match gate {
                Gate::Xor { a, b, out } => nodes.push(node(Kind::Xor, a, root[b as usize], out)),
                Gate::And { a, b, out } => nodes.push(node(Kind::And, a, root[b as usize], out)),
                Gate::Not { a, out } => nodes.push(node(Kind::Xor, a, one, out)),
                Gate::Copy { a, out } => root[out as usize] = root[a as usize],
                Gate::Constant { value, out } => root[out as usize] = if value { one } else { zero },
            }
        }
        let outputs: Vec<Wire> = circuit.output_wires().map(|w| root[w as usize]).collect();

        let mut uses = vec![0u32; one as usize + 1];
        for &wire in &outputs {
            uses[wire as usize] += 1;
        }
        // Backwards, so that every reader of a wire has been judged before the gate that assigns it.
        let mut live = vec![false; nodes.len()];
        for (node, live) in nodes.iter().zip(&mut live).rev() {
            *live = uses[node.out as usize] > 0;
            if *live {
                uses[node.a as usize] += 1;
                uses[node.b as usize] += 1;
            }
        }
        let mut live = live.into_iter();
        nodes.retain(|_| live.next() == Some(true));
        let mut net =
            Self { inputs: circuit.input_wires().end, wires: one as usize + 1, nodes, outputs, uses, rounds: 0 };
        net.rounds = net.ready(None).into_iter().max().unwrap_or(0);
        net
    }

    /// For each wire, the number of messages after which its value is known: as early as possible, or with the ANDs
    /// sent in the rounds given.
    fn ready(&self, sent: Option<&[u32]>) -> Vec<u32> {
        let mut ready = vec![0; self.wires];
        for (i, node) in self.nodes.iter().enumerate() {
            let operands = ready[node.a as usize].max(ready[node.b as usize]);
            ready[node.out as usize] = match (node.kind, sent) {
                (Kind::Xor, _) => operands,
                (Kind::And, None) => operands + 1,
                (Kind::And, Some(sent)) => sent[i] + 1,
            };
        }
        ready
    }

    /// For each wire, the number of messages after which its value must be known: as late as possible, or with the
    /// ANDs sent in the rounds given.
    fn due(&self, sent: Option<&[u32]>) -> Vec<u32> {
        let mut due = vec![self.rounds; self.wires];
        for (i, node) in self.nodes.iter().enumerate().rev() {
            let read = match (node.kind, sent) {
                (Kind::Xor, _) => due[node.out as usize],
                (Kind::And, None) => due[node.out as usize] - 1,
                (Kind::And, Some(sent)) => sent[i],
            };
            for operand in [node.a, node.b] {
                due[operand as usize] = due[operand as usize].min(read);
            }
        }
        due
    }

    /// The round of each node: that of the AND's message, or the one before whose message a linear gate is computed.
    pub(super) fn place(&self, ands: Place, xors: Place) -> Vec<u32> {
        let wires = match ands {
            Place::Early => self.ready(None),
            Place::Late => self.due(None),
        };
        let mut rounds: Vec<u32> = self
            .nodes
            .iter()
            .map(|node| match node.kind {
                Kind::And => wires[node.out as usize] - 1,
                Kind::Xor => wires[node.out as usize],
            })
            .collect();
        if ands != xors {
            let wires = match xors {
                Place::Early => self.ready(Some(&rounds)),
                Place::Late => self.due(Some(&rounds)),
            };
            for (node, round) in self.nodes.iter().zip(&mut rounds).filter(|(node, _)| node.kind == Kind::Xor) {
                *round = wires[node.out as usize];
            }
        }
        rounds
    }

    /// Goes through the gates in the rounds given, handing out slots. The count of slots, and those of the outputs.
    pub(super) fn walk(&self, placed: &[u32], mut each: impl FnMut(Event)) -> (u32, Vec<Slot>) {
        let mut slots = Slots::new(self);
        let mut products = Vec::new();
        let (order, starts) = self.order(placed);
        for bounds in starts.windows(2) {
            for &i in &order[bounds[0] as usize..bounds[1] as usize] {
                let node = self.nodes[i as usize];
                let (a, b) = (slots.read(node.a), slots.read(node.b));
                match node.kind {
                    Kind::Xor => each(Event::Step(Step::Xor { a, b, out: slots.assign(node.out) })),
                    Kind::And => {
                        each(Event::Step(Step::Gather { a, b }));
                        products.push(node.out);
                    }
                }
            }
            for product in products.drain(..) {
                each(Event::Product(slots.assign(product)));
            }
            each(Event::End);
        }
        (slots.count, self.outputs.iter().map(|&wire| slots.of[wire as usize]).collect())
    }

    /// The nodes by round, within each in the order of the circuit, and where the rounds start: a counting sort.
    fn order(&self, placed: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let mut next = vec![0u32; self.rounds as usize + 2];
        for &round in placed {
            next[round as usize + 1] += 1;
        }
        for i in 1..next.len() {
            next[i] += next[i - 1];
        }
        let starts = next.clone();
        let mut order = vec![0; placed.len()];
        for (i, &round) in (0..).zip(placed) {
            let at = &mut next[round as usize];
            order[*at as usize] = i;
            *at += 1;
        }
        (order, starts)
    }
}

/// What a schedule consists of.
pub(super) enum Event {
    /// A local step.
    Step(Step),
    /// Where the next of the round's products goes.
    Product(Slot),
    /// The end of the round.
    End,
}

/// Hands out slots, and takes them back after the last use of a wire.
struct Slots {
    of: Vec<Slot>,
    uses: Vec<u32>,
    free: Vec<Slot>,
    count: u32,
}

impl Slots {
    fn new(net: &Net) -> Self {
        let sources = (0..net.inputs as usize).chain([net.wires - 2, net.wires - 1]);
        let mut slots = Self { of: vec![0; net.wires], uses: net.uses.clone(), free: Vec::new(), count: 0 };
        for wire in sources {
            slots.of[wire] = slots.count;
            if net.uses[wire] == 0 {
                slots.free.push(slots.count);
            }
            slots.count += 1;
        }
        slots
    }

    fn read(&mut self, wire: Wire) -> Slot {
        let wire = wire as usize;
        self.uses[wire] -= 1;
        if self.uses[wire] == 0 {
            self.free.push(self.of[wire]);
        }
        self.of[wire]
    }

    fn assign(&mut self, wire: Wire) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        });
        self.of[wire as usize] = slot;
        slot
    }
}
