//! Evaluation in the clear: the oracle of the evaluation on shares.

use super::circuit::{Circuit, Gate};
use super::port::{PortError, PortValue};

impl Circuit {
    /// Evaluates one instance in the clear, bit by bit.
    ///
    /// **Shape.** One value per input port; returns one per output port.
    ///
    /// # Errors
    /// The values do not have the shape of the input ports.
    pub fn evaluate_plain(&self, inputs: &[PortValue]) -> Result<Vec<PortValue>, PortError> {
        let mut wires = vec![false; self.wires() as usize];
        let bits = self.input_bits(inputs)?;
        wires[..bits.len()].copy_from_slice(&bits);
        for gate in self.gates() {
            let at = |w: u32| wires[w as usize];
            let value = match gate {
                Gate::Xor { a, b, .. } => at(a) != at(b),
                Gate::And { a, b, .. } => at(a) && at(b),
                Gate::Not { a, .. } => !at(a),
                Gate::Copy { a, .. } => at(a),
                Gate::Constant { value, .. } => value,
            };
            wires[gate.out() as usize] = value;
        }
        self.output_values(&wires[self.output_wires().start as usize..])
    }

    /// Evaluates 64 instances in the clear, bit-sliced.
    ///
    /// **Shape.** One word per input wire, all ports behind one another; bit `k` of a word belongs to instance `k`. Returns
    /// one word per output wire.
    ///
    /// # Errors
    /// There is not one word for each input wire.
    pub fn evaluate_plain_sliced(&self, inputs: &[u64]) -> Result<Vec<u64>, PortError> {
        let expected = self.input_wires().len();
        if inputs.len() != expected {
            return Err(PortError::WireCount { expected, got: inputs.len() });
        }
        let mut wires = vec![0; self.wires() as usize];
        wires[..expected].copy_from_slice(inputs);
        for gate in self.gates() {
            let at = |w: u32| wires[w as usize];
            let value = match gate {
                Gate::Xor { a, b, .. } => at(a) ^ at(b),
                Gate::And { a, b, .. } => at(a) & at(b),
                Gate::Not { a, .. } => !at(a),
                Gate::Copy { a, .. } => at(a),
                Gate::Constant { value, .. } => u64::from(value).wrapping_neg(),
            };
            wires[gate.out() as usize] = value;
        }
        wires.drain(..self.output_wires().start as usize);
        Ok(wires)
    }
}
