//! Truncation, products and flags.

use super::{both, edges, random, run};
use crate::arith::fixed::{Fixed, Flags, any_cost, beyond_cost, floor_shift, reference, round_shift, shift_cost};
use trefoil_engine::prelude::*;

/// Integers below `limit` in absolute value: edges of all kinds, then random ones of all lengths.
fn within(limit: u64, n: usize) -> Vec<u64> {
    let limit = limit.cast_signed();
    let ends = [0, 1, 2, limit / 2, limit - 2, limit - 1];
    let random = random(n, 5).into_iter().enumerate().map(|(k, x)| x.cast_signed() >> (k % 64));
    let all = ends.into_iter().chain(edges().into_iter().map(u64::cast_signed)).chain(random);
    all.flat_map(|x| [x, x.wrapping_neg()])
        .filter(|x| x.unsigned_abs() < limit.unsigned_abs())
        .map(i64::cast_unsigned)
        .collect()
}

#[test]
fn shifts_are_exact_over_their_domain() {
    for bits in [1, 2, 3, 13, 16, 20, 31, 32, 33, 48, 59, 60] {
        let x = within(1 << 61, 200);
        assert!(x.len() > 300);
        let y = both!(integers(&[&x], shift_cost(bits), x.len()), |ctx, v| floor_shift(ctx, v[0].view(), bits).await);
        for (&x, y) in x.iter().zip(y) {
            assert_eq!(y.cast_signed(), reference::floor_shift(x.cast_signed(), bits), "{x:x} by {bits}");
        }
        let x = within((1 << 61) - (1 << (bits - 1)), 100);
        let y = both!(integers(&[&x], shift_cost(bits), x.len()), |ctx, v| round_shift(ctx, v[0].view(), bits).await);
        for (&x, y) in x.iter().zip(y) {
            assert_eq!(y.cast_signed(), reference::round_shift(x.cast_signed(), bits), "{x:x} by {bits}");
        }
    }
}

#[test]
fn shares_of_any_kind_are_shifted_exactly() {
    // The same few numbers under many sharings: components that wrap around not at all, once and twice.
    for seed in 0..40 {
        let x: Vec<Z64> = [0, 1, u64::MAX, (1 << 61) - 1, (1_u64 << 61).wrapping_neg() + 1].map(Z64).to_vec();
        let setup = trefoil_engine::testing::Setup { seed, ..Default::default() };
        let out = trefoil_engine::testing::on_shares_with::<SemiHonest, Z64, _, _>(setup, &[&x], async |mut ctx, v| {
            let y = floor_shift(&mut ctx, v[0].view(), 13).await?;
            ctx.verify().await?.open(y.view()).await
        });
        for out in out {
            for (x, y) in x.iter().zip(out.unwrap()) {
                assert_eq!(y.0.cast_signed(), x.0.cast_signed() >> 13);
            }
        }
    }
}

#[test]
fn nothing_or_too_much_to_shift() {
    let out = run::<SemiHonest, Z64, _>(&[&[5, 6]], async |ctx, v| {
        assert!(matches!(round_shift(ctx, v[0].view(), 61).await, Err(Error::Shape { .. })));
        assert!(matches!(floor_shift(ctx, v[0].view(), u32::MAX).await, Err(Error::Shape { .. })));
        round_shift(ctx, v[0].view(), 0).await
    });
    assert_eq!(out.0, [Z64(5), Z64(6)]);
    assert_eq!(out.1, trefoil_engine::Cost::default());
}

/// The mean error of rounding is within five standard deviations of zero, that of cutting off is half a unit.
#[test]
fn rounding_is_unbiased() {
    const BITS: u32 = 16;
    let x: Vec<u64> = random(20_000, 6).into_iter().map(|x| (x.cast_signed() >> 20).cast_unsigned()).collect();
    let mean = |y: &[Z64]| {
        let errors =
            x.iter().zip(y).map(|(x, y)| y.0.cast_signed() as f64 - x.cast_signed() as f64 / f64::from(1 << BITS));
        errors.sum::<f64>() / x.len() as f64
    };
    let (rounded, _) = run::<SemiHonest, Z64, _>(&[&x], async |ctx, v| round_shift(ctx, v[0].view(), BITS).await);
    let (cut, _) = run::<SemiHonest, Z64, _>(&[&x], async |ctx, v| floor_shift(ctx, v[0].view(), BITS).await);
    let deviation = (1.0 / 12.0 / x.len() as f64).sqrt();
    assert!(mean(&rounded).abs() < 5.0 * deviation, "{}", mean(&rounded));
    assert!((mean(&cut) + 0.5).abs() < 5.0 * deviation, "{}", mean(&cut));
}

#[test]
fn products_are_truncated_once() {
    const F: u32 = 20;
    type Number = Fixed<F>;
    let n = 200;
    let of = |seed| random(n, seed).into_iter().map(|x| (x.cast_signed() >> 34).cast_unsigned()).collect::<Vec<_>>();
    let (x, y) = (of(1), of(2));
    let z = both!(integers(&[&x, &y], Number::product_cost(), n), |ctx, v| Number::mul(ctx, v[0].view(), v[1].view())
        .await);
    for k in 0..n {
        let (x, y, z) = (x[k].cast_signed(), y[k].cast_signed(), z[k].cast_signed());
        assert_eq!(z, reference::mul(x, y, F));
        let exact = Number::decode(Z64(x.cast_unsigned())) * Number::decode(Z64(y.cast_unsigned()));
        assert!((Number::decode(Z64(z.cast_unsigned())) - exact).abs() <= Number::ULP / 2.0);
    }
    let signed = |v: &[u64]| v.iter().map(|x| x.cast_signed()).collect::<Vec<_>>();
    for len in [1, 50] {
        let dot = both!(integers(&[&x[..len], &y[..len]], Number::product_cost(), 1), |ctx, v| {
            Number::dot(ctx, v[0].view(), v[1].view()).await
        });
        assert_eq!(dot[0].cast_signed(), reference::dot(&signed(&x[..len]), &signed(&y[..len]), F));
    }
    // Two sums of 100 terms that are vectors of one element; in malicious mode in parts.
    let (sums, cost) = run::<Malicious, Z64, _>(&[&x, &y], async |ctx, v| {
        Number::sums_of_products(ctx, v[0].view(), v[1].view(), &[100, 100], 1).await
    });
    for (k, sum) in sums.iter().enumerate() {
        let part = k * 100..(k + 1) * 100;
        assert_eq!(sum.0.cast_signed(), reference::dot(&signed(&x[part.clone()]), &signed(&y[part]), F));
    }
    assert_eq!(cost.rounds, Number::product_cost().rounds);
}

#[test]
fn the_table_of_the_module() {
    let table = [(shift_cost(20), 8, 367), (Fixed::<20>::product_cost(), 9, 431), (beyond_cost(), 7, 302)];
    for (k, (cost, rounds, bits)) in table.into_iter().enumerate() {
        assert_eq!((cost.rounds, cost.bits_sent()), (rounds, bits), "{k}");
    }
}

async fn flagged<M: Mode>(ctx: &mut Ctx<M>, x: &Shares<Z64>, bits: u32) -> Result<Shares<Lanes>, Error> {
    let mut flags = Flags::default();
    flags.raise_beyond(ctx, x.view(), bits).await?;
    flags.any(ctx).await
}

#[test]
fn whatever_leaves_its_range_raises_the_flag() {
    for bits in [0, 5, 40, 62] {
        let limit = 1_i64 << bits;
        let mut x = edges();
        x.extend([limit, limit - 1, -limit, -limit - 1].map(i64::cast_unsigned));
        let beyond = |x: u64| !(-limit..limit).contains(&x.cast_signed());
        for &x in &x {
            let (flag, cost) = run::<SemiHonest, Lanes, _>(&[&[x]], async |ctx, v| flagged(ctx, &v[0], bits).await);
            assert_eq!(flag, [Lanes(u64::from(beyond(x)))], "{x:x}, {bits} bits");
            let (range, any) = (beyond_cost().over(1), any_cost(2).over(1));
            assert_eq!((cost.rounds, cost.bytes_sent), (range.rounds + any.rounds, range.bytes_sent + any.bytes_sent));
        }
        // One among many, and none.
        for n in [64, 65, 200] {
            let mut x: Vec<u64> = vec![(limit - 1).cast_unsigned(); n];
            for raised in [0, 1] {
                let (flag, _) = run::<Malicious, Lanes, _>(&[&x], async |ctx, v| flagged(ctx, &v[0], bits).await);
                assert_eq!(flag, [Lanes(raised)]);
                x[n - 1] = limit.cast_unsigned();
            }
        }
    }
}

#[test]
fn checked_products_say_when_a_factor_is_too_large() {
    type Number = Fixed<16>;
    for (x, y, raised) in [(15.5, -1000.0, 0), (16.5, 2.0, 1), (1.0, 3000.0, 1), (-16.0, 2047.0, 0)] {
        let [x, y] = [x, y].map(|v| [Number::encode(v).unwrap().0]);
        let (flag, _) = run::<SemiHonest, Lanes, _>(&[&x, &y], async |ctx, v| {
            let mut flags = Flags::default();
            let (x, y) = (v[0].view(), v[1].view());
            assert!(Number::mul_checked(ctx, &mut flags, x, y, [20, 9]).await.is_err());
            let z = Number::mul_checked(ctx, &mut flags, x, y, [4, 11]).await?;
            assert_eq!(z.len(), 1);
            flags.any(ctx).await
        });
        assert_eq!(flag, [Lanes(raised)]);
    }
    let none = run::<SemiHonest, Lanes, _>(&[&[]], async |ctx, _| Flags::default().any(ctx).await);
    assert_eq!(none.0, [Lanes(0)]);
}
