//! Joins of an analyst over tables of banks that permit what `trefoil credit share --joinable` permits.

use super::{
    credit::{ROWS, both, counts, denied, fault, of, purpose, spec, store_table, train},
    *,
};
use crate::{
    client::credit::Purpose,
    job::{JoinSpec, JoinedSpec, KeptTable, OutputSpec},
};

/// A table's columns for a join.
const NUMBERED: [&str; 3] = ["key-low", "key-high", "f0"];

/// Loans of two banks, each of which wants the other's beside its own, and of a third.
fn banks() -> Arc<TableStore> {
    let store = TableStore::in_memory(Limits::default());
    for bank in ["bank-a", "bank-b", "bank-c"] {
        let columns = ["key-low", "key-high", "f0", "label"];
        store_table(&store, (bank, "loans"), &columns, purpose().joinable());
    }
    store
}

/// A join of two tables, with labels for the first.
fn join(tables: Vec<InputSpec>, labels: Option<InputSpec>) -> JobSpec {
    let program = JoinSpec {
        tables: vec![JoinedSpec { rows: ROWS, columns: 1 }; 2],
        labels: labels.as_ref().map(|_| 0),
        minimum: 10,
    };
    let kept = |columns: &[&str]| {
        let columns = columns.iter().map(|column| name(column)).collect();
        OutputSpec::kept(KeptTable { name: name("joined"), version: 1, columns, permits: purpose().customers() })
    };
    let outputs = [kept(&["x0", "x1"])].into_iter().chain(labels.iter().map(|_| kept(&["label"]))).collect();
    let inputs = tables.into_iter().chain(labels).collect();
    JobSpec { outputs, ..spec(ProgramSpec::CreditJoin(program), inputs) }
}

fn label(owner: &str) -> InputSpec {
    of(owner, "loans", &["label"])
}

#[test]
fn tables_are_joined_whole_and_with_their_own_labels() {
    let tables = banks();
    found(&join(both(&NUMBERED), Some(label("bank-a"))), "lead", &tables).expect("permitted");
    found(&join(both(&NUMBERED), None), "lead", &tables).expect("without labels");
    assert_eq!(fault(&join(both(&NUMBERED), Some(label("bank-b")))), SpecFault::Labels(2));
    assert_eq!(fault(&join(both(&NUMBERED), Some(InputSpec::Upload))), SpecFault::Mixed);
    let first = || of("bank-a", "loans", &NUMBERED);
    assert_eq!(fault(&join(vec![first(), InputSpec::Upload], None)), SpecFault::Mixed);
    let beside = join(vec![first(), of("bank-c", "loans", &NUMBERED)], None);
    assert!(denied(&beside, "lead", &tables), "bank-a wants the table of bank-b there");
    let alone = TableStore::in_memory(Limits::default());
    let purpose = Purpose { pooled_with: vec![name("bank-a")], ..purpose() };
    store_table(&alone, ("bank-a", "loans"), &NUMBERED, purpose.joinable());
    let mut twice = join(vec![first(), first()], None);
    twice.outputs[0].table.as_mut().expect("a table").permits = purpose.customers();
    let twice = found(&twice, "lead", &alone);
    assert!(matches!(twice, Err(SourceFault::Twice { .. })), "{twice:?}");
    assert!(denied(&join(both(&NUMBERED), None), "bank-a", &tables), "it is not the analyst");
    let mut few = join(both(&NUMBERED), None);
    let ProgramSpec::CreditJoin(program) = &mut few.program else { panic!() };
    program.minimum = 9;
    assert!(denied(&few, "lead", &tables));
}

#[test]
fn numbers_of_customers_are_taken_for_what_they_are_and_nothing_else_is() {
    let tables = banks();
    let numbers = |spec: &JobSpec| matches!(found(spec, "lead", &tables), Err(SourceFault::Numbers { .. }));
    for columns in [["key-high", "key-low", "f0"], ["f0", "key-low", "key-high"], ["key-low", "f0", "key-high"]] {
        assert!(numbers(&join(both(&columns), None)), "{columns:?}");
    }
    assert!(numbers(&counts(both(&["key-low"]), both(&["label"]))));
    assert!(numbers(&train(both(&["f0", "key-high"]), both(&["label"]))));
}

/// Its rows stand in an order that nobody knows: labels of the tables it was made of are those of others.
#[test]
fn a_joined_table_is_one_of_its_own() {
    let tables = banks();
    let job = join(both(&NUMBERED), Some(label("bank-a")));
    let sources = found(&job, "lead", &tables).expect("permitted");
    let outputs = job.sizes().expect("small").outputs;
    let id = JobId::random().expect("randomness");
    let mut kept = keep(&job, &name("lead"), &outputs, &sources, (id, &tables)).expect("room");
    let Keeping { table, outputs } = kept.remove(0);
    assert_eq!((kept.len(), outputs), (0, vec![0, 1]), "one table of both outputs");
    table.store_now([vec![3; 968], vec![4; 968]].map(Zeroizing::new)).expect("stored");

    let joined = |columns: &[&str]| vec![of("lead", "joined", columns)];
    found(&counts(joined(&["x0"]), joined(&["label"])), "lead", &tables).expect("its own labels");
    found(&train(joined(&["x0", "x1"]), joined(&["label"])), "lead", &tables).expect("alone");
    let beside = |column, other: &str| vec![of("lead", "joined", &[column]), of("bank-b", "loans", &[other])];
    let counted = |labels| found(&counts(beside("x0", "f0"), labels), "lead", &tables);
    assert!(matches!(counted(both(&["label"])), Err(SourceFault::Labels { input: 2, .. })));
    // Less the counts of the joined table alone, these would be counts of bank-b alone.
    for labels in [Vec::new(), beside("label", "label")] {
        assert!(matches!(counted(labels), Err(SourceFault::Customers { input: 1, .. })));
    }
    // It is lead's, but tells of the customers of both banks: what lead has made up does not go beside it.
    store_table(&tables, ("lead", "own"), &["x0", "x1", "label"], purpose().customers());
    let with_own = |columns: &[&str]| ["joined", "own"].map(|table| of("lead", table, columns)).to_vec();
    assert!(denied(&counts(with_own(&["x0"]), with_own(&["label"])), "lead", &tables));
    assert!(denied(&counts(with_own(&["x0"]), Vec::new()), "lead", &tables));
    assert!(denied(&train(with_own(&["x0", "x1"]), with_own(&["label"])), "lead", &tables));
}

/// With nine customers that are known to be in all tables, a third table tells by the number in common whether a tenth is.
#[test]
fn nobody_joins_who_is_not_named() {
    let tables = banks();
    store_table(&tables, ("lead", "own"), &["key-low", "key-high", "f0"], purpose().joinable());
    let mut three = join([both(&NUMBERED), vec![of("lead", "own", &NUMBERED)]].concat(), None);
    let ProgramSpec::CreditJoin(program) = &mut three.program else { panic!() };
    program.tables.push(JoinedSpec { rows: ROWS, columns: 1 });
    three.outputs[0].table.as_mut().expect("a table").columns.push(name("x2"));
    assert!(denied(&three, "lead", &tables));
}

/// What is made of tables that expire is there no longer than the first of them.
#[test]
fn what_a_job_leaves_expires_with_the_first_of_its_tables() {
    let (others, tables) = (banks(), TableStore::in_memory(Limits::default()));
    let key = |owner, table| TableKey { owner: name(owner), name: name(table), version: 1 };
    for (bank, expires) in [("bank-a", "9000-01-01T00:00:00Z"), ("bank-b", "8000-01-01T00:00:00Z")] {
        let key = key(bank, "loans");
        let spec = TableSpec { expires: Some(name(expires)), ..others.get(&key).expect("a table").spec().clone() };
        let bytes = spec.component_bytes().expect("a good table");
        let Ok(Arrival::New(arriving)) = tables.begin(&key, spec, 2 * bytes as u64) else { panic!() };
        arriving.store_now([vec![1; bytes], vec![2; bytes]].map(Zeroizing::new)).expect("stored");
    }
    let job = join(both(&NUMBERED), Some(label("bank-a")));
    let sources = found(&job, "lead", &tables).expect("permitted");
    let outputs = job.sizes().expect("small").outputs;
    let id = JobId::random().expect("randomness");
    let mut kept = keep(&job, &name("lead"), &outputs, &sources, (id, &tables)).expect("room");
    kept.remove(0).table.store_now([vec![3; 968], vec![4; 968]].map(Zeroizing::new)).expect("stored");
    let joined = tables.get(&key("lead", "joined")).expect("it stays");
    assert_eq!(joined.status().expires, Some(name("8000-01-01T00:00:00Z")));
}
