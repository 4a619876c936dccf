//! What outlives a node that is killed: at every step, and with a disk that fails at every step.

use super::*;
use crate::{
    audit::{AuditLog, AuditWhose, Known, verify},
    config::ClusterId,
    job::Asked,
    store::{
        Space, Store, StoreError,
        tests::{When, reopen, temporary},
    },
};
use tempfile::TempDir;

/// Words whose bytes take several parts and transactions.
const LARGE: usize = 9 * (1 << 17) + 5;
const SMALL: usize = 3;

/// A node, as far as its disk has it.
struct Disk {
    store: Store,
    dir: TempDir,
    log: TempDir,
}

impl Disk {
    async fn new() -> Self {
        let (store, dir) = temporary(Party::P0).await;
        Self { store, dir, log: tempfile::tempdir().expect("a directory") }
    }

    /// A process of the node that begins, so much later than now.
    async fn start(&self, later: Duration) -> (Arc<Jobs>, Arc<AuditLog>) {
        let whose = AuditWhose { cluster: ClusterId::new([7; 16]), party: Party::P0 };
        let found = AuditLog::open(self.log.path(), whose, Known::default()).expect("a good log");
        let (journal, (outputs, done)) =
            (Arc::new(found.log), OutputStore::open(self.store.clone()).await.expect("readable"));
        let later = u64::try_from(later.as_millis()).expect("not long");
        let clock: Clock = Arc::new(move || now_unix_ms() + later);
        let records = Records { journal: journal.clone(), outputs: Some(outputs), clock };
        let limits =
            Limits { all_output_bytes: 16 * LARGE as u64, client_output_bytes: 12 * LARGE as u64, ..Limits::default() };
        let jobs = Jobs::with(limits, records);
        jobs.recover(found.before, done).expect("room");
        jobs.erase().await.expect("room");
        (jobs, journal)
    }

    /// The store as another process finds it.
    async fn reopened(self) -> Self {
        let Self { store, dir, log } = self;
        drop(store);
        let opened = async {
            loop {
                match reopen(&dir).await {
                    // A task that has written for others may still be ending.
                    Err(StoreError::Busy { .. }) => tokio::task::yield_now().await,
                    other => return other.expect("the same store"),
                }
            }
        };
        let store = tokio::time::timeout(Duration::from_mins(1), opened).await.expect("all tasks end");
        Self { store, dir, log }
    }

    /// Records and parts that there are.
    async fn entries(&self) -> [usize; 2] {
        let count = async |space| self.store.list(space, "").await.expect("readable").len();
        [count(Space::Outputs).await, count(Space::OutputParts).await]
    }
}

/// A job of alice with one output of so many words, for her and for bob.
fn terms_of(words: usize) -> Terms {
    let output = OutputTerms {
        shape: Shape::bits(64 * words),
        recipients: vec![ALICE.clone(), BOB.clone()],
        keys: BTreeMap::new(),
    };
    Terms { outputs: Arc::new([output]), ..terms() }
}

fn submit(jobs: &Arc<Jobs>, n: u8, words: usize) -> Upload {
    match jobs.admit(id(n), &ALICE, terms_of(words), 32 * words as u64) {
        Ok(Admission::New(upload)) => upload,
        other => panic!("{other:?}"),
    }
}

fn component(words: usize) -> Vec<u8> {
    (0..8 * words).map(|k| (k / 5) as u8).collect()
}

fn computed(words: usize) -> (Outputs, JobCost) {
    let own = component(words);
    let next = vec![3; own.len()];
    let share = OutputShare::<Lanes>::from_bytes(Party::P0, words, &own, &next).expect("lengths fit");
    (Outputs::new(vec![Some(share.into())]), COST)
}

const COST: JobCost = JobCost { rounds: 1, bytes_sent: 2, products: 3, seconds: 0.5 };

async fn run(jobs: &Arc<Jobs>, n: u8, words: usize) -> Arc<Job> {
    let job = submit(jobs, n, words).accept_now().expect("present");
    job.running();
    let end = jobs.keep(&job, Ok(computed(words))).await;
    jobs.conclude(&job, end);
    job
}

/// Whether the output of a job is handed out, whole.
async fn is_there(jobs: &Jobs, n: u8, words: usize) -> bool {
    let Some(job) = jobs.get(id(n), &ALICE) else { return false };
    let outputs = jobs.outputs(&job, 0, None).await.expect("readable");
    outputs.is_some_and(|outputs| outputs.get(0).expect("one").0 == component(words))
}

fn cause(job: &Job) -> String {
    match job.state() {
        JobState::Failed { failure } => failure.cause,
        other => panic!("{other:?}"),
    }
}

fn deletion(n: u8, client: &ClientName) -> Asked {
    let (client, method) = (crate::pki::Role::Client(client.clone()).to_string(), "DELETE".to_owned());
    Asked { client, method, path: format!("/v1/jobs/{}", id(n)), status: 204, sha256: None, policy: None }
}

/// The disk fails at each write in turn, before or after it: a job that was said to be done is done in the next process, with its output, and of one that failed nothing is left.
#[tokio::test]
async fn what_was_said_to_be_done_stays_done_whatever_write_fails() {
    let mut seen = [0; 2];
    for (words, when) in [SMALL, LARGE].into_iter().flat_map(|words| [(words, When::Before), (words, When::After)]) {
        for commits in 0.. {
            let disk = Disk::new().await;
            let (jobs, log) = disk.start(Duration::ZERO).await;
            disk.store.fail_after(commits, when);
            let job = run(&jobs, 1, words).await;
            let done = matches!(job.state(), JobState::Done { .. });
            if !done {
                assert!(cause(&job).contains("could not be written to the node's store"), "{}", cause(&job));
                jobs.erase().await.expect_err("the disk still fails");
            }
            disk.store.heal();
            drop((jobs, log, job));
            let disk = disk.reopened().await;
            let (jobs, _log) = disk.start(Duration::ZERO).await;
            let job = jobs.get(id(1), &ALICE).expect("known");
            seen[usize::from(done)] += 1;
            if done {
                assert_eq!(job.state(), JobState::Done { cost: COST });
                assert!(is_there(&jobs, 1, words).await, "{words} {when:?} {commits}");
                assert_eq!(jobs.stored(), 8 * words as u64);
                break;
            }
            assert!(cause(&job).contains("could not be written to the node's store"), "{}", cause(&job));
            assert_eq!((disk.entries().await, jobs.stored()), ([0, 0], 0), "{words} {when:?} {commits}");
        }
    }
    assert!(seen[0] >= 7 && seen[1] == 4, "{seen:?}");
}

/// The process is killed after each step in turn.
#[tokio::test]
async fn a_killed_node_knows_how_far_it_was() {
    // With the job accepted.
    let disk = Disk::new().await;
    let (jobs, log) = disk.start(Duration::ZERO).await;
    let job = submit(&jobs, 1, SMALL).accept_now().expect("present");
    job.running();
    // With parts of an output of another.
    let torn = submit(&jobs, 2, LARGE).accept_now().expect("present");
    disk.store.fail_after(1, When::Before);
    jobs.keep(&torn, Ok(computed(LARGE))).await.expect_err("the disk fails");
    disk.store.heal();
    drop((jobs, log, job, torn));
    let disk = disk.reopened().await;
    let (jobs, log) = disk.start(Duration::ZERO).await;
    for n in [1, 2] {
        let job = jobs.get(id(n), &ALICE).expect("known");
        assert!(cause(&job).contains("ended while the job was under way"), "{}", cause(&job));
    }
    assert_eq!(disk.entries().await, [0, 0]);

    // With the output on the disk, and the end not in the log.
    let job = submit(&jobs, 3, LARGE).accept_now().expect("present");
    jobs.keep(&job, Ok(computed(LARGE))).await.expect("room");
    drop((jobs, log, job));
    let disk = disk.reopened().await;
    for _ in 0..2 {
        let (jobs, _log) = disk.start(Duration::ZERO).await;
        assert!(is_there(&jobs, 3, LARGE).await);
    }
    // With the job deleted and its output not yet.
    let (jobs, log) = disk.start(Duration::ZERO).await;
    for client in [&*ALICE, &*BOB] {
        assert!(jobs.delete(id(3), client));
        log.asked(&deletion(3, client)).expect("room");
    }
    assert_eq!(disk.entries().await, [1, 20]);
    drop((jobs, log));
    let disk = disk.reopened().await;
    let (jobs, _log) = disk.start(Duration::ZERO).await;
    assert_eq!(disk.entries().await, [0, 0]);
    assert!(matches!(jobs.admit(id(3), &ALICE, terms_of(LARGE), 1), Err(Refusal::Taken)), "its name was used");
}

/// The machine loses its power, and the log what was written in the last second: what is in the store is done, and is written down again.
#[tokio::test]
async fn the_store_knows_what_the_log_has_lost() {
    let disk = Disk::new().await;
    let (jobs, log) = disk.start(Duration::ZERO).await;
    run(&jobs, 1, SMALL).await;
    drop((jobs, log));
    let disk = Disk { log: tempfile::tempdir().expect("a directory"), ..disk.reopened().await };
    let (jobs, log) = disk.start(Duration::ZERO).await;
    assert!(is_there(&jobs, 1, SMALL).await);
    drop((jobs, log));
    assert_eq!(verify(disk.log.path()).expect("a good log").entries, 3);
    // The other way round: the log says done, and the store is another one.
    let Disk { log, .. } = disk;
    let disk = Disk { log, ..Disk::new().await };
    let (jobs, _log) = disk.start(Duration::ZERO).await;
    let job = jobs.get(id(1), &ALICE).expect("known");
    assert!(cause(&job).contains("its outputs are not at this node any more"), "{}", cause(&job));
}

/// The log takes no more: nothing is accepted, and nothing released.
#[tokio::test]
async fn what_cannot_be_written_down_is_not_released() {
    let disk = Disk::new().await;
    let (jobs, log) = disk.start(Duration::ZERO).await;
    log.fail_at(Some(10));
    submit(&jobs, 1, SMALL).accept(grounds()).expect_err("the log is full");
    assert!(jobs.get(id(1), &ALICE).is_none() && jobs.load() == (0, 0) && jobs.stored() == 0);
    log.fail_at(None);
    let job = submit(&jobs, 1, SMALL).accept_now().expect("present");
    let end = jobs.keep(&job, Ok(computed(SMALL))).await;
    log.fail_at(Some(10));
    jobs.conclude(&job, end);
    assert!(cause(&job).contains("could not be written into the node's audit log"), "{}", cause(&job));
    jobs.erase().await.expect("room");
    assert_eq!((disk.entries().await, jobs.stored()), ([0, 0], 0));
}

#[tokio::test]
async fn a_client_that_lost_its_answer_asks_again_after_a_restart() {
    let disk = Disk::new().await;
    let (jobs, log) = disk.start(Duration::ZERO).await;
    run(&jobs, 1, SMALL).await;
    let failed = submit(&jobs, 2, SMALL).accept_now().expect("present");
    jobs.conclude(&failed, Err(failure()));
    let deleted = run(&jobs, 3, SMALL).await;
    assert!(jobs.delete(id(3), &ALICE));
    log.asked(&deletion(3, &ALICE)).expect("room");
    drop((jobs, log, failed, deleted));
    let disk = disk.reopened().await;
    let (jobs, _log) = disk.start(Duration::ZERO).await;
    let again = |n: u8, owner: &ClientName, terms: Terms| jobs.admit(id(n), owner, terms, 100);
    let known = |n: u8| match again(n, &ALICE, terms_of(SMALL)) {
        Ok(Admission::Known(job)) => job.state(),
        other => panic!("{other:?}"),
    };
    assert_eq!((known(1), known(2)), (JobState::Done { cost: COST }, JobState::Failed { failure: failure() }));
    let other = Terms { digest: [8; 32], ..terms_of(SMALL) };
    assert!(matches!(again(1, &ALICE, other), Err(Refusal::Taken)), "another job");
    assert!(matches!(again(1, &BOB, terms_of(SMALL)), Err(Refusal::Taken)), "another client");
    assert!(matches!(again(3, &ALICE, terms_of(SMALL)), Err(Refusal::Taken)), "alice is done with it");
    assert!(jobs.get(id(3), &ALICE).is_none() && jobs.get(id(3), &BOB).is_some(), "bob is not");
    let listed: Vec<_> = jobs.list(&BOB).iter().map(|job| job.entry().status.id).collect();
    assert_eq!(listed.len(), 3, "{listed:?}");
    assert!(jobs.delete(id(3), &BOB) && jobs.delete(id(1), &ALICE) && jobs.delete(id(1), &BOB));
    jobs.erase().await.expect("room");
    assert_eq!((disk.entries().await, jobs.stored()), ([0, 0], 0));
}

#[tokio::test]
async fn outputs_are_erased_when_their_time_is_over_and_bounded_until_then() {
    let disk = Disk::new().await;
    let (jobs, log) = disk.start(Duration::ZERO).await;
    run(&jobs, 1, LARGE).await;
    // In memory it is held while it is read.
    assert_eq!(jobs.load(), (0, 0));
    let job = jobs.get(id(1), &ALICE).expect("there");
    let reader = jobs.outputs(&job, 0, None).await.expect("readable").expect("there");
    let other = jobs.outputs(&job, 0, None).await.expect("readable").expect("there");
    assert!(Arc::ptr_eq(&reader, &other));
    assert_eq!(jobs.load(), (0, 8 * LARGE as u64));
    drop((reader, other));
    assert_eq!(jobs.load(), (0, 0));
    // Half as much again is too much for alice; two more of them for all.
    let admit = |n: u8, owner: &ClientName| jobs.admit(id(n), owner, terms_of(LARGE), 1).map(drop);
    assert_eq!(admit(2, &ALICE), Err(Refusal::Stored { key: "client_output_bytes" }));
    let Ok(Admission::New(second)) = jobs.admit(id(3), &BOB, terms_of(LARGE), 1) else { panic!() };
    let carol: ClientName = "carol".parse().expect("a name");
    assert_eq!(admit(4, &carol), Err(Refusal::Stored { key: "all_output_bytes" }));
    let memory = Terms { retain: RetainSpec::Memory, ..terms_of(LARGE) };
    assert!(matches!(jobs.admit(id(5), &carol, memory, 1), Ok(Admission::New(_))), "it takes up no disk");
    drop(second);
    assert_eq!(admit(4, &carol), Ok(()));
    drop((jobs, log, job));

    let disk = disk.reopened().await;
    let (jobs, log) = disk.start(Limits::default().retention.mul_f64(0.9)).await;
    assert!(is_there(&jobs, 1, LARGE).await);
    drop((jobs, log));
    let (jobs, _log) = disk.start(Limits::default().retention).await;
    assert!(jobs.get(id(1), &ALICE).is_none());
    jobs.erase().await.expect("room");
    assert_eq!((disk.entries().await, jobs.stored()), ([0, 0], 0));
}

/// Jobs that end together share a write, and each is told of it.
#[tokio::test]
async fn jobs_that_end_together_are_all_written() {
    let disk = Disk::new().await;
    let (jobs, log) = disk.start(Duration::ZERO).await;
    let ends = (1..=40).map(|n| {
        let jobs = jobs.clone();
        tokio::spawn(async move { run(&jobs, n, SMALL).await.state() })
    });
    for end in ends.collect::<Vec<_>>() {
        assert_eq!(end.await.expect("no panic"), JobState::Done { cost: COST });
    }
    drop((jobs, log));
    let disk = disk.reopened().await;
    let (jobs, _log) = disk.start(Duration::ZERO).await;
    for n in 1..=40 {
        assert!(is_there(&jobs, n, SMALL).await, "{n}");
    }
}
