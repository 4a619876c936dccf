//! End-to-end benchmarks: named scenarios, result rows.

mod credit;
mod gates;
mod inputs;
mod integers;
mod matching;
pub mod namespaces;
pub mod plot;
pub mod row;
pub mod runner;
pub mod scenario;
pub mod service;
pub mod worker;
