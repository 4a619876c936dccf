mod disk;

use super::*;
use crate::job::{JobCost, JobSpec, ModeSpec, OutputTerms, ProgramKind};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use trefoil_circuits::program::Shape;
use trefoil_engine::{Lanes, Party, client::OutputShare};

static ALICE: LazyLock<ClientName> = LazyLock::new(|| "alice".parse().expect("a name"));
static BOB: LazyLock<ClientName> = LazyLock::new(|| "bob".parse().expect("a name"));

fn terms() -> Terms {
    terms_for(&[&ALICE])
}

/// One output for each.
fn terms_for(recipients: &[&ClientName]) -> Terms {
    let output = |name: &&ClientName| OutputTerms {
        shape: Shape::bits(1),
        recipients: vec![(*name).clone()],
        keys: BTreeMap::new(),
    };
    let outputs = recipients.iter().map(output).collect();
    Terms { digest: [9; 32], mode: ModeSpec::Malicious, outputs, retain: RetainSpec::Store, deadline: None }
}

fn grounds() -> Grounds {
    Grounds { program: ProgramKind::AesCtr, tables: Vec::new(), rule: "all".to_owned(), repeats: None, spec: None }
}

impl Upload {
    /// Where nothing is written down.
    pub(crate) fn accept_now(self) -> Option<Arc<Job>> {
        self.accept(grounds()).expect("no disk")
    }
}

fn jobs(limits: Limits) -> Arc<Jobs> {
    Jobs::new(limits, Arc::new(()))
}

fn id(n: u8) -> JobId {
    JobId::from([n; 16])
}

#[test]
fn a_node_that_is_about_to_stop_knows_the_jobs_that_it_has() {
    let jobs = jobs(Limits::default());
    let job = new(&jobs, 1, 0).accept_now().expect("it was not deleted");
    jobs.drain();
    match jobs.admit(id(1), &ALICE, terms(), 0) {
        Ok(Admission::Known(known)) => assert!(Arc::ptr_eq(&known, &job)),
        other => panic!("a client that asks again would take it for refused, and delete it: {other:?}"),
    }
    assert_eq!(jobs.admit(id(1), &BOB, terms(), 0).expect_err("another's"), Refusal::Taken);
    assert_eq!(jobs.admit(id(2), &ALICE, terms(), 0).expect_err("a new one"), Refusal::Stopping);
}

fn new(jobs: &Arc<Jobs>, n: u8, bytes: u64) -> Upload {
    match jobs.admit(id(n), &ALICE, terms(), bytes) {
        Ok(Admission::New(upload)) => upload,
        other => panic!("{other:?}"),
    }
}

fn accepted(jobs: &Arc<Jobs>, n: u8, bytes: u64) -> Arc<Job> {
    new(jobs, n, bytes).accept_now().expect("present")
}

fn output(words: usize) -> (Outputs, JobCost) {
    let bytes = vec![0; 8 * words];
    let share = OutputShare::<Lanes>::from_bytes(Party::P0, words, &bytes, &bytes).expect("lengths fit");
    (Outputs::new(vec![Some(share.into())]), JobCost { rounds: 1, bytes_sent: 2, products: 3, seconds: 0.0 })
}

fn failure() -> Failure {
    Failure::new(FailureKind::Link, "lost")
}

#[test]
fn submitting_again_is_idempotent_for_the_owner_alone() {
    let jobs = jobs(Limits::default());
    let upload = new(&jobs, 1, 10);
    assert!(matches!(jobs.admit(id(1), &ALICE, terms(), 10), Err(Refusal::Uploading)));
    let job = upload.accept_now().expect("present");
    assert!(matches!(jobs.admit(id(1), &ALICE, terms(), 10), Ok(Admission::Known(known)) if Arc::ptr_eq(&known, &job)));
    assert!(matches!(jobs.admit(id(1), &ALICE, Terms { digest: [8; 32], ..terms() }, 10), Err(Refusal::Taken)));
    assert!(matches!(jobs.admit(id(1), &BOB, terms(), 10), Err(Refusal::Taken)));
    assert!(jobs.get(id(1), &ALICE).is_some());
    assert!(jobs.get(id(1), &BOB).is_none());
    assert!(!jobs.delete(id(1), &BOB));
    assert!(jobs.delete(id(1), &ALICE));
    assert!(!jobs.delete(id(1), &ALICE));
    assert!(matches!(jobs.admit(id(1), &ALICE, terms(), 10), Err(Refusal::Taken)), "a name is not used twice");
}

/// Of columns of a table, which is all that it takes.
fn of_a_table() -> JobSpec {
    let text = r#"{"program": {"moments": {"columns": 1, "rows": [3]}}, "inputs": [{"table": {"owner": "bank", "name": "loans", "version": 1, "columns": ["income"]}}]}"#;
    serde_json::from_str(text).expect("a specification")
}

#[test]
fn what_was_interrupted_is_run_again_by_its_submitter_and_by_what_is_kept_of_it() {
    let spec = of_a_table();
    assert!(spec.can_run_again());
    let aes =
        r#"{"program": {"aes-ctr": {"key_bits": 128, "counter": "000102030405060708090a0b0c0d0e0f", "blocks": 1}}}"#;
    assert!(!serde_json::from_str::<JobSpec>(aes).expect("a specification").can_run_again(), "a key comes with it");
    let jobs = jobs(Limits::default());
    let accept = |n: u8, spec: Option<JobSpec>| {
        let Ok(Admission::New(upload)) = jobs.admit(id(n), &ALICE, terms_for(&[&ALICE, &BOB]), 1) else { panic!() };
        let grounds = Grounds { spec: spec.map(Box::new), ..grounds() };
        upload.accept(grounds).expect("no disk").expect("present")
    };
    let job = accept(1, Some(spec.clone()));
    assert_eq!(jobs.spec_of(id(1), &ALICE), Err(RepeatFault::Unfinished));
    jobs.finish(&job, Err(failure()));
    assert_eq!(jobs.spec_of(id(1), &ALICE), Ok(spec.clone()));
    assert_eq!(jobs.spec_of(id(1), &BOB), Err(RepeatFault::Unknown(id(1))), "a recipient");
    assert_eq!(jobs.spec_of(id(9), &ALICE), Err(RepeatFault::Unknown(id(9))));
    assert_eq!(jobs.may_repeat(id(1), &ALICE, terms().digest), Ok(()));
    assert_eq!(jobs.may_repeat(id(1), &ALICE, [1; 32]), Err(RepeatFault::Other));
    jobs.finish(&accept(2, Some(spec.clone())), Ok(output(1)));
    assert_eq!(jobs.spec_of(id(2), &ALICE), Err(RepeatFault::Done));
    jobs.finish(&accept(3, Some(spec)), Err(Failure::new(FailureKind::Range, "too large")));
    assert_eq!(jobs.spec_of(id(3), &ALICE), Err(RepeatFault::Failed("too large".to_owned())));
    jobs.finish(&accept(4, None), Err(failure()));
    assert_eq!(jobs.spec_of(id(4), &ALICE), Err(RepeatFault::Gone));
    for n in [2, 3] {
        assert!(jobs.any(id(n)).expect("there").spec().is_none(), "nobody needs it");
    }
    assert!(jobs.delete(id(1), &ALICE));
    assert_eq!(jobs.spec_of(id(1), &ALICE), Err(RepeatFault::Unknown(id(1))));
}

#[test]
fn an_upload_that_breaks_off_leaves_no_trace() {
    let jobs = jobs(Limits::default());
    drop(new(&jobs, 1, 10));
    assert_eq!(jobs.load(), (0, 0));
    assert!(jobs.get(id(1), &ALICE).is_none());
    accepted(&jobs, 1, 10);
}

#[test]
fn what_is_taken_up_is_bounded_and_given_back() {
    let limits = Limits { waiting_jobs: 2, held_bytes: 1000, ..Limits::default() };
    let jobs = jobs(limits);
    let (first, second) = (accepted(&jobs, 1, 600), accepted(&jobs, 2, 100));
    assert!(matches!(jobs.admit(id(3), &ALICE, terms(), 1), Err(Refusal::Busy)));
    jobs.finish(&second, Err(failure()));
    assert_eq!(jobs.load(), (1, 600));
    assert!(matches!(jobs.admit(id(3), &ALICE, terms(), 401), Err(Refusal::Full)));
    assert!(matches!(jobs.admit(id(3), &ALICE, terms(), u64::MAX), Err(Refusal::Full)));
    jobs.finish(&first, Ok(output(10)));
    assert_eq!(jobs.load(), (0, 160));
    let reader = first.outputs().expect("done");
    assert!(jobs.delete(id(1), &ALICE));
    drop(first);
    assert_eq!(jobs.load(), (0, 160), "a response in flight still holds the output");
    drop(reader);
    assert_eq!(jobs.load(), (0, 0));
}

#[test]
fn a_cancelled_job_takes_its_room_until_its_computation_ends() {
    let jobs = jobs(Limits::default());
    let job = accepted(&jobs, 1, 100);
    job.running();
    assert!(jobs.delete(id(1), &ALICE));
    assert_eq!(jobs.load(), (1, 100));
    jobs.finish(&job, Err(failure()));
    assert_eq!(jobs.load(), (0, 0));
    assert!(jobs.get(id(1), &ALICE).is_none());
    assert_eq!(jobs.lock().ended.len(), 0);
}

#[test]
fn ended_jobs_are_forgotten_by_age_and_number() {
    let limits = Limits { finished_jobs: 2, retention: Duration::from_mins(1), ..Limits::default() };
    let now = Arc::new(AtomicU64::new(5_000_000));
    let clock: Clock = Arc::new({
        let now = now.clone();
        move || now.load(SeqCst)
    });
    let jobs = Jobs::with(limits, Records { journal: Arc::new(()), outputs: None, clock });
    for n in 1..=3 {
        let job = accepted(&jobs, n, 100);
        jobs.finish(&job, Ok(output(1)));
    }
    assert!(jobs.get(id(1), &ALICE).is_none());
    assert!(jobs.get(id(2), &ALICE).is_some());
    // It is the client with most of them whose oldest goes.
    let Ok(Admission::New(upload)) = jobs.admit(id(4), &BOB, terms_for(&[&BOB]), 100) else { panic!() };
    jobs.finish(&upload.accept_now().expect("present"), Ok(output(1)));
    let newest: Vec<JobId> = jobs.list(&ALICE).iter().map(|job| job.id()).collect();
    assert_eq!((newest, jobs.get(id(4), &BOB).is_some()), (vec![id(3)], true));
    now.fetch_add(59_999, SeqCst);
    assert!(jobs.get(id(3), &ALICE).is_some());
    now.fetch_add(1, SeqCst);
    assert!(jobs.get(id(3), &ALICE).is_none());
    assert_eq!(jobs.load(), (0, 0));
}

#[test]
fn an_output_stays_until_all_whom_it_concerns_are_done_with_the_job() {
    let jobs = jobs(Limits::default());
    let Ok(Admission::New(upload)) = jobs.admit(id(1), &ALICE, terms_for(&[&BOB]), 1000) else { panic!() };
    let job = upload.accept_now().expect("present");
    assert!(job.is_for(0, &BOB) && !job.is_for(0, &ALICE) && !job.is_for(1, &BOB));
    jobs.finish(&job, Ok(output(10)));
    drop(job);
    assert!(jobs.delete(id(1), &ALICE));
    assert!(jobs.get(id(1), &ALICE).is_none() && !jobs.delete(id(1), &ALICE));
    assert!(matches!(jobs.admit(id(1), &ALICE, terms_for(&[&BOB]), 1000), Err(Refusal::Taken)));
    assert!(jobs.get(id(1), &BOB).is_some());
    assert_eq!(jobs.load(), (0, 160));
    assert!(jobs.delete(id(1), &BOB));
    assert_eq!(jobs.load(), (0, 0));
}

#[test]
fn only_the_submitter_cancels() {
    let jobs = jobs(Limits::default());
    let submit = |n| match jobs.admit(id(n), &ALICE, terms_for(&[&ALICE, &BOB]), 1000) {
        Ok(Admission::New(upload)) => upload.accept_now().expect("present"),
        other => panic!("{other:?}"),
    };
    let job = submit(1);
    assert!(jobs.delete(id(1), &BOB) && jobs.get(id(1), &BOB).is_none());
    assert_eq!(job.state(), JobState::Accepted);
    assert!(jobs.get(id(1), &ALICE).is_some());
    let cancelled = submit(2);
    assert!(jobs.delete(id(2), &ALICE));
    assert!(jobs.get(id(2), &BOB).is_none(), "a cancelled job has nothing for its recipients");
    assert_eq!(trefoil_engine::testing::block_on(cancelled.stopped()).kind, FailureKind::Cancelled);
}

#[test]
fn a_stopping_table_ends_what_runs_and_admits_nothing() {
    let jobs = jobs(Limits::default());
    let job = accepted(&jobs, 1, 1);
    jobs.stop();
    assert!(matches!(jobs.admit(id(2), &ALICE, terms(), 1), Err(Refusal::Stopping)));
    let reason = trefoil_engine::testing::block_on(job.stopped());
    assert_eq!(reason.kind, FailureKind::Stopped);
}

#[tokio::test]
async fn waiting_for_an_end_is_told_of_it() {
    let jobs = jobs(Limits::default());
    let job = accepted(&jobs, 1, 1);
    assert_eq!(job.ended_within(Duration::ZERO).await.state, JobState::Accepted);
    let waiting = tokio::spawn({
        let job = job.clone();
        async move { job.ended_within(Duration::from_hours(1)).await }
    });
    jobs.finish(&job, Err(failure()));
    assert_eq!(waiting.await.expect("no panic").state, JobState::Failed { failure: failure() });
    // Deleting a job that is still arriving ends it for those who wait, too.
    let upload = new(&jobs, 2, 1);
    let job = jobs.get(id(2), &ALICE).expect("present");
    assert!(jobs.delete(id(2), &ALICE));
    assert!(job.ended_within(Duration::from_hours(1)).await.state.is_final());
    assert!(upload.accept_now().is_none());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Admit(u8, u64),
    Drop(u8),
    Accept(u8),
    Finish(u8, bool),
    Delete(u8),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..6_u8;
    prop_oneof![
        (n.clone(), 32..200_u64).prop_map(|(n, bytes)| Step::Admit(n, bytes)),
        n.clone().prop_map(Step::Drop),
        n.clone().prop_map(Step::Accept),
        (n.clone(), any::<bool>()).prop_map(|(n, ok)| Step::Finish(n, ok)),
        n.prop_map(Step::Delete),
        Just(Step::Sweep),
    ]
}

proptest! {
    /// Whatever happens in whatever order: bounds hold, and in the end everything is given back.
    #[test]
    fn the_accounts_balance(steps in proptest::collection::vec(step(), 0..80)) {
        let limits = Limits { waiting_jobs: 3, held_bytes: 500, finished_jobs: 2, ..Limits::default() };
        let jobs = jobs(limits);
        let (mut uploads, mut running) = (HashMap::new(), HashMap::new());
        for step in steps {
            match step {
                Step::Admit(n, bytes) => {
                    if let Ok(Admission::New(upload)) = jobs.admit(id(n), &ALICE, terms(), bytes) {
                        prop_assert!(uploads.insert(n, upload).is_none(), "two uploads of one job");
                        prop_assert!(!running.contains_key(&n), "a name in use was given again");
                    }
                }
                Step::Drop(n) => drop(uploads.remove(&n)),
                Step::Accept(n) => running.extend(uploads.remove(&n).and_then(Upload::accept_now).map(|job| (n, job))),
                Step::Finish(n, ok) => {
                    if let Some(job) = running.remove(&n) {
                        job.running();
                        jobs.finish(&job, if ok { Ok(output(2)) } else { Err(failure()) });
                        prop_assert!(job.state().is_final());
                    }
                }
                Step::Delete(n) => drop(jobs.delete(id(n), &ALICE)),
                Step::Sweep => jobs.sweep(),
            }
            let (live, held) = jobs.load();
            prop_assert!(live <= 3 && held <= 500);
            prop_assert_eq!(live as usize, uploads.len() + running.len());
        }
        drop(uploads);
        for (_, job) in running {
            jobs.finish(&job, Err(failure()));
        }
        for n in 0..6 {
            jobs.delete(id(n), &ALICE);
        }
        prop_assert_eq!(jobs.load(), (0, 0));
    }
}
