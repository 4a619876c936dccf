//! What is on the disk of the tables of a node.

use super::*;
use crate::{
    job::Sha256Hex,
    store::{
        Space, StoreError,
        tests::{
            When,
            home::{Home, Kind},
        },
    },
    tables::{Origin, Spending},
};

/// Rows whose entries take several parts on the disk.
const ROWS: u64 = 150_000;

pub(super) fn components(spec: &TableSpec, seed: u8) -> [Zeroizing<Vec<u8>>; 2] {
    let n = spec.component_bytes().expect("a good table");
    [seed, seed + 100].map(|seed| Zeroizing::new((0..n).map(|k| (k / 7) as u8 ^ seed).collect()))
}

pub(super) async fn tables(store: &Store) -> Arc<TableStore> {
    TableStore::open(Limits::default(), store.clone()).await.expect("readable")
}

/// The tables after a restart of the node, and how many parts its disk has.
pub(super) async fn restarted(store: Store, home: &Home) -> (Store, Arc<TableStore>, usize) {
    drop(store);
    let store = home.open().await.expect("the same store");
    let tables = tables(&store).await;
    let parts = store.list(Space::TableParts, "").await.expect("readable").len();
    (store, tables, parts)
}

pub(super) fn is_as_uploaded(table: &StoredTable, spec: &TableSpec, seed: u8) -> bool {
    let [own, next] = components(spec, seed);
    let content = table.content();
    table.spec() == spec && (content.component(0), content.component(1)) == (&own[..], &next[..])
}

#[tokio::test]
async fn tables_are_there_after_a_restart_with_what_bounds_their_use() {
    for kind in Kind::all() {
        there_after_a_restart(&kind).await;
    }
}

async fn there_after_a_restart(kind: &Kind) {
    let (store, home) = kind.temporary().await;
    let times = |times| Permit { requesters: vec![client("bob")], times, ..Permit::default() };
    let spec = TableSpec { permits: vec![times(0), times(2)], ..spec(ROWS) };
    let (one, two) = (key("alice", 1), key("alice", 2));
    let origin = Origin { owner: client("carol"), digest: Sha256Hex([5; 32]) };
    {
        let tables = tables(&store).await;
        let owners = vec![client("alice"), client("carol")];
        let arriving = arriving(&tables, &one, &spec).of_rows(vec![origin.clone()]).of_customers(owners);
        let table = arriving.store(components(&spec, 1)).await.expect("room");
        let spent = [(0, "bob"), (1, "bob"), (1, "dan")].map(|(k, who)| table.spend(k, &client(who)));
        assert_eq!(spent, [Spending::Unbounded, Spending::Counted, Spending::Counted]);
        tables.keep_uses(vec![table]).await.expect("room");
        let other = super::arriving(&tables, &two, &super::spec(3));
        other.store(components(&super::spec(3), 2)).await.expect("room");
        assert!(tables.delete(&two, None).await.expect("room"));
    }
    let (_store, tables, parts) = restarted(store, &home).await;
    let table = tables.get(&one).expect("it is there");
    assert!(is_as_uploaded(&table, &spec, 1) && tables.get(&two).is_none());
    let bytes = 2 * spec.component_bytes().expect("good");
    assert_eq!((parts, tables.load()), (2 * (bytes / 2).div_ceil(1 << 20), (1, bytes as u64)));
    assert_eq!((table.digest(), table.owners().len()), (&spec.digest(&one), 2));
    assert_eq!(table.tells_of()[1..], [origin]);
    // Bob has one job left, and Dan another.
    let spent = ["bob", "bob", "dan"].map(|who| table.spend(1, &client(who)));
    assert_eq!(spent, [Spending::Counted, Spending::UsedUp, Spending::Counted]);
    assert!(matches!(tables.begin(&one, spec.clone(), 1), Ok(Arrival::Known(_))), "the upload is complete");
}

/// The disk fails at each write in turn, before or after it: two tables of a job are both there afterwards or both not, and no part is left over.
#[tokio::test]
async fn a_crash_leaves_all_tables_of_a_job_or_none() {
    for kind in Kind::all() {
        all_tables_or_none(&kind).await;
    }
}

async fn all_tables_or_none(kind: &Kind) {
    let (first, second) = (spec(ROWS), spec(3));
    let mut seen = [0; 2];
    for when in [When::Before, When::After] {
        for commits in 0.. {
            let (store, home) = kind.temporary().await;
            let tables = tables(&store).await;
            let both = [(1, &first), (2, &second)].map(|(version, spec)| {
                (arriving(&tables, &key("alice", version), spec), components(spec, version as u8))
            });
            store.fail_after(commits, when);
            let stored = Arriving::store_all(both.into()).await;
            let failed = stored.is_err();
            store.heal();
            assert_eq!((tables.get(&key("alice", 1)).is_none(), tables.load().0 == 0), (failed, failed));
            if failed {
                // Not there, so it may be uploaded again.
                drop(arriving(&tables, &key("alice", 1), &first));
            }
            drop((tables, stored));
            let (_store, tables, parts) = restarted(store, &home).await;
            let there = [(1, &first), (2, &second)].map(|(version, spec)| {
                let table = tables.get(&key("alice", version));
                table.map(|table| assert!(is_as_uploaded(&table, spec, version as u8))).is_some()
            });
            assert_eq!(there[0], there[1], "{when:?} {commits}");
            assert_eq!(there[0], parts > 0, "{when:?} {commits}");
            seen[usize::from(there[0])] += 1;
            if !failed {
                break;
            }
        }
    }
    assert!(seen[0] >= 2 && seen[1] >= 2, "{seen:?}");
}

/// A node that was away when a table has expired erases it when it is back.
#[tokio::test]
async fn a_table_that_expires_while_the_node_is_away_is_erased() {
    for kind in Kind::all() {
        let (store, home) = kind.temporary().await;
        let shows = Arc::new(AtomicU64::new(99));
        let open = async |store: &Store| {
            TableStore::open_at(Limits::default(), store.clone(), clock(&shows)).await.expect("readable")
        };
        let expiring = TableSpec { expires: Some("1970-01-01T00:01:40Z".parse().expect("a moment")), ..spec(3) };
        arriving(&open(&store).await, &key("alice", 1), &expiring).store(components(&expiring, 1)).await.expect("room");
        drop(store);
        let store = home.open().await.expect("the same store");
        let tables = open(&store).await;
        assert_eq!(tables.erase_expired().await.len(), 0);
        shows.store(100, Ordering::SeqCst);
        let gone = tables.erase_expired().await;
        assert_eq!(gone.iter().map(|table| table.spec().expires).collect::<Vec<_>>(), [expiring.expires]);
        drop((tables, gone));
        let (_store, tables, parts) = restarted(store, &home).await;
        assert_eq!((tables.load().0, parts), (0, 0));
    }
}

#[tokio::test]
async fn a_crash_while_a_table_is_deleted_leaves_it_or_nothing() {
    for kind in Kind::all() {
        deleted_or_not(&kind).await;
    }
}

async fn deleted_or_not(kind: &Kind) {
    let one = key("alice", 1);
    for (when, there) in [(When::Before, true), (When::After, false)] {
        let (store, home) = kind.temporary().await;
        let tables = tables(&store).await;
        arriving(&tables, &one, &spec(3)).store(components(&spec(3), 1)).await.expect("room");
        store.fail_after(0, when);
        tables.delete(&one, None).await.expect_err("the disk fails");
        assert!(store.heal() && tables.get(&one).is_some(), "as it was");
        drop(tables);
        let (_store, tables, parts) = restarted(store, &home).await;
        assert_eq!((tables.get(&one).is_some(), parts > 0), (there, there));
    }
}

/// Whatever comes first, a table whose deletion was acknowledged is not there after a restart, and its name is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_table_that_is_deleted_while_it_is_written_stays_deleted() {
    let (store, home) = Kind::files().temporary().await;
    let tables = tables(&store).await;
    let one = key("alice", 1);
    let mut ends = [0; 2];
    for k in 0..40 {
        let upload = spec(3);
        let arriving = arriving(&tables, &one, &upload);
        let storing = tokio::spawn(arriving.store(components(&upload, 1)));
        for _ in 0..k % 20 {
            tokio::task::yield_now().await;
        }
        assert!(tables.delete(&one, None).await.expect("room"));
        ends[usize::from(storing.await.expect("no panic").is_ok())] += 1;
        assert!(tables.get(&one).is_none());
    }
    drop(tables);
    let (_store, tables, parts) = restarted(store, &home).await;
    assert_eq!((tables.load(), parts), ((0, 0), 0), "{ends:?}");
}

/// One of two tables of a job is deleted while they are written: what was told is so, and stays so, and the other is not there alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_tables_of_which_one_is_deleted_meanwhile_none_is_left_alone() {
    let (mut store, home) = Kind::files().temporary().await;
    let mut ends = [0; 2];
    for k in 0..24 {
        let tables = tables(&store).await;
        let both = [1, 2].map(|version| {
            let spec = spec(3);
            let bodies = components(&spec, version as u8);
            (arriving(&tables, &key("alice", version), &spec), bodies)
        });
        let storing = tokio::spawn(Arriving::store_all(both.into()));
        for _ in 0..k {
            tokio::task::yield_now().await;
        }
        assert!(tables.delete(&key("alice", 1), None).await.expect("room"));
        let stored = storing.await.expect("no panic").is_ok();
        ends[usize::from(stored)] += 1;
        assert!(tables.get(&key("alice", 1)).is_none());
        assert_eq!(tables.get(&key("alice", 2)).is_some(), stored);
        // Its place is free for another upload, which is the one that stays.
        let fresh = spec(5);
        if stored {
            assert!(tables.delete(&key("alice", 2), None).await.expect("room"));
        }
        arriving(&tables, &key("alice", 2), &fresh).store(components(&fresh, 9)).await.expect("room");
        drop(tables);
        let (next, tables, _) = restarted(store, &home).await;
        store = next;
        assert!(tables.get(&key("alice", 1)).is_none());
        assert!(is_as_uploaded(&tables.get(&key("alice", 2)).expect("there"), &fresh, 9));
        assert!(tables.delete(&key("alice", 2), None).await.expect("room"));
    }
    assert_eq!(ends.iter().sum::<i32>(), 24);
}

/// The disk has it and says that it has not: who uploads again is not told that there is one, and a restart finds one table.
#[tokio::test]
async fn a_table_that_is_there_against_the_word_of_the_disk_is_replaced_or_deleted() {
    for kind in Kind::all() {
        there_against_the_word(&kind).await;
    }
}

async fn there_against_the_word(kind: &Kind) {
    for again in [true, false] {
        let (store, home) = kind.temporary().await;
        let tables = tables(&store).await;
        let (one, old, fresh) = (key("alice", 1), spec(3), spec(3));
        store.fail_after(1, When::After);
        arriving(&tables, &one, &old).store(components(&old, 1)).await.expect_err("the disk says so");
        store.heal();
        if again {
            arriving(&tables, &one, &fresh).store(components(&fresh, 2)).await.expect("room");
        } else {
            assert!(!tables.delete(&one, Some(fresh.upload)).await.expect("room"), "another upload");
            assert!(tables.delete(&one, Some(old.upload)).await.expect("room"));
            assert!(!tables.delete(&one, None).await.expect("room"));
        }
        drop(tables);
        let (_store, tables, parts) = restarted(store, &home).await;
        assert_eq!(tables.get(&one).map(|table| is_as_uploaded(&table, &fresh, 2)), again.then_some(true));
        assert_eq!(parts > 0, again);
    }
}

#[tokio::test]
async fn a_table_that_lacks_a_part_is_damaged() {
    for kind in Kind::all() {
        lacking_a_part(&kind).await;
    }
}

async fn lacking_a_part(kind: &Kind) {
    for (value, fault) in [(None, "lacks a part"), (Some(Zeroizing::new(vec![0; 3])), "a part of another length")] {
        let (store, home) = kind.temporary().await;
        let one = spec(ROWS);
        arriving(&tables(&store).await, &key("alice", 1), &one).store(components(&one, 1)).await.expect("room");
        let last = store.list(Space::TableParts, "").await.expect("readable").pop().expect("parts");
        match value {
            None => assert!(store.remove(Space::TableParts, last).await.expect("room")),
            Some(value) => store.put(Space::TableParts, last, value).await.expect("room"),
        }
        drop(store);
        let store = home.open().await.expect("the same store");
        let error = TableStore::open(Limits::default(), store).await.expect_err("damaged");
        assert!(matches!(error, StoreError::Record { .. }) && error.to_string().contains(fault), "{error}");
    }
}
