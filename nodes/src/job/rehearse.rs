//! What a job will cost, found by running it on made-up numbers.
//!
//! Rounds and bytes follow from the public sizes of a job and from nothing else: were it otherwise, they would tell of secrets. So the program itself, run by three parties in one process, says
//! exactly what it will cost over a network, checks of the malicious mode included; no formula has to be kept in step with it.

use super::{
    JobCost, JobSpec, Limits, Port, PrepareFault, Prepared, ProgramSpec, Role, RunFault, Seat, Sizes, SpecFault,
};
use crate::executor::Tasks;
use std::{sync::Arc, time::Instant};
use trefoil_circuits::program::{InputVector, RingKind, Shape, join_all};
use trefoil_engine::{
    CHECK_EVERY, Error, Lanes, PairSecret, Party, SessionBinding, Z64, client,
    prss::all_keys,
    transport::{
        BoxFuture, SessionId,
        memory::{Conditions, Memory},
    },
};

/// Which inputs are checked on shares to be within the limits of the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Checks {
    /// All of them, as by the first job over their tables.
    All,
    /// None: an earlier job has checked the tables, or the inputs come with the job and only their owner learns of it.
    Known,
}

/// Why a job could not be rehearsed.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalFault {
    /// The specification is none that nodes would take, or has an attachment. The client has to act.
    #[error(transparent)]
    Prepare(#[from] PrepareFault),
    /// It ended well on made-up customers, and released nothing.
    #[error("with made-up customers: {0}; plan for more rows")]
    Refused(String),
    /// The protocol failed in this process.
    #[error(transparent)]
    Protocol(#[from] Error),
}

impl From<SpecFault> for RehearsalFault {
    fn from(fault: SpecFault) -> Self {
        Self::Prepare(fault.into())
    }
}

/// The public sizes of a program whose inputs are tables at the nodes, and the bytes that a node sets aside for it beside the tables.
///
/// # Errors
/// As [`ProgramSpec::shapes`].
pub fn set_aside(program: &ProgramSpec) -> Result<(Sizes, u64), SpecFault> {
    let [inputs, outputs] = program.shapes()?;
    let sizes = Sizes::new(program, [inputs, Vec::new(), outputs])?;
    let bytes = sizes.held_bytes().saturating_add(program.work_bytes());
    Ok((sizes, bytes))
}

/// The bytes that [`rehearse`] takes, about.
///
/// # Errors
/// As [`ProgramSpec::shapes`].
pub fn rehearsal_bytes(program: &ProgramSpec) -> Result<u64, SpecFault> {
    // What is recorded until it is checked, and what the check makes of it.
    let record = 3 * 2 * CHECK_EVERY as u64;
    Ok(set_aside(program)?.1.saturating_add(record).saturating_mul(3))
}

/// Runs a job as all three nodes, in this process and on made-up inputs. Gives what it costs each node: rounds and bytes are exactly those of such a job at real nodes, the seconds those of this process.
///
/// A training that may stop early ends when the made-up data make it.
///
/// # Errors
/// [`RehearsalFault`]. Cancelled, it ends.
pub async fn rehearse(spec: &JobSpec, checks: Checks) -> Result<[JobCost; 3], RehearsalFault> {
    let limits = Limits { work_bytes: u64::MAX, ..Limits::default() };
    let prepared = Arc::new(Prepared::new(spec, &[], &limits)?);
    let mut dealt: [Vec<InputVector>; 3] = Default::default();
    let [shapes, _] = spec.program.shapes()?;
    for (k, (port, shape)) in spec.program.ports().into_iter().zip(shapes).enumerate() {
        dealt.iter_mut().zip(made_up(k, port, shape)?).for_each(|(inputs, input)| inputs.push(input));
    }
    let limits = prepared.limits();
    let limit = |k: usize| limits.get(k).copied().flatten().filter(|_| checks == Checks::All);
    let session = SessionId([0; 16]);
    // Nothing here is a secret.
    let secrets = [1, 2, 3].map(|byte| PairSecret::new([byte; 32]));
    let keys = all_keys(&secrets, &SessionBinding { session, job_digest: [0; 32], nonces: [[0; 32]; 3] });
    let net = Memory::new(Conditions::default());
    let start = Instant::now();
    let mut parties: Vec<BoxFuture<'static, _>> = Vec::new();
    for ((me, keys), inputs) in Party::ALL.into_iter().zip(keys).zip(dealt) {
        let inputs = inputs.into_iter().enumerate().map(|(k, input)| (input, limit(k))).collect();
        let (prepared, net) = (prepared.clone(), net.seat(me));
        parties.push(Box::pin(async move { prepared.run(Seat { me, session, keys }, net, inputs, &Tasks).await }));
    }
    let mut costs = Vec::with_capacity(3);
    for result in join_all(&Tasks, parties).await {
        match result {
            Ok((_, cost)) => costs.push(JobCost::new(cost, start.elapsed().as_secs_f64())),
            Err(RunFault::Refused(_, cause)) => return Err(RehearsalFault::Refused(cause)),
            Err(RunFault::Protocol(error) | RunFault::Input { error, .. }) => return Err(error.into()),
            Err(RunFault::Beyond { input, limit }) => {
                return Err(RehearsalFault::Refused(format!("input {input} is beyond {limit}")));
            }
        }
    }
    costs.try_into().map_err(|_| RehearsalFault::Protocol(Error::Poisoned))
}

/// One, as a number of 20 fractional bits.
const ONE: u64 = 1 << 20;

/// Shares of an input with which a program comes to its end: standardized features of customers of whom every other one is bad, coefficients of zero, and customers' numbers from 0 on in each table.
fn made_up(input: usize, port: Port, shape: Shape) -> Result<[InputVector; 3], Error> {
    let rows = usize::try_from(port.rows).unwrap_or(usize::MAX);
    if shape.ring == RingKind::Bits {
        let pattern = if input.is_multiple_of(2) { 0xaaaa_aaaa_aaaa_aaaa } else { 0x5555_5555_5555_5555 };
        let mut words = vec![Lanes(pattern); shape.elements()];
        let last = shape.len % Lanes::COUNT;
        if let Some(word) = words.last_mut().filter(|_| last > 0) {
            word.0 &= (1 << last) - 1;
        }
        return Ok(client::split(&words)?.map(InputVector::Bits));
    }
    // Steele, Lea and Flood's mixing of a counter: 1 or -1, without any regularity between columns.
    let sign = |k: usize| {
        let mut z = (k as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(input as u64);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        if (z ^ z >> 31) & 1 == 0 { ONE } else { ONE.wrapping_neg() }
    };
    let value = |k: usize| match port.role {
        Role::Model => 0,
        Role::Numbered if k < rows => k as u64,
        Role::Numbered if k / 2 < rows => 0,
        _ => sign(k),
    };
    let values: Vec<Z64> = (0..shape.elements()).map(|k| Z64(value(k))).collect();
    Ok(client::split(&values)?.map(InputVector::Z64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{CountsSpec, MethodSpec, ModeSpec, PooledSpec, TrainSpec};
    use trefoil_circuits::{credit::OnCut, program::limits_cost};

    async fn costs(program: ProgramSpec, mode: ModeSpec, checks: Checks) -> [JobCost; 3] {
        rehearse(&JobSpec::new(program, mode), checks).await.expect("a cost")
    }

    fn training(rows: Vec<u64>) -> TrainSpec {
        let table = PooledSpec::Horizontal { columns: 3, rows };
        TrainSpec { table, method: MethodSpec::Newton { iterations: 2 }, l2: ONE }
    }

    /// What the programs say of themselves, where they do: in semi-honest mode.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn costs_are_those_that_programs_state() {
        let train = training(vec![150, 50]);
        let crate::job::Trainer::Newton(trainer) = train.resolve().expect("a training") else { panic!() };
        let [cost, ..] = costs(ProgramSpec::CreditTrain(train.clone()), ModeSpec::SemiHonest, Checks::Known).await;
        // And the bit that is opened: whether the model is worthless.
        assert_eq!((cost.rounds, cost.bytes_sent), (trainer.cost().rounds + 1, trainer.cost().bytes_sent + 8));
        let [checked, ..] = costs(ProgramSpec::CreditTrain(train.clone()), ModeSpec::SemiHonest, Checks::All).await;
        assert!(checked.rounds > cost.rounds + limits_cost(3).rounds && checked.bytes_sent > cost.bytes_sent);
        let [proved, ..] = costs(ProgramSpec::CreditTrain(train), ModeSpec::Malicious, Checks::Known).await;
        assert!(proved.rounds > cost.rounds && proved.bytes_sent > cost.bytes_sent);
        let counts = CountsSpec {
            rows: vec![100, 90],
            cuts: vec![1 << 18, 1 << 19],
            on_cut: OnCut::Upper,
            by_label: true,
            minimum: 10,
            around: None,
        };
        let stated = counts.resolve().expect("counts").cost();
        let [cost, ..] = costs(ProgramSpec::CreditCounts(counts), ModeSpec::SemiHonest, Checks::Known).await;
        assert_eq!((cost.rounds, cost.bytes_sent, cost.products), (stated.rounds, stated.bytes_sent, stated.products));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_cannot_be_rehearsed_is_told() {
        let one = JobSpec::new(ProgramSpec::CreditTrain(training(vec![1])), ModeSpec::SemiHonest);
        let error = rehearse(&one, Checks::Known).await.expect_err("customers of one label");
        assert!(error.to_string().contains("plan for more rows"), "{error}");
        let none = JobSpec::new(ProgramSpec::CreditTrain(training(vec![])), ModeSpec::SemiHonest);
        assert!(matches!(rehearse(&none, Checks::All).await, Err(RehearsalFault::Prepare(_))));
        assert!(set_aside(&none.program).is_err() && rehearsal_bytes(&none.program).is_err());
        let (sizes, bytes) = set_aside(&one.program).expect("sizes");
        assert!(bytes > sizes.held_bytes() && rehearsal_bytes(&one.program).expect("bytes") > 3 * bytes);
    }
}
