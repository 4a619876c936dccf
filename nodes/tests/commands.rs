//! The commands, run as users run them.

#[path = "commands/aes.rs"]
mod aes;
#[path = "commands/bench.rs"]
mod bench;
#[path = "commands/plan.rs"]
mod plan;
#[path = "commands/rsa.rs"]
mod rsa;
