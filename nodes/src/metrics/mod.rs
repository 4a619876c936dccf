//! What a node counts and measures, as Prometheus reads it (`OpenMetrics` text, version 1.0.0).
//!
//! Labels are parties, routes, methods, status codes and names of this program: their types are `&'static str` and small numbers, so that no client can make a new series. What happens is counted where
//! it happens, by a handle of that part ([`JobMetrics`], [`ApiMetrics`], [`StoreMetrics`]); what is at a moment is looked up when it is asked for ([`Readings`]).

mod api;
mod jobs;
mod process;
mod readings;
mod store;

pub(crate) use api::method;
pub use api::{ApiMetrics, Open, Refusal};
pub use jobs::{JobMetrics, Observed};
pub(crate) use jobs::{outcome, program};
pub use readings::Readings;
pub use store::{Access, StoreMetrics};

use prometheus_client::{
    encoding::text,
    metrics::{family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::fmt;

/// The media type of [`Metrics::text`].
pub const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All that one node counts.
pub struct Metrics {
    /// Its jobs.
    pub jobs: JobMetrics,
    /// Requests of clients.
    pub api: ApiMetrics,
    /// Its store.
    pub store: StoreMetrics,
    registry: Registry,
}

/// Histograms, one for each set of labels.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

impl Metrics {
    /// Nothing has been counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix("trefoil");
        let (jobs, api, store) = (JobMetrics::register(own), ApiMetrics::register(own), StoreMetrics::register(own));
        Self { jobs, api, store, registry }
    }

    /// With what is looked up when it is asked for.
    #[must_use]
    pub fn reading(mut self, readings: Readings) -> Self {
        self.registry.sub_registry_with_prefix("trefoil").register_collector(Box::new(readings));
        self.registry.sub_registry_with_prefix("process").register_collector(Box::new(process::Process::now()));
        self
    }

    /// All of it, as [`METRICS_TYPE`].
    ///
    /// # Errors
    /// [`fmt::Error`], which a text does not give.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// From a millisecond to two minutes, for what clients wait for.
fn waits() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0])
}

/// Registers something that lasts.
fn seconds<M>(registry: &mut Registry, (name, help): (&'static str, &'static str), metric: M)
where
    M: prometheus_client::registry::Metric,
{
    registry.register_with_unit(name, help, Unit::Seconds, metric);
}
