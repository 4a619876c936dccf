//! Clients that take more than their share, or look for what is not theirs.

use super::*;
use crate::{
    api::audited::Held,
    job::{Accepted, Asked},
    keys::{ErasedKey, KeyId},
    tables::Erased,
    upkeep::UpkeepReport,
};
use futures_util::{StreamExt as _, stream};
use std::{
    convert::Infallible,
    io,
    sync::{Mutex, PoisonError},
};

/// What was written down of requests.
#[derive(Debug, Default)]
struct Written(Mutex<Vec<Asked>>);

impl Written {
    fn take(&self) -> Vec<(String, String, u16)> {
        let asked = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        asked
            .into_iter()
            .map(|asked| (asked.client, format!("{} {}", asked.method, asked.path), asked.status))
            .collect()
    }
}

impl Journal for Written {
    fn accepted(&self, _: &Accepted) -> io::Result<()> {
        Ok(())
    }

    fn ended(&self, _: JobId, _: &JobState) -> io::Result<()> {
        Ok(())
    }

    fn asked(&self, request: &Asked) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        Ok(())
    }

    fn erased(&self, _: &Erased) -> io::Result<()> {
        Ok(())
    }

    fn erased_key(&self, _: &ErasedKey) -> io::Result<()> {
        Ok(())
    }

    fn removed_key(&self, _: &KeyId) -> io::Result<()> {
        Ok(())
    }

    fn compared(&self, _: &UpkeepReport) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn whoever_asks_for_what_is_anothers_is_written_down_and_told_nothing() {
    let (written, limits) = (Arc::new(Written::default()), Limits::default());
    let with = (limits.clone(), TableStore::in_memory(limits));
    let node = Node::that_writes(written.clone(), Some(crate::policy::tests::permissive()), with);
    let (there, nothing) = (path(1), path(2));
    assert_eq!(node.put(alice(), &there, body(&aes(1), b"")).await.status, StatusCode::ACCEPTED);
    for of_job in ["", "/outputs/0", "/events"] {
        let (its, none) = (format!("{there}{of_job}"), format!("{nothing}{of_job}"));
        let (found, absent) = (node.get(bob(), &its).await, node.get(bob(), &none).await);
        // The two cannot be told apart, but for the name.
        let told = |answer: &Answer| String::from_utf8_lossy(&answer.body).replace(&"02".repeat(16), &"01".repeat(16));
        assert_eq!((found.problem(), told(&found)), (ProblemKind::NotFound, told(&absent)));
        assert_eq!(written.take(), [("client `bob`".to_owned(), format!("GET {its}"), 404)]);
    }
    assert_eq!(node.delete(bob(), &there).await.problem(), ProblemKind::NotFound);
    assert_eq!(written.take(), [("client `bob`".to_owned(), format!("DELETE {there}"), 404)]);
    // One's own that is over is nobody's.
    assert_eq!(node.delete(alice(), &there).await.status, StatusCode::NO_CONTENT);
    written.take();
    assert_eq!(node.get(alice(), &there).await.problem(), ProblemKind::NotFound);
    assert_eq!(written.take(), []);
}

/// The other nodes are never given these jobs.
#[tokio::test]
async fn jobs_that_wait_for_the_other_nodes_take_places_of_their_client_alone() {
    let node = Node::new(Limits { client_waiting_jobs: 2, waiting_jobs: 8, ..Limits::default() });
    let body = body(&aes(1), b"");
    for n in 1..=2 {
        assert_eq!(node.put(alice(), &path(n), body.clone()).await.status, StatusCode::ACCEPTED);
    }
    assert_eq!(node.put(alice(), &path(3), body.clone()).await.problem(), ProblemKind::Share);
    assert_eq!(node.put(bob(), &path(4), body).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_step_counts_as_long_as_it_is_worked_on_whoever_goes_away() {
    let node = Node::new(Limits::default());
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let slow = stream::once(async move {
        let _ = ended.await;
        Ok::<_, Infallible>(Vec::new())
    });
    let body = Body::from_stream(stream::iter([Ok(vec![0; 2])]).chain(slow));
    let step = Arc::new(());
    let request = Request::put("/v1/tables/loans/1")
        .header(header::CONTENT_TYPE, crate::tables::TABLE_MEDIA_TYPE)
        .header(header::CONTENT_LENGTH, 1000)
        .extension(Held::new(step.clone()));
    {
        let call = node.call(alice(), request, body);
        tokio::pin!(call);
        // Often enough for the task to begin with the body.
        for _ in 0..100 {
            tokio::select! {
                biased;
                answer = &mut call => panic!("it waits for the body: {}", answer.status),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    assert!(Arc::strong_count(&step) > 1, "the client is gone, and the work is not");
    drop(end);
    let ends = async {
        while Arc::strong_count(&step) > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), ends).await.expect("it ends");
}
