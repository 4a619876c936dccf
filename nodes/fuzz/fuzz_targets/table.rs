//! Tables as files, and lists of rows.
#![no_main]

libfuzzer_sys::fuzz_target!(init: trefoil_nodes::fuzzing::keep_contained_panics_quiet(), |bytes: &[u8]| trefoil_nodes::fuzzing::run("table", bytes));
