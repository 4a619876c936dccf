//! Three runners in one process, over the engine's in-memory network.

use super::*;
use crate::job::{Admission, AesCtrSpec, JobId, JobSpec, JobState, Limits, ModeSpec, ProgramSpec};
use crate::pki::ClientName;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    num::{NonZeroU32, NonZeroUsize},
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Barrier;
use trefoil_circuits::aes::{KeySize, reference};
use trefoil_engine::{
    Lanes, PairSecret, Party, SessionBinding, SessionKeys,
    client::{InputShare, split},
    prss::all_keys,
    transport::memory::{Conditions, Memory},
};

/// A session is joined when the three nodes have met at its barrier; the keys are dealt by the test.
struct InMemory {
    me: Party,
    net: Arc<Memory>,
    patience: Duration,
    barriers: Arc<Mutex<HashMap<SessionId, Arc<Barrier>>>>,
}

struct Meeting {
    me: Party,
    session: SessionId,
    keys: Option<SessionKeys>,
    net: Arc<dyn Transport>,
}

impl Sessions for InMemory {
    fn join(&self, session: SessionId, digest: [u8; 32]) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let barrier = {
                let mut barriers = self.barriers.lock().unwrap_or_else(PoisonError::into_inner);
                barriers.entry(session).or_insert_with(|| Arc::new(Barrier::new(3))).clone()
            };
            let missing = |_| Failure::new(FailureKind::Missing, "the others did not come");
            tokio::time::timeout(self.patience, barrier.wait()).await.map_err(missing)?;
            let secrets = [1, 2, 3].map(|b| PairSecret::new([b; 32]));
            let binding = SessionBinding { session, job_digest: digest, nonces: [[7; 32]; 3] };
            let keys = all_keys(&secrets, &binding).into_iter().nth(self.me.index());
            let meeting = Meeting { me: self.me, session, keys, net: self.net.seat(self.me) };
            Ok(Box::new(meeting) as Box<dyn Session>)
        })
    }
}

impl Session for Meeting {
    fn seat(&mut self) -> Result<Seat, Error> {
        Ok(Seat { me: self.me, session: self.session, keys: self.keys.take().expect("asked for once") })
    }

    fn network(&self) -> Arc<dyn Transport> {
        self.net.clone()
    }

    fn end(self: Box<Self>, _: Option<&Failure>) {}
}

const STALL: Duration = Duration::from_mins(1);

fn nodes(patience: Duration) -> [InMemory; 3] {
    let net = Memory::new(Conditions::default());
    let barriers = Arc::default();
    Party::ALL.map(|me| InMemory { me, net: net.clone(), patience, barriers: Arc::clone(&barriers) })
}

fn runners(limits: &Limits, patience: Duration) -> [Arc<Runner>; 3] {
    nodes(patience).map(|node| runner(node, limits))
}

fn runner(node: InMemory, limits: &Limits) -> Arc<Runner> {
    let turns = Turns::new(node.me, limits.strands(NonZeroUsize::MIN), STALL);
    Runner::new(Jobs::new(limits.clone()), Box::new(node), turns)
}

fn places(n: u32) -> Limits {
    Limits { running_strands: NonZeroU32::new(n), ..Limits::default() }
}

static OWNER: LazyLock<ClientName> = LazyLock::new(|| "alice".parse().expect("a name"));

fn spec(blocks: u64) -> JobSpec {
    spec_in(ModeSpec::default(), blocks)
}

fn spec_in(mode: ModeSpec, blocks: u64) -> JobSpec {
    let aes = AesCtrSpec { key_bits: KeySize::Aes128, counter: 9, blocks };
    JobSpec::new(ProgramSpec::AesCtr(aes), mode)
}

fn submit(runner: &Arc<Runner>, id: JobId, spec: &JobSpec, input: InputShare<Lanes>) -> Arc<Job> {
    let (sizes, terms) = (spec.sizes().expect("small"), spec.terms(&OWNER).expect("good"));
    let admission = runner.jobs.admit(id, &OWNER, terms, sizes.held_bytes());
    let Ok(Admission::New(upload)) = admission else { panic!("{admission:?}") };
    let job = upload.accept().expect("present");
    let prepared = Prepared::new(spec, b"", runner.jobs.limits()).expect("a good job");
    drop(runner.start(job.clone(), prepared, (vec![Input::Upload(input.into())], Vec::new())));
    job
}

async fn end(job: &Job) -> JobState {
    job.ended_within(Duration::from_mins(2)).await.state
}

/// Fifty jobs, half of them in each mode, reach the three nodes in three orders, two places to compute: all are done, and right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_jobs_in_three_orders_are_all_done() {
    let limits = places(2);
    let runners = runners(&limits, STALL);
    let (key, blocks) = ([0x24_u8; 16], 70);
    let words = [Lanes(0x2424_2424_2424_2424); 2];
    let mut dealt: Vec<_> = (0..50).map(|_| split(&words).expect("randomness").map(Some)).collect();
    let mut jobs: Vec<[Option<Arc<Job>>; 3]> = (0..50).map(|_| Default::default()).collect();
    for k in 0..50 {
        for p in Party::ALL {
            // Multiplication by 1, 21 and 31 permutes 0..50 in three ways.
            let n = k * [1, 21, 31][p.index()] % 50;
            let id = JobId::from([n as u8; 16]);
            let input = dealt[n][p.index()].take().expect("once");
            jobs[n][p.index()] = Some(submit(&runners[p.index()], id, &spec_in(ModeSpec::ALL[n % 2], blocks), input));
        }
    }
    let round_keys = reference::expand_key(&key).expect("a key");
    for (jobs, mode) in jobs.iter().zip(ModeSpec::ALL.into_iter().cycle()) {
        let mut outputs = Vec::new();
        for job in jobs {
            let job = job.as_ref().expect("submitted");
            let JobState::Done { cost } = end(job).await else { panic!("{:?}", job.state()) };
            assert_eq!(job.status().mode, mode);
            // Only the malicious mode checks.
            assert_eq!(
                (cost.rounds == 80, cost.rounds > 80),
                (mode == ModeSpec::SemiHonest, mode == ModeSpec::Malicious)
            );
            outputs.push(job.outputs().expect("done"));
        }
        // The digest of one node is that of what the next one sends.
        for p in Party::ALL {
            let (own, _) = outputs[p.next().index()].get(0).expect("one output");
            let (_, digest) = outputs[p.index()].get(0).expect("one output");
            assert_eq!(Sha256::digest(own).as_slice(), digest);
        }
        let byte = |k: usize| outputs.iter().fold(0, |sum, o| sum ^ o.get(0).expect("one output").0[k]);
        let last: Vec<u8> = (138 * 8..140 * 8).map(byte).collect();
        assert_eq!(last, reference::encrypt(&round_keys, (9_u128 + 69).to_be_bytes()));
    }
    assert!(runners.iter().all(|r| r.jobs.load().0 == 0));
}

#[tokio::test]
async fn a_job_that_only_two_nodes_have_fails_and_frees_its_place() {
    let limits = places(1);
    let runners = runners(&limits, Duration::from_millis(50));
    let shares = split(&[Lanes(0); 2]).expect("randomness");
    let mut jobs = Vec::new();
    for (runner, input) in runners.iter().zip(shares).skip(1) {
        jobs.push(submit(runner, JobId::from([1; 16]), &spec(1), input));
    }
    for job in &jobs {
        assert!(matches!(end(job).await, JobState::Failed { failure } if failure.kind == FailureKind::Missing));
    }
    assert!(runners.iter().all(|r| r.jobs.load() == (0, 0)));
}

#[tokio::test]
async fn cancelling_ends_a_waiting_job() {
    let runners = runners(&Limits::default(), STALL);
    let [input, ..] = split(&[Lanes(0); 2]).expect("randomness");
    let id = JobId::from([1; 16]);
    let job = submit(&runners[0], id, &spec(1), input);
    assert!(runners[0].jobs.delete(id, &OWNER));
    assert!(matches!(end(&job).await, JobState::Failed { failure } if failure.kind == FailureKind::Cancelled));
    drop(job);
    assert!(runners[0].jobs.get(id, &OWNER).is_none());
}

#[tokio::test]
async fn a_job_has_a_deadline() {
    let limits = Limits { job_deadline: Duration::from_millis(50), ..Limits::default() };
    let [coordinator, one, two] = nodes(STALL);
    let runner = runner(coordinator, &limits);
    let [input, ..] = split(&[Lanes(0); 2]).expect("randomness");
    let id = JobId::from([1; 16]);
    let job = submit(&runner, id, &spec(1), input);
    // The followers join and then say nothing.
    let (a, b) = tokio::join!(one.join(id.session(), [0; 32]), two.join(id.session(), [0; 32]));
    let _silent = (a.expect("met"), b.expect("met"));
    assert!(matches!(end(&job).await, JobState::Failed { failure } if failure.kind == FailureKind::Deadline));
}
