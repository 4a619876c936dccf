//! The stores of three real node processes: compared, made anew, lost and rebuilt.

use super::*;
use trefoil_nodes::{
    config::{AUDIT, NodeConfig, STORE},
    local::{LocalUser, Seen},
    status::ComparisonStatus,
    store::{Space, Store, Whose},
    upkeep::{Task, Unwitnessed, UpkeepReport, UpkeepSettings, UpkeepSpec},
};

struct Kept {
    world: World,
    operator: Client,
    values: [Vec<Z64>; 3],
    alice: LocalUser,
    /// Jobs that are done, whose outputs the auditor leaves at the nodes.
    done: Vec<JobId>,
}

/// A table of bank-a of 20,000 rows, which takes several parts on the disk, and a user of bank-b with a key.
async fn kept() -> Kept {
    let world = World::start(Limits::default()).await;
    Box::pin(Kept::of(world)).await
}

fn session(node: Option<u8>) -> UpkeepSpec {
    let session = JobId::random().expect("randomness");
    UpkeepSpec { session, node, unwitnessed: Unwitnessed::Refuse }
}

impl Kept {
    async fn of(world: World) -> Self {
        let path = world.cluster.files().add_client(&name("operator"), Lifetime::days(1)).expect("a certificate");
        let identity = Identity::named(&path).expect("an identity");
        let operator = Client::connect(&world.file, &identity).await.expect("a client");
        let values = numbers(60_000, 1);
        world.client("bank-a").put_table(&table("income", 1, &values)).await.expect("stored");
        let alice = LocalUser::enrol(world.client("bank-b"), "alice", 7, ModeSpec::Malicious).await.expect("enrolled");
        Self { world, operator, values, alice, done: Vec::new() }
    }

    async fn upkeep(&self, task: Task, node: Option<u8>) -> [UpkeepReport; 3] {
        self.operator.upkeep(task, &session(node)).await.expect("done")
    }

    /// The same, with nothing to be said of it.
    async fn sound(&self, task: Task, node: Option<u8>) -> [UpkeepReport; 3] {
        let reports = self.upkeep(task, node).await;
        assert!(reports.iter().all(|report| report.findings.is_empty()), "{task}: {reports:?}");
        reports
    }

    /// Returns when an entry of a node's audit log has these words.
    async fn logged(&self, party: Party, words: [&str; 2]) {
        let log = self.world.cluster.files().node_dir(party).join(AUDIT);
        let told = |text: String| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
        let written = async {
            loop {
                let mut files = std::fs::read_dir(&log).expect("a directory").map(|file| file.expect("a file").path());
                if files.any(|file| told(std::fs::read_to_string(file).unwrap_or_default())) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), written).await.unwrap_or_else(|_| panic!("{party}: {words:?}"));
    }

    /// The moments are those of the plain table, and the user logs in where somebody else does not.
    async fn computes(&mut self) {
        let job = submit(self.world.client("bank-c"), &moments(&[("bank-a", 1)], &[60_000])).await.expect("accepted");
        let id = job.id();
        job.wait().await.expect("done");
        let outcome = self.world.client("auditor").job(id).await.expect("there").outcome().await.expect("done");
        assert_eq!(outcome.z64(0).expect("sums"), expected([&self.values, &numbers(0, 1)], |x| x));
        self.done.push(id);
        self.fetches().await;
        let bank = self.world.client("bank-b").clone();
        self.alice.log_in(&bank, Seen::Own).await.expect("her eye");
        self.alice.log_in(&bank, Seen::Another).await.expect_err("another eye");
        self.alice.log_in(&bank, Seen::Own).await.expect("her eye again");
    }

    /// What was computed at any time is handed out, and fits.
    async fn fetches(&self) {
        for id in &self.done {
            let outcome = self.world.client("auditor").job(*id).await.expect("there").outcome().await.expect("done");
            assert_eq!(outcome.z64(0).expect("sums"), expected([&self.values, &numbers(0, 1)], |x| x));
        }
    }

    async fn epochs(&self) -> [u64; 3] {
        self.world.client("bank-a").tables().await.map(|list| list.expect("a list")[0].epoch)
    }

    fn store(&self, party: Party) -> std::path::PathBuf {
        self.world.cluster.files().node_dir(party).join(STORE)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_lost_its_store_gets_its_shares_again_and_those_of_before_are_of_no_use() {
    let mut kept = kept().await;
    let error = kept.world.client("bank-a").upkeep(Task::Compare, &session(None)).await;
    assert_eq!(problem(error), ProblemKind::Policy, "no operator");
    for report in kept.sound(Task::Compare, None).await {
        assert_eq!((report.tables, report.templates), (1, 1));
    }
    // P1's store as it was in the first epoch.
    let (store, old) = (kept.store(Party::P1), kept.store(Party::P1).with_extension("old"));
    kept.world.cluster.kill(Party::P1).await;
    std::fs::copy(&store, &old).expect("a backup");
    let options = kept.world.options.clone();
    kept.world.cluster.restart(Party::P1, &options).await.expect("it starts");

    for report in kept.sound(Task::Refresh, None).await {
        assert_eq!((report.tables, report.templates, report.keys), (1, 1, 1));
    }
    assert_eq!(kept.epochs().await, [1; 3]);
    kept.computes().await;
    let refreshed = kept.sound(Task::Refresh, None).await;
    assert_eq!(refreshed.map(|report| report.outputs), [1; 3]);
    kept.fetches().await;
    kept.world.kill_all().await;
    assert_eq!(kept.epochs().await, [2; 3]);
    kept.computes().await;
    assert_eq!(kept.sound(Task::Compare, None).await.map(|report| report.outputs), [2; 3]);

    // Shares of before are of no use.
    kept.world.cluster.kill(Party::P1).await;
    std::fs::copy(&old, &store).expect("restored");
    kept.world.cluster.restart(Party::P1, &options).await.expect("it starts");
    let job = submit(kept.world.client("bank-c"), &moments(&[("bank-a", 1)], &[60_000])).await.expect("accepted");
    for failure in kept.world.failures(&job).await {
        assert!(failure.cause.contains("of different epochs"), "{}", failure.cause);
        // A node that another has told of it before it has found out says whom it has it from.
        assert!(matches!(failure.kind, FailureKind::Mismatch | FailureKind::Link), "{failure:?}");
    }
    let reports = kept.upkeep(Task::Compare, None).await;
    assert!(reports.iter().all(|report| report.tables == 0 && !report.findings.is_empty()), "{reports:?}");

    // The disk is gone.
    kept.world.cluster.kill(Party::P1).await;
    std::fs::remove_file(&store).expect("there");
    kept.world.cluster.restart(Party::P1, &options).await.expect("it starts");
    let rebuilt = kept.sound(Task::Rebuild, Some(1)).await;
    assert!(rebuilt.iter().all(|report| (report.tables, report.templates, report.keys) == (1, 1, 1)), "{rebuilt:?}");
    assert!(rebuilt.iter().all(|report| report.outputs == 2), "{rebuilt:?}");
    kept.fetches().await;
    kept.computes().await;
    kept.sound(Task::Refresh, None).await;
    assert_eq!(kept.epochs().await, [3; 3]);
    kept.computes().await;
    // A second time there is nothing to do.
    let again = kept.sound(Task::Rebuild, Some(1)).await;
    assert!(again.iter().all(|report| (report.tables, report.templates, report.keys) == (0, 0, 0)), "{again:?}");
    assert!(again.iter().all(|report| report.outputs == 0), "{again:?}");
    kept.world.kill_all().await;
    kept.computes().await;
    kept.world.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_that_do_not_fit_are_found_and_those_never_compared_are_not_taken_on_trust() {
    let kept = kept().await;
    // What P2 has of it does not fit to what P1 has.
    let (described, values) = (spec_of(100), numbers(100, 1).concat());
    for (party, share) in Party::ALL.into_iter().zip(split(&values).expect("randomness")) {
        let mut components = share.as_bytes().concat();
        components[77] ^= u8::from(party == Party::P2);
        kept.world.put_at(party, 3, &described, &components).await;
    }
    for report in kept.upkeep(Task::Compare, None).await {
        let [finding] = report.findings.as_slice() else { panic!("{report:?}") };
        assert!(finding.what.contains("version 3") && finding.cause.contains("different shares"), "{finding:?}");
        assert!(finding.suspects.iter().all(|suspect| [1, 2].contains(suspect)), "{finding:?}");
    }
    kept.world.client("bank-a").delete_table(&name("income"), 3).await.expect("deleted");
    // Nothing was remembered of the second version, which was never compared.
    let mut kept = kept;
    let second = numbers(100, 5);
    kept.world.client("bank-a").put_table(&table("income", 2, &second)).await.expect("stored");
    let options = kept.world.options.clone();
    kept.world.cluster.kill(Party::P0).await;
    std::fs::remove_file(kept.store(Party::P0)).expect("there");
    kept.world.cluster.restart(Party::P0, &options).await.expect("it starts");
    let reports = kept.upkeep(Task::Rebuild, Some(0)).await;
    assert_eq!((reports[0].tables, reports[0].findings.len()), (1, 1), "{reports:?}");
    let finding = &reports[0].findings[0];
    assert!(finding.what.contains("version 2") && finding.cause.contains("--unwitnessed accept"), "{finding:?}");
    let trusting = UpkeepSpec { unwitnessed: Unwitnessed::Accept, ..session(Some(0)) };
    let reports = kept.operator.upkeep(Task::Rebuild, &trusting).await.expect("done");
    assert_eq!((reports[0].tables, reports[0].findings.len()), (1, 0), "the other is there: {reports:?}");
    kept.computes().await;
    let job = submit(kept.world.client("bank-c"), &moments(&[("bank-a", 2)], &[100])).await.expect("accepted");
    let id = job.id();
    job.wait().await.expect("done");
    let outcome = kept.world.client("auditor").job(id).await.expect("there").outcome().await.expect("done");
    assert_eq!(outcome.z64(0).expect("sums"), expected([&second, &numbers(0, 1)], |x| x));
    kept.world.cluster.shutdown().await;
}

/// All nodes say which has it and what to do, go on with the rest, and put it right where it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_key_is_found_and_given_again() {
    let mut kept = kept().await;
    kept.sound(Task::Compare, None).await;
    kept.world.cluster.kill(Party::P1).await;
    let config = NodeConfig::load(&kept.world.cluster.files().node(Party::P1)).expect("a configuration");
    let whose = Whose { cluster: config.cluster.id(), party: Party::P1 };
    let store = Store::open(&config.store, whose).await.expect("the node has ended");
    let records = store.list(Space::Keys, "").await.expect("readable");
    assert_eq!(records.len(), 1);
    store.put(Space::Keys, records[0].clone(), vec![2; 7].into()).await.expect("room");
    // Another of the same owner, which no other node has.
    let owner = String::from_utf8(records[0].clone()).expect("a name").split('/').next().expect("an owner").to_owned();
    store.put(Space::Keys, format!("{owner}/deleted"), vec![2; 7].into()).await.expect("room");
    drop(store);
    let options = kept.world.options.clone();
    kept.world.cluster.restart(Party::P1, &options).await.expect("it starts");

    for task in [Task::Compare, Task::Refresh] {
        for report in kept.upkeep(task, None).await {
            let damaged: Vec<_> =
                report.findings.iter().filter(|f| f.cause.contains("record at P1 is damaged")).collect();
            let [alice, deleted] = damaged[..] else { panic!("{task}: {report:?}") };
            assert!(alice.what.contains("`alice`") && deleted.what.contains("`deleted`"), "{task}: {report:?}");
            assert!(alice.cause.contains("`trefoil store rebuild --node 1`"), "{task}: {report:?}");
            // And that no other node has the second.
            assert_eq!(report.findings.len(), 3, "{task}: {report:?}");
            assert_eq!((report.tables, report.templates), (1, 1), "{task}: {report:?}");
        }
    }
    let rebuilt = kept.upkeep(Task::Rebuild, Some(1)).await;
    let [[], [removed], []] = rebuilt.each_ref().map(|report| report.findings.as_slice()) else {
        panic!("{rebuilt:?}")
    };
    assert!(removed.what.contains("`deleted`") && removed.cause.contains("was removed"), "{removed:?}");
    kept.logged(Party::P1, ["key-removed", r#""name":"deleted""#]).await;
    assert!(rebuilt.iter().all(|report| (report.tables, report.templates, report.keys) == (0, 0, 1)), "{rebuilt:?}");
    kept.sound(Task::Refresh, None).await;
    kept.computes().await;
    kept.world.cluster.shutdown().await;
}

/// Nobody asks for it: the nodes find out by themselves that their shares do not fit, and say so wherever somebody looks.
#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_compare_their_stores_by_themselves() {
    let upkeep = UpkeepSettings { compare: Duration::from_secs(8) };
    let settings = NodeSettings { upkeep, ..NodeSettings::default() };
    let options = LocalOptions { settings, ..LocalOptions::of(env!("CARGO_BIN_EXE_trefoil")) };
    let world = World::of(options).await;
    let kept = Box::pin(Kept::of(world)).await;
    let until = async |what: &str, holds: &dyn Fn(ComparisonStatus) -> bool| {
        let waiting = async {
            loop {
                let all = kept.operator.status().await.map(|status| status.expect("it answers").compared);
                if all.iter().all(|compared| compared.is_some_and(holds)) {
                    return all.map(|compared| compared.expect("it is there"));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(2), waiting).await.unwrap_or_else(|_| panic!("not {what}"))
    };
    until("compared", &|compared| compared.good_unix_ms > 0 && compared.findings == 0).await;
    // What P2 has of it does not fit to what P1 has.
    let (described, values) = (spec_of(100), numbers(100, 1).concat());
    for (party, share) in Party::ALL.into_iter().zip(split(&values).expect("randomness")) {
        let mut components = share.as_bytes().concat();
        components[77] ^= u8::from(party == Party::P2);
        kept.world.put_at(party, 3, &described, &components).await;
    }
    let found = until("found", &|compared| compared.findings > 0).await;
    assert!(found.iter().all(|compared| compared.good_unix_ms < compared.last_unix_ms), "{found:?}");
    for party in Party::ALL {
        // It is written after the node has said what it found.
        kept.logged(party, ["store-compared", "version 3"]).await;
    }
    // An operator goes before.
    kept.world.client("bank-a").delete_table(&name("income"), 3).await.expect("deleted");
    kept.sound(Task::Refresh, None).await;
    until("sound again", &|compared| compared.findings == 0).await;
    kept.world.cluster.shutdown().await;
}
