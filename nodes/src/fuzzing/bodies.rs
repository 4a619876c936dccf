//! Bodies of requests: a specification with its length before it, then shares.

use crate::{
    api::read_shares,
    auth::{EnrolSpec, LoginSpec, SearchSpec, TokenSpec},
    job::{Head, Intake, JobSpec, Limits, read_spec},
    keys::{KeySpec, RecoverySpec},
    tables::TableSpec,
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::de::DeserializeOwned;
use std::{convert::Infallible, future::Future};
use tokio::runtime::{Builder, Runtime};
use trefoil_auth::rsa::{NodeKey, RecoveryPart};

/// The body of a submission.
pub(super) fn job(bytes: &[u8]) {
    let limits = limits();
    run(async {
        let Ok(head) = Head::read(body(bytes), bytes.len() as u64, &limits).await else { return };
        let text = head.spec.canonical();
        let again: JobSpec = serde_json::from_slice(&text).expect("own text");
        assert_eq!((&again, again.canonical()), (&head.spec, text));
        let payload = head.payload().await.expect("all of it is there");
        assert!(payload.attachment.len() <= bytes.len());
    });
}

/// The body of a table, of a template or a probe, or of a share of a key. The first byte says which.
pub(super) fn other(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    run(async {
        match kind {
            b'a' => {
                let Some((spec, rest)) = read::<TableSpec>(body).await else { return };
                let Ok(component) = spec.component_bytes() else { return };
                if rest.check_left(2 * component as u64).is_ok() {
                    all(rest, body.len()).await;
                }
            }
            b'b' => {
                if let Some((spec, rest)) = read::<EnrolSpec>(body).await {
                    drop(read_shares(rest, Some(spec.matching.kind)).await);
                }
            }
            b'c' => {
                if let Some((spec, rest)) = read::<LoginSpec>(body).await {
                    drop(read_shares(rest, spec.probe).await);
                }
            }
            b'd' => {
                if let Some((spec, rest)) = read::<SearchSpec>(body).await {
                    drop(read_shares(rest, Some(spec.probe)).await);
                }
            }
            b'e' => {
                if let Some((spec, rest)) = read::<TokenSpec>(body).await {
                    drop(read_shares(rest, Some(spec.probe)).await);
                }
            }
            b'f' => {
                if let Some((spec, rest)) = read::<KeySpec>(body).await {
                    let share = NodeKey::decode(&all(rest, body.len()).await);
                    let _ = (spec.check(), share);
                }
            }
            _ => {
                if let Some((_, rest)) = read::<RecoverySpec>(body).await {
                    drop(RecoveryPart::decode(&all(rest, body.len()).await));
                }
            }
        }
    });
}

async fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, Intake<impl Stream<Item = Chunk> + Unpin + use<T>>)> {
    read_spec(body(bytes), bytes.len() as u64, &limits()).await.ok()
}

/// What follows the specification, which is all there.
async fn all(mut rest: Intake<impl Stream<Item = Chunk> + Unpin>, most: usize) -> Vec<u8> {
    let mut share = vec![0; usize::try_from(rest.left()).expect("announced")];
    assert!(share.len() <= most);
    rest.fill(&mut share).await.expect("all of it is there");
    rest.end().await.expect("no more of it is there");
    share
}

type Chunk = Result<Bytes, Infallible>;

/// In two chunks, as it may come.
fn body(bytes: &[u8]) -> impl Stream<Item = Chunk> + Unpin + use<> {
    let (one, other) = bytes.split_at(bytes.len() / 2);
    stream::iter([one, other].map(|chunk| Ok(Bytes::copy_from_slice(chunk))))
}

fn limits() -> Limits {
    Limits { body_bytes: 1 << 20, output_bytes: 1 << 20, ..Limits::default() }
}

fn run(work: impl Future<Output = ()>) {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(work));
}
