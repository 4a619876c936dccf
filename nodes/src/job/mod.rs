//! Jobs: their specification, what a node keeps of them, and how they are run.

mod agree;
mod body;
mod id;
mod jobs;
mod journal;
mod limits;
mod prepare;
mod progress;
mod queue;
mod ranges;
mod rehearse;
pub(crate) mod ring;
mod run;
mod sources;
mod spec;
mod status;
mod turn;

pub use body::{BodyFault, Head, MAX_SPEC_BYTES, MEDIA_TYPE, Payload, encode_head};
pub(crate) use body::{Intake, frame, read_spec};
pub(crate) use id::lower_hex;
pub use id::{JobId, NotAJobId};
pub use jobs::{
    Admission, Clock, DoneJob, FetchFault, Follower, Job, Jobs, OutputStore, Outputs, Records, Refusal, Released,
    RepeatFault, Room, Upload,
};
pub(crate) use jobs::{CANCELLED, KeptOutputs, LEFT};
pub use journal::{Accepted, Asked, Before, Grounds, JobBefore, Journal, TableRef};
pub use limits::{Limits, TooLarge};
pub use prepare::{PrepareFault, Prepared, RunFault};
pub use progress::JobEvent;
pub use queue::Flow;
pub use rehearse::{Checks, RehearsalFault, rehearsal_bytes, rehearse, set_aside};
pub use run::{Runner, Seat, Session, Sessions};
pub(crate) use run::{ended_by, failure};
pub use sources::{
    Input, KeepFault, Keeping, Kept, Source, SourceFault, TableSource, fill, keep, resolve, spend, tables_of,
};
pub use spec::{
    AesCtrSpec, AucSpec, CircuitSpec, CountsSpec, InputSpec, JobSpec, JoinSpec, JoinedSpec, KeptTable, MAX_JOINED,
    MAX_RECIPIENTS, Making, MethodSpec, ModeSpec, ModelSpec, MomentsSpec, OutputSpec, OutputTerms, PooledSpec, Port,
    ProgramKind, ProgramSpec, ReasonsSpec, ReportSpec, RetainSpec, Role, ScoreSpec, Sha256Hex, Sizes, SpecFault,
    StopSpec, TableInput, Terms, TrainSpec, Trainer,
};
pub use status::{Failure, FailureKind, JobCost, JobEntry, JobState, JobStatus, OutputStatus};
pub use turn::{COORDINATOR, Turn, Turns};
