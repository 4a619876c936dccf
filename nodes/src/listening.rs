//! What is logged while one test runs among others.

use std::sync::LazyLock;
use tracing::{
    Dispatch, Subscriber,
    subscriber::{DefaultGuard, NoSubscriber},
};

/// Has a subscriber hear what this thread logs, until the guard is dropped.
///
/// While there is but one subscriber in a process, a line of the program to which a thread without one comes first is switched off for
/// all. So there are two, from the first call on.
pub(crate) fn listening(subscriber: impl Subscriber + Send + Sync) -> DefaultGuard {
    static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
    LazyLock::force(&SECOND);
    tracing::subscriber::set_default(subscriber)
}
