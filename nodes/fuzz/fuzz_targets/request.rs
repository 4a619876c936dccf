//! What clients ask for in JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trefoil_nodes::fuzzing::run("request", bytes));
