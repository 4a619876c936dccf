//! Three stores whose shares are made anew while the disk of one of them fails.

use super::{
    compare::compare,
    inventory::{Inventory, outputs, tables},
    refresh::{refresh, settle},
    shares::{Holdings, ShareAt},
    talk::{Broken, Talk, path},
    *,
};
use crate::{
    job::{
        Admission, DoneJob, Job, JobCost, JobId, Jobs, Limits, ModeSpec, OutputStore, OutputTerms, Outputs, Records,
        RetainSpec, Terms,
    },
    keys::KeysHere,
    pki::ClientName,
    store::{
        Space, Store,
        tests::{When, reopen, temporary},
    },
    tables::{Arrival, ColumnSpec, TableKey, TableSpec, TableStore, UploadId},
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tempfile::TempDir;
use trefoil_circuits::program::{RingKind, Shape};
use trefoil_engine::{
    Error, LinkFault, Party, Z64,
    client::{OutputShare, split},
    transport::{
        SessionId,
        memory::{Conditions, Memory},
    },
};
use zeroize::Zeroizing;

struct Disk {
    store: Store,
    tables: Arc<TableStore>,
    jobs: Arc<Jobs>,
    dir: TempDir,
}

impl Disk {
    async fn new(store: Store, dir: TempDir) -> Self {
        let tables = TableStore::open(Limits::default(), store.clone()).await.expect("readable");
        let (outputs, done) = OutputStore::open(store.clone()).await.expect("readable");
        let records = Records { journal: Arc::new(()), outputs: Some(outputs), clock: Arc::new(|| 1000) };
        let jobs = Jobs::with(Limits::default(), records);
        jobs.recover(crate::job::Before::default(), done).expect("room");
        Self { store, tables, jobs, dir }
    }

    fn holdings(&self) -> Holdings<'_> {
        Holdings { store: &self.store, tables: &self.tables, jobs: &self.jobs }
    }

    fn job(&self) -> Arc<Job> {
        self.jobs.get(done(), &key(1).owner).expect("it is there")
    }
}

/// A job that is done, with one output of the values of version 3.
fn done() -> JobId {
    JobId::from([9; 16])
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
        disks.push(Disk::new(store, dir).await);
    }
    for ((me, disk), share) in Party::ALL.into_iter().zip(&disks).zip(split(&values(3)).expect("randomness")) {
        let [own, next] = share.as_bytes();
        let share = OutputShare::<Z64>::from_bytes(me, 500, own, next).expect("lengths fit");
        compute(&disk.jobs, Outputs::new(vec![None, Some(share.into())])).await;
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

/// Has a job of the bank done.
async fn compute(jobs: &Arc<Jobs>, outputs: Outputs) {
    let owner = key(1).owner;
    let output = |recipients| OutputTerms { shape: Shape::z64(500), recipients, keys: BTreeMap::new() };
    let terms = Terms {
        digest: [7; 32],
        mode: ModeSpec::Malicious,
        outputs: Arc::new([output(Vec::new()), output(vec![owner.clone()])]),
        retain: RetainSpec::default(),
        deadline: None,
    };
    let Ok(Admission::New(upload)) = jobs.admit(done(), &owner, terms, 100) else { panic!("it is there") };
    let job = upload.accept_now().expect("present");
    let cost = JobCost { rounds: 1, bytes_sent: 2, products: 3, seconds: 0.5 };
    let end = jobs.keep(&job, Ok((outputs, cost))).await;
    jobs.conclude(&job, end);
}

/// As after a restart of all three.
async fn restarted(disks: [Disk; 3]) -> [Disk; 3] {
    let mut again = Vec::new();
    for Disk { store, tables, jobs, dir } in disks {
        drop((store, tables, jobs));
        let store = reopen(&dir).await.expect("the same store");
        again.push(Disk::new(store, dir).await);
    }
    again.try_into().unwrap_or_else(|_| panic!("three"))
}

/// All three refresh and compare; each ends when it cannot go on, which the others notice.
async fn refreshed(disks: &[Disk; 3], session: u8) -> [Result<Vec<Finding>, Broken>; 3] {
    let net = Memory::new(Conditions::default());
    let spec = UpkeepSpec { session: JobId::from([session; 16]), node: None, unwitnessed: Unwitnessed::Refuse };
    let [a, b, c] = Party::ALL.map(|me| {
        let (seat, disk, spec) = (net.seat(me), &disks[me.index()], &spec);
        Box::pin(async move {
            let link = seat.open(SessionId([session; 16]), path()).await?;
            let mut talk = Talk::new(me, link);
            let here = disk.holdings();
            let (mine, _) = Inventory::take(here, KeysHere::default()).await?;
            let all = mine.share(&mut talk).await?;
            let (at, mut findings) = tables(&all, &Party::ALL);
            let at = at.into_iter().map(|(_, at)| at.into_iter().map(ShareAt::Table).collect());
            let at = at.chain(outputs(&all, &Party::ALL)).collect();
            let (at, more) = settle(&mut talk, here, at).await?;
            findings.extend(more);
            let (at, more) = refresh(&mut talk, (here, spec), at).await?;
            findings.extend(more);
            assert_eq!(at.len(), if findings.is_empty() { 3 } else { at.len() });
            let items = here.items(&at, &[]);
            findings.extend(compare(&mut talk, &disk.store, &items).await?);
            Ok(findings)
        })
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

/// The epoch of the outputs, if the nodes have shares of one epoch: these are of the values, and a client that asks for them can check them.
async fn sound_outputs(disks: &[Disk; 3]) -> Option<u64> {
    let mut held = Vec::new();
    for disk in disks {
        let kept = disk.jobs.kept().await.expect("readable").pop().expect("it is there");
        let mut components = Vec::new();
        for c in 0..2 {
            let found = disk.jobs.kept_component(done(), kept.epoch, c).await.expect("readable");
            components.push(found.map(|(_, component): (DoneJob, _)| component).expect("it is there"));
        }
        let handed = disk.jobs.outputs(&disk.job(), 1, None).await.expect("room").expect("it is there");
        let (own, digest) = handed.get(1).expect("it is there");
        assert_eq!((own, &digest[..]), (&components[0][..], &Sha256::digest(&components[1])[..]), "handed out");
        held.push((kept.epoch, components));
    }
    if held.iter().any(|(epoch, _)| *epoch != held[0].0) {
        return None;
    }
    for me in Party::ALL {
        assert_eq!(held[me.index()].1[1], held[me.next().index()].1[0], "two holders");
    }
    let mut sums = vec![0_u64; 500];
    for (_, components) in &held {
        let (words, _) = components[0].as_chunks::<8>();
        sums.iter_mut().zip(words).for_each(|(sum, word)| *sum = sum.wrapping_add(u64::from_le_bytes(*word)));
    }
    assert_eq!(sums.into_iter().map(Z64).collect::<Vec<_>>(), values(3));
    Some(held[0].0.number)
}

/// All entries of shares that a store has, in the clear.
async fn entries(disk: &Disk) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    for space in [Space::TableParts, Space::OutputParts] {
        for name in disk.store.list(space, "").await.expect("readable") {
            let value = disk.store.get(space, name.clone()).await.expect("readable").expect("it is there");
            entries.push((name, value.to_vec()));
        }
    }
    entries
}

/// How each kind of record is looked after when shares are made anew, compared and rebuilt.
#[derive(Debug, PartialEq)]
enum Care {
    /// Shares in two phases: in all three.
    Phases,
    /// Shares with steps of their own, which a refresh of the store takes: see nodes/tests/tables/upkeep.rs.
    Steps,
    /// No shares: a lost node gets those of the others.
    Copied,
    /// No shares: what a node knows of itself.
    Own,
}

/// Whoever adds a kind of record says here what becomes of it.
fn care(space: Space) -> Care {
    match space {
        Space::Tables | Space::TableParts | Space::Outputs | Space::OutputParts => Care::Phases,
        Space::Keys | Space::Templates => Care::Steps,
        Space::Credentials | Space::Counters => Care::Copied,
        Space::Receipts | Space::Audit | Space::Witnesses | Space::Policy => Care::Own,
    }
}

/// Of every kind of shares nothing is left as it was, and nothing that was is left.
#[tokio::test]
async fn each_kind_of_shares_in_the_store_is_made_anew() {
    let phases: Vec<Space> = Space::ALL.into_iter().filter(|space| care(*space) == Care::Phases).collect();
    let disks = world().await;
    for disk in &disks {
        for space in &phases {
            assert!(!disk.store.list(*space, "").await.expect("readable").is_empty(), "{space:?} is not tried");
        }
    }
    let mut before = Vec::new();
    for disk in &disks {
        before.push(entries(disk).await);
    }
    for result in refreshed(&disks, 1).await {
        assert_eq!(result.expect("no fault"), []);
    }
    for (disk, before) in disks.iter().zip(before) {
        let after = entries(disk).await;
        assert_eq!((before.len(), after.len()), (6, 6), "two components of two tables and of an output");
        for (name, value) in after {
            assert!(before.iter().all(|(_, old)| *old != value), "{}", name.escape_ascii());
        }
        // Each was compared.
        assert_eq!(disk.store.list(Space::Witnesses, "").await.expect("readable").len(), 3);
    }
}

/// Between one node and another, clients ask for the epoch that one has in use: the others have prepared it.
#[tokio::test]
async fn outputs_are_handed_out_while_they_are_made_anew() {
    let disks = world().await;
    let seed = Arc::new(crate::tables::Seed::new(&[1, 2, 3].map(|k| Zeroizing::new([k; 32]))));
    let old = crate::tables::Epoch::default();
    let new = old.after(JobId::from([1; 16]));
    for (me, disk) in Party::ALL.into_iter().zip(&disks) {
        assert!(disk.jobs.prepare_outputs((done(), old, new), (seed.clone(), me)).await.expect("room"));
    }
    assert!(disks[0].jobs.commit_outputs(done(), new).await.expect("room"));
    let mut shares = Vec::new();
    for disk in &disks {
        let outputs = disk.jobs.outputs(&disk.job(), 1, Some(1)).await.expect("room").expect("in use, or prepared");
        assert_eq!(outputs.epoch(), 1);
        let (own, digest) = outputs.get(1).expect("it is there");
        shares.push((own.to_vec(), *digest));
    }
    for me in Party::ALL {
        assert_eq!(shares[me.index()].1[..], Sha256::digest(&shares[me.next().index()].0)[..], "they fit");
    }
    assert!(disks[0].jobs.outputs(&disks[0].job(), 1, Some(0)).await.expect("room").is_none(), "it is erased");
    let current = disks[1].jobs.outputs(&disks[1].job(), 1, None).await.expect("room").expect("in use");
    assert_eq!(current.epoch(), 0);
    // The next upkeep settles it.
    for result in refreshed(&disks, 2).await {
        assert_eq!(result.expect("no fault"), []);
    }
    assert_eq!(sound_outputs(&disks).await, Some(2));
}

/// Shares that are prepared are not taken for those in use while somebody is handed them, and are gone when they are abandoned.
#[tokio::test]
async fn prepared_outputs_are_not_those_in_use() {
    let disks = world().await;
    let disk = &disks[0];
    let seed = Arc::new(crate::tables::Seed::new(&[1, 2, 3].map(|k| Zeroizing::new([k; 32]))));
    let old = crate::tables::Epoch::default();
    let new = old.after(JobId::from([1; 16]));
    assert!(disk.jobs.prepare_outputs((done(), old, new), (seed, Party::P0)).await.expect("room"));
    let job = disk.job();
    let asked = |epoch| disk.jobs.outputs(&job, 1, epoch);
    let prepared = asked(Some(1)).await.expect("room").expect("prepared");
    assert_eq!(asked(None).await.expect("room").expect("in use").epoch(), 0);
    disk.jobs.abandon_outputs(done(), old).await.expect("room");
    assert!(asked(Some(1)).await.expect("room").is_none(), "they are erased");
    drop(prepared);
}

/// A disk that is full for a moment has no parts left beside those in use.
#[tokio::test]
async fn parts_of_a_step_that_broke_off_are_removed_at_once() {
    let disks = world().await;
    let disk = &disks[0];
    let before = entries(disk).await.len();
    let old = crate::tables::Epoch::default();
    let new = old.after(JobId::from([1; 16]));
    for commits in 0..2 {
        let seed = Arc::new(crate::tables::Seed::new(&[1, 2, 3].map(|k| Zeroizing::new([k; 32]))));
        disk.store.fail_after(commits, When::Once);
        let prepared = disk.jobs.prepare_outputs((done(), old, new), (seed, Party::P0)).await;
        assert!(prepared.is_err(), "{commits}: {prepared:?}");
        assert_eq!(entries(disk).await.len(), before, "{commits}");
    }
    // Of a job that is not there, all of it.
    let found = disk.jobs.kept_component(done(), old, 0).await.expect("readable").expect("it is there");
    let (store, dir) = temporary(Party::P0).await;
    let other = Disk::new(store, dir).await;
    for commits in 0..2 {
        other.store.fail_after(commits, When::Once);
        let components = [0, 1].map(|_| found.1.clone());
        let taken = other.jobs.take_back(found.0.clone(), components).await;
        assert!(taken.is_err(), "{commits}: {taken:?}");
        assert_eq!(entries(&other).await.len(), 0, "{commits}");
    }
}

/// None of two nodes alone says how long outputs are kept at a third.
#[tokio::test]
async fn the_end_of_a_job_is_the_earlier_of_two_that_are_not_far_apart() {
    let disks = world().await;
    let old = crate::tables::Epoch::default();
    let found = disks[0].jobs.kept_component(done(), old, 0).await.expect("readable").expect("it is there").0;
    let at = |ended_unix_ms: u64| {
        let text = serde_json::to_value(&found).expect("text");
        let serde_json::Value::Object(mut text) = text else { panic!("a record") };
        text.insert("ended_unix_ms".to_owned(), ended_unix_ms.into());
        serde_json::from_value::<DoneJob>(text.into()).expect("a record")
    };
    let ended = |job: DoneJob| serde_json::to_value(&job).expect("text")["ended_unix_ms"].as_u64();
    let agreed = |one, two| at(one).with_times_of(&at(two), (9000, 500)).map(ended);
    assert_eq!(agreed(7000, 7400), Ok(Some(7000)));
    assert_eq!(agreed(7400, 7000), Ok(Some(7000)));
    assert_eq!(agreed(9100, 9200), Ok(Some(9000)), "not later than now");
    assert!(agreed(7000, 7501).is_err() && agreed(u64::MAX, 7000).is_err());
    assert!(at(7000).is_same(&at(7400)));
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
        assert_eq!(sound_outputs(&disks).await, Some(session.into()));
    }
}

/// A node fails at each of its writes in turn, before or after it, and all three start again: nothing is lost, and the next refresh goes through.
#[tokio::test]
async fn whatever_breaks_off_no_table_is_left_without_shares_that_fit() {
    let (mut seen, mut of_outputs) = (BTreeMap::new(), BTreeSet::new());
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
            let outputs = sound_outputs(&disks).await;
            for result in refreshed(&disks, 2).await {
                assert_eq!(result.expect("no fault"), [], "{party} {when:?} {commits}");
            }
            for (before, version) in before.into_iter().zip([1, 2]) {
                let after = sound(&disks, version).expect("shares that fit");
                assert!(before.is_none_or(|before| after == before + 1) && (1..=2).contains(&after));
            }
            let after = sound_outputs(&disks).await.expect("shares that fit");
            assert!(outputs.is_none_or(|before| after == before + 1) && (1..=2).contains(&after));
            *seen.entry(before).or_insert(0) += 1;
            of_outputs.insert(outputs);
            if !failed {
                break;
            }
        }
    }
    // Broken off before anything was in use, between one node and another, and after all.
    assert_eq!(of_outputs, BTreeSet::from([None, Some(0), Some(1)]));
    for due in [[Some(0), Some(0)], [Some(1), Some(0)], [None, Some(0)], [Some(1), Some(1)]] {
        assert!(seen.contains_key(&due), "{due:?} is not in {seen:?}");
    }
}
