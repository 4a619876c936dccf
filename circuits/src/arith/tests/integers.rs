//! Conversions, comparisons and choices.

use super::{both, edges, pairs, random};
use crate::{
    arith::{
        ElementCost, a2b, a2b_cost, b2a, b2a_cost, clamp, clamp_cost, equal, equal_cost, inject, inject_cost,
        inject_sum, inject_sum_cost, less_than, less_than_cost, less_than_near, narrow, reference, relu, relu_cost,
        select, select_cost, sign, sign_cost,
    },
    boolean::Order,
};
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use trefoil_engine::{
    prelude::*,
    testing::{Setup, three_with},
    transport::memory::{Conditions, Tamper},
};

fn some(n: usize) -> Vec<u64> {
    edges().into_iter().chain(random(n, 9)).take(n).collect()
}

#[test]
fn the_table_of_the_module() {
    let table = [
        (a2b_cost(), 7, 275),
        (sign_cost(), 7, 151),
        (less_than_cost(), 8, 454),
        (equal_cost(), 8, 188),
        (b2a_cost(), 8, 339),
        (inject_cost(), 2, 128),
        (inject_sum_cost(5), 2, 64 * 6),
        (select_cost(), 2, 192),
        (relu_cost(), 9, 343),
        (clamp_cost(), 10, 622),
    ];
    for (k, (cost, rounds, bits)) in table.into_iter().enumerate() {
        assert_eq!((cost.rounds, cost.bits_sent()), (rounds, bits), "{k}");
    }
}

#[test]
fn integers_to_bits_and_back() {
    for n in [1, 63, 64, 65, 200] {
        let x = some(n);
        assert_eq!(both!(planes(64, &[&x], a2b_cost()), |ctx, x| a2b(ctx, x[0].view()).await), x);
        let there_and_back = a2b_cost().then(b2a_cost());
        let back = both!(integers(&[&x], there_and_back, n), |ctx, x| {
            let bits = a2b(ctx, x[0].view()).await?;
            b2a(ctx, x[0].len(), bits.view()).await
        });
        assert_eq!(back, x);
    }
}

#[test]
fn few_bits_are_integers_without_sign() {
    for k in [0, 1, 13, 63] {
        let x = some(130);
        let y = both!(integers(&[&x], a2b_cost().then(b2a_cost()), x.len()), |ctx, x| {
            let bits = a2b(ctx, x[0].view()).await?;
            let words = Lanes::words(x[0].len());
            b2a(ctx, x[0].len(), bits.view().slice(0, k * words)?).await
        });
        assert_eq!(y, x.iter().map(|x| x & ((1 << k) - 1)).collect::<Vec<_>>());
    }
}

#[test]
fn signs_and_their_injection() {
    for n in [1, 64, 100] {
        let x = some(n);
        let signs: Vec<u64> = x.iter().copied().map(reference::sign).collect();
        assert_eq!(both!(planes(1, &[&x], sign_cost()), |ctx, x| sign(ctx, x[0].view()).await), signs);
        let injected = both!(integers(&[&x], sign_cost().then(inject_cost()), n), |ctx, x| {
            let bits = sign(ctx, x[0].view()).await?;
            inject(ctx, x[0].len(), bits.view()).await
        });
        assert_eq!(injected, signs);
    }
}

#[test]
fn weighted_bits_are_summed() {
    let weights = [Z64(5), Z64(u64::MAX), Z64(1 << 63), Z64(0), Z64(1 << 40)];
    let x = some(150);
    let sums = both!(integers(&[&x], a2b_cost().then(inject_sum_cost(5)), x.len()), |ctx, x| {
        let (n, words) = (x[0].len(), Lanes::words(x[0].len()));
        let bits = a2b(ctx, x[0].view()).await?;
        inject_sum(ctx, n, bits.view().slice(0, 5 * words)?, &weights).await
    });
    let expected = |x: u64| weights.iter().enumerate().fold(0_u64, |s, (k, w)| s.wrapping_add(w.0 * (x >> k & 1)));
    assert_eq!(sums, x.into_iter().map(expected).collect::<Vec<_>>());
}

#[test]
fn comparisons_of_all_integers() {
    let [x, y] = pairs();
    let pairs = [&x[..], &y[..]];
    let of = |f: &dyn Fn(u64, u64) -> u64| x.iter().zip(&y).map(|(&x, &y)| f(x, y)).collect::<Vec<_>>();
    for order in Order::ALL {
        let less = both!(planes(1, &pairs, less_than_cost()), |ctx, v| {
            less_than(ctx, order, v[0].view(), v[1].view()).await
        });
        assert_eq!(less, of(&|x, y| reference::less_than(order, x, y)), "{order:?}");
    }
    let same = both!(planes(1, &pairs, equal_cost()), |ctx, v| equal(ctx, v[0].view(), v[1].view()).await);
    assert_eq!(same, of(&|x, y| u64::from(x == y)));
    let near = both!(planes(1, &pairs, sign_cost()), |ctx, v| less_than_near(ctx, v[0].view(), v[1].view()).await);
    for ((x, y), near) in x.iter().zip(&y).zip(near) {
        let (x, y) = (x.cast_signed(), y.cast_signed());
        let in_domain = x.checked_sub(y).is_some();
        assert_eq!(near == u64::from(x < y), in_domain, "{x} < {y}");
    }
}

#[test]
fn choices() {
    let [x, y] = pairs();
    let z = random(x.len(), 4);
    let price = sign_cost().then(select_cost());
    let chosen = both!(integers(&[&x, &y, &z], price, x.len()), |ctx, v| {
        let choice = sign(ctx, v[2].view()).await?;
        select(ctx, choice.view(), v[0].view(), v[1].view()).await
    });
    let expected: Vec<u64> =
        z.iter().zip(x.iter().zip(&y)).map(|(&z, (&x, &y))| reference::select(z >> 63, x, y)).collect();
    assert_eq!(chosen, expected);
    let positive = both!(integers(&[&x], relu_cost(), x.len()), |ctx, v| relu(ctx, v[0].view()).await);
    assert_eq!(positive, x.iter().copied().map(reference::relu).collect::<Vec<_>>());
}

#[test]
fn clamped_integers() {
    let limit = 1 << 62;
    let x: Vec<u64> = pairs()[0].iter().copied().filter(|x| (-limit + 1..limit).contains(&x.cast_signed())).collect();
    assert!(x.len() > 500);
    for (low, high) in [(-1, 1), (0, 0), (-(1 << 20), 1 << 31), (-limit + 1, limit - 1)] {
        let y = both!(integers(&[&x], clamp_cost(), x.len()), |ctx, v| clamp(ctx, v[0].view(), low, high).await);
        assert_eq!(y, x.iter().map(|&x| reference::clamp(x, low, high)).collect::<Vec<_>>());
    }
}

#[test]
fn shapes_are_checked() {
    let (x, y) = (some(3), some(2));
    let refused = super::run::<SemiHonest, Z64, _>(&[&x, &y], async |ctx, v| {
        let (x, y) = (v[0].view(), v[1].view());
        assert!(matches!(less_than(ctx, Order::Signed, x, y).await, Err(Error::Shape { .. })));
        assert!(matches!(equal(ctx, x, y).await, Err(Error::Shape { .. })));
        let bits = Shares::<Lanes>::zeros(2);
        assert!(matches!(select(ctx, bits.view(), x, x).await, Err(Error::Shape { .. })));
        assert!(matches!(inject(ctx, 65, Shares::zeros(3).view()).await, Err(Error::Shape { .. })));
        assert!(matches!(inject_sum(ctx, 1, bits.view(), &[Z64(1); 3]).await, Err(Error::Shape { .. })));
        assert!(matches!(b2a(ctx, 1, Shares::zeros(65).view()).await, Err(Error::Shape { .. })));
        assert_eq!(ctx.cost().products, 0);
        Ok(Shares::zeros(0))
    });
    assert!(refused.0.is_empty());
    assert_eq!(ElementCost::default().over(100), trefoil_engine::Cost::default());
}

/// No mask covers lanes past the last integer: what they hold must not be shown.
#[test]
fn lanes_past_the_last_integer_are_not_shown() {
    let frames_of = |past: u64| {
        let frames: Arc<Mutex<Vec<Bytes>>> = Arc::default();
        let seen = frames.clone();
        let tamper: Tamper = Box::new(move |at, frame| {
            seen.lock().unwrap().push(frame.clone());
            vec![(at.seq, frame)]
        });
        let setup = Setup { seed: 3, conditions: Conditions { tamper: Some(tamper), ..Conditions::default() } };
        let out = three_with::<SemiHonest, _, _>(setup, async |mut ctx| {
            let planes = [0b11_0110_0101 | past; 5].map(Lanes);
            let planes = Shares::public(ctx.me(), &planes);
            let x = b2a(&mut ctx, 10, planes.view()).await?;
            let narrow = narrow::b2a::<_, Z16>(&mut ctx, 10, planes.view()).await?;
            let mut v = ctx.verify().await?;
            Ok((v.open(x.view()).await?, v.open(narrow.view()).await?))
        });
        assert_eq!(out[0].as_ref().unwrap().0[..3], [Z64(31), Z64(0), Z64(31)]);
        let frames = frames.lock().unwrap();
        frames.clone()
    };
    assert_eq!(frames_of(0), frames_of(u64::MAX << 10));
}

#[test]
fn nothing_is_an_input_too() {
    let none = super::run::<Malicious, Z64, _>(&[&[]], async |ctx, v| {
        let x = v[0].view();
        let bits = a2b(ctx, x).await?;
        let less = less_than(ctx, Order::Signed, x, x).await?;
        let sum = inject_sum(ctx, 0, bits.view(), &[Z64(1); 2]).await?;
        assert!(less.is_empty() && sum.is_empty() && equal(ctx, x, x).await?.is_empty());
        b2a(ctx, 0, bits.view()).await
    });
    assert!(none.0.is_empty());
}
