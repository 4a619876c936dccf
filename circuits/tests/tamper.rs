//! Every frame a party sends is tampered with in turn: no honest party releases or opens a wrong value, and who is accused
//! may have done it. Without the check the same suite finds wrong values.

mod files;
mod tampering;

use files::{File, random_bits};
use std::sync::Arc;
use tampering::{Attack, Phase, Subject, Tally};
use trefoil_circuits::{
    aes::{KeySize, SboxForm, reference},
    arith::{self, fixed},
    boolean::{self, CarryForm, Order},
    bristol::{Evaluation, Packing, PortValue, Schedule},
    gates::OnShares,
    program::{AesCtr, Executor, Inputs, Program, Released, Shape, Tiling},
};
use trefoil_engine::prelude::*;

/// Key expansion, and 64 blocks of key stream on each of two strands.
fn aes() -> Subject<AesCtr> {
    let program = AesCtr {
        size: KeySize::Aes128,
        counter: u128::MAX,
        blocks: 128,
        form: SboxForm::default(),
        tiling: Tiling { batch: 64, strands: 2 },
    };
    let words = |bytes: &[u8]| -> Vec<Lanes> {
        bytes.chunks_exact(8).map(|c| Lanes(u64::from_le_bytes(c.try_into().unwrap()))).collect()
    };
    let key: Vec<u8> = (0..16).map(|k| 7 * k + 5).collect();
    let keys = reference::expand_key(&key).unwrap();
    let stream = (0..128).flat_map(|k| reference::encrypt(&keys, program.counter.wrapping_add(k).to_be_bytes()));
    Subject { program, input: words(&key), output: words(&stream.collect::<Vec<_>>()) }
}

/// Sums of 64 pairs of integers of 64 bits, each round of gates checked on its own.
struct Adder;
impl Adder {
    const BITS: usize = 64;
}
impl Program for Adder {
    fn inputs(&self) -> Vec<Shape> {
        vec![Shape::bits(2 * Self::BITS * Lanes::COUNT)]
    }
    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::bits(Self::BITS * Lanes::COUNT)]
    }
    async fn run<M: Mode>(&self, mut ctx: Ctx<M>, mut inputs: Inputs, _: &impl Executor) -> Result<Released<M>, Error> {
        ctx.check_every(0);
        let [x, y] = inputs.bits(0)?.planes()?.map(View::to_shares);
        let output = boolean::add(&mut OnShares::new(&mut ctx, 1), CarryForm::Sklansky, &x, &y).await?;
        Ok(Released { strand: ctx.verify().await?, outputs: vec![output.into()] })
    }
}

fn adder() -> Subject<Adder> {
    let numbers = |seed: u64| -> Vec<u64> { (0..64).map(|k| (k + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect() };
    let (x, y) = (numbers(1), numbers(1000));
    let sums: Vec<u64> = x.iter().zip(&y).map(|(x, y)| x.wrapping_add(*y)).collect();
    let planes = |v: &[u64]| boolean::to_planes(Adder::BITS, v);
    Subject { program: Adder, input: [planes(&x), planes(&y)].concat(), output: planes(&sums) }
}

/// 64 integers from their bits, shifted, compared with a bound and chosen by that, and back to bits. Two rings, and a value shown before it is checked.
struct Conversions;
impl Conversions {
    const SHIFT: u32 = 13;
    const BOUND: u64 = 1 << 40;

    fn reference(x: u64) -> u64 {
        let y = fixed::reference::round_shift(x.cast_signed(), Self::SHIFT).cast_unsigned();
        arith::reference::select(arith::reference::less_than(Order::Signed, y, Self::BOUND), y, x)
    }
}
impl Program for Conversions {
    fn inputs(&self) -> Vec<Shape> {
        vec![Shape::bits(64 * Lanes::COUNT)]
    }
    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::bits(64 * Lanes::COUNT)]
    }
    async fn run<M: Mode>(&self, mut ctx: Ctx<M>, mut inputs: Inputs, _: &impl Executor) -> Result<Released<M>, Error> {
        let bound = Shares::public(ctx.me(), &[Z64(Self::BOUND); 64]);
        let x = arith::b2a(&mut ctx, 64, inputs.bits(0)?.view()).await?;
        let y = fixed::round_shift(&mut ctx, x.view(), Self::SHIFT).await?;
        let small = arith::less_than_near(&mut ctx, y.view(), bound.view()).await?;
        let z = arith::select(&mut ctx, small.view(), y.view(), x.view()).await?;
        let output = arith::a2b(&mut ctx, z.view()).await?;
        Ok(Released { strand: ctx.verify().await?, outputs: vec![output.into()] })
    }
}

fn conversions() -> Subject<Conversions> {
    let numbers: Vec<u64> = (0..64_u32)
        .map(|k| (random_word(u64::from(k), Attack::Flip).cast_signed() >> (4 + k % 40)).cast_unsigned())
        .collect();
    let output: Vec<u64> = numbers.iter().copied().map(Conversions::reference).collect();
    Subject { program: Conversions, input: boolean::to_planes(64, &numbers), output: boolean::to_planes(64, &output) }
}

/// A circuit file: 64 sums of integers of 64 bits.
fn bristol() -> Subject<Evaluation> {
    let file = File::named("adder64.txt");
    let (circuit, packing) = (file.circuit(), Packing::new(64));
    let bits: Vec<Vec<bool>> = (0..64).map(|k| random_bits(k, 128)).collect();
    let ports = |bits: &Vec<bool>| bits.chunks(64).map(|port| PortValue::from_bits(port.to_vec())).collect::<Vec<_>>();
    let input = packing.pack_inputs(&circuit, &bits.iter().map(ports).collect::<Vec<_>>()).unwrap().to_vec();
    let sums: Vec<Vec<bool>> = bits.iter().map(|b| file.reference(b)).collect();
    // A lane for each instance.
    let word = |bit: usize| Lanes((0..64).map(|instance| u64::from(sums[instance][bit]) << instance).sum());
    let output = (0..64).map(word).collect();
    Subject { program: Evaluation::new(Arc::new(Schedule::new(&circuit)), packing), input, output }
}

/// Tries every attack on every frame of every party in turn.
fn suite<P: Program>(subject: &Subject<P>) -> Tally {
    let (tape, foreign) = (subject.tape::<Malicious>(1), subject.tape::<Malicious>(2));
    let mut tally = Tally::default();
    for attack in Attack::ALL {
        let mut of_attack = Tally::default();
        for (k, frame) in tape.iter().enumerate() {
            let Some(plan) = attack.on(&tape, &foreign, k, random_word(k as u64, attack)) else { continue };
            let finding = subject.under::<Malicious>(1, &plan);
            let finding = finding.unwrap_or_else(|e| panic!("{attack:?} of {:?}, {:?}: {e}", frame.at, frame.phase));
            tally.count(&finding);
            of_attack.count(&finding);
        }
        println!("{attack:?}: {} runs, {} harmless, {:?}", of_attack.runs, of_attack.harmless, of_attack.errors);
        assert!(of_attack.runs > tape.len() / 2, "{attack:?} was tried {} times", of_attack.runs);
    }
    println!("{} frames, {} runs, {} harmless, {:?}", tape.len(), tally.runs, tally.harmless, tally.errors);
    for phase in [Phase::Input, Phase::Gates, Phase::Account, Phase::Opening] {
        assert!(tape.iter().any(|f| f.phase == phase), "{phase:?}");
    }
    for error in ["Input", "Product", "Coins", "Account", "Opening", "wrong length", "wrong frame", "Stalled(0)"] {
        assert!(tally.errors.contains_key(error), "{error} did not come up: {:?}", tally.errors);
    }
    tally
}

fn random_word(k: u64, attack: Attack) -> u64 {
    let mut z = (k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (attack as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[test]
fn aes_ends_in_an_error_or_in_the_right_value() {
    assert!(suite(&aes()).runs > 4000);
}

#[test]
fn an_adder_ends_in_an_error_or_in_the_right_value() {
    assert!(suite(&adder()).runs > 700);
}

#[test]
fn conversions_end_in_an_error_or_in_the_right_value() {
    assert!(suite(&conversions()).runs > 1900);
}

#[test]
fn a_circuit_file_ends_in_an_error_or_in_the_right_value() {
    assert!(suite(&bristol()).runs > 2000);
}

/// Flips in the gates' messages without the check, which lets them through to the client and to the parties.
fn bites<P: Program>(subject: &Subject<P>) {
    let tape = subject.tape::<SemiHonest>(1);
    let (mut gates, mut wrong) = (0, 0);
    for k in (0..tape.len()).filter(|&k| tape[k].phase < Phase::Opening) {
        let plan = Attack::Flip.on(&tape, &[], k, random_word(k as u64, Attack::Flip)).unwrap();
        gates += 1;
        wrong += usize::from(subject.under::<SemiHonest>(1, &plan).is_err_and(|e| e.contains("wrong value")));
    }
    assert!(wrong > gates / 2, "{wrong} wrong values in {gates} runs");
}

#[test]
fn the_suite_bites_where_nothing_is_checked() {
    bites(&aes());
    bites(&adder());
    bites(&conversions());
    bites(&bristol());
}
