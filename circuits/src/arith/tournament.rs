//! The largest or the smallest of several.

use super::{
    ElementCost,
    bits::same,
    compare::less_than_near,
    convert::{inject, inject_cost, sign_cost},
};
use trefoil_engine::prelude::*;

/// Who wins a comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extreme {
    /// The largest, in two's complement.
    Max,
    /// The smallest.
    Min,
}

/// The best of `candidates` in each of `n` contests, and what belongs to it. Among equals the first one wins.
///
/// Neighbours meet, and winners meet again, in a tree.
///
/// **Shape** `columns[0]` holds the numbers compared, any two of which differ by less than `2^63`: `candidates` vectors of `n`, one after the other; the other columns,
/// of the same shape, go along. The result has `n` elements for each column. **Cost** [`tournament_cost`]: `ceil(log2 m)` times 10 rounds; `m - 1` comparisons, injected
/// bits and products for each column. **Security** composition of [`less_than_near`], [`inject`] and products; the order of comparisons is public.
/// **Source** folklore.
///
/// # Errors
/// [`Error::Shape`] if a column is not `candidates * n` long or there is no candidate; as [`less_than_near`]. Not cancel safe.
pub async fn tournament<M: Mode>(
    ctx: &mut Ctx<M>,
    which: Extreme,
    candidates: usize,
    columns: &[View<'_, Z64>],
) -> Result<Vec<Shares<Z64>>, Error> {
    let len = columns.first().map_or(0, View::len);
    let n = len / candidates.max(1);
    for column in columns {
        same("the candidates of a tournament", candidates * n, column.len())?;
    }
    let mut left: Vec<Shares<Z64>> = columns.iter().map(|c| c.to_shares()).collect();
    let mut m = if columns.is_empty() { 0 } else { candidates };
    while m > 1 {
        let games = m / 2;
        let seats: Vec<[Shares<Z64>; 2]> =
            left.iter().map(|c| [0, 1].map(|k| every_second(c.view(), n, games, k))).collect();
        let [a, b] = &seats[0];
        let wins = match which {
            Extreme::Max => less_than_near(ctx, a.view(), b.view()).await?,
            Extreme::Min => less_than_near(ctx, b.view(), a.view()).await?,
        };
        let wins = inject(ctx, games * n, wins.view()).await?;
        let gaps: Vec<Shares<Z64>> = seats.iter().map(|[a, b]| b.view().minus(a.view())).collect::<Result<_, _>>()?;
        let gaps = Shares::concat(&gaps.iter().map(Shares::view).collect::<Vec<_>>());
        let gains = ctx.mul(Shares::concat(&vec![wins.view(); columns.len()]).view(), gaps.view()).await?;
        let mut next = Vec::with_capacity(columns.len());
        for (k, ([a, _], column)) in seats.iter().zip(&left).enumerate() {
            let won = a.view().plus(gains.view().slice(k * games * n, games * n)?)?;
            // Who has nobody to meet goes on.
            let bye = column.view().slice(2 * games * n, (m - 2 * games) * n)?;
            next.push(Shares::concat(&[won.view(), bye]));
        }
        left = next;
        m -= games;
    }
    Ok(left)
}

/// The exact cost of [`tournament`] for one contest, if `n` is a multiple of 64.
pub fn tournament_cost(candidates: usize, columns: usize) -> ElementCost {
    let game = sign_cost().then(inject_cost()).then(ElementCost::integers(1, columns as u64));
    let (mut cost, mut m) = (ElementCost::default(), candidates);
    while m > 1 {
        cost = cost.then(game.times(m as u64 / 2));
        m -= m / 2;
    }
    cost
}

/// The largest, and its place from 0 on, of `candidates` in each of `n` contests. Among equals the first one.
///
/// **Shape**, **Cost**, **Security**, **Source** as [`tournament`], with two columns.
///
/// # Errors
/// As [`tournament`]. Not cancel safe.
pub async fn argmax<M: Mode>(ctx: &mut Ctx<M>, candidates: usize, x: View<'_, Z64>) -> Result<[Shares<Z64>; 2], Error> {
    let n = x.len() / candidates.max(1);
    let places: Vec<Z64> = (0..candidates as u64).flat_map(|k| std::iter::repeat_n(Z64(k), n)).collect();
    let places = Shares::public(ctx.me(), &places);
    let mut best = tournament(ctx, Extreme::Max, candidates, &[x, places.view()]).await?.into_iter();
    let mut column = || best.next().unwrap_or_else(|| Shares::zeros(n));
    Ok([column(), column()])
}

/// The vectors number `from`, `from + 2`, and so on.
fn every_second(x: View<'_, Z64>, n: usize, count: usize, from: usize) -> Shares<Z64> {
    Shares::rearrange(x, count * n, |x, out| {
        for (k, out) in out.chunks_exact_mut(n.max(1)).enumerate() {
            out.copy_from_slice(&x[(2 * k + from) * n..][..n]);
        }
    })
}
