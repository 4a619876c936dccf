use super::*;
use crate::tables::{ColumnSpec, Customers, Permit};
use crate::{
    job::{JobSpec, ModeSpec, MomentsSpec, OutputSpec, ProgramKind, ProgramSpec},
    tables::ColumnName,
};
use futures_util::FutureExt as _;
use std::time::{Duration, UNIX_EPOCH};
use trefoil_circuits::program::{RingKind, Shape};

mod disk;
mod refresh;

/// A clock that shows what a test says, in seconds since 1970.
pub(crate) fn clock(shows: &Arc<AtomicU64>) -> Clock {
    let shows = shows.clone();
    Arc::new(move || UNIX_EPOCH + Duration::from_secs(shows.load(Ordering::SeqCst)))
}

fn client(name: &str) -> ClientName {
    name.parse().expect("a name")
}

fn key(owner: &str, version: u32) -> TableKey {
    TableKey { owner: client(owner), name: "loans".parse().expect("a name"), version }
}

/// Rows of a column of integers, and one of bits, between two others.
fn spec(rows: u64) -> TableSpec {
    let columns = [("a", RingKind::Z64), ("b", RingKind::Bits), ("c", RingKind::Z64), ("d", RingKind::Bits)];
    let column = |(name, ring): (&str, RingKind)| ColumnSpec { name: name.parse().expect("a name"), ring };
    let upload = UploadId::random().expect("randomness");
    TableSpec { upload, rows, columns: columns.map(column).to_vec(), permits: Vec::new(), expires: None }
}

fn arriving(store: &Arc<TableStore>, key: &TableKey, spec: &TableSpec) -> Arriving {
    let bytes = 2 * spec.component_bytes().expect("a good table") as u64;
    match store.begin(key, spec.clone(), bytes) {
        Ok(Arrival::New(arriving)) => *arriving,
        other => panic!("{other:?}"),
    }
}

fn store_at(store: &Arc<TableStore>, key: &TableKey, spec: &TableSpec) -> Arc<StoredTable> {
    let n = spec.component_bytes().expect("a good table");
    let component = |from: usize| Zeroizing::new((from..from + n).map(|k| k as u8).collect::<Vec<_>>());
    arriving(store, key, spec).store_now([component(0), component(100)]).expect("not deleted")
}

/// In memory, nothing has to be waited for.
impl Arriving {
    pub(crate) fn store_now(self, components: [Zeroizing<Vec<u8>>; 2]) -> Option<Arc<StoredTable>> {
        self.store(components).now_or_never().expect("in memory").ok()
    }
}

impl TableStore {
    pub(crate) fn delete_now(self: &Arc<Self>, key: &TableKey, upload: Option<UploadId>) -> bool {
        self.delete(key, upload).now_or_never().expect("in memory").expect("no disk")
    }
}

#[test]
fn columns_are_taken_from_where_they_lie() {
    let store = TableStore::in_memory(Limits::default());
    let table = store_at(&store, &key("alice", 1), &spec(3));
    // Three integers, a word of bits, three integers, a word of bits.
    let names = |names: &[&str]| names.iter().map(|n| n.parse().expect("a name")).collect::<Vec<ColumnName>>();
    let places = |columns: &[&str]| table.spec().places(&names(columns)).expect("columns");
    assert_eq!(places(&[]), [0, 1, 2, 3]);
    assert_eq!(table.spec().places(&names(&["a", "x"])), Err("x".parse().expect("a name")));
    let input = table.input(&table.content(), &places(&["c", "a"]), Shape::z64(6)).expect("fits");
    let expected: Vec<u8> = (32..56).chain(0..24).collect();
    assert_eq!(input.as_bytes()[0], expected);
    assert_eq!(input.as_bytes()[1], expected.iter().map(|b| b + 100).collect::<Vec<u8>>());
    let input = table.input(&table.content(), &places(&["d", "b"]), Shape::bits(128)).expect("fits");
    assert_eq!(input.as_bytes()[0], (56..64).chain(24..32).collect::<Vec<u8>>());
    for (columns, shape, fits) in [
        (&["a"][..], Shape::z64(3), true),
        (&["a", "c"], Shape::z64(6), true),
        (&["a"], Shape::z64(4), false),
        (&["a", "b"], Shape::z64(4), false),
        (&["b"], Shape::bits(3), true),
        (&["b"], Shape::bits(64), false),
        (&["b", "d"], Shape::bits(128), true),
        (&["a"], Shape::bits(192), false),
    ] {
        assert_eq!(table.fits(&places(columns), shape), fits, "{columns:?}, {shape:?}");
    }
}

#[test]
fn a_version_is_stored_once_and_an_upload_is_idempotent() {
    let store = TableStore::in_memory(Limits::default());
    let (one, first, second) = (key("alice", 1), spec(3), spec(3));
    let upload = arriving(&store, &one, &first);
    assert!(matches!(store.begin(&one, first.clone(), 1), Err(TableRefusal::Uploading(_))));
    drop(upload);
    assert_eq!((store.load(), store.get(&one).is_none()), ((0, 0), true), "no trace");
    store_at(&store, &one, &first);
    assert!(matches!(store.begin(&one, first.clone(), 1), Ok(Arrival::Known(_))));
    assert!(matches!(store.begin(&one, second.clone(), 1), Err(TableRefusal::Taken(_))));
    store_at(&store, &key("alice", 2), &second);
    store_at(&store, &key("bob", 1), &second);
    let versions = |tables: Vec<Arc<StoredTable>>| tables.iter().map(|t| t.key().version).collect::<Vec<_>>();
    assert_eq!(versions(store.versions(&client("alice"), &one.name)), [1, 2]);
    assert_eq!(versions(store.list(&client("bob"))), [1]);
    assert!(!store.delete_now(&one, Some(second.upload)), "of another upload");
    assert!(store.delete_now(&one, Some(first.upload)) && !store.delete_now(&one, None));
    assert_eq!(versions(store.versions(&client("alice"), &one.name)), [2]);
}

#[test]
fn a_table_whose_time_is_over_is_erased_and_no_other() {
    let shows = Arc::new(AtomicU64::new(99));
    let store = TableStore::in_memory_at(Limits::default(), clock(&shows));
    let until = |text: &str| TableSpec { expires: Some(text.parse().expect("a moment")), ..spec(3) };
    let (early, late) = (until("1970-01-01T00:01:40Z"), until("1970-01-01T00:03:20Z"));
    assert_ne!(early.digest(&key("alice", 1)), TableSpec { expires: None, ..early.clone() }.digest(&key("alice", 1)));
    for (version, spec) in [(1, &early), (2, &late), (3, &spec(3))] {
        let table = store_at(&store, &key("alice", version), spec);
        assert_eq!((store.has_expired(&table), table.status().expires), (false, spec.expires));
    }
    let erase = || {
        let gone = store.erase_expired().now_or_never().expect("in memory");
        gone.iter().map(|table| table.key().version).collect::<Vec<_>>()
    };
    assert_eq!(erase(), [0; 0]);
    shows.store(100, Ordering::SeqCst);
    let table = store.get(&key("alice", 1)).expect("not erased yet");
    assert!(store.has_expired(&table));
    assert_eq!(erase(), [1]);
    assert_eq!(table.content().component(0).len(), early.component_bytes().expect("good"), "who has it keeps it");
    assert!(matches!(store.begin(&key("alice", 4), early, 1), Err(TableRefusal::Over(..))));
    shows.store(1_000_000_000, Ordering::SeqCst);
    assert_eq!(erase(), [2]);
    assert_eq!(store.list(&client("alice")).len(), 1);
}

#[test]
fn who_deletes_what_arrives_has_given_it_up() {
    let store = TableStore::in_memory(Limits::default());
    let (one, first) = (key("alice", 1), spec(3));
    let upload = arriving(&store, &one, &first);
    assert!(!store.delete_now(&one, Some(spec(3).upload)), "another upload");
    assert!(store.delete_now(&one, Some(first.upload)));
    // Another upload of the same name may begin, which the end of the first one does not disturb.
    let second = arriving(&store, &one, &spec(3));
    assert!(upload.store_now([Zeroizing::default(), Zeroizing::default()]).is_none());
    assert!(second.store_now([Zeroizing::default(), Zeroizing::default()]).is_some());
    assert_eq!(store.load().0, 1);
}

#[test]
fn what_tables_take_up_is_bounded_until_the_last_job_is_done_with_them() {
    let bytes = |rows| 2 * spec(rows).component_bytes().expect("good") as u64;
    let limits = Limits {
        client_tables: 2,
        client_table_bytes: 2 * bytes(3),
        all_table_bytes: 3 * bytes(3),
        ..Limits::default()
    };
    let store = TableStore::in_memory(limits);
    let refused = |owner, version, rows| match store.begin(&key(owner, version), spec(rows), bytes(rows)) {
        Err(TableRefusal::Full { key, .. }) => key,
        other => panic!("{other:?}"),
    };
    let used = store_at(&store, &key("alice", 1), &spec(3));
    assert_eq!(refused("alice", 2, 100), "client_table_bytes");
    store_at(&store, &key("alice", 2), &spec(3));
    assert_eq!(refused("alice", 3, 3), "client_tables");
    store_at(&store, &key("bob", 1), &spec(3));
    assert_eq!(refused("bob", 2, 3), "all_table_bytes");
    assert!(store.delete_now(&key("alice", 1), None));
    assert_eq!(store.load().0, 3, "a job still uses it");
    assert_eq!(refused("bob", 2, 3), "all_table_bytes");
    drop(used);
    store_at(&store, &key("bob", 2), &spec(3));
    assert_eq!(store.load(), (3, 3 * bytes(3)));
}

#[test]
fn descriptions_are_checked_and_bound_to_their_place() {
    let good = spec(3);
    assert_eq!(good.component_bytes(), Ok(2 * 24 + 2 * 8));
    let twice = good.columns.iter().chain(&good.columns[..1]).cloned().collect();
    for bad in [
        TableSpec { rows: 0, ..good.clone() },
        TableSpec { rows: u64::MAX, ..good.clone() },
        TableSpec { columns: Vec::new(), ..good.clone() },
        TableSpec { columns: twice, ..good.clone() },
    ] {
        assert!(bad.component_bytes().is_err(), "{bad:?}");
    }
    let digest = good.digest(&key("alice", 1));
    for other in [good.digest(&key("alice", 2)), good.digest(&key("bob", 1)), spec(3).digest(&key("alice", 1))] {
        assert_ne!(other, digest);
    }
}

#[test]
fn what_is_not_permitted_is_refused() {
    let permit: Permit =
        serde_json::from_str(r#"{"programs":["moments"],"requesters":["carol"],"recipients":["carol","dan"]}"#)
            .expect("a permit");
    let moments = ProgramSpec::Moments(MomentsSpec { columns: 1, rows: vec![3], limit: None });
    let job = |mode, recipients: &[&str]| {
        let output = |name: &&str| OutputSpec::to(vec![client(name)]);
        let outputs = recipients.iter().map(output).collect();
        JobSpec { outputs, ..JobSpec::new(moments.clone(), mode) }
    };
    let malicious = |recipients: &[&str]| job(ModeSpec::Malicious, recipients);
    let (owner, of) = ([client("alice")], |permit: &Permit, job: &JobSpec, requester: &str, all: &[ClientName]| {
        permit.covers(job, &client(requester), &Customers::beside(all, &[client("alice")]))
    });
    assert!(of(&permit, &malicious(&[]), "carol", &owner));
    assert!(of(&permit, &malicious(&["dan", "carol"]), "carol", &owner));
    assert!(!of(&permit, &malicious(&["dan", "erin"]), "carol", &owner));
    assert!(!of(&permit, &malicious(&["dan", "carol"]), "dan", &owner));
    assert!(!of(&permit, &job(ModeSpec::SemiHonest, &[]), "carol", &owner));
    let other = Permit { programs: vec![ProgramKind::Circuit, ProgramKind::AesCtr], ..permit.clone() };
    assert!(!of(&other, &malicious(&[]), "carol", &owner));
    // A sum over more customers tells no more than one over fewer, unless the owner says of whom it is to be.
    let others = [client("alice"), client("bob")];
    assert!(of(&permit, &malicious(&[]), "carol", &others));
    for (with, sum_of, covered) in [
        (vec!["bob"], &others[..], true),
        (vec!["bob", "alice"], &others, true),
        (vec!["bob"], &owner, false),
        (vec!["alice"], &others, false),
        (vec!["alice"], &owner, true),
    ] {
        let permit = Permit { with: with.iter().map(|name| client(name)).collect(), ..permit.clone() };
        assert_eq!(of(&permit, &malicious(&[]), "carol", sum_of), covered, "{with:?} {sum_of:?}");
    }
}

#[test]
fn a_table_that_turns_out_shorter_takes_up_no_more_than_it_needs() {
    let store = TableStore::in_memory(Limits::default());
    let announced = spec(200);
    for rows in [200, 199, 64, 65, 1] {
        let fewer = TableSpec { rows, ..announced.clone() };
        let bytes = fewer.component_bytes().expect("a good table");
        let table = arriving(&store, &key("alice", 1), &announced).of_bytes(bytes).expect("rows");
        let stored = table.store_now([(); 2].map(|()| Zeroizing::new(vec![0; bytes]))).expect("not deleted");
        assert_eq!((stored.spec().rows, stored.digest()), (rows, &fewer.digest(&key("alice", 1))));
        assert_eq!(store.load(), (1, 2 * bytes as u64));
        assert!(store.delete_now(&key("alice", 1), None));
        drop(stored);
    }
    // A row less is two integers less, and no word of bits.
    let bytes = announced.component_bytes().expect("a good table");
    for wrong in [0, bytes + 16, bytes - 8] {
        assert_eq!(arriving(&store, &key("alice", 1), &announced).of_bytes(wrong).err(), Some(wrong));
    }
    assert_eq!(store.load(), (0, 0));
}

#[test]
fn what_both_owners_permit_is_within_what_each_permits() {
    let permits = |text: &str| serde_json::from_str::<Vec<Permit>>(text).expect("permits");
    let one = permits(
        r#"[{"programs":["credit-train","moments"],"requesters":["lead","a"],"recipients":["a","lead"],"minimum":5,"times":3,
             "keep":[{"programs":["credit-score"],"requesters":["lead"],"recipients":["a","b"],"minimum":7,"tell":"number"}]},
            {"programs":["credit-counts"],"requesters":["lead"],"recipients":["lead"],"minimum":10,"with":["a","b"],"tell":"number"}]"#,
    );
    let other = permits(
        r#"[{"programs":["credit-train"],"requesters":["lead"],"recipients":["b","lead"],"minimum":9,"times":2,
             "keep":[{"programs":["credit-score"],"requesters":["lead","a"],"recipients":["b"],"minimum":3}]},
            {"programs":["credit-counts","circuit"],"requesters":["lead"],"recipients":["lead","b"],"minimum":20,"with":["b","a"],"tell":"number","times":4},
            {"programs":["credit-score"],"requesters":["a"],"recipients":["a"]}]"#,
    );
    let both = permits(
        r#"[{"programs":["credit-train"],"requesters":["lead"],"recipients":["lead"],"minimum":9,"times":2,
             "keep":[{"programs":["credit-score"],"requesters":["lead"],"recipients":["b"],"minimum":7}]},
            {"programs":["credit-counts"],"requesters":["lead"],"recipients":["lead"],"minimum":20,"with":["a","b"],"tell":"number","times":4}]"#,
    );
    assert_eq!(Permit::all_of_both(&one, &other), both);
    for all in [&one, &other] {
        assert!(both.iter().all(|permit| all.iter().any(|wider| permit.is_within(wider))));
    }
    assert_eq!(Permit::all_of_both(&one, &one), one, "the same twice is the same");
    assert_eq!(Permit::all_of_both(&one[1..], &other[..1]), []);
    let others = [Permit { with: vec![client("a")], ..other[1].clone() }];
    assert_eq!(Permit::all_of_both(&one, &others), [], "other customers");
}
