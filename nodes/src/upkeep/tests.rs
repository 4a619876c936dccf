//! Three stores whose shares are made anew while the disk of one of them fails.

use super::{
    compare::compare,
    inventory::{Inventory, tables},
    items,
    refresh::{refresh, settle},
    talk::{Broken, Talk, path},
    *,
};
use crate::{
    job::{JobId, Limits},
    pki::ClientName,
    store::{
        Store,
        tests::{When, reopen, temporary},
    },
    tables::{Arrival, ColumnSpec, TableKey, TableSpec, TableStore, UploadId},
};
use std::{collections::BTreeMap, sync::Arc};
use tempfile::TempDir;
use trefoil_circuits::program::RingKind;
use trefoil_engine::{
    Error, LinkFault, Party, Z64,
    client::split,
    transport::{
        SessionId,
        memory::{Conditions, Memory},
    },
};
use zeroize::Zeroizing;

struct Disk {
    store: Store,
    tables: Arc<TableStore>,
    dir: TempDir,
}

fn key(version: u32) -> TableKey {
    let owner: ClientName = "bank".parse().expect("a name");
    TableKey { owner, name: "loans".parse().expect("a name"), version }
}

fn values(version: u32) -> Vec<Z64> {
    (0..500).map(|k| Z64(k * 31 + u64::from(version))).collect()
}

/// Two tables at three nodes.
async fn world() -> [Disk; 3] {
    let mut disks = Vec::new();
    for _ in Party::ALL {
        // Whose a store is matters to nothing here.
        let (store, dir) = temporary(Party::P0).await;
        let tables = TableStore::open(Limits::default(), store.clone()).await.expect("readable");
        disks.push(Disk { store, tables, dir });
    }
    for version in [1, 2] {
        let column = ColumnSpec { name: "a".parse().expect("a name"), ring: RingKind::Z64 };
        let upload = UploadId::from([version as u8; 16]);
        let spec = TableSpec { upload, rows: 500, columns: vec![column], permits: Vec::new(), expires: None };
        for (disk, share) in disks.iter().zip(split(&values(version)).expect("randomness")) {
            let components = share.as_bytes().map(|bytes| Zeroizing::new(bytes.to_vec()));
            let arrival = disk.tables.begin(&key(version), spec.clone(), 8000).expect("room");
            let Arrival::New(arriving) = arrival else { panic!("it is there") };
            arriving.store(components).await.expect("room");
        }
    }
    disks.try_into().unwrap_or_else(|_| panic!("three"))
}

/// As after a restart of all three.
async fn restarted(disks: [Disk; 3]) -> [Disk; 3] {
    let mut again = Vec::new();
    for Disk { store, tables, dir } in disks {
        drop((store, tables));
        let store = reopen(&dir).await.expect("the same store");
        let tables = TableStore::open(Limits::default(), store.clone()).await.expect("readable");
        again.push(Disk { store, tables, dir });
    }
    again.try_into().unwrap_or_else(|_| panic!("three"))
}

/// All three refresh and compare; each ends when it cannot go on, which the others notice.
async fn refreshed(disks: &[Disk; 3], session: u8) -> [Result<Vec<Finding>, Broken>; 3] {
    let net = Memory::new(Conditions::default());
    let spec = UpkeepSpec { session: JobId::from([session; 16]), node: None, unwitnessed: Unwitnessed::Refuse };
    let [a, b, c] = Party::ALL.map(|me| {
        let (seat, disk, spec) = (net.seat(me), &disks[me.index()], &spec);
        async move {
            let link = seat.open(SessionId([session; 16]), path()).await?;
            let mut talk = Talk::new(me, link);
            let all = Inventory::take(&disk.store, &disk.tables, Vec::new()).await?.share(&mut talk).await?;
            let (at, mut findings) = tables(&all, &Party::ALL);
            let (at, more) = settle(&mut talk, &disk.tables, at).await?;
            findings.extend(more);
            let (at, more) = refresh(&mut talk, (&disk.tables, spec), at).await?;
            findings.extend(more);
            let items = items::of(&disk.tables, &at, &[]);
            findings.extend(compare(&mut talk, &disk.store, &items).await?);
            Ok(findings)
        }
    });
    let (a, b, c) = tokio::join!(a, b, c);
    [a, b, c]
}

/// The epoch of a table, if the nodes have shares of one epoch that are of its values.
fn sound(disks: &[Disk; 3], version: u32) -> Option<u64> {
    let held = disks.each_ref().map(|disk| disk.tables.get(&key(version)).expect("it is there").content());
    let [epoch, b, c] = held.each_ref().map(|content| content.epoch());
    if epoch != b || epoch != c {
        return None;
    }
    for me in Party::ALL {
        assert_eq!(held[me.index()].component(1), held[me.next().index()].component(0), "two holders");
    }
    let own = held.each_ref().map(|content| {
        let (words, _) = content.component(0).as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word)).collect::<Vec<_>>()
    });
    let sum = |k: usize| own.iter().fold(0_u64, |sum, own| sum.wrapping_add(own[k]));
    assert_eq!((0..500).map(|k| Z64(sum(k))).collect::<Vec<_>>(), values(version));
    Some(epoch.number)
}

#[tokio::test]
async fn new_shares_are_of_the_same_values_again_and_again() {
    let mut disks = world().await;
    for session in 1..4 {
        for result in refreshed(&disks, session).await {
            assert_eq!(result.expect("no fault"), []);
        }
        disks = restarted(disks).await;
        assert_eq!([1, 2].map(|version| sound(&disks, version)), [Some(session.into()); 2]);
    }
}

/// A node fails at each of its writes in turn, before or after it, and all three start again: nothing is lost, and the next refresh goes through.
#[tokio::test]
async fn whatever_breaks_off_no_table_is_left_without_shares_that_fit() {
    let mut seen = BTreeMap::new();
    for (party, when) in [(Party::P0, When::Before), (Party::P1, When::After)] {
        for commits in 0.. {
            let disks = world().await;
            disks[party.index()].store.fail_after(commits, when);
            let results = refreshed(&disks, 1).await;
            let failed = disks[party.index()].store.heal();
            for (me, result) in Party::ALL.into_iter().zip(&results) {
                let is_end = matches!(result, Err(Broken::Link(Error::Link { cause: LinkFault::Lost(_), .. })));
                assert!(result.is_ok() || me == party || is_end, "{me}: {result:?}");
            }
            let disks = restarted(disks).await;
            let before = [1, 2].map(|version| sound(&disks, version));
            for result in refreshed(&disks, 2).await {
                assert_eq!(result.expect("no fault"), [], "{party} {when:?} {commits}");
            }
            for (before, version) in before.into_iter().zip([1, 2]) {
                let after = sound(&disks, version).expect("shares that fit");
                assert!(before.is_none_or(|before| after == before + 1) && (1..=2).contains(&after));
            }
            *seen.entry(before).or_insert(0) += 1;
            if !failed {
                break;
            }
        }
    }
    // Broken off before anything was in use, between one node and another, and after all.
    for due in [[Some(0), Some(0)], [Some(1), Some(0)], [None, Some(0)], [Some(1), Some(1)]] {
        assert!(seen.contains_key(&due), "{due:?} is not in {seen:?}");
    }
}
