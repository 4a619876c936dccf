//! What nodes answer, as a client reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trefoil_nodes::fuzzing::run("answer", bytes));
