//! Spans for an OpenTelemetry collector: OTLP over HTTP.

use super::{
    TARGET, Telemetry,
    collector::{Collector, DELIVERY},
};
use crate::Error;
use axum::http::HeaderMap;
use opentelemetry::{
    KeyValue,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use std::time::Duration;
use tracing::{Span, Subscriber, level_filters::LevelFilter, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};
use trefoil_engine::Party;

/// Spans that wait for the collector at most. What comes then is lost.
pub(super) const WAITING: usize = 4096;

/// Spans of one request.
const BATCH: usize = 512;

/// How long a span waits for others to be sent with.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long the end of the program waits for the last spans to be taken.
const LAST: Duration = Duration::from_secs(2);

/// The traces of a node. A collector that is slow or away costs spans, and holds up nothing.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Sends the spans of a [`layer`](Self::layer) to a collector, from a thread of its own. Whether there is one turns out later.
    ///
    /// # Errors
    /// [`Error::Usage`] if the settings are wrong, [`Error::System`] if there can be no thread.
    pub fn start(telemetry: &Telemetry, party: Party) -> Result<Self, Error> {
        telemetry.check().map_err(Error::Usage)?;
        let url = telemetry.url().map_err(Error::Usage)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(url.clone())?)
            .with_endpoint(url)
            .with_timeout(DELIVERY)
            .build()
            .map_err(|e| Error::Usage(format!("telemetry.otlp: {e}")))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(INTERVAL)
            .build();
        let resource = Resource::builder_empty()
            .with_service_name(telemetry.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", party.to_string()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(telemetry.ratio))))
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// Takes the node's own spans, whatever the filter of the log is, and nothing of the log.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let ours = filter_fn(|metadata| metadata.is_span() && metadata.target() == TARGET);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("trefoil"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(ours.with_max_level_hint(LevelFilter::INFO))
    }

    /// Sends what is left, for a short while.
    pub fn stop(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST) {
            warn!("the last spans did not reach the collector: {error}");
        }
    }
}

/// Makes a span the child of the one that the headers of a request name. The other headers of the standard are not taken: their text is the client's.
pub(super) fn continue_of(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() || !headers.contains_key(TRACEPARENT) {
        return;
    }
    let parent = TraceContextPropagator::new().extract(&Traceparent(headers));
    if parent.span().span_context().is_valid() {
        // It fails where nobody listens.
        let _ = span.set_parent(parent);
    }
}

const TRACEPARENT: &str = "traceparent";

struct Traceparent<'a>(&'a HeaderMap);

impl Extractor for Traceparent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).filter(|_| key == TRACEPARENT)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}
