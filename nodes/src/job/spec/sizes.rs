//! The public sizes of a job.

use super::{ProgramSpec, SpecFault};
use trefoil_circuits::program::Shape;

/// What a job takes in and gives out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sizes {
    /// Bytes of the public attachment.
    pub attachment_bytes: usize,
    /// The inputs.
    pub inputs: Vec<Shape>,
    /// Those of them that come with the job.
    pub uploads: Vec<Shape>,
    /// The outputs.
    pub outputs: Vec<Shape>,
    /// Wires of all input and output ports of a circuit.
    pub port_wires: u64,
}

/// No attachment above this is looked at.
const MAX_ATTACHMENT: u64 = 1 << 40;

/// Inputs and outputs at most: what is left of 64 bits holds the sum of their sizes.
const MAX_VECTORS: usize = 1 << 10;

impl Sizes {
    pub(in crate::job) fn new(
        program: &ProgramSpec,
        [inputs, uploads, outputs]: [Vec<Shape>; 3],
    ) -> Result<Self, SpecFault> {
        let attachment = program.attachment_bytes();
        let bytes = usize::try_from(attachment).ok().filter(|_| attachment <= MAX_ATTACHMENT);
        if inputs.len().max(outputs.len()) > MAX_VECTORS {
            return Err(SpecFault::Oversized);
        }
        let attachment_bytes = bytes.ok_or(SpecFault::Oversized)?;
        Ok(Self { attachment_bytes, inputs, uploads, outputs, port_wires: program.port_wires() })
    }

    /// Bytes of both components of all inputs that come with the job.
    pub fn upload_bytes(&self) -> u64 {
        2 * component_bytes(&self.uploads)
    }

    /// Bytes of one component of all outputs.
    pub fn output_bytes(&self) -> u64 {
        component_bytes(&self.outputs)
    }

    /// Bytes a node holds for the job besides what the computation itself needs: the attachment and what is parsed from it, the
    /// two components of the inputs as shares, those that come with the job once more as they arrive, and those of the outputs. Every size has been
    /// checked, so this cannot overflow.
    pub fn held_bytes(&self) -> u64 {
        // Measured (`tests/memory.rs`): up to 18 times the text, for MAND lines of short numbers just after a buffer has doubled.
        let circuit = 20 * self.attachment_bytes as u64 + 32 * self.port_wires;
        circuit + self.upload_bytes() + 2 * component_bytes(&self.inputs) + 2 * self.output_bytes()
    }
}

fn component_bytes(shapes: &[Shape]) -> u64 {
    shapes.iter().map(|shape| shape.component_bytes() as u64).sum()
}
