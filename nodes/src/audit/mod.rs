//! What a node has done and refused, in a log that shows whether it was changed.
//!
//! Each line of a file is an [`Entry`] as JSON with the hash of it and of all before it in front, so that a line that is altered, removed or put in is found: by `trefoil audit verify`, and by the node when it
//! starts. Whoever can write the files can also write all of them anew from some line on. That is found by comparing with the other two nodes, whose logs have the same jobs with the same digests; and by the node, which keeps the end of the
//! log in its encrypted store too.
//!
//! Entries are written before what they tell of is answered, and are on the disk a second later: a process that is killed loses none, a machine that loses its power loses that second's.
//!
//! The log is what a node that starts again knows its jobs from: those that were under way when it ended have failed, and it says so.

mod chain;
mod event;
mod keeper;
mod log;
mod verify;

#[cfg(any(test, fuzzing))]
pub(crate) use chain::read as read_line;
pub use chain::{Entry, Link};
pub use event::Event;
pub use keeper::Keeper;
pub use log::{AuditLog, AuditWhose, Known, Recovered};
pub use verify::{Finding, LogFault, LogReport, compare, verify};

#[cfg(test)]
mod tests;
