//! The time of day by this machine's clock; zero for one before 1970-01-01 UTC, which the doctor finds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 UTC.
pub(crate) fn now_unix_ms() -> u64 {
    u64::try_from(now_unix().as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970-01-01 UTC.
pub(crate) fn now_unix_s() -> u64 {
    now_unix().as_secs()
}

/// The time since 1970-01-01 UTC.
pub(crate) fn now_unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
