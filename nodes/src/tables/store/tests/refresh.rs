//! New shares of a table, at one node.

use super::{disk::*, *};
use crate::{
    job::JobId,
    store::tests::{
        When,
        home::{Home, Kind},
    },
};
use trefoil_engine::Party;

static SESSION: std::sync::LazyLock<JobId> = std::sync::LazyLock::new(|| JobId::from([7; 16]));

/// Rows whose entries take several parts on the disk.
const ROWS: u64 = 150_000;

fn seed() -> Arc<Seed> {
    Arc::new(Seed::new(&[1, 2, 3].map(|k| Zeroizing::new([k; 32]))))
}

async fn begun(kind: &Kind, spec: &TableSpec) -> (Store, Home, Arc<TableStore>, Arc<StoredTable>) {
    let (store, dir) = kind.temporary().await;
    let tables = tables(&store).await;
    let table = arriving(&tables, &key("alice", 1), spec).store(components(spec, 1)).await.expect("room");
    (store, dir, tables, table)
}

fn parts_of(spec: &TableSpec) -> usize {
    2 * spec.component_bytes().expect("good").div_ceil(1 << 20)
}

#[tokio::test]
async fn new_shares_come_in_use_when_they_are_committed_and_the_old_ones_go() {
    for kind in Kind::all() {
        come_in_use(&kind).await;
    }
}

async fn come_in_use(kind: &Kind) {
    let spec = spec(ROWS);
    let (store, dir, tables, table) = begun(kind, &spec).await;
    let epoch = tables.prepare(&table, (*SESSION, Party::P0), &seed()).await.expect("room");
    assert_eq!((epoch.number, table.pending(), table.content().epoch()), (1, Some(epoch), Epoch::default()));
    assert!(is_as_uploaded(&table, &spec, 1));
    drop((tables, table));
    // Prepared shares are there after a restart too, beside those in use.
    let (store, tables, parts) = restarted(store, &dir).await;
    let table = tables.get(&key("alice", 1)).expect("there");
    assert!(is_as_uploaded(&table, &spec, 1) && table.pending() == Some(epoch));
    assert_eq!(parts, 2 * parts_of(&spec));
    table.commit(Epoch::default().after(JobId::from([8; 16]))).await.expect_err("of another session");
    let expected = renewed(&spec.shapes(), (table.digest(), Party::P0), &seed(), &components(&spec, 1));
    table.commit(epoch).await.expect("prepared");
    table.commit(epoch).await.expect("once more");
    let is_new = |table: &StoredTable| {
        let content = table.content();
        content.epoch() == epoch && (0..2).all(|k| content.component(k) == &expected[k][..])
    };
    assert!(is_new(&table) && table.pending().is_none());
    assert_eq!(table.status().epoch, 1);
    drop((tables, table));
    let (store, tables, parts) = restarted(store, &dir).await;
    let table = tables.get(&key("alice", 1)).expect("there");
    assert!(is_new(&table) && table.pending().is_none());
    assert_eq!(parts, parts_of(&spec), "the old shares are gone");
    // What is given up, or deleted, leaves nothing.
    tables.prepare(&table, (*SESSION, Party::P0), &seed()).await.expect("room");
    table.abandon().await.expect("room");
    assert!(is_new(&table) && table.pending().is_none());
    tables.prepare(&table, (*SESSION, Party::P0), &seed()).await.expect("room");
    assert!(tables.delete(&key("alice", 1), None).await.expect("room"));
    assert!(store.list(crate::store::Space::TableParts, "").await.expect("readable").is_empty());
    table.commit(epoch.after(*SESSION)).await.expect_err("deleted");
    tables.prepare(&table, (*SESSION, Party::P0), &seed()).await.expect_err("deleted");
    drop((tables, table));
    let (_store, tables, parts) = restarted(store, &dir).await;
    assert_eq!((tables.load(), parts), ((0, 0), 0));
}

/// The disk fails at each write in turn, before or after it: the shares are those of one epoch, whole, and no part is left over.
#[tokio::test]
async fn a_crash_leaves_the_shares_of_one_epoch_whole() {
    let spec = spec(ROWS);
    let mut seen = std::collections::BTreeSet::new();
    for when in [When::Before, When::After] {
        for commits in 0.. {
            let (store, dir, tables, table) = begun(&Kind::files(), &spec).await;
            store.fail_after(commits, when);
            let done = async {
                let epoch = tables.prepare(&table, (*SESSION, Party::P0), &seed()).await?;
                table.commit(epoch).await
            };
            let failed = done.await.is_err();
            store.heal();
            drop((tables, table));
            let (_store, tables, parts) = restarted(store, &dir).await;
            let table = tables.get(&key("alice", 1)).expect("there");
            let expected = match table.content().epoch().number {
                0 => components(&spec, 1),
                _ => renewed(&spec.shapes(), (table.digest(), Party::P0), &seed(), &components(&spec, 1)),
            };
            assert!((0..2).all(|k| table.content().component(k) == &expected[k][..]), "{when:?} {commits}");
            let copies = if table.pending().is_some() { 2 } else { 1 };
            assert_eq!(parts, copies * parts_of(&spec), "{when:?} {commits}");
            seen.insert((table.content().epoch().number, table.pending().is_some()));
            if !failed {
                break;
            }
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(0, false), (0, true), (1, false)]);
}
