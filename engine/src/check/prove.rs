//! The interactive half of the check: proofs, coins and the last comparison.
//!
//! All three proofs run in the same rounds, with the same weights and challenges. Values of a proof are shared between its
//! verifiers: `prev`'s half is drawn with the key it shares with the prover, `next`'s half is sent. The verifiers evaluate their
//! halves at each challenge, fold what they hold, and speak to each other at the end only.

use super::{
    coin::Coins,
    ext::Ext,
    grid,
    last::{Last, PAIRS},
    log::{Gates, Recorded},
    matrix,
    statement::{Statement as _, Vectors, fit},
};
use crate::{
    Ctx, Error, Malicious,
    error::Deviation,
    prss::Stream,
    ring::{Lanes, Ring, Z16, Z32, Z64},
};

/// Variables of the later grids.
const R: u32 = 3;

/// Checks everything a strand has recorded.
///
/// # Errors
/// [`Error::Abort`] if a proof is rejected; what the rounds give.
pub async fn check(ctx: &mut Ctx<Malicious>) -> Result<(), Error> {
    // Boxed: every gate may end in a check, and its future should not be as large as a proof's.
    Box::pin(check_ring::<Lanes>(ctx)).await?;
    Box::pin(check_ring::<Z16>(ctx)).await?;
    Box::pin(check_ring::<Z32>(ctx)).await?;
    Box::pin(check_ring::<Z64>(ctx)).await
}

/// A party's halves of a claim of each of the two proofs it verifies.
#[derive(Clone, Copy, Default)]
struct Halves<E> {
    /// As `prev` of prover `i + 1`.
    prev: E,
    /// As `next` of prover `i - 1`.
    next: E,
}

async fn check_ring<R: Ring>(ctx: &mut Ctx<Malicious>) -> Result<(), Error> {
    let mut gates: Gates<R> = std::mem::take(<R as Recorded>::gates(&mut ctx.log));
    let products = std::mem::take(&mut gates.products);
    if gates.no_gates() && products.is_empty() {
        return Ok(());
    }
    let most = ctx.check_every;
    let mut coins = Coins::new();
    let mut weights = Stream::with_key(coins.after_gates(ctx).await?);
    let mut begun = None;
    if gates.no_gates() {
        <R as Recorded>::gates(&mut ctx.log).recycle(gates, most);
    } else {
        let statement = R::Statement::new(gates, &mut weights)?;
        begun = Some(Begun::<R>::new(ctx, &mut coins, statement).await?);
    }
    let mut matrices = None;
    if !products.is_empty() {
        matrices = Some(matrix::Claim::new(&products, &mut weights, &mut *ctx.link).await?);
    }
    drop(products);

    let (mut claim, mut values) = (Halves::default(), [R::Ext::default(); 27]);
    if let Some(Begun { statement, rows, claim: of_gates, .. }) = &mut begun {
        (claim, values) = (*of_gates, statement.second_level(&mut *ctx.link, rows).await);
    }
    if let Some(matrices) = &matrices {
        let [prev, next] = matrices.halves;
        claim = Halves { prev: claim.prev + prev, next: claim.next + next };
        values.iter_mut().zip(matrices.products()).for_each(|(value, of)| *value = *value + of);
    }
    let eq = level(ctx, &mut coins, &values, &mut claim).await?;
    let mut v = Vectors::zeros(0);
    if let Some(Begun { statement, rows, .. }) = begun {
        let gates;
        (v, gates) = statement.fold(&mut *ctx.link, &rows, &eq).await;
        <R as Recorded>::gates(&mut ctx.log).recycle(gates, most);
    }
    if let Some(matrices) = matrices {
        v = matrices.fold(&eq, &v);
    }
    while v.own.len() > PAIRS {
        let values = v.products();
        let eq = level(ctx, &mut coins, &values, &mut claim).await?;
        let len = fit(v.own.len() / 8);
        v.fold(&eq, len);
    }

    let last = Last::new(ctx, &v)?;
    let sent = share(ctx, &last.proof()).await?;
    let x = coins.last::<R::Ext>(ctx).await?;
    let [mine_prev, mine_next] = last.at(x, [(claim.prev, &sent.prev), (claim.next, &sent.next)]);
    coins.agree(ctx).await?;
    let mut theirs = [[R::Ext::default(); 3]; 2];
    let [from_prev, from_next] = &mut theirs;
    // Of prover i + 1 the other verifier is i - 1, of prover i - 1 it is i + 1.
    ctx.swap(
        [bytemuck::cast_slice(&mine_prev), bytemuck::cast_slice(&mine_next)],
        [bytemuck::cast_slice_mut(from_prev), bytemuck::cast_slice_mut(from_next)],
    )
    .await?;
    let me = ctx.me();
    let holds = |[a, b, p]: [R::Ext; 3], [c, d, q]: [R::Ext; 3]| (a + c) * (b + d) == p + q;
    if !holds(mine_prev, theirs[0]) {
        return Err(Error::Abort { what: Deviation::Product, suspects: [me.next(), me.prev()] });
    }
    if !holds(mine_next, theirs[1]) {
        return Err(Error::Abort { what: Deviation::Product, suspects: [me.prev(), me.next()] });
    }
    Ok(())
}

/// A statement about gates whose first level is done.
struct Begun<R: Ring> {
    statement: R::Statement,
    /// The weights of the rows.
    rows: Vec<R::Ext>,
    claim: Halves<R::Ext>,
}

impl<R: Ring> Begun<R> {
    async fn new(ctx: &mut Ctx<Malicious>, coins: &mut Coins, statement: R::Statement) -> Result<Self, Error> {
        let first = statement.first_level(&mut *ctx.link).await;
        let r = statement.variables();
        let between = grid::between(r);
        let proof: Vec<_> = between.iter().map(|&at| first.grid[at]).collect();
        let sent = share(ctx, &proof).await?;
        let t = coins.challenge::<R::Ext>(ctx, r).await?;
        let at = grid::At::new(&t);
        let whole = |rows: &[R::Ext], sent: &[R::Ext]| {
            let mut values = vec![R::Ext::default(); first.grid.len()];
            between.iter().zip(sent).for_each(|(&at, &v)| values[at] = v);
            rows.iter().enumerate().for_each(|(l, &v)| values[grid::position(l, r)] = v);
            at.value(&values)
        };
        let claim = Halves { prev: whole(&first.for_prev, &sent.prev), next: whole(&first.for_next, &sent.next) };
        Ok(Self { statement, rows: grid::weights(&t), claim })
    }
}

/// The halves of values that provers share between their verifiers: this party's own go out, masked, to `next`.
async fn share<E: Ext>(ctx: &mut Ctx<Malicious>, values: &[E]) -> Result<Halves<Vec<E>>, Error> {
    let mut mask = vec![E::default(); values.len()];
    let mut prev = mask.clone();
    let mut next = mask.clone();
    let (own_key, next_key) = ctx.prss.streams();
    own_key.fill_bytes(bytemuck::cast_slice_mut(&mut mask))?;
    next_key.fill_bytes(bytemuck::cast_slice_mut(&mut prev))?;
    let masked: Vec<E> = values.iter().zip(&mask).map(|(&v, &m)| v - m).collect();
    let me = ctx.me();
    ctx.pass(me.next(), bytemuck::cast_slice(&masked), me.prev(), bytemuck::cast_slice_mut(&mut next)).await?;
    Ok(Halves { prev, next })
}

/// A level of 8 rows: proves its values, throws its coin, gives the rows' weights, and leaves the halves of the claim that is left.
async fn level<E: Ext>(
    ctx: &mut Ctx<Malicious>,
    coins: &mut Coins,
    values: &[E; 27],
    claim: &mut Halves<E>,
) -> Result<[E; 8], Error> {
    // The value at row 0 follows from the claim.
    let sent = share(ctx, &values[1..]).await?;
    let t = coins.challenge::<E>(ctx, R).await?;
    let at = grid::At::new(&t);
    *claim = Halves { prev: next_claim(claim.prev, &sent.prev, &at), next: next_claim(claim.next, &sent.next, &at) };
    let eq = grid::weights(&t);
    Ok(std::array::from_fn(|u| eq[u]))
}

/// A half of the claim after a level, from a half of the claim before it and of the values sent.
fn next_claim<E: Ext>(claim: E, sent: &[E], at: &grid::At<E>) -> E {
    let mut values = vec![E::default(); 27];
    values[1..].copy_from_slice(sent);
    values[0] = (1..8).fold(claim, |left, row| left - values[grid::position(row, R)]);
    at.value(&values)
}
