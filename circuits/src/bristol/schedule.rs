//! In which order, and in how little memory, a circuit is evaluated on shares.

use super::circuit::{Circuit, Gate, Wire};

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
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Round {
    /// Local steps, in order; as many gathers as `products`.
    pub(super) steps: Vec<Step>,
    /// The slot of each product, in the order of the gathers.
    pub(super) products: Vec<Slot>,
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
    rounds: Vec<Round>,
    last: Round,
    outputs: Vec<Slot>,
}

impl Schedule {
    /// Arranges a circuit. Time and memory proportional to it: SHA-256 compression takes some milliseconds.
    pub fn new(circuit: &Circuit) -> Self {
        let net = Net::of(circuit);
        let arrangements = [(Place::Late, Place::Late), (Place::Late, Place::Early), (Place::Early, Place::Late)];
        let first = net.arrange(Place::Early, Place::Early);
        arrangements
            .into_iter()
            .map(|(ands, xors)| net.arrange(ands, xors))
            .fold(first, |best, other| if other.size() < best.size() { other } else { best })
    }

    /// Rounds of communication.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// ANDs in each round.
    pub fn ands_by_round(&self) -> impl ExactSizeIterator<Item = usize> {
        self.rounds.iter().map(|round| round.products.len())
    }

    /// ANDs in all. Fewer than the circuit's [`Counts`](super::Counts) if it has gates without effect.
    pub fn ands(&self) -> usize {
        self.ands_by_round().sum()
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
        let (rounds, last) = self.steps();
        rounds.iter().chain([last]).map(|round| round.steps.len() + round.products.len()).sum()
    }

    /// Most ANDs in one round.
    pub fn widest_round(&self) -> usize {
        self.ands_by_round().max().unwrap_or(0)
    }

    /// Memory in units of one wire: the slots, and a round's operands, products and frames.
    fn size(&self) -> usize {
        self.slots() + 4 * self.widest_round()
    }

    /// The slot of the constant 0; that of the constant 1 is the next.
    pub(super) fn zero_slot(&self) -> usize {
        self.inputs as usize
    }

    /// The rounds, and what is local behind the last of them.
    pub(super) fn steps(&self) -> (&[Round], &Round) {
        (&self.rounds, &self.last)
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

#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
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
struct Net {
    inputs: u32,
    wires: usize,
    nodes: Vec<Node>,
    outputs: Vec<Wire>,
    /// Number of reads of each wire, outputs included.
    uses: Vec<u32>,
    rounds: u32,
}

impl Net {
    fn of(circuit: &Circuit) -> Self {
        let (zero, one) = (circuit.wires() as usize, circuit.wires() as usize + 1);
        let mut root: Vec<usize> = (0..zero).collect();
        let mut nodes = Vec::new();
        for gate in circuit.gates() {
            let node = |kind, a: Wire, b: usize, out| Node { kind, a: root[a as usize] as Wire, b: b as Wire, out };
            match gate {
                Gate::Xor { a, b, out } => nodes.push(node(Kind::Xor, a, root[b as usize], out)),
                Gate::And { a, b, out } => nodes.push(node(Kind::And, a, root[b as usize], out)),
                Gate::Not { a, out } => nodes.push(node(Kind::Xor, a, one, out)),
                Gate::Copy { a, out } => root[out as usize] = root[a as usize],
                Gate::Constant { value, out } => root[out as usize] = if value { one } else { zero },
            }
        }
        let outputs: Vec<Wire> = circuit.output_wires().map(|w| root[w as usize] as Wire).collect();

        let mut uses = vec![0u32; one + 1];
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
        let mut net = Self { inputs: circuit.input_wires().end, wires: one + 1, nodes, outputs, uses, rounds: 0 };
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
    fn place(&self, ands: Place, xors: Place) -> Vec<u32> {
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

    fn arrange(&self, ands: Place, xors: Place) -> Schedule {
        let placed = self.place(ands, xors);
        // Nodes by round, in the circuit's order within each: a counting sort.
        let mut starts = vec![0usize; self.rounds as usize + 2];
        for &round in &placed {
            starts[round as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut order = vec![0u32; self.nodes.len()];
        let mut next = starts.clone();
        for (i, &round) in placed.iter().enumerate() {
            order[next[round as usize]] = i as u32;
            next[round as usize] += 1;
        }

        let mut slots = Slots::new(self);
        let mut rounds = Vec::with_capacity(self.rounds as usize + 1);
        for bounds in starts.windows(2) {
            let nodes = order[bounds[0]..bounds[1]].iter().map(|&i| self.nodes[i as usize]);
            rounds.push(slots.round(nodes));
        }
        // What follows the last message has no products.
        let last = rounds.pop().unwrap_or_default();
        let outputs = self.outputs.iter().map(|&w| slots.of[w as usize]).collect();
        Schedule { inputs: self.inputs, slots: slots.count, rounds, last, outputs }
    }
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
        let mut of = vec![0; net.wires];
        let sources = (0..net.inputs as usize).chain([net.wires - 2, net.wires - 1]);
        let mut slots = Self { of: Vec::new(), uses: net.uses.clone(), free: Vec::new(), count: net.inputs + 2 };
        for (slot, wire) in sources.enumerate() {
            of[wire] = slot as Slot;
            if net.uses[wire] == 0 {
                slots.free.push(slot as Slot);
            }
        }
        slots.of = of;
        slots
    }

    fn round(&mut self, nodes: impl Iterator<Item = Node>) -> Round {
        let mut round = Round::default();
        let mut products = Vec::new();
        for node in nodes {
            let (a, b) = (self.read(node.a), self.read(node.b));
            match node.kind {
                Kind::Xor => {
                    let out = self.assign(node.out);
                    round.steps.push(Step::Xor { a, b, out });
                }
                Kind::And => {
                    round.steps.push(Step::Gather { a, b });
                    products.push(node.out);
                }
            }
        }
        round.products = products.into_iter().map(|wire| self.assign(wire)).collect();
        round
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
