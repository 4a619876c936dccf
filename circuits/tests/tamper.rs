//! Every frame a party sends is tampered with in turn: no honest party releases or opens a wrong value, and who is accused
//! may have done it. Without the check the same suite finds wrong values.

mod files;
mod tampering;

use files::{File, random_bits};
use std::sync::Arc;
use tampering::{
    Attack, Subject,
    suite::{bites, every_attack, random_word},
};
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
    Subject::of_bits(program, &words(&key), &words(&stream.collect::<Vec<_>>()))
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
    async fn protocol<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        mut inputs: Inputs,
        _: &dyn Executor,
    ) -> Result<Released<M>, Error> {
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
    Subject::of_bits(Adder, &[planes(&x), planes(&y)].concat(), &planes(&sums))
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
    async fn protocol<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        mut inputs: Inputs,
        _: &dyn Executor,
    ) -> Result<Released<M>, Error> {
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
    Subject::of_bits(Conversions, &boolean::to_planes(64, &numbers), &boolean::to_planes(64, &output))
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
    let output: Vec<Lanes> = (0..64).map(word).collect();
    Subject::of_bits(Evaluation::new(Arc::new(Schedule::new(&circuit)), packing), &input, &output)
}

#[test]
fn aes_ends_in_an_error_or_in_the_right_value() {
    assert!(every_attack(&aes()).runs > 4000);
}

#[test]
fn an_adder_ends_in_an_error_or_in_the_right_value() {
    assert!(every_attack(&adder()).runs > 700);
}

#[test]
fn conversions_end_in_an_error_or_in_the_right_value() {
    assert!(every_attack(&conversions()).runs > 1900);
}

#[test]
fn a_circuit_file_ends_in_an_error_or_in_the_right_value() {
    assert!(every_attack(&bristol()).runs > 2000);
}

#[test]
fn the_suite_bites_where_nothing_is_checked() {
    bites(&aes(), 2);
    bites(&adder(), 2);
    bites(&conversions(), 3);
    bites(&bristol(), 2);
}
