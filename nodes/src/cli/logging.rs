//! Logs: `tracing` to standard error.

use crate::Error;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// The environment variable that holds a log filter.
pub const VARIABLE: &str = "TREFOIL_LOG";

/// Starts logging with the first filter given by `--log`, the environment or the command's default, and returns that
/// filter.
///
/// # Errors
/// [`Error::Usage`] if the filter does not parse.
pub fn start(option: Option<&str>, default: &str) -> Result<String, Error> {
    let variable = std::env::var(VARIABLE).ok().filter(|v| !v.trim().is_empty());
    let (origin, text) = match (option, &variable) {
        (Some(text), _) => ("--log", text),
        (None, Some(text)) => (VARIABLE, text.as_str()),
        (None, None) => ("default", default),
    };
    let filter = EnvFilter::builder().parse(text).map_err(|e| {
        Error::Usage(format!(
            "{origin}: `{text}` is not a log filter ({e}); write e.g. `info` or `warn,trefoil_nodes=debug`"
        ))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|e| Error::Bug(format!("logging started twice: {e}")))?;
    Ok(text.to_owned())
}
