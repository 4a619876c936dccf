//! Integers of 16, 32 and 64 bits: conversions and comparisons.

use super::{edges, random};
use crate::{
    arith::{
        ElementCost,
        narrow::{Word, a2b, a2b_cost, b2a, b2a_cost, less_than, less_than_cost, less_than_near, sign, sign_cost},
    },
    boolean::{Order, from_planes},
};
use trefoil_engine::{Cost, prelude::*, testing::on_shares};

/// All pairs of the ends of the range and of neighbours of powers of two, then random ones.
fn pairs<R: Word>() -> [Vec<R>; 2] {
    let top = 1 << (R::BITS - 1);
    let edges: Vec<u64> = edges().into_iter().chain([top, top - 1, top + 1, top - 2]).collect();
    let all = edges.iter().flat_map(|&x| edges.iter().map(move |&y| (x, y)));
    let pairs = all.chain(random(150, 1).into_iter().zip(random(150, 2)));
    let (x, y): (Vec<u64>, Vec<u64>) = pairs.unzip();
    [x, y].map(|x| x.into_iter().map(R::cut).collect())
}

/// In two's complement.
fn signed<R: Word>(x: R) -> i64 {
    (x.widen() << (64 - R::BITS)).cast_signed() >> (64 - R::BITS)
}

fn priced(cost: Cost, price: ElementCost, n: usize) {
    assert_eq!(cost, price.over(n), "{n} elements");
}

/// A plane of one bit for each pair.
#[allow(clippy::needless_pass_by_value)] // a closure is written in place
fn bits<R: Word, M: Mode, F>(price: ElementCost, n: usize, f: F) -> Vec<bool>
where
    F: AsyncFn(&mut Ctx<M>, View<'_, R>, View<'_, R>) -> Result<Shares<Lanes>, Error>,
{
    let [x, y] = pairs::<R>();
    let out = trefoil_engine::testing::three::<M, _, _>(async |mut ctx| {
        let [x, y] = [&x[..n], &y[..n]].map(|x| Shares::public(ctx.me(), x));
        let bits = f(&mut ctx, x.view(), y.view()).await?;
        let mut v = ctx.verify().await?;
        let cost = v.cost();
        Ok((v.open(bits.view()).await?, cost))
    });
    if M::NAME == SemiHonest::NAME {
        priced(out[0].1, price, n);
    }
    from_planes(1, n, &out[0].0).unwrap().into_iter().map(|bit| bit == 1).collect()
}

fn there_and_back<R: Word + Eq + std::fmt::Debug, M: Mode>() {
    let [all, _] = pairs::<R>();
    for n in [1, 63, 64, 65, all.len()] {
        let x = &all[all.len() - n..];
        let (y, cost) = on_shares::<M, R, _>(&[x], async |ctx, x| {
            let bits = a2b(ctx, x[0].view()).await?;
            b2a(ctx, x[0].len(), bits.view()).await
        });
        assert_eq!(y, x);
        if M::NAME == SemiHonest::NAME {
            priced(cost, a2b_cost::<R>().then(b2a_cost::<R>()), n);
        }
        let (low, _) = on_shares::<M, R, _>(&[x], async |ctx, x| {
            let bits = a2b(ctx, x[0].view()).await?;
            b2a(ctx, x[0].len(), bits.view().slice(0, 7 * Lanes::words(x[0].len()))?).await
        });
        assert!(low.iter().zip(x).all(|(low, x)| low.widen() == x.widen() & 127));
    }
}

fn comparisons<R: Word, M: Mode>() {
    let [x, y] = pairs::<R>();
    for n in [1, 65, x.len()] {
        let pairs = || x.iter().zip(&y).take(n);
        let less =
            bits::<R, M, _>(less_than_cost::<R>(), n, async |ctx, x, y| less_than(ctx, Order::Unsigned, x, y).await);
        assert!(pairs().zip(less).all(|((x, y), less)| less == (x.widen() < y.widen())));
        let less =
            bits::<R, M, _>(less_than_cost::<R>(), n, async |ctx, x, y| less_than(ctx, Order::Signed, x, y).await);
        assert!(pairs().zip(less).all(|((&x, &y), less)| less == (signed(x) < signed(y))));
        let negative = bits::<R, M, _>(sign_cost::<R>(), n, async |ctx, x, _| sign(ctx, x).await);
        assert!(pairs().zip(negative).all(|((&x, _), negative)| negative == (signed(x) < 0)));
        let near = bits::<R, M, _>(sign_cost::<R>(), n, async |ctx, x, y| less_than_near(ctx, x, y).await);
        for ((&x, &y), near) in pairs().zip(near) {
            let (gap, half) = (i128::from(signed(x)) - i128::from(signed(y)), 1 << (R::BITS - 1));
            assert_eq!(near == (gap < 0), (-half..half).contains(&gap), "{} {}", signed(x), signed(y));
        }
    }
}

#[test]
fn integers_of_all_widths_become_bits_and_come_back() {
    there_and_back::<Z16, SemiHonest>();
    there_and_back::<Z16, Malicious>();
    there_and_back::<Z32, SemiHonest>();
    there_and_back::<Z32, Malicious>();
    there_and_back::<Z64, SemiHonest>();
}

#[test]
fn integers_of_all_widths_are_compared() {
    comparisons::<Z16, SemiHonest>();
    comparisons::<Z16, Malicious>();
    comparisons::<Z32, SemiHonest>();
    comparisons::<Z32, Malicious>();
    comparisons::<Z64, SemiHonest>();
}

#[test]
fn the_table_of_the_module() {
    fn of<R: Word>() -> [(u64, u64); 4] {
        [a2b_cost::<R>(), sign_cost::<R>(), less_than_cost::<R>(), b2a_cost::<R>()].map(|x| (x.rounds, x.bits_sent()))
    }
    assert_eq!(of::<Z16>(), [(5, 47), (5, 33), (6, 100), (6, 63)]);
    assert_eq!(of::<Z32>(), [(6, 117), (6, 72), (7, 217), (7, 149)]);
    assert_eq!(of::<Z64>(), [(7, 275), (7, 151), (8, 454), (8, 339)]);
}

#[test]
fn shapes_are_checked_and_nothing_is_an_input_too() {
    let (none, _) = on_shares::<Malicious, Z16, _>(&[&[]], async |ctx, x| {
        let x = x[0].view();
        assert!(less_than(ctx, Order::Signed, x, x).await?.is_empty());
        let other = Shares::<Z16>::zeros(1);
        assert!(matches!(less_than_near(ctx, x, other.view()).await, Err(Error::Shape { .. })));
        assert!(matches!(b2a::<_, Z16>(ctx, 1, Shares::zeros(17).view()).await, Err(Error::Shape { .. })));
        let bits = a2b(ctx, x).await?;
        b2a(ctx, 0, bits.view()).await
    });
    assert!(none.is_empty());
}
