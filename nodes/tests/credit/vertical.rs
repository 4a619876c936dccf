//! Two institutions with different columns of the same customers, in different orders: the commands on real loans, against plain computation.

use bytes::Bytes;
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use trefoil_circuits::credit::reference::{Matrix, Newton, Ranking, Sample};
use trefoil_engine::Z64;
use trefoil_nodes::{
    Error,
    api::ProblemKind,
    client::{
        Client, NewTable, Plain,
        credit::{EvaluationFile, ModelFile, ModelIdentity, read_moments},
    },
    config::Cluster,
    credit::{Features, NamedMoments, Schema, SchemaDigest, read},
    job::{
        FailureKind, InputSpec, JobSpec, JoinSpec, JoinedSpec, KeptTable, ModeSpec, MomentsSpec, OutputSpec,
        ProgramKind, ProgramSpec, TableInput,
    },
    local::{LocalCluster, LocalOptions},
    pki::{Identity, Lifetime},
    tables::{Permit, ScoreDetail},
};

/// Three nodes, some clients, and a place for files.
struct World {
    cluster: LocalCluster,
    dir: tempfile::TempDir,
}

impl World {
    async fn start(clients: &[&str]) -> Self {
        let options = LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"));
        let cluster = LocalCluster::start(&options).await.expect("a cluster");
        for client in clients {
            let name = client.parse().expect("a name");
            cluster.files().add_client(&name, Lifetime::days(1)).expect("a certificate");
        }
        Self { cluster, dir: tempfile::tempdir().expect("a directory") }
    }

    fn identity(&self, client: &str) -> PathBuf {
        self.cluster.cluster_file().with_file_name(format!("{client}.crt"))
    }

    async fn client(&self, name: &str) -> Client {
        let file = Cluster::load(&self.cluster.cluster_file()).expect("a cluster file");
        Client::connect(&file, &Identity::named(&self.identity(name)).expect("an identity")).await.expect("a client")
    }

    /// Runs `trefoil credit` as a client; what it prints, and whether it went well.
    fn run(&self, client: &str, command: &str) -> (bool, String) {
        let mut words = command.split_whitespace();
        let mut process = Command::new(env!("CARGO_BIN_EXE_trefoil"));
        process.arg("credit").args(words.next()).arg("--cluster").arg(self.cluster.cluster_file());
        process.arg("--identity").arg(self.identity(client)).args(words).current_dir(self.dir.path());
        let output = process.output().expect("the program");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    fn done(&self, client: &str, command: &str) -> String {
        let (well, printed) = self.run(client, command);
        assert!(well, "{command}\n{printed}");
        printed
    }

    fn refused(&self, client: &str, command: &str, told: &str) {
        let (well, printed) = self.run(client, command);
        assert!(!well && printed.contains(told), "{command}\n{told}\n{printed}");
    }

    /// What `trefoil credit report` says of counts, and whether it has made a page of them.
    fn report(&self, words: &str) -> (bool, String) {
        let page = tempfile::tempdir().expect("a directory");
        let mut process = Command::new(env!("CARGO_BIN_EXE_trefoil"));
        process.args(["credit", "report"]).args(words.split_whitespace()).current_dir(self.dir.path());
        let output = process.arg("--html").arg(page.path().join("page")).output().expect("the program");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// What `trefoil plan` says.
    fn planned(&self, command: &str) -> serde_json::Value {
        let words = ["plan"].into_iter().chain(command.split_whitespace()).chain(["--json"]);
        let mut process = Command::new(env!("CARGO_BIN_EXE_trefoil"));
        let output = process.args(words).current_dir(self.dir.path()).output().expect("the program");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// Writes what an institution knows of some customers: the loans of these numbers, in this order.
    fn write(&self, file: &str, columns: &[usize], loans: impl Iterator<Item = usize>) {
        let text = fs::read_to_string(data("credit_risk_dataset.csv")).expect("the loans");
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        let row = |key: &str, loan: usize| {
            let values: Vec<&str> = columns.iter().map(|k| lines[loan][*k]).collect();
            format!("{},{key}\n", values.join(","))
        };
        let rows = loans.map(|loan| row(&format!("customer {loan}"), loan));
        let text: String = std::iter::once(row("customer", 0)).chain(rows).collect();
        fs::write(self.path(file), text).expect("written");
    }
}

fn data(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "data/credit", file].iter().collect()
}

fn schema(of: &str) -> String {
    data(of).display().to_string()
}

const LENDER: [usize; 6] = [4, 5, 6, 7, 8, 9];
const BUREAU: [usize; 6] = [0, 1, 2, 3, 10, 11];

/// What is said here holds for both modes: the tutorial joins and trains in malicious mode, which takes several times as long.
const MODE: &str = "--mode semi-honest";

/// Features of each customer, standardized by the moments in a file, and labels.
fn standardized(dir: &Path, of: &str) -> HashMap<String, (Vec<f64>, bool)> {
    let schema = Schema::read(&data(&format!("{of}.toml"))).expect("a schema");
    let table = read(&schema, &dir.join(format!("{of}.csv"))).expect("a table");
    let features = Features::of(&schema);
    let moments = read_moments(&dir.join(format!("{of}.json"))).expect("moments");
    let matrix =
        moments.standardize(&features, &features.encode(&table).expect("features")).expect("the same features");
    let rows = matrix.values().chunks_exact(features.len()).map(<[f64]>::to_vec).enumerate();
    let keys = table.keys().expect("keys");
    rows.map(|(k, row)| (keys[k].clone(), (row, table.labels().is_some_and(|labels| labels[k])))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_in_any_order_are_pooled_as_plain_computation_pools_them() {
    let world = World::start(&["lender", "bureau", "lead"]).await;
    // 350 loans in common, less those that lack a value at either.
    world.write("lender.csv", &LENDER, 1..=500);
    world.write("bureau.csv", &BUREAU, (151..=650).rev());
    for of in ["lender", "bureau"] {
        let printed = world.done(
            of,
            &format!(
                "share --schema {} --data {of}.csv --table loans --own-moments {of}.json --test-every 5 --joinable --pooled-with lender,bureau --minimum 1 --analyst lead --model-to lead,lender {MODE}",
                schema(&format!("{of}.toml"))
            ),
        );
        assert!(printed.contains("with numbers of customers"), "{printed}");
    }
    let join = format!("join {MODE} --moments lender.json,bureau.json");
    let train =
        world.done("lead", &format!("{join} --tables lender/loans,bureau/loans --out-table both --out both.json"));
    let test =
        world.done("lead", &format!("{join} --tables lender/loans-test,bureau/loans-test --out-table both-test"));
    let common = |printed: &str| -> usize {
        let (_, rest) = printed.split_once("both").expect("a table");
        let words: Vec<&str> = rest.split_whitespace().collect();
        words.iter().zip(&words[1..]).find(|(_, next)| **next == "customers").expect("a count").0.parse().expect("one")
    };
    let tables = format!("--tables lead/both --moments both.json {MODE}");
    let trained = world.done("lead", &format!("train {tables} --release-to lead --out model.json --json"));
    let trained: serde_json::Value = serde_json::from_str(&trained).expect("JSON");
    let planned = world.planned(&format!("credit-train --rows {} --moments both.json {MODE}", trained["rows"]));
    assert_eq!((&planned["rounds"], &planned["bytes_in_all"]), (&trained["rounds"], &trained["bytes_sent"]));
    let model = ModelFile::read(&world.path("model.json")).expect("a model");

    let [lender, bureau] = ["lender", "bureau"].map(|of| standardized(world.dir.path(), of));
    let mut pooled: Vec<(&String, Vec<f64>, bool)> = Vec::new();
    for (key, (row, bad)) in &lender {
        if let Some((more, _)) = bureau.get(key) {
            pooled.push((key, [row.as_slice(), more].concat(), *bad));
        }
    }
    assert_eq!(common(&train) + common(&test), pooled.len(), "{train}{test}");
    // Every fifth customer or so is held out by both, so that none of them is lost.
    assert!((20..120).contains(&common(&test)), "{test}");
    let held_out = world.done(
        "lead",
        "evaluate --tables lead/both-test --moments both.json --model model.json --minimum 1 --bins 2 --mode semi-honest --json --out clear.json",
    );
    assert!(held_out.contains(&format!("\"rows\":{}", common(&test))), "{held_out}");

    // By a secret model the figures are the same.
    world.done(
        "lender",
        "share --model model.json --table secret --analyst lead --scores number --minimum 1 --mode semi-honest",
    );
    let secret = "evaluate --tables lead/both-test --moments both.json --model-table lender/secret --minimum 1 --bins 2 --mode semi-honest --json";
    assert_eq!(world.done("lead", &format!("{secret} --out secret.json")), held_out);
    reports_are_of_one_model(&world);

    // Which customers were held out is not known outside: the table that was trained on is the other rows.
    let raw = |of: &str| {
        let schema = Schema::read(&data(&format!("{of}.toml"))).expect("a schema");
        let table = read(&schema, &world.path(&format!("{of}.csv"))).expect("a table");
        let (train, _) = trefoil_nodes::credit::split_every(&table, 5.try_into().expect("not zero"));
        train.into_iter().map(|row| table.keys().expect("keys")[row].clone()).collect::<Vec<_>>()
    };
    let trained_on = raw("lender");
    pooled.retain(|(key, ..)| trained_on.contains(key));
    let width = model.weights.len();
    let matrix = Matrix::new(width, pooled.iter().flat_map(|(_, row, _)| row.clone()).collect()).expect("rows");
    let sample = Sample::new(matrix, pooled.iter().map(|(.., bad)| *bad).collect()).expect("a sample");
    let plain = Newton::default().fit(&sample).expect("converges").model;
    let all = std::iter::once((model.intercept, plain.intercept));
    for (shared, plain) in all.chain(model.weights.iter().copied().zip(plain.weights)) {
        assert!((shared - plain).abs() < 1e-3, "{shared} where {plain} is expected");
    }

    // Each has permitted what is done with the joined table, or it is not done.
    world.refused("lead", &format!("train {tables} --release-to bureau"), "may not be used");
    world.refused("lead", &format!("train {tables} --model-table m --scores-to lender"), "may not be used");
    world.refused("lender", &format!("train {tables} --model-table m"), "has no table lead/both@1 that lender may use");
    world.cluster.shutdown().await;
}

/// Coefficients and earlier counts that belong to another model are refused, and what cannot be known is said.
fn reports_are_of_one_model(world: &World) {
    let mut other = ModelFile::read(&world.path("model.json")).expect("a model");
    other.weights[3] += 0.5;
    fs::write(world.path("other.json"), serde_json::to_string(&other).expect("JSON")).expect("written");
    let mut counts = EvaluationFile::read(&world.path("clear.json")).expect("counts");
    counts.identity = Some(ModelIdentity::of_file(&other).expect("a model"));
    fs::write(world.path("by-other.json"), serde_json::to_string(&counts).expect("JSON")).expect("written");
    for (words, well, told) in [
        ("clear.json --model model.json --earlier clear.json", true, "wrote"),
        ("clear.json --model other.json", false, "other.json is another model"),
        ("clear.json --earlier by-other.json --same-model", false, "by different models"),
        ("secret.json --model model.json", true, "cannot be known"),
        ("secret.json --earlier secret.json", true, "wrote"),
        ("secret.json --earlier clear.json", false, "or say --same-model"),
        ("secret.json --earlier clear.json --same-model", true, "wrote"),
    ] {
        let (done, printed) = world.report(words);
        assert!(done == well && printed.contains(told), "{words}\n{printed}");
    }
}

/// The same customers in the same order, with other columns each: their counts by score, and by columns of the table without labels, are those of plain computation.
#[tokio::test(flavor = "multi_thread")]
async fn columns_of_tables_side_by_side_are_counted_as_plain_computation_counts_them() {
    let world = World::start(&["lender", "bureau", "lead"]).await;
    let text = fs::read_to_string(data("credit_risk_dataset.csv")).expect("the loans");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let number = |loan: usize, column: usize| lines[loan][column].parse::<f64>().ok();
    let whole = |loan: &usize| {
        lines[*loan].iter().all(|cell| !cell.is_empty())
            && number(*loan, 0) <= Some(100.0)
            && number(*loan, 3) <= Some(60.0)
    };
    // Schemas drop none of these.
    let loans: Vec<usize> = (1..400).filter(whole).collect();
    world.write("lender.csv", &LENDER, loans.iter().copied());
    world.write("bureau.csv", &BUREAU, loans.iter().copied());
    for of in ["lender", "bureau"] {
        let schema = schema(&format!("{of}.toml"));
        let permits = "--pooled-with lender,bureau --minimum 5 --times 5 --analyst lead";
        world.done(
            of,
            &format!("share --schema {schema} --data {of}.csv --table side --own-moments {of}.json {permits} {MODE}"),
        );
    }
    let [lender, bureau] = ["lender", "bureau"].map(|of| standardized(world.dir.path(), of));
    let keys: Vec<String> = loans.iter().map(|loan| format!("customer {loan}")).collect();
    let rows: Vec<f64> = keys.iter().flat_map(|key| [&lender[key].0[..], &bureau[key].0[..]].concat()).collect();
    let bad: Vec<bool> = keys.iter().map(|key| lender[key].1).collect();
    let [first, second] = ["lender.json", "bureau.json"].map(|file| read_moments(&world.path(file)).expect("moments"));
    let schemas = [&first, &second].map(|moments| moments.schema.as_ref().expect("a digest"));
    let moments = NamedMoments {
        schema: SchemaDigest::side_by_side(schemas),
        features: [first.features, second.features].concat(),
        mean: [first.mean, second.mean].concat(),
        sd: [first.sd, second.sd].concat(),
    };
    let sample = Sample::new(Matrix::new(moments.features.len(), rows).expect("rows"), bad.clone()).expect("a sample");
    let model = Newton::default().fit(&sample).expect("converges").model;
    let scores = model.probabilities(sample.features()).expect("scores");
    let file = serde_json::to_string(&ModelFile::new(moments, model)).expect("JSON");
    fs::write(world.path("model.json"), file).expect("written");

    let evaluate = "evaluate --tables lender/side,bureau/side --moments lender.json,bureau.json --model model.json --minimum 5 --bins 5 --threshold 0.3";
    let columns = "--columns person_income,cb_person_default_on_file --out counts.json";
    world.done("lead", &format!("{evaluate} {columns} {MODE}"));
    let counts = EvaluationFile::read(&world.path("counts.json")).expect("counts");
    let of = |bad_ones: bool, fits: &dyn Fn(usize) -> bool| {
        (0..loans.len()).filter(|k| bad[*k] == bad_ones && fits(*k)).count() as u64
    };
    // What is told up to each end; a score that is all but there may be rounded to the other side.
    let mut ends = 0;
    for (k, cut) in counts.cuts.iter().enumerate().filter(|(k, _)| counts.goods[*k] > 0) {
        let near = scores.iter().filter(|score| (*score - cut).abs() < 1e-4).count() as u64;
        for (told, bad) in [(&counts.goods, false), (&counts.bads, true)] {
            let plain = of(bad, &|k| scores[k] < *cut);
            assert!(told[..=k].iter().sum::<u64>().abs_diff(plain) <= near && near < 3, "{counts:?}");
        }
        ends += 1;
    }
    assert!(ends > 0 && counts.rows == loans.len() as u64 && counts.left_out() == 0, "{counts:?}");
    let plain = Ranking::new(&scores, &bad).expect("both labels");
    let (area, error) = counts.area(&counts.histogram().expect("counts"));
    assert!((area - plain.auc()).abs() <= error + 1e-4, "{area} {} {error}", plain.auc());
    let mean = counts.mean_score().expect("a distribution");
    assert!((mean.mean - scores.iter().sum::<f64>() / scores.len() as f64).abs() <= mean.error + 1e-4, "{mean:?}");
    let [income, default] = &counts.columns[..] else { panic!("two columns") };
    for (k, cut) in income.cuts.iter().enumerate().filter(|(k, _)| income.goods[*k] > 0) {
        let told = [&income.goods, &income.bads].map(|counts| counts[..=k].iter().sum::<u64>());
        assert_eq!(told, [false, true].map(|bad| of(bad, &|k| number(loans[k], 1) <= Some(*cut))), "{income:?}");
    }
    assert!(income.goods.iter().filter(|goods| **goods > 0).count() > 2, "{income:?}");
    let place = default.levels.iter().position(|level| level == "Y").expect("a level");
    let yes = |k: usize| lines[loans[k]][10] == "Y";
    assert_eq!([default.goods[place], default.bads[place]], [of(false, &yes), of(true, &yes)]);
    world.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_joined_is_told() {
    let world = World::start(&["lender", "bureau", "lead", "eve"]).await;
    world.write("lender.csv", &LENDER, 1..=60);
    world.write("bureau.csv", &BUREAU, 51..=120);
    let keyless = fs::read_to_string(data("lender.toml")).expect("a schema");
    let (head, rest) = keyless.split_once("[[column]]").expect("a key column");
    let (_, rest) = rest.split_once("[[column]]").expect("more columns");
    fs::write(world.path("keyless.toml"), format!("other_columns = \"ignore\"\n{head}[[column]]{rest}"))
        .expect("written");
    let share = |of: &str, schema: &str, table: &str, more: &str| {
        format!("share --schema {schema} --data {of}.csv --table {table} --analyst lead {more}")
    };
    let (lender, bureau) = (schema("lender.toml"), schema("bureau.toml"));
    let joinable = "--joinable --pooled-with lender,bureau --own-moments";
    world.refused(
        "lender",
        &share("lender", "keyless.toml", "loans", &format!("{joinable} k.json")),
        "the schema has no key column",
    );
    world.refused("lender", &share("lender", &lender, "loans", "--joinable --own-moments k.json"), "--pooled-with");
    let raw = share("lender", &lender, "loans", "--joinable --pooled-with bureau");
    world.refused("lender", &raw, "give --moments or --own-moments");
    world.done("lender", &share("lender", &lender, "loans", &format!("{joinable} lender.json")));
    world.done("lender", &share("lender", &lender, "plain", "--moments lender.json"));
    world.done("bureau", &share("bureau", &bureau, "few", &format!("{joinable} bureau.json --minimum 30")));

    let join = |tables: &str, moments: &str| format!("join --tables {tables} --moments {moments} --out-table both");
    let moments = "lender.json,bureau.json";
    world.refused("lead", &join("lender/plain,bureau/few", moments), "has not permitted lead to join lender/plain");
    world.refused("eve", &join("lender/loans,bureau/few", moments), "that eve may use");
    world.refused(
        "lead",
        &join("lender/loans,bureau/few", "bureau.json,lender.json"),
        "was not made with these features",
    );
    world.refused("lead", &join("lender/loans,bureau/few", "lender.json"), "the moments that each was shared with");
    world.refused("lead", &join("lender/loans", "lender.json"), "two tables at least");
    // No more than 10 customers are in both, and the bureau asks for 30.
    world.refused("lead", &join("lender/loans,bureau/few", moments), "fewer than 30 customers in common");
    world.refused("lead", "train --tables lead/both --moments lender.json --model-table m", "has no table lead/both@1");
    world.refused(
        "lead",
        &format!("{} --mode semi-honest", join("lender/loans,bureau/few", moments)),
        "in semi-honest mode",
    );
    world.cluster.shutdown().await;
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

fn permit(program: ProgramKind, keep: Vec<Permit>) -> Permit {
    let (requesters, recipients) = (vec![name("lead")], vec![]);
    let (programs, modes) = (vec![program], vec![ModeSpec::SemiHonest]);
    let with = if program == ProgramKind::Moments { Vec::new() } else { vec![name("a"), name("b")] };
    Permit { programs, modes, requesters, recipients, keep, minimum: 2, with, ..Permit::default() }
}

/// What the nodes refuse even if the client does not: more than the owners permit, fewer customers than they say, one customer twice.
#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_hold_a_join_to_what_the_owners_permit() {
    let world = World::start(&["a", "b", "lead"]).await;
    let counts = permit(ProgramKind::CreditCounts, Vec::new());
    for (owner, rows) in [("a", [1, 2, 3, 4]), ("b", [4, 9, 3, 8]), ("b", [5, 5, 3, 4])] {
        let numbers: Vec<Z64> = rows.iter().map(|row| Z64(row * 1000)).collect();
        let table = NewTable {
            name: name("t"),
            version: if rows[0] == 5 { 2 } else { 1 },
            rows: 4,
            columns: ["key-low", "key-high", "x"].map(|column| (name(column), Plain::Z64(&numbers))).to_vec(),
            permits: vec![permit(ProgramKind::CreditJoin, vec![counts.clone()])],
            expires: None,
        };
        world.client(owner).await.put_table(&table).await.expect("stored");
    }
    let lead = world.client("lead").await;
    let spec = |version: u32, minimum: u64, permits: Vec<Permit>| {
        let table = |owner: &str, version| {
            InputSpec::Table(TableInput { owner: name(owner), name: name("t"), version, columns: Vec::new() })
        };
        let kept = KeptTable { name: name("both"), version, columns: vec![name("xa"), name("xb")], permits };
        let tables = vec![JoinedSpec { rows: 4, columns: 1 }; 2];
        let program = ProgramSpec::CreditJoin(JoinSpec { tables, labels: None, minimum });
        let (inputs, outputs) = (vec![table("a", 1), table("b", version)], vec![OutputSpec::kept(kept)]);
        JobSpec { inputs, outputs, ..JobSpec::new(program, ModeSpec::SemiHonest) }
    };
    let run = async |spec: JobSpec| lead.run(&spec, Bytes::new(), &[]).await;
    let wider = [
        permit(ProgramKind::CreditTrain, Vec::new()),
        Permit { minimum: 1, ..counts.clone() },
        Permit { modes: ModeSpec::ALL.to_vec(), ..counts.clone() },
        Permit { requesters: vec![name("lead"), name("a")], ..counts.clone() },
        Permit { recipients: vec![name("lead")], ..counts.clone() },
        Permit { keep: vec![counts.clone()], ..counts.clone() },
        Permit { tell: ScoreDetail::Number, ..counts.clone() },
        Permit { with: vec![name("a"), name("b"), name("lead")], ..counts.clone() },
        Permit { with: Vec::new(), ..counts.clone() },
    ];
    let denied = |result| match result {
        Err(Error::Refused { problem, .. }) => assert_eq!(problem.kind(), Some(ProblemKind::Denied)),
        other => panic!("{other:?}"),
    };
    for permits in wider {
        denied(run(spec(1, 2, vec![permits])).await.map(drop));
    }
    denied(run(spec(1, 1, vec![counts.clone()])).await.map(drop));
    for (version, minimum, told) in
        [(2, 2, "a customer is twice in table 1, so that nothing was kept"), (1, 3, "fewer than 3 customers in common")]
    {
        match run(spec(version, minimum, vec![counts.clone()])).await {
            Err(Error::Job { failure, .. }) => {
                assert_eq!(failure.kind, FailureKind::Data);
                assert!(failure.cause.contains(told), "{}", failure.cause);
            }
            other => panic!("{other:?}"),
        }
    }
    run(spec(1, 2, vec![counts])).await.expect("permitted");

    // Numbers of customers are for joins alone, whatever else is permitted.
    let numbers = vec![Z64(7); 4];
    let table = NewTable {
        name: name("numbers"),
        version: 1,
        rows: 4,
        columns: vec![(name("key-high"), Plain::Z64(&numbers))],
        permits: vec![Permit { recipients: vec![name("lead")], ..permit(ProgramKind::Moments, Vec::new()) }],
        expires: None,
    };
    world.client("a").await.put_table(&table).await.expect("stored");
    let input = TableInput { owner: name("a"), name: name("numbers"), version: 1, columns: Vec::new() };
    let program = ProgramSpec::Moments(MomentsSpec { columns: 1, rows: vec![4], limit: None });
    let inputs = vec![InputSpec::Table(input)];
    match run(JobSpec { inputs, ..JobSpec::new(program, ModeSpec::SemiHonest) }).await {
        Err(Error::Refused { problem, .. }) => assert_eq!(problem.kind(), Some(ProblemKind::InvalidJob)),
        other => panic!("{other:?}"),
    }
    for tables in lead.tables().await {
        let tables = tables.expect("a list");
        assert_eq!(tables.iter().map(|table| (table.rows, table.columns.len())).collect::<Vec<_>>(), [(2, 2)]);
    }
    world.cluster.shutdown().await;
}
