use super::*;
use crate::job::{JobCost, ModeSpec};
use proptest::prelude::*;
use std::time::Duration;
use trefoil_engine::{Lanes, Party, client::OutputShare};

const ALICE: Owner = [1; 32];
const BOB: Owner = [2; 32];
const TERMS: Terms = Terms { digest: [9; 32], mode: ModeSpec::Malicious };

fn table(limits: Limits) -> Arc<Table> {
    Table::new(limits)
}

fn id(n: u8) -> JobId {
    JobId::from([n; 16])
}

fn new(table: &Arc<Table>, n: u8, bytes: u64) -> Upload {
    match table.admit(id(n), ALICE, TERMS, bytes) {
        Ok(Admission::New(upload)) => upload,
        other => panic!("{other:?}"),
    }
}

fn accepted(table: &Arc<Table>, n: u8, bytes: u64) -> Arc<Job> {
    new(table, n, bytes).accept().expect("present")
}

fn output(words: usize) -> (Output, JobCost) {
    let bytes = vec![0; 8 * words];
    let share = OutputShare::<Lanes>::from_bytes(Party::P0, words, &bytes, &bytes).expect("lengths fit");
    (Output::new(share), JobCost { rounds: 1, bytes_sent: 2, products: 3, seconds: 0.0 })
}

fn failure() -> Failure {
    Failure::new(FailureKind::Link, "lost")
}

#[test]
fn submitting_again_is_idempotent_for_the_owner_alone() {
    let table = table(Limits::default());
    let upload = new(&table, 1, 10);
    assert!(matches!(table.admit(id(1), ALICE, TERMS, 10), Err(Refusal::Uploading)));
    let job = upload.accept().expect("present");
    assert!(matches!(table.admit(id(1), ALICE, TERMS, 10), Ok(Admission::Known(known)) if Arc::ptr_eq(&known, &job)));
    assert!(matches!(table.admit(id(1), ALICE, Terms { digest: [8; 32], ..TERMS }, 10), Err(Refusal::Taken)));
    assert!(matches!(table.admit(id(1), BOB, TERMS, 10), Err(Refusal::Taken)));
    assert!(table.get(id(1), &ALICE).is_some());
    assert!(table.get(id(1), &BOB).is_none());
    assert!(!table.delete(id(1), &BOB));
    assert!(table.delete(id(1), &ALICE));
    assert!(!table.delete(id(1), &ALICE));
    assert!(matches!(table.admit(id(1), ALICE, TERMS, 10), Err(Refusal::Taken)), "a name is not used twice");
}

#[test]
fn an_upload_that_breaks_off_leaves_no_trace() {
    let table = table(Limits::default());
    drop(new(&table, 1, 10));
    assert_eq!(table.load(), (0, 0));
    assert!(table.get(id(1), &ALICE).is_none());
    accepted(&table, 1, 10);
}

#[test]
fn what_is_taken_up_is_bounded_and_given_back() {
    let limits = Limits { waiting_jobs: 2, held_bytes: 1000, ..Limits::default() };
    let table = table(limits);
    let (first, second) = (accepted(&table, 1, 600), accepted(&table, 2, 100));
    assert!(matches!(table.admit(id(3), ALICE, TERMS, 1), Err(Refusal::Busy)));
    table.finish(&second, Err(failure()));
    assert_eq!(table.load(), (1, 600));
    assert!(matches!(table.admit(id(3), ALICE, TERMS, 401), Err(Refusal::Full)));
    assert!(matches!(table.admit(id(3), ALICE, TERMS, u64::MAX), Err(Refusal::Full)));
    table.finish(&first, Ok(output(10)));
    assert_eq!(table.load(), (0, 160));
    let reader = first.output().expect("done");
    assert!(table.delete(id(1), &ALICE));
    drop(first);
    assert_eq!(table.load(), (0, 160), "a response in flight still holds the output");
    drop(reader);
    assert_eq!(table.load(), (0, 0));
}

#[test]
fn a_cancelled_job_takes_its_room_until_its_computation_ends() {
    let table = table(Limits::default());
    let job = accepted(&table, 1, 100);
    job.running();
    assert!(table.delete(id(1), &ALICE));
    assert_eq!(table.load(), (1, 100));
    table.finish(&job, Err(failure()));
    assert_eq!(table.load(), (0, 0));
    assert!(table.get(id(1), &ALICE).is_none());
    assert_eq!(table.lock().ended.len(), 0);
}

#[test]
fn ended_jobs_are_forgotten_by_age_and_number() {
    let limits = Limits { finished_jobs: 2, retention: Duration::from_mins(1), ..Limits::default() };
    let table = table(limits);
    for n in 1..=3 {
        let job = accepted(&table, n, 100);
        table.finish(&job, Ok(output(1)));
    }
    table.sweep(Instant::now());
    assert!(table.get(id(1), &ALICE).is_none());
    assert!(table.get(id(2), &ALICE).is_some());
    table.sweep(Instant::now() + Duration::from_secs(61));
    assert!(table.get(id(3), &ALICE).is_none());
    assert_eq!(table.load(), (0, 0));
}

#[test]
fn a_stopping_table_ends_what_runs_and_admits_nothing() {
    let table = table(Limits::default());
    let job = accepted(&table, 1, 1);
    table.stop();
    assert!(matches!(table.admit(id(2), ALICE, TERMS, 1), Err(Refusal::Stopping)));
    let reason = trefoil_engine::testing::block_on(job.stopped());
    assert_eq!(reason.kind, FailureKind::Stopped);
}

#[tokio::test]
async fn waiting_for_an_end_is_told_of_it() {
    let table = table(Limits::default());
    let job = accepted(&table, 1, 1);
    assert_eq!(job.ended_within(Duration::ZERO).await.state, JobState::Accepted);
    let waiting = tokio::spawn({
        let job = job.clone();
        async move { job.ended_within(Duration::from_hours(1)).await }
    });
    table.finish(&job, Err(failure()));
    assert_eq!(waiting.await.expect("no panic").state, JobState::Failed { failure: failure() });
    // Deleting a job that is still arriving ends it for those who wait, too.
    let upload = new(&table, 2, 1);
    let job = table.get(id(2), &ALICE).expect("present");
    assert!(table.delete(id(2), &ALICE));
    assert!(job.ended_within(Duration::from_hours(1)).await.state.is_final());
    assert!(upload.accept().is_none());
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
        let table = table(limits);
        let (mut uploads, mut running) = (HashMap::new(), HashMap::new());
        for step in steps {
            match step {
                Step::Admit(n, bytes) => {
                    if let Ok(Admission::New(upload)) = table.admit(id(n), ALICE, TERMS, bytes) {
                        prop_assert!(uploads.insert(n, upload).is_none(), "two uploads of one job");
                        prop_assert!(!running.contains_key(&n), "a name in use was given again");
                    }
                }
                Step::Drop(n) => drop(uploads.remove(&n)),
                Step::Accept(n) => running.extend(uploads.remove(&n).and_then(Upload::accept).map(|job| (n, job))),
                Step::Finish(n, ok) => {
                    if let Some(job) = running.remove(&n) {
                        job.running();
                        table.finish(&job, if ok { Ok(output(2)) } else { Err(failure()) });
                        prop_assert!(job.state().is_final());
                    }
                }
                Step::Delete(n) => drop(table.delete(id(n), &ALICE)),
                Step::Sweep => table.sweep(Instant::now()),
            }
            let (live, held) = table.load();
            prop_assert!(live <= 3 && held <= 500);
            prop_assert_eq!(live as usize, uploads.len() + running.len());
        }
        drop(uploads);
        for (_, job) in running {
            table.finish(&job, Err(failure()));
        }
        for n in 0..6 {
            table.delete(id(n), &ALICE);
        }
        prop_assert_eq!(table.load(), (0, 0));
    }
}
