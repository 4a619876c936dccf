//! Files that clients write and read: models, moments, counts, devices, certificates, reports.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trefoil_nodes::fuzzing::run("file", bytes));
