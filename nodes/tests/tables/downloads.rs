//! Tables that their owners fetch back from three real node processes.

use super::*;
use std::{fs, path::Path};
use trefoil_circuits::program::RingKind;
use trefoil_engine::{Lanes, Z16};
use trefoil_nodes::{
    client::PlainVector,
    tables::{Incoming, ShareHeader},
    upkeep::{Task, Unwitnessed, UpkeepSpec},
};

/// Rows of a table that is in no buffer as a whole: 29 MB at each node.
const MANY: u64 = 600_000;

/// All of a table.
async fn fetched(client: &Client, table: &str, version: u32) -> Result<Vec<PlainVector>, Error> {
    let mut fetch = client.fetch_table(&name(table), version).await?;
    let mut columns: Vec<PlainVector> = Vec::new();
    let mut end = 0;
    while let Some(batch) = fetch.next().await? {
        assert_eq!(batch.from, end, "each row once");
        end += batch.rows as u64;
        if columns.is_empty() {
            columns = batch.columns;
            continue;
        }
        for (all, part) in columns.iter_mut().zip(&batch.columns) {
            match (all, part) {
                (PlainVector::Z64(all), PlainVector::Z64(part)) => all.extend_from_slice(part),
                (PlainVector::Z16(all), PlainVector::Z16(part)) => all.extend_from_slice(part),
                (PlainVector::Bits(all), PlainVector::Bits(part)) => all.extend_from_slice(part),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(end, fetch.table().rows);
    Ok(columns)
}

/// Waits until the log of a node has a text.
async fn logged(world: &World, party: Party, file: &str, text: &str) {
    let log = world.cluster.files().node_dir(party).join(file);
    let wait = async {
        while !fs::read_to_string(&log).is_ok_and(|log| log.contains(text)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait).await.unwrap_or_else(|_| panic!("{party}: {text}"));
}

fn fetch_with_program(world: &World, out: &Path) -> String {
    let cluster = world.cluster.cluster_file();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trefoil"));
    command.args(["credit", "fetch", "--table", "mixed", "--fraction-bits", "4"]);
    command.arg("--cluster").arg(&cluster).arg("--identity").arg(cluster.with_file_name("bank-a.crt"));
    let output = command.arg("--out").arg(out).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_fetches_what_it_has_stored_and_a_node_that_lies_is_named() {
    let world = World::start(Limits::default()).await;
    let numbers: Vec<Z64> = (0..1000_u64).map(|k| Z64(k.wrapping_mul(0x9e37_79b9) ^ (k << 40))).collect();
    let fixed: Vec<Z64> = (0..1000_i64).map(|k| Z64((k * 7 - 3000).cast_unsigned())).collect();
    let small: Vec<Z16> = (0..1000).map(|k| Z16(k * 61)).collect();
    let bits: Vec<Lanes> = (0..16_u64).map(|k| Lanes(k.wrapping_mul(0x0123_4567_89ab_cdef))).collect();
    let columns = vec![
        (name("key-low"), Plain::Z64(&numbers)),
        (name("f0"), Plain::Z64(&fixed)),
        (name("small, or not"), Plain::Z16(&small)),
        (name("label"), Plain::Bits(&bits)),
    ];
    let mixed = NewTable { name: name("mixed"), version: 1, rows: 1000, columns, permits: Vec::new(), expires: None };
    let bank = world.client("bank-a");
    bank.put_table(&mixed).await.expect("stored");
    let all = fetched(bank, "mixed", 1).await.expect("its own");
    let [PlainVector::Z64(a), PlainVector::Z64(b), PlainVector::Z16(c), PlainVector::Bits(d)] = &all[..] else {
        panic!("{all:?}")
    };
    assert!(**a == numbers && **b == fixed && **c == small);
    // Of the last word, 40 bits are rows.
    assert_eq!(d[..15], bits[..15]);
    assert_eq!(d[15].0, bits[15].0 & ((1 << 40) - 1));

    // The program writes it, with the numbers that were meant.
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("mixed.csv");
    assert!(fetch_with_program(&world, &out).contains("fetched bank-a/mixed@1: 1000 rows of 4 columns"));
    let text = fs::read_to_string(&out).expect("written");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("key-low,f0,\"small, or not\",label"));
    for (k, line) in lines.enumerate() {
        let bit = (bits[k / 64].0 >> (k % 64)) & 1;
        let fixed = fixed[k].0.cast_signed() as f64 / 16.0;
        assert_eq!(line, format!("{},{fixed},{},{bit}", numbers[k].0, small[k].0));
    }
    assert_eq!(text.lines().count(), 1001);

    // Nobody else gets it, or learns that it is there; each download is in the audit log.
    for party in Party::ALL {
        assert_eq!(world.status("bank-b", party, "tables/mixed/1").await, StatusCode::NOT_FOUND);
        assert_eq!(world.status("bank-a", party, "tables/mixed/2").await, StatusCode::NOT_FOUND);
        assert_eq!(world.status("bank-a", party, "tables/mixed/1?from=63").await, StatusCode::BAD_REQUEST);
        let entry = "\"method\":\"GET\",\"path\":\"/v1/tables/mixed/1\",\"status\":200";
        logged(&world, party, "audit/audit-000000000000.log", entry).await;
    }
    assert!(matches!(fetched(world.client("bank-b"), "mixed", 1).await, Err(Error::Usage(_))));

    // A node that has, or sends, another component than its neighbours.
    let numbers = super::numbers(100, 1).concat();
    for (version, changed, named) in [
        (1, &[(Party::P2, 77)][..], &["P1 (", "P2 (", "different copies", "column `age`"][..]),
        (2, &[(Party::P2, 77), (Party::P2, 2400 + 900)], &["P2 (", "than both other nodes", "column `age`"]),
        (3, &[(Party::P0, 5), (Party::P1, 5), (Party::P2, 5)], &["all three nodes"]),
    ] {
        let spec = spec_of(100);
        for (party, share) in Party::ALL.into_iter().zip(split(&numbers).expect("randomness")) {
            let mut components = share.as_bytes().concat();
            for (_, at) in changed.iter().filter(|(liar, _)| *liar == party) {
                components[*at] ^= 4;
            }
            world.put_at(party, version, &spec, &components).await;
        }
        match fetched(bank, "income", version).await {
            Err(Error::Integrity(why)) => assert!(named.iter().all(|part| why.contains(part)), "{version}: {why}"),
            other => panic!("{version}: {other:?}"),
        }
    }
    world.cluster.shutdown().await;
}

/// What a node says of its stream, and the bytes that came until it had said it.
async fn begun(response: &mut reqwest::Response) -> ShareHeader {
    let mut incoming = Incoming::default();
    loop {
        incoming.push(response.chunk().await.expect("a part").expect("not the end"));
        while incoming.batch().expect("shares").is_some() {}
        if let Some(header) = incoming.header() {
            return header.clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_after_a_crash_and_a_refresh_and_a_client_that_stalls_is_cut_off() {
    let mut world = World::start(Limits { client_timeout: Duration::from_secs(3), ..Limits::default() }).await;
    let path = world.cluster.files().add_client(&name("operator"), Lifetime::days(1)).expect("a certificate");
    let operator = Client::connect(&world.file, &Identity::named(&path).expect("good")).await.expect("a client");
    let values = numbers(MANY, 1);
    let bank = world.client("bank-a").clone();
    bank.put_table(&table("income", 1, &values)).await.expect("stored");

    // Who takes nothing for three seconds is cut off.
    let get = |path: &str| world.request("bank-a", Party::P0, reqwest::Method::GET, path).send();
    let mut stalled = get("tables/income/1").await.expect("an answer");
    assert_eq!(stalled.headers()[CONTENT_TYPE], "application/vnd.apache.arrow.stream");
    let before = begun(&mut stalled).await;
    assert_eq!((before.epoch, before.rows, before.columns[2].ring), (0, MANY, RingKind::Z64));
    logged(&world, Party::P0, "node.log", "by client `bank-a` is cut off").await;
    loop {
        match stalled.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a stream that was cut off has no end"),
            Err(_) => break,
        }
    }

    let mut fetch = bank.fetch_table(&name("income"), 1).await.expect("there");
    let mut all = [(); 3].map(|()| Vec::new());
    let mut batches = 0;
    while let Some(batch) = fetch.next().await.expect("it goes on") {
        assert!(batch.rows * 3 * 16 <= 1 << 20, "bounded, however long the table is");
        assert_eq!(batch.from, all[0].len() as u64);
        for (all, column) in all.iter_mut().zip(&batch.columns) {
            all.extend_from_slice(column.z64().expect("integers"));
        }
        batches += 1;
        if batches == 2 {
            let options = world.options.clone();
            world.cluster.restart(Party::P1, &options).await.expect("it starts");
        }
        if batches == 4 {
            let session = JobId::random().expect("randomness");
            let spec = UpkeepSpec { session, node: None, unwitnessed: Unwitnessed::Refuse };
            let reports = operator.upkeep(Task::Refresh, &spec).await.expect("done");
            assert!(reports.iter().all(|report| report.findings.is_empty() && report.tables == 1), "{reports:?}");
        }
    }
    assert!(batches > 20 && all == values);

    // Who keeps components is told that those of before do not fit.
    let at = |mark| format!("tables/income/1?from=64&mark={mark}");
    let get = |path: &str| world.request("bank-a", Party::P0, reqwest::Method::GET, path).send();
    assert_eq!(get(&at(before.mark)).await.expect("an answer").status(), StatusCode::CONFLICT);
    let mut again = get("tables/income/1?from=64").await.expect("an answer");
    let now = begun(&mut again).await;
    assert_eq!((now.epoch, now.from, now.sha256), (1, 64, before.sha256));
    let mut pinned = get(&at(now.mark)).await.expect("an answer");
    assert_eq!(begun(&mut pinned).await, now);
    drop((again, pinned));
    world.cluster.shutdown().await;
}

const SCHEMA: &str = r#"
format = 1
[[column]]
name = "customer"
type = "key"
[[column]]
name = "income"
type = "number"
min = 0
max = 1e6
missing = "drop"
[[column]]
name = "home"
type = "category"
levels = ["OWN", "RENT", "MORTGAGE"]
[[column]]
name = "late"
type = "number"
min = 0
max = 10
[[column]]
name = "defaulted"
type = "label"
bad = "1"
good = "0"
"#;

/// What another library makes of files and streams, and what the program makes of that library's files.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs pyarrow from PyPI: `cargo test -p trefoil-nodes --test tables -- --ignored`"]
async fn a_foreign_library_reads_what_is_fetched_and_writes_what_is_shared() {
    let world = World::start(Limits::default()).await;
    let directory = tempfile::tempdir().expect("a directory");
    let pyarrow = |what: &str| {
        let into = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pyarrow");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables/pyarrow/run");
        let output = Command::new(script).arg(into).arg(what).arg(directory.path()).output().expect("bash");
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}{errors}");
        println!("{said}");
    };
    let cluster = world.cluster.cluster_file();
    let credit = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trefoil"));
        command.current_dir(directory.path()).arg("credit").args(line.split(' '));
        command.arg("--cluster").arg(&cluster).arg("--identity").arg(cluster.with_file_name("bank-a.crt"));
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    fs::write(directory.path().join("schema.toml"), SCHEMA).expect("room");
    pyarrow("write");
    for form in ["arrow", "arrows", "parquet"] {
        let share = format!("share --schema schema.toml --data customers.{form} --table {form} --analyst bank-c");
        credit(&format!("{share} --pooled-with bank-b --joinable --own-moments moments-{form}.json"));
        for out in ["arrow", "arrows", "parquet", "csv"] {
            credit(&format!("fetch --table {form} --fraction-bits 20 --out from-{form}.{out}"));
        }
    }
    for party in Party::ALL {
        let answer = world.request("bank-a", party, reqwest::Method::GET, "tables/arrow/1").send().await;
        let shares = answer.expect("an answer").bytes().await.expect("all of it");
        fs::write(directory.path().join(format!("shares-{}.arrows", party.index())), shares).expect("room");
    }
    pyarrow("check");
    world.cluster.shutdown().await;
}
