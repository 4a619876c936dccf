//! Tables of several clients, stored at three real node processes, and a job over all of them.

#[path = "tables/downloads.rs"]
mod downloads;
#[path = "tables/rerun.rs"]
mod rerun;
#[path = "tables/upkeep.rs"]
mod upkeep;

use bytes::Bytes;
use reqwest::{StatusCode, header::CONTENT_TYPE};
use std::{fmt::Debug, process::Command, time::Duration};
use trefoil_engine::{Party, Z64, client::split};
use trefoil_nodes::{
    Error,
    api::ProblemKind,
    client::{Client, JobHandle, NewTable, Plain},
    cluster_files::NodeSettings,
    config::Cluster,
    job::{
        Failure, FailureKind, InputSpec, JobId, JobSpec, JobState, JobStatus, Limits, ModeSpec, MomentsSpec,
        OutputSpec, ProgramKind, ProgramSpec, TableInput,
    },
    local::{LocalCluster, LocalOptions},
    pki::{ClientName, Identity, Lifetime},
    tables::{ColumnName, ColumnSpec, Permit, TABLE_MEDIA_TYPE, TableSpec, UploadId},
    tls,
};

#[path = "../src/store/tests/server.rs"]
#[allow(dead_code, reason = "tests of the store use more of it")]
mod server;

const CLIENTS: [&str; 4] = ["bank-a", "bank-b", "bank-c", "auditor"];

fn name<T: std::str::FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

fn names(texts: &[&str]) -> Vec<ClientName> {
    texts.iter().map(|text| name(text)).collect()
}

/// A cluster and four clients of it.
struct World {
    options: LocalOptions,
    cluster: LocalCluster,
    file: Cluster,
    identities: Vec<Identity>,
    clients: Vec<Client>,
}

impl World {
    async fn start(limits: Limits) -> Self {
        let settings = NodeSettings { limits, ..NodeSettings::default() };
        Self::of(LocalOptions { settings, ..LocalOptions::of(env!("CARGO_BIN_EXE_trefoil")) }).await
    }

    async fn of(options: LocalOptions) -> Self {
        let cluster = LocalCluster::start(&options).await.expect("a cluster");
        let file = Cluster::load(&cluster.cluster_file()).expect("a cluster file");
        let (mut identities, mut clients) = (Vec::new(), Vec::new());
        for client in CLIENTS {
            let path = cluster.files().add_client(&name(client), Lifetime::days(1)).expect("a certificate");
            let identity = Identity::named(&path).expect("an identity");
            clients.push(Client::connect(&file, &identity).await.expect("a client"));
            identities.push(identity);
        }
        Self { options, cluster, file, identities, clients }
    }

    fn client(&self, who: &str) -> &Client {
        &self.clients[CLIENTS.iter().position(|name| *name == who).expect("a client")]
    }

    /// A request of one client to one node.
    fn request(&self, who: &str, party: Party, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let identity = &self.identities[CLIENTS.iter().position(|name| *name == who).expect("a client")];
        let tls = tls::api_client(identity, &self.file, party).expect("TLS");
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client");
        http.request(method, format!("https://{}/v1/{path}", self.file.node(party).api))
    }

    async fn status(&self, who: &str, party: Party, path: &str) -> StatusCode {
        self.request(who, party, reqwest::Method::GET, path).send().await.expect("an answer").status()
    }

    /// Stores a share of bank-a's table `income` at one node, whether or not the others have theirs.
    async fn put_at(&self, party: Party, version: u32, spec: &TableSpec, components: &[u8]) {
        let head = spec.canonical();
        let body = [&(head.len() as u32).to_le_bytes()[..], &head, components].concat();
        let request = self.request("bank-a", party, reqwest::Method::PUT, &format!("tables/income/{version}"));
        let answer = request.header(CONTENT_TYPE, TABLE_MEDIA_TYPE).body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::CREATED, "{party}");
    }

    async fn delete_at(&self, party: Party, version: u32) {
        let path = format!("tables/income/{version}");
        let answer = self.request("bank-a", party, reqwest::Method::DELETE, &path).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }

    /// Kills all nodes and starts them again.
    async fn kill_all(&mut self) {
        self.cluster.restart_all(&self.options).await.expect("they start again");
    }

    /// How a job that fails has ended at each node.
    async fn failures(&self, job: &JobHandle) -> [Failure; 3] {
        let at = async |party: Party| {
            let path = format!("jobs/{}?wait=60", job.id());
            let answer = self.request("bank-c", party, reqwest::Method::GET, &path).send().await.expect("an answer");
            match answer.json::<JobStatus>().await.expect("a state").state {
                JobState::Failed { failure } => failure,
                other => panic!("{party}: {other:?}"),
            }
        };
        [at(Party::P0).await, at(Party::P1).await, at(Party::P2).await]
    }
}

/// For moments that bank-c asks for, to bank-c, bank-a or the auditor.
fn permits() -> Vec<Permit> {
    vec![Permit {
        programs: vec![ProgramKind::Moments],
        modes: vec![ModeSpec::Malicious],
        requesters: names(&["bank-c"]),
        recipients: names(&["bank-c", "bank-a", "auditor"]),
        ..Permit::default()
    }]
}

/// A table with columns `age`, `loan` and `income`.
fn table<'a>(table: &str, version: u32, columns: &'a [Vec<Z64>; 3]) -> NewTable<'a> {
    let columns = ["age", "loan", "income"].into_iter().zip(columns);
    NewTable {
        name: name(table),
        version,
        rows: columns.clone().next().map_or(0, |(_, column)| column.len()),
        columns: columns.map(|(column, values)| (name(column), Plain::Z64(values))).collect(),
        permits: permits(),
        expires: None,
    }
}

fn numbers(rows: u64, seed: u64) -> [Vec<Z64>; 3] {
    [3, 70, 1000].map(|scale| (0..rows).map(|k| Z64((k * 31 + seed) % (100 * scale))).collect())
}

/// Over columns `income` and `age` of tables of these owners and versions, to the auditor and to bank-a.
fn moments(tables: &[(&str, u32)], rows: &[u64]) -> JobSpec {
    let columns: Vec<ColumnName> = ["income", "age"].map(name).to_vec();
    let input = |(owner, version): &(&str, u32)| {
        let (owner, name, version) = (name(owner), name("income"), *version);
        InputSpec::Table(TableInput { owner, name, version, columns: columns.clone() })
    };
    JobSpec {
        inputs: tables.iter().map(input).collect(),
        outputs: ["auditor", "bank-a"].map(|to| OutputSpec::to(names(&[to]))).to_vec(),
        ..JobSpec::new(
            ProgramSpec::Moments(MomentsSpec { columns: 2, rows: rows.to_vec(), limit: None }),
            ModeSpec::default(),
        )
    }
}

fn problem<T: Debug>(result: Result<T, Error>) -> ProblemKind {
    match result {
        Err(Error::Refused { problem, .. }) => problem.kind().expect("a known one"),
        other => panic!("{other:?}"),
    }
}

async fn submit(client: &Client, spec: &JobSpec) -> Result<JobHandle, Error> {
    client.submit(spec, Bytes::new(), &[]).await
}

/// What comes out, over income and age.
fn expected(tables: [&[Vec<Z64>; 3]; 2], f: fn(u64) -> u64) -> Vec<Z64> {
    [2, 0].map(|column| Z64(tables.iter().flat_map(|table| &table[column]).map(|x| f(x.0)).sum())).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_party_computes_over_the_tables_of_two_and_each_recipient_gets_its_part() {
    let world = World::start(Limits::default()).await;
    let (of_a, of_b) = (numbers(500, 1), numbers(300, 7));
    let stored = world.client("bank-a").put_table(&table("income", 3, &of_a)).await.expect("stored");
    assert_eq!((stored.rows, stored.columns.len(), stored.version), (500, 3, 3));
    world.client("bank-b").put_table(&table("income", 1, &of_b)).await.expect("stored");
    for list in world.client("bank-a").tables().await {
        assert_eq!(list.expect("a list"), std::slice::from_ref(&stored), "each sees its own");
    }

    let spec = moments(&[("bank-a", 3), ("bank-b", 1)], &[500, 300]);
    let job = submit(world.client("bank-c"), &spec).await.expect("permitted");
    let id = job.id();
    job.wait().await.expect("done");
    assert_eq!(job.outcome().await.expect("done").outputs.iter().flatten().count(), 0, "bank-c is not named");
    assert_eq!(problem(job.output(0).await), ProblemKind::NotFound);
    job.delete().await;

    let auditor = world.client("auditor").job(id).await.expect("a recipient");
    let outcome = auditor.outcome().await.expect("done");
    assert_eq!(outcome.z64(0).expect("for the auditor"), expected([&of_a, &of_b], |x| x));
    assert!(outcome.z64(1).is_err());
    assert_eq!(problem(auditor.output(1).await), ProblemKind::NotFound);
    let outcome = world.client("bank-a").job(id).await.expect("a recipient").outcome().await.expect("done");
    assert_eq!(outcome.z64(1).expect("for bank-a"), expected([&of_a, &of_b], |x| x * x));
    assert!(outcome.outputs[0].is_none());

    assert_eq!(problem(world.client("bank-b").job(id).await), ProblemKind::NotFound);
    for party in Party::ALL {
        for path in [format!("jobs/{id}"), format!("jobs/{id}/outputs/0"), format!("jobs/{id}/outputs/1")] {
            assert_eq!(world.status("bank-b", party, &path).await, StatusCode::NOT_FOUND, "{path}");
        }
    }
    // Its tables and the job outlive each other.
    world.client("bank-a").delete_table(&name("income"), 3).await.expect("deleted");
    assert_eq!(problem(submit(world.client("bank-c"), &spec).await), ProblemKind::Denied);
    auditor.outcome().await.expect("still there");
    auditor.delete().await;
    assert_eq!(problem(world.client("auditor").job(id).await), ProblemKind::NotFound);
    world.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_what_is_left_of_their_permits_outlive_killed_nodes() {
    let mut world = World::start(Limits::default()).await;
    let of_a = numbers(100, 1);
    let mut twice = table("income", 1, &of_a);
    twice.permits[0].times = 2;
    let stored = world.client("bank-a").put_table(&twice).await.expect("stored");
    let spec = moments(&[("bank-a", 1)], &[100]);
    submit(world.client("bank-c"), &spec).await.expect("the first").wait().await.expect("done");
    world.kill_all().await;
    for list in world.client("bank-a").tables().await {
        assert_eq!(list.expect("a list"), std::slice::from_ref(&stored));
    }
    let job = submit(world.client("bank-c"), &spec).await.expect("the second");
    let id = job.id();
    job.wait().await.expect("done");
    let outcome = world.client("auditor").job(id).await.expect("a recipient").outcome().await.expect("done");
    assert_eq!(outcome.z64(0).expect("for the auditor"), expected([&of_a, &numbers(0, 1)], |x| x));
    world.kill_all().await;
    assert_eq!(problem(submit(world.client("bank-c"), &spec).await), ProblemKind::Denied, "both are used up");
    world.client("bank-a").delete_table(&name("income"), 1).await.expect("deleted");
    let second = world.client("bank-a").put_table(&table("income", 2, &of_a)).await.expect("stored");
    // A node that runs keeps its records to itself; one that is gone gets a new key for them.
    let [config, key] = ["node.toml", "store.key"].map(|file| world.cluster.files().node_dir(Party::P1).join(file));
    let rekey = || {
        let command =
            Command::new(env!("CARGO_BIN_EXE_trefoil")).args(["store", "rekey", "--config"]).arg(&config).output();
        command.expect("it runs")
    };
    let busy = rekey();
    let error = String::from_utf8_lossy(&busy.stderr);
    assert!(!busy.status.success() && error.contains("is open in another process"), "{error}");
    let keys = std::fs::read_to_string(&key).expect("a key");
    world.cluster.kill(Party::P1).await;
    let done = rekey();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let new = std::fs::read_to_string(&key).expect("a key");
    assert!(
        new.lines().count() == 1 && !keys.contains(new.trim_end()),
        "the old one and what was drawn before are gone"
    );
    world.kill_all().await;
    for list in world.client("bank-a").tables().await {
        assert_eq!(list.expect("a list"), std::slice::from_ref(&second));
    }
    world.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_has_not_permitted_is_refused() {
    let world = World::start(Limits::default()).await;
    let of_a = numbers(100, 1);
    world.client("bank-a").put_table(&table("income", 1, &of_a)).await.expect("stored");
    let good = moments(&[("bank-a", 1)], &[100]);
    let job = submit(world.client("bank-c"), &good).await.expect("permitted");
    job.wait().await.expect("done");

    let to = |who| JobSpec { outputs: vec![OutputSpec::to(names(&[who])); 2], ..good.clone() };
    for (who, spec, why) in [
        ("bank-b", good.clone(), "another requester"),
        ("bank-a", good.clone(), "the owner is not permitted either"),
        ("bank-c", to("bank-b"), "another recipient"),
        ("bank-c", JobSpec { mode: ModeSpec::SemiHonest, ..good.clone() }, "another mode"),
        ("bank-c", moments(&[("bank-b", 1)], &[100]), "a table that is not there"),
    ] {
        assert_eq!(problem(submit(world.client(who), &spec).await), ProblemKind::Denied, "{why}");
    }
    let (id, body) = (JobId::random().expect("randomness"), trefoil_nodes::job::encode_head(&good));
    let put = world.request("bank-b", Party::P1, reqwest::Method::PUT, &format!("jobs/{id}"));
    let answer = put.header(CONTENT_TYPE, trefoil_nodes::job::MEDIA_TYPE).body(body).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);

    // Who is permitted is told what is wrong with the rest.
    assert_eq!(
        problem(submit(world.client("bank-c"), &moments(&[("bank-a", 1)], &[99])).await),
        ProblemKind::InvalidJob
    );
    let mut other = good.clone();
    let InputSpec::Table(input) = &mut other.inputs[0] else { panic!() };
    input.columns[0] = name("salary");
    assert_eq!(problem(submit(world.client("bank-c"), &other).await), ProblemKind::InvalidJob);
    // Nobody deletes another's table, or sees it.
    let delete = world.request("bank-b", Party::P0, reqwest::Method::DELETE, "tables/income/1").send().await;
    assert_eq!(delete.expect("an answer").status(), StatusCode::NOT_FOUND);
    assert_eq!(world.client("bank-b").tables().await.map(|list| list.expect("a list").len()), [0; 3]);
    world.cluster.shutdown().await;
}

fn spec_of(rows: u64) -> TableSpec {
    let column = |column: &str| ColumnSpec { name: name(column), ring: trefoil_circuits::program::RingKind::Z64 };
    let columns = ["age", "loan", "income"].map(column).to_vec();
    TableSpec { upload: UploadId::random().expect("randomness"), rows, columns, permits: permits(), expires: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_hold_something_else_fail_the_job_everywhere_and_are_named() {
    let world = World::start(Limits::default()).await;
    let of_a = numbers(100, 1);
    for version in [1, 2] {
        world.client("bank-a").put_table(&table("income", version, &of_a)).await.expect("stored");
    }
    let spec = moments(&[("bank-a", 1)], &[100]);

    // P1 has another version only.
    world.delete_at(Party::P1, 1).await;
    let job = submit(world.client("bank-c"), &spec).await.expect("accepted");
    for failure in world.failures(&job).await {
        assert!(failure.cause.contains("P1 has no table `income` version 1 of `bank-a`"), "{}", failure.cause);
    }
    let Err(Error::Job { failure, .. }) = job.wait().await else { panic!("it cannot be done") };
    assert_eq!((failure.kind, failure.blamed), (FailureKind::Mismatch, Some(1)));

    // P1 has another upload of that version.
    world.put_at(Party::P1, 1, &spec_of(100), &[0; 2 * 3 * 800]).await;
    let job = submit(world.client("bank-c"), &spec).await.expect("accepted");
    for failure in world.failures(&job).await {
        assert!(
            failure.cause.contains("P1 holds another upload of table `income` version 1 of `bank-a`"),
            "{failure:?}"
        );
    }

    // The same upload, but what P2 has of it does not fit to what the others have.
    let (described, values) = (spec_of(100), of_a.concat());
    for (party, share) in Party::ALL.into_iter().zip(split(&values).expect("randomness")) {
        let mut components = share.as_bytes().concat();
        if party == Party::P2 {
            // In the column `income`, of the component that P1 holds too.
            components[2 * 800 + 77] ^= 4;
        }
        world.put_at(party, 3, &described, &components).await;
    }
    let job = submit(world.client("bank-c"), &moments(&[("bank-a", 3)], &[100])).await.expect("accepted");
    for failure in world.failures(&job).await {
        assert!(failure.cause.contains("input 0, table `income` version 3 of `bank-a`"), "{}", failure.cause);
        assert!(failure.cause.contains("copies of the input"), "{}", failure.cause);
    }
    assert!(matches!(job.wait().await, Err(Error::Job { failure, .. }) if failure.kind == FailureKind::Misbehaved));
    // All that has not harmed the good version.
    let job = submit(world.client("bank-c"), &moments(&[("bank-a", 2)], &[100])).await.expect("accepted");
    job.wait().await.expect("done");
    world.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_does_not_take_is_nowhere() {
    // Two components of three columns of eight bytes for each row.
    let limits = Limits {
        table_bytes: 48 * 100 + 5000,
        client_tables: 2,
        client_table_bytes: 48 * 150,
        all_table_bytes: 48 * 200,
        client_timeout: Duration::from_secs(5),
        ..Limits::default()
    };
    let world = World::start(limits).await;
    let (bank_a, small, large) = (world.client("bank-a"), numbers(50, 1), numbers(100, 1));
    let tables = async |who: &str| {
        world.client(who).tables().await.map(|list| list.expect("a list").iter().map(|t| t.version).collect::<Vec<_>>())
    };
    assert_eq!(problem(bank_a.put_table(&table("income", 1, &numbers(250, 1))).await), ProblemKind::TooLarge);
    assert_eq!(tables("bank-a").await, [const { Vec::<u32>::new() }; 3]);
    bank_a.put_table(&table("income", 1, &small)).await.expect("stored");
    assert_eq!(problem(bank_a.put_table(&table("income", 1, &small)).await), ProblemKind::Conflict);
    assert_eq!(tables("bank-a").await, [vec![1], vec![1], vec![1]], "what was there before stays");

    // P2 has something of that version already.
    world.put_at(Party::P2, 2, &spec_of(50), &[0; 48 * 50]).await;
    let error = bank_a.put_table(&table("income", 2, &small)).await.expect_err("P2 refuses");
    assert!(error.to_string().starts_with("P2 (") && error.to_string().contains("version 2 of `bank-a`"), "{error}");
    assert_eq!(tables("bank-a").await, [vec![1], vec![1], vec![1, 2]]);
    bank_a.delete_table(&name("income"), 2).await.expect("deleted where it is");
    assert_eq!(tables("bank-a").await, [vec![1], vec![1], vec![1]]);

    // The bytes of one client, the number of its tables, and the bytes of all.
    let refused = |error: Error, key: &str| {
        assert!(error.to_string().contains(key), "{error}");
        assert_eq!(problem::<()>(Err(error)), ProblemKind::Full);
    };
    let two = [("income", 2), ("income", 3)];
    refused(bank_a.put_table(&table("income", 2, &numbers(101, 1))).await.expect_err("full"), "client_table_bytes");
    bank_a.put_table(&table(two[0].0, two[0].1, &small)).await.expect("stored");
    refused(bank_a.put_table(&table(two[1].0, two[1].1, &numbers(1, 1))).await.expect_err("full"), "client_tables");
    let bank_b = world.client("bank-b");
    refused(bank_b.put_table(&table("income", 1, &numbers(101, 1))).await.expect_err("full"), "all_table_bytes");
    bank_b.put_table(&table("income", 1, &large)).await.expect("just enough");
    assert_eq!(tables("bank-b").await, [vec![1], vec![1], vec![1]]);
    assert_eq!(tables("bank-a").await, [vec![1, 2], vec![1, 2], vec![1, 2]]);

    // A column that does not fit is not sent.
    let mut uneven = large.clone();
    uneven[1].pop();
    assert!(matches!(bank_b.put_table(&table("income", 2, &uneven)).await, Err(Error::Usage(_))));
    world.cluster.shutdown().await;
}

/// Nodes that keep their records in a server: a table is there after the nodes, and then the server, were killed, and under a new key.
#[tokio::test(flavor = "multi_thread")]
async fn tables_in_postgresql_outlive_nodes_and_server() {
    let Some(mut server) = server::PostgresServer::start() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let options = LocalOptions { dir: Some(dir.path().to_owned()), ..LocalOptions::of(env!("CARGO_BIN_EXE_trefoil")) };
    let files = {
        let cluster = LocalCluster::start(&options).await.expect("a cluster");
        let files = cluster.files().clone();
        cluster.shutdown().await;
        files
    };
    for party in Party::ALL {
        let (host, database, role, node) = (server.host(), server::DATABASE, server::ROLE, party.index());
        let place =
            format!("host = \"{host}\"\ndatabase = \"{database}\"\nuser = \"{role}\"\nschema = \"node_{node}\"\n");
        let text = std::fs::read_to_string(files.node(party)).expect("node.toml") + "\n[store_postgres]\n" + &place;
        std::fs::write(files.node(party), text).expect("room");
        std::fs::remove_file(files.node_dir(party).join("store.redb")).expect("the store of before");
    }
    let mut world = World::of(options).await;
    let columns = numbers(50, 1);
    world.client("bank-a").put_table(&table("income", 1, &columns)).await.expect("stored");
    let answers = async |world: &World| {
        let submitted = submit(world.client("bank-c"), &moments(&[("bank-a", 1)], &[50])).await;
        match submitted {
            Ok(job) => job.wait().await.map(drop),
            Err(error) => Err(error),
        }
    };
    answers(&world).await.expect("done");
    world.kill_all().await;
    answers(&world).await.expect("the table is there");
    tokio::task::block_in_place(|| server.crash());
    // Each node notices at its first use, and connects again at the next.
    let mut stored = Err("no attempt".to_owned());
    for version in 2..10 {
        stored = world.client("bank-a").put_table(&table("income", version, &columns)).await.map_err(|e| e.to_string());
        if stored.is_ok() {
            break;
        }
    }
    stored.expect("the nodes are connected again");
    answers(&world).await.expect("done");
    world.cluster.shutdown().await;

    let mut rekey = Command::new(env!("CARGO_BIN_EXE_trefoil"));
    let rekey =
        rekey.args(["store", "rekey", "--json", "--config"]).arg(files.node(Party::P1)).output().expect("it runs");
    assert!(rekey.status.success(), "{}", String::from_utf8_lossy(&rekey.stderr));
    world.cluster = LocalCluster::start(&world.options).await.expect("under the new key");
    answers(&world).await.expect("the table is there");
    for party in Party::ALL {
        assert!(!files.node_dir(party).join("store.redb").exists(), "its records are elsewhere");
    }
    world.cluster.shutdown().await;
}
