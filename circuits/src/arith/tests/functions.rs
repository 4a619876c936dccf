//! Functions of fixed-point numbers: against the plain twins bit for bit, and these against floating point.

use super::{both, edges, random};
use crate::arith::fixed::{Fixed, reference};

/// Numbers of all sizes.
fn numbers(n: usize) -> Vec<u64> {
    let random = random(n, 11).into_iter().enumerate().map(|(k, x)| (x.cast_signed() >> (k % 60)).cast_unsigned());
    edges().into_iter().chain(random).collect()
}

fn sigmoid_is_its_twin<const F: u32>() {
    // Both sides of each knot, too.
    let knots = (-260..260_i64).flat_map(|k| [k << (F - 4), (k << (F - 4)) - 1]).map(i64::cast_unsigned);
    let x: Vec<u64> = numbers(200).into_iter().chain(knots).collect();
    let y = both!(integers(&[&x], Fixed::<F>::sigmoid_cost(), x.len()), |ctx, v| {
        Fixed::<F>::sigmoid(ctx, v[0].view()).await
    });
    for (&x, y) in x.iter().zip(y) {
        assert_eq!(y.cast_signed(), reference::sigmoid(x.cast_signed(), F), "{x:x}");
    }
}

#[test]
fn sigmoids_are_their_twins() {
    sigmoid_is_its_twin::<14>();
    sigmoid_is_its_twin::<20>();
    sigmoid_is_its_twin::<28>();
    let cost = Fixed::<20>::sigmoid_cost();
    assert_eq!((cost.rounds, cost.bits_sent()), (31, 1706));
}

fn sigmoid_error(bits: u32, x: impl Iterator<Item = i64>) -> f64 {
    let ulp = 1.0 / (1_i64 << bits) as f64;
    let error = |x: i64| {
        let exact = 1.0 / (1.0 + (-(x as f64) * ulp).exp());
        (reference::sigmoid(x, bits) as f64 * ulp - exact).abs()
    };
    x.map(error).fold(0.0, f64::max)
}

#[test]
fn the_sigmoid_is_close_everywhere() {
    for bits in [14, 16, 20, 28] {
        let bound = 2.5e-5 + 0.5 / (1_i64 << bits) as f64;
        let end = 17_i64 << bits;
        let dense = sigmoid_error(bits, (-end..=end).step_by(usize::try_from(end / 300_000).unwrap().max(1)));
        assert!(dense < bound, "{bits} bits: {dense}");
        let far = sigmoid_error(bits, numbers(2000).into_iter().map(u64::cast_signed).chain([i64::MIN, i64::MAX]));
        assert!(far < bound, "{bits} bits: {far}");
    }
    // Monotonic but for the joints, where it steps back by less than the error.
    assert_eq!(reference::sigmoid(i64::MIN, 20), 0);
    assert_eq!(reference::sigmoid(i64::MAX, 20), 1 << 20);
}
