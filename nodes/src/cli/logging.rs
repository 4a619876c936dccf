//! Logs: `tracing` to standard error.

use crate::{Error, admin::LogFilter};
use std::io::{self, IsTerminal};
use tracing_subscriber::{layer::SubscriberExt, reload, util::SubscriberInitExt};

/// The environment variable that holds a log filter.
pub const VARIABLE: &str = "TREFOIL_LOG";

/// Starts logging with the first filter given by `--log`, the environment or the command's default, and returns that
/// filter.
///
/// # Errors
/// [`Error::Usage`] if the filter does not parse.
pub fn start(option: Option<&str>, default: &str) -> Result<LogFilter, Error> {
    let variable = std::env::var(VARIABLE).ok().filter(|v| !v.trim().is_empty());
    let (origin, text) = match (option, &variable) {
        (Some(text), _) => ("--log", text),
        (None, Some(text)) => (VARIABLE, text.as_str()),
        (None, None) => ("default", default),
    };
    let filter = LogFilter::parse(text).map_err(|e| Error::Usage(format!("{origin}: {e}")))?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|e| Error::Bug(format!("logging started twice: {e}")))?;
    Ok(LogFilter::new(text, handle))
}
