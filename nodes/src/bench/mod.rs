//! End-to-end benchmarks: named scenarios, result rows.

mod credit;
mod gates;
mod integers;
pub mod namespaces;
pub mod plot;
pub mod row;
pub mod runner;
pub mod scenario;
pub mod worker;
