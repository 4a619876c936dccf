//! Criterion micro-benchmarks of what a party computes between two messages; see `benches/local.rs`.
//!
//! `cargo bench -p trefoil-benches`. End-to-end figures come from `trefoil bench`.
