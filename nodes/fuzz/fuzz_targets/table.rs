//! Tables as files, CSV and Parquet, and lists of rows.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trefoil_nodes::fuzzing::run("table", bytes));
