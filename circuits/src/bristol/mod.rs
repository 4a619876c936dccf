//! Boolean circuits in Bristol Fashion: reading, checking, planning, evaluating and writing them.
//!
//! A file is read into a [`Circuit`], whose inputs and outputs are ports: [`PortValue`]s of so many wires, written as
//! hexadecimal integers. [`Circuit::evaluate_plain`] evaluates it in the clear.
//!
//! ```
//! use trefoil_circuits::bristol::{BitOrder, Circuit};
//!
//! let half_adder = Circuit::parse("2 4\n2 1 1\n2 1 1\n\n2 1 0 1 2 XOR\n2 1 0 1 3 AND\n").unwrap();
//! let inputs = half_adder.input_values(&["1", "1"], BitOrder::Lsb).unwrap();
//! let outputs = half_adder.evaluate_plain(&inputs).unwrap();
//! assert_eq!((outputs[0].to_hex(BitOrder::Lsb), outputs[1].to_hex(BitOrder::Lsb)), ("0".into(), "1".into()));
//! ```

mod builder;
mod circuit;
mod error;
mod export;
mod lines;
mod parse;
mod plain;
mod port;
mod schedule;

pub use builder::{BuildError, Builder, Signal};
pub use circuit::{Circuit, Counts, Gate, Wire};
pub use error::{Fault, ParseError, Side};
pub use export::Form;
pub use parse::Limits;
pub use port::{BitOrder, PortError, PortFault, PortValue};
pub use schedule::Schedule;
