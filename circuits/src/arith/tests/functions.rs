//! Functions of fixed-point numbers: against the plain twins bit for bit, and these against floating point.

use super::{both, edges, random, run};
use crate::arith::{
    ElementCost,
    fixed::{Fixed, reference},
};
use trefoil_engine::prelude::*;

/// Numbers of all sizes.
fn numbers(n: usize) -> Vec<u64> {
    let random = random(n, 11).into_iter().enumerate().map(|(k, x)| (x.cast_signed() >> (k % 60)).cast_unsigned());
    edges().into_iter().chain(random).collect()
}

fn sigmoid_is_its_twin<const F: u32, const G: u32>(n: usize) {
    // Both sides of each knot, too.
    let knots = (-260..260_i64).flat_map(|k| [k << (G - 4), (k << (G - 4)) - 1]).map(i64::cast_unsigned);
    let x: Vec<u64> = knots.chain(numbers(200)).collect();
    for x in x.chunks(n) {
        let y = both!(integers(&[x], Fixed::<F>::sigmoid_of_cost::<G>(x.len()), x.len()), |ctx, v| {
            Fixed::<F>::sigmoid_of::<_, G>(ctx, v[0].view()).await
        });
        for (&x, y) in x.iter().zip(y) {
            assert_eq!(y.cast_signed(), reference::sigmoid_of(x.cast_signed(), G, F), "{x:x}");
        }
    }
}

#[test]
fn sigmoids_are_their_twins() {
    // Many at once, and in the parts in which few go another way.
    for n in [2000, 500] {
        sigmoid_is_its_twin::<15, 15>(n);
        sigmoid_is_its_twin::<17, 16>(n);
        sigmoid_is_its_twin::<20, 20>(n);
        sigmoid_is_its_twin::<28, 28>(n);
        sigmoid_is_its_twin::<20, 40>(n);
        sigmoid_is_its_twin::<28, 42>(n);
    }
    let price = |cost: ElementCost| (cost.rounds, cost.bits_sent());
    assert_eq!([512, 513].map(|n| price(Fixed::<20>::sigmoid_cost(n))), [(16, 5924), (29, 862)]);
    assert_eq!([512, 513].map(|n| price(Fixed::<20>::sigmoid_of_cost::<40>(n))), [(15, 5874), (28, 812)]);
    let bits = price(Fixed::<20>::sigmoid_bits_cost::<40>());
    assert_eq!((bits, price(Fixed::<20>::sigmoid_bits_cost::<20>())), ((20, 473), (21, 523)));
    let one =
        |n| run::<SemiHonest, Z64, _>(&[&vec![5; n]], async |ctx, v| Fixed::<20>::sigmoid(ctx, v[0].view()).await).1;
    assert_eq!([512, 513].map(one), [512, 513].map(|n| Fixed::<20>::sigmoid_cost(n).over(n)));
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
    for bits in [15, 16, 20, 28] {
        let bound = 4.4e-5 + if bits < 18 { 1.0 / (1_i64 << bits) as f64 } else { 0.0 };
        let end = 17_i64 << bits;
        let dense = sigmoid_error(bits, (-end..=end).step_by(usize::try_from(end / 300_000).unwrap().max(1)));
        assert!(dense < bound, "{bits} bits: {dense}");
        let far = sigmoid_error(bits, numbers(2000).into_iter().map(u64::cast_signed).chain([i64::MIN, i64::MAX]));
        assert!(far < bound, "{bits} bits: {far}");
    }
    // Monotonic but for the joints, where it steps back by less than the error.
    assert_eq!(reference::sigmoid(i64::MIN, 20), 0);
    assert_eq!(reference::sigmoid(i64::MAX, 20), (1 << 20) - 4);
}

/// Positive numbers below `2^bits`: powers of two and their neighbours, and random ones of all lengths.
fn positive(bits: u32, n: usize) -> Vec<u64> {
    let near = (0..bits).flat_map(|k| [(1_u64 << k) - 1, 1 << k, (1 << k) + 1, (2 << k) - 1]);
    let random = random(n, 12).into_iter().enumerate().map(|(k, x)| x >> (64 - bits) >> (k % bits as usize));
    near.chain(random).filter(|&x| x > 0 && x < 1 << bits).collect()
}

fn small() -> Vec<u64> {
    let near = (-23..13_i64).flat_map(|k| [(k << 20) - 1, k << 20, (k << 20) + 1]);
    let random = random(300, 13).into_iter().map(|x| x.cast_signed() >> 39);
    near.chain(random).chain([i64::from(i32::MIN) << 29, i64::from(i32::MAX) << 29]).map(i64::cast_unsigned).collect()
}

/// What comes out is the plain twin, at the price and in both modes.
macro_rules! is_its_twin {
    ($f:ident, $twin:ident, $cost:ident, $x:expr, $rounds:literal, $bits:literal) => {{
        type Number = Fixed<20>;
        let x = $x;
        let y = both!(integers(&[&x], Number::$cost(), x.len()), |ctx, v| Number::$f(ctx, v[0].view()).await);
        for (&x, y) in x.iter().zip(y) {
            assert_eq!(y.cast_signed(), Number::$twin(x.cast_signed()), "{x:x}");
        }
        assert_eq!((Number::$cost().rounds, Number::$cost().bits_sent()), ($rounds, $bits));
    }};
}

#[test]
fn reciprocals_are_their_twins() {
    is_its_twin!(reciprocal, plain_reciprocal, reciprocal_cost, positive(61, 200), 77, 4751);
}

#[test]
fn roots_are_their_twins() {
    is_its_twin!(sqrt, plain_sqrt, sqrt_cost, positive(60, 200), 103, 6128);
    is_its_twin!(inverse_sqrt, plain_inverse_sqrt, inverse_sqrt_cost, positive(60, 200), 102, 6130);
}

#[test]
fn exponentials_are_their_twins() {
    is_its_twin!(exp, plain_exp, exp_cost, small(), 72, 4140);
}

#[test]
fn logarithms_are_their_twins() {
    is_its_twin!(ln, plain_ln, ln_cost, positive(61, 200), 67, 5150);
}

#[test]
fn zero_has_no_reciprocal_and_nothing_is_divided_by_many() {
    type Number = Fixed<16>;
    let out = run::<SemiHonest, Z64, _>(&[&[0, 0], &[3 << 16]], async |ctx, v| {
        let (zero, three) = (v[0].view(), v[1].view());
        assert!(matches!(Number::div(ctx, zero, three).await, Err(Error::Shape { .. })));
        assert!(
            Number::ln(ctx, zero.slice(0, 0)?).await?.is_empty()
                && Number::exp(ctx, zero.slice(0, 0)?).await?.is_empty()
        );
        let third = Number::div(ctx, three, three).await?;
        let of_zero = [
            Number::reciprocal(ctx, zero).await?,
            Number::sqrt(ctx, zero).await?,
            Number::inverse_sqrt(ctx, zero).await?,
            third,
        ];
        Ok(Shares::concat(&of_zero.each_ref().map(Shares::view)))
    });
    assert_eq!(out.0[..6], [Z64(0); 6]);
    assert!(out.0[6].0.abs_diff(1 << 16) <= 1, "{:?}", out.0[6]);
}

/// The largest error of a twin in units of its bound.
fn worst<const F: u32>(x: Vec<u64>, twin: fn(i64) -> i64, exact: fn(f64) -> f64, bound: fn(f64) -> f64) -> f64 {
    let error = |x: u64| {
        let exact = exact(Fixed::<F>::decode(Z64(x)));
        (Fixed::<F>::decode(Z64(twin(x.cast_signed()).cast_unsigned())) - exact).abs() / bound(exact)
    };
    x.into_iter().map(error).fold(0.0, f64::max)
}

/// Every function within its bound over its domain.
fn close<const F: u32>() {
    type Bound = fn(f64) -> f64;
    let two = |exponent: u32| 0.5_f64.powi(exponent.cast_signed());
    assert!((two(F) - Fixed::<F>::ULP).abs() < 1e-30);
    let reciprocal: Bound = |y| 0.5_f64.powi(25.min(59 - 2 * F.cast_signed())) * y + Fixed::<F>::ULP;
    let root: Bound = |y| 0.5_f64.powi(21.min(29 - F.cast_signed() / 2)) * y + Fixed::<F>::ULP / 2.0;
    let inverse: Bound = |y| 0.5_f64.powi(22) * y + Fixed::<F>::ULP;
    let exp: Bound = |y| 0.5_f64.powi(23.min(43 - F.cast_signed())) * y + Fixed::<F>::ULP;
    let ln: Bound = |_| 0.5_f64.powi(23) + Fixed::<F>::ULP / 2.0;
    let arguments = (-22_i64 << F..=11 << F).step_by(1_usize.max((1 << F) / 5000)).map(i64::cast_unsigned).collect();
    for (name, worst) in [
        ("reciprocal", worst::<F>(positive(61, 100_000), Fixed::<F>::plain_reciprocal, |x| 1.0 / x, reciprocal)),
        ("sqrt", worst::<F>(positive(60, 100_000), Fixed::<F>::plain_sqrt, f64::sqrt, root)),
        (
            "inverse_sqrt",
            worst::<F>(positive(60, 100_000), Fixed::<F>::plain_inverse_sqrt, |x| 1.0 / x.sqrt(), inverse),
        ),
        ("exp", worst::<F>(arguments, Fixed::<F>::plain_exp, f64::exp, exp)),
        ("ln", worst::<F>(positive(61, 100_000), Fixed::<F>::plain_ln, f64::ln, ln)),
    ] {
        println!("{name} of {F} bits: {worst:.3} of its bound");
        assert!(worst < 1.0, "{name} of {F} bits: {worst} times its bound");
    }
}

#[test]
fn functions_are_close_over_their_domains() {
    close::<8>();
    close::<16>();
    close::<20>();
    close::<22>();
}

/// A node runs programs as tasks on its threads, in either mode.
#[test]
fn futures_can_be_sent() {
    type Number = Fixed<20>;
    fn sendable<T>(future: impl Future<Output = Result<T, Error>> + Send) {
        drop(future);
    }
    fn all<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Z64>) {
        sendable(Number::sigmoid(ctx, x));
        sendable(Number::div(ctx, x, x));
        sendable(Number::sqrt(ctx, x));
        sendable(Number::inverse_sqrt(ctx, x));
        sendable(Number::exp(ctx, x));
        sendable(Number::ln(ctx, x));
        sendable(Number::dot(ctx, x, x));
        sendable(crate::arith::sort(ctx, &[x]));
        sendable(crate::arith::shuffle(ctx, &[x]));
        sendable(crate::arith::argmax(ctx, 1, x));
        sendable(crate::arith::clamp(ctx, x, 0, 1));
        sendable(crate::arith::equal(ctx, x, x));
    }
    let out = run::<SemiHonest, Z64, _>(&[&[1]], async |ctx, v| {
        all(ctx, v[0].view());
        Ok(Shares::zeros(0))
    });
    let checked = run::<Malicious, Z64, _>(&[&[1]], async |ctx, v| {
        all(ctx, v[0].view());
        Ok(Shares::zeros(0))
    });
    // A future that was not polled has done nothing.
    assert_eq!((out.1, checked.1), Default::default());
}
