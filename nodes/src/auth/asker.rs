//! Whether whoever has asked for a session still waits for it.

use super::guard::{Left, Place};
use crate::job::{CANCELLED, Failure, FailureKind, Session};
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
/// time to come to it is over. If all come later, the session is ended where another has begun meanwhile, so that one of a user computes at a time; elsewhere it goes on: a client of which one
/// connection broke has lost nothing.
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
            let left = place.take().map(Place::leave);
            let session = joining.await?;
            *place = left.and_then(Left::again);
            if place.is_some() {
                return Ok(session);
            }
            let cause = format!("{CANCELLED}, which went away before all nodes had come and has begun another");
            let failure = Failure::new(FailureKind::Cancelled, cause);
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
    async fn who_goes_away_before_the_others_have_come_can_begin_another_in_its_place() {
        for begins in [true, false] {
            let ((come, coming), (ended, mut end)) = (oneshot::channel(), oneshot::channel());
            let (done, result) = oneshot::channel();
            let busy = Busy::default();
            let mut place = busy.take(&"alice").ok();
            let waiting = apart(async move {
                let joining = async { Ok(coming.await.expect("they come")) };
                let met = meet(joining, &mut place).await;
                assert_eq!(met.is_ok(), place.is_some());
                done.send(met.map(|_| ())).expect("the test waits");
            });
            tokio::time::timeout(Duration::from_millis(20), waiting).await.expect_err("the others have not come");
            let free = async {
                loop {
                    match busy.take(&"alice") {
                        Ok(place) => return place,
                        Err(_) => tokio::task::yield_now().await,
                    }
                }
            };
            let another = Some(soon(free).await).filter(|_| begins);
            let session: Box<dyn Session> = Box::new(Met(ended));
            assert!(come.send(session).is_ok());
            let result = soon(result).await.expect("it has an end");
            if another.is_some() {
                let (failure, told) = (result.expect_err("given up"), end.try_recv().expect("ended"));
                assert!(failure.kind == FailureKind::Cancelled && told.expect("as a failure").cause == failure.cause);
            } else {
                result.expect("it goes on");
                end.try_recv().expect_err("not ended");
            }
        }
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
