//! Sorting and shuffling of rows.

use super::{random, run};
use crate::arith::{shuffle, shuffle_cost, sort, sort_cost};
use std::collections::BTreeMap;
use trefoil_engine::{
    prelude::*,
    testing::{Setup, on_shares_with},
};

fn columns<R: Copy>(all: &[R], n: usize) -> Vec<Vec<R>> {
    all.chunks(n.max(1)).map(<[R]>::to_vec).collect()
}

#[test]
fn rows_are_sorted_by_their_keys() {
    for n in [0, 1, 2, 3, 7, 64, 90] {
        // Keys that come twice, negative ones, and the widest difference allowed.
        let mut keys: Vec<i64> = random(n, 1).into_iter().map(|x| (x % 40).cast_signed() - 20).collect();
        if n > 2 {
            (keys[1], keys[2]) = ((1 << 62) - 1, -(1 << 62));
        }
        let keys: Vec<u64> = keys.into_iter().map(i64::cast_unsigned).collect();
        let rows: Vec<u64> = (0..n as u64).collect();
        let sorted = async |ctx: &mut Ctx<SemiHonest>, v: &[Shares<Z64>]| {
            let all = sort(ctx, &[v[0].view(), v[1].view()]).await?;
            Ok(Shares::concat(&[all[0].view(), all[1].view()]))
        };
        let (out, cost) = run::<SemiHonest, Z64, _>(&[&keys, &rows], sorted);
        let (checked, _) = run::<Malicious, Z64, _>(&[&keys, &rows], async |ctx, v| {
            let all = sort(ctx, &[v[0].view(), v[1].view()]).await?;
            Ok(Shares::concat(&[all[0].view(), all[1].view()]))
        });
        assert_eq!(out, checked);
        assert_eq!(cost, sort_cost(n, 2), "{n} rows");
        let mut expected: Vec<i64> = keys.iter().map(|x| x.cast_signed()).collect();
        expected.sort_unstable();
        if let [found, places] = &columns(&out, n)[..] {
            assert_eq!(found.iter().map(|x| x.0.cast_signed()).collect::<Vec<_>>(), expected);
            let mut seen: Vec<u64> = places.iter().map(|x| x.0).collect();
            assert!(seen.iter().zip(found).all(|(&place, key)| keys[place as usize] == key.0));
            seen.sort_unstable();
            assert_eq!(seen, rows);
        }
    }
}

#[test]
fn columns_have_one_length() {
    let out = run::<SemiHonest, Z64, _>(&[&[1, 2], &[1]], async |ctx, v| {
        assert!(matches!(sort(ctx, &[v[0].view(), v[1].view()]).await, Err(Error::Shape { .. })));
        assert!(sort(ctx, &[]).await?.is_empty() && shuffle(ctx, &[]).await?.is_empty());
        Ok(Shares::zeros(0))
    });
    assert!(out.0.is_empty());
}

#[test]
fn a_shuffle_keeps_rows_together() {
    let (x, y) = (random(70, 2), random(70, 3));
    let shuffled = async |ctx: &mut Ctx<Malicious>, v: &[Shares<Z64>]| {
        let all = shuffle(ctx, &[v[0].view(), v[1].view()]).await?;
        Ok(Shares::concat(&[all[0].view(), all[1].view()]))
    };
    let (out, cost) = run::<Malicious, Z64, _>(&[&x, &y], shuffled);
    assert_eq!((cost.rounds, cost.products), (shuffle_cost(70, 2).rounds, shuffle_cost(70, 2).products));
    let pairs: Vec<[u64; 2]> = (0..70).map(|k| [out[k].0, out[70 + k].0]).collect();
    let before: Vec<[u64; 2]> = x.iter().zip(&y).map(|(&x, &y)| [x, y]).collect();
    assert_ne!(pairs, before);
    let sorted = |mut rows: Vec<[u64; 2]>| {
        rows.sort_unstable();
        rows
    };
    assert_eq!(sorted(pairs), sorted(before));
}

/// Each of the six orders of three rows, within six standard deviations.
#[test]
fn all_orders_are_as_likely() {
    const RUNS: u64 = 600;
    let mut seen = BTreeMap::new();
    for seed in 0..RUNS {
        let setup = Setup { seed, ..Setup::default() };
        let [out, ..] =
            on_shares_with::<SemiHonest, Z64, _, _>(setup, &[&[Z64(0), Z64(1), Z64(2)]], async |mut ctx, v| {
                let rows = shuffle(&mut ctx, &[v[0].view()]).await?;
                ctx.verify().await?.open(rows[0].view()).await
            });
        *seen.entry(out.unwrap().iter().map(|x| x.0).collect::<Vec<_>>()).or_insert(0_u64) += 1;
    }
    assert_eq!(seen.len(), 6);
    let deviation = (RUNS as f64 * 5.0 / 36.0).sqrt();
    assert!(seen.values().all(|&count| (count as f64 - RUNS as f64 / 6.0).abs() < 6.0 * deviation), "{seen:?}");
}
