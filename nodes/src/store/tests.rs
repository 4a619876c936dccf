//! What is written is there after a restart, and nothing else is taken for it.

pub(crate) mod home;
mod lost;
mod server;

use super::{backend::Writes, *};
use home::Kind;
use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard},
};
use tempfile::TempDir;

/// Failures of the disk from a chosen commit on, for tests of those who use the store.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Option<(u32, When)>>);

/// How the first commit fails. Those after it write nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum When {
    /// Nothing is written.
    Before,
    /// It is written, but the caller is not told: as if the process had ended.
    After,
    /// Nothing is written; those after it are.
    Once,
}

impl Faults {
    fn plan(&self) -> MutexGuard<'_, Option<(u32, When)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn before_commit(&self, place: &Location) -> Result<(), StoreError> {
        let mut plan = self.plan();
        match *plan {
            Some((0, When::Before)) => Err(failure(place)),
            Some((0, When::Once)) => {
                *plan = None;
                Err(failure(place))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn after_commit(&self, place: &Location) -> Result<(), StoreError> {
        match &mut *self.plan() {
            Some(plan @ (0, When::After)) => {
                *plan = (0, When::Before);
                Err(failure(place))
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Store {
    /// The disk fails after so many commits.
    pub(crate) fn fail_after(&self, commits: u32, when: When) {
        *self.0.faults.plan() = Some((commits, when));
    }

    /// The disk works again. False if it had not failed.
    pub(crate) fn heal(&self) -> bool {
        self.0.faults.plan().take() == Some((0, When::Before))
    }
}

fn failure(place: &Location) -> StoreError {
    StoreError::of_system(place, io::Error::from(io::ErrorKind::StorageFull))
}

/// A store in a directory of its own.
pub(crate) async fn temporary(party: Party) -> (Store, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(&files(dir.path()), whose(party)).await.expect("a new store");
    (store, dir)
}

fn whose(party: Party) -> Whose {
    Whose { cluster: ClusterId::new([7; 16]), party }
}

fn files(dir: &Path) -> StoreConfig {
    StoreConfig { place: Location::File(records(dir)), key: dir.join("store.key") }
}

fn records(dir: &Path) -> PathBuf {
    dir.join("store.redb")
}

fn value(text: &str) -> Value {
    Value::new(text.as_bytes().to_vec())
}

/// The first node's store, opened again.
pub(crate) async fn reopen(dir: &TempDir) -> Result<Store, StoreError> {
    Store::open(&files(dir.path()), whose(Party::P0)).await
}

#[tokio::test]
async fn what_is_written_is_there_after_a_restart() {
    for kind in Kind::all() {
        written_is_there(kind).await;
    }
}

async fn written_is_there(kind: Kind) {
    let (store, home) = kind.temporary().await;
    store.put(Space::Keys, "alice/one", value("secret one")).await.expect("room");
    store.put(Space::Keys, "alice/two", value("secret two")).await.expect("room");
    store.put(Space::Counters, "alice/one", value("1")).await.expect("room");
    store.put(Space::Keys, "bob/one", value("")).await.expect("room");
    assert!(store.remove(Space::Keys, "alice/two").await.expect("there"));
    assert!(!store.remove(Space::Keys, "alice/two").await.expect("gone"));
    let count = store.write(|records| {
        let old = records.get(Space::Counters, b"alice/one")?.map(|old| old.to_vec());
        records.put(Space::Counters, b"alice/one", b"2")?;
        Ok::<_, StoreError>(old)
    });
    assert_eq!(count.await.expect("room").as_deref(), Some(b"1".as_slice()));
    // A transaction that fails leaves everything as it was.
    let failed = store.write(|records| {
        records.put(Space::Counters, b"alice/one", b"3")?;
        assert_eq!(records.get(Space::Counters, b"alice/one")?.as_deref().map(Vec::as_slice), Some(b"3".as_slice()));
        Err::<(), _>(StoreError::Stopping)
    });
    failed.await.expect_err("it failed");
    drop(store);

    let store = home.open().await.expect("the same store");
    let get = async |space, name: &str| store.get(space, name).await.expect("readable").map(|value| value.to_vec());
    assert_eq!(get(Space::Keys, "alice/one").await.as_deref(), Some(b"secret one".as_slice()));
    assert_eq!(get(Space::Keys, "bob/one").await.as_deref(), Some(b"".as_slice()));
    assert_eq!(get(Space::Keys, "alice/two").await, None);
    assert_eq!(get(Space::Counters, "alice/one").await.as_deref(), Some(b"2".as_slice()));
    assert_eq!(get(Space::Templates, "alice/one").await, None);
    assert_eq!(store.list(Space::Keys, "alice/").await.expect("readable"), [b"alice/one".to_vec()]);
    assert_eq!(store.list(Space::Keys, "").await.expect("readable").len(), 2);
    // Names are bytes, in the order of bytes.
    let names: [&[u8]; 5] = [&[0x20], &[0xfe, 0xff], &[0xff], &[0xff, 0], &[0xff, 0xff, 7]];
    for name in names.iter().rev() {
        store.put(Space::Receipts, *name, value("")).await.expect("room");
    }
    for (prefix, listed) in
        [(&[][..], &names[..]), (&[0xff], &names[2..]), (&[0xff, 0xff], &names[4..]), (&[0x21], &[])]
    {
        assert_eq!(store.list(Space::Receipts, prefix).await.expect("readable"), listed, "{prefix:?}");
    }
}

#[tokio::test]
async fn nothing_of_a_value_is_in_the_file_and_both_files_are_their_owners_alone() {
    let (store, dir) = temporary(Party::P0).await;
    store.put(Space::Keys, "alice/one", value("secret one")).await.expect("room");
    drop(store);
    let bytes = fs::read(records(dir.path())).expect("readable");
    assert!(!bytes.windows(6).any(|window| window == b"secret"));
    assert!(bytes.windows(9).any(|window| window == b"alice/one"), "names are not encrypted");
    for file in [records(dir.path()), files(dir.path()).key] {
        assert_eq!(fs::metadata(file).expect("there").permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_file_that_everybody_may_write_is_refused() {
    let (store, dir) = temporary(Party::P0).await;
    drop(store);
    let (file, whose) = (records(dir.path()), whose(Party::P0));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("ours");
    let error = Store::open(&files(dir.path()), whose).await.expect_err("exposed").to_string();
    assert!(error.contains("mode 0666") && error.contains("chmod 600"), "{error}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("ours");
    Store::open(&files(dir.path()), whose).await.expect("others read nothing of it");
}

#[tokio::test]
async fn updates_of_one_record_go_one_after_the_other() {
    for kind in Kind::all() {
        updates_in_turn(kind).await;
    }
}

async fn updates_in_turn(kind: Kind) {
    let (store, _home) = kind.temporary().await;
    let tasks = (0..32).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let count = store.write(|records| {
                let old = records.get(Space::Counters, b"all")?.map_or(0, |old| old[0]);
                records.put(Space::Counters, b"all", &[old + 1])?;
                Ok::<_, StoreError>(old)
            });
            count.await.expect("room")
        })
    });
    let mut seen = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        seen.push(task.await.expect("ended"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..32).collect::<Vec<u8>>());
}

#[tokio::test]
async fn another_key_and_another_node_are_refused() {
    for kind in Kind::all() {
        others_refused(kind).await;
    }
}

async fn others_refused(kind: Kind) {
    let (store, home) = kind.temporary().await;
    store.put(Space::Keys, "one", value("1")).await.expect("room");
    let busy = home.open().await.expect_err("two openers");
    assert!(matches!(busy, StoreError::Busy { .. }) && busy.to_string().contains("another process"), "{busy}");
    drop(store);

    let key = home.config().key;
    let old = fs::read_to_string(&key).expect("digits");
    fs::remove_file(&key).expect("removed");
    let missing = home.open().await.expect_err("no key").to_string();
    assert!(missing.contains("restore it from a backup"), "{missing}");
    create_key(&key).expect("another key");
    let wrong = home.open().await.expect_err("another key");
    assert!(matches!(wrong, StoreError::WrongKey { .. }), "{wrong}");
    fs::write(&key, "zz\n").expect("written");
    let form = home.open().await.expect_err("no key").to_string();
    assert!(form.contains("64 hexadecimal digits") && !form.contains("zz"), "{form}");

    // The new key seals, and the old one still opens.
    let new = "01".repeat(32);
    fs::write(&key, format!("{new}\n{old}")).expect("written");
    let store = home.open().await.expect("both keys");
    assert_eq!(store.get(Space::Keys, "one").await.expect("readable"), Some(value("1")));
    drop(store);

    for other in [whose(Party::P1), Whose { cluster: ClusterId::new([8; 16]), party: Party::P0 }] {
        let foreign = Store::open(&home.config(), other).await.expect_err("another node");
        assert!(matches!(foreign, StoreError::Foreign { .. }), "{foreign}");
    }
    home.open().await.expect("nothing has changed");
}

/// Whoever can write the records, but has no key, exchanges two records, or takes one from another space.
#[tokio::test]
async fn exchanged_records_are_found_out() {
    for kind in Kind::all() {
        exchange_is_found_out(kind).await;
    }
}

async fn exchange_is_found_out(kind: Kind) {
    let (store, home) = kind.temporary().await;
    store.put(Space::Keys, "alice", value("hers")).await.expect("room");
    store.put(Space::Keys, "bob", value("his")).await.expect("room");
    store.put(Space::Templates, "carol", value("hers")).await.expect("room");
    drop(store);

    home.below(|below| {
        let sealed =
            |below: &Writing<'_>, space, name: &[u8]| below.get(space, name).expect("readable").expect("there");
        let alice = sealed(below, Space::Keys, b"alice");
        below.put(Space::Keys, b"bob", &alice).expect("written");
        let carol = sealed(below, Space::Templates, b"carol");
        below.put(Space::Keys, b"carol", &carol).expect("written");
        below.put(Space::Keys, b"short", &carol[..12]).expect("written");
    })
    .await;

    let store = home.open().await.expect("its structure is whole");
    for name in ["bob", "carol", "short"] {
        let damaged = store.get(Space::Keys, name).await.expect_err("not its own");
        assert!(matches!(damaged, StoreError::Record { .. }), "{damaged}");
        assert!(damaged.to_string().contains(&format!("keys/{name}")), "{damaged}");
    }
    assert_eq!(store.get(Space::Keys, "alice").await.expect("readable"), Some(value("hers")));
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_not_overwritten() {
    let (store, dir) = temporary(Party::P0).await;
    for name in 0..64u8 {
        store.put(Space::Keys, [name], Value::new(vec![name; 1000])).await.expect("room");
    }
    drop(store);
    let file = records(dir.path());
    let good = fs::read(&file).expect("readable");
    let mut flipped = good.clone();
    for byte in flipped.iter_mut().skip(4096).step_by(64) {
        *byte ^= 1;
    }
    let mut tested = 0;
    for bad in
        [&good[..good.len() / 2], &good[..5000], &good[..100], b"something else".repeat(100).as_slice(), &flipped]
    {
        fs::write(&file, bad).expect("written");
        let damaged = reopen(&dir).await.expect_err("damaged");
        assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged:?}");
        assert!(damaged.to_string().contains("restore"), "{damaged}");
        tested += 1;
    }
    assert_eq!(tested, 5);
    fs::write(&file, &good).expect("written");
    let store = reopen(&dir).await.expect("restored");
    assert_eq!(store.list(Space::Keys, "").await.expect("readable").len(), 64);
}

#[tokio::test]
async fn a_disk_that_fails_leaves_the_record_and_works_again() {
    for kind in Kind::all() {
        failure_leaves_the_record(kind).await;
    }
}

async fn failure_leaves_the_record(kind: Kind) {
    let (store, _home) = kind.temporary().await;
    store.put(Space::Keys, "one", value("1")).await.expect("room");
    for (when, then) in [(When::Before, "1"), (When::After, "2")] {
        store.fail_after(0, when);
        store.put(Space::Keys, "one", value("2")).await.expect_err("no room");
        store.put(Space::Keys, "two", value("2")).await.expect_err("still no room");
        assert!(store.heal());
        assert_eq!(store.get(Space::Keys, "one").await.expect("readable"), Some(value(then)));
        assert_eq!(store.get(Space::Keys, "two").await.expect("readable"), None);
    }
}

/// Set for the process that may write no more than so many bytes into a file.
const DIRECTORY: &str = "TREFOIL_TEST_FULL_DISK";

/// The other half of the next test, in a process of its own whose files are limited.
#[test]
fn fills_its_disk() {
    let Ok(dir) = std::env::var(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(&files(dir.as_ref()), whose(Party::P0)).await.expect("room");
        store.put(Space::Keys, "before", value("kept")).await.expect("room");
        let mut full = None;
        for k in 0..64u8 {
            if let Err(error) = store.put(Space::Keys, [k], Value::new(vec![k; 1 << 18])).await {
                full = Some(error);
                break;
            }
        }
        let full = full.expect("16 MiB do not fit");
        assert!(matches!(full, StoreError::Full { .. }) && full.to_string().contains("make room"), "{full:?}");
        // It goes on with what there is, in the same process.
        assert_eq!(store.get(Space::Keys, "before").await.expect("readable"), Some(value("kept")));
        store.remove(Space::Keys, [0]).await.expect("it makes room");
        store.put(Space::Keys, "after", value("kept")).await.expect("room");
    });
}

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = std::env::current_exe().expect("this program");
    // 8 MiB in blocks of 512 or 1024 bytes, as the shell counts; what is beyond is refused instead of ending the process.
    let limited = "trap '' XFSZ; ulimit -f 8192; exec \"$0\" --exact store::tests::fills_its_disk --nocapture";
    let ended = Command::new("sh").args(["-c", limited]).arg(program).env(DIRECTORY, dir.path()).output();
    let ended = ended.expect("a shell");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
    let store = reopen(&dir).await.expect("whole");
    for name in ["before", "after"] {
        assert_eq!(store.get(Space::Keys, name).await.expect("readable"), Some(value("kept")));
    }
}

/// Under a new key, with nothing of what was overwritten: the old key opens nothing any more, and what fails leaves all as it was.
#[tokio::test]
async fn a_store_is_written_anew_under_a_new_key() {
    for kind in Kind::all() {
        rekeyed(kind).await;
    }
}

async fn rekeyed(kind: Kind) {
    let (store, home) = kind.temporary().await;
    let (config, key) = (home.config(), home.config().key);
    let large = Value::new(vec![7; 3 << 20]);
    for k in 0..4 {
        store.put(Space::TableParts, format!("part {k}"), large.clone()).await.expect("room");
    }
    for k in 0..40u8 {
        store.put(Space::Receipts, [k], value("one of many")).await.expect("room");
    }
    store.put(Space::Keys, "alice", value("hers")).await.expect("room");
    let again = async |whose| {
        let config = config.clone();
        tokio::task::spawn_blocking(move || rekey(&config, whose)).await.expect("no panic")
    };
    let busy = again(whose(Party::P0)).await.expect_err("a node has it");
    assert!(matches!(busy, StoreError::Busy { .. }), "{busy}");
    drop(store);

    let old_key = fs::read(&key).expect("a key");
    assert_eq!(old_key.len(), 65, "no key was drawn for nothing");
    let foreign = again(whose(Party::P1)).await.expect_err("another node's");
    assert!(matches!(foreign, StoreError::Foreign { .. }), "{foreign}");
    // What is left of an attempt that was broken off is in nobody's way.
    let fresh = key.with_file_name("store.redb.rekeyed");
    fs::write(&fresh, b"half").expect("room");
    for round in 0..2 {
        let before = fs::read(&key).expect("a key");
        assert_eq!(again(whose(Party::P0)).await.expect("room"), Rekeyed { records: 45, new_key: true });
        assert!(!fresh.exists() || matches!(config.place, Location::Postgres(_)));
        let after = fs::read(&key).expect("a key");
        assert_eq!((after.len(), after == before), (65, false), "{round}");
    }
    let new_key = fs::read(&key).expect("a key");

    let store = home.open().await.expect("the new key alone");
    assert_eq!(store.get(Space::Keys, "alice").await.expect("readable"), Some(value("hers")));
    assert_eq!(store.get(Space::TableParts, "part 3").await.expect("readable"), Some(large));
    assert_eq!(store.list(Space::Receipts, "").await.expect("readable").len(), 40);
    drop(store);
    fs::write(&key, &old_key).expect("room");
    let wrong = home.open().await.expect_err("the old key");
    assert!(matches!(wrong, StoreError::WrongKey { .. }), "{wrong}");
    // A record that does not open stops it before anything is replaced.
    fs::write(&key, [&new_key[..], &old_key[..]].concat()).expect("room");
    let alice = Arc::new(Mutex::new(Vec::new()));
    let kept = alice.clone();
    home.below(move |below| {
        *kept.lock().expect("no panic") = below.get(Space::Keys, b"alice").expect("readable").expect("there");
        below.put(Space::Keys, b"alice", b"no record").expect("written");
    })
    .await;
    again(whose(Party::P0)).await.expect_err("a damaged record");
    let alice = alice.lock().expect("no panic").clone();
    home.below(move |below| below.put(Space::Keys, b"alice", &alice).expect("written")).await;
    fs::write(&key, &new_key).expect("room");
    let store = home.open().await.expect("nothing was replaced");
    assert_eq!(store.get(Space::Keys, "alice").await.expect("readable"), Some(value("hers")));
}

/// Uses that do not get on take no more than their threads, and who waits too long is told.
#[tokio::test]
async fn who_waits_for_a_store_that_does_not_get_on_is_told_in_time() {
    let (store, _dir) = temporary(Party::P0).await;
    let (shut, gate) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let stuck: Vec<_> = (0..USES)
        .map(|_| {
            let (store, gate) = (store.clone(), gate.clone());
            tokio::spawn(async move {
                let read = store.read(move |_| {
                    // Until nobody is there who could send.
                    let _ = gate.lock().expect("not poisoned").recv();
                    Ok::<_, StoreError>(())
                });
                read.await
            })
        })
        .collect();
    while store.0.uses.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let error = store.0.turn(Duration::from_millis(1)).await.expect_err("nobody gets on");
    assert!(
        matches!(error, StoreError::Crowded { .. }) && error.to_string().contains("nothing was changed"),
        "{error}"
    );
    let late = tokio::spawn({
        let store = store.clone();
        async move { store.get(Space::Keys, "a").await }
    });
    drop(shut);
    for read in stuck {
        read.await.expect("no panic").expect("read");
    }
    assert_eq!(late.await.expect("no panic").expect("it goes on"), None);
    assert_eq!(store.0.uses.available_permits(), USES);
}
