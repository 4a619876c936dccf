//! What can be wrong with a circuit file, and what to do about it.

/// A circuit file that is not Bristol Fashion, or that exceeds the [`Limits`](super::Limits).
///
/// The owner of the file has to act; nothing was evaluated.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct ParseError {
    /// The offending line, counted from 1. For a file that ends too early: the line after the last one.
    pub line: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Which side of the circuit a header line describes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The second line: the input ports.
    Input,
    /// The third line: the output ports.
    Output,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// Everything [`Circuit::read`](super::Circuit::read) refuses, each with its remedy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The reader failed.
    #[error("cannot be read ({0}); check the file and try again")]
    Unreadable(String),
    /// The input is longer than [`Limits::max_bytes`](super::Limits::max_bytes).
    #[error("the file is longer than the limit of {limit} bytes; raise the limit if you trust the file")]
    TooManyBytes {
        /// The limit in force.
        limit: u64,
    },
    /// More gates than [`Limits::max_gates`](super::Limits::max_gates): announced, or ANDs listed in MANDs.
    #[error("{declared} gates, the limit is {limit}; raise the limit if you trust the file")]
    TooManyGates {
        /// Gates announced or listed.
        declared: u64,
        /// The limit in force.
        limit: u32,
    },
    /// The header announces more wires than [`Limits::max_wires`](super::Limits::max_wires).
    #[error("{declared} wires, the limit is {limit}; raise the limit if you trust the file")]
    TooManyWires {
        /// Wires announced.
        declared: u64,
        /// The limit in force.
        limit: u32,
    },
    /// The older 'Bristol Format', whose second line is `n1 n2 n3`.
    #[error(
        "this is the older 'Bristol Format' (second line: two input widths and one output width); \
         replace that line by '2 n1 n2' (or '1 n1' if n2 is 0) and a further line '1 n3'"
    )]
    OldFormat,
    /// The file ends inside the header.
    #[error("the file ends before its {0}; a header has three lines: gates and wires, inputs, outputs")]
    HeaderTruncated(&'static str),
    /// The first line is not two numbers.
    #[error("the first line has {got} fields; it must hold two numbers, of gates and of wires")]
    HeaderFields {
        /// Fields found.
        got: usize,
    },
    /// A port line does not list as many widths as it announces.
    #[error("{declared} {side} ports announced but {got} widths listed; make the first number count the others")]
    PortCount {
        /// Input or output line.
        side: Side,
        /// Ports announced.
        declared: u64,
        /// Widths listed.
        got: usize,
    },
    /// The ports of one side are wider than the circuit.
    #[error("the {side} ports have {ports} wires together but the circuit has {wires}; correct the widths or line 1")]
    PortsExceedWires {
        /// Input or output line.
        side: Side,
        /// Sum of the widths.
        ports: u64,
        /// Wires announced on the first line.
        wires: u32,
    },
    /// A field that must be a number is not.
    #[error("'{0}' is not a number; fields are unsigned decimal integers without sign or punctuation")]
    NotANumber(String),
    /// A number beyond 32 bits.
    #[error("{0} is too large; wires and counts are below 2^32")]
    NumberTooLarge(String),
    /// A gate line without the name of its operation.
    #[error("the gate has no name; end the line with XOR, AND, INV, NOT, EQ, EQW or MAND")]
    GateNameMissing,
    /// An operation the format does not have.
    #[error("unknown gate '{0}'; the format has XOR, AND, INV, NOT, EQ, EQW and MAND, in capitals")]
    UnknownGate(String),
    /// Something after the name of the operation.
    #[error("'{0}' after the gate's name; one gate per line, nothing behind it")]
    TrailingText(String),
    /// A gate line too short to hold its two counts.
    #[error("the gate has {got} numbers; it starts with its number of inputs and its number of outputs")]
    GateTruncated {
        /// Numbers found before the name.
        got: usize,
    },
    /// The counts at the start of a gate line do not fit its operation.
    #[error("{gate} with {inputs} inputs and {outputs} outputs; it takes {shape}")]
    WrongArity {
        /// The operation.
        gate: &'static str,
        /// Inputs announced.
        inputs: u32,
        /// Outputs announced.
        outputs: u32,
        /// What the operation takes.
        shape: &'static str,
    },
    /// The counts at the start of a gate line do not fit the wires listed.
    #[error("{declared} wires announced for this gate but {got} listed; list the inputs, then the outputs")]
    WireCount {
        /// Inputs plus outputs announced.
        declared: u64,
        /// Wires listed.
        got: usize,
    },
    /// A wire the header does not provide for.
    #[error("wire {wire} does not exist: the header announces {wires} wires, counted from 0")]
    WireOutOfRange {
        /// The wire named.
        wire: u32,
        /// Wires announced.
        wires: u32,
    },
    /// A gate reads a wire that no earlier gate has assigned.
    #[error("wire {wire} is used before it is assigned; list the gates in topological order")]
    UsedBeforeAssigned {
        /// The wire read.
        wire: u32,
    },
    /// A second gate assigns a wire.
    #[error("wire {wire} is assigned a second time; give each gate a wire of its own")]
    AssignedTwice {
        /// The wire assigned.
        wire: u32,
    },
    /// A gate assigns an input wire.
    #[error("wire {wire} is an input and cannot be assigned; the first {inputs} wires are the inputs")]
    InputAssigned {
        /// The wire assigned.
        wire: u32,
        /// Input wires of the circuit.
        inputs: u32,
    },
    /// EQ with something else than a constant bit.
    #[error("EQ assigns the constant 0 or 1, not {0}; to copy a wire use EQW")]
    NotABit(u32),
    /// More gates than the header announces.
    #[error("a further gate after the {declared} announced; correct line 1 or remove the gate")]
    ExtraGate {
        /// Gates announced.
        declared: u32,
    },
    /// Fewer gates than the header announces.
    #[error("the file ends after {got} of {declared} gates; it is truncated or line 1 is wrong")]
    GatesMissing {
        /// Gates announced.
        declared: u32,
        /// Gates found.
        got: u32,
    },
    /// An output wire that no gate assigns.
    #[error("output wire {wire} is never assigned; the outputs are the last {outputs} wires")]
    OutputUnassigned {
        /// The wire.
        wire: u32,
        /// Output wires of the circuit.
        outputs: u32,
    },
}
