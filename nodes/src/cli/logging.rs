//! Logs: `tracing` to standard error.

use crate::{Error, admin::LogFilter, trace::Traces};
use std::io::{self, IsTerminal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt as _, Targets, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

/// The environment variable that holds a log filter.
pub const VARIABLE: &str = "TREFOIL_LOG";

/// Starts logging with the first filter given by `--log`, the environment or the command's default, and returns that
/// filter. Spans go to `traces`, whatever that filter is, and are no part of the log.
///
/// # Errors
/// [`Error::Usage`] if the filter does not parse.
pub fn start(option: Option<&str>, default: &str, traces: Option<&Traces>) -> Result<LogFilter, Error> {
    let variable = std::env::var(VARIABLE).ok().filter(|v| !v.trim().is_empty());
    let (origin, text) = match (option, &variable) {
        (Some(text), _) => ("--log", text),
        (None, Some(text)) => (VARIABLE, text.as_str()),
        (None, None) => ("default", default),
    };
    let filter = LogFilter::parse(text).map_err(|e| Error::Usage(format!("{origin}: {e}")))?;
    let (filter, handle) = reload::Layer::new(filter);
    let log = tracing_subscriber::registry().with(lines(filter, io::stderr, io::stderr().is_terminal()));
    match traces {
        Some(traces) => log.with(traces.layer()).try_init(),
        None => log.try_init(),
    }
    .map_err(|e| Error::Bug(format!("logging started twice: {e}")))?;
    Ok(LogFilter::new(text, handle))
}

/// The lines of the log: events that the filter lets through, without the spans that they are in.
fn lines<W>(filter: reload::Layer<Targets, Registry>, writer: W, ansi: bool) -> impl Layer<Registry> + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let events = filter_fn(|metadata| !metadata.is_span()).with_max_level_hint(LevelFilter::TRACE);
    tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi).with_filter(events.and(filter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listening::listening;
    use std::{
        fs::{self, File},
        sync::Arc,
    };
    use tracing::{Subscriber as _, info, info_span};

    #[test]
    fn lines_have_no_spans_and_follow_the_filter_as_it_changes() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let (layer, handle) = reload::Layer::new(LogFilter::parse("warn").expect("a filter"));
        let filter = LogFilter::new("warn", handle);
        let writer = Arc::new(File::create(file.path()).expect("writable"));
        let log = tracing_subscriber::registry().with(lines(layer, writer, false));
        let span = || info_span!("within", secret = 1);
        assert!(log.register_callsite(span().metadata().expect("of a line")).is_never(), "nobody listens");
        let _heard = listening(log);
        let span = span();
        span.in_scope(|| {
            info!("before");
            filter.set("info").expect("a filter");
            info!("after");
        });
        let text = fs::read_to_string(file.path()).expect("text");
        assert!(text.contains(" INFO trefoil_nodes::cli::logging::tests: after\n"), "{text}");
        assert!(!text.contains("before") && !text.contains("within") && !text.contains("secret"), "{text}");
    }
}
