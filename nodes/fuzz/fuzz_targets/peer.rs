//! What nodes tell each other of their stores and users.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trefoil_nodes::fuzzing::run("peer", bytes));
