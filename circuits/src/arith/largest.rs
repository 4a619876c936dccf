//! The largest of several, in their order.

use super::{
    ElementCost,
    bits::same,
    compare::less_than_near,
    convert::{inject, inject_cost, sign_cost},
    sort::{exchange, gather, layers},
};
use trefoil_engine::prelude::*;

/// The `most` largest of `candidates` in each of `n` contests, largest first, and their places from 0 on.
///
/// The network of [`sort`](super::sort()), without the comparisons that matter for the others only.
///
/// **Shape** `candidates` vectors of `n` numbers, one after the other, any two of a contest less than `2^63` apart; to `most` vectors of `n` of values, and of places. Equal ones come in some order, as in
/// [`plain_largest`]. **Cost** [`largest_cost`]: 10 rounds a layer, of which there are 10 for 9 to 16 candidates. **Security** composition of [`less_than_near`], [`inject`] and products; the order of
/// comparisons is public. **Source** as [`sort`](super::sort()).
///
/// # Errors
/// [`Error::Shape`] if `x` is not `candidates * n` long, or more are asked for than there are; as [`less_than_near`]. Not cancel safe.
pub async fn largest<M: Mode>(
    ctx: &mut Ctx<M>,
    most: usize,
    candidates: usize,
    x: View<'_, Z64>,
) -> Result<[Shares<Z64>; 2], Error> {
    let n = x.len() / candidates.max(1);
    same("the candidates", candidates * n, x.len())?;
    same("the largest of some at most", candidates, candidates.max(most))?;
    let places: Vec<Z64> = (0..candidates as u64).flat_map(|k| std::iter::repeat_n(Z64(k), n)).collect();
    let mut rows = vec![x.to_shares(), Shares::public(ctx.me(), &places)];
    for layer in network(most, candidates) {
        let elements = |[i, j]: [usize; 2]| (0..n).map(move |contest| [i * n + contest, j * n + contest]);
        let pairs: Vec<[usize; 2]> = layer.into_iter().flat_map(elements).collect();
        let [low, high] = [0, 1].map(|end| gather(rows[0].view(), &pairs, end));
        let swap = less_than_near(ctx, high.view(), low.view()).await?;
        let swap = inject(ctx, pairs.len(), swap.view()).await?;
        exchange(ctx, &mut rows, &pairs, swap.view()).await?;
    }
    let last = |row: &Shares<Z64>| {
        let last = (1..=most).map(|k| row.view().slice((candidates - k) * n, n)).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, Error>(Shares::concat(&last))
    };
    Ok([last(&rows[0])?, last(&rows[1])?])
}

/// The exact cost of [`largest`] for one contest, if `n` is a multiple of 64.
pub fn largest_cost(most: usize, candidates: usize) -> ElementCost {
    let exchange = sign_cost().then(inject_cost()).then(ElementCost::integers(1, 2));
    let layers = network(most, candidates);
    layers.iter().fold(ElementCost::default(), |sum, layer| sum.then(exchange.times(layer.len() as u64)))
}

/// The plain twin: the places of the largest, largest first.
pub fn plain_largest(most: usize, x: &[i64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..x.len()).collect();
    for [low, high] in network(most, x.len()).into_iter().flatten() {
        if x[places[high]] < x[places[low]] {
            places.swap(low, high);
        }
    }
    places.into_iter().rev().take(most).collect()
}

/// The layers of a sorting network, the place that is to hold the smaller one first, as far as they matter for the highest places. None of the layers is empty.
fn network(most: usize, candidates: usize) -> Vec<Vec<[usize; 2]>> {
    let mut matters = vec![false; candidates];
    matters.iter_mut().rev().take(most).for_each(|place| *place = true);
    let mut layers = layers(candidates);
    for layer in layers.iter_mut().rev() {
        layer.retain(|&[low, high]| {
            let kept = matters[low] || matters[high];
            matters[low] |= kept;
            matters[high] |= kept;
            kept
        });
    }
    layers.retain(|layer| !layer.is_empty());
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arith::tests::{edges, random, run};

    /// What sorts all zeros and ones sorts everything (Knuth, 5.3.4, theorem Z); likewise for the highest places.
    #[test]
    fn the_network_finds_the_largest() {
        for candidates in 0..=11_usize {
            for most in 0..=candidates {
                for input in 0..1_u32 << candidates {
                    let x: Vec<i64> = (0..candidates).map(|k| i64::from(input >> k & 1)).collect();
                    let found = plain_largest(most, &x);
                    let ones = found.iter().filter(|&&place| x[place] == 1).count();
                    assert_eq!(ones, most.min(input.count_ones() as usize));
                    assert!(found.iter().map(|&place| -x[place]).is_sorted() && found.len() == most);
                }
            }
        }
        let size = |most, candidates| network(most, candidates).iter().map(Vec::len).sum::<usize>();
        assert_eq!([size(1, 11), size(3, 11), size(11, 11)], [27, 32, 37]);
    }

    #[test]
    fn the_largest_of_each_contest_are_the_plain_ones_at_the_price() {
        let n = 64;
        for (most, candidates) in [(1, 1), (3, 11), (2, 2), (4, 8)] {
            let mut x: Vec<u64> =
                random(candidates * n, 5).iter().map(|x| (x.cast_signed() >> 2).cast_unsigned()).collect();
            // Equal ones, and edges of what may be compared.
            x.iter_mut().step_by(7).for_each(|x| *x = 3);
            x.iter_mut().step_by(5).zip(edges()).for_each(|(x, edge)| *x = (edge.cast_signed() >> 2).cast_unsigned());
            let find = async |ctx: &mut Ctx<SemiHonest>, v: &[Shares<Z64>]| {
                let [values, places] = largest(ctx, most, candidates, v[0].view()).await?;
                Ok(Shares::concat(&[values.view(), places.view()]))
            };
            let (out, cost) = run::<SemiHonest, Z64, _>(&[&x], find);
            assert_eq!(cost, largest_cost(most, candidates).over(n));
            for contest in 0..n {
                let mine: Vec<i64> = (0..candidates).map(|k| x[k * n + contest].cast_signed()).collect();
                let due = plain_largest(most, &mine);
                for (k, place) in due.into_iter().enumerate() {
                    assert_eq!(out[(most + k) * n + contest], Z64(place as u64));
                    assert_eq!(out[k * n + contest].0.cast_signed(), mine[place]);
                }
            }
        }
        let none = run::<Malicious, Z64, _>(&[&[1, 2, 3]], async |ctx, v| {
            assert!(largest(ctx, 3, 2, v[0].view()).await.is_err());
            Ok(largest(ctx, 2, 3, v[0].view()).await?[0].view().to_shares())
        });
        assert_eq!(none.0, [Z64(3), Z64(2)]);
    }
}
