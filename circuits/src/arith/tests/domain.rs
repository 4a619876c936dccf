//! Functions that say when an argument lies outside of their domain.

use super::run;
use crate::arith::fixed::{Fixed, Flags, Function, beyond_cost};
use trefoil_engine::prelude::*;

type Number = Fixed<20>;

/// The results of a checked function, and whether the flag is raised.
async fn checked<M: Mode>(ctx: &mut Ctx<M>, f: Function, x: View<'_, Z64>) -> Result<[Shares<Z64>; 2], Error> {
    let mut flags = Flags::default();
    let y = Number::checked(ctx, &mut flags, f, x).await?;
    let raised = flags.any(ctx).await?;
    let raised = crate::arith::inject(ctx, 1, raised.view()).await?;
    Ok([y, raised])
}

fn plain(f: Function, x: i64) -> i64 {
    match f {
        Function::Reciprocal => Number::plain_reciprocal(x),
        Function::Sqrt => Number::plain_sqrt(x),
        Function::InverseSqrt => Number::plain_inverse_sqrt(x),
        Function::Exp => Number::plain_exp(x),
        Function::Ln => Number::plain_ln(x),
    }
}

#[test]
fn within_their_domain_functions_are_their_twins_and_outside_they_raise_the_flag() {
    for f in Function::ALL {
        let [low, high] = f.domain(20);
        let within = [low, high, (low + 1).max(3), 1 << 20, high / 5];
        let words: Vec<u64> = within.iter().map(|x| x.cast_unsigned()).collect();
        let (out, _) = run::<SemiHonest, Z64, _>(&[&words], async |ctx, v| {
            let [y, raised] = checked(ctx, f, v[0].view()).await?;
            Ok(Shares::concat(&[y.view(), raised.view()]))
        });
        let expected: Vec<i64> = within.iter().map(|&x| plain(f, x)).chain([0]).collect();
        assert_eq!(out.iter().map(|y| y.0.cast_signed()).collect::<Vec<_>>(), expected, "{f:?}");
        for outside in [low - 1, high + 1, i64::MIN, i64::MAX, i64::MIN / 2 - 1] {
            let words = [1 << 20, outside.cast_unsigned()];
            let raise = async |ctx: &mut Ctx<SemiHonest>, v: &[Shares<Z64>]| {
                let [_, raised] = checked(ctx, f, v[0].view()).await?;
                Ok(raised)
            };
            assert_eq!(run::<SemiHonest, Z64, _>(&[&words], raise).0, [Z64(1)], "{f:?} of {outside}");
        }
    }
    let (out, _) = run::<Malicious, Z64, _>(&[&[0]], async |ctx, v| {
        let [_, zero] = checked(ctx, Function::Sqrt, v[0].view()).await?;
        let [_, above] = checked(ctx, Function::Ln, v[0].view()).await?;
        Ok(Shares::concat(&[zero.view(), above.view()]))
    });
    assert_eq!(out, [Z64(0), Z64(1)]);
}

#[test]
fn checked_quotients_say_when_an_operand_is_out_of_bounds() {
    for (x, y, raised) in [
        (1023.0, 1.0, false),
        (-1024.0, 0.002, false),
        (1024.0, 1.0, true),
        (1.0, 0.0009, true),
        (1.0, 0.0, true),
        (1.0, -1.0, true),
        (3.0, 1e12, false),
    ] {
        let operands = [x, y].map(|v| [Number::encode(v).unwrap().0]);
        let divide = async |ctx: &mut Ctx<SemiHonest>, v: &[Shares<Z64>]| {
            let mut flags = Flags::default();
            let (x, y) = (v[0].view(), v[1].view());
            for bits in [[11, 10], [0, 21], [u32::MAX, 1]] {
                assert!(Number::div_checked(ctx, &mut flags, x, y, bits).await.is_err(), "{bits:?}");
            }
            let z = Number::div_checked(ctx, &mut flags, x, y, [10, 10]).await?;
            let raised = flags.any(ctx).await?;
            Ok(Shares::concat(&[z.view(), crate::arith::inject(ctx, 1, raised.view()).await?.view()]))
        };
        let (out, _) = run::<SemiHonest, Z64, _>(&[&operands[0], &operands[1]], divide);
        assert_eq!(out[1], Z64(u64::from(raised)), "{x} / {y}");
        if !raised {
            let [x, y] = [&operands[0], &operands[1]].map(|v| Number::decode(Z64(v[0])));
            let error = (Number::decode(out[0]) - x / y).abs();
            assert!(error <= x.abs() * (2e-6 / y + 1e-6) + 1e-6, "{x} / {y}: {error}");
        }
    }
}

#[test]
fn a_checked_function_costs_one_comparison_with_either_end_more() {
    let (_, cost) = run::<SemiHonest, Z64, _>(&[&[5; 64]], async |ctx, v| {
        Number::checked(ctx, &mut Flags::default(), Function::Sqrt, v[0].view()).await
    });
    assert_eq!(cost, beyond_cost().then(Number::sqrt_cost()).over(64));
}
