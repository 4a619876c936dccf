//! Writing Bristol Fashion.

use std::fmt::{self, Display, Write};

use super::circuit::{Circuit, Gate};
use super::schedule::and_depths;

/// Which dialect of the format to write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// One gate a line, as other readers expect it.
    Basic,
    /// All ANDs of one depth as one MAND, each with the linear gates it needs before it.
    Extended,
}

impl Circuit {
    /// The circuit as text. Reading it back gives an equal circuit in [`Form::Basic`], and one with the same
    /// wires and the gates in another order in [`Form::Extended`].
    pub fn to_bristol(&self, form: Form) -> String {
        Text { circuit: self, form }.to_string()
    }

    /// The circuit as something to be written to a file or a pipe, without holding its text in memory.
    pub fn display_bristol(&self, form: Form) -> impl Display {
        Text { circuit: self, form }
    }
}

struct Text<'a> {
    circuit: &'a Circuit,
    form: Form,
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let circuit = self.circuit;
        match self.form {
            Form::Basic => {
                header(f, circuit, circuit.gates().len())?;
                circuit.gates().try_for_each(|gate| line(f, gate))
            }
            Form::Extended => {
                let levels = Levels::of(circuit);
                let mands = levels.ands.iter().filter(|ands| !ands.is_empty()).count();
                header(f, circuit, levels.linear.iter().map(Vec::len).sum::<usize>() + mands)?;
                for (linear, ands) in levels.linear.iter().zip(&levels.ands) {
                    linear.iter().try_for_each(|&gate| line(f, gate))?;
                    mand(f, ands)?;
                }
                Ok(())
            }
        }
    }
}

/// The gates by AND depth: the linear ones of depth `d` come before the ANDs that take depth `d` to `d + 1`.
struct Levels {
    linear: Vec<Vec<Gate>>,
    ands: Vec<Vec<Gate>>,
}

impl Levels {
    fn of(circuit: &Circuit) -> Self {
        let depths = and_depths(circuit);
        let deepest = depths.iter().max().map_or(0, |&d| d as usize);
        let mut levels = Self { linear: vec![Vec::new(); deepest + 1], ands: vec![Vec::new(); deepest + 1] };
        for gate in circuit.gates() {
            let depth = depths[gate.out() as usize] as usize;
            match gate {
                Gate::And { .. } => levels.ands[depth - 1].push(gate),
                _ => levels.linear[depth].push(gate),
            }
        }
        levels
    }
}

fn header(f: &mut fmt::Formatter<'_>, circuit: &Circuit, gates: usize) -> fmt::Result {
    writeln!(f, "{gates} {}", circuit.wires())?;
    for ports in [circuit.inputs(), circuit.outputs()] {
        write!(f, "{}", ports.len())?;
        ports.iter().try_for_each(|width| write!(f, " {width}"))?;
        f.write_char('\n')?;
    }
    f.write_char('\n')
}

fn line(f: &mut fmt::Formatter<'_>, gate: Gate) -> fmt::Result {
    match gate {
        Gate::Xor { a, b, out } => writeln!(f, "2 1 {a} {b} {out} XOR"),
        Gate::And { a, b, out } => writeln!(f, "2 1 {a} {b} {out} AND"),
        Gate::Not { a, out } => writeln!(f, "1 1 {a} {out} INV"),
        Gate::Copy { a, out } => writeln!(f, "1 1 {a} {out} EQW"),
        Gate::Constant { value, out } => writeln!(f, "1 1 {} {out} EQ", u8::from(value)),
    }
}

fn mand(f: &mut fmt::Formatter<'_>, ands: &[Gate]) -> fmt::Result {
    if ands.is_empty() {
        return Ok(());
    }
    write!(f, "{} {}", 2 * ands.len(), ands.len())?;
    for operand in 0..2 {
        for gate in ands {
            gate.operands().skip(operand).take(1).try_for_each(|wire| write!(f, " {wire}"))?;
        }
    }
    ands.iter().try_for_each(|gate| write!(f, " {}", gate.out()))?;
    f.write_str(" MAND\n")
}
