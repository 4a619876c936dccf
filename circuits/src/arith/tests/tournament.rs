//! The best of several.

use super::{both, random, run};
use crate::arith::{Extreme, argmax, tournament, tournament_cost};
use trefoil_engine::prelude::*;

const N: usize = 64;

/// Contests with equals, negative numbers, and the widest differences allowed.
fn numbers(m: usize) -> Vec<u64> {
    let mut x: Vec<i64> = random(m * N, 3).into_iter().map(|x| (x % 7).cast_signed() - 3).collect();
    for (k, x) in x.iter_mut().enumerate().filter(|(k, _)| k % N < 8) {
        *x = if (k / N).is_multiple_of(2) { (1 << 62) - 1 } else { -(1 << 62) };
    }
    x.into_iter().map(i64::cast_unsigned).collect()
}

#[test]
fn the_first_of_the_largest_wins() {
    for m in [1, 2, 3, 5, 8, 13] {
        let x = numbers(m);
        let best = both!(integers(&[&x], tournament_cost(m, 2), N), |ctx, v| {
            let [value, place] = argmax(ctx, m, v[0].view()).await?;
            Ok(Shares::concat(&[value.view(), place.view()]))
        });
        for k in 0..N {
            let of = |c: usize| x[c * N + k].cast_signed();
            let place = (0..m).rev().max_by_key(|&c| of(c)).unwrap();
            assert_eq!((best[k].cast_signed(), best[N + k]), (of(place), place as u64), "{m} candidates");
        }
    }
}

#[test]
fn the_smallest_takes_its_columns_along() {
    let x = numbers(6);
    let y = random(6 * N, 8);
    let best = both!(integers(&[&x, &y], tournament_cost(6, 2), N), |ctx, v| {
        let all = tournament(ctx, Extreme::Min, 6, &[v[0].view(), v[1].view()]).await?;
        Ok(Shares::concat(&[all[0].view(), all[1].view()]))
    });
    for k in 0..N {
        let place = (0..6).min_by_key(|&c| x[c * N + k].cast_signed()).unwrap();
        assert_eq!([best[k], best[N + k]], [x[place * N + k], y[place * N + k]]);
    }
}

#[test]
fn columns_have_one_shape() {
    let out = run::<SemiHonest, Z64, _>(&[&[1; 6], &[1; 5]], async |ctx, v| {
        let (x, y) = (v[0].view(), v[1].view());
        assert!(matches!(tournament(ctx, Extreme::Max, 3, &[x, y]).await, Err(Error::Shape { .. })));
        assert!(matches!(tournament(ctx, Extreme::Max, 4, &[x]).await, Err(Error::Shape { .. })));
        assert!(matches!(tournament(ctx, Extreme::Max, 0, &[x]).await, Err(Error::Shape { .. })));
        assert!(tournament(ctx, Extreme::Max, 3, &[]).await?.is_empty());
        Ok(Shares::zeros(0))
    });
    assert!(out.0.is_empty());
}
