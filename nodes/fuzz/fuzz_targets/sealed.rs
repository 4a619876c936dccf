//! Bodies that claim to be sealed to a node.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trefoil_nodes::fuzzing::run("sealed", bytes));
