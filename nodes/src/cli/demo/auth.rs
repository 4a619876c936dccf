//! The authentication job: a user with a synthetic eye logs in, and somebody else does not.

use super::Row;
use crate::{
    Error,
    api::ProblemKind,
    client::Client,
    job::ModeSpec,
    local::{LocalUser, Seen},
};
use std::time::Instant;

/// Logins that are timed.
const LOGINS: u32 = 5;

/// Enrols a key and a template, logs in, and tries with another eye.
pub(super) async fn run(client: &Client, mode: ModeSpec) -> Result<Row, Error> {
    let mut user = LocalUser::enrol(client, "demo", 1, mode).await?;
    let start = Instant::now();
    for _ in 0..LOGINS {
        user.log_in(client, Seen::Own).await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let another = user.log_in(client, Seen::Another).await;
    let is_refused =
        matches!(&another, Err(Error::Refused { problem, .. }) if problem.kind() == Some(ProblemKind::NoMatch));
    // Each login has come back with a signature that aws-lc-rs verifies, or the job would have ended there.
    let checks = [("logins_verified", true), ("another_eye_refused", is_refused)];
    Ok(Row { mode, seconds, ..Row::new("auth", (LOGINS.into(), "logins"), &checks) })
}
