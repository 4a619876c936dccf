//! Uploads of large tables that are broken off, and gone on with.

use super::*;
use crate::{
    job::frame,
    store::{
        Space, Store,
        tests::{
            When,
            home::{Home, Kind},
        },
    },
    tables::{ColumnSpec, TABLE_MEDIA_TYPE, TableKey, TableSpec, UploadId, UploadStatus, clock},
};
use axum::body::Bytes;
use futures_util::{StreamExt as _, stream};
use std::sync::atomic::{AtomicU64, Ordering};
use trefoil_circuits::program::RingKind;

const LOANS: &str = "/v1/tables/loans/3";

/// A component has nine parts and a bit.
const ROWS: u64 = 1_200_000;

struct Disk {
    home: Home,
    shows: Arc<AtomicU64>,
    limits: Limits,
}

/// A node, with what it keeps its tables in.
struct Kept {
    node: Node,
    store: Store,
    tables: Arc<TableStore>,
}

impl Disk {
    fn of(kind: &Kind) -> Self {
        Self { home: kind.home(), shows: Arc::new(AtomicU64::new(1)), limits: Limits::default() }
    }

    /// Starts a node on it.
    async fn start(&self) -> Kept {
        let store = self.home.open().await.expect("a store");
        let tables = TableStore::open_at(self.limits.clone(), store.clone(), clock(&self.shows)).await.expect("tables");
        Kept { node: Node::with(self.limits.clone(), tables.clone()), store, tables }
    }
}

impl Kept {
    async fn parts(&self) -> usize {
        self.store.list(Space::TableParts, "").await.expect("readable").len()
    }

    /// Waits until what is removed in the background is gone.
    async fn has_parts(&self, expected: usize) {
        let end = std::time::Instant::now() + Duration::from_mins(1);
        while self.parts().await != expected {
            assert!(std::time::Instant::now() < end, "{} parts, not {expected}", self.parts().await);
            tokio::task::yield_now().await;
        }
    }

    async fn status(&self, path: &str) -> Result<UploadStatus, ProblemKind> {
        let answer = self.node.get(alice(), &format!("{path}/upload")).await;
        match answer.status {
            StatusCode::OK => Ok(serde_json::from_slice(&answer.body).expect("a status")),
            _ => Err(answer.problem()),
        }
    }
}

fn spec() -> TableSpec {
    TableSpec {
        upload: UploadId::random().expect("randomness"),
        rows: ROWS,
        columns: vec![ColumnSpec { name: "income".parse().expect("a name"), ring: RingKind::Z64 }],
        permits: Vec::new(),
        expires: None,
    }
}

fn body_of(spec: &TableSpec) -> Bytes {
    let mut body = frame(&spec.canonical()).to_vec();
    body.reserve(16 * ROWS as usize);
    for k in 0..2 * ROWS {
        body.extend_from_slice(&k.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    }
    body.into()
}

/// Some bytes of a body, and then the connection breaks, or nothing comes any more.
#[derive(Clone, Copy)]
enum End {
    Whole,
    Broken,
    Silent,
}

fn some(body: &Bytes, bytes: std::ops::Range<usize>, end: End) -> Body {
    let bytes = body.slice(bytes);
    let chunks: Vec<_> =
        (0..bytes.len()).step_by(100_000).map(|k| Ok(bytes.slice(k..bytes.len().min(k + 100_000)))).collect();
    match end {
        End::Whole => Body::from_stream(stream::iter(chunks)),
        End::Broken => Body::from_stream(stream::iter(chunks).chain(stream::iter([Err(std::io::Error::other("cut"))]))),
        End::Silent => Body::from_stream(stream::iter(chunks).chain(stream::pending())),
    }
}

/// The whole body, of which some bytes come.
async fn put(node: &Node, path: &str, length: usize, body: Body) -> Answer {
    let request =
        Request::put(path).header(header::CONTENT_TYPE, TABLE_MEDIA_TYPE).header(header::CONTENT_LENGTH, length);
    node.call(alice(), request, body).await
}

/// The body from a byte on.
async fn go_on(node: &Node, (spec, body): (&TableSpec, &Bytes), from: u64, end: End) -> Answer {
    let (from, all) = (from as usize, body.len());
    let request = Request::put(format!("{LOANS}?upload={}", spec.upload))
        .header(header::CONTENT_TYPE, TABLE_MEDIA_TYPE)
        .header(header::CONTENT_LENGTH, all - from)
        .header(header::CONTENT_RANGE, format!("bytes {from}-{}/{all}", all - 1));
    let upto = if matches!(end, End::Whole) { all } else { all - 100 };
    node.call(alice(), request, some(body, from..upto, end)).await
}

fn is_whole(tables: &TableStore, body: &Bytes) -> bool {
    let key = TableKey { owner: name("alice"), name: "loans".parse().expect("a name"), version: 3 };
    let table = tables.get(&key).expect("it is there");
    let columns =
        table.input(&table.content(), &[0], trefoil_circuits::program::Shape::z64(ROWS as usize)).expect("one column");
    columns.as_bytes().concat() == body[body.len() - 16 * ROWS as usize..]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_where_the_connection_broke_and_where_the_node_was_killed() {
    for kind in Kind::all() {
        let disk = Disk::of(&kind);
        let (spec, kept) = (spec(), disk.start().await);
        let body = body_of(&spec);
        assert_eq!(kept.status(LOANS).await, Err(ProblemKind::NotFound));
        let broken = put(&kept.node, LOANS, body.len(), some(&body, 0..9_000_000, End::Broken)).await;
        assert_eq!(broken.problem(), ProblemKind::BadRequest);
        let begun = kept.status(LOANS).await.expect("begun");
        let described = body.len() as u64 - 16 * ROWS;
        assert_eq!((begun.upload, begun.offset, begun.length), (spec.upload, described + (8 << 20), body.len() as u64));
        assert_eq!(kept.parts().await, 8);
        assert!(kept.tables.list(&name("alice")).is_empty(), "it is no table yet");

        // What does not fit to it changes nothing.
        for wrong in [begun.offset - 1, begun.offset + 1, 1, body.len() as u64 - 1] {
            assert_eq!(go_on(&kept.node, (&spec, &body), wrong, End::Whole).await.problem(), ProblemKind::Conflict);
        }
        let other = self::spec();
        assert_eq!(go_on(&kept.node, (&other, &body), begun.offset, End::Whole).await.problem(), ProblemKind::NotFound);
        assert_eq!(kept.status(LOANS).await, Ok(begun));

        // It gets on, breaks again, and the node is killed.
        let broken = go_on(&kept.node, (&spec, &body), begun.offset, End::Broken).await;
        assert_eq!(broken.problem(), ProblemKind::BadRequest);
        let further = kept.status(LOANS).await.expect("begun");
        assert_eq!(further.offset, described + 8 * ROWS + (8 << 20));
        drop(kept);
        let kept = disk.start().await;
        assert_eq!((kept.status(LOANS).await, kept.parts().await), (Ok(further), 18));
        let done = go_on(&kept.node, (&spec, &body), further.offset, End::Whole).await;
        assert_eq!(done.status, StatusCode::CREATED);
        assert!(is_whole(&kept.tables, &body));
        assert_eq!(kept.status(LOANS).await, Err(ProblemKind::NotFound));
        // Whoever has not heard of it asks again.
        assert_eq!(go_on(&kept.node, (&spec, &body), further.offset, End::Whole).await.status, StatusCode::OK);
        drop(kept);
        let kept = disk.start().await;
        assert!(is_whole(&kept.tables, &body) && kept.parts().await == 20);
        assert_eq!(kept.tables.load(), (1, 16 * ROWS));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_sent_by_one_at_a_time_and_a_slow_client_may_come_back() {
    let mut disk = Disk::of(&Kind::files());
    disk.limits.client_timeout = Duration::from_secs(3);
    let kept = Arc::new(disk.start().await);
    let spec = spec();
    let body = body_of(&spec);
    let silent = tokio::spawn({
        let (kept, body) = (kept.clone(), body.clone());
        async move { put(&kept.node, LOANS, body.len(), some(&body, 0..9_000_000, End::Silent)).await.problem() }
    });
    kept.has_parts(8).await;
    // As long as the first one is read, nobody else sends it.
    assert_eq!(kept.status(LOANS).await, Err(ProblemKind::Uploading));
    let whole = || some(&body, 0..body.len(), End::Whole);
    assert_eq!(put(&kept.node, LOANS, body.len(), whole()).await.problem(), ProblemKind::Uploading);
    let next = body.len() as u64 - 16 * ROWS + (8 << 20);
    assert_eq!(go_on(&kept.node, (&spec, &body), next, End::Whole).await.problem(), ProblemKind::Uploading);
    assert_eq!(silent.await.expect("no panic"), ProblemKind::Slow);
    assert_eq!(kept.status(LOANS).await.map(|status| status.offset), Ok(next));
    assert_eq!(go_on(&kept.node, (&spec, &body), next, End::Whole).await.status, StatusCode::CREATED);
    assert!(is_whole(&kept.tables, &body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_uploads_are_few_and_do_not_stay() {
    let disk = Disk::of(&Kind::files());
    let kept = disk.start().await;
    let spec = spec();
    let body = body_of(&spec);
    let begin = async |path: &str| {
        let broken = put(&kept.node, path, body.len(), some(&body, 0..9_000_000, End::Broken)).await;
        assert_eq!(broken.problem(), ProblemKind::BadRequest);
        disk.shows.fetch_add(1, Ordering::SeqCst);
    };
    let path = |version: u32| format!("/v1/tables/loans/{version}");
    for version in 1..=5 {
        begin(&path(version)).await;
    }
    kept.has_parts(4 * 8).await;
    assert_eq!(kept.status(&path(1)).await, Err(ProblemKind::NotFound), "the oldest went");
    assert_eq!(kept.tables.load(), (4, 4 * 16 * ROWS), "they count as tables");
    // Deleted, by name or by upload.
    assert_eq!(kept.node.delete(alice(), &path(2)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        kept.node.delete(alice(), &format!("{}?upload={}", path(3), spec.upload)).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(kept.parts().await, 2 * 8);
    // Sent whole, it begins anew.
    let whole = put(&kept.node, &path(4), body.len(), some(&body, 0..body.len(), End::Whole)).await;
    assert_eq!(whole.status, StatusCode::CREATED);
    kept.has_parts(20 + 8).await;
    // An hour later, the last one is gone, and a table is not.
    disk.shows.fetch_add(3500, Ordering::SeqCst);
    kept.tables.drop_unfinished();
    assert!(kept.status(&path(5)).await.is_ok());
    disk.shows.fetch_add(100, Ordering::SeqCst);
    kept.tables.drop_unfinished();
    kept.has_parts(20).await;
    assert_eq!((kept.status(&path(5)).await, kept.tables.load().0), (Err(ProblemKind::NotFound), 1));
    let Kept { node, store, tables } = kept;
    drop((node, tables));
    assert_eq!(store.list(Space::Tables, "").await.expect("readable").len(), 1, "the head of the table");
}

/// What could not be removed is there, to be deleted again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_upload_that_cannot_be_deleted_now_is_deleted_later() {
    let disk = Disk::of(&Kind::files());
    let (spec, kept) = (spec(), disk.start().await);
    let body = body_of(&spec);
    put(&kept.node, LOANS, body.len(), some(&body, 0..9_000_000, End::Broken)).await;
    let begun = kept.status(LOANS).await.expect("begun");
    kept.store.fail_after(0, When::Before);
    let path = format!("{LOANS}?upload={}", spec.upload);
    assert_eq!(kept.node.delete(alice(), &path).await.problem(), ProblemKind::Storage);
    assert!(kept.store.heal());
    assert_eq!(kept.status(LOANS).await, Ok(begun), "it is not forgotten");
    assert_eq!(kept.node.delete(alice(), &path).await.status, StatusCode::NO_CONTENT);
    kept.has_parts(0).await;
    assert_eq!(kept.status(LOANS).await, Err(ProblemKind::NotFound));
}
