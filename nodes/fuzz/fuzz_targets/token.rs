//! Tokens of an issuer, and its keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trefoil_nodes::fuzzing::run("token", bytes));
