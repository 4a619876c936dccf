//! A party that sends something else: runs of a program in which one frame is tampered with, and what they must not end in.

mod attack;
pub mod suite;

pub use attack::{Attack, Frame, Phase};

use attack::Plan;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use trefoil_circuits::program::{InputVector, Inputs, OutputVector, Program, Released, RingKind, Shape, Turns, Vector};
use trefoil_engine::{
    PeerFault,
    client::{OutputShare, reconstruct},
    prelude::*,
    testing::{Setup, three_with},
    transport::memory::{Conditions, Position, Tamper},
};

/// A program, its inputs and its outputs, as words.
pub struct Subject<P: Program> {
    pub program: P,
    pub inputs: Vec<Vec<u64>>,
    pub outputs: Vec<Vec<u64>>,
}

/// How a run has ended for one party. After the program the output is released to the client, opened to all, and then revealed
/// to each party alone.
#[derive(Default)]
struct Ending {
    released: Option<Vec<OutputVector>>,
    /// Which output, and what it was.
    opened: Vec<(usize, Vec<u64>)>,
    error: Option<Error>,
}

/// What has come of a run: how often which error, over the honest parties; none if the tampering did no harm.
pub type Finding = Vec<String>;

/// Counts of a suite.
#[derive(Default)]
pub struct Tally {
    pub runs: usize,
    /// Runs in which all honest parties ended well, with the right value.
    pub harmless: usize,
    pub errors: BTreeMap<String, usize>,
}

impl<P: Program> Subject<P> {
    /// A program with one input and one output, of bits.
    #[allow(dead_code)] // not every suite has such programs
    pub fn of_bits(program: P, input: &[Lanes], output: &[Lanes]) -> Self {
        let words = |bits: &[Lanes]| vec![bits.iter().map(|word| word.0).collect()];
        Self { program, inputs: words(input), outputs: words(output) }
    }

    /// The frames of an honest run.
    pub fn tape<M: Mode>(&self, seed: u64) -> Vec<Frame> {
        let tape: Arc<Mutex<Vec<Frame>>> = Arc::default();
        let phases = Arc::new(Mutex::new([Phase::Input; 3]));
        let (record, seen) = (tape.clone(), phases.clone());
        let tamper = move |at: Position, bytes: bytes::Bytes| {
            let phase = seen.lock().unwrap()[at.from.index()];
            record.lock().unwrap().push(Frame { at, phase, bytes: bytes.clone() });
            vec![(at.seq, bytes)]
        };
        let endings = self.run::<M>(seed, Box::new(tamper), &|p, phase| phases.lock().unwrap()[p.index()] = phase);
        for ending in endings {
            assert!(ending.error.is_none(), "{:?}", ending.error);
            let outputs = self.outputs.iter().cloned().enumerate().flat_map(|output| [output.clone(), output]);
            assert_eq!(ending.opened, outputs.collect::<Vec<_>>());
        }
        let mut tape = std::mem::take(&mut *tape.lock().unwrap());
        attack::mark_accounts(&mut tape);
        tape
    }

    /// One run under an attack.
    ///
    /// # Errors
    /// What must not happen, in words.
    pub fn under<M: Mode>(&self, seed: u64, plan: &Plan) -> Result<Finding, String> {
        let frames = plan.frames.clone();
        let tamper = move |at: Position, bytes| frames.get(&at).cloned().unwrap_or_else(|| vec![(at.seq, bytes)]);
        let endings = self.run::<M>(seed, Box::new(tamper), &|_, _| ());
        self.judge(plan, &endings)
    }

    fn run<M: Mode>(&self, seed: u64, tamper: Tamper, mark: &dyn Fn(Party, Phase)) -> [Ending; 3] {
        let setup = Setup { seed, conditions: Conditions { tamper: Some(tamper), ..Conditions::default() } };
        let endings = three_with::<M, _, _>(setup, async |ctx| {
            let mut ending = Ending::default();
            ending.error = self.to_the_end(ctx, seed, mark, &mut ending).await.err();
            Ok(ending)
        });
        endings.map(|e| e.unwrap_or_else(|e| Ending { error: Some(e), ..Ending::default() }))
    }

    async fn to_the_end<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        seed: u64,
        mark: &dyn Fn(Party, Phase),
        ending: &mut Ending,
    ) -> Result<(), Error> {
        let mut inputs = Vec::new();
        for (k, (shape, words)) in self.program.inputs().into_iter().zip(&self.inputs).enumerate() {
            inputs.push(dealt(shape, words, seed ^ (k as u64) << 32, ctx.me()).receive(&mut ctx).await?);
        }
        mark(ctx.me(), Phase::Gates);
        let released = self.program.run(ctx, Inputs::new(inputs), &Turns).await?;
        mark(released.strand.me(), Phase::Opening);
        ending.released = Some(released.release()?);
        let Released { mut strand, outputs } = released;
        for (k, output) in outputs.iter().enumerate() {
            ending.opened.push((k, open(&mut strand, output).await?));
            for p in Party::ALL {
                ending.opened.extend(reveal(&mut strand, p, output).await?.map(|value| (k, value)));
            }
        }
        Ok(())
    }

    fn judge(&self, plan: &Plan, endings: &[Ending; 3]) -> Result<Finding, String> {
        let honest = plan.corrupt.peers().map(|p| (p, &endings[p.index()]));
        for (p, ending) in honest {
            if ending.opened.iter().any(|(k, value)| *value != self.outputs[*k]) {
                return Err(format!("{p} opened a wrong value"));
            }
            if let Some(error) = &ending.error
                && !names(error, plan.corrupt)
            {
                return Err(format!("{p} accuses others: {error}"));
            }
        }
        if self.client_is_told_a_wrong_value(plan.corrupt, endings) {
            return Err("the client reconstructs a wrong value".into());
        }
        let errors: Finding = honest.iter().filter_map(|(_, e)| e.error.as_ref()).map(name).collect();
        let released = honest.iter().filter(|(_, e)| e.released.is_some()).count();
        if plan.is_caught_before(Phase::Account) && (errors.is_empty() || released > 0) {
            return Err(format!("{released} honest parties released their output, errors {errors:?}"));
        }
        // A refusal of the account stops whoever was told it; whom it was not told has every reason to accept.
        if plan.is_caught_before(Phase::Opening) && (errors.is_empty() || released > 1) {
            return Err(format!("{released} honest parties released their output, errors {errors:?}"));
        }
        if plan.is_caught() && errors.is_empty() {
            return Err("nobody noticed".into());
        }
        Ok(errors)
    }

    /// Whether the corrupt party can make up an output share that fits to those of the honest ones, or has one, with which the client
    /// gets a wrong value.
    fn client_is_told_a_wrong_value(&self, corrupt: Party, endings: &[Ending; 3]) -> bool {
        let released = |p: Party, k: usize| endings[p.index()].released.as_ref().map(|outputs| outputs[k].as_bytes());
        self.program.outputs().into_iter().zip(&self.outputs).enumerate().any(|(k, (shape, output))| {
            let (Some(next), Some(prev)) = (released(corrupt.next(), k), released(corrupt.prev(), k)) else {
                return false;
            };
            let made_up = [prev[1], next[0]];
            [Some(made_up), released(corrupt, k)].into_iter().flatten().any(|of_corrupt| {
                let of = |p: Party| if p == corrupt { of_corrupt } else { released(p, k).unwrap_or_default() };
                reconstructed(shape, &Party::ALL.map(of)).is_some_and(|value| value != *output)
            })
        })
    }
}

/// A party's components of an input, always the same for a seed.
fn dealt(shape: Shape, words: &[u64], seed: u64, me: Party) -> InputVector {
    let random = |j: u64, k: usize| scrambled(scrambled(seed.wrapping_mul(3).wrapping_add(j)) ^ k as u64);
    let last = |x: u64, a: u64, b: u64| match shape.ring {
        RingKind::Bits => x ^ a ^ b,
        RingKind::Z16 | RingKind::Z64 => x.wrapping_sub(a).wrapping_sub(b),
    };
    let component = |p: Party| -> Vec<u8> {
        let word = |(k, &x): (usize, &u64)| match p {
            Party::P0 => random(0, k),
            Party::P1 => random(1, k),
            Party::P2 => last(x, random(0, k), random(1, k)),
        };
        let bytes = shape.component_bytes() / shape.elements().max(1);
        words.iter().enumerate().flat_map(|word_of| word(word_of).to_le_bytes().into_iter().take(bytes)).collect()
    };
    InputVector::from_bytes(shape, &component(me), &component(me.next())).unwrap()
}

/// A number that looks random.
pub fn scrambled(k: u64) -> u64 {
    let mut z = k.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

async fn open<M: Mode>(strand: &mut Verified<M>, x: &Vector) -> Result<Vec<u64>, Error> {
    Ok(match x {
        Vector::Bits(x) => strand.open(x.view()).await?.into_iter().map(|x| x.0).collect(),
        Vector::Z16(x) => strand.open(x.view()).await?.into_iter().map(|x| x.0.into()).collect(),
        Vector::Z64(x) => strand.open(x.view()).await?.into_iter().map(|x| x.0).collect(),
    })
}

async fn reveal<M: Mode>(strand: &mut Verified<M>, to: Party, x: &Vector) -> Result<Option<Vec<u64>>, Error> {
    Ok(match x {
        Vector::Bits(x) => strand.reveal_to(to, x.view()).await?.map(|x| x.into_iter().map(|x| x.0).collect()),
        Vector::Z16(x) => strand.reveal_to(to, x.view()).await?.map(|x| x.into_iter().map(|x| x.0.into()).collect()),
        Vector::Z64(x) => strand.reveal_to(to, x.view()).await?.map(|x| x.into_iter().map(|x| x.0).collect()),
    })
}

/// What a client makes of the output shares of all parties, if they agree.
fn reconstructed(shape: Shape, shares: &[[&[u8]; 2]; 3]) -> Option<Vec<u64>> {
    let len = shape.elements();
    match shape.ring {
        RingKind::Bits => {
            let share = |p: Party| OutputShare::<Lanes>::from_bytes(p, len, shares[p.index()][0], shares[p.index()][1]);
            let value = reconstruct(&Party::ALL.map(|p| share(p).unwrap())).ok()?;
            Some(value.into_iter().map(|x| x.0).collect())
        }
        RingKind::Z16 => {
            let share = |p: Party| OutputShare::<Z16>::from_bytes(p, len, shares[p.index()][0], shares[p.index()][1]);
            let value = reconstruct(&Party::ALL.map(|p| share(p).unwrap())).ok()?;
            Some(value.into_iter().map(|x| x.0.into()).collect())
        }
        RingKind::Z64 => {
            let share = |p: Party| OutputShare::<Z64>::from_bytes(p, len, shares[p.index()][0], shares[p.index()][1]);
            let value = reconstruct(&Party::ALL.map(|p| share(p).unwrap())).ok()?;
            Some(value.into_iter().map(|x| x.0).collect())
        }
    }
}

/// Whether an error leaves open that this party is at fault.
fn names(error: &Error, corrupt: Party) -> bool {
    match error {
        Error::Peer { peer, .. } | Error::Input { peer, .. } => *peer == corrupt,
        Error::Abort { suspects, .. } => suspects.contains(&corrupt),
        // That a peer has gone away is no accusation.
        Error::Link { .. } => true,
        _ => false,
    }
}

fn name(error: &Error) -> String {
    match error {
        Error::Peer { fault: PeerFault::WrongFrame { .. }, .. } => "wrong frame".into(),
        Error::Peer { fault: PeerFault::WrongLength { .. }, .. } => "wrong length".into(),
        Error::Abort { what, .. } => format!("{what:?}"),
        Error::Link { cause, .. } => format!("{cause:?}"),
        Error::Input { .. } => "Input".into(),
        other => other.to_string(),
    }
}

impl Tally {
    pub fn count(&mut self, finding: &Finding) {
        self.runs += 1;
        self.harmless += usize::from(finding.is_empty());
        for error in finding {
            *self.errors.entry(error.clone()).or_default() += 1;
        }
    }
}
