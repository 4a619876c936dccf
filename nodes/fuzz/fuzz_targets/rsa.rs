//! Keys, their shares, and what is sent of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trefoil_nodes::fuzzing::run("rsa", bytes));
