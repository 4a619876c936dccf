//! Gates and comparisons on integers of 64 bits.

use super::scenario::{Comparison, Measured, agree, timed};
use trefoil_circuits::{
    arith::{ElementCost, less_than, less_than_cost, less_than_near, reference, sign_cost},
    boolean::Order,
};
use trefoil_engine::{prelude::*, transport::BoxFuture};

/// Multiplications, each batch by the products of the one before.
pub(super) async fn products<M: Mode>(
    ctx: &mut Ctx<M>,
    [batch, strands, batches]: [usize; 3],
) -> Result<Measured, Error> {
    let product = |[x, y]: [Z64; 2]| (x * y).0;
    check(ctx, product, async |ctx, x, y| {
        let z = ctx.mul(x.view(), y.view()).await?;
        ctx.check().await?;
        Ok(z)
    })
    .await?;
    let mut tasks: Vec<BoxFuture<'static, _>> = Vec::new();
    for mut strand in ctx.fork(strands as u32).await? {
        let x = strand.random::<Z64>(batch)?;
        let mut y = strand.random::<Z64>(batch)?;
        tasks.push(Box::pin(async move {
            for _ in 0..batches {
                y = strand.mul(x.view(), y.view()).await?;
            }
            strand.check().await?;
            Ok::<_, Error>(strand)
        }));
    }
    timed(ctx, tasks, (batch * strands * batches) as f64, 1).await
}

/// Comparisons, all batches of the same two vectors.
pub(super) async fn comparisons<M: Mode>(
    ctx: &mut Ctx<M>,
    what: Comparison,
    [batch, strands, batches]: [usize; 3],
) -> Result<Measured, Error> {
    let plain = |[x, y]: [Z64; 2]| match what {
        Comparison::Exact => reference::less_than(Order::Signed, x.0, y.0),
        Comparison::Near => reference::sign((x - y).0),
    };
    check(ctx, plain, async |ctx, x, y| {
        let less = what.run(ctx, x.view(), y.view()).await?;
        trefoil_circuits::arith::inject(ctx, x.len(), less.view()).await
    })
    .await?;
    let mut tasks: Vec<BoxFuture<'static, _>> = Vec::new();
    for mut strand in ctx.fork(strands as u32).await? {
        let [x, y] = [strand.random::<Z64>(batch)?, strand.random::<Z64>(batch)?];
        tasks.push(Box::pin(async move {
            for _ in 0..batches {
                let _ = what.run(&mut strand, x.view(), y.view()).await?;
            }
            strand.check().await?;
            Ok::<_, Error>(strand)
        }));
    }
    timed(ctx, tasks, (batch * strands * batches) as f64, what.cost().rounds).await
}

impl Comparison {
    async fn run<M: Mode>(self, ctx: &mut Ctx<M>, x: View<'_, Z64>, y: View<'_, Z64>) -> Result<Shares<Lanes>, Error> {
        match self {
            Self::Exact => less_than(ctx, Order::Signed, x, y).await,
            Self::Near => less_than_near(ctx, x, y).await,
        }
    }

    fn cost(self) -> ElementCost {
        match self {
            Self::Exact => less_than_cost(),
            Self::Near => sign_cost(),
        }
    }
}

/// Runs `f` on some random integers, opens what it took and what it gave, and compares with `plain`: the figures are of a computation that is right.
async fn check<M: Mode>(
    ctx: &mut Ctx<M>,
    plain: impl Fn([Z64; 2]) -> u64,
    f: impl AsyncFnOnce(&mut Ctx<M>, &Shares<Z64>, &Shares<Z64>) -> Result<Shares<Z64>, Error>,
) -> Result<(), Error> {
    ctx.check().await?;
    let mut child = ctx.fork(1).await?.remove(0);
    let [x, y] = [child.random::<Z64>(100)?, child.random::<Z64>(100)?];
    let z = f(&mut child, &x, &y).await?;
    let mut child = child.verify().await?;
    let [x, y, z] = [child.open(x.view()).await?, child.open(y.view()).await?, child.open(z.view()).await?];
    ctx.join_verified(child)?;
    agree(ctx.me(), x.iter().zip(&y).zip(&z).all(|((&x, &y), z)| plain([x, y]) == z.0))
}
