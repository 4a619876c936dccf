//! The verbs against plain arithmetic, their exact costs, and what a strand refuses.

use bytes::Bytes;
use std::sync::{Arc, Mutex};
use trefoil_engine::{
    Cost, LinkFault, PeerFault,
    prelude::*,
    ring::plain,
    testing::{Setup, on_shares, three, three_with},
    transport::memory::{Conditions, Position},
};

/// A fixed, irregular sequence.
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
    let (z, cost) = on_shares::<SemiHonest, R, _>(&[x, y], async |ctx, v| ctx.mul(v[0].view(), v[1].view()).await);
    assert_eq!(z, x.iter().zip(y).map(|(&x, &y)| x * y).collect::<Vec<_>>());
    assert_eq!(cost, Cost { rounds: 1, bytes_sent: size_of_val(x) as u64, products: x.len() as u64 });
}

#[test]
fn products_in_every_ring_with_exact_cost() {
    for n in [0, 1, 7, 8, 9, 64, 1000] {
        let (x, y) = (words(n, 1), words(n, 2));
        product_of(&x.iter().map(|&x| Lanes(x)).collect::<Vec<_>>(), &y.iter().map(|&y| Lanes(y)).collect::<Vec<_>>());
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

/// Two products, a square and linear terms in one gate of two outputs.
#[derive(Clone, Copy)]
struct Mixed;
impl Quadratic<3, 2> for Mixed {
    fn eval<A: Algebra>(&self, [a, b, c]: [Deg1<A>; 3]) -> [Deg2<A>; 2] {
        [a * b + c * c - a.into(), (a + b) * (b - c) + c.into()]
    }
}

#[test]
fn a_quadratic_gate_costs_its_outputs_and_not_its_products() {
    let n = 100;
    let v: Vec<Vec<Z64>> = (0..3).map(|k| words(n, k).into_iter().map(Z64).collect()).collect();
    let (z, cost) = on_shares::<SemiHonest, Z64, _>(&[&v[0], &v[1], &v[2]], async |ctx, v| {
        ctx.quadratic(&Mixed, [v[0].view(), v[1].view(), v[2].view()]).await
    });
    for e in 0..n {
        let expected = plain(&Mixed, [v[0][e], v[1][e], v[2][e]]);
        assert_eq!([z[e], z[n + e]], expected);
    }
    assert_eq!(cost, Cost { rounds: 1, bytes_sent: 2 * 8 * n as u64, products: 2 * n as u64 });
}

#[test]
fn a_dot_product_of_any_length_costs_one_element() {
    for n in [0, 1, 5, 4096] {
        let (x, y): (Vec<_>, Vec<_>) =
            (words(n, 3).into_iter().map(Z32_low).collect(), words(n, 4).into_iter().map(Z32_low).collect());
        let (z, cost) =
            on_shares::<SemiHonest, Z32, _>(&[&x, &y], async |ctx, v| ctx.dot(v[0].view(), v[1].view()).await);
        assert_eq!(z, [x.iter().zip(&y).fold(Z32(0), |s, (&x, &y)| s + x * y)]);
        assert_eq!(cost, Cost { rounds: 1, bytes_sent: 4, products: 1 });
    }
}

#[allow(non_snake_case)] // reads as the ring's constructor
fn Z32_low(x: u64) -> Z32 {
    Z32(x as u32)
}

#[test]
fn linear_maps_are_free() {
    struct Both;
    impl Linear<2, 2> for Both {
        fn eval<A: Algebra>(&self, [a, b]: [Deg1<A>; 2]) -> [Deg1<A>; 2] {
            [a + b, a - b]
        }
    }
    let (x, y): (Vec<_>, Vec<_>) =
        (words(50, 5).into_iter().map(Z64).collect(), words(50, 6).into_iter().map(Z64).collect());
    let (z, cost) = on_shares::<SemiHonest, Z64, _>(&[&x, &y], async |ctx, v| {
        let mut z = View::map(&Both, [v[0].view(), v[1].view()])?;
        z.add_public(ctx.me(), &[Z64(3); 100])?;
        z.add_assign(Shares::public(ctx.me(), &[Z64(4); 100]).view())?;
        Ok(z)
    });
    for e in 0..50 {
        assert_eq!(z[e], x[e] + y[e] + Z64(7));
        assert_eq!(z[50 + e], x[e] - y[e] + Z64(7));
    }
    assert_eq!(cost, Cost::default());
}

#[test]
fn opening_and_revealing() {
    let out = three::<SemiHonest, _, _>(async |mut ctx| {
        let x = ctx.random::<Z64>(5)?;
        let mut v = ctx.verify().await?;
        let all = v.open(x.view()).await?;
        let mut one = vec![];
        for p in Party::ALL {
            one.push(v.reveal_to(p, x.view()).await?);
        }
        Ok((v.me(), all, one, v.cost()))
    });
    for (me, all, one, cost) in &out {
        assert_eq!(all, &out[0].1);
        for (p, got) in Party::ALL.into_iter().zip(one) {
            assert_eq!(got.as_ref(), (p == *me).then_some(all));
        }
        // One opening to all, and one vector to the party whose `next` this is.
        assert_eq!(*cost, Cost { rounds: 4, bytes_sent: 80, products: 0 });
    }
}

#[test]
fn strands_run_in_any_order_and_their_rounds_overlap() {
    let out = three::<SemiHonest, _, _>(async |mut ctx| {
        let x = ctx.random::<Lanes>(3)?;
        let mut kids = ctx.fork(4).await?;
        // Another order on each party: names are fixed by the fork.
        let mut order: Vec<usize> = (0..4).collect();
        order.rotate_left(ctx.me().index());
        let work = kids.iter_mut().map(async |kid| {
            let mut z = x.view().to_shares();
            for _ in 0..5 {
                z = kid.mul(z.view(), x.view()).await?;
            }
            Ok::<_, Error>(z)
        });
        let mut work: Vec<_> = work.map(|w| Some(Box::pin(w))).collect();
        let mut products: Vec<Option<Shares<Lanes>>> = (0..4).map(|_| None).collect();
        // All in flight at once, polled in this party's order.
        std::future::poll_fn(|cx| {
            for &k in &order {
                if let Some(w) = work[k].as_mut()
                    && let std::task::Poll::Ready(z) = w.as_mut().poll(cx)
                {
                    products[k] = Some(z?);
                    work[k] = None;
                }
            }
            if work.iter().all(Option::is_none) {
                std::task::Poll::Ready(Ok::<_, Error>(()))
            } else {
                std::task::Poll::Pending
            }
        })
        .await?;
        drop(work);
        for kid in kids {
            ctx.join(kid)?;
        }
        let mut v = ctx.verify().await?;
        let x = v.open(x.view()).await?;
        for z in products.iter().flatten() {
            assert_eq!(v.open(z.view()).await?, x, "a bit to the sixth power is itself");
        }
        Ok(v.cost())
    });
    // 5 rounds side by side, then 5 openings of 24 bytes.
    assert_eq!(out, [Cost { rounds: 10, bytes_sent: 4 * 5 * 24 + 5 * 24, products: 60 }; 3]);
}

#[test]
fn a_lost_fork_blocks_opening_and_a_foreign_strand_is_not_joined() {
    let lost = three::<SemiHonest, _, _>(async |mut ctx| {
        drop(ctx.fork(1).await?);
        Ok(matches!(ctx.verify().await, Err(Error::UnjoinedFork(1))))
    });
    assert_eq!(lost, [true; 3]);
    let foreign = three::<SemiHonest, _, _>(async |mut ctx| {
        let mut kid = ctx.fork(1).await?.remove(0);
        let grandchild = kid.fork(1).await?.remove(0);
        let refused = matches!(ctx.join(grandchild), Err(Error::ForeignStrand { .. }));
        Ok(refused && matches!(ctx.join(kid), Err(Error::UnjoinedFork(1))))
    });
    assert_eq!(foreign, [true; 3]);
}

#[test]
fn a_verified_child_opens_in_the_middle() {
    let out = three::<SemiHonest, _, _>(async |mut ctx| {
        let x = ctx.random::<Z64>(2)?;
        let mut child = ctx.fork(1).await?.remove(0).verify().await?;
        let opened = child.open(x.view()).await?;
        ctx.join_verified(child)?;
        let y = ctx.mul(x.view(), x.view()).await?;
        let mut v = ctx.verify().await?;
        Ok((opened, v.open(y.view()).await?, v.cost()))
    });
    for (x, y, cost) in out {
        assert_eq!(y, [x[0] * x[0], x[1] * x[1]]);
        assert_eq!(cost, Cost { rounds: 3, bytes_sent: 48, products: 2 });
    }
}

#[test]
fn shapes_are_checked_before_anything_is_sent() {
    let out = three::<SemiHonest, _, _>(async |mut ctx| {
        let (x, y) = (ctx.random::<Z64>(3)?, ctx.random::<Z64>(4)?);
        let refused = matches!(ctx.mul(x.view(), y.view()).await, Err(Error::Shape { expected: 3, got: 4, .. }));
        Ok((refused, ctx.mul(x.view(), x.view()).await.is_ok(), ctx.cost().rounds))
    });
    assert_eq!(out, [(true, true, 1); 3]);
}

/// Runs one product under a tamper and gives each party's error, with whether its strand is poisoned afterwards.
fn tampered(tamper: impl FnMut(Position, Bytes) -> Vec<(u64, Bytes)> + Send + 'static) -> [(Option<Error>, bool); 3] {
    let setup = Setup { conditions: Conditions { tamper: Some(Box::new(tamper)), ..Conditions::default() }, seed: 0 };
    three_with::<SemiHonest, _, _>(setup, async |mut ctx| {
        let x = ctx.random::<Z64>(2)?;
        let first = ctx.mul(x.view(), x.view()).await.err();
        let again = ctx.mul(x.view(), x.view()).await.err();
        Ok((first, matches!(again, Some(Error::Poisoned))))
    })
    .map(|r| r.expect("errors are returned"))
}

#[test]
fn a_frame_of_the_wrong_length_names_the_sender_and_poisons_the_strand() {
    let out = tampered(|at, f| vec![(at.seq, if at.from == Party::P1 && at.seq == 0 { f.slice(..8) } else { f })]);
    assert!(matches!(
        out[0],
        (Some(Error::Peer { peer: Party::P1, fault: PeerFault::WrongLength { expected: 16, got: 8 } }), true)
    ));
    // The others go on until P0 is gone.
    assert!(out[1].0.is_none());
}

#[test]
fn a_duplicated_frame_is_out_of_place() {
    let setup = |tamper| Setup { conditions: Conditions { tamper: Some(tamper), ..Conditions::default() }, seed: 0 };
    let out =
        three_with::<SemiHonest, _, _>(
            setup(Box::new(|at: Position, f: Bytes| {
                if at.from == Party::P2 { vec![(at.seq, f.clone()), (at.seq, f)] } else { vec![(at.seq, f)] }
            })),
            async |mut ctx| {
                let x = ctx.random::<Z64>(2)?;
                let y = ctx.mul(x.view(), x.view()).await?;
                ctx.mul(y.view(), x.view()).await
            },
        );
    assert!(matches!(
        &out[1],
        Err(Error::Peer { peer: Party::P2, fault: PeerFault::WrongFrame { expected: 1, got: 0 } })
    ));
}

#[test]
fn a_party_that_leaves_ends_the_others_by_name() {
    let out = three_with::<SemiHonest, _, _>(Setup::default(), async |mut ctx| {
        if ctx.me() == Party::P2 {
            return Err(Error::StreamExhausted);
        }
        let x = ctx.random::<Z64>(2)?;
        ctx.mul(x.view(), x.view()).await
    });
    assert!(matches!(out[1], Err(Error::Link { peer: Party::P2, cause: LinkFault::Lost(_) })));
}

#[test]
fn latency_delays_but_changes_nothing() {
    let setup = Setup {
        conditions: Conditions { latency: std::time::Duration::from_millis(2), ..Conditions::default() },
        seed: 0,
    };
    let out = three_with::<SemiHonest, _, _>(setup, async |mut ctx| {
        let (x, y) = (Shares::public(ctx.me(), &[Z64(6)]), Shares::public(ctx.me(), &[Z64(7)]));
        let z = ctx.mul(x.view(), y.view()).await?;
        ctx.verify().await?.open(z.view()).await
    });
    assert!(out.into_iter().all(|r| r.is_ok_and(|z| z == [Z64(42)])));
}

#[test]
fn an_observer_sees_what_the_counters_say() {
    let seen = Arc::new(Mutex::new(0_u64));
    let count = seen.clone();
    let setup = Setup {
        conditions: Conditions {
            tamper: Some(Box::new(move |at, f| {
                *count.lock().unwrap() += f.len() as u64;
                vec![(at.seq, f)]
            })),
            ..Conditions::default()
        },
        seed: 0,
    };
    let out = three_with::<SemiHonest, _, _>(setup, async |mut ctx| {
        let x = ctx.random::<Z16>(9)?;
        let _ = ctx.mul(x.view(), x.view()).await?;
        Ok(ctx.cost().bytes_sent)
    });
    let counted: u64 = out.into_iter().map(|b| b.unwrap()).sum();
    assert_eq!((counted, *seen.lock().unwrap()), (54, 54));
}
