//! Strands as tasks of the tokio runtime.

use std::future::Future;
use tokio::task::JoinSet;
use trefoil_circuits::program::Executor;
use trefoil_engine::transport::BoxFuture;

/// Runs each strand as a task of its own, on the runtime's threads. Dropping the future ends the tasks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tasks;

impl Executor for Tasks {
    fn join_all<T: Send + 'static>(&self, tasks: Vec<BoxFuture<'static, T>>) -> impl Future<Output = Vec<T>> + Send {
        let mut set = JoinSet::new();
        let count = tasks.len();
        for (at, task) in tasks.into_iter().enumerate() {
            set.spawn(async move { (at, task.await) });
        }
        async move {
            let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
            while let Some(done) = set.join_next().await {
                match done {
                    Ok((at, result)) => results[at] = Some(result),
                    Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
                    // Only this function could cancel a task, and it does so by being dropped.
                    Err(_) => {}
                }
            }
            results.into_iter().flatten().collect()
        }
    }
}
