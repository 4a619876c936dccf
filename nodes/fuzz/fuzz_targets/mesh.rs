//! What nodes write to each other.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trefoil_nodes::fuzzing::run("mesh", bytes));
