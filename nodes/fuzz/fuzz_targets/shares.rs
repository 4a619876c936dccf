//! Streams of shares, as nodes hand out tables.
#![no_main]

libfuzzer_sys::fuzz_target!(init: trefoil_nodes::fuzzing::keep_contained_panics_quiet(), |bytes: &[u8]| trefoil_nodes::fuzzing::run("shares", bytes));
