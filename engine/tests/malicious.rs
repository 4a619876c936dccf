//! The malicious mode: the same results at stated costs, and whoever deviates is found.

use trefoil_engine::{
    Cost,
    prelude::*,
    testing::{on_shares, three},
};

fn words(n: usize, seed: u64) -> Vec<u64> {
    let mut s = seed;
    (0..n)
        .map(|_| {
            s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            s ^ s >> 31
        })
        .collect()
}

fn product_of<R: Ring>(x: &[R], y: &[R]) -> Cost {
    let (z, cost) = on_shares::<Malicious, R, _>(&[x, y], async |ctx, v| ctx.mul(v[0].view(), v[1].view()).await);
    assert_eq!(z, x.iter().zip(y).map(|(&x, &y)| x * y).collect::<Vec<_>>());
    cost
}

#[test]
fn products_in_every_ring_are_accepted() {
    for n in [1, 7, 8, 9, 64, 513, 1000] {
        let (x, y) = (words(n, 1), words(n, 2));
        let cost = product_of(
            &x.iter().map(|&x| Lanes(x)).collect::<Vec<_>>(),
            &y.iter().map(|&y| Lanes(y)).collect::<Vec<_>>(),
        );
        println!("{n} {cost:?}");
    }
    for n in [1, 9, 70] {
        let (x, y) = (words(n, 1), words(n, 2));
        let cost =
            product_of(&x.iter().map(|&x| Z64(x)).collect::<Vec<_>>(), &y.iter().map(|&y| Z64(y)).collect::<Vec<_>>());
        println!("{n} {cost:?}");
        product_of(
            &x.iter().map(|&x| Z32(x as u32)).collect::<Vec<_>>(),
            &y.iter().map(|&y| Z32(y as u32)).collect::<Vec<_>>(),
        );
        product_of(
            &x.iter().map(|&x| Z16(x as u16)).collect::<Vec<_>>(),
            &y.iter().map(|&y| Z16(y as u16)).collect::<Vec<_>>(),
        );
    }
}

#[test]
fn long_sums_go_in_parts() {
    let (x, y) = (words(150, 1), words(150, 2));
    let (x, y): (Vec<_>, Vec<_>) = (x.into_iter().map(Z64).collect(), y.into_iter().map(Z64).collect());
    let (z, cost) = on_shares::<Malicious, Z64, _>(&[&x, &y], async |ctx, v| ctx.dot(v[0].view(), v[1].view()).await);
    assert_eq!(z, [x.iter().zip(&y).fold(Z64(0), |sum, (&x, &y)| sum + x * y)]);
    assert_eq!(cost.products, 3);
}

#[test]
fn values_open_after_the_check() {
    let out = three(async |mut ctx: Ctx<Malicious>| {
        let x = Shares::public(ctx.me(), &[Z64(6)]);
        let y = Shares::public(ctx.me(), &[Z64(7)]);
        let z = ctx.mul(x.view(), y.view()).await?;
        let mut v = ctx.verify().await?;
        Ok((v.open(z.view()).await?, v.reveal_to(Party::P1, z.view()).await?))
    });
    assert!(out.iter().all(|(open, _)| *open == [Z64(42)]));
    assert_eq!(out[1].1, Some(vec![Z64(42)]));
}
