//! The circuit itself: a list of gates in topological order, as compact arrays.

use std::ops::Range;

use super::schedule::and_depths;

/// Number of a wire. The input wires come first, the output wires last.
pub type Wire = u32;

/// One gate, as [`Circuit::gates`] yields it. `out` is assigned by no other gate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gate {
    /// `out = a XOR b`.
    Xor {
        /// First operand.
        a: Wire,
        /// Second operand.
        b: Wire,
        /// Result.
        out: Wire,
    },
    /// `out = a AND b`, the only gate that costs communication. A MAND of the file is several of these.
    And {
        /// First operand.
        a: Wire,
        /// Second operand.
        b: Wire,
        /// Result.
        out: Wire,
    },
    /// `out = NOT a` (INV or NOT in the file).
    Not {
        /// Operand.
        a: Wire,
        /// Result.
        out: Wire,
    },
    /// `out = a` (EQW in the file).
    Copy {
        /// Operand.
        a: Wire,
        /// Result.
        out: Wire,
    },
    /// `out = value`, a public constant (EQ in the file).
    Constant {
        /// The constant.
        value: bool,
        /// Result.
        out: Wire,
    },
}

impl Gate {
    /// The wire this gate assigns.
    pub fn out(self) -> Wire {
        match self {
            Self::Xor { out, .. }
            | Self::And { out, .. }
            | Self::Not { out, .. }
            | Self::Copy { out, .. }
            | Self::Constant { out, .. } => out,
        }
    }

    /// The wires this gate reads.
    pub fn operands(self) -> impl Iterator<Item = Wire> {
        let (a, b) = match self {
            Self::Xor { a, b, .. } | Self::And { a, b, .. } => (Some(a), Some(b)),
            Self::Not { a, .. } | Self::Copy { a, .. } => (Some(a), None),
            Self::Constant { .. } => (None, None),
        };
        a.into_iter().chain(b)
    }
}

/// How many gates of each kind a circuit has, and how deep its ANDs lie.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// ANDs; each pair of a MAND counts.
    pub and: usize,
    /// XORs.
    pub xor: usize,
    /// Negations.
    pub not: usize,
    /// Copies (EQW).
    pub copy: usize,
    /// Constants (EQ).
    pub constant: usize,
    /// Largest number of ANDs on a path: the rounds an evaluation takes.
    pub and_depth: usize,
}

/// A valid boolean circuit: every wire is an input or assigned exactly once, before it is used.
///
/// **Shape.** Input port `p` has `inputs()[p]` wires; the ports lie behind one another from wire 0 on. The output
/// ports lie behind one another on the last wires. Bit `i` of a port is its `i`-th wire. An output may be an input wire.
///
/// Memory: 13 bytes a gate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Circuit {
    inputs: Vec<u32>,
    outputs: Vec<u32>,
    wires: u32,
    gates: Gates,
}

impl Circuit {
    /// Widths of the input ports, in wires.
    pub fn inputs(&self) -> &[u32] {
        &self.inputs
    }

    /// Widths of the output ports, in wires.
    pub fn outputs(&self) -> &[u32] {
        &self.outputs
    }

    /// Number of wires: the inputs and one for each gate.
    pub fn wires(&self) -> u32 {
        self.wires
    }

    /// The input wires of all ports.
    pub fn input_wires(&self) -> Range<Wire> {
        0..self.inputs.iter().sum()
    }

    /// The output wires of all ports.
    pub fn output_wires(&self) -> Range<Wire> {
        self.wires - self.outputs.iter().sum::<u32>()..self.wires
    }

    /// The gates, in an order in which they can be evaluated.
    pub fn gates(&self) -> impl DoubleEndedIterator<Item = Gate> + ExactSizeIterator {
        (0..self.gates.kind.len()).map(|i| self.gates.get(i))
    }

    /// Counts the gates and the AND depth. Time and memory proportional to the circuit.
    pub fn counts(&self) -> Counts {
        let and_depth = and_depths(self).into_iter().max().unwrap_or(0) as usize;
        let mut counts = Counts { and_depth, ..Counts::default() };
        for gate in self.gates() {
            *match gate {
                Gate::And { .. } => &mut counts.and,
                Gate::Xor { .. } => &mut counts.xor,
                Gate::Not { .. } => &mut counts.not,
                Gate::Copy { .. } => &mut counts.copy,
                Gate::Constant { .. } => &mut counts.constant,
            } += 1;
        }
        counts
    }

    /// Puts a circuit together. The caller vouches for the invariants of the type.
    pub(super) fn assemble(inputs: Vec<u32>, outputs: Vec<u32>, gates: Gates) -> Self {
        let wires = inputs.iter().sum::<u32>() + gates.kind.len() as u32;
        Self { inputs, outputs, wires, gates }
    }
}

/// The gates as one array per field.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Gates {
    kind: Vec<Kind>,
    a: Vec<Wire>,
    b: Vec<Wire>,
    out: Vec<Wire>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Kind {
    Xor,
    And,
    Not,
    Copy,
    Zero,
    One,
}

impl Gates {
    pub(super) fn push(&mut self, gate: Gate) {
        let (kind, a, b) = match gate {
            Gate::Xor { a, b, .. } => (Kind::Xor, a, b),
            Gate::And { a, b, .. } => (Kind::And, a, b),
            Gate::Not { a, .. } => (Kind::Not, a, 0),
            Gate::Copy { a, .. } => (Kind::Copy, a, 0),
            Gate::Constant { value: false, .. } => (Kind::Zero, 0, 0),
            Gate::Constant { value: true, .. } => (Kind::One, 0, 0),
        };
        self.kind.push(kind);
        self.a.push(a);
        self.b.push(b);
        self.out.push(gate.out());
    }

    pub(super) fn len(&self) -> usize {
        self.kind.len()
    }

    /// Renames every wire.
    pub(super) fn rename(&mut self, rename: impl Fn(Wire) -> Wire) {
        for (i, kind) in self.kind.iter().enumerate() {
            self.out[i] = rename(self.out[i]);
            if !matches!(kind, Kind::Zero | Kind::One) {
                self.a[i] = rename(self.a[i]);
            }
            if matches!(kind, Kind::Xor | Kind::And) {
                self.b[i] = rename(self.b[i]);
            }
        }
    }

    fn get(&self, i: usize) -> Gate {
        let (a, b, out) = (self.a[i], self.b[i], self.out[i]);
        match self.kind[i] {
            Kind::Xor => Gate::Xor { a, b, out },
            Kind::And => Gate::And { a, b, out },
            Kind::Not => Gate::Not { a, out },
            Kind::Copy => Gate::Copy { a, out },
            Kind::Zero => Gate::Constant { value: false, out },
            Kind::One => Gate::Constant { value: true, out },
        }
    }
}
