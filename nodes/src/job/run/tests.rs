//! Three runners in one process, over the engine's in-memory network.

#[cfg(feature = "otlp")]
mod traced;

use super::*;
use crate::job::{
    Admission, AesCtrSpec, JobId, JobSpec, JobState, KeptTable, Limits, MethodSpec, ModeSpec, MomentsSpec, OutputSpec,
    PooledSpec, ProgramSpec, TrainSpec, keep,
};
use crate::pki::ClientName;
use crate::tables::TableStore;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    num::{NonZeroU32, NonZeroUsize},
    sync::{LazyLock, Mutex, PoisonError},
};
use tokio::sync::Barrier;
use trefoil_circuits::{
    aes::{KeySize, reference},
    program::InputVector,
};
use trefoil_engine::{
    Lanes, PairSecret, Party, SessionBinding, SessionKeys, Z64,
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
    failed: Failed,
}

/// Why sessions have ended as failed, and where.
type Failed = Arc<Mutex<Vec<(Party, Failure)>>>;

struct Meeting {
    failed: Failed,
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
            let (failed, net) = (self.failed.clone(), self.net.seat(self.me));
            let meeting = Meeting { failed, me: self.me, session, keys, net };
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

    fn end(self: Box<Self>, failure: Option<&Failure>) {
        let failure = failure.map(|failure| (self.me, failure.clone()));
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).extend(failure);
    }
}

const STALL: Duration = Duration::from_mins(1);

fn nodes(patience: Duration) -> [InMemory; 3] {
    let net = Memory::new(Conditions::default());
    let (barriers, failed) = (Arc::default(), Failed::default());
    Party::ALL.map(|me| InMemory {
        me,
        net: net.clone(),
        patience,
        barriers: Arc::clone(&barriers),
        failed: failed.clone(),
    })
}

fn runners(limits: &Limits, patience: Duration) -> [Arc<Runner>; 3] {
    nodes(patience).map(|node| runner(node, limits))
}

fn runner(node: InMemory, limits: &Limits) -> Arc<Runner> {
    let turns = Turns::new(node.me, limits.strands(NonZeroUsize::MIN), STALL);
    Runner::new(Jobs::new(limits.clone(), Arc::new(())), Arc::new(node), Arc::new(turns))
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
    start(runner, id, spec, (vec![Input::Upload(input.into())], Vec::new()))
}

fn start(runner: &Arc<Runner>, id: JobId, spec: &JobSpec, ends: (Vec<Input>, Kept)) -> Arc<Job> {
    begin(runner, id, spec, ends).0
}

/// With its end.
fn begin(runner: &Arc<Runner>, id: JobId, spec: &JobSpec, ends: (Vec<Input>, Kept)) -> (Arc<Job>, JoinHandle<()>) {
    let (sizes, terms) = (spec.sizes().expect("small"), spec.terms(&OWNER).expect("good"));
    let admission = runner.jobs.admit(id, &OWNER, terms, sizes.held_bytes());
    let Ok(Admission::New(upload)) = admission else { panic!("{admission:?}") };
    let job = upload.accept_now().expect("present");
    let prepared = Prepared::new(spec, b"", runner.jobs.limits()).expect("a good job");
    let end = runner.start(job.clone(), prepared, ends);
    (job, end)
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

/// Shares of integers for each node.
fn integers(values: &[i64]) -> [Input; 3] {
    let words: Vec<Z64> = values.iter().map(|x| Z64(x.cast_unsigned())).collect();
    split(&words).expect("randomness").map(|share| Input::Upload(InputVector::from(share)))
}

/// A worthless model is what all three have computed: no node is blamed for it, and no session is broken off while frames are under way.
#[tokio::test]
async fn a_result_out_of_range_fails_the_job_and_not_the_session() {
    let limits = Limits::default();
    let nodes = nodes(STALL);
    let failed = nodes[0].failed.clone();
    let large: Vec<i64> = (0..20).map(|k| (if k % 2 == 0 { 120 } else { -120 }) << 20).collect();
    let train = TrainSpec {
        table: PooledSpec::Horizontal { columns: 1, rows: vec![20] },
        method: MethodSpec::Descent { rate: 16 << 20, momentum: 0, epochs: 4, batch: None, stop: None },
        l2: 0,
    };
    let spec = JobSpec::new(ProgramSpec::CreditTrain(train), ModeSpec::SemiHonest);
    let labels = split(&[Lanes(0x5_5555)]).expect("randomness");
    let mut jobs = Vec::new();
    for ((node, features), labels) in nodes.into_iter().zip(integers(&large)).zip(labels) {
        let inputs = vec![features, Input::Upload(labels.into())];
        jobs.push(start(&runner(node, &limits), JobId::from([1; 16]), &spec, (inputs, Vec::new())));
    }
    for job in &jobs {
        let JobState::Failed { failure } = end(job).await else { panic!("{:?}", job.state()) };
        assert_eq!((failure.kind, failure.blamed), (FailureKind::Range, None), "{failure:?}");
    }
    assert!(failed.lock().expect("no panic").is_empty(), "{failed:?}");
}

/// Outputs that stay as tables are held once; a node at which one was deleted meanwhile keeps none, and does not disturb the others.
#[tokio::test]
async fn outputs_become_tables_of_a_node_all_or_none() {
    let limits = Limits::default();
    let nodes = nodes(STALL);
    let failed = nodes[0].failed.clone();
    let kept = |name: &str| {
        let (name, columns) = (name.parse().expect("a name"), vec!["value".parse().expect("a name")]);
        OutputSpec::kept(KeptTable { name, version: 1, columns, permits: Vec::new() })
    };
    let moments = ProgramSpec::Moments(MomentsSpec { columns: 1, rows: vec![3], limit: None });
    let outputs = vec![kept("sums"), kept("squares")];
    let spec = JobSpec { outputs, ..JobSpec::new(moments, ModeSpec::SemiHonest) };
    let shapes: Vec<_> = spec.terms(&OWNER).expect("good").outputs.iter().map(|output| output.shape).collect();
    let id = JobId::from([1; 16]);
    let mut jobs = Vec::new();
    for (node, column) in nodes.into_iter().zip(integers(&[1, 2, 3])) {
        let (me, tables) = (node.me, TableStore::in_memory(limits.clone()));
        let kept = keep(&spec, &OWNER, &shapes, &[], (id, &tables)).expect("room");
        if me == Party::P1 {
            let squares = kept[1].table.key().clone();
            assert!(tables.delete_now(&squares, None));
        }
        jobs.push((me, start(&runner(node, &limits), id, &spec, (vec![column], kept)), tables));
    }
    for (me, job, tables) in &jobs {
        let state = end(job).await;
        if *me == Party::P1 {
            assert!(
                matches!(&state, JobState::Failed { failure } if failure.kind == FailureKind::Cancelled),
                "{state:?}"
            );
            assert_eq!(tables.list(&OWNER).len(), 0);
        } else {
            assert!(matches!(state, JobState::Done { .. }), "{state:?}");
            assert_eq!((tables.list(&OWNER).len(), job.outputs().expect("done").bytes()), (2, 0));
        }
    }
    assert!(failed.lock().expect("no panic").is_empty(), "{failed:?}");
}

/// Whoever hears of it from the third node first says the same as who hears of it from the node itself.
#[test]
fn what_a_node_has_said_is_the_same_from_another() {
    let of = |cause: String| failure(Party::P1, &Error::Link { peer: Party::P2, cause: LinkFault::Ended(cause) });
    for before in ["", "P0 reports of P2: "] {
        let denied = of(format!("{before}{DENIED}rule `x` denies it"));
        assert_eq!((denied.kind, denied.blamed), (FailureKind::Denied, Some(2)), "{}", denied.cause);
        assert!(denied.cause.contains("P2 takes no part") && denied.cause.contains("rule `x`"), "{}", denied.cause);
        for said in [CANCELLED, LEFT] {
            for (said, heard) in
                [(said.to_owned(), format!("{said}, at P2")), (format!("{said}, at P0"), format!("{said}, at P0"))]
            {
                let cancelled = of(format!("{before}{said}"));
                assert_eq!((cancelled.kind, cancelled.blamed, cancelled.cause), (FailureKind::Cancelled, None, heard));
            }
            let made_up = of(format!("{before}{said}; P1 misbehaved"));
            assert_eq!((made_up.kind, made_up.blamed), (FailureKind::Link, Some(2)));
        }
    }
    assert_eq!(of("it has ended".to_owned()).kind, FailureKind::Link);
}
