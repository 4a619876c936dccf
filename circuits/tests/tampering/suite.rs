//! Suites of attacks on a program.

use super::{Attack, Finding, Frame, Phase, Subject, Tally, attack::Plan, scrambled};
use trefoil_circuits::program::Program;
use trefoil_engine::prelude::*;

/// Tries every attack on every frame of every party in turn.
#[allow(dead_code)] // short programs only
pub fn every_attack<P: Program>(subject: &Subject<P>) -> Tally {
    let (tape, foreign) = (subject.tape::<Malicious>(1), subject.tape::<Malicious>(2));
    let mut tally = Tally::default();
    for attack in Attack::ALL {
        let mut of_attack = Tally::default();
        for (k, frame) in tape.iter().enumerate() {
            let Some(plan) = attack.on(&tape, &foreign, k, random_word(k as u64, attack)) else { continue };
            let finding = found(subject, &plan, attack, frame);
            tally.count(&finding);
            of_attack.count(&finding);
        }
        println!("{attack:?}: {} runs, {} harmless, {:?}", of_attack.runs, of_attack.harmless, of_attack.errors);
        assert!(of_attack.runs > tape.len() / 2, "{attack:?} was tried {} times", of_attack.runs);
    }
    println!("{} frames, {} runs, {} harmless, {:?}", tape.len(), tally.runs, tally.harmless, tally.errors);
    has_all_phases(&tape);
    for error in ["Input", "Product", "Coins", "Account", "Opening", "wrong length", "wrong frame", "Stalled(0)"] {
        assert!(tally.errors.contains_key(error), "{error} did not come up: {:?}", tally.errors);
    }
    tally
}

/// Tries one attack on every frame of every party, another one on the next, and so on; on each `step`th frame only.
#[allow(dead_code)] // long programs only
pub fn attacks_in_turn<P: Program>(subject: &Subject<P>, step: usize) -> Tally {
    let (tape, foreign) = (subject.tape::<Malicious>(1), subject.tape::<Malicious>(2));
    let mut tally = Tally::default();
    for (k, frame) in tape.iter().enumerate().step_by(step) {
        let attacks = (0..Attack::ALL.len()).map(|j| Attack::ALL[(k / step + j) % Attack::ALL.len()]);
        let random = scrambled(k as u64);
        let mut possible = attacks.filter_map(|attack| Some((attack, attack.on(&tape, &foreign, k, random)?)));
        let (attack, plan) = possible.next().expect("every frame can be flipped");
        tally.count(&found(subject, &plan, attack, frame));
    }
    println!("{} frames, {} runs, {} harmless, {:?}", tape.len(), tally.runs, tally.harmless, tally.errors);
    has_all_phases(&tape);
    for error in ["Product", "wrong length", "wrong frame", "Stalled(0)"] {
        assert!(tally.errors.contains_key(error), "{error} did not come up: {:?}", tally.errors);
    }
    assert!(tally.runs == tape.len().div_ceil(step) && 5 * tally.harmless < tally.runs);
    tally
}

fn found<P: Program>(subject: &Subject<P>, plan: &Plan, attack: Attack, frame: &Frame) -> Finding {
    let finding = subject.under::<Malicious>(1, plan);
    finding.unwrap_or_else(|e| panic!("{attack:?} of {:?}, {:?}: {e}", frame.at, frame.phase))
}

fn has_all_phases(tape: &[Frame]) {
    for phase in [Phase::Input, Phase::Gates, Phase::Account, Phase::Opening] {
        assert!(tape.iter().any(|f| f.phase == phase), "{phase:?}");
    }
}

/// A number to choose places with.
pub fn random_word(k: u64, attack: Attack) -> u64 {
    scrambled(k ^ (attack as u64 + 1) << 32)
}

/// Flips in the gates' messages without the check, which lets them through to the client and to the parties: one in so many at least, as lanes that hold nothing can be flipped, too.
pub fn bites<P: Program>(subject: &Subject<P>, one_in: usize) {
    let tape = subject.tape::<SemiHonest>(1);
    let (mut gates, mut wrong) = (0, 0);
    for k in (0..tape.len()).filter(|&k| tape[k].phase < Phase::Opening) {
        let plan = Attack::Flip.on(&tape, &[], k, random_word(k as u64, Attack::Flip)).unwrap();
        gates += 1;
        wrong += usize::from(subject.under::<SemiHonest>(1, &plan).is_err_and(|e| e.contains("wrong value")));
    }
    assert!(wrong > gates / one_in, "{wrong} wrong values in {gates} runs");
}
