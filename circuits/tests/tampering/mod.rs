//! A party that sends something else: runs of a program in which one frame is tampered with, and what they must not end in.

mod attack;

pub use attack::{Attack, Frame, Phase};

use attack::Plan;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use trefoil_circuits::program::{Program, Released, Turns};
use trefoil_engine::{
    PeerFault,
    client::{OutputShare, reconstruct},
    prelude::*,
    testing::{Setup, on_shares_with},
    transport::memory::{Conditions, Position, Tamper},
};

/// A program, its input and its output.
pub struct Subject<P: Program> {
    pub program: P,
    pub input: Vec<Lanes>,
    pub output: Vec<Lanes>,
}

/// How a run has ended for one party. After the program the output is released to the client, opened to all, and then revealed
/// to each party alone.
#[derive(Default)]
struct Ending {
    released: Option<OutputShare<Lanes>>,
    opened: Vec<Vec<Lanes>>,
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
            assert_eq!(ending.opened, [self.output.clone(), self.output.clone()]);
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
        let endings = on_shares_with::<M, Lanes, _, _>(setup, &[&self.input], async |ctx, mut inputs| {
            let mut ending = Ending::default();
            mark(ctx.me(), Phase::Gates);
            ending.error = self.to_the_end(ctx, inputs.remove(0), mark, &mut ending).await.err();
            Ok(ending)
        });
        endings.map(|e| e.unwrap_or_else(|e| Ending { error: Some(e), ..Ending::default() }))
    }

    async fn to_the_end<M: Mode>(
        &self,
        ctx: Ctx<M>,
        input: Shares<Lanes>,
        mark: &dyn Fn(Party, Phase),
        ending: &mut Ending,
    ) -> Result<(), Error> {
        let Released { mut strand, outputs } = self.program.run(ctx, input.into(), &Turns).await?;
        let output = outputs[0].bits()?;
        mark(strand.me(), Phase::Opening);
        ending.released = Some(strand.output(output.view())?);
        ending.opened.push(strand.open(output.view()).await?);
        for p in Party::ALL {
            ending.opened.extend(strand.reveal_to(p, output.view()).await?);
        }
        Ok(())
    }

    fn judge(&self, plan: &Plan, endings: &[Ending; 3]) -> Result<Finding, String> {
        let honest = plan.corrupt.peers().map(|p| (p, &endings[p.index()]));
        for (p, ending) in honest {
            if ending.opened.iter().any(|value| *value != self.output) {
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
        let released = |p: Party| endings[p.index()].released.as_ref();
        let (Some(next), Some(prev)) = (released(corrupt.next()), released(corrupt.prev())) else { return false };
        let made_up = [prev.as_bytes()[1], next.as_bytes()[0]];
        let sent = released(corrupt).map(OutputShare::as_bytes);
        [Some(made_up), sent].into_iter().flatten().any(|of_corrupt| {
            let shares = Party::ALL.map(|p| {
                let [own, next] =
                    if p == corrupt { of_corrupt } else { released(p).map_or([&[][..]; 2], OutputShare::as_bytes) };
                OutputShare::<Lanes>::from_bytes(p, self.output.len(), own, next).unwrap()
            });
            reconstruct(&shares).is_ok_and(|value| value != self.output)
        })
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
