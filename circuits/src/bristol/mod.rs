//! Boolean circuits in Bristol Fashion: reading, checking, planning, evaluating and writing them.
//!
//! A file is read into a [`Circuit`], whose inputs and outputs are ports: [`PortValue`]s of so many wires, written as
//! hexadecimal integers. [`Circuit::evaluate_plain`] evaluates it in the clear. For shares it is arranged into a [`Schedule`], whose
//! [`evaluate`](Schedule::evaluate) runs any number of instances at once, laid out as [`Packing`] says;
//! [`Evaluation`] makes a program of it.
//! [`Builder`] makes circuits, [`Circuit::to_bristol`] writes them.
//!
//! ```
//! use trefoil_circuits::bristol::{BitOrder, Circuit};
//!
//! let half_adder = Circuit::parse("2 4\n2 1 1\n2 1 1\n\n2 1 0 1 2 XOR\n2 1 0 1 3 AND\n").unwrap();
//! let inputs = half_adder.input_values(&["1", "1"], BitOrder::Lsb).unwrap();
//! let outputs = half_adder.evaluate_plain(&inputs).unwrap();
//! assert_eq!((outputs[0].to_hex(BitOrder::Lsb), outputs[1].to_hex(BitOrder::Lsb)), ("0".into(), "1".into()));
//! ```
//!
//! The same on shares, with all three parties in one process:
//!
//! ```
//! use trefoil_circuits::bristol::{BitOrder, Circuit, Packing, Schedule};
//! use trefoil_engine::{Lanes, SemiHonest, testing};
//!
//! let half_adder = Circuit::parse("2 4\n2 1 1\n2 1 1\n\n2 1 0 1 2 XOR\n2 1 0 1 3 AND\n").unwrap();
//! let (schedule, packing) = (Schedule::new(&half_adder), Packing::new(1));
//! let inputs = half_adder.input_values(&["1", "1"], BitOrder::Lsb).unwrap();
//! let words = packing.pack_inputs(&half_adder, &[inputs]).unwrap();
//! let (words, cost) = testing::on_shares::<SemiHonest, Lanes, _>(&[&words], async |ctx, shares| {
//!     schedule.evaluate(ctx, shares[0].view(), packing).await
//! });
//! let outputs = packing.unpack_outputs(&half_adder, &words).unwrap();
//! assert_eq!(outputs[0][1].to_hex(BitOrder::Lsb), "1");
//! assert_eq!((cost.rounds, cost.bytes_sent), (1, 8));
//! ```

mod builder;
mod circuit;
mod error;
mod evaluate;
mod export;
mod lines;
mod net;
mod packing;
mod parse;
mod plain;
mod port;
mod run;
mod schedule;

pub use builder::{BuildError, Builder, Signal};
pub use circuit::{Circuit, Counts, Gate, Wire};
pub use error::{Fault, ParseError, Side};
pub use export::Form;
pub use packing::Packing;
pub use parse::Limits;
pub use port::{BitOrder, PortError, PortFault, PortValue};
pub use run::Evaluation;
pub use schedule::Schedule;
