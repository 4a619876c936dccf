//! Scoring, training and counting over the tables of two banks, at three real node processes.

use bytes::Bytes;
use std::fmt::Debug;
use trefoil_circuits::{credit::OnCut, program::RingKind};
use trefoil_engine::{Lanes, Z64};
use trefoil_nodes::{
    Error,
    api::ProblemKind,
    client::{Client, JobHandle, NewTable, Plain, PlainVector},
    config::Cluster,
    job::{
        Checks, CountsSpec, FailureKind, InputSpec, JobCost, JobSpec, KeptTable, MethodSpec, ModeSpec, ModelSpec,
        MomentsSpec, OutputSpec, PooledSpec, ProgramKind, ProgramSpec, ReasonsSpec, ReportSpec, ScoreSpec, StopSpec,
        TableInput, TrainSpec, rehearse,
    },
    local::{LocalCluster, LocalOptions},
    pki::{ClientName, Identity, Lifetime},
    tables::{Permit, ScoreDetail},
};

const ROWS: [usize; 2] = [130, 70];
const COLUMNS: usize = 3;
const ONE: i64 = 1 << 20;

fn name<T: std::str::FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

fn names(texts: &[&str]) -> Vec<ClientName> {
    texts.iter().map(|text| name(text)).collect()
}

struct World {
    cluster: LocalCluster,
    clients: [Client; 3],
}

impl World {
    async fn start() -> Self {
        let options = LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"));
        let cluster = LocalCluster::start(&options).await.expect("a cluster");
        let file = Cluster::load(&cluster.cluster_file()).expect("a cluster file");
        let connect = async |client: &str| {
            let path = cluster.files().add_client(&name(client), Lifetime::days(1)).expect("a certificate");
            Client::connect(&file, &Identity::named(&path).expect("an identity")).await.expect("a client")
        };
        let clients = [connect("bank-a").await, connect("bank-b").await, connect("lead").await];
        Self { cluster, clients }
    }
}

/// The features of a bank, column after column, and its labels.
fn loans(bank: usize) -> (Vec<Vec<i64>>, Vec<bool>) {
    let entry = |row: usize, column: usize| {
        let k = (row * 37 + column * 101 + bank * 53) % 401;
        (i64::try_from(k).expect("small") - 200) * ONE / 100
    };
    let columns: Vec<Vec<i64>> = (0..COLUMNS).map(|c| (0..ROWS[bank]).map(|row| entry(row, c)).collect()).collect();
    let bad = |row: usize| columns[0][row] - columns[1][row] / 2 > i64::try_from(row % 7).expect("small") * ONE / 8;
    let labels = (0..ROWS[bank]).map(bad).collect();
    (columns, labels)
}

fn words(values: &[i64]) -> Vec<Z64> {
    values.iter().map(|x| Z64(x.cast_unsigned())).collect()
}

fn signed(values: &[Z64]) -> Vec<i64> {
    values.iter().map(|x| x.0.cast_signed()).collect()
}

fn bits(labels: &[bool]) -> Vec<Lanes> {
    labels.chunks(64).map(|c| Lanes(c.iter().rev().fold(0, |word, &bit| word << 1 | u64::from(bit)))).collect()
}

fn permit(program: ProgramKind, recipients: &[&str], keep: Vec<Permit>) -> Permit {
    Permit {
        programs: vec![program],
        modes: ModeSpec::ALL.to_vec(),
        requesters: names(&["lead"]),
        recipients: names(recipients),
        keep,
        minimum: if program == ProgramKind::CreditCounts { 2 } else { 0 },
        with: if matches!(program, ProgramKind::CreditCounts | ProgramKind::CreditTrain) {
            names(&["bank-a", "bank-b"])
        } else {
            Vec::new()
        },
        ..Permit::default()
    }
}

fn counted() -> Permit {
    permit(ProgramKind::CreditCounts, &["lead"], Vec::new())
}

fn scored() -> Permit {
    permit(ProgramKind::CreditScore, &["bank-a"], vec![counted()])
}

/// Stores the loans of a bank: a model trained on them stays shared, their scores are for bank-a, their counts for lead.
async fn store(client: &Client, bank: usize) {
    let (columns, labels) = loans(bank);
    let (columns, labels): (Vec<_>, _) = (columns.iter().map(|c| words(c)).collect(), bits(&labels));
    let features = columns.iter().enumerate().map(|(k, column)| (name(&format!("x{k}")), Plain::Z64(column)));
    let table = NewTable {
        name: name("loans"),
        version: 1,
        rows: ROWS[bank],
        columns: features.chain([(name("bad"), Plain::Bits(&labels))]).collect(),
        permits: vec![permit(ProgramKind::CreditTrain, &[], vec![scored()]), scored(), counted()],
        expires: None,
    };
    client.put_table(&table).await.expect("stored");
}

fn table(owner: &str, table: &str, columns: &[&str]) -> InputSpec {
    let columns = columns.iter().map(|column| name(column)).collect();
    InputSpec::Table(TableInput { owner: name(owner), name: name(table), version: 1, columns })
}

const FEATURES: [&str; COLUMNS] = ["x0", "x1", "x2"];

fn kept(table: &str, permits: Vec<Permit>) -> OutputSpec {
    let column = if table.starts_with("scores") { "value" } else { "model" };
    OutputSpec::kept(KeptTable { name: name(table), version: 1, columns: vec![name(column)], permits })
}

/// By descent at a rate, or by Newton's method if that is zero.
fn train(rate: u32, output: OutputSpec) -> JobSpec {
    let table_spec = PooledSpec::Horizontal { columns: 3, rows: ROWS.map(|rows| rows as u64).to_vec() };
    let method = if rate == 0 {
        MethodSpec::Newton { iterations: 3 }
    } else {
        // It stands still, as far as that bound tells, after the first epoch.
        let stop = Some(StopSpec { every: 1, below: 1 << 20 });
        MethodSpec::Descent { rate, momentum: 512, epochs: 3, batch: Some(90), stop }
    };
    let train = TrainSpec { table: table_spec, method, l2: 1 << 20 };
    let features = ["bank-a", "bank-b"].map(|owner| table(owner, "loans", &FEATURES));
    let labels = ["bank-a", "bank-b"].map(|owner| table(owner, "loans", &["bad"]));
    JobSpec {
        inputs: features.into_iter().chain(labels).collect(),
        outputs: vec![output],
        ..JobSpec::new(ProgramSpec::CreditTrain(train), ModeSpec::Malicious)
    }
}

async fn submit(client: &Client, spec: &JobSpec) -> Result<JobHandle, Error> {
    client.submit(spec, Bytes::new(), &[]).await
}

/// What was planned is what it has cost: each node's rounds, bytes and products.
async fn cost_as_planned(spec: &JobSpec, checks: Checks, costs: [JobCost; 3]) {
    let of = |costs: [JobCost; 3]| costs.map(|cost| (cost.rounds, cost.bytes_sent, cost.products));
    // What the rehearsal has is not where tables lie.
    let alone = JobSpec::new(spec.program.clone(), spec.mode);
    assert_eq!(
        of(rehearse(&alone, checks).await.expect("a plan")),
        of(costs),
        "{:?} {}",
        spec.program.kind(),
        spec.mode
    );
}

fn problem<T: Debug>(result: Result<T, Error>) -> ProblemKind {
    match result {
        Err(Error::Refused { problem, .. }) => problem.kind().expect("a known one"),
        other => panic!("{other:?}"),
    }
}

/// Trains on both banks, keeps the model shared, scores both with it, counts the scores by label; all as plain computation has it.
async fn pool(world: &World, mode: ModeSpec, rate: u32) {
    let [bank_a, _, lead] = &world.clients;
    let spec = JobSpec { mode, ..train(rate, kept("model", vec![scored()])) };
    let job = submit(lead, &spec).await.expect("permitted");
    let outcome = job.outcome().await.expect("done");
    assert_eq!(outcome.outputs.iter().flatten().count(), 0, "nobody learns the model");
    if rate == 0 {
        // In this mode the first job over these tables.
        cost_as_planned(&spec, Checks::All, outcome.costs).await;
    }
    job.delete().await;
    let ProgramSpec::CreditTrain(trained) = &spec.program else { panic!() };
    let both = [loans(0), loans(1)];
    let pooled: Vec<i64> = (0..COLUMNS).flat_map(|c| both.iter().flat_map(move |(x, _)| x[c].clone())).collect();
    let labels: Vec<bool> = both.iter().flat_map(|(_, labels)| labels.clone()).collect();
    let model = trained.resolve().expect("good").plain(&pooled, &labels);
    assert!(model.iter().any(|x| x.abs() > ONE / 10), "it has learnt something");
    if let MethodSpec::Descent { rate, momentum, epochs, batch, .. } = trained.method {
        let whole =
            TrainSpec { method: MethodSpec::Descent { rate, momentum, epochs, batch, stop: None }, ..trained.clone() };
        assert_ne!(model, whole.resolve().expect("good").plain(&pooled, &labels), "it has stopped early");
    }

    let mut scores = Vec::new();
    for (bank, owner) in ["bank-a", "bank-b"].into_iter().enumerate() {
        let score = ScoreSpec {
            table: PooledSpec::Horizontal { columns: 3, rows: vec![ROWS[bank] as u64] },
            model: ModelSpec::Shared,
            reports: vec![ReportSpec::Probability, ReportSpec::Decision(1 << 31)],
        };
        let plain = score.resolve().expect("good").plain(&both[bank].0.concat(), &model);
        let spec = JobSpec {
            inputs: vec![table(owner, "loans", &FEATURES), table("lead", "model", &[])],
            outputs: vec![kept(&format!("scores-{owner}"), vec![counted()]), OutputSpec::to(names(&["bank-a"]))],
            ..JobSpec::new(ProgramSpec::CreditScore(score), mode)
        };
        let job = submit(lead, &spec).await.expect("permitted");
        job.wait().await.expect("done");
        assert_eq!(problem(job.output(0).await), ProblemKind::NotFound, "it stays at the nodes");
        let decisions = bank_a.job(job.id()).await.expect("a recipient").outcome().await.expect("done");
        let expected: Vec<bool> = plain[1].iter().map(|bit| *bit == 1).collect();
        assert_eq!(decisions.bits(1).expect("for bank-a"), bits(&expected));
        scores.extend(plain[0].clone());
        job.delete().await;
    }
    let counts = CountsSpec {
        rows: ROWS.map(|rows| rows as u64).to_vec(),
        cuts: vec![ONE / 4, ONE / 2, 3 * ONE / 4],
        on_cut: OnCut::Upper,
        by_label: true,
        minimum: 2,
        around: Some(2),
    };
    let expected = counts.resolve().expect("good").plain(&scores, &labels);
    let values = ["bank-a", "bank-b"].map(|owner| table("lead", &format!("scores-{owner}"), &[]));
    let of_loans = ["bank-a", "bank-b"].map(|owner| table(owner, "loans", &["bad"]));
    let spec = JobSpec {
        inputs: values.into_iter().chain(of_loans).collect(),
        ..JobSpec::new(ProgramSpec::CreditCounts(counts), mode)
    };
    let outcome = lead.run(&spec, Bytes::new(), &[]).await.expect("done");
    cost_as_planned(&spec, Checks::All, outcome.costs).await;
    for (k, expected) in expected.iter().enumerate() {
        assert_eq!(&outcome.z64(k).expect("for lead").iter().map(|x| x.0).collect::<Vec<_>>(), expected);
    }
    for table in ["model", "scores-bank-a", "scores-bank-b"] {
        lead.delete_table(&name(table), 1).await.expect("deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_trained_kept_shared_and_used_in_both_modes() {
    let world = World::start().await;
    for (bank, client) in world.clients[..2].iter().enumerate() {
        store(client, bank).await;
    }
    // By Newton's method, and by descent.
    for (mode, rate) in ModeSpec::ALL.into_iter().zip([1 << 19, 0]) {
        pool(&world, mode, rate).await;
    }
    world.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applicants_are_scored_by_a_public_and_by_a_secret_model_in_both_modes() {
    let world = World::start().await;
    let [bank_a, bank_b, _] = &world.clients;
    let (columns, _) = loans(0);
    let (features, model) = (words(&columns.concat()), [ONE / 3, -ONE, 2 * ONE, ONE / 7]);
    let coefficients = words(&model);
    let scorecard = NewTable {
        name: name("scorecard"),
        version: 1,
        rows: model.len(),
        columns: vec![(name("model"), Plain::Z64(&coefficients))],
        permits: vec![Permit { requesters: names(&["bank-a"]), tell: ScoreDetail::Number, ..scored() }],
        expires: None,
    };
    bank_b.put_table(&scorecard).await.expect("stored");
    for mode in ModeSpec::ALL {
        for public in [true, false] {
            let score = ScoreSpec {
                table: PooledSpec::Vertical { rows: ROWS[0] as u64, columns: vec![3] },
                model: if public { ModelSpec::Public(model.to_vec()) } else { ModelSpec::Shared },
                reports: vec![
                    ReportSpec::Logit,
                    ReportSpec::Probability,
                    ReportSpec::Decision(1 << 30),
                    ReportSpec::Reasons(ReasonsSpec { most: 2, columns: vec![1, 2] }),
                ],
            };
            let plain = score.resolve().expect("good").plain(&columns.concat(), &model);
            let secret = (!public).then(|| table("bank-b", "scorecard", &["model"]));
            let spec = JobSpec {
                inputs: std::iter::once(InputSpec::Upload).chain(secret).collect(),
                ..JobSpec::new(ProgramSpec::CreditScore(score), mode)
            };
            let outcome = bank_a.run(&spec, Bytes::new(), &[Plain::Z64(&features)]).await.expect("done");
            if public {
                // Its own customers, of whom nobody else learns.
                cost_as_planned(&spec, Checks::Known, outcome.costs).await;
            }
            assert_eq!(outcome.outputs[2].as_ref().map(PlainVector::ring), Some(RingKind::Bits));
            assert_eq!([0, 1].map(|k| signed(outcome.z64(k).expect("ours"))), [plain[0].clone(), plain[1].clone()]);
            assert_eq!(signed(outcome.z64(3).expect("ours")), plain[3]);
            let expected: Vec<bool> = plain[2].iter().map(|bit| *bit == 1).collect();
            assert_eq!(outcome.bits(2).expect("ours"), bits(&expected));
        }
    }
    world.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worthless_model_is_not_released_and_what_is_not_permitted_is_refused() {
    let world = World::start().await;
    let [bank_a, bank_b, lead] = &world.clients;
    store(bank_a, 0).await;
    store(bank_b, 1).await;
    // Features beyond what the client would share: coefficients run away.
    let large: Vec<i64> = (0..20).map(|k| (if k % 2 == 0 { 120 } else { -120 }) * ONE).collect();
    let labels: Vec<bool> = (0..20).map(|k| k % 2 == 0).collect();
    let wild = TrainSpec {
        table: PooledSpec::Horizontal { columns: 1, rows: vec![20] },
        method: MethodSpec::Descent { rate: 16 << 20, momentum: 0, epochs: 4, batch: None, stop: None },
        l2: 0,
    };
    for mode in ModeSpec::ALL {
        let spec = JobSpec {
            outputs: vec![kept("wild", Vec::new())],
            ..JobSpec::new(ProgramSpec::CreditTrain(wild.clone()), mode)
        };
        let inputs = [Plain::Z64(&words(&large)), Plain::Bits(&bits(&labels))];
        let Err(Error::Job { failure, .. }) = lead.run(&spec, Bytes::new(), &inputs).await else {
            panic!("the model is worthless")
        };
        assert_eq!(failure.kind, FailureKind::Range);
        let remedies = ["not released; see that customers of both labels", "raise the L2 penalty"];
        assert!(remedies.iter().all(|remedy| failure.cause.contains(remedy)), "{}", failure.cause);
        assert_eq!(lead.tables().await.map(|list| list.expect("a list").len()), [0; 3], "nothing has stayed");
    }

    let open = Permit { recipients: names(&["bank-a", "lead"]), ..scored() };
    let circuit = Permit { programs: vec![ProgramKind::Circuit], ..scored() };
    let numbers = Permit { tell: ScoreDetail::Number, ..scored() };
    let small = Permit { keep: vec![Permit { minimum: 1, ..counted() }], ..scored() };
    for (output, why) in [
        (OutputSpec::to(names(&["lead"])), "the model is released to nobody"),
        (kept("model", vec![open]), "scores by it are for bank-a alone"),
        (kept("model", vec![circuit]), "no circuit may take it"),
        (kept("model", vec![small]), "counts below two are not told"),
        (kept("model", vec![numbers]), "scores by it are decisions"),
    ] {
        assert_eq!(problem(submit(lead, &train(1 << 19, output)).await), ProblemKind::Denied, "{why}");
    }
    // A table that is there already is not replaced.
    let spec = train(1 << 19, kept("model", vec![scored()]));
    submit(lead, &spec).await.expect("permitted").wait().await.expect("done");
    assert_eq!(problem(submit(lead, &spec).await), ProblemKind::Conflict);
    world.cluster.shutdown().await;
}

/// Of a feature.
const LIMIT: i64 = 128 * ONE;

/// Stores two columns of a bank, of which the second has an entry of this size.
async fn store_one(client: &Client, table: &str, largest: i64) {
    let mut columns = vec![vec![ONE; 100]; 2];
    columns[1][70] = largest;
    let columns: Vec<Vec<Z64>> = columns.iter().map(|c| words(c)).collect();
    let permits = [ProgramKind::CreditScore, ProgramKind::Moments].map(|kind| permit(kind, &["lead"], Vec::new()));
    let features = columns.iter().enumerate().map(|(k, column)| (name(&format!("x{k}")), Plain::Z64(column)));
    let (name, columns, permits) = (name(table), features.collect(), permits.to_vec());
    client.put_table(&NewTable { name, version: 1, rows: 100, columns, permits, expires: None }).await.expect("stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shares_numbers_out_of_range_is_found_and_a_table_is_checked_once_for_each_mode() {
    let world = World::start().await;
    let [bank_a, bank_b, lead] = &world.clients;
    store_one(bank_a, "honest", -LIMIT).await;
    store_one(bank_b, "honest", LIMIT).await;
    store_one(bank_b, "false", LIMIT + 1).await;
    let score = |owner: &str, of: &str, mode| {
        let score = ScoreSpec {
            table: PooledSpec::Horizontal { columns: 2, rows: vec![100, 100] },
            model: ModelSpec::Public(vec![ONE; 3]),
            reports: vec![ReportSpec::Decision(1 << 31)],
        };
        let inputs = [table("bank-a", "honest", &["x0", "x1"]), table(owner, of, &["x0", "x1"])];
        JobSpec { inputs: inputs.to_vec(), ..JobSpec::new(ProgramSpec::CreditScore(score), mode) }
    };
    let failed = async |client: &Client, spec: &JobSpec, uploads: &[Plain<'_>]| {
        let Err(Error::Job { failure, .. }) = client.run(spec, Bytes::new(), uploads).await else {
            panic!("an entry is beyond its limit")
        };
        assert_eq!(failure.kind, FailureKind::Range);
        failure.cause
    };
    for mode in ModeSpec::ALL {
        let cause = failed(lead, &score("bank-b", "false", mode), &[]).await;
        assert!(cause.contains("table `false` version 1 of `bank-b`: an entry is beyond 134217728"), "{cause}");
    }
    // What was found in malicious mode holds in both, but not the other way round.
    let cost = async |mode| {
        let job = submit(lead, &score("bank-b", "honest", mode)).await.expect("permitted");
        let cost = job.wait().await.expect("done").into_iter().map(|c| (c.rounds, c.bytes_sent)).max();
        job.delete().await;
        cost.expect("three nodes")
    };
    let [first, second] = [cost(ModeSpec::SemiHonest).await, cost(ModeSpec::SemiHonest).await];
    assert!(first.0 > second.0 + 10 && first.1 > second.1 + 400 * 302 / 8, "{first:?} {second:?}");
    let [checked, again] = [cost(ModeSpec::Malicious).await, cost(ModeSpec::Malicious).await];
    assert!(checked.0 > again.0 + 10 && checked.1 > again.1, "{checked:?} {again:?}");

    // What comes with a job is checked if others are to rely on it, and not if its own client learns all.
    let mut spec = score("bank-b", "honest", ModeSpec::Malicious);
    spec.inputs = vec![InputSpec::Upload; 2];
    let [small, large] = [0, 1 << 62].map(|x| words(&vec![x; 200]));
    let uploads = [Plain::Z64(&small), Plain::Z64(&large)];
    lead.run(&spec, Bytes::new(), &uploads).await.expect("what lead deceives itself with");
    spec.outputs = vec![OutputSpec::to(names(&["bank-b"]))];
    let cause = failed(lead, &spec, &uploads).await;
    assert!(cause.contains("input 1: an entry is beyond 134217728"), "{cause}");

    // Integers have the limit that the job sets them.
    let moments = |limit| MomentsSpec { columns: 2, rows: vec![100], limit };
    let of = |limit| JobSpec {
        inputs: vec![table("bank-a", "honest", &["x0", "x1"])],
        ..JobSpec::new(ProgramSpec::Moments(moments(limit)), ModeSpec::Malicious)
    };
    let sums = lead.run(&of(Some(1 << 27)), Bytes::new(), &[]).await.expect("within");
    assert_eq!(signed(sums.z64(0).expect("ours")), [100 * ONE, 99 * ONE - LIMIT]);
    let cause = failed(lead, &of(Some((1 << 27) - 1)), &[]).await;
    assert!(cause.contains("table `honest` version 1 of `bank-a`: an entry is beyond 134217727"), "{cause}");
    assert!(ProgramSpec::Moments(moments(Some(1 << 31))).shapes().is_err_and(|e| e.to_string().contains("2^64")));
    world.cluster.shutdown().await;
}
