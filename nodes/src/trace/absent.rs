//! What stands for the traces in a program that was built without them.

use super::Telemetry;
use crate::Error;
use tracing::Subscriber;
use tracing_subscriber::{Layer, layer::Identity};
use trefoil_engine::Party;

/// No traces.
#[derive(Debug)]
pub struct Traces;

impl Traces {
    /// None, whatever is asked for: `node.toml` is refused if it asks for them.
    ///
    /// # Errors
    /// None.
    pub fn start(_: &Telemetry, _: Party) -> Result<Self, Error> {
        Ok(Self)
    }

    /// Nobody listens to spans.
    pub fn layer<S: Subscriber>(&self) -> impl Layer<S> + Send + Sync + use<S> {
        Identity::new()
    }

    /// Nothing is under way.
    pub fn stop(self) {}
}
