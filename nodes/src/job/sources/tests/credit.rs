//! Jobs of an analyst who wants to know single customers, over tables of banks that permit what `trefoil credit share` permits.

use super::*;
use crate::{
    client::credit::Purpose,
    job::{
        AucSpec, CountsSpec, KeptTable, MethodSpec, ModelSpec, OutputSpec, PooledSpec, ReasonsSpec, ReportSpec,
        ScoreSpec, SpecFault, TrainSpec,
    },
    tables::ScoreDetail,
};
use trefoil_circuits::credit::OnCut;

pub(super) const ROWS: u64 = 60;

pub(super) fn purpose() -> Purpose {
    let pooled_with = ["bank-a", "bank-b"].map(name).to_vec();
    Purpose {
        scores_to: vec![name("bank-a")],
        model_scores_to: vec![name("bank-b")],
        pooled_with,
        ..Purpose::new(vec![name("lead")], 10, ModeSpec::Malicious)
    }
}

pub(super) fn store_table(
    store: &Arc<TableStore>,
    (owner, table): (&str, &str),
    columns: &[&str],
    permits: Vec<Permit>,
) {
    store_rows(store, (owner, table, ROWS), columns, permits);
}

fn store_rows(
    store: &Arc<TableStore>,
    (owner, table, rows): (&str, &str, u64),
    columns: &[&str],
    permits: Vec<Permit>,
) {
    let ring = |column: &str| if column == "label" { RingKind::Bits } else { RingKind::Z64 };
    let column = |column: &&str| ColumnSpec { name: name(column), ring: ring(column) };
    let upload = UploadId::random().expect("randomness");
    let spec = TableSpec { upload, rows, columns: columns.iter().map(column).collect(), permits, expires: None };
    let bytes = spec.component_bytes().expect("a good table");
    let key = TableKey { owner: name(owner), name: name(table), version: 1 };
    let Ok(Arrival::New(arriving)) = store.begin(&key, spec, 2 * bytes as u64) else { panic!() };
    arriving.store_now([vec![1; bytes], vec![2; bytes]].map(Zeroizing::new)).expect("stored");
}

/// Loans of two banks, in one table each; and the raw ones of bank-a.
fn banks(purpose: &Purpose) -> Arc<TableStore> {
    let store = TableStore::in_memory(Limits::default());
    for bank in ["bank-a", "bank-b"] {
        store_table(&store, (bank, "loans"), &["f0", "f1", "label"], purpose.customers());
        store_table(&store, (bank, "raw"), &["f0", "f1"], purpose.moments());
    }
    store
}

pub(super) fn of(owner: &str, table: &str, columns: &[&str]) -> InputSpec {
    let columns = columns.iter().map(|c| name(c)).collect();
    InputSpec::Table(TableInput { owner: name(owner), name: name(table), version: 1, columns })
}

pub(super) fn spec(program: ProgramSpec, inputs: Vec<InputSpec>) -> JobSpec {
    JobSpec { inputs, ..JobSpec::new(program, ModeSpec::Malicious) }
}

/// Counts of so many parts, with labels.
pub(super) fn counts(values: Vec<InputSpec>, labels: Vec<InputSpec>) -> JobSpec {
    let (rows, by_label) = (vec![ROWS; values.len()], !labels.is_empty());
    let counts = CountsSpec { rows, cuts: vec![0], on_cut: OnCut::Upper, by_label, minimum: 10, around: None };
    spec(ProgramSpec::CreditCounts(counts), [values, labels].concat())
}

pub(super) fn train(features: Vec<InputSpec>, labels: Vec<InputSpec>) -> JobSpec {
    let table = PooledSpec::Horizontal { columns: 2, rows: vec![ROWS; features.len()] };
    let train = TrainSpec { table, method: MethodSpec::Newton { iterations: 1 }, l2: 0 };
    let model = KeptTable { name: name("model"), version: 1, columns: vec![name("model")], permits: Vec::new() };
    let outputs = vec![OutputSpec::kept(model)];
    JobSpec { outputs, ..spec(ProgramSpec::CreditTrain(train), [features, labels].concat()) }
}

/// Scores of bank-a's customers by a model of the analyst's choice.
fn score(reports: Vec<ReportSpec>, inputs: Vec<InputSpec>, output: &OutputSpec) -> JobSpec {
    let columns = vec![2; inputs.len()];
    let outputs = vec![output.clone(); reports.len()];
    let table = PooledSpec::Vertical { rows: ROWS, columns };
    let model = ModelSpec::Public(vec![0; 2 * inputs.len() + 1]);
    let score = ScoreSpec { table, model, reports };
    JobSpec { outputs, ..spec(ProgramSpec::CreditScore(score), inputs) }
}

fn kept() -> OutputSpec {
    kept_as("scores", Purpose { times: 1, ..purpose() }.scores())
}

fn kept_as(table: &str, permits: Vec<Permit>) -> OutputSpec {
    OutputSpec::kept(KeptTable { name: name(table), version: 1, columns: vec![name("s")], permits })
}

pub(super) fn both(columns: &[&str]) -> Vec<InputSpec> {
    ["bank-a", "bank-b"].map(|bank| of(bank, "loans", columns)).to_vec()
}

pub(super) fn fault(spec: &JobSpec) -> SpecFault {
    spec.sizes().expect_err("refused")
}

pub(super) fn denied(spec: &JobSpec, who: &str, tables: &TableStore) -> bool {
    matches!(found(spec, who, tables), Err(SourceFault::Denied { .. }))
}

/// The scores of bank-a's customers stay at the node.
fn keep_scores(tables: &Arc<TableStore>) {
    let job = score(vec![ReportSpec::Logit], vec![of("bank-a", "loans", &["f0", "f1"])], &kept());
    run_and_keep(&job, tables);
}

/// The one output of a job of the analyst stays at the node.
fn run_and_keep(job: &JobSpec, tables: &Arc<TableStore>) {
    let sources = found(job, "lead", tables).expect("permitted");
    let outputs = job.sizes().expect("small").outputs;
    let id = JobId::random().expect("randomness");
    let mut kept = keep(job, &name("lead"), &outputs, &sources, (id, tables)).expect("room");
    kept.remove(0).table.store_now([vec![3; 480], vec![4; 480]].map(Zeroizing::new)).expect("stored");
}

#[test]
fn what_banks_permit_is_found() {
    let tables = banks(&purpose());
    found(&counts(both(&["f0"]), both(&["label"])), "lead", &tables).expect("counts");
    found(&train(both(&["f0", "f1"]), both(&["label"])), "lead", &tables).expect("a model");
    keep_scores(&tables);
    let values = vec![of("lead", "scores", &[]), of("bank-b", "loans", &["f1"])];
    found(&counts(values, both(&["label"])), "lead", &tables).expect("counts of scores");
}

#[test]
fn the_same_customers_are_not_taken_twice() {
    let tables = banks(&purpose());
    let twice = |spec: &JobSpec| matches!(found(spec, "lead", &tables), Err(SourceFault::Twice { .. }));
    let ten = |column: &[&str]| vec![both(column); 5].concat();
    assert!(twice(&counts(ten(&["f0"]), ten(&["label"]))));
    assert!(twice(&counts(ten(&["f0"]), Vec::new())));
    assert!(twice(&train(both(&["f0", "f0"]), both(&["label"]))));
    keep_scores(&tables);
    let again = vec![of("lead", "scores", &["s"]), of("lead", "scores", &[]), of("bank-b", "loans", &["f0"])];
    assert!(twice(&counts(again, Vec::new())), "all columns are those that are named");
    // A column ten times in one input has other rows than the table.
    let mut wide = counts(vec![of("bank-a", "loans", &["f0"; 10]), of("bank-b", "loans", &["f0"])], Vec::new());
    let ProgramSpec::CreditCounts(of_wide) = &mut wide.program else { panic!() };
    of_wide.rows[0] = 10 * ROWS;
    assert!(twice(&wide));
}

/// Two columns of one table, or scores beside what was scored, are the same customers: ten of them in a bin would be five.
#[test]
fn no_customer_counts_twice_towards_the_minimum() {
    let tables = banks(&purpose());
    let twice = |spec: &JobSpec| matches!(found(spec, "lead", &tables), Err(SourceFault::Customers { input: 1, .. }));
    let a = |column: &str| of("bank-a", "loans", &[column]);
    let b = || of("bank-b", "loans", &["f0"]);
    assert!(twice(&counts(vec![a("f0"), a("f1"), b()], Vec::new())));
    keep_scores(&tables);
    let scores = || of("lead", "scores", &[]);
    assert!(twice(&counts(vec![scores(), a("f0"), b()], Vec::new())));
    assert!(twice(&counts(vec![a("f0"), scores(), b()], Vec::new())));
    // One table of scores in which each customer is two rows.
    let mut doubled = score(vec![ReportSpec::Logit], vec![a("f0"), a("f1")], &kept_as("doubled", purpose().scores()));
    let ProgramSpec::CreditScore(of_rows) = &mut doubled.program else { panic!() };
    of_rows.model = ModelSpec::Public(vec![0, 1 << 20, 1 << 20]);
    of_rows.table = PooledSpec::Vertical { rows: ROWS, columns: vec![1, 1] };
    found(&doubled, "lead", &tables).expect("two columns of each customer");
    let ProgramSpec::CreditScore(of_rows) = &mut doubled.program else { panic!() };
    of_rows.model = ModelSpec::Public(vec![0, 1 << 20]);
    of_rows.table = PooledSpec::Horizontal { columns: 1, rows: vec![ROWS; 2] };
    assert!(twice(&doubled));
}

/// Decisions on three customers, whose one feature is a coefficient each, tell the model at thresholds of one's choice.
#[test]
fn coefficients_are_no_customers() {
    let tables = banks(&purpose());
    let permits = Purpose { model_scores_to: vec![name("lead")], ..purpose() }.model();
    store_rows(&tables, ("bank-b", "trained", 3), &["model"], permits);
    let mut job = score(
        vec![ReportSpec::Decision(1 << 30)],
        vec![of("bank-b", "trained", &["model"])],
        &OutputSpec::to(vec![name("lead")]),
    );
    let ProgramSpec::CreditScore(of_model) = &mut job.program else { panic!() };
    of_model.table = PooledSpec::Horizontal { columns: 1, rows: vec![3] };
    of_model.model = ModelSpec::Public(vec![0, 1 << 20]);
    let read = found(&job, "lead", &tables).expect_err("refused");
    assert!(matches!(read, SourceFault::Model { input: 0, .. }), "{read}");
    // What a training leaves cannot have the name of something else, nor something else its name.
    let named = |column: &str, mut job: JobSpec| {
        job.outputs[0].table.as_mut().expect("a table").columns = vec![name(column)];
        job.sizes().map(|_| ())
    };
    let trained = || train(both(&["f0", "f1"]), both(&["label"]));
    for column in ["model", "model-1"] {
        named(column, trained()).expect("a model");
        assert!(matches!(
            named(column, score(vec![ReportSpec::Logit], both(&["f0", "f1"]), &kept())),
            Err(SpecFault::Table { output: 0, .. })
        ));
    }
    for column in ["f0", "models", "my-model"] {
        assert!(matches!(named(column, trained()), Err(SpecFault::Table { output: 0, .. })), "{column}");
    }
}

/// With the features of bank-b's customers as weights, the score of a made-up customer is the feature of one of them, and thirty such customers are enough for a count.
#[test]
fn features_are_no_coefficients() {
    let tables = banks(&purpose());
    let columns: Vec<String> = (1..ROWS).map(|k| format!("x{k}")).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    store_rows(&tables, ("bank-a", "made-up", 30), &columns, purpose().customers());
    let made_up = of("bank-a", "made-up", &columns);
    let mut job = score(
        vec![ReportSpec::Logit],
        vec![made_up, of("bank-b", "loans", &["f0"])],
        &kept_as("one", purpose().scores()),
    );
    let ProgramSpec::CreditScore(by) = &mut job.program else { panic!() };
    by.table = PooledSpec::Horizontal { columns: columns.len() as u32, rows: vec![30] };
    by.model = ModelSpec::Shared;
    let read = found(&job, "lead", &tables).expect_err("refused");
    assert!(matches!(read, SourceFault::Model { input: 1, .. }), "{read}");
}

#[test]
fn nothing_is_sent_beside_the_tables_of_others() {
    let upload = || vec![InputSpec::Upload];
    assert_eq!(fault(&counts([both(&["f0"]), upload()].concat(), Vec::new())), SpecFault::Mixed);
    assert_eq!(fault(&counts(both(&["f0"]), vec![InputSpec::Upload; 2])), SpecFault::Mixed, "labels");
    assert_eq!(fault(&train(both(&["f0", "f1"]), vec![InputSpec::Upload; 2])), SpecFault::Mixed, "labels");
    assert_eq!(fault(&train(vec![InputSpec::Upload; 2], both(&["label"]))), SpecFault::Mixed);
    // One customer singled out by a column that is sent along.
    let beside = [vec![of("bank-a", "loans", &["f0", "f1"])], upload()].concat();
    assert_eq!(fault(&score(vec![ReportSpec::Logit], beside, &kept())), SpecFault::Mixed);
    assert_eq!(fault(&score(vec![ReportSpec::Logit], upload(), &kept())), SpecFault::KeptScores);
    // All of one's own is nobody else's business.
    let own = [upload(), upload()].concat();
    counts(own.clone(), own.clone()).sizes().expect("one's own customers");
    train(own.clone(), own).sizes().expect("one's own customers");
    score(vec![ReportSpec::Logit], upload(), &OutputSpec::to(vec![name("lead")])).sizes().expect("one's own");
}

#[test]
fn labels_are_those_of_the_customers() {
    let tables = banks(&purpose());
    let crossed: Vec<InputSpec> = both(&["label"]).into_iter().rev().collect();
    assert_eq!(fault(&train(both(&["f0", "f1"]), crossed.clone())), SpecFault::Labels(2));
    let labels = |spec: &JobSpec| matches!(found(spec, "lead", &tables), Err(SourceFault::Labels { .. }));
    assert!(labels(&counts(both(&["f0"]), crossed.clone())));
    keep_scores(&tables);
    let scores = vec![of("lead", "scores", &[]), of("bank-b", "loans", &["f0"])];
    assert!(labels(&counts(scores, crossed)), "scores of bank-a's customers with labels of bank-b's");
}

#[test]
fn tables_are_taken_together_with_those_that_their_owner_names() {
    let tables = banks(&purpose());
    let alone = |column: &[&str]| vec![of("bank-a", "loans", column)];
    assert!(denied(&counts(alone(&["f0"]), alone(&["label"])), "lead", &tables));
    assert!(denied(&train(alone(&["f0", "f1"]), alone(&["label"])), "lead", &tables));
    let moments = |owners: &[&str], rows: &[u64]| {
        let program = ProgramSpec::Moments(MomentsSpec { columns: 2, rows: rows.to_vec(), limit: None });
        spec(program, owners.iter().map(|owner| of(owner, "raw", &[])).collect())
    };
    assert!(denied(&moments(&["bank-a"], &[ROWS]), "lead", &tables));
    assert!(denied(&moments(&["bank-a", "bank-b"], &[ROWS, 9]), "lead", &tables), "too few rows to hide among");
    found(&moments(&["bank-a", "bank-b"], &[ROWS; 2]), "lead", &tables).expect("together");
    // Scores stand for the customers that were scored, and a model for nobody.
    keep_scores(&tables);
    assert!(denied(&counts(vec![of("lead", "scores", &[])], Vec::new()), "lead", &tables));
    assert!(denied(&counts(vec![of("lead", "scores", &[])], alone(&["label"])), "lead", &tables));
}

/// A column of the analyst's own that marks the customers of its choice: counts of scores by that and a feature would be counts of these.
#[test]
fn nothing_that_somebody_has_stored_for_it_marks_customers() {
    let alone =
        Purpose { scores_to: vec![name("bank-a")], ..Purpose::new(vec![name("lead")], 10, ModeSpec::Malicious) };
    for (purpose, pooled) in [(purpose(), true), (alone.clone().of_owner(&name("bank-a")), false), (alone, false)] {
        let tables = banks(&purpose);
        store_table(&tables, ("lead", "own"), &["f0", "f1", "label"], purpose.customers());
        let marked = |permits: Vec<Permit>| {
            let both = [("bank-a", "loans"), ("lead", "own")].map(|(owner, table)| of(owner, table, &["f0", "f1"]));
            score(vec![ReportSpec::Logit], both.to_vec(), &kept_as("marked", permits))
        };
        assert!(denied(&marked(purpose.scores()), "lead", &tables), "it cannot stay to be counted");
        run_and_keep(&marked(Vec::new()), &tables);
        let label = || vec![of("bank-a", "loans", &["label"])];
        let values = vec![of("lead", "marked", &[])];
        assert!(denied(&counts(values.clone(), label()), "lead", &tables));
        assert!(denied(&counts(values, Vec::new()), "lead", &tables));
        // What the banks mean is permitted still.
        let owners = if pooled { both(&["f0"]) } else { vec![of("bank-a", "loans", &["f0"])] };
        found(&counts(owners, Vec::new()), "lead", &tables).expect("counts of a feature");
    }
}

/// Good customers with one score, made up and many, would tell how many bad ones of the banks have a higher one, however few these are.
#[test]
fn nobody_joins_in_the_sums_of_the_auc_or_of_a_training() {
    let tables = banks(&purpose());
    store_table(&tables, ("lead", "own"), &["f0", "f1", "label"], purpose().customers());
    let auc = |values: Vec<InputSpec>, labels: Vec<InputSpec>| {
        let auc = AucSpec { rows: vec![ROWS; values.len()], bins: 8, minimum: 10 };
        spec(ProgramSpec::CreditAuc(auc), [values, labels].concat())
    };
    let with_own = |columns: &[&str]| [both(columns), vec![of("lead", "own", columns)]].concat();
    found(&auc(both(&["f0"]), both(&["label"])), "lead", &tables).expect("the banks");
    assert!(denied(&auc(with_own(&["f0"]), with_own(&["label"])), "lead", &tables));
    assert!(denied(&counts(with_own(&["f0"]), with_own(&["label"])), "lead", &tables));
    assert!(denied(&train(with_own(&["f0", "f1"]), with_own(&["label"])), "lead", &tables));
    // A table of somebody in `with` does not stand for those who are missing.
    store_table(&tables, ("bank-b", "more"), &["f0", "f1", "label"], purpose().customers());
    let of_b = |column: &[&str]| ["loans", "more"].map(|table| of("bank-b", table, column)).to_vec();
    assert!(denied(&counts(of_b(&["f0"]), of_b(&["label"])), "lead", &tables));
}

/// Counts of scores of made-up customers are the scores, and these are the coefficients.
#[test]
fn scores_of_made_up_customers_tell_no_model() {
    let by = |model: &str, customers: &str, output: OutputSpec| {
        let mut job = score(vec![ReportSpec::Logit], vec![of(customers, "own", &["f0", "f1"])], &output);
        let ProgramSpec::CreditScore(score) = &mut job.program else { panic!() };
        score.model = ModelSpec::Shared;
        job.inputs.push(of("bank-b", model, &["model"]));
        job
    };
    // The secret model of bank-b, whose decisions are for lead.
    for detail in [ScoreDetail::Decision, ScoreDetail::Number] {
        let to_lead = Purpose {
            model_scores: detail,
            model_scores_to: vec![name("lead")],
            ..Purpose::new(vec![name("lead")], 10, ModeSpec::Malicious)
        };
        let tables = TableStore::in_memory(Limits::default());
        let own = Purpose { scores_to: vec![name("lead")], ..to_lead.clone() }.of_owner(&name("lead"));
        store_table(&tables, ("lead", "own"), &["f0", "f1"], own.customers());
        store_rows(&tables, ("bank-b", "secret", 3), &["model"], to_lead.secret_model());
        let job = by("secret", "lead", kept_as("scores", own.scores()));
        assert_eq!(denied(&job, "lead", &tables), detail == ScoreDetail::Decision, "{detail:?}");
        let mut told = by("secret", "lead", OutputSpec::to(vec![name("lead")]));
        let ProgramSpec::CreditScore(score) = &mut told.program else { panic!() };
        score.reports = vec![ReportSpec::Decision(1 << 31)];
        found(&told, "lead", &tables).expect("decisions");
    }
    // A model that was trained on the customers of both banks.
    let tables = banks(&purpose());
    let own = Purpose { scores_to: vec![name("lead")], pooled_with: Vec::new(), ..purpose() };
    store_table(&tables, ("lead", "own"), &["f0", "f1"], own.customers());
    store_table(&tables, ("bank-a", "own"), &["f0", "f1"], purpose().customers());
    store_rows(&tables, ("bank-b", "trained", 3), &["model"], purpose().model());
    assert!(denied(&by("trained", "lead", kept_as("scores", own.scores())), "lead", &tables));
    found(&by("trained", "bank-a", kept_as("scores", purpose().scores())), "lead", &tables).expect("customers of both");
}

#[test]
fn a_permit_of_scores_says_what_of_them_is_told() {
    let decision = || ReportSpec::Decision(1 << 31);
    for detail in [ScoreDetail::Decision, ScoreDetail::Number] {
        let tables = banks(&Purpose { scores: detail, ..purpose() });
        let told = |reports: Vec<ReportSpec>| {
            let to = OutputSpec::to(vec![name("bank-a")]);
            !denied(&score(reports, vec![of("bank-a", "loans", &["f0", "f1"])], &to), "lead", &tables)
        };
        assert!(told(vec![decision()]));
        for number in [vec![ReportSpec::Logit], vec![decision(), ReportSpec::Probability], vec![decision(); 2]] {
            assert_eq!(told(number), detail == ScoreDetail::Number, "{detail:?}");
        }
        keep_scores(&tables);
    }
}

#[test]
fn a_permit_is_used_up() {
    let tables = banks(&Purpose { times: 2, analysts: vec![name("lead"), name("other")], ..purpose() });
    let job = counts(both(&["f0"]), both(&["label"]));
    let run = |who: &str| {
        let inputs: Vec<Input> = fill(found(&job, who, &tables)?, Vec::new()).expect("no uploads");
        spend(&inputs, &name(who))
    };
    let admitted = fill(found(&job, "lead", &tables).expect("left"), Vec::new()).expect("no uploads");
    assert_eq!(
        (run("lead").map(drop), run("lead").map(drop)),
        (Ok(()), Ok(())),
        "a table is counted once for all its inputs"
    );
    assert!(matches!(run("lead"), Err(SourceFault::Spent { .. })));
    assert!(matches!(spend(&admitted, &name("lead")), Err(SourceFault::Spent { .. })), "it came too late");
    assert_eq!(run("other").map(drop), Ok(()), "each client for itself");
    found(&train(both(&["f0", "f1"]), both(&["label"])), "lead", &tables).expect("another permit");
}

#[test]
fn what_stays_is_permitted_no_more_than_what_it_was_made_of() {
    let base = purpose();
    let within = |narrow: &Purpose, wide: &Purpose| {
        narrow.customers().iter().zip(wide.customers()).all(|(narrow, wide)| narrow.is_within(&wide))
    };
    for narrower in [Purpose { times: 3, ..base.clone() }, Purpose { minimum: 11, ..base.clone() }] {
        assert!(within(&narrower, &base) && !within(&base, &narrower), "{narrower:?}");
    }
    // Other customers are neither more nor less.
    for other in [vec!["bank-b", "bank-c", "bank-a"], vec!["bank-a"], vec![]] {
        let other = Purpose { pooled_with: other.into_iter().map(name).collect(), ..base.clone() };
        assert!(!within(&other, &base) && !within(&base, &other), "{other:?}");
    }
    let turned = Purpose { pooled_with: ["bank-b", "bank-a"].map(name).to_vec(), ..base.clone() };
    assert!(within(&turned, &base));
    for wider in [ScoreDetail::Number]
        .into_iter()
        .flat_map(|tell| [Purpose { scores: tell, ..base.clone() }, Purpose { model_scores: tell, ..base.clone() }])
    {
        assert!(within(&base, &wider) && !within(&wider, &base), "{wider:?}");
    }
    let (some, more) = (Purpose { times: 3, ..base.clone() }, Purpose { times: 4, ..base });
    assert!(within(&some, &more) && !within(&more, &some));
}

/// Two columns of the scores of 60 customers would be 30 each: another division than the owner has permitted counts of.
#[test]
fn what_stays_has_the_rows_of_the_customers() {
    let loans = || vec![of("bank-a", "loans", &["f0", "f1"])];
    let cut = |columns: usize| {
        let mut output = kept();
        output.table.as_mut().expect("a table").columns = (0..columns).map(|k| name(&format!("s{k}"))).collect();
        score(vec![ReportSpec::Logit], loans(), &output)
    };
    cut(1).sizes().expect("as they are");
    for columns in [0, 2, 5, 6, 60, 61] {
        assert!(matches!(fault(&cut(columns)), SpecFault::Table { output: 0, .. }), "{columns}");
    }
    for columns in 1..4 {
        let mut reasons = cut(columns);
        let ProgramSpec::CreditScore(score) = &mut reasons.program else { panic!() };
        score.reports = vec![ReportSpec::Reasons(ReasonsSpec { most: 2, columns: vec![1, 1] })];
        assert!(fault(&reasons).to_string().contains("several entries for each customer"), "{columns}");
    }
}

#[test]
fn permits_are_few_and_not_deep() {
    let spec = |permits: Vec<Permit>| {
        let upload = UploadId::random().expect("randomness");
        let columns = vec![ColumnSpec { name: name("a"), ring: RingKind::Z64 }];
        TableSpec { upload, rows: 5, columns, permits, expires: None }.component_bytes()
    };
    let nested =
        |depth: usize| (1..depth).fold(Permit::default(), |inner, _| Permit { keep: vec![inner], ..Permit::default() });
    spec(vec![nested(3); 21]).expect("63 permits");
    spec(vec![nested(4)]).expect("what may become of a joined table");
    let refused = [vec![nested(5)], vec![nested(3); 22], vec![Permit { with: vec![name("a"); 1025], ..nested(1) }]];
    for permits in refused {
        assert!(spec(permits).expect_err("too many").contains("64 permits at most"));
    }
    let mut kept = train(both(&["f0", "f1"]), both(&["label"]));
    kept.outputs[0].table.as_mut().expect("a table").permits = vec![nested(3); 22];
    assert_eq!(fault(&kept), SpecFault::Permits);
    // One table of two outputs has its permits once; two tables have them twice.
    let permits = vec![Permit::default(); 40];
    let mut outputs =
        score(vec![ReportSpec::Logit, ReportSpec::Probability], both(&["f0", "f1"]), &kept_as("one", permits));
    outputs.outputs[1].table.as_mut().expect("a table").columns = vec![name("t")];
    outputs.sizes().expect("40 permits");
    outputs.outputs[1].table.as_mut().expect("a table").version = 2;
    assert_eq!(fault(&outputs), SpecFault::Permits);
}
