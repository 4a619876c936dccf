//! Jobs: their specification, what a node keeps of them, and how they are run.

mod body;
mod id;
mod limits;
mod prepare;
mod run;
mod spec;
mod status;
mod table;
mod turn;

pub use body::{BodyFault, Head, MAX_SPEC_BYTES, MEDIA_TYPE, Payload, encode_head};
pub use id::{JobId, NotAJobId};
pub use limits::{Limits, TooLarge};
pub use prepare::{PrepareFault, Prepared};
pub use run::{Runner, Seat, Session, Sessions};
pub use spec::{AesCtrSpec, CircuitSpec, JobSpec, ModeSpec, Oversized, ProgramSpec, Sha256Hex, Shape, Terms};
pub use status::{Failure, FailureKind, JobCost, JobState, JobStatus};
pub use table::{Admission, Job, Output, Owner, Refusal, Room, Table, Upload};
pub use turn::{COORDINATOR, Turn, Turns};
