//! On shares, in both modes, against the plain twins and the prices.

mod domain;
mod fixed;
mod functions;
mod integers;
mod narrow;
mod sort;
mod tournament;

use super::ElementCost;
use crate::boolean::from_planes;
use trefoil_engine::{
    Cost, client,
    prelude::*,
    testing::{Setup, on_shares_with},
};

/// Runs `f` on shared integers, and gives the result with the cost of `f` alone.
#[allow(clippy::needless_pass_by_value)] // a closure is written in place
pub fn run<M: Mode, S: Ring, F>(inputs: &[&[u64]], f: F) -> (Vec<S>, Cost)
where
    F: AsyncFn(&mut Ctx<M>, &[Shares<Z64>]) -> Result<Shares<S>, Error>,
{
    let inputs: Vec<Vec<Z64>> = inputs.iter().map(|x| x.iter().copied().map(Z64).collect()).collect();
    let inputs: Vec<&[Z64]> = inputs.iter().map(|x| &x[..]).collect();
    let out = on_shares_with::<M, Z64, _, _>(Setup::default(), &inputs, async |mut ctx, x| {
        let before = ctx.cost();
        let z = f(&mut ctx, &x).await?;
        let after = ctx.cost();
        let v = ctx.verify().await?;
        let cost = Cost {
            rounds: after.rounds - before.rounds,
            bytes_sent: after.bytes_sent - before.bytes_sent,
            products: after.products - before.products,
        };
        Ok((v.output(z.view())?, cost))
    });
    let [(a, cost), (b, _), (c, _)] = out.map(|r| r.expect("a party failed"));
    (client::reconstruct(&[a, b, c]).unwrap(), cost)
}

/// A function of `n` elements to integers, in both modes and at its price.
pub fn integers<F, G>(inputs: &[&[u64]], price: ElementCost, n: usize, f: F, g: G) -> Vec<u64>
where
    F: AsyncFn(&mut Ctx<SemiHonest>, &[Shares<Z64>]) -> Result<Shares<Z64>, Error>,
    G: AsyncFn(&mut Ctx<Malicious>, &[Shares<Z64>]) -> Result<Shares<Z64>, Error>,
{
    let (out, cost) = run::<SemiHonest, Z64, _>(inputs, f);
    assert_eq!(cost, price.over(n), "{n} elements");
    let (checked, cost) = run::<Malicious, Z64, _>(inputs, g);
    assert_eq!(checked, out);
    assert_eq!((cost.rounds, cost.products), (price.rounds, price.over(n).products));
    out.into_iter().map(|x| x.0).collect()
}

/// A function to planes of so many bits, in both modes and at its price.
pub fn planes<F, G>(width: usize, inputs: &[&[u64]], price: ElementCost, f: F, g: G) -> Vec<u64>
where
    F: AsyncFn(&mut Ctx<SemiHonest>, &[Shares<Z64>]) -> Result<Shares<Lanes>, Error>,
    G: AsyncFn(&mut Ctx<Malicious>, &[Shares<Z64>]) -> Result<Shares<Lanes>, Error>,
{
    let n = inputs[0].len();
    let (out, cost) = run::<SemiHonest, Lanes, _>(inputs, f);
    let (checked, checked_cost) = run::<Malicious, Lanes, _>(inputs, g);
    assert_eq!(checked, out);
    assert_eq!(cost, price.over(n), "{n} elements");
    assert_eq!((checked_cost.rounds, checked_cost.products), (price.rounds, price.over(n).products));
    from_planes(width, n, &out).unwrap()
}

/// Irregular integers.
pub fn random(n: usize, seed: u64) -> Vec<u64> {
    (0..n as u64)
        .map(|k| {
            let mut z = (k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (seed + 1).wrapping_mul(0xd134_2543_de82_ef95);
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        })
        .collect()
}

/// The ends of both ranges, powers of two and their neighbours.
pub fn edges() -> Vec<u64> {
    let near = |x: u64| [x.wrapping_sub(1), x, x.wrapping_add(1)];
    [0, 1 << 1, 1 << 20, 1 << 31, 1 << 32, 1 << 61, 1 << 62, 1 << 63, u64::MAX << 20, 0x5555_5555_5555_5555]
        .into_iter()
        .flat_map(near)
        .collect()
}

/// All pairs of edges, then random ones, of which every second differs in its low bits only.
pub fn pairs() -> [Vec<u64>; 2] {
    let edges = edges();
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for &a in &edges {
        x.extend(edges.iter().map(|_| a));
        y.extend(&edges);
    }
    for (k, (a, b)) in random(150, 1).into_iter().zip(random(150, 2)).enumerate() {
        x.push(a);
        y.push(if k % 2 == 0 { b } else { a ^ b >> (k % 64) });
    }
    [x, y]
}

/// Both modes of one text.
macro_rules! both {
    ($how:ident($($arg:expr),*), |$ctx:ident, $x:ident| $body:expr) => {
        crate::arith::tests::$how($($arg,)* async |$ctx, $x| $body, async |$ctx, $x| $body)
    };
}
pub(crate) use both;
