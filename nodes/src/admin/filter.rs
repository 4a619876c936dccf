//! The filter of the log, which can be changed while the program runs.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tracing_subscriber::{Registry, filter::Targets, reload};

/// The filter in effect. Clones are of the same one.
#[derive(Clone)]
pub struct LogFilter {
    text: Arc<Mutex<String>>,
    handle: reload::Handle<Targets, Registry>,
}

/// Why there is no new filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterFault {
    /// The text is none.
    #[error("`{text}` is not a log filter ({cause}); write e.g. `info` or `warn,trefoil_nodes=debug`")]
    Malformed {
        /// The text.
        text: String,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no log any more.
    #[error("the log cannot be filtered any more: {0}; please report this")]
    Gone(String),
}

/// Whether this is a level, a target, or both. The library takes what is left out for a level of its own choice, and names of fields too.
fn is_directive(part: &str) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_:-.".contains(c));
    part.split_once('=').map_or_else(|| is_name(part), |(target, level)| is_name(target) && is_name(level))
}

impl LogFilter {
    /// Reads a filter: levels and targets, as `--log` takes them. Neither spans, which the log does not have, nor values of fields: patterns for these would be compiled to
    /// automata of any size.
    ///
    /// # Errors
    /// [`FilterFault::Malformed`].
    pub fn parse(text: &str) -> Result<Targets, FilterFault> {
        let malformed = |cause: String| FilterFault::Malformed { text: text.to_owned(), cause };
        if text.trim().is_empty() {
            return Err(malformed("it is empty".to_owned()));
        }
        if let Some(part) = text.split(',').find(|part| !is_directive(part)) {
            return Err(malformed(format!("`{part}` is neither a level nor a target with one")));
        }
        text.parse::<Targets>().map_err(|e| malformed(e.to_string()))
    }

    /// The filter of a text, for a layer that is reloaded by `handle`.
    pub fn new(text: &str, handle: reload::Handle<Targets, Registry>) -> Self {
        Self { text: Arc::new(Mutex::new(text.to_owned())), handle }
    }

    /// The filter in effect.
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it.
    ///
    /// # Errors
    /// [`FilterFault`]; the filter stays as it was.
    pub fn set(&self, text: &str) -> Result<(), FilterFault> {
        let filter = Self::parse(text)?;
        let mut current = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        // Under both filters: with `off` there would be no line of who has silenced the node.
        tracing::error!("the log filter, `{current}`, is to be `{text}`");
        self.handle.reload(filter).map_err(|e| FilterFault::Gone(e.to_string()))?;
        let before = std::mem::replace(&mut *current, text.to_owned());
        drop(current);
        // At a level that hardly any filter hides: whoever reads the log is to know why it changes.
        tracing::error!("the log filter is `{text}` now; it was `{before}`");
        Ok(())
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogFilter").field(&self.text()).finish()
    }
}
