//! The malicious mode: the same results at stated costs, and whoever deviates is found.

use trefoil_engine::{
    Deviation,
    prelude::*,
    testing::{Setup, on_shares, three, three_with},
    transport::{
        Path,
        memory::{Conditions, Position},
    },
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

fn product_of<R: Ring>(x: &[R], y: &[R]) {
    let (z, cost) = on_shares::<Malicious, R, _>(&[x, y], async |ctx, v| ctx.mul(v[0].view(), v[1].view()).await);
    assert_eq!(z, x.iter().zip(y).map(|(&x, &y)| x * y).collect::<Vec<_>>());
    assert_eq!(cost.products, x.len() as u64);
}

#[test]
fn products_in_every_ring_are_accepted() {
    for n in [1, 7, 8, 9, 64, 513, 1000] {
        let (x, y) = (words(n, 1), words(n, 2));
        product_of(&x.iter().map(|&x| Lanes(x)).collect::<Vec<_>>(), &y.iter().map(|&y| Lanes(y)).collect::<Vec<_>>());
    }
    for n in [1, 9, 70] {
        let (x, y) = (words(n, 1), words(n, 2));
        product_of(&x.iter().map(|&x| Z64(x)).collect::<Vec<_>>(), &y.iter().map(|&y| Z64(y)).collect::<Vec<_>>());
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

/// The first message of P1 on the root strand is wrong.
fn wrong_product() -> Setup {
    let tamper = |at: Position, frame: bytes::Bytes| {
        let mut bytes = frame.to_vec();
        bytes[0] ^= u8::from((at.path, at.from, at.seq, at.to) == (Path::root(), Party::P1, 0, Party::P0));
        vec![(at.seq, bytes.into())]
    };
    Setup { seed: 1, conditions: Conditions { tamper: Some(Box::new(tamper)), ..Conditions::default() } }
}

async fn product(ctx: &mut Ctx<Malicious>) -> Result<Shares<Z64>, Error> {
    let (x, y) = (Shares::public(ctx.me(), &[Z64(6)]), Shares::public(ctx.me(), &[Z64(7)]));
    ctx.mul(x.view(), y.view()).await
}

#[test]
fn a_failed_check_that_is_overlooked_opens_nothing() {
    let out = three_with::<Malicious, _, _>(wrong_product(), async |mut ctx| {
        let z = product(&mut ctx).await?;
        let failed = ctx.check().await;
        assert!(ctx.me() == Party::P1 || matches!(failed, Err(Error::Abort { what: Deviation::Product, .. })));
        ctx.verify().await?.open(z.view()).await
    });
    assert!(matches!(out[0], Err(Error::Poisoned)) && matches!(out[2], Err(Error::Poisoned)));
}

#[test]
fn a_strand_that_rests_on_unchecked_gates_is_not_verified() {
    let run = |setup, check: bool| {
        three_with::<Malicious, _, _>(setup, async |mut ctx| {
            let z = product(&mut ctx).await?;
            if check {
                ctx.check().await?;
            }
            let mut child = ctx.fork(1).await?.remove(0);
            let w = child.mul(z.view(), z.view()).await?;
            child.verify().await?.open(w.view()).await
        })
    };
    assert!(run(wrong_product(), false).iter().all(|r| matches!(r, Err(Error::Unchecked { .. }))));
    assert!(matches!(run(wrong_product(), true)[0], Err(Error::Abort { .. })));
    assert!(run(Setup::default(), true).into_iter().all(|r| r.is_ok_and(|w| w == [Z64(42 * 42)])));
}

/// One type, two kernels.
#[derive(Clone, Copy)]
struct Both;
impl Quadratic<2, 1> for Both {
    fn eval<A: Algebra>(&self, [a, b]: [Deg1<A>; 2]) -> [Deg2<A>; 1] {
        [a * b]
    }
}
impl Quadratic<4, 2> for Both {
    fn eval<A: Algebra>(&self, [a, b, c, d]: [Deg1<A>; 4]) -> [Deg2<A>; 2] {
        [a * b, c * d]
    }
}

#[test]
fn kernels_of_one_type_and_two_shapes_are_two() {
    let out = three::<Malicious, _, _>(async |mut ctx| {
        let x = Shares::public(ctx.me(), &[Lanes(6)]);
        let v = x.view();
        ctx.quadratic::<_, _, 2, 1>(&Both, [v, v]).await?;
        ctx.quadratic::<_, _, 4, 2>(&Both, [v; 4]).await?;
        ctx.quadratic::<_, _, 2, 1>(&Both, [v, v]).await?;
        Ok(ctx.verify().await?.cost().products)
    });
    assert_eq!(out, [4; 3]);
}

#[test]
fn a_site_keeps_to_its_strand_and_its_kernel_in_either_mode() {
    async fn misused<M: Mode>(mut ctx: Ctx<M>) -> Result<(), Error> {
        let x = Shares::public(ctx.me(), &[Lanes(6)]);
        let v = x.view();
        let mut child = ctx.fork(1).await?.remove(0);
        let mut site = ctx.site::<_, Both, 2, 4, 2>(&Both, &[v, v])?;
        let strange = child.quadratic_on::<_, Both, 2, 1>(&mut site, &Both, [v, v]).await;
        assert!(matches!(strange, Err(Error::ForeignStrand { .. })));
        assert!(matches!(ctx.close(site).await, Err(Error::Shape { .. })), "gates are missing");
        assert!(matches!(ctx.check().await, Err(Error::OpenSite(1))));
        Ok(())
    }
    three::<SemiHonest, _, _>(misused);
    three::<Malicious, _, _>(misused);
}
