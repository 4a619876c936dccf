//! Whether whoever has asked for a session still waits for it.

use super::guard::Place;
use crate::job::{Failure, FailureKind, LEFT, Session};
use std::{future::Future, hash::Hash};
use tokio::{sync::watch, task::JoinError};

tokio::task_local! {
    static ASKED: watch::Receiver<()>;
}

/// Takes a step in a task of its own: it goes on if nobody waits for it any more, or it would be cut off in the middle of a write. All requests that change something are such steps. A session about
/// one user that the others have not come to yet [lets go of the user](meet) then.
///
/// # Errors
/// [`JoinError`], if the step panics.
pub(crate) async fn apart<T: Send + 'static>(step: impl Future<Output = T> + Send + 'static) -> Result<T, JoinError> {
    let (asker, asked) = watch::channel(());
    let done = tokio::spawn(ASKED.scope(asked, step)).await;
    drop(asker);
    done
}

/// Meets the others. If whoever has asked goes away before all have come, `place` [is free](Place::leave) at once, so that a user whose login has met with a lost node can log in again before the
/// time to come to it is over. Nothing is computed any more, even if they come: who has tried again meanwhile, or had the user erased, is not surprised by it.
///
/// The meeting itself goes on to its end, or that of the time which a session has: no node is left to wait for this one, and the client's place at this node is not free for as many other sessions.
pub(super) async fn meet<F, K>(joining: F, place: &mut Option<Place<K>>) -> F::Output
where
    F: Future<Output = Result<Box<dyn Session>, Failure>>,
    K: Clone + Eq + Hash,
{
    let Ok(mut asked) = ASKED.try_with(Clone::clone) else { return joining.await };
    let mut joining = std::pin::pin!(joining);
    tokio::select! {
        biased;
        joined = &mut joining => joined,
        // Nothing is ever sent.
        _ = asked.changed() => {
            let _left = place.take().map(Place::leave);
            let session = joining.await?;
            let failure = Failure::new(FailureKind::Cancelled, LEFT);
            session.end(Some(&failure));
            Err(failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{auth::guard::Busy, job::Seat};
    use std::{sync::Arc, time::Duration};
    use tokio::sync::oneshot;
    use trefoil_engine::{Error, transport::Transport};

    const SOON: Duration = Duration::from_mins(1);

    /// Tells how it has ended.
    struct Met(oneshot::Sender<Option<Failure>>);

    impl Session for Met {
        fn seat(&mut self) -> Result<Seat, Error> {
            Err(Error::Poisoned)
        }

        fn network(&self) -> Arc<dyn Transport> {
            unreachable!("nothing is computed here")
        }

        fn end(self: Box<Self>, failure: Option<&Failure>) {
            self.0.send(failure.cloned()).expect("the test waits");
        }
    }

    async fn soon<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(SOON, what).await.expect("soon")
    }

    #[tokio::test]
    async fn who_goes_away_before_the_others_have_come_is_not_served_when_they_do() {
        let ((come, coming), (ended, end)) = (oneshot::channel(), oneshot::channel());
        let (done, result) = oneshot::channel();
        let busy = Busy::default();
        let mut place = busy.take(&"alice").ok();
        let waiting = apart(async move {
            let joining = async { Ok(coming.await.expect("they come")) };
            let met = meet(joining, &mut place).await;
            done.send(met.map(|_| ())).expect("the test waits");
        });
        tokio::time::timeout(Duration::from_millis(20), waiting).await.expect_err("the others have not come");
        let free = async {
            while busy.take(&"alice").is_err() {
                tokio::task::yield_now().await;
            }
        };
        soon(free).await;
        let session: Box<dyn Session> = Box::new(Met(ended));
        assert!(come.send(session).is_ok());
        let told = soon(end).await.expect("the session is ended").expect("as a failure");
        let failure = soon(result).await.expect("it has an end").expect_err("given up");
        assert_eq!((failure.kind, told.kind), (FailureKind::Cancelled, FailureKind::Cancelled));
        assert_eq!(told.cause, LEFT);
    }

    #[tokio::test]
    async fn what_has_begun_goes_on() {
        let ((gone, left), (done, result)) = (oneshot::channel::<()>(), oneshot::channel());
        let session: Box<dyn Session> = Box::new(Met(oneshot::channel().0));
        let busy = Busy::default();
        let mut place = busy.take(&"alice").ok();
        let waiting = apart(async move {
            let met = meet(std::future::ready(Ok(session)), &mut place).await;
            left.await.expect_err("the client has gone");
            done.send(met.is_ok() && place.is_some()).expect("the test waits");
        });
        tokio::time::timeout(Duration::from_millis(20), waiting).await.expect_err("it goes on");
        drop(gone);
        assert!(soon(result).await.expect("it has an end"));
        // Nobody is there who could go away.
        let session: Box<dyn Session> = Box::new(Met(oneshot::channel().0));
        assert!(meet(std::future::ready(Ok(session)), &mut busy.take(&"alice").ok()).await.is_ok());
    }
}
