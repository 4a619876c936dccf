//! Whether whoever has asked for a session still waits for it.

use crate::job::{Failure, FailureKind};
use std::future::Future;
use tokio::{sync::watch, task::JoinError};

tokio::task_local! {
    static ASKED: watch::Receiver<()>;
}

/// Takes a step in a task of its own: it goes on if nobody waits for it any more, or it would be cut off in the middle of a write. A session that the others
/// have not come to yet is given up then.
///
/// # Errors
/// [`JoinError`], if the step panics.
pub(crate) async fn apart<T: Send + 'static>(step: impl Future<Output = T> + Send + 'static) -> Result<T, JoinError> {
    let (asker, asked) = watch::channel(());
    let done = tokio::spawn(ASKED.scope(asked, step)).await;
    drop(asker);
    done
}

/// Meets the others, unless whoever has asked goes away before all have come: nothing has begun then. Otherwise a user whose login has met with a lost
/// node could not log in again before the time to come to it is over.
pub(super) async fn meet<T>(joining: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let Ok(mut asked) = ASKED.try_with(Clone::clone) else { return joining.await };
    tokio::select! {
        biased;
        joined = joining => joined,
        // Nothing is ever sent.
        _ = asked.changed() => {
            let cause = "whoever has asked for it went away before all nodes had come";
            Err(Failure::new(FailureKind::Cancelled, cause))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    const SOON: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn who_goes_away_before_the_others_have_come_is_not_waited_for_and_afterwards_all_goes_on() {
        // The others never come.
        let (ended, end) = oneshot::channel();
        let waiting = apart(async {
            let met = meet(std::future::pending::<Result<(), Failure>>()).await;
            ended.send(met).expect("the test waits");
        });
        tokio::time::timeout(Duration::from_millis(20), waiting).await.expect_err("the others do not come");
        let failure = tokio::time::timeout(SOON, end).await.expect("soon").expect("sent").expect_err("given up");
        assert_eq!(failure.kind, FailureKind::Cancelled);

        // They have come, and then the client goes.
        let ((gone, left), (ended, end)) = (oneshot::channel::<()>(), oneshot::channel());
        let waiting = apart(async {
            meet(std::future::ready(Ok(()))).await.expect("they are there");
            left.await.expect_err("the client has gone");
            ended.send("written").expect("the test waits");
        });
        tokio::time::timeout(Duration::from_millis(20), waiting).await.expect_err("it goes on");
        drop(gone);
        assert_eq!(tokio::time::timeout(SOON, end).await.expect("soon"), Ok("written"));

        // Nobody is there who could go away.
        assert_eq!(meet(std::future::ready(Ok(7))).await.expect("they are there"), 7);
        assert_eq!(apart(async { meet(std::future::ready(Ok(8))).await.expect("there") }).await.expect("no panic"), 8);
    }
}
