//! Sorting, so that nobody learns where anything went.

use super::{
    ElementCost,
    bits::same,
    compare::less_than_near,
    convert::{inject, inject_cost, sign_cost},
};
use trefoil_engine::{Cost, prelude::*};

/// Rows in the ascending order of their keys.
///
/// A fixed network of comparisons, so that what is compared does not depend on what was found: each layer is one batch, each pair of a layer is exchanged or not by a shared bit.
///
/// **Shape** `columns[0]` holds the keys of `n` rows, in two's complement, any two of which differ by less than `2^63`; the other columns, as long, go along. Rows with equal keys come
/// in some order. **Cost** [`sort_cost`]: `t (t + 1) / 2` layers of 10 rounds for `2^(t-1) < n <= 2^t`, about `n t^2 / 4` comparisons in all.
/// **Security** composition of [`less_than_near`], [`inject`] and products, hence that of each mode. **Source** Batcher (AFIPS 1968), as merge exchange for any `n` (Knuth, TAOCP 3, 5.2.2,
/// algorithm M).
///
/// # Errors
/// [`Error::Shape`] for columns of different lengths; as [`less_than_near`]. Not cancel safe.
pub async fn sort<M: Mode>(ctx: &mut Ctx<M>, columns: &[View<'_, Z64>]) -> Result<Vec<Shares<Z64>>, Error> {
    let n = columns.first().map_or(0, View::len);
    for column in columns {
        same("the columns of a table", n, column.len())?;
    }
    let mut rows: Vec<Shares<Z64>> = columns.iter().map(|c| c.to_shares()).collect();
    for pairs in layers(n) {
        let [low, high] = [0, 1].map(|end| gather(rows[0].view(), &pairs, end));
        let swap = less_than_near(ctx, high.view(), low.view()).await?;
        let swap = inject(ctx, pairs.len(), swap.view()).await?;
        exchange(ctx, &mut rows, &pairs, swap.view()).await?;
    }
    Ok(rows)
}

/// The exact cost of [`sort`] of `n` rows, in semi-honest mode.
pub fn sort_cost(n: usize, columns: usize) -> Cost {
    let exchange = sign_cost().then(inject_cost()).then(ElementCost::integers(1, columns as u64));
    layers(n).iter().fold(Cost::default(), |sum, pairs| plus(sum, exchange.over(pairs.len())))
}

/// Which rows are compared in each layer, the one that is to be smaller first.
pub(super) fn layers(n: usize) -> Vec<Vec<[usize; 2]>> {
    let mut layers = Vec::new();
    let top = n.next_power_of_two() / 2;
    let mut p = top;
    while p > 0 && n > 1 {
        let (mut q, mut r, mut d) = (top, 0, p);
        loop {
            let layer: Vec<_> = (0..n - d).filter(|i| i & p == r).map(|i| [i, i + d]).collect();
            layers.push(layer);
            if q == p {
                break;
            }
            (d, q, r) = (q - p, q / 2, p);
        }
        p /= 2;
    }
    layers
}

/// Exchanges the rows of each pair, in all columns, if its bit in `swap` is one.
pub(super) async fn exchange<M: Mode>(
    ctx: &mut Ctx<M>,
    rows: &mut [Shares<Z64>],
    pairs: &[[usize; 2]],
    swap: View<'_, Z64>,
) -> Result<(), Error> {
    let ends: Vec<[Shares<Z64>; 2]> = rows.iter().map(|c| [0, 1].map(|end| gather(c.view(), pairs, end))).collect();
    let gaps: Vec<Shares<Z64>> = ends.iter().map(|[a, b]| b.view().minus(a.view())).collect::<Result<_, _>>()?;
    let gaps = Shares::concat(&gaps.iter().map(Shares::view).collect::<Vec<_>>());
    let moved = ctx.mul(Shares::concat(&vec![swap; rows.len()]).view(), gaps.view()).await?;
    for (k, (row, [low, high])) in rows.iter_mut().zip(&ends).enumerate() {
        let moved = moved.view().slice(k * pairs.len(), pairs.len())?;
        let both = Shares::concat(&[low.view().plus(moved)?.view(), high.view().minus(moved)?.view()]);
        scatter(row, both.view(), pairs);
    }
    Ok(())
}

/// One end of all pairs.
pub(super) fn gather(x: View<'_, Z64>, pairs: &[[usize; 2]], end: usize) -> Shares<Z64> {
    Shares::rearrange(x, pairs.len(), |x, out| {
        for (out, pair) in out.iter_mut().zip(pairs) {
            *out = x[pair[end]];
        }
    })
}

/// Puts the low ends of all pairs, then the high ones, in their places.
fn scatter(row: &mut Shares<Z64>, ends: View<'_, Z64>, pairs: &[[usize; 2]]) {
    let mut from: Vec<usize> = (0..row.len()).collect();
    for (k, pair) in pairs.iter().enumerate() {
        from[pair[0]] = row.len() + k;
        from[pair[1]] = row.len() + pairs.len() + k;
    }
    let all = Shares::concat(&[row.view(), ends]);
    *row = Shares::rearrange(all.view(), from.len(), |x, out| {
        for (out, &from) in out.iter_mut().zip(&from) {
            *out = x[from];
        }
    });
}

fn plus(a: Cost, b: Cost) -> Cost {
    Cost { rounds: a.rounds + b.rounds, bytes_sent: a.bytes_sent + b.bytes_sent, products: a.products + b.products }
}

#[cfg(test)]
mod tests {
    use super::layers;

    /// A network that sorts all zeros and ones sorts everything (Knuth, 5.3.4, theorem Z).
    #[test]
    fn the_network_sorts() {
        for n in 0..=12_usize {
            for input in 0..1_u32 << n {
                let mut x: Vec<u32> = (0..n).map(|k| input >> k & 1).collect();
                for layer in layers(n) {
                    let mut touched = vec![false; n];
                    for [i, j] in layer {
                        assert!(i < j && !touched[i] && !touched[j]);
                        (touched[i], touched[j]) = (true, true);
                        if x[j] < x[i] {
                            x.swap(i, j);
                        }
                    }
                }
                assert!(x.is_sorted(), "{n} rows");
            }
        }
        for (n, depth) in [(2, 1), (4, 3), (5, 6), (1024, 55), (1025, 66)] {
            assert_eq!(layers(n).len(), depth, "{n} rows");
        }
    }
}
