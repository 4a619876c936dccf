//! End-to-end benchmarks: named scenarios, result rows.

pub mod row;
pub mod runner;
pub mod scenario;
