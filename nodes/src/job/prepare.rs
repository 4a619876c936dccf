//! From a specification and its attachment to something that can be run.

use super::{
    CircuitSpec, FailureKind, JobSpec, Limits, ModeSpec, ProgramSpec, Seat, Sha256Hex, SpecFault, TooLarge, Trainer,
};
use std::sync::Arc;
use trefoil_circuits::{
    aes::SboxForm,
    bristol::{self, Circuit, Evaluation, Schedule},
    credit::{Auc, Counts, Join, JoinFault, Score, WEIGHT_LIMIT},
    plan::Plan,
    program::{
        AesCtr, Compiled, Executor, InputVector, Inputs, Limited, Moments, OutputVector, Program, Released, Tiling,
        Vector,
    },
};
use trefoil_engine::{Cost, Ctx, Error, Lanes, Malicious, Mode, SemiHonest, transport::Transport};

/// A job whose attachment has been read and found to be what the specification says.
#[derive(Clone, Debug)]
pub struct Prepared {
    mode: ModeSpec,
    work: Work,
}

#[derive(Clone, Debug)]
enum Work {
    /// The key stream of AES in counter mode.
    AesCtr(AesCtr),
    /// A boolean circuit.
    Circuit(Evaluation),
    /// Sums and sums of squares of columns.
    Moments(Moments),
    /// Scores by a logistic model.
    Score(Score),
    /// A logistic model, released if it has stayed within its range.
    Train(Trainer),
    /// Customers counted.
    Counts(Counts),
    Auc(Auc),
    /// Tables side by side.
    Join(Join),
}

/// The inputs of a run, each with the limit that it is to be checked against, on so many strands.
struct Taken {
    inputs: Vec<(InputVector, Option<u64>)>,
    strands: usize,
}

/// An attachment that is not what the specification says. The client has to act.
#[derive(Debug, thiserror::Error)]
pub enum PrepareFault {
    /// Other bytes.
    #[error(
        "the circuit's SHA-256 is {got}, and the specification says {expected}; send the file the specification was made for"
    )]
    Digest {
        /// What the specification says.
        expected: Sha256Hex,
        /// What it is.
        got: Sha256Hex,
    },
    /// Not a circuit.
    #[error("the circuit is not valid: {0}")]
    Circuit(#[from] bristol::ParseError),
    /// A circuit with other ports.
    #[error(
        "the circuit has {got} {side} wires, and the specification says {expected}; take the number from the header of the circuit"
    )]
    Wires {
        /// "input" or "output".
        side: &'static str,
        /// What the specification says.
        expected: u32,
        /// What the circuit has.
        got: usize,
    },
    /// A limit of this node.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The specification contradicts itself.
    #[error(transparent)]
    Spec(#[from] SpecFault),
}

/// What went wrong in a run.
#[derive(Debug)]
pub enum RunFault {
    /// An input could not be taken in.
    Input {
        /// Which, counted from 0.
        input: usize,
        /// What went wrong.
        error: Error,
    },
    /// The protocol failed.
    Protocol(Error),
    /// An input, counted from 0, has an entry beyond the limit within which results are right.
    Beyond {
        /// Which.
        input: usize,
        /// Its limit.
        limit: u64,
    },
    /// The protocol ended well, and nothing is released: who has to act, what happened, and what to do about it.
    Refused(FailureKind, String),
}

impl From<Error> for RunFault {
    fn from(error: Error) -> Self {
        Self::Protocol(error)
    }
}

impl Prepared {
    /// Checks and parses the attachment. Takes time in proportion to it: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`PrepareFault`].
    pub fn new(spec: &JobSpec, attachment: &[u8], limits: &Limits) -> Result<Self, PrepareFault> {
        limits.check_work(spec.program.work_bytes())?;
        let work = match &spec.program {
            ProgramSpec::AesCtr(aes) => Work::AesCtr(AesCtr {
                size: aes.key_bits,
                counter: aes.counter,
                // The shape has been checked: it fits.
                blocks: aes.blocks as usize,
                form: SboxForm::default(),
                tiling: Tiling::default(),
            }),
            ProgramSpec::Moments(moments) => Work::Moments(Moments {
                // The shapes have been checked: they fit.
                columns: moments.columns as usize,
                rows: moments.rows.iter().map(|rows| *rows as usize).collect(),
                limit: moments.limit,
            }),
            ProgramSpec::Circuit(circuit) => Work::Circuit(prepare_circuit(circuit, attachment, limits)?),
            ProgramSpec::CreditScore(score) => Work::Score(score.resolve()?),
            ProgramSpec::CreditTrain(train) => Work::Train(train.resolve()?),
            ProgramSpec::CreditCounts(counts) => Work::Counts(counts.resolve()?),
            ProgramSpec::CreditAuc(auc) => Work::Auc(auc.resolve()?),
            ProgramSpec::CreditJoin(join) => Work::Join(join.resolve()?),
        };
        Ok(Self { mode: spec.mode, work })
    }

    /// For each input the largest absolute value of its integers with which nothing overflows; `None` where any value is right.
    pub fn limits(&self) -> Vec<Option<u64>> {
        match &self.work {
            Work::AesCtr(program) => program.limits(),
            Work::Circuit(program) => program.limits(),
            Work::Moments(program) => program.limits(),
            Work::Score(program) => program.limits(),
            Work::Train(Trainer::Newton(program)) => program.limits(),
            Work::Train(Trainer::Descent(program)) => program.limits(),
            Work::Counts(program) => program.limits(),
            Work::Auc(program) => program.limits(),
            // Nothing is computed with the entries but that customers' numbers are encrypted as bits. They are checked as those of the joined table, by the first job that
            // computes with them.
            Work::Join(program) => program.limits(),
        }
    }

    /// Strands that it computes on at the same time.
    pub fn strands(&self) -> u32 {
        let strands = match &self.work {
            Work::AesCtr(aes) => aes.tiling.strands.min(aes.blocks.div_ceil(aes.tiling.batch.max(1))),
            Work::Circuit(evaluation) => evaluation.batches().1,
            Work::Score(score) => score.strands(),
            Work::Moments(_) | Work::Train(_) | Work::Counts(_) | Work::Auc(_) | Work::Join(_) => 1,
        };
        u32::try_from(strands).unwrap_or(u32::MAX).max(1)
    }

    /// The bytes that P0 sends for it, others about as many, in semi-honest mode and without what its inputs are checked for: the rest is little beside it. `None` where the program does not say.
    pub fn bytes(&self) -> Option<u64> {
        let cost = match &self.work {
            Work::AesCtr(program) => Plan::of_aes(program).cost,
            Work::Circuit(program) => program.cost(),
            Work::Train(Trainer::Newton(program)) => program.cost(),
            Work::Train(Trainer::Descent(program)) => program.cost(),
            Work::Counts(program) => program.cost(),
            Work::Auc(program) => program.cost(),
            Work::Moments(_) | Work::Score(_) | Work::Join(_) => return None,
        };
        Some(cost.bytes_sent)
    }

    /// Runs on the root strand of a session. Inputs with a limit are first checked on shares to be within it. What comes back has been verified.
    ///
    /// # Errors
    /// As [`Ctx::root`], [`InputVector::receive`], [`Compiled::beyond_limits`] and [`Program::run`]. Not cancel safe.
    pub async fn run(
        &self,
        seat: Seat,
        net: Arc<dyn Transport>,
        inputs: Vec<(InputVector, Option<u64>)>,
        executor: &dyn Executor,
    ) -> Result<(Vec<OutputVector>, Cost), RunFault> {
        let inputs = Taken { inputs, strands: self.strands() as usize };
        match self.mode {
            ModeSpec::SemiHonest => self.work.run::<SemiHonest>(seat, net, inputs, executor).await,
            ModeSpec::Malicious => self.work.run::<Malicious>(seat, net, inputs, executor).await,
        }
    }
}

impl Work {
    async fn run<M: Compiled>(
        &self,
        Seat { me, session, keys }: Seat,
        net: Arc<dyn Transport>,
        inputs: Taken,
        executor: &dyn Executor,
    ) -> Result<(Vec<OutputVector>, Cost), RunFault> {
        let mut ctx = Ctx::<M>::root(me, session, keys, net).await?;
        let inputs = receive(&mut ctx, inputs, executor).await?;
        let released = match self {
            Self::AesCtr(program) => M::run(program, ctx, inputs, executor).await?,
            Self::Circuit(program) => M::run(program, ctx, inputs, executor).await?,
            Self::Moments(program) => M::run(program, ctx, inputs, executor).await?,
            Self::Score(program) => M::run(program, ctx, inputs, executor).await?,
            Self::Counts(program) => M::run(program, ctx, inputs, executor).await?,
            Self::Auc(program) => M::run(program, ctx, inputs, executor).await?,
            Self::Train(Trainer::Newton(program)) => model(M::run(program, ctx, inputs, executor).await?).await?,
            Self::Train(Trainer::Descent(program)) => model(M::run(program, ctx, inputs, executor).await?).await?,
            Self::Join(program) => joined(program.join(ctx, inputs).await?)?,
        };
        Ok((released.release()?, released.cost()))
    }
}

/// The model, if no coefficient has ever left its range and there are customers of both labels, which the nodes open to each other as one bit.
async fn model<M: Mode>(mut released: Released<M>) -> Result<Released<M>, RunFault> {
    let absent = Error::Shape { what: "the outputs of a training", expected: 2, got: released.outputs.len() };
    let beyond = released.outputs.pop().filter(|_| !released.outputs.is_empty()).ok_or(absent)?;
    let opened = released.strand.open(beyond.bits()?.view()).await?;
    if opened.iter().all(|word| *word == Lanes(0)) {
        return Ok(released);
    }
    Err(RunFault::Refused(
        FailureKind::Range,
        format!(
            "a coefficient exceeded {WEIGHT_LIMIT}, or another number its range, while the model was trained, or all customers have the same label, so that the model is worthless and was not released; \
             see that customers of both labels are there and that all features are standardized, raise the L2 penalty, or lower the learning rate of descent"
        ),
    ))
}

/// The joined table, if there is one.
fn joined<M: Mode>(end: Result<Released<M>, JoinFault>) -> Result<Released<M>, RunFault> {
    let remedy = match end {
        Ok(released) => return Ok(released),
        Err(fault @ JoinFault::Few { .. }) => format!(
            "{fault}, so that nothing was kept; see that all owners mean the same key by the key column of their schemas, written in the same way, or take tables of more customers"
        ),
        Err(fault @ JoinFault::Twice { .. }) => {
            format!(
                "{fault}, so that nothing was kept; its owner keeps one row for each customer, and shares a new version"
            )
        }
    };
    Err(RunFault::Refused(FailureKind::Data, remedy))
}

/// Takes the inputs in, and checks those that have a limit.
async fn receive<M: Compiled>(
    ctx: &mut Ctx<M>,
    Taken { inputs, strands }: Taken,
    executor: &dyn Executor,
) -> Result<Inputs, RunFault> {
    let (mut vectors, mut limited, mut places) = (Vec::with_capacity(inputs.len()), Vec::new(), Vec::new());
    for (k, (input, limit)) in inputs.into_iter().enumerate() {
        let vector = input.receive(ctx).await.map_err(|error| RunFault::Input { input: k, error })?;
        match (vector, limit) {
            (Vector::Z64(values), Some(limit)) => {
                places.push(k);
                limited.push(Limited { values, limit });
                vectors.push(None);
            }
            (vector, _) => vectors.push(Some(vector)),
        }
    }
    let limited = Arc::new(limited);
    let beyond = M::beyond_limits(ctx, &limited, strands, executor).await?;
    if let Some(at) = beyond.iter().position(|beyond| *beyond) {
        return Err(RunFault::Beyond { input: places[at], limit: limited[at].limit });
    }
    // No strand has it any more.
    let limited = Arc::try_unwrap(limited).map_err(|_| Error::Poisoned)?;
    for (k, Limited { values, .. }) in places.into_iter().zip(limited) {
        vectors[k] = Some(values.into());
    }
    Ok(Inputs::new(vectors.into_iter().flatten()))
}

fn prepare_circuit(spec: &CircuitSpec, attachment: &[u8], limits: &Limits) -> Result<Evaluation, PrepareFault> {
    let got = Sha256Hex::of(attachment);
    if got != spec.sha256 {
        return Err(PrepareFault::Digest { expected: spec.sha256, got });
    }
    // A gate takes 10 bytes of text at least ("1 1 0 1 EQ"), so the text bounds what is allocated for gates.
    let most = u32::try_from(attachment.len()).unwrap_or(u32::MAX);
    let default = bristol::Limits::default();
    let parse = bristol::Limits { max_gates: default.max_gates.min(most), ..default };
    let circuit = Circuit::read(attachment, &parse)?;
    for (side, expected, got) in [
        ("input", spec.input_wires, circuit.input_wires().len()),
        ("output", spec.output_wires, circuit.output_wires().len()),
    ] {
        if expected as usize != got {
            return Err(PrepareFault::Wires { side, expected, got });
        }
    }
    let evaluation = Evaluation::new(Arc::new(Schedule::new(&circuit)), spec.packing());
    limits.check_work(evaluation.memory())?;
    Ok(evaluation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    const HALF_ADDER: &[u8] = b"2 4\n2 1 1\n2 1 1\n\n2 1 0 1 2 XOR\n2 1 0 1 3 AND\n";

    fn spec(text: &[u8], input_wires: u32, instances: u32) -> JobSpec {
        let circuit = CircuitSpec {
            sha256: Sha256Hex::of(text),
            bytes: text.len() as u64,
            input_wires,
            output_wires: 2,
            instances: NonZeroU32::new(instances).expect("not zero"),
        };
        JobSpec::new(ProgramSpec::Circuit(circuit), ModeSpec::default())
    }

    #[test]
    fn the_shape_of_the_specification_is_that_of_the_program() {
        for instances in [1, 3, 64, 1000] {
            let spec = spec(HALF_ADDER, 2, instances);
            let prepared = Prepared::new(&spec, HALF_ADDER, &Limits::default()).expect("valid");
            let Work::Circuit(program) = prepared.work else { panic!() };
            assert_eq!(spec.program.shapes(), Ok([program.inputs(), program.outputs()]));
        }
        for bits in [128, 192, 256] {
            let text =
                format!(r#"{{"program":{{"aes-ctr":{{"key_bits":{bits},"counter":"{:032x}","blocks":77}}}}}}"#, 5);
            let spec: JobSpec = serde_json::from_str(&text).expect("a specification");
            let Work::AesCtr(program) = Prepared::new(&spec, b"", &Limits::default()).expect("valid").work else {
                panic!()
            };
            assert_eq!(spec.program.shapes(), Ok([program.inputs(), program.outputs()]));
        }
    }

    #[test]
    fn an_attachment_that_is_something_else_is_refused() {
        let limits = Limits::default();
        let new = |spec, text| Prepared::new(&spec, text, &limits).map(drop);
        assert!(matches!(new(spec(b"other", 2, 1), HALF_ADDER), Err(PrepareFault::Digest { .. })));
        assert!(matches!(new(spec(HALF_ADDER, 3, 1), HALF_ADDER), Err(PrepareFault::Wires { side: "input", .. })));
        assert!(matches!(new(spec(b"nonsense", 2, 1), b"nonsense"), Err(PrepareFault::Circuit(_))));
        let tight = Limits { work_bytes: 10, ..limits };
        let result = Prepared::new(&spec(HALF_ADDER, 2, 1000), HALF_ADDER, &tight);
        assert!(matches!(result, Err(PrepareFault::TooLarge(_))));
    }
}
