//! The Trefoil node, its client library and the parts of the `trefoil` program.
#![forbid(unsafe_code)]

pub mod bench;
pub mod executor;
pub mod job;
