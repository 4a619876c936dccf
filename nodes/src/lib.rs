//! The Trefoil node, its client library and the `trefoil` program: everything with input and output.
#![forbid(unsafe_code)]

pub mod admin;
pub mod api;
pub mod audit;
pub mod auth;
pub mod bench;
pub mod cli;
pub mod client;
mod clock;
pub mod cluster_files;
pub mod config;
mod contain;
pub mod credit;
pub mod doctor;
mod error;
pub mod executor;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod job;
pub mod keys;
#[cfg(test)]
mod listening;
pub mod local;
pub mod mesh;
pub mod metrics;
mod names;
pub mod node;
pub mod oidc;
pub mod page;
pub mod pki;
pub mod places;
pub mod policy;
mod ration;
pub mod receipt;
pub mod seal;
pub mod status;
pub mod store;
pub mod tables;
pub mod tls;
pub mod trace;
pub mod upkeep;

pub use error::Error;
