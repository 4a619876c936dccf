//! The stores of three real node processes: compared, made anew, lost and rebuilt.

use super::*;
use trefoil_nodes::{
    config::STORE,
    local::{LocalUser, Seen},
    upkeep::{Task, Unwitnessed, UpkeepReport, UpkeepSpec},
};

struct Kept {
    world: World,
    operator: Client,
    values: [Vec<Z64>; 3],
    alice: LocalUser,
}

/// A table of bank-a of 20,000 rows, which takes several parts on the disk, and a user of bank-b with a key.
async fn kept() -> Kept {
    let world = World::start(Limits::default()).await;
    let path = world.cluster.files().add_client(&name("operator"), Lifetime::days(1)).expect("a certificate");
    let identity = Identity::named(&path).expect("an identity");
    let operator = Client::connect(&world.file, &identity).await.expect("a client");
    let values = numbers(60_000, 1);
    world.client("bank-a").put_table(&table("income", 1, &values)).await.expect("stored");
    let alice = LocalUser::enrol(world.client("bank-b"), "alice", 7, ModeSpec::Malicious).await.expect("enrolled");
    Kept { world, operator, values, alice }
}

fn session(node: Option<u8>) -> UpkeepSpec {
    let session = JobId::random().expect("randomness");
    UpkeepSpec { session, node, unwitnessed: Unwitnessed::Refuse }
}

impl Kept {
    async fn upkeep(&self, task: Task, node: Option<u8>) -> [UpkeepReport; 3] {
        self.operator.upkeep(task, &session(node)).await.expect("done")
    }

    /// The same, with nothing to be said of it.
    async fn sound(&self, task: Task, node: Option<u8>) -> [UpkeepReport; 3] {
        let reports = self.upkeep(task, node).await;
        assert!(reports.iter().all(|report| report.findings.is_empty()), "{task}: {reports:?}");
        reports
    }

    /// The moments are those of the plain table, and the user logs in where somebody else does not.
    async fn computes(&mut self) {
        let job = submit(self.world.client("bank-c"), &moments(&[("bank-a", 1)], &[60_000])).await.expect("accepted");
        let id = job.id();
        job.wait().await.expect("done");
        let outcome = self.world.client("auditor").job(id).await.expect("there").outcome().await.expect("done");
        assert_eq!(outcome.z64(0).expect("sums"), expected([&self.values, &numbers(0, 1)], |x| x));
        let bank = self.world.client("bank-b").clone();
        self.alice.log_in(&bank, Seen::Own).await.expect("her eye");
        self.alice.log_in(&bank, Seen::Another).await.expect_err("another eye");
        self.alice.log_in(&bank, Seen::Own).await.expect("her eye again");
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
    kept.sound(Task::Refresh, None).await;
    kept.world.kill_all().await;
    assert_eq!(kept.epochs().await, [2; 3]);
    kept.computes().await;

    // Shares of before are of no use.
    kept.world.cluster.kill(Party::P1).await;
    std::fs::copy(&old, &store).expect("restored");
    kept.world.cluster.restart(Party::P1, &options).await.expect("it starts");
    let job = submit(kept.world.client("bank-c"), &moments(&[("bank-a", 1)], &[60_000])).await.expect("accepted");
    for failure in kept.world.failures(&job).await {
        assert!(failure.cause.contains("of different epochs"), "{}", failure.cause);
        assert_eq!(failure.kind, FailureKind::Mismatch);
    }
    let reports = kept.upkeep(Task::Compare, None).await;
    assert!(reports.iter().all(|report| report.tables == 0 && !report.findings.is_empty()), "{reports:?}");

    // The disk is gone.
    kept.world.cluster.kill(Party::P1).await;
    std::fs::remove_file(&store).expect("there");
    kept.world.cluster.restart(Party::P1, &options).await.expect("it starts");
    let rebuilt = kept.sound(Task::Rebuild, Some(1)).await;
    assert!(rebuilt.iter().all(|report| (report.tables, report.templates, report.keys) == (1, 1, 1)), "{rebuilt:?}");
    kept.computes().await;
    kept.sound(Task::Refresh, None).await;
    assert_eq!(kept.epochs().await, [3; 3]);
    kept.computes().await;
    // A second time there is nothing to do.
    let again = kept.sound(Task::Rebuild, Some(1)).await;
    assert!(again.iter().all(|report| (report.tables, report.templates, report.keys) == (0, 0, 0)), "{again:?}");
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
