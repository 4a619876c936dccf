//! Strands as tasks of the tokio runtime.

use tokio::task::JoinSet;
use trefoil_circuits::program::Executor;
use trefoil_engine::transport::BoxFuture;

/// Runs each strand as a task of its own, on the runtime's threads. Dropping the future ends the tasks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tasks;

impl Executor for Tasks {
    fn run_all(&self, tasks: Vec<BoxFuture<'static, ()>>) -> BoxFuture<'_, ()> {
        let mut set: JoinSet<()> = tasks.into_iter().collect();
        Box::pin(async move {
            while let Some(done) = set.join_next().await {
                match done {
                    Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
                    // Only this function could cancel a task, and it does so by being dropped.
                    _ => {}
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::{Barrier, oneshot};
    use trefoil_circuits::program::join_all;

    #[tokio::test]
    async fn tasks_run_side_by_side_and_give_their_results_in_order() {
        let together = Arc::new(Barrier::new(3));
        let task = |k: usize| -> BoxFuture<'static, usize> {
            let together = together.clone();
            Box::pin(async move {
                together.wait().await;
                k
            })
        };
        assert_eq!(join_all(&Tasks, (0..3).map(task).collect()).await, [0, 1, 2]);
    }

    #[tokio::test]
    async fn a_panic_surfaces_and_dropping_ends_the_tasks() {
        let task: BoxFuture<'static, ()> = Box::pin(async { panic!("of a strand") });
        let end = tokio::spawn(async move { join_all(&Tasks, vec![task]).await }).await;
        assert!(end.is_err_and(|e| e.is_panic()));

        let (held, ended) = oneshot::channel::<()>();
        let task: BoxFuture<'static, ()> = Box::pin(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(Tasks.run_all(vec![task]));
        assert!(ended.await.is_err());
    }
}
