//! Reading Bristol Fashion.

use std::io::BufRead;

use super::circuit::{Circuit, Gate, Gates};
use super::error::{Fault, ParseError, Side};
use super::lines::{Lines, fields, is_name, number, quote};

/// What a circuit file may claim and contain. Exceeding a limit is an error, never an allocation.
///
/// Reading takes memory in proportion to what has been read, plus at most one bit for each of `max_wires`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Most gates, and most wires assigned by gates. Default 16,777,216 (SHA-512 has 349,617).
    pub max_gates: u32,
    /// Most wires. Default 33,554,432.
    pub max_wires: u32,
    /// Most bytes of text. Default 1 GiB.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_gates: 1 << 24, max_wires: 1 << 25, max_bytes: 1 << 30 }
    }
}

impl Circuit {
    /// Parses a circuit held in memory, with the default [`Limits`]. See [`Circuit::read`].
    ///
    /// # Errors
    /// The first fault of the text, with its line.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, ParseError> {
        Self::read(text.as_ref(), &Limits::default())
    }

    /// Reads and validates a circuit.
    ///
    /// **Accepted.** All of Bristol Fashion, basic and extended: XOR, AND, INV (also spelt NOT), EQ, EQW, and MAND with its
    /// inputs as `x1..xk y1..yk`. Fields may be separated by spaces and tabs, lines ended by LF or CRLF, blank lines may
    /// stand anywhere, and wires may be skipped by the numbering as long as nothing reads them and they are no output.
    /// Skipped wires are numbered away, so a [`Circuit`] has none. Everything else is an error.
    ///
    /// **Source.** Archer, Abril, Lu, Maene, Mertens, Sijacic, Smart, "'Bristol Fashion' MPC circuits". That page says INV
    /// where this also takes NOT, which several generators write.
    ///
    /// # Errors
    /// The first fault of the text, with its line.
    pub fn read(reader: impl BufRead, limits: &Limits) -> Result<Self, ParseError> {
        let mut lines = Lines::new(reader, limits.max_bytes);
        let header = Header::read(&mut lines, limits)?;
        let mut body = Body {
            max_gates: limits.max_gates,
            wires: header.wires,
            inputs: header.inputs.iter().sum(),
            assigned: Vec::new(),
            gates: Gates::default(),
        };
        let mut numbers = Vec::new();
        let mut read = 0;
        while lines.advance()? {
            if read == header.gates {
                return lines.fault(Fault::ExtraGate { declared: header.gates });
            }
            let name = gate_line(&lines.text, &mut numbers).or_else(|fault| lines.fault(fault))?;
            body.gate(name, &numbers).or_else(|fault| lines.fault(fault))?;
            read += 1;
        }
        lines.number += 1;
        if read < header.gates {
            return lines.fault(Fault::GatesMissing { declared: header.gates, got: read });
        }
        body.finish(header).or_else(|fault| lines.fault(fault))
    }
}

struct Header {
    gates: u32,
    wires: u32,
    inputs: Vec<u32>,
    outputs: Vec<u32>,
}

impl Header {
    fn read(lines: &mut Lines<impl BufRead>, limits: &Limits) -> Result<Self, ParseError> {
        lines.require("first line")?;
        let (gates, wires) = Self::sizes(&lines.text, limits).or_else(|fault| lines.fault(fault))?;

        lines.require("second line, the input ports")?;
        let (at, text) = (lines.number, std::mem::take(&mut lines.text));
        // The older format differs here: "n1 n2 n3", with the gates directly behind.
        let third = lines.require("third line, the output ports");
        if third.is_ok() && fields(&text).count() == 3 && fields(&lines.text).last().is_some_and(is_name) {
            return Err(ParseError { line: at, fault: Fault::OldFormat });
        }
        let inputs = Self::ports(&text, Side::Input, wires).map_err(|fault| ParseError { line: at, fault })?;
        third?;
        let outputs = Self::ports(&lines.text, Side::Output, wires).or_else(|fault| lines.fault(fault))?;
        Ok(Self { gates, wires, inputs, outputs })
    }

    fn sizes(text: &[u8], limits: &Limits) -> Result<(u32, u32), Fault> {
        let got = fields(text).count();
        let mut numbers = fields(text);
        let (Some(gates), Some(wires), None) = (numbers.next(), numbers.next(), numbers.next()) else {
            return Err(Fault::HeaderFields { got });
        };
        let (gates, wires) = (number(gates)?, number(wires)?);
        if gates > limits.max_gates {
            return Err(Fault::TooManyGates { declared: gates.into(), limit: limits.max_gates });
        }
        // Two numbers stay free for the constants of a schedule.
        let limit = limits.max_wires.min(u32::MAX - 2);
        if wires > limit {
            return Err(Fault::TooManyWires { declared: wires.into(), limit });
        }
        Ok((gates, wires))
    }

    fn ports(text: &[u8], side: Side, wires: u32) -> Result<Vec<u32>, Fault> {
        let mut widths = fields(text).map(number).collect::<Result<Vec<_>, _>>()?;
        let declared = widths.remove(0); // `advance` yields no empty line
        if declared as usize != widths.len() {
            return Err(Fault::PortCount { side, declared: declared.into(), got: widths.len() });
        }
        let ports = widths.iter().copied().map(u64::from).sum();
        if ports > u64::from(wires) {
            return Err(Fault::PortsExceedWires { side, ports, wires });
        }
        Ok(widths)
    }
}

struct Body {
    max_gates: u32,
    wires: u32,
    inputs: u32,
    /// One bit per wire behind the inputs, up to the highest assigned.
    assigned: Vec<u64>,
    gates: Gates,
}

impl Body {
    fn gate(&mut self, name: Name, numbers: &[u32]) -> Result<(), Fault> {
        let &[inputs, outputs, ref wires @ ..] = numbers else {
            return Err(Fault::GateTruncated { got: numbers.len() });
        };
        let shape_fits = match name {
            Name::Xor | Name::And => (inputs, outputs) == (2, 1),
            Name::Not | Name::Eq | Name::Eqw => (inputs, outputs) == (1, 1),
            Name::Mand => outputs > 0 && u64::from(inputs) == 2 * u64::from(outputs),
        };
        if !shape_fits {
            return Err(Fault::WrongArity { gate: name.text(), inputs, outputs, shape: name.shape() });
        }
        let declared = u64::from(inputs) + u64::from(outputs);
        if declared != wires.len() as u64 {
            return Err(Fault::WireCount { declared, got: wires.len() });
        }
        match (name, wires) {
            (Name::Eq, &[value @ (0 | 1), out]) => {
                self.assign(out)?;
                self.gates.push(Gate::Constant { value: value == 1, out });
            }
            (Name::Eq, &[value, ..]) => return Err(Fault::NotABit(value)),
            (Name::Not, &[a, out]) => {
                self.require(a)?;
                self.assign(out)?;
                self.gates.push(Gate::Not { a, out });
            }
            (Name::Eqw, &[a, out]) => {
                self.require(a)?;
                self.assign(out)?;
                self.gates.push(Gate::Copy { a, out });
            }
            (Name::Xor, &[a, b, out]) => {
                self.require(a)?;
                self.require(b)?;
                self.assign(out)?;
                self.gates.push(Gate::Xor { a, b, out });
            }
            // AND is MAND of one pair; the match above has checked that the wires come in threes.
            _ => {
                let k = outputs as usize;
                let (operands, out) = wires.split_at(2 * k);
                operands.iter().try_for_each(|&w| self.require(w))?;
                for (i, &out) in out.iter().enumerate() {
                    self.assign(out)?;
                    self.gates.push(Gate::And { a: operands[i], b: operands[k + i], out });
                }
            }
        }
        Ok(())
    }

    fn require(&self, wire: u32) -> Result<(), Fault> {
        self.in_range(wire)?;
        if wire < self.inputs || self.is_assigned(wire) { Ok(()) } else { Err(Fault::UsedBeforeAssigned { wire }) }
    }

    fn assign(&mut self, wire: u32) -> Result<(), Fault> {
        self.in_range(wire)?;
        if wire < self.inputs {
            return Err(Fault::InputAssigned { wire, inputs: self.inputs });
        }
        if self.is_assigned(wire) {
            return Err(Fault::AssignedTwice { wire });
        }
        // A MAND assigns several wires, so the header's count of gates does not bound this one.
        if self.gates.len() as u64 >= u64::from(self.max_gates) {
            return Err(Fault::TooManyGates { declared: self.gates.len() as u64 + 1, limit: self.max_gates });
        }
        let (word, bit) = self.position(wire);
        if word >= self.assigned.len() {
            self.assigned.resize(word + 1, 0);
        }
        self.assigned[word] |= 1 << bit;
        Ok(())
    }

    fn in_range(&self, wire: u32) -> Result<(), Fault> {
        if wire < self.wires { Ok(()) } else { Err(Fault::WireOutOfRange { wire, wires: self.wires }) }
    }

    fn is_assigned(&self, wire: u32) -> bool {
        let (word, bit) = self.position(wire);
        self.assigned.get(word).is_some_and(|w| w >> bit & 1 == 1)
    }

    fn position(&self, wire: u32) -> (usize, u32) {
        let index = wire - self.inputs;
        (index as usize / 64, index % 64)
    }

    fn finish(mut self, header: Header) -> Result<Circuit, Fault> {
        let outputs: u32 = header.outputs.iter().sum();
        let unassigned = (self.wires - outputs).max(self.inputs)..self.wires;
        if let Some(wire) = unassigned.into_iter().find(|&w| !self.is_assigned(w)) {
            return Err(Fault::OutputUnassigned { wire, outputs });
        }
        // The outputs are all assigned, so they stay the last wires when the others close up.
        if u64::from(self.wires) != u64::from(self.inputs) + self.gates.len() as u64 {
            let mut before = Vec::with_capacity(self.assigned.len());
            let mut sum = self.inputs;
            for word in &self.assigned {
                before.push(sum);
                sum += word.count_ones();
            }
            let (inputs, assigned) = (self.inputs, &self.assigned);
            self.gates.rename(|wire| {
                if wire < inputs {
                    return wire;
                }
                let (word, bit) = ((wire - inputs) as usize / 64, (wire - inputs) % 64);
                before[word] + (assigned[word] & ((1 << bit) - 1)).count_ones()
            });
        }
        Ok(Circuit::assemble(header.inputs, header.outputs, self.gates))
    }
}

#[derive(Clone, Copy)]
enum Name {
    Xor,
    And,
    Not,
    Eq,
    Eqw,
    Mand,
}

impl Name {
    fn parse(text: &[u8]) -> Result<Self, Fault> {
        Ok(match text {
            b"XOR" => Self::Xor,
            b"AND" => Self::And,
            b"INV" | b"NOT" => Self::Not,
            b"EQ" => Self::Eq,
            b"EQW" => Self::Eqw,
            b"MAND" => Self::Mand,
            _ => return Err(Fault::UnknownGate(quote(text))),
        })
    }

    fn text(self) -> &'static str {
        match self {
            Self::Xor => "XOR",
            Self::And => "AND",
            Self::Not => "INV",
            Self::Eq => "EQ",
            Self::Eqw => "EQW",
            Self::Mand => "MAND",
        }
    }

    fn shape(self) -> &'static str {
        match self {
            Self::Xor | Self::And => "2 inputs and 1 output",
            Self::Not | Self::Eq | Self::Eqw => "1 input and 1 output",
            Self::Mand => "2k inputs and k outputs, k at least 1",
        }
    }
}

/// Splits a gate line into its numbers and its name.
fn gate_line(text: &[u8], numbers: &mut Vec<u32>) -> Result<Name, Fault> {
    numbers.clear();
    let mut rest = fields(text);
    for field in rest.by_ref() {
        if is_name(field) {
            let name = Name::parse(field)?;
            return match rest.next() {
                Some(more) => Err(Fault::TrailingText(quote(more))),
                None => Ok(name),
            };
        }
        numbers.push(number(field)?);
    }
    Err(Fault::GateNameMissing)
}
