mod credit;
mod join;

use super::*;
use crate::{
    job::{Limits, ModeSpec, MomentsSpec, Port, ProgramKind, ProgramSpec, Role},
    tables::{Arrival, ColumnSpec, Permit, TableSpec, UploadId, clock},
};
use futures_util::FutureExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use trefoil_circuits::program::RingKind;
use zeroize::Zeroizing;

fn name<T: std::str::FromStr<Err: fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

/// Versions of alice's table `loans`, with five rows of `a` and `b`, each for one requester.
fn tables(versions: &[(u32, &str)]) -> Arc<TableStore> {
    let store = TableStore::in_memory(Limits::default());
    for (version, requester) in versions {
        let permit = Permit {
            programs: vec![ProgramKind::Moments],
            modes: vec![ModeSpec::Malicious],
            requesters: vec![name(requester)],
            recipients: vec![name(requester)],
            ..Permit::default()
        };
        let column = |column| ColumnSpec { name: name(column), ring: RingKind::Z64 };
        let upload = UploadId::random().expect("randomness");
        let spec = TableSpec {
            upload,
            rows: 5,
            columns: ["a", "b"].map(column).to_vec(),
            permits: vec![permit],
            expires: None,
        };
        let Ok(Arrival::New(arriving)) = store.begin(&key(*version), spec, 160) else { panic!() };
        arriving.store_now([vec![1; 80], vec![2; 80]].map(Zeroizing::new)).expect("stored");
    }
    store
}

fn key(version: u32) -> TableKey {
    TableKey { owner: name("alice"), name: name("loans"), version }
}

fn job(version: u32, columns: &[&str], rows: u64) -> JobSpec {
    let columns: Vec<ColumnName> = columns.iter().map(|c| name(c)).collect();
    let moments = MomentsSpec { columns: 2, rows: vec![rows, 7], limit: None };
    let table = TableInput { owner: name("alice"), name: name("loans"), version, columns };
    JobSpec {
        inputs: vec![InputSpec::Table(table), InputSpec::Upload],
        ..JobSpec::new(ProgramSpec::Moments(moments), ModeSpec::Malicious)
    }
}

fn found(job: &JobSpec, requester: &str, tables: &TableStore) -> Result<Vec<Source>, SourceFault> {
    resolve(job, &name(requester), &job.sizes().expect("small").inputs, tables)
}

/// Each node decides when the job is submitted, by its own clock, and never again.
#[test]
fn an_expired_table_is_refused_to_those_who_may_use_it_with_the_reason() {
    let shows = Arc::new(AtomicU64::new(99));
    let tables = TableStore::in_memory_at(Limits::default(), clock(&shows));
    let of_bob = self::tables(&[(3, "bob")]).get(&key(3)).expect("a table").spec().clone();
    let spec = TableSpec { expires: Some(name("1970-01-01T00:01:40Z")), ..of_bob };
    let Ok(Arrival::New(arriving)) = tables.begin(&key(3), spec, 160) else { panic!() };
    arriving.store_now([vec![1; 80], vec![2; 80]].map(Zeroizing::new)).expect("stored");
    let job = job(3, &["b", "a"], 5);
    let sources = found(&job, "bob", &tables).expect("in time");
    shows.store(100, Ordering::SeqCst);
    let fault = found(&job, "bob", &tables).expect_err("over");
    assert!(matches!(fault, SourceFault::Expired { .. }), "{fault}");
    assert!(fault.to_string().contains("has expired at 1970-01-01T00:01:40Z; ask `alice`"), "{fault}");
    assert!(matches!(found(&job, "carol", &tables), Err(SourceFault::Denied { .. })), "she is not told");
    assert_eq!(tables.erase_expired().now_or_never().expect("in memory").len(), 1);
    assert!(matches!(found(&job, "bob", &tables), Err(SourceFault::Denied { .. })));
    let upload = InputVector::from_bytes(Shape::z64(14), &[3; 112], &[4; 112]).expect("fits");
    let inputs = fill(sources, vec![upload]).expect("one upload");
    assert!(inputs.into_iter().all(|input| input.vector().is_ok()), "what was accepted goes on");
}

#[test]
fn a_permitted_table_is_found_and_filled_in() {
    let tables = tables(&[(3, "bob")]);
    let spec = job(3, &["b", "a"], 5);
    let sources = found(&spec, "bob", &tables).expect("permitted");
    assert!(tables.delete_now(&key(3), None), "what a job has begun with stays for it");
    let upload = InputVector::from_bytes(Shape::z64(14), &[3; 112], &[4; 112]).expect("fits");
    let inputs = fill(sources, vec![upload]).expect("one upload");
    assert_eq!(inputs[0].table().map(ToString::to_string).as_deref(), Some("table `loans` version 3 of `alice`"));
    assert!(inputs[1].table().is_none());
    let vectors = inputs.into_iter().map(|i| i.vector().expect("there")).collect::<Vec<_>>();
    assert_eq!(vectors[0].as_bytes(), [&[1; 80][..], &[2; 80]]);
    assert_eq!(vectors[1].as_bytes(), [&[3; 112][..], &[4; 112]]);
    assert!(fill(vec![Source::Upload], Vec::new()).is_err());
}

#[test]
fn what_is_not_permitted_looks_like_what_is_not_there() {
    let tables = tables(&[(1, "bob"), (2, "carol")]);
    let denied = |version, requester| {
        let result = found(&job(version, &[], 5), requester, &tables);
        matches!(result, Err(SourceFault::Denied { input: 0, .. }))
    };
    assert!(!denied(1, "bob") && !denied(2, "carol"));
    assert!(denied(2, "bob") && denied(1, "carol"), "another version is not for them");
    assert!(denied(1, "alice") && denied(3, "dan") && denied(1, "dan"));
    let none = TableStore::in_memory(Limits::default());
    assert!(matches!(found(&job(1, &[], 5), "bob", &none), Err(SourceFault::Denied { .. })));
}

#[test]
fn who_may_use_another_version_is_told_by_all_nodes_that_this_one_is_missing() {
    let tables = tables(&[(1, "bob")]);
    let sources = found(&job(9, &[], 5), "bob", &tables).expect("accepted");
    let Source::Table(source) = &sources[0] else { panic!() };
    assert_eq!(source.digest(), None);
}

#[test]
fn columns_that_do_not_fit_are_named() {
    let tables = tables(&[(1, "bob")]);
    let fault = |columns: &[&str], rows| found(&job(1, columns, rows), "bob", &tables).expect_err("refused");
    assert!(matches!(fault(&["a", "c"], 5), SourceFault::Column { column, .. } if column == name("c")));
    assert!(matches!(fault(&["a"], 5), SourceFault::Shape { input: 0, .. }));
    assert!(matches!(fault(&["a", "b"], 6), SourceFault::Shape { input: 0, .. }));
}

/// Another division of the same entries would tell of single rows what the owner permits of all together.
#[test]
fn a_table_is_taken_with_its_own_rows_and_as_many_columns_as_are_named() {
    let tables = tables(&[(1, "bob")]);
    for (columns, rows) in [(10, 1), (1, 10), (5, 2)] {
        let mut spec = job(1, &["a", "b"], 5);
        spec.program = ProgramSpec::Moments(MomentsSpec { columns, rows: vec![rows, 7], limit: None });
        let fault = found(&spec, "bob", &tables).expect_err("refused");
        assert!(matches!(fault, SourceFault::Shape { input: 0, .. }), "{fault}");
    }
    found(&job(1, &["a", "b"], 5), "bob", &tables).expect("as it is");
}

#[test]
fn programs_have_ports_of_the_sizes_that_they_compute_with() {
    for program in [
        r#"{"moments":{"columns":2,"rows":[5,7]}}"#,
        r#"{"credit-score":{"table":{"vertical":{"rows":70,"columns":[2,1]}},"model":"shared","reports":["logit"]}}"#,
        r#"{"credit-score":{"table":{"horizontal":{"columns":2,"rows":[7]}},"model":{"public":[1,2,3]},"reports":["logit"]}}"#,
        r#"{"credit-train":{"table":{"horizontal":{"columns":3,"rows":[5,70]}},"method":{"newton":{"iterations":2}},"l2":0}}"#,
        r#"{"credit-train":{"table":{"vertical":{"rows":70,"columns":[2,1]}},"method":{"newton":{"iterations":2}},"l2":0}}"#,
        r#"{"credit-counts":{"rows":[5,70],"cuts":[0],"on_cut":"lower","by_label":true,"minimum":10}}"#,
        r#"{"credit-counts":{"rows":[5,70],"cuts":[0],"on_cut":"lower","by_label":false,"minimum":10}}"#,
        r#"{"credit-join":{"tables":[{"rows":5,"columns":2},{"rows":70,"columns":1}],"labels":1,"minimum":2}}"#,
        r#"{"credit-join":{"tables":[{"rows":5,"columns":2},{"rows":70,"columns":1}],"minimum":2}}"#,
    ] {
        let spec: ProgramSpec = serde_json::from_str(program).expect("a program");
        let shape = |port: &Port| match port.role {
            Role::Labels => Shape::bits(usize::try_from(port.rows).expect("small")),
            _ => Shape::z64(usize::try_from(port.rows * port.columns).expect("small")),
        };
        let shapes: Vec<Shape> = spec.ports().iter().map(shape).collect();
        assert_eq!(shapes, spec.shapes().expect("small")[0], "{program}");
    }
}
