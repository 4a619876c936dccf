//! Jobs: their specification, what a node keeps of them, and how they are run.

mod body;
mod id;
mod jobs;
mod limits;
mod prepare;
mod ring;
mod run;
mod spec;
mod status;
mod turn;

pub use body::{BodyFault, Head, MAX_SPEC_BYTES, MEDIA_TYPE, Payload, encode_head};
pub use id::{JobId, NotAJobId};
pub use jobs::{Admission, Job, Jobs, Outputs, Refusal, Room, Upload};
pub use limits::{Limits, TooLarge};
pub use prepare::{PrepareFault, Prepared, RunFault};
pub use run::{Runner, Seat, Session, Sessions};
pub use spec::{
    AesCtrSpec, CircuitSpec, InputSpec, JobSpec, MAX_RECIPIENTS, ModeSpec, OutputSpec, OutputTerms, ProgramSpec,
    Sha256Hex, Sizes, SpecFault, Terms,
};
pub use status::{Failure, FailureKind, JobCost, JobState, JobStatus, OutputStatus};
pub use turn::{COORDINATOR, Turn, Turns};
