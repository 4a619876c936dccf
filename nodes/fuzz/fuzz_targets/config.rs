//! `cluster.toml` and `node.toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trefoil_nodes::fuzzing::run("config", bytes));
