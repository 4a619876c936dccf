//! Results go to standard output, as text or as JSON lines; everything else goes to standard error.

use crate::Error;
use serde::Serialize;
use std::{fmt::Display, io, io::Write};

/// The form in which a command prints its results.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The `--json` flag, to flatten into a command's arguments.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct OutputArgs {
    /// Print results as JSON, one object per line
    #[arg(long, display_order = 99)]
    json: bool,
}

impl OutputArgs {
    /// The form that was asked for.
    pub fn resolve(self) -> Output {
        if self.json { Output::Json } else { Output::Text }
    }
}

impl Output {
    /// Prints one result: `value` as a JSON line, or `text` for people.
    ///
    /// # Errors
    /// [`Error::System`] if standard output cannot be written. A reader that has gone away (a closed
    /// pipe) is not an error.
    pub fn print(self, value: &impl Serialize, text: impl Display) -> Result<(), Error> {
        match self {
            Self::Text => line(text),
            Self::Json => line(serde_json::to_string(value).map_err(|e| Error::Bug(format!("result as JSON: {e}")))?),
        }
    }
}

/// Prints one line on standard output and flushes it.
///
/// # Errors
/// [`Error::System`] if standard output cannot be written; a closed pipe is not an error.
pub fn line(text: impl Display) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::system("write to standard output")),
    }
}
