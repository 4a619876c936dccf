//! Circuits on shares: the public files and random circuits, in every packing, at exact cost.

mod files;
mod random;

use files::{FILES, File, random_bits};
use proptest::prelude::*;
use trefoil_circuits::bristol::{Circuit, Packing, PortValue, Schedule};
use trefoil_engine::{Cost, Error, Lanes, SemiHonest, testing};

/// Evaluates on shares; the instances' output wires, and what it cost.
fn on_shares(circuit: &Circuit, instances: &[Vec<bool>]) -> (Vec<Vec<bool>>, Cost) {
    let packing = Packing::new(instances.len() as u32);
    let schedule = Schedule::new(circuit);
    let ports: Vec<_> = instances.iter().map(|bits| random::ports(circuit, bits)).collect();
    let words = packing.pack_inputs(circuit, &ports).unwrap();
    let (opened, cost) = testing::on_shares::<SemiHonest, Lanes, _>(&[&words], async |ctx, inputs| {
        schedule.evaluate(ctx, inputs[0].view(), packing).await
    });
    let outputs = packing.unpack_outputs(circuit, &opened).unwrap();
    (outputs.iter().map(|ports| ports.iter().flat_map(PortValue::bits).copied().collect()).collect(), cost)
}

/// Rounds and bytes by the formula, without the schedule.
fn expected_cost(ands_by_round: &[u64], instances: u64) -> Cost {
    let stride = if instances < 64 { instances.next_power_of_two() } else { instances.div_ceil(64) * 64 };
    let products = ands_by_round.iter().map(|ands| (ands * stride).div_ceil(64)).sum::<u64>();
    Cost { rounds: ands_by_round.len() as u64, bytes_sent: 8 * products, products }
}

fn check_file(name: &str, sizes: &[u64]) {
    let file = File::named(name);
    let circuit = file.circuit();
    let schedule = Schedule::new(&circuit);
    let ands: Vec<u64> = schedule.ands_by_round().map(|ands| ands as u64).collect();
    assert_eq!(ands.len(), circuit.counts().and_depth);
    assert_eq!(ands.iter().sum::<u64>(), circuit.counts().and as u64);
    for &n in sizes {
        let instances: Vec<_> = (0..n).map(|k| random_bits(1000 * n + k, circuit.input_wires().len())).collect();
        let (outputs, cost) = on_shares(&circuit, &instances);
        for (bits, output) in instances.iter().zip(&outputs) {
            assert_eq!(*output, file.reference(bits), "{name}, {n} instances");
        }
        assert_eq!(cost, expected_cost(&ands, n), "{name}, {n} instances");
        assert_eq!(cost, schedule.cost(Packing::new(n as u32)), "{name}, {n} instances");
    }
}

#[test]
fn addition_on_shares() {
    check_file("adder64.txt", &[1, 2, 3, 31, 32, 33, 63, 64, 65, 130, 1000]);
}

#[test]
fn multiplication_on_shares() {
    check_file("mult64.txt", &[1, 3, 16, 64, 65, 200]);
}

#[test]
fn aes_on_shares() {
    check_file("aes_128.txt", &[1, 4, 33, 64, 150]);
}

#[test]
fn sha_256_on_shares() {
    check_file("sha256.txt", &[1, 5, 64, 100]);
}

#[test]
fn one_instance_sends_one_bit_for_an_and_and_not_a_word() {
    for file in &FILES {
        let circuit = file.circuit();
        let (counts, cost) = (circuit.counts(), Schedule::new(&circuit).cost(Packing::new(1)));
        // A word a round is the most that rounding up can add.
        assert!(cost.bytes_sent <= counts.and as u64 / 8 + 8 * cost.rounds, "{}: {cost:?}", file.name);
    }
}

#[test]
fn wrong_shapes_are_errors_on_every_party() {
    let schedule = Schedule::new(&File::named("adder64.txt").circuit());
    for (words, instances, got) in [(1, 1, 1), (3, 1, 3), (128, 65, 128), (0, 0, 0)] {
        let out = testing::three_with::<SemiHonest, _, _>(testing::Setup::default(), async |mut ctx| {
            let inputs = ctx.random::<Lanes>(words)?;
            schedule.evaluate(&mut ctx, inputs.view(), Packing::new(instances)).await.map(|_| ())
        });
        for result in out {
            assert!(matches!(result, Err(Error::Shape { got: g, .. }) if g == got), "{result:?}");
        }
    }
}

proptest! {
    // Each case runs three parties on threads.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_circuits_agree_with_the_evaluation_in_the_clear(
        circuit in random::circuit(),
        instances in prop::sample::select(vec![1_usize, 2, 3, 7, 40, 64, 65, 200]),
        seed in any::<u64>(),
    ) {
        let inputs: Vec<_> =
            (0..instances as u64).map(|k| random_bits(seed.wrapping_add(k), circuit.input_wires().len())).collect();
        let (outputs, cost) = on_shares(&circuit, &inputs);
        for (bits, output) in inputs.iter().zip(outputs) {
            let plain = circuit.evaluate_plain(&random::ports(&circuit, bits)).unwrap();
            prop_assert_eq!(output, plain.iter().flat_map(|v| v.bits().to_vec()).collect::<Vec<_>>());
        }
        let counts = circuit.counts();
        let schedule = Schedule::new(&circuit);
        prop_assert!(cost.rounds <= counts.and_depth as u64);
        prop_assert!(schedule.ands() <= counts.and);
        prop_assert_eq!(cost, schedule.cost(Packing::new(instances as u32)));
    }
}
