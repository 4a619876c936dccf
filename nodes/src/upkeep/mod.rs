//! What the three nodes do with their stores together, when an operator asks for it: compare the shares that two of them hold, make all shares anew, and give a node that has lost its store its shares again.

mod automatic;
mod compare;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod inventory;
mod items;
mod missing;
mod rebuild;
mod records;
mod refresh;
mod service;
mod shares;
mod spec;
mod talk;

pub use automatic::{Comparisons, UpkeepSettings};
#[cfg(any(test, fuzzing))]
pub(crate) use fuzzing::read_any;
pub use service::{Upkeep, UpkeepConfig, UpkeepFault};
pub use spec::{Finding, Task, Unwitnessed, UpkeepReport, UpkeepSpec};

#[cfg(test)]
mod tests;
