//! The store.

use super::{Histograms, seconds};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use std::time::Duration;

/// What transactions take, and how many fail. Clones count together.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    durations: Histograms<Of>,
    failures: Family<Of, Counter>,
}

/// What a transaction does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// It reads.
    Read,
    /// It writes, and waits for the disk.
    Write,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Of {
    access: &'static str,
}

impl From<Access> for Of {
    fn from(access: Access) -> Self {
        let access = match access {
            Access::Read => "read",
            Access::Write => "write",
        };
        Self { access }
    }
}

impl StoreMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self { durations: Family::new_with_constructor(durations), failures: Family::default() };
        let help = "Transactions of the store, the wait for a thread and the disk included";
        seconds(registry, ("store_transaction_duration", help), this.durations.clone());
        let help = "Failures of the store's disk or database";
        registry.register("store_failures", help, this.failures.clone());
        for access in [Access::Read, Access::Write] {
            // A series that is there from the start is one whose growth can be seen.
            this.failures.get_or_create(&access.into()).inc_by(0);
        }
        this
    }

    /// A transaction has ended, well or not.
    pub fn took(&self, access: Access, time: Duration) {
        self.durations.get_or_create(&access.into()).observe(time.as_secs_f64());
    }

    /// The disk or the database has failed.
    pub fn failed(&self, access: Access) {
        self.failures.get_or_create(&access.into()).inc();
    }
}

/// From 50 microseconds to ten seconds.
fn durations() -> Histogram {
    Histogram::new([5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0])
}
