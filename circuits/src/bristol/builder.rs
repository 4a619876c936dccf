//! Building circuits gate by gate.

use super::circuit::{Circuit, Gate, Gates, Wire};

/// A bit inside a [`Builder`]: an input, or what a gate of it computes. Of no use with another builder.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Signal(u32);

/// Records gates and yields a [`Circuit`].
///
/// ```
/// use trefoil_circuits::bristol::{Builder, Form};
/// let mut builder = Builder::default();
/// let (x, y) = (builder.input(1), builder.input(1));
/// let sum = builder.xor(x[0], y[0]);
/// let carry = builder.and(x[0], y[0]);
/// builder.output(&[sum]);
/// builder.output(&[carry]);
/// let circuit = builder.finish().unwrap();
/// assert_eq!(circuit.to_bristol(Form::Basic), "2 4\n2 1 1\n2 1 1\n\n2 1 0 1 2 XOR\n2 1 0 1 3 AND\n");
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    inputs: Vec<u32>,
    outputs: Vec<u32>,
    /// One per signal: the gate that computes it, its operands still being signals; nothing for an input.
    signals: Vec<Option<Gate>>,
    exposed: Vec<Signal>,
    zero: Option<Signal>,
    one: Option<Signal>,
}

/// A recording that is no circuit. The caller of the [`Builder`] has to act.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// A signal of another builder.
    #[error("signal {0} is not one of this builder's; use a signal only with the builder that returned it")]
    ForeignSignal(u32),
    /// A circuit awaited something that is no gate.
    #[error("the circuit waits for something else than its gates; a recording computes nothing and cannot wait")]
    Pending,
    /// More wires than 32 bits can number.
    #[error("the circuit has more wires than 32 bits can number; split it")]
    TooLarge,
    /// Operands of different widths.
    #[error("operands of {0} and {1} bits; extend the shorter one")]
    Widths(usize, usize),
    /// A part of a vector that is not there.
    #[error("bits up to {end} of a vector of {width} bits")]
    OutOfRange {
        /// The end of the part asked for.
        end: usize,
        /// Bits of the vector.
        width: usize,
    },
}

impl Builder {
    /// Adds an input port of `width` wires, behind the ports there are.
    pub fn input(&mut self, width: u32) -> Vec<Signal> {
        self.inputs.push(width);
        (0..width).map(|_| self.signal(None)).collect()
    }

    /// `a XOR b`.
    pub fn xor(&mut self, a: Signal, b: Signal) -> Signal {
        self.signal(Some(Gate::Xor { a: a.0, b: b.0, out: 0 }))
    }

    /// `a AND b`.
    pub fn and(&mut self, a: Signal, b: Signal) -> Signal {
        self.signal(Some(Gate::And { a: a.0, b: b.0, out: 0 }))
    }

    /// `NOT a`.
    pub fn not(&mut self, a: Signal) -> Signal {
        self.signal(Some(Gate::Not { a: a.0, out: 0 }))
    }

    /// A public constant. Each of the two takes one gate, however often it is asked for.
    pub fn constant(&mut self, value: bool) -> Signal {
        let known = if value { self.one } else { self.zero };
        known.unwrap_or_else(|| {
            let signal = self.signal(Some(Gate::Constant { value, out: 0 }));
            *(if value { &mut self.one } else { &mut self.zero }) = Some(signal);
            signal
        })
    }

    /// Adds an output port, behind the ports there are. A signal may be output more than once, and may be an input.
    pub fn output(&mut self, bits: &[Signal]) {
        self.outputs.push(bits.len() as u32);
        self.exposed.extend_from_slice(bits);
    }

    /// Numbers the wires: inputs first, outputs last. An output that is an input or output already becomes a copy (EQW).
    ///
    /// # Errors
    /// A signal of another builder was used (as far as it can be told), or there are too many wires.
    pub fn finish(self) -> Result<Circuit, BuildError> {
        self.check()?;
        let (wires, copies) = self.number();
        let mut gates = Gates::default();
        let at = |signal: u32| wires[signal as usize];
        for (gate, &out) in self.signals.iter().zip(&wires) {
            match *gate {
                Some(Gate::Xor { a, b, .. }) => gates.push(Gate::Xor { a: at(a), b: at(b), out }),
                Some(Gate::And { a, b, .. }) => gates.push(Gate::And { a: at(a), b: at(b), out }),
                Some(Gate::Not { a, .. }) => gates.push(Gate::Not { a: at(a), out }),
                Some(Gate::Copy { a, .. }) => gates.push(Gate::Copy { a: at(a), out }),
                Some(Gate::Constant { value, .. }) => gates.push(Gate::Constant { value, out }),
                None => {}
            }
        }
        for (signal, out) in copies {
            gates.push(Gate::Copy { a: at(signal.0), out });
        }
        Ok(Circuit::assemble(self.inputs, self.outputs, gates))
    }

    fn check(&self) -> Result<(), BuildError> {
        // Two numbers stay free for the constants of a schedule.
        if self.signals.len() + self.exposed.len() > (u32::MAX - 2) as usize {
            return Err(BuildError::TooLarge);
        }
        for (i, gate) in self.signals.iter().enumerate() {
            if let Some(operand) = gate.iter().flat_map(|g| g.operands()).find(|&w| w as usize >= i) {
                return Err(BuildError::ForeignSignal(operand));
            }
        }
        match self.exposed.iter().find(|signal| signal.0 as usize >= self.signals.len()) {
            Some(signal) => Err(BuildError::ForeignSignal(signal.0)),
            None => Ok(()),
        }
    }

    /// The wire of each signal, and the outputs that must be copied from a signal because its own wire is elsewhere.
    fn number(&self) -> (Vec<Wire>, Vec<(Signal, Wire)>) {
        // The gate of an output takes the output's place, unless it has taken that of another.
        let mut places: Vec<Option<Wire>> = vec![None; self.signals.len()];
        let mut copies = Vec::new();
        for (place, &signal) in (0..).zip(&self.exposed) {
            let taken = &mut places[signal.0 as usize];
            if taken.is_none() && self.signals[signal.0 as usize].is_some() {
                *taken = Some(place);
            } else {
                copies.push((signal, place));
            }
        }
        let inputs = self.signals.iter().filter(|gate| gate.is_none()).count();
        let placed = places.iter().flatten().count();
        let first_output = (self.signals.len() - placed) as Wire;
        let (mut next_input, mut next_inner) = (0.., inputs as Wire..);
        let wires = self.signals.iter().zip(places).map(|(gate, place)| match place {
            Some(place) => first_output + place,
            None if gate.is_none() => next_input.next().unwrap_or_default(),
            None => next_inner.next().unwrap_or_default(),
        });
        let wires = wires.collect();
        (wires, copies.into_iter().map(|(signal, place)| (signal, first_output + place)).collect())
    }

    fn signal(&mut self, gate: Option<Gate>) -> Signal {
        self.signals.push(gate);
        // Beyond 2^32 the number wraps; `finish` refuses the recording before any number is used.
        Signal((self.signals.len() - 1) as u32)
    }
}
