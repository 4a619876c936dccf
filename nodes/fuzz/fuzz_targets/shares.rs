//! Streams of shares, as nodes hand out tables.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trefoil_nodes::fuzzing::run("shares", bytes));
